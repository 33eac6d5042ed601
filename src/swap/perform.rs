//! One call from its beginning to its report.

use std::time::Instant;

use super::act::{Ending, Terms};
use super::call::{Beginning, Refusal, Wish, beginning, is_all, unfinished};
use super::describe;
use super::drive::drive;
use super::file::SwapFile;
use super::fleet::Fleet;
use super::forecast::forecast;
use super::journal::{Entry, Journal};
use super::operation::{Operation, Playbooks, look};
use super::plan::{Record, Stage, Step};
use super::replace;
use super::report::{Action, Report, Verdict, in_words, planned, status};
use super::setup::{Replacement, Setup};
use super::trouble::{Class, Trouble};
use super::world::{Rules, World};
use crate::protocol::Begin;
use crate::run::Interrupt;
use crate::transport::Transport;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Whether to act or to look.
    pub action: Action,
    /// What is to be, unless only the state is wanted.
    pub wish: Option<Wish>,
    /// Servers that somebody took out are fleet's.
    pub adopt: bool,
    /// Hosts are replaced again that were replaced by what was stopped.
    pub anew: bool,
    /// Names the call.
    pub run_id: String,
}

/// What a call may use.
pub struct Means<'m> {
    /// The way to the load balancers.
    pub transport: &'m Transport,
    /// How conversations with them are run.
    pub begin: Begin,
    /// What earlier calls have left.
    pub journal: &'m Journal,
    /// Gate and deployment.
    pub playbooks: &'m mut dyn Playbooks,
    /// Hears of each step before it is taken.
    pub announce: &'m mut dyn FnMut(&str),
    /// Asked with the plan whether to go on.
    pub confirm: &'m mut dyn FnMut(&str) -> bool,
    /// Ctrl-C.
    pub interrupt: Interrupt,
    /// When the call began.
    pub began: Instant,
}

/// What came of a call.
#[derive(Debug)]
pub enum Conclusion {
    /// This, and what it is about.
    Report(Box<Report>, Rules),
    /// The user said no; nothing was changed.
    Declined,
    /// What earlier calls have left cannot be known, so nothing was begun.
    Journal(Trouble),
}

/// Does what is asked.
pub async fn perform(asked: Asked, file: &SwapFile, setup: Setup, means: Means<'_>) -> Conclusion {
    let Setup {
        rules,
        terms,
        mut balancers,
        addresses,
        replacement,
    } = setup;
    let work = match &replacement {
        Some(replacement) => replaced(means.journal).map(|past| Work::Replace(replacement, past)),
        None => previous(means.journal, &rules).map(Work::Move),
    };
    let work = match work {
        Ok(work) => work,
        Err(trouble) => return Conclusion::Journal(trouble),
    };
    let path = file.path.display().to_string();
    let mut report = Report::new(&asked, file.service.clone(), path);
    report.replaces = replacement.is_some();
    let looked = look(&mut balancers, means.transport, &means.begin, &rules).await;
    let mut operation = Operation {
        rules: &rules,
        balancers,
        transport: means.transport,
        begin: means.begin,
        health: &file.health,
        addresses,
        live: file.live.as_ref(),
        playbooks: means.playbooks,
        journal: means.journal,
        announce: means.announce,
        interrupt: means.interrupt,
        interrupted: false,
        began: means.began,
    };
    match looked {
        Ok(world) => {
            let (report, confirm) = (&mut report, means.confirm);
            let (asked, rules, terms) = (&asked, &rules, &terms);
            let went = match work {
                Work::Move(previous) => {
                    let mut call = Call {
                        asked,
                        rules,
                        terms,
                        previous: previous.map(|record| adopted(record, asked, &world)),
                        report,
                        confirm,
                    };
                    call.go(&mut operation, world).await
                }
                Work::Replace(replacement, previous) => {
                    let mut call = replace::Call {
                        asked,
                        rules,
                        terms,
                        replacement,
                        previous,
                        report,
                        confirm,
                    };
                    call.go(&mut operation, world).await
                }
            };
            if !went {
                operation.close().await;
                return Conclusion::Declined;
            }
        }
        Err(trouble) => report.trouble = Some(trouble),
    }
    operation.close().await;
    report.duration = means.began.elapsed();
    Conclusion::Report(Box::new(report), rules)
}

/// What is done, and what the journal says of it.
enum Work<'w> {
    Move(Option<Record>),
    Replace(&'w Replacement, Option<replace::Record>),
}

/// What the journal says of hosts that were replaced.
fn replaced(journal: &Journal) -> Result<Option<replace::Record>, Trouble> {
    nothing_else::<Record>(journal, "a swap between pools")?;
    journal.load()
}

/// Makes sure that nothing of another kind is under way.
fn nothing_else<E: Entry>(journal: &Journal, what: &str) -> Result<(), Trouble> {
    match journal.load::<E>()? {
        Some(record) if !record.is_over() => {
            let message = format!(
                "{what} of this service is under way: finish it with the file that began it"
            );
            Err(Trouble::new(Class::Journal, message))
        }
        _ => Ok(()),
    }
}

/// What the journal says, if it is about these pools.
fn previous(journal: &Journal, rules: &Rules) -> Result<Option<Record>, Trouble> {
    nothing_else::<replace::Record>(journal, "a replacing of hosts")?;
    let Some(record) = journal.load::<Record>()? else {
        return Ok(None);
    };
    for name in [&record.from, &record.to] {
        if rules.pool(name).is_none() {
            let message = format!(
                "the journal is about a pool `{name}`, which the file does not have; name the pools \
                 as before until nothing is under way"
            );
            return Err(Trouble::new(Class::Journal, message));
        }
    }
    Ok(Some(record))
}

/// With `--adopt`, what is out of service was taken out by fleet.
fn adopted(mut record: Record, asked: &Asked, world: &World) -> Record {
    if asked.adopt {
        record.parked.extend(world.servers.keys().cloned());
    }
    record
}

/// One call, whatever it acts on.
pub(super) struct Call<'c> {
    pub asked: &'c Asked,
    pub rules: &'c Rules,
    pub terms: &'c Terms,
    /// What the journal says.
    pub previous: Option<Record>,
    pub report: &'c mut Report,
    pub confirm: &'c mut dyn FnMut(&str) -> bool,
}

impl Call<'_> {
    /// Goes through with it; false if the user does not want to.
    pub(super) async fn go<F: Fleet>(&mut self, operation: &mut F, world: World) -> bool {
        let previous = self.previous.clone();
        let parked = previous.as_ref().map(|record| record.parked.clone());
        self.report.parked = parked.unwrap_or_default();
        if let Some(record) = &previous {
            let under_way = matches!(record.stage, Stage::Forward | Stage::Back);
            if under_way || self.asked.wish.is_none() {
                self.report.from = Some(record.from.clone());
            }
            if under_way {
                self.report.to = Some(record.to.clone());
                self.report.remarks.extend(record.error.clone());
            }
        }
        let Some(wish) = self.asked.wish.clone() else {
            let (verdict, trouble) = status(self.rules, &world, previous.as_ref());
            self.report.verdict = verdict;
            self.report.trouble = trouble;
            self.report.finish(world);
            return true;
        };
        let unfinished = unfinished(&wish, previous.as_ref());
        let first = match &unfinished {
            Some(first) => Ok(first.clone()),
            None => self.beginning(&wish, previous.as_ref(), &world),
        };
        let first = match first {
            Ok(first) => first,
            Err(trouble) => {
                self.report.trouble = Some(trouble);
                self.report.finish(world);
                return true;
            }
        };
        self.report.from = Some(first.record.from.clone());
        self.report.to = Some(first.record.to.clone());
        let steps = forecast(self.rules, self.terms, &world, &first.record);
        let then = unfinished
            .filter(|first| !is_all(&wish, first))
            .map(|_| wish);
        if self.asked.action == Action::Plan {
            self.plan(&steps, then.as_ref(), world);
            return true;
        }
        if !steps.is_empty() && !(self.confirm)(&in_words(&steps, self.rules)) {
            return false;
        }
        let ended = self.drive(operation, first).await;
        if let (Some(wish), Some(record)) = (then, ended) {
            let world = std::mem::take(&mut self.report.world);
            match self.beginning(&wish, Some(&record), &world) {
                Ok(next) => {
                    self.report.from = Some(next.record.from.clone());
                    self.report.to = Some(next.record.to.clone());
                    self.drive(operation, next).await;
                }
                Err(trouble) => {
                    self.report.trouble = Some(trouble);
                    self.report.finish(world);
                }
            }
        }
        true
    }

    fn beginning(
        &self,
        wish: &Wish,
        previous: Option<&Record>,
        world: &World,
    ) -> Result<Beginning, Trouble> {
        describe::incomplete(world)?;
        let mut first = beginning(wish, previous, self.rules, world, &self.asked.run_id).map_err(
            |refusal| {
                let class = match refusal {
                    Refusal::NothingToRevert(_) => Class::Journal,
                    Refusal::TooFew { .. } => Class::Budget,
                };
                Trouble::new(class, refusal.to_string())
            },
        )?;
        first.record = adopted(first.record, self.asked, world);
        Ok(first)
    }

    fn plan(&mut self, steps: &[Step], then: Option<&Wish>, world: World) {
        self.report.verdict = match steps {
            [] => Verdict::Unchanged,
            _ => Verdict::Planned,
        };
        if let Some(Step::Short(shortage)) = steps.last() {
            self.report.verdict = Verdict::Refused;
            self.report.trouble = Some(Trouble::new(Class::Budget, shortage.to_string()));
        }
        if let Some(Wish::To(pool)) = then {
            let remark =
                format!("what was interrupted is taken back; then a swap to {pool} begins");
            self.report.remarks.push(remark);
            self.report.verdict = Verdict::Planned;
        }
        self.report.steps = planned(steps, self.rules);
        self.report.finish(world);
    }

    /// One drive; the record, if another one may follow.
    async fn drive<F: Fleet>(&mut self, operation: &mut F, first: Beginning) -> Option<Record> {
        let Beginning { mut record, start } = first;
        let outcome = drive(operation, self.rules, self.terms, &mut record, start).await;
        let ending = outcome.ending;
        self.report.take(outcome, &record.parked);
        // What was acted on since is not in what was seen last.
        let world = if ending == Ending::Refused {
            std::mem::take(&mut self.report.world)
        } else {
            operation.look().await
        };
        self.report.finish(world);
        (ending == Ending::Reverted).then_some(record)
    }
}

impl std::fmt::Debug for Means<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Means")
            .field("journal", &self.journal)
            .finish_non_exhaustive()
    }
}

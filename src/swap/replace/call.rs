//! One call that replaces hosts, or looks how far that is.

use super::Record;
use super::drive::drive;
use super::forecast::forecast;
use super::plan::Decision;
use crate::swap::act::Terms;
use crate::swap::describe;
use crate::swap::fleet::Fleet;
use crate::swap::perform::Asked;
use crate::swap::plan::Step;
use crate::swap::report::{Action, Hosts, Report, Verdict, in_words, planned};
use crate::swap::setup::Replacement;
use crate::swap::trouble::{Class, Trouble};
use crate::swap::world::{Rules, World};

/// One call, whatever it acts on.
pub(in crate::swap) struct Call<'c> {
    pub asked: &'c Asked,
    pub rules: &'c Rules,
    pub terms: &'c Terms,
    pub replacement: &'c Replacement,
    /// What the journal says.
    pub previous: Option<Record>,
    pub report: &'c mut Report,
    pub confirm: &'c mut dyn FnMut(&str) -> bool,
}

/// Where a call goes on.
struct Beginning {
    record: Record,
    /// What the journal says if nothing is touched; `None` if something is under way.
    fresh: Option<Record>,
}

impl Call<'_> {
    /// Goes through with it; false if the user does not want to.
    pub(in crate::swap) async fn go<F: Fleet>(&mut self, operation: &mut F, world: World) -> bool {
        let previous = self.previous.clone().unwrap_or(Record {
            over: true,
            ..Record::default()
        });
        self.report.parked.clone_from(&previous.parked);
        if !previous.over {
            let error = previous.error.iter();
            let told = error.map(|error| format!("run {} was stopped: {error}", previous.run_id));
            self.report.remarks.extend(told);
        }
        if self.asked.action == Action::Status {
            self.status(&previous, world);
            return true;
        }
        let begun = self.beginning(previous, &world);
        let Beginning { mut record, fresh } = match begun {
            Ok(beginning) => beginning,
            Err(trouble) => {
                self.report.trouble = Some(trouble);
                self.report.finish(world);
                return true;
            }
        };
        let steps = forecast(self.rules, self.terms, self.replacement, &world, &record);
        let short = match steps.last() {
            Some(Step::Short(shortage)) => Some(shortage.to_string()),
            _ => None,
        };
        if self.asked.action == Action::Plan || short.is_some() && fresh.is_some() {
            self.report.hosts = Some(self.hosts(&record));
            self.report.steps = planned(&steps, self.rules);
            self.report.verdict = Verdict::Planned;
            if let Some(message) = short {
                self.report.verdict = Verdict::Refused;
                self.report.steps.pop();
                self.report.trouble = Some(Trouble::new(Class::Budget, message));
            }
            self.report.finish(world);
            return true;
        }
        if !steps.is_empty() && !(self.confirm)(&in_words(&steps, self.rules)) {
            return false;
        }
        let outcome = drive(
            operation,
            self.rules,
            self.terms,
            self.replacement,
            &mut record,
            fresh,
        )
        .await;
        self.report.take(outcome, &record.parked);
        self.report.hosts = Some(self.hosts(&record));
        // What was acted on since is not in what was seen last.
        let world = operation.look().await;
        self.report.finish(world);
        true
    }

    /// What the journal and the load balancers come to.
    fn status(&mut self, previous: &Record, world: World) {
        let out = self.rules.pools.iter().any(|pool| {
            let mut servers = world.of(pool);
            servers.any(|(slot, _)| previous.parked.contains(slot))
        });
        self.report.verdict = if previous.over && !out {
            Verdict::Settled
        } else {
            Verdict::Unsettled
        };
        if let Err(trouble) = describe::incomplete(&world) {
            self.report.verdict = Verdict::Unsettled;
            self.report.trouble = Some(trouble);
        }
        if !previous.over || !previous.suspect.is_empty() {
            self.report.hosts = Some(self.hosts(previous));
        }
        self.report.finish(world);
    }

    /// Goes on with what is under way, or begins with all hosts.
    fn beginning(&mut self, previous: Record, world: &World) -> Result<Beginning, Trouble> {
        let mut record = previous.clone();
        if self.asked.adopt {
            record.parked.extend(world.servers.keys().cloned());
        }
        self.tell_suspect(&record);
        let chosen = |host: &String| self.replacement.hosts.contains(host);
        if !record
            .batch
            .iter()
            .flat_map(|batch| &batch.hosts)
            .all(chosen)
        {
            record.batch = None;
        }
        if !previous.over && !self.asked.anew && self.has_more(&record, world) {
            let done: Vec<_> = record.done.iter().map(String::as_str).collect();
            if !done.is_empty() {
                let remark = format!(
                    "goes on with run {}, which has replaced {}; `--anew` begins with all hosts again",
                    record.run_id,
                    done.join(", ")
                );
                self.report.remarks.push(remark);
            }
            record.error = None;
            let fresh = None;
            return Ok(Beginning { record, fresh });
        }
        self.asked.run_id.clone_into(&mut record.run_id);
        record.over = false;
        record.done.clear();
        record.batch = None;
        record.error = None;
        let decision = self.decision(&record, world);
        if !decision.stranded().is_empty() {
            // Whatever comes of it, they are not left out.
            let fresh = None;
            return Ok(Beginning { record, fresh });
        }
        describe::incomplete(world)?;
        if decision.next_batch().is_empty() {
            let left: Vec<_> = decision.left_alone().into_iter().collect();
            let message = format!(
                "none of them is in service, for reasons that are not fleet's: {}; `--adopt` takes \
                 them for fleet's",
                left.join(", ")
            );
            return Err(Trouble::new(Class::Held, message));
        }
        Ok(Beginning {
            record,
            fresh: Some(previous),
        })
    }

    /// Whether something of what is under way is left among these hosts.
    fn has_more(&self, record: &Record, world: &World) -> bool {
        let decision = self.decision(record, world);
        record.batch.is_some() || !decision.next_batch().is_empty()
    }

    fn decision<'d>(&'d self, record: &'d Record, world: &'d World) -> Decision<'d> {
        Decision {
            rules: self.rules,
            replacement: self.replacement,
            world,
            record,
        }
    }

    /// Tells of hosts that stay out, as this call is not about them.
    fn tell_suspect(&mut self, record: &Record) {
        let chosen = &self.replacement.hosts;
        for host in record.suspect.iter().filter(|host| !chosen.contains(*host)) {
            let remark = format!(
                "{host} is left out of service: its playbook was begun, and nothing has proven it \
                 since"
            );
            self.report.remarks.push(remark);
        }
    }

    /// How far each host is.
    fn hosts(&self, record: &Record) -> Hosts {
        let mut hosts = Hosts::default();
        let batch = record.batch.as_ref();
        for host in &self.replacement.hosts {
            let under_way = batch.is_some_and(|batch| {
                batch.hosts.contains(host) && batch.phase == super::Phase::Proven
            });
            let list = if record.done.contains(host) {
                &mut hosts.done
            } else if record.suspect.contains(host) && record.error.is_some() {
                &mut hosts.failed
            } else if under_way || record.suspect.contains(host) {
                &mut hosts.unfinished
            } else {
                &mut hosts.untouched
            };
            list.push(host.clone());
        }
        hosts
    }
}

//! All hosts at once: opens connections, drives one conversation per host, collects what came of
//! them. A host's failure is that host's outcome and never ends the run.
//!
//! Deliberately absent: what a task means (`playbook`), how a host is reached (`transport`), how
//! results are shown (`report`).

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;

use crate::diagnostic::Diagnostic;
use crate::inventory::HostName;
use crate::journal::Journal;
use crate::playbook::{Globals, Playbook, Serial, Share, Shared, TagFilter};
use crate::protocol::{Begin, Claim, Declared, HandlerName, Mode};
use crate::report::{Batches, Command, CutShort, Gathering, HostReport, Keep, Progress, RunReport};
use crate::resource::AnyResource;
use crate::secret::Redactor;
use crate::transport::{Target, Transport};

mod answer;
mod confirm;
mod conversation;
mod counted;
mod course;
mod drive;
mod handlers;
mod host;
mod id;
mod interrupt;
mod judge;
mod lock;
mod ownership;
mod record;
mod results;
mod room;
mod stage;
mod target;

use conversation::Patience;
use course::Course;
use host::{Context, Listening, Others, Paused};
pub use id::new_run_id;
pub use interrupt::{Interrupt, Urgency};
pub use lock::who;
use lock::{Machines, Waiting};
use room::{Room, RunRoom};
use stage::{Assignment, Stage};

/// What to do, and where.
#[derive(Debug)]
pub struct Work<'w> {
    /// What all hosts have in common: variables, templates, contents.
    pub globals: &'w Globals<'w>,
    /// What to do on each host.
    pub job: Job<'w>,
    /// The hosts, in the order of the inventory.
    pub hosts: Vec<HostName>,
}

/// What to do on each host.
#[derive(Debug)]
pub enum Job<'w> {
    /// The plays of a playbook, each on its own hosts.
    Plays {
        /// The playbook.
        playbook: &'w Playbook,
        /// The hosts of each play.
        hosts: Vec<BTreeSet<HostName>>,
        /// Which tasks.
        tags: TagFilter,
    },
    /// One resource, as it is: nothing in it is rendered.
    Resource(Box<AnyResource>),
    /// Nothing but to ask the hosts what they are.
    Facts,
    /// Ask them also what is on them, for a comparison.
    Census(&'w Gathering),
}

/// How to do it.
#[derive(Clone, Debug)]
pub struct Options {
    /// The verb.
    pub command: Command,
    /// What the report calls the work.
    pub title: String,
    /// How many hosts are worked on at once.
    pub forks: usize,
    /// Make unified diffs.
    pub diff: bool,
    /// What the report is to keep.
    pub keep: Keep,
    /// How long a helper may say nothing, the time a task declares for itself aside.
    pub silence: Duration,
    /// How long a host may take for the whole run, beyond what its plan declares to take longer.
    pub host_timeout: Duration,
    /// Whose the declared things are, if a playbook is run.
    pub ownership: Option<Ownership>,
    /// How long to wait for another run that changes the same host.
    pub lock_timeout: Duration,
    /// Knows the secrets: what declares one is reported without its values.
    pub redactor: Redactor,
    /// Who to be on the hosts, as far as variables and plays do not say.
    pub login: Login,
    /// How an apply goes over its hosts, as far as the plays are not to say.
    pub rollout: Rollout,
}

/// How an apply goes over its hosts. What is said here is said for all plays.
#[derive(Clone, Debug, Default)]
pub struct Rollout {
    /// In batches of these sizes.
    pub serial: Option<Serial>,
    /// No further host is begun when so much of the selection has failed or was not reached.
    pub max_fail: Option<Share>,
    /// Nor when one host has.
    pub any_errors_fatal: bool,
    /// Nor after so many batches, and again after so many more.
    pub pause_after: Option<NonZeroU32>,
    /// Unless somebody who is told how far it is wants to go on.
    pub goes_on: Option<fn(&str) -> bool>,
    /// What `order: shuffle` goes by.
    pub seed: u64,
    /// Only these of the selected hosts: what an earlier run left.
    pub only: Option<BTreeSet<String>>,
}

impl Rollout {
    fn is_wanted(&self, host: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.contains(host))
    }
}

/// How a run deals with what its playbook made and no longer declares.
#[derive(Clone, Debug)]
pub struct Ownership {
    /// Names the playbook on every host, from whichever checkout it is run.
    pub playbook: String,
    /// All tasks take part: only then is anything missing from the declaration.
    pub complete: bool,
    /// It counts as a difference, which an apply removes.
    pub counted: bool,
}

/// Who to be on the hosts, as the command line has it.
#[derive(Clone, Debug, Default)]
pub struct Login {
    /// The user to log in as.
    pub user: Option<String>,
    /// The key to log in with.
    pub private_key: Option<PathBuf>,
    /// Become root.
    pub become_root: bool,
}

/// What is known of a host after some of its conversations.
struct HostSoFar {
    report: HostReport,
    declared: Declared,
    paused: Paused,
    patience: Patience,
    room: Room,
}

/// Hears of hosts that are done, each in a report of its own.
pub type Over<'o> = &'o mut dyn FnMut(RunReport);

/// Everything that is known about a run before the first host is contacted.
#[derive(Debug)]
pub struct Run<'w> {
    work: &'w Work<'w>,
    options: Options,
    stages: Vec<Stage<'w>>,
    /// Of all plays, by their names on the hosts.
    handlers: BTreeSet<HandlerName>,
    /// What tasks come to, for all hosts on which it is the same.
    shared: Shared,
    machines: Machines,
    /// What is left of what is kept of all hosts.
    room: RunRoom,
    id: String,
}

impl std::fmt::Debug for Stage<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let targets = self.assignments.iter().map(|assignment| &assignment.target);
        f.debug_list().entries(targets).finish()
    }
}

impl<'w> Run<'w> {
    /// Finds out how every host is reached.
    ///
    /// # Errors
    /// Everything wrong with connection variables, before any host is contacted.
    pub fn prepare(work: &'w Work<'w>, options: Options) -> Result<Self, Vec<Diagnostic>> {
        let stages = stage::stages(work, &options)?;
        let id = new_run_id();
        let handlers = match &work.job {
            Job::Plays { playbook, .. } => {
                let handlers = playbook.plays.iter().flat_map(|play| &play.handlers);
                handlers.map(|handler| handler.key.clone()).collect()
            }
            Job::Resource(_) | Job::Facts | Job::Census(_) => BTreeSet::new(),
        };
        Ok(Self {
            work,
            options,
            stages,
            handlers,
            shared: Shared::default(),
            machines: Machines::new(work.hosts.len()),
            room: RunRoom::default(),
            id,
        })
    }

    /// Names the run.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The plays of the playbook, each with the batches in which its hosts are begun.
    #[must_use]
    pub fn batches(&self) -> Vec<Batches> {
        stage::batches(self.work, &self.options)
    }

    /// The hosts of this run, in the order of the inventory.
    fn hosts(&self) -> impl Iterator<Item = &str> {
        let hosts = self.work.hosts.iter().map(HostName::as_str);
        hosts.filter(|host| self.options.rollout.is_wanted(host))
    }

    /// Contacts the hosts and does the work. `over` hears of each host once, as soon as nothing
    /// more will be done on it, with a report of that host alone. No host is begun before the
    /// `journal` says so.
    pub async fn perform(
        self,
        transport: &Transport,
        progress: &dyn Progress,
        mut over: Option<Over<'_>>,
        journal: Option<&mut Journal>,
    ) -> RunReport {
        let started_at = jiff::Timestamp::now();
        let begin = Instant::now();
        progress.begin(self.hosts().count());
        let mut tell = |host: &HostReport| {
            if let Some(over) = over.as_mut() {
                over(self.report(started_at, begin.elapsed(), vec![host.clone()], None));
            }
        };
        let mut course = Course::new(
            self.options.command,
            Patience::new(self.options.host_timeout),
            self.work.hosts.len(),
            &self.stages,
            journal,
            progress,
            &mut tell,
        );
        let mut interrupt = Interrupt::listen();
        for (done, stage) in self.stages.iter().enumerate() {
            if self.pauses_after(done) {
                progress.end();
                if let Some(why) = self.pause(done, &course, &mut interrupt).await {
                    course.stop(why);
                }
                progress.begin(self.hosts().count());
            }
            if !course.goes_on() {
                break;
            }
            self.stage(stage, transport, progress, &mut course, &mut interrupt)
                .await;
        }
        let (hosts, cut_short) = course.end(self.hosts());
        self.report(started_at, begin.elapsed(), hosts, cut_short)
    }

    fn pauses_after(&self, batches: usize) -> bool {
        let every = self.options.rollout.pause_after;
        let every = every.map(|every| usize::try_from(every.get()).unwrap_or(usize::MAX));
        // A plan knows no batches.
        let applies = self.options.command == Command::Apply;
        every.is_some_and(|every| applies && batches > 0 && batches.is_multiple_of(every))
    }

    /// Asks whether to go on, if there is somebody to ask; otherwise says why not.
    async fn pause(
        &self,
        batches: usize,
        course: &Course<'_>,
        interrupt: &mut Interrupt,
    ) -> Option<CutShort> {
        let why = CutShort::Paused { batches };
        let Some(goes_on) = self.options.rollout.goes_on.filter(|_| course.goes_on()) else {
            return Some(why);
        };
        let so_far = course.so_far(&why);
        match interrupt.unless(move || goes_on(&so_far)).await {
            Some(true) => None,
            Some(false) => Some(why),
            None => Some(CutShort::Interrupted),
        }
    }

    fn report(
        &self,
        started_at: jiff::Timestamp,
        duration: Duration,
        hosts: Vec<HostReport>,
        cut_short: Option<CutShort>,
    ) -> RunReport {
        RunReport {
            run_id: self.id.clone(),
            command: self.options.command,
            playbook: self.options.title.clone(),
            started_at,
            duration,
            hosts,
            cut_short,
            batches: match self.options.command {
                Command::Plan => self.batches(),
                _ => Vec::new(),
            },
            waivers: Vec::new(),
        }
    }

    /// Drives all hosts of one stage, unless the run is cut short.
    async fn stage<'s>(
        &'s self,
        stage: &'s Stage<'w>,
        transport: &Transport,
        progress: &dyn Progress,
        course: &mut Course<'s>,
        interrupt: &mut Interrupt,
    ) {
        let (stop, urgency) = watch::channel(Urgency::None);
        let waiting = Waiting::default();
        let mut to_come = stage.assignments.iter();
        let mut running = FuturesUnordered::new();
        loop {
            // A host that another run keeps busy takes no place from those that can be worked on.
            // Not without end: it is a connection all the same.
            let forks = self.options.forks + waiting.count().min(self.options.forks);
            let free = if course.goes_on() {
                forks.saturating_sub(running.len())
            } else {
                0
            };
            let next = to_come
                .by_ref()
                .filter(|next| course.may_begin(next.names.name().as_str()));
            let next: Vec<_> = next.take(free).collect();
            let names: Vec<_> = next.iter().map(|next| next.names.name().as_str()).collect();
            if course.begin(&names) {
                for next in next {
                    let so_far = course.take(next.names.name().as_str());
                    let listening = Listening {
                        progress,
                        others: Others {
                            waiting: &waiting,
                            machines: &self.machines,
                            room: &self.room,
                        },
                        urgency: urgency.clone(),
                    };
                    running.push(self.one(next, so_far, transport, listening));
                }
            }
            course.write();
            if !course.goes_on() {
                // What was not let in on its host yet is not to begin there.
                stop.send_if_modified(|urgency| {
                    let sooner = *urgency < Urgency::Hosts;
                    *urgency = (*urgency).max(Urgency::Hosts);
                    sooner
                });
            }
            if running.is_empty() {
                return;
            }
            tokio::select! {
                Some(so_far) = running.next() => course.conversed(so_far, stage.limits),
                asked = interrupt.wait_as_killed() => {
                    course.stop(CutShort::Interrupted);
                    // Whoever only looks leaves nothing half done.
                    let changes = self.options.command.changes();
                    let soon = if changes { asked } else { Urgency::Now };
                    if soon == Urgency::Tasks {
                        progress.note(
                            "interrupted: tasks that run are finished, and nothing else is begun; \
                             once more, and fleet stops at once",
                        );
                    }
                    stop.send_replace(soon);
                }
                () = waiting.more() => {}
            }
        }
    }

    async fn one(
        &self,
        assignment: &Assignment<'w>,
        so_far: HostSoFar,
        transport: &Transport,
        listening: Listening<'_>,
    ) -> HostSoFar {
        let ownership = self.options.ownership.as_ref();
        let context = Context {
            globals: self.work.globals,
            shared: &self.shared,
            names: &assignment.names,
            options: &self.options,
            begin: Begin {
                mode: if self.options.command.changes() {
                    Mode::Apply
                } else {
                    Mode::Check
                },
                diff: self.options.diff,
                run_id: self.id.clone(),
                claim: self.claim(),
                // One machine may be in the inventory under several names, each declared apart.
                playbook: ownership
                    .map(|owned| format!("{} on {}", owned.playbook, assignment.names.name())),
            },
            handlers: assignment.last.then_some(&self.handlers),
            judges: assignment.last && ownership.is_some_and(|owned| owned.complete),
        };
        let job = match &self.work.job {
            Job::Plays { tags, .. } => host::Job::Plays(&assignment.plays, tags),
            Job::Resource(resource) => host::Job::Resource(resource),
            Job::Facts => host::Job::Facts,
            Job::Census(gathering) => host::Job::Census(gathering),
        };
        host::converse(
            &context,
            &assignment.target,
            job,
            so_far,
            transport,
            listening,
        )
        .await
    }

    /// `exec` is for looking at a host too, above all at one that another run keeps busy.
    fn claim(&self) -> Option<Claim> {
        let wait = self.options.lock_timeout.as_millis();
        (self.options.command == Command::Apply).then(|| Claim {
            who: lock::who(),
            wait_ms: u64::try_from(wait).unwrap_or(u64::MAX),
        })
    }
}

/// Finds out how hosts are reached, outside of any play.
///
/// # Errors
/// Everything wrong with their connection variables.
pub fn targets(
    globals: &Globals<'_>,
    hosts: &[HostName],
    login: &Login,
) -> Result<Vec<Target>, Vec<Diagnostic>> {
    let mut errors = Vec::new();
    let mut targets = Vec::new();
    for host in hosts {
        let found = globals.lookup(&globals.host(host), None, |variable| {
            target::target(host, None, login, variable)
        });
        match found {
            Ok(target) => targets.push(target),
            Err(found) => errors.extend(found),
        }
    }
    if errors.is_empty() {
        Ok(targets)
    } else {
        Err(errors)
    }
}

//! All hosts at once: opens connections, drives one conversation per host, collects what came of
//! them. A host's failure is that host's outcome and never ends the run.
//!
//! Deliberately absent: what a task means (`playbook`), how a host is reached (`transport`), how
//! results are shown (`report`).

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;

use crate::diagnostic::Diagnostic;
use crate::inventory::HostName;
use crate::playbook::{Globals, HostNames, Play, Playbook, TagFilter};
use crate::protocol::{Begin, Claim, Declared, HandlerName, Mode};
use crate::report::{Command, Gathering, HostReport, HostStatus, Keep, Progress, RunReport};
use crate::resource::AnyResource;
use crate::secret::Redactor;
use crate::transport::{Target, Transport};

mod answer;
mod confirm;
mod conversation;
mod counted;
mod drive;
mod handlers;
mod host;
mod interrupt;
mod judge;
mod lock;
mod ownership;
mod record;
mod results;
mod target;

use host::{Context, Listening, Paused};
use interrupt::Interrupt;
use lock::Waiting;

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
    /// Whose the declared things are, if a playbook is run.
    pub ownership: Option<Ownership>,
    /// How long to wait for another run that changes the same host.
    pub lock_timeout: Duration,
    /// Knows the secrets: what declares one is reported without its values.
    pub redactor: Redactor,
    /// Who to be on the hosts, as far as variables and plays do not say.
    pub login: Login,
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

/// One host in one stage: its plays and how to reach it.
struct Assignment<'w> {
    names: HostNames,
    target: Target,
    plays: Numbered<'w>,
    /// No later conversation of the run is with the same user of the host.
    last: bool,
}

/// What is known of a host after some of its conversations.
struct HostSoFar {
    report: HostReport,
    declared: Declared,
    paused: Paused,
}

/// Hears of hosts that are done, each in a report of its own.
pub type Over<'o> = &'o mut dyn FnMut(RunReport);

/// Plays with their place in the playbook.
type Numbered<'w> = Vec<(usize, &'w Play)>;

/// Everything that is known about a run before the first host is contacted.
#[derive(Debug)]
pub struct Run<'w> {
    work: &'w Work<'w>,
    options: Options,
    stages: Vec<Vec<Assignment<'w>>>,
    /// Of all plays, by their names on the hosts.
    handlers: BTreeSet<HandlerName>,
    id: String,
}

impl std::fmt::Debug for Assignment<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Assignment")
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}

impl<'w> Run<'w> {
    /// Finds out how every host is reached.
    ///
    /// # Errors
    /// Everything wrong with connection variables, before any host is contacted.
    pub fn prepare(work: &'w Work<'w>, options: Options) -> Result<Self, Vec<Diagnostic>> {
        let mut errors = Vec::new();
        let mut stages = Vec::new();
        for plays in stages_of(work, options.command) {
            // A host has one conversation at a time: its next one is part of the next stage.
            let mut nth_stages: Vec<Vec<_>> = vec![Vec::new()];
            for host in &work.hosts {
                let found = conversations(work, host, &plays);
                for (nth, (become_root, plays)) in found.into_iter().enumerate() {
                    if nth == nth_stages.len() {
                        nth_stages.push(Vec::new());
                    }
                    let names = work.globals.host(host);
                    let first = plays.first().map(|(_, play)| *play);
                    let found = work.globals.lookup(&names, first, |variable| {
                        target::target(host, become_root, &options.login, variable)
                    });
                    match found {
                        Ok(target) => nth_stages[nth].push(Assignment {
                            names,
                            target,
                            plays,
                            last: true,
                        }),
                        Err(found) => errors.extend(found),
                    }
                }
            }
            stages.extend(nth_stages);
        }
        mark_last(&mut stages);
        if !errors.is_empty() {
            return Err(errors);
        }
        let id = format!(
            "{}-{:04x}",
            jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ"),
            fastrand::u16(..)
        );
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
            id,
        })
    }

    /// Contacts the hosts and does the work. `over` hears of each host once, as soon as nothing
    /// more will be done on it, with a report of that host alone.
    pub async fn perform(
        self,
        transport: &Transport,
        progress: &dyn Progress,
        mut over: Option<Over<'_>>,
    ) -> RunReport {
        let started_at = jiff::Timestamp::now();
        let begin = Instant::now();
        progress.begin(self.work.hosts.len());
        let mut reports = BTreeMap::new();
        let mut to_come = self.conversations_to_come();
        let mut host_over = |host: &HostReport| {
            if let Some(over) = over.as_mut()
                && let Some(count) = to_come.get_mut(host.host.as_str())
            {
                *count -= 1;
                if *count == 0 {
                    over(self.report(started_at, begin.elapsed(), vec![host.clone()], false));
                }
            }
        };
        let mut interrupt = Interrupt::listen();
        let mut interrupted = false;
        for stage in &self.stages {
            interrupted = self
                .stage(
                    stage,
                    transport,
                    progress,
                    &mut reports,
                    &mut interrupt,
                    &mut host_over,
                )
                .await;
            if interrupted {
                break;
            }
        }
        let hosts = self.work.hosts.iter();
        let hosts = hosts
            .filter_map(|host| reports.remove(host.as_str()))
            .map(|so_far| so_far.report);
        self.report(started_at, begin.elapsed(), hosts.collect(), interrupted)
    }

    /// How many conversations each host will have.
    fn conversations_to_come(&self) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        for assignment in self.stages.iter().flatten() {
            *counts.entry(assignment.names.name().as_str()).or_default() += 1;
        }
        counts
    }

    fn report(
        &self,
        started_at: jiff::Timestamp,
        duration: Duration,
        hosts: Vec<HostReport>,
        interrupted: bool,
    ) -> RunReport {
        RunReport {
            run_id: self.id.clone(),
            command: self.options.command,
            playbook: self.options.title.clone(),
            started_at,
            duration,
            hosts,
            interrupted,
            waivers: Vec::new(),
        }
    }

    /// Drives all hosts of one stage; true if the user stopped it.
    async fn stage(
        &self,
        stage: &[Assignment<'w>],
        transport: &Transport,
        progress: &dyn Progress,
        reports: &mut BTreeMap<String, HostSoFar>,
        interrupt: &mut Interrupt,
        over: &mut dyn FnMut(&HostReport),
    ) -> bool {
        let (stop, stopped) = watch::channel(false);
        let mut to_come = stage.iter();
        let waiting = Waiting::default();
        let mut running = FuturesUnordered::new();
        loop {
            // A host that another run keeps busy takes no place from those that can be worked on.
            // Not without end: it is a connection all the same.
            let forks = self.options.forks + waiting.count().min(self.options.forks);
            while !*stopped.borrow() && running.len() < forks {
                let Some(next) = to_come.next() else { break };
                let host = next.names.name().as_str();
                let so_far = reports.remove(host).unwrap_or_else(|| HostSoFar {
                    report: HostReport::new(host),
                    declared: Declared::default(),
                    paused: Paused::default(),
                });
                // A host that failed in an earlier play takes no part in later ones.
                if matches!(
                    so_far.report.status(),
                    HostStatus::Failed | HostStatus::Unreachable
                ) {
                    over(&so_far.report);
                    reports.insert(host.to_owned(), so_far);
                    continue;
                }
                let listening = Listening {
                    progress,
                    waiting: &waiting,
                    stopped: stopped.clone(),
                };
                running.push(self.one(next, so_far, transport, listening));
            }
            if running.is_empty() {
                return *stopped.borrow();
            }
            tokio::select! {
                Some(so_far) = running.next() => {
                    let report = &so_far.report;
                    progress.host_finished(&report.host, report.status());
                    over(report);
                    reports.insert(report.host.clone(), so_far);
                }
                // Every host that is being worked on ends at once, and says how far it got.
                () = interrupt.wait() => { stop.send_replace(true); }
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

fn mark_last(stages: &mut [Vec<Assignment<'_>>]) {
    let mut later = HashSet::new();
    for assignment in stages.iter_mut().rev().flatten() {
        let user = assignment.target.become_.as_ref().map(|to| to.user.clone());
        assignment.last = later.insert((assignment.target.name.clone(), user));
    }
}

/// The plays that are worked on together. What only looks needs one conversation per host;
/// what changes finishes a play on all hosts before the next one begins, as in Ansible.
fn stages_of<'w>(work: &'w Work<'w>, command: Command) -> Vec<Numbered<'w>> {
    let Job::Plays { playbook, .. } = &work.job else {
        return vec![Vec::new()];
    };
    let plays = playbook.plays.iter().enumerate();
    if command.changes() {
        plays.map(|play| vec![play]).collect()
    } else {
        vec![plays.collect()]
    }
}

/// The conversations one host needs for these plays: one for each way of becoming root.
fn conversations<'w>(
    work: &Work<'_>,
    host: &HostName,
    plays: &[(usize, &'w Play)],
) -> Vec<(Option<bool>, Numbered<'w>)> {
    let Job::Plays { hosts, .. } = &work.job else {
        return vec![(None, Vec::new())];
    };
    let mut found: Vec<(Option<bool>, Numbered<'_>)> = Vec::new();
    for &(at, play) in plays {
        if !hosts.get(at).is_some_and(|hosts| hosts.contains(host)) {
            continue;
        }
        match found.last_mut() {
            Some((become_root, plays)) if *become_root == play.become_root => {
                plays.push((at, play));
            }
            _ => found.push((play.become_root, vec![(at, play)])),
        }
    }
    found
}

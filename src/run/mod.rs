//! All hosts at once: opens connections, drives one conversation per host, collects what came of
//! them. A host's failure is that host's outcome and never ends the run.
//!
//! Deliberately absent: what a task means (`playbook`), how a host is reached (`transport`), how
//! results are shown (`report`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;

use crate::diagnostic::Diagnostic;
use crate::inventory::HostName;
use crate::playbook::{Globals, HostNames, Play, Playbook, TagFilter};
use crate::protocol::{Begin, Mode};
use crate::report::{Command, HostReport, HostStatus, Keep, Progress, RunReport};
use crate::resource::AnyResource;
use crate::transport::{Target, Transport};

mod conversation;
mod drive;
mod handlers;
mod host;
mod interrupt;
mod judge;
mod record;
mod results;
mod target;

use host::Context;
use interrupt::Interrupt;

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
    /// Who to be on the hosts, as far as variables and plays do not say.
    pub login: Login,
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
}

/// Plays with their place in the playbook.
type Numbered<'w> = Vec<(usize, &'w Play)>;

/// Everything that is known about a run before the first host is contacted.
#[derive(Debug)]
pub struct Run<'w> {
    work: &'w Work<'w>,
    options: Options,
    stages: Vec<Vec<Assignment<'w>>>,
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
                        }),
                        Err(found) => errors.extend(found),
                    }
                }
            }
            stages.extend(nth_stages);
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let id = format!(
            "{}-{:04x}",
            jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ"),
            fastrand::u16(..)
        );
        Ok(Self {
            work,
            options,
            stages,
            id,
        })
    }

    /// Contacts the hosts and does the work.
    pub async fn perform(self, transport: &Transport, progress: &dyn Progress) -> RunReport {
        let started_at = jiff::Timestamp::now();
        let begin = Instant::now();
        progress.begin(self.work.hosts.len());
        let mut reports = BTreeMap::new();
        let mut interrupt = Interrupt::listen();
        let mut interrupted = false;
        for stage in &self.stages {
            interrupted = self
                .stage(stage, transport, progress, &mut reports, &mut interrupt)
                .await;
            if interrupted {
                break;
            }
        }
        let hosts = self.work.hosts.iter();
        RunReport {
            run_id: self.id,
            command: self.options.command,
            playbook: self.options.title,
            started_at,
            duration: begin.elapsed(),
            hosts: hosts
                .filter_map(|host| reports.remove(host.as_str()))
                .collect(),
            interrupted,
        }
    }

    /// Drives all hosts of one stage; true if the user stopped it.
    async fn stage(
        &self,
        stage: &[Assignment<'w>],
        transport: &Transport,
        progress: &dyn Progress,
        reports: &mut BTreeMap<String, HostReport>,
        interrupt: &mut Interrupt,
    ) -> bool {
        let (stop, stopped) = watch::channel(false);
        let mut waiting = stage.iter();
        let mut running = FuturesUnordered::new();
        loop {
            while !*stopped.borrow() && running.len() < self.options.forks {
                let Some(next) = waiting.next() else { break };
                let host = next.names.name().as_str();
                let report = reports
                    .remove(host)
                    .unwrap_or_else(|| HostReport::new(host));
                // A host that failed in an earlier play takes no part in later ones.
                if matches!(
                    report.status(),
                    HostStatus::Failed | HostStatus::Unreachable
                ) {
                    reports.insert(host.to_owned(), report);
                    continue;
                }
                running.push(self.one(next, report, transport, progress, stopped.clone()));
            }
            if running.is_empty() {
                return *stopped.borrow();
            }
            tokio::select! {
                Some(report) = running.next() => {
                    progress.host_finished(&report.host, report.status());
                    reports.insert(report.host.clone(), report);
                }
                // Every host that is being worked on ends at once, and says how far it got.
                () = interrupt.wait() => { stop.send_replace(true); }
            }
        }
    }

    async fn one(
        &self,
        assignment: &Assignment<'w>,
        report: HostReport,
        transport: &Transport,
        progress: &dyn Progress,
        stopped: watch::Receiver<bool>,
    ) -> HostReport {
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
            },
        };
        let job = match &self.work.job {
            Job::Plays { tags, .. } => host::Job::Plays(&assignment.plays, tags),
            Job::Resource(resource) => host::Job::Resource(resource),
            Job::Facts => host::Job::Facts,
        };
        host::converse(
            &context,
            &assignment.target,
            job,
            report,
            transport,
            progress,
            stopped,
        )
        .await
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

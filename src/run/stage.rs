//! Which hosts are worked on together, and in which order: plays, their batches, and the
//! conversations these need.

use std::collections::{BTreeSet, HashSet};

use crate::diagnostic::Diagnostic;
use crate::inventory::HostName;
use crate::playbook::{HostNames, Play, Rollout, Share};
use crate::report::Batches;
use crate::transport::Target;

use super::{Job, Options, Work, target};

/// Plays with their place in the playbook.
pub(super) type Numbered<'w> = Vec<(usize, &'w Play)>;

/// Hosts that are worked on together: all of them are done before the next stage begins.
pub(super) struct Stage<'w> {
    pub assignments: Vec<Assignment<'w>>,
    pub limits: Limits,
}

/// How much may go wrong before no further host is begun.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limits {
    /// So much of the whole selection.
    pub max_fail: Option<Share>,
    /// Or a single host.
    pub any_errors_fatal: bool,
}

/// One host in one stage: its plays and how to reach it.
pub(super) struct Assignment<'w> {
    pub names: HostNames,
    pub target: Target,
    pub plays: Numbered<'w>,
    /// No later conversation of the run is with the same user of the host.
    pub last: bool,
}

/// Plays over some hosts, before it is known how these are reached.
struct Group<'w> {
    plays: Numbered<'w>,
    hosts: Vec<HostName>,
    limits: Limits,
}

/// All stages, in their order.
///
/// # Errors
/// Everything wrong with connection variables.
pub(super) fn stages<'w>(
    work: &'w Work<'w>,
    options: &Options,
) -> Result<Vec<Stage<'w>>, Vec<Diagnostic>> {
    let mut errors = Vec::new();
    let mut stages = Vec::new();
    for group in groups(work, options) {
        // A host has one conversation at a time: its next one is part of the next stage.
        let mut nth_stages: Vec<Vec<_>> = vec![Vec::new()];
        for host in &group.hosts {
            let found = conversations(work, host, &group.plays);
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
        stages.extend(nth_stages.into_iter().map(|assignments| Stage {
            assignments,
            limits: group.limits,
        }));
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    stages.retain(|stage| !stage.assignments.is_empty());
    mark_last(&mut stages);
    Ok(stages)
}

/// The plays of an apply with their batches, whichever hosts this run leaves out.
pub(super) fn batches(work: &Work<'_>, options: &Options) -> Vec<Batches> {
    let Job::Plays { playbook, .. } = &work.job else {
        return Vec::new();
    };
    let plays = playbook.plays.iter().enumerate();
    let batches = plays.map(|(at, play)| {
        let batches = batches_of(work, options, at, play).into_iter();
        let names = |hosts: Vec<HostName>| hosts.iter().map(HostName::to_string).collect();
        Batches {
            play: play.name.clone(),
            batches: batches.map(names).collect(),
        }
    });
    batches.collect()
}

/// What only looks needs one conversation per host; what changes finishes a play, or a batch of
/// it, on all hosts before the next one begins, as in Ansible.
fn groups<'w>(work: &'w Work<'w>, options: &Options) -> Vec<Group<'w>> {
    let (Job::Plays { playbook, .. }, true) = (&work.job, options.command.changes()) else {
        let plays = match &work.job {
            Job::Plays { playbook, .. } => playbook.plays.iter().enumerate().collect(),
            Job::Resource(_) | Job::Facts | Job::Census(_) => Vec::new(),
        };
        let hosts = work.hosts.iter();
        let wanted = |host: &&HostName| options.rollout.is_wanted(host.as_str());
        return vec![Group {
            plays,
            hosts: hosts.filter(wanted).cloned().collect(),
            limits: Limits::default(),
        }];
    };
    let mut groups = Vec::new();
    for (at, play) in playbook.plays.iter().enumerate() {
        let over = &options.rollout;
        let limits = Limits {
            max_fail: over.max_fail.or(play.rollout.max_fail),
            any_errors_fatal: over.any_errors_fatal || play.rollout.any_errors_fatal,
        };
        for mut hosts in batches_of(work, options, at, play) {
            hosts.retain(|host| over.is_wanted(host.as_str()));
            groups.push(Group {
                plays: vec![(at, play)],
                hosts,
                limits,
            });
        }
    }
    groups
}

/// The batches are those of the whole play, also when a run goes on with what is left of them.
fn batches_of(work: &Work<'_>, options: &Options, at: usize, play: &Play) -> Vec<Vec<HostName>> {
    let Job::Plays { hosts, .. } = &work.job else {
        return Vec::new();
    };
    let Some(members) = hosts.get(at) else {
        return Vec::new();
    };
    let all = work.hosts.iter().filter(|host| members.contains(*host));
    let mut hosts: Vec<_> = all.cloned().collect();
    let Rollout { serial, order, .. } = &play.rollout;
    order.arrange(&mut hosts, options.rollout.seed);
    match options.rollout.serial.as_ref().or(serial.as_ref()) {
        Some(serial) => serial.batches(hosts),
        None => vec![hosts],
    }
}

fn mark_last(stages: &mut [Stage<'_>]) {
    let mut later = HashSet::new();
    let assignments = stages
        .iter_mut()
        .rev()
        .flat_map(|stage| &mut stage.assignments);
    for assignment in assignments {
        let user = assignment.target.become_.as_ref().map(|to| to.user.clone());
        assignment.last = later.insert((assignment.target.name.clone(), user));
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
        let is_of = |hosts: &BTreeSet<HostName>| hosts.contains(host);
        if !hosts.get(at).is_some_and(is_of) {
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

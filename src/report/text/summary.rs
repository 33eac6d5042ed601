//! The last line: what it all comes to.

use super::counted;
use crate::protocol::{Change, Status};
use crate::report::{Command, CutShort, HostStatus, ResourceReport, RunReport};

/// The one line that stands for the whole run.
pub(super) fn line(report: &RunReport) -> String {
    let mut parts = vec![match report.command {
        Command::Check => check(report),
        Command::Plan => plan(report),
        Command::Apply => apply(report),
        Command::Exec | Command::Facts => answered(report),
    }];
    let found = report.hosts.iter().flat_map(|host| &host.resources);
    let would_run = found.filter(|resource| resource.would_run).count();
    if report.command == Command::Plan && would_run > 0 {
        parts.push(format!("{} would run", counted(would_run, "task")));
    }
    let (reported, hosts) = tally(report, |resource| {
        let drift = resource.open_drift();
        drift.filter(|it| it.drift.is_only_reported()).count()
    });
    if reported > 0 && report.command != Command::Check {
        let hosts = counted(hosts, "host");
        parts.push(format!(
            "{} on {hosts} that fleet does not repair",
            counted(reported, "finding")
        ));
    }
    let unknown: usize = report.hosts.iter().map(|host| host.counts.unknown).sum();
    if unknown > 0 {
        let hosts = report
            .hosts
            .iter()
            .filter(|host| host.counts.unknown > 0)
            .count();
        parts.push(format!(
            "{unknown} could not be told on {}",
            counted(hosts, "host")
        ));
    }
    for (status, word) in [
        (HostStatus::Failed, "failed"),
        (HostStatus::Unreachable, "unreachable"),
        (HostStatus::Untouched, "untouched"),
    ] {
        match report.count(status) {
            0 => {}
            count => parts.push(format!("{} {word}", counted(count, "host"))),
        }
    }
    match report.cut_short {
        Some(CutShort::Interrupted) => parts.push("interrupted before the end".to_owned()),
        Some(_) => parts.push("stopped before the end".to_owned()),
        None => {}
    }
    format!("{}.", parts.join("; "))
}

fn check(report: &RunReport) -> String {
    let (differences, hosts) = tally(report, |resource| match resource.drift[..] {
        [] => 1,
        _ => resource.open_drift().count(),
    });
    let said = match differences {
        0 if matching(report) == 0 => "No drift found".to_owned(),
        0 => format!("No drift{}", those_that_match(report)),
        _ => format!(
            "Drift: {} on {}",
            counted(differences, "difference"),
            of_all(hosts, report)
        ),
    };
    let (waived, hosts) = tally(report, |resource| {
        resource.drift.len() - resource.open_drift().count()
    });
    let hidden: usize = report.hosts.iter().map(|host| host.counts.hidden).sum();
    let mut parts = vec![said];
    if waived > 0 {
        parts.push(format!("{waived} waived on {}", counted(hosts, "host")));
    }
    if hidden > 0 {
        parts.push(format!(
            "{} not shown, as asked",
            counted(hidden, "resource")
        ));
    }
    parts.join("; ")
}

fn plan(report: &RunReport) -> String {
    let count = |wanted: &'static [Change]| {
        let count = |found: &ResourceReport| match &found.drift[..] {
            // A difference without particulars is a change in place.
            [] => usize::from(wanted.contains(&Change::Update)),
            differences => differences
                .iter()
                .filter(|difference| wanted.contains(&difference.drift.change))
                .count(),
        };
        tally(report, count).0
    };
    let (_, hosts) = tally(report, |found| usize::from(found.would_change()));
    if hosts == 0 {
        return nothing_to_change(report);
    }
    // A replacement is the end of one thing and the beginning of another.
    let add = count(&[Change::Create, Change::Replace]);
    let change = count(&[Change::Update]);
    let destroy = count(&[Change::Remove, Change::Replace]);
    let hosts = of_all(hosts, report);
    format!("Plan: {add} to add, {change} to change, {destroy} to destroy on {hosts}")
}

fn apply(report: &RunReport) -> String {
    let changed: usize = report.hosts.iter().map(|host| host.counts.changed).sum();
    let hosts = report
        .hosts
        .iter()
        .filter(|host| host.counts.changed > 0)
        .count();
    match changed {
        0 => nothing_to_change(report),
        _ => format!("Applied: {changed} changed on {}", of_all(hosts, report)),
    }
}

fn answered(report: &RunReport) -> String {
    let silent = report.count(HostStatus::Unreachable) + report.count(HostStatus::Untouched);
    format!("{} answered", of_all(report.hosts.len() - silent, report))
}

fn nothing_to_change(report: &RunReport) -> String {
    match matching(report) {
        0 => "Nothing was changed".to_owned(),
        _ => format!("Nothing to change{}", those_that_match(report)),
    }
}

/// How many hosts are as declared.
fn matching(report: &RunReport) -> usize {
    report.count(HostStatus::InSync) + report.count(HostStatus::Changed)
}

/// `. 40 hosts match` if they all do, else ` on 39 of 40 hosts`.
fn those_that_match(report: &RunReport) -> String {
    match (matching(report), report.hosts.len()) {
        (1, 1) => ". 1 host matches".to_owned(),
        (count, all) if count == all => format!(". {all} hosts match"),
        (count, _) => format!(" on {}", of_all(count, report)),
    }
}

/// `2 of 40 hosts`.
fn of_all(count: usize, report: &RunReport) -> String {
    format!("{count} of {}", counted(report.hosts.len(), "host"))
}

/// Sums `count` over all resources that drifted; also says on how many hosts.
fn tally(report: &RunReport, count: impl Fn(&ResourceReport) -> usize) -> (usize, usize) {
    let mut sum = 0;
    let mut hosts = 0;
    for host in &report.hosts {
        let before = sum;
        let found = host
            .resources
            .iter()
            .filter(|resource| resource.status == Status::Drift);
        sum += found.map(&count).sum::<usize>();
        hosts += usize::from(sum > before);
    }
    (sum, hosts)
}

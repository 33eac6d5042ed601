//! The last line: what it all comes to.
//!
//! Its one unit, from plan to apply to check, is the resource: a task, or one `item` of it. Nothing
//! is claimed of a host where something failed, could not be told or was not looked at.

use super::counted;
use crate::protocol::{Change, Status};
use crate::report::{Command, Counts, CutShort, HostReport, HostStatus, ResourceReport, RunReport};

/// One of the counts of a host.
type Counted = fn(&Counts) -> usize;

/// The one line that stands for the whole run.
pub(super) fn line(report: &RunReport) -> String {
    let claim = match report.command {
        Command::Check => check(report),
        Command::Plan => plan(report),
        Command::Apply => apply(report),
        Command::Exec | Command::Facts => Some(answered(report)),
    };
    let mut parts: Vec<_> = claim.into_iter().collect();
    let found = report.hosts.iter().flat_map(|host| &host.resources);
    let would_run = found.filter(|resource| resource.would_run).count();
    if report.command == Command::Plan && would_run > 0 {
        parts.push(format!("{} would run", resources(would_run)));
    }
    let (refused, hosts) = tally(report, ResourceReport::is_refused);
    if refused > 0 {
        parts.push(format!(
            "{} on {} that apply refuses to change",
            resources(refused),
            counted(hosts, "host")
        ));
    }
    let (reported, hosts) = tally(report, |resource| {
        resource.open_drift().any(|it| it.drift.is_only_reported())
    });
    if reported > 0 && report.command != Command::Check {
        parts.push(format!(
            "{} with findings on {} that fleet does not repair",
            resources(reported),
            counted(hosts, "host")
        ));
    }
    if report.command == Command::Check {
        parts.extend(left_out(report));
    }
    for (count, words) in [
        ((|counts| counts.unknown) as Counted, "could not be told"),
        (|counts| counts.ignored, "failed and ignored"),
    ] {
        let (sum, hosts) = total(report, count);
        if sum > 0 {
            let hosts = counted(hosts, "host");
            parts.push(format!("{} {words} on {hosts}", resources(sum)));
        }
    }
    let idle = report
        .hosts
        .iter()
        .filter(|host| is_idle(host, report))
        .count();
    if idle > 0 && !matches!(report.command, Command::Exec | Command::Facts) {
        parts.push(format!(
            "nothing was looked at on {}",
            counted(idle, "host")
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
    let line = parts.join("; ");
    let mut letters = line.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    format!("{}{}.", first.collect::<String>(), letters.as_str())
}

fn check(report: &RunReport) -> Option<String> {
    let open = |found: &ResourceReport| found.drift.is_empty() || found.open_drift().count() > 0;
    let (drifted, hosts) = tally(report, open);
    let told = || report.hosts.iter().any(|host| host.counts.looked_at() > 0);
    match drifted {
        0 if matching(report) > 0 => Some(format!("No drift{}", those_that_match(report))),
        0 => told().then(|| "No drift found".to_owned()),
        _ => {
            let hosts = of_all(hosts, report);
            Some(format!("Drift: {} on {hosts}", resources(drifted)))
        }
    }
}

/// What a check found and does not count as drift.
fn left_out(report: &RunReport) -> Vec<String> {
    let (waived, hosts) = total(report, |counts| counts.waived);
    let (hidden, _) = total(report, |counts| counts.hidden);
    let mut parts = Vec::new();
    if waived > 0 {
        parts.push(format!(
            "{} waived on {}",
            resources(waived),
            counted(hosts, "host")
        ));
    }
    if hidden > 0 {
        parts.push(format!("{} not shown, as asked", resources(hidden)));
    }
    parts
}

fn plan(report: &RunReport) -> Option<String> {
    let (all, hosts) = tally(report, ResourceReport::would_change);
    if all == 0 {
        return nothing_to_change(report);
    }
    let count = |wanted: Change| {
        let is = |found: &ResourceReport| found.would_change() && change(found) == wanted;
        tally(report, is).0
    };
    let mut parts = vec![
        format!("{} to add", count(Change::Create)),
        format!("{} to change", count(Change::Update)),
    ];
    match count(Change::Replace) {
        0 => {}
        replaced => parts.push(format!("{replaced} to replace")),
    }
    parts.push(format!("{} to destroy", count(Change::Remove)));
    let (all, hosts) = (resources(all), of_all(hosts, report));
    Some(format!("Plan: {all} on {hosts}: {}", parts.join(", ")))
}

/// What becomes of a resource as a whole: where parts of it come and others go, it is changed.
fn change(found: &ResourceReport) -> Change {
    let done = found.drift.iter().filter(|it| !it.drift.is_only_reported());
    let mut changes = done.map(|difference| difference.drift.change);
    // A difference without particulars is a change in place.
    let first = changes.next().unwrap_or(Change::Update);
    changes.fold(first, |so_far, next| match (so_far, next) {
        (Change::Replace, _) | (_, Change::Replace) => Change::Replace,
        (so_far, next) if so_far == next => so_far,
        _ => Change::Update,
    })
}

fn apply(report: &RunReport) -> Option<String> {
    let (changed, hosts) = total(report, |counts| counts.changed);
    if changed == 0 {
        return nothing_to_change(report);
    }
    let hosts = of_all(hosts, report);
    Some(format!(
        "Applied: {} changed on {hosts}",
        resources(changed)
    ))
}

fn answered(report: &RunReport) -> String {
    let silent = report.count(HostStatus::Unreachable) + report.count(HostStatus::Untouched);
    format!("{} answered", of_all(report.hosts.len() - silent, report))
}

fn nothing_to_change(report: &RunReport) -> Option<String> {
    if matching(report) > 0 {
        return Some(format!("Nothing to change{}", those_that_match(report)));
    }
    // Whatever failed or broke off may have changed something.
    let surely = |host: &HostReport| host.error.is_none() && host.status() == HostStatus::Drifted;
    report
        .hosts
        .iter()
        .all(surely)
        .then(|| "Nothing to change".to_owned())
}

/// How many hosts are as declared: something was looked at, and all of it is so.
fn matching(report: &RunReport) -> usize {
    let as_declared = report.hosts.iter().filter(|host| {
        matches!(host.status(), HostStatus::InSync | HostStatus::Changed)
            && host.counts.ignored == 0
            && host.counts.looked_at() > 0
            && !is_to_run(host, report)
    });
    as_declared.count()
}

/// Whether nothing on a host was looked at, although it could be.
fn is_idle(host: &HostReport, report: &RunReport) -> bool {
    let looked_at = host.counts.looked_at() > 0 || is_to_run(host, report);
    host.status() == HostStatus::InSync && !looked_at
}

/// Whether an apply would run something there, of which a plan cannot say what it changes.
fn is_to_run(host: &HostReport, report: &RunReport) -> bool {
    report.command == Command::Plan && host.resources.iter().any(|found| found.would_run)
}

/// `. 40 hosts match` if they all do, else ` on 39 of 40 hosts`.
fn those_that_match(report: &RunReport) -> String {
    match (matching(report), report.hosts.len()) {
        (1, 1) => ". 1 host matches".to_owned(),
        (count, all) if count == all => format!(". {all} hosts match"),
        (count, _) => format!(" on {}", of_all(count, report)),
    }
}

/// `1 resource`, `2 resources`.
fn resources(count: usize) -> String {
    counted(count, "resource")
}

/// The sum of a count; also on how many hosts there is one.
fn total(report: &RunReport, count: Counted) -> (usize, usize) {
    let counts = report.hosts.iter().map(|host| count(&host.counts));
    let counts: Vec<_> = counts.filter(|count| *count > 0).collect();
    (counts.iter().sum(), counts.len())
}

/// `2 of 40 hosts`.
fn of_all(count: usize, report: &RunReport) -> String {
    format!("{count} of {}", counted(report.hosts.len(), "host"))
}

/// How many resources drifted in such a way; also on how many hosts.
fn tally(report: &RunReport, wanted: impl Fn(&ResourceReport) -> bool) -> (usize, usize) {
    let mut sum = 0;
    let mut hosts = 0;
    for host in &report.hosts {
        let found = host.resources.iter();
        let drifted = found.filter(|found| found.status == Status::Drift && wanted(found));
        let count = drifted.count();
        sum += count;
        hosts += usize::from(count > 0);
    }
    (sum, hosts)
}

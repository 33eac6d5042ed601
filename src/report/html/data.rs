//! What the page's script reads: every finding once, with the hosts it was found on.

use std::borrow::Cow;
use std::collections::BTreeMap;

use indexmap::IndexMap;
use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::super::{
    Command, Counts, Difference, HostError, HostReport, HostStatus, ResourceReport, RunReport,
    WaiverRemark, json,
};
use crate::harmless;
use crate::protocol::{Change, Severity, Status};

/// Longest value in a finding; JSON has the whole of it.
const LONGEST_VALUE: usize = 2_000;

/// Longest message or diff in a finding.
const LONGEST_TEXT: usize = 40_000;

#[derive(Serialize)]
pub(super) struct Data<'a> {
    run: Run,
    hosts: Vec<Host<'a>>,
    findings: Vec<Found<'a>>,
    waivers: Vec<Remark<'a>>,
}

#[derive(Serialize)]
struct Run {
    command: Command,
    started: String,
}

#[derive(Serialize)]
struct Host<'a> {
    name: Cow<'a, str>,
    status: HostStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
    /// An apply of somebody else that went on meanwhile.
    #[serde(skip_serializing_if = "Option::is_none")]
    running: Option<String>,
    #[serde(skip_serializing_if = "is_zero")]
    waived: usize,
}

/// A finding and where it was found.
#[derive(Serialize)]
struct Found<'a> {
    #[serde(flatten)]
    finding: Finding<'a>,
    on: Vec<Seen>,
}

/// Two hosts share a finding if nothing in it differs but when it was first seen.
#[derive(PartialEq, Eq, Hash, Serialize)]
struct Finding<'a> {
    #[serde(skip)]
    position: usize,
    level: Level,
    /// About a host itself and not about one of its resources.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    host_error: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<Cow<'a, str>>,
    play: Cow<'a, str>,
    task: Cow<'a, str>,
    kind: Cow<'a, str>,
    id: Cow<'a, str>,
    severity: Severity,
    /// In a word what is the matter, where no attribute says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Cow<'a, str>>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    difference: Option<Particulars<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notifies: Vec<Cow<'a, str>>,
}

/// How a resource differs.
#[derive(PartialEq, Eq, Hash, Serialize)]
struct Particulars<'a> {
    attribute: Cow<'a, str>,
    change: Change,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    sensitive: bool,
    expected: Cow<'a, str>,
    actual: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    diff: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    waived: Option<Waiver<'a>>,
}

#[derive(PartialEq, Eq, Hash, Serialize)]
struct Waiver<'a> {
    reason: Cow<'a, str>,
    owner: Cow<'a, str>,
    expires: String,
    place: Cow<'a, str>,
}

#[derive(Serialize)]
struct Remark<'a> {
    subject: Cow<'a, str>,
    why: &'static str,
    #[serde(flatten)]
    waiver: Waiver<'a>,
}

/// How much a finding matters on the page.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Level {
    Unreachable,
    Failed,
    Unknown,
    Changed,
    Waived,
    Drift(Severity),
}

impl Serialize for Level {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(match self {
            Self::Unreachable => "unreachable",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::Changed => "changed",
            Self::Waived => "waived",
            Self::Drift(severity) => severity.as_str(),
        })
    }
}

/// The hosts of a finding that have it for the same time, as `[first, how many]` in the list of
/// hosts: thousands of them are seldom more than a few stretches.
#[derive(Serialize)]
struct Seen {
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    hosts: Vec<(usize, usize)>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks with a reference"
)]
const fn is_zero(count: &usize) -> bool {
    *count == 0
}

type Groups<'a> = IndexMap<Finding<'a>, BTreeMap<Option<Timestamp>, Vec<usize>>>;

impl<'a> Data<'a> {
    pub(super) fn new(report: &'a RunReport) -> Self {
        let mut groups = Groups::new();
        let mut add = |finding, since, host| {
            let hosts = groups.entry(finding).or_default().entry(since).or_default();
            // A handler or a loop may find the same twice on one host.
            if hosts.last() != Some(&host) {
                hosts.push(host);
            }
        };
        for (at, host) in report.hosts.iter().enumerate() {
            for resource in &host.resources {
                for (finding, since) in findings(resource, report.command) {
                    add(finding, since, at);
                }
            }
            if let Some(error) = &host.error {
                add(lost(host, error), None, at);
            }
        }
        groups.sort_by(|a, _, b, _| a.position.cmp(&b.position));
        Self {
            run: Run {
                command: report.command,
                started: json::time(report.started_at),
            },
            hosts: report.hosts.iter().map(Host::new).collect(),
            findings: groups.into_iter().map(Found::new).collect(),
            waivers: report.waivers.iter().map(Remark::new).collect(),
        }
    }
}

impl<'a> Host<'a> {
    fn new(host: &'a HostReport) -> Self {
        let Counts { waived, .. } = host.counts;
        Self {
            name: value(&host.host),
            status: host.status(),
            error: host.error.as_ref().map(|error| error.class.words()),
            running: host.running.as_ref().map(|running| {
                let words = format!("an apply by {} was running", running.who);
                value(&words).into_owned()
            }),
            waived,
        }
    }
}

impl<'a> Found<'a> {
    fn new((finding, seen): (Finding<'a>, BTreeMap<Option<Timestamp>, Vec<usize>>)) -> Self {
        let on = seen.into_iter().map(|(since, hosts)| Seen {
            since: since.map(json::time),
            hosts: stretches(&hosts),
        });
        Self {
            finding,
            on: on.collect(),
        }
    }
}

/// `[first, how many]` of ascending numbers.
fn stretches(numbers: &[usize]) -> Vec<(usize, usize)> {
    let mut out: Vec<(usize, usize)> = Vec::new();
    for &number in numbers {
        match out.last_mut() {
            Some((first, count)) if *first + *count == number => *count += 1,
            _ => out.push((number, 1)),
        }
    }
    out
}

/// What one resource on one host has to say, and since when; nothing if all is well.
fn findings(resource: &ResourceReport, command: Command) -> Vec<(Finding<'_>, Option<Timestamp>)> {
    let severity = resource.severity;
    let found = |level, note| Finding {
        position: resource.position,
        level,
        host_error: false,
        role: resource.role.as_deref().map(value),
        play: value(&resource.play),
        task: value(&resource.task),
        kind: value(&resource.kind),
        id: value(&resource.id),
        severity,
        note,
        message: resource.message.as_deref().map(text),
        difference: None,
        notifies: Vec::new(),
    };
    let one = |level, note| vec![(found(level, note), None)];
    let each = |level: fn(&Difference) -> Level| {
        let differences = resource.drift.iter().map(move |difference| {
            let finding = Finding {
                severity: difference.severity,
                difference: Some(Particulars::new(difference)),
                notifies: resource.notifies.iter().map(|name| value(name)).collect(),
                ..found(level(difference), None)
            };
            (finding, difference.first_seen)
        });
        differences.collect()
    };
    match resource.status {
        Status::Drift if resource.drift.is_empty() => one(Level::Drift(severity), Some("drifted")),
        Status::Drift => each(|found| match found.waived {
            Some(_) => Level::Waived,
            None => Level::Drift(found.severity),
        }),
        Status::Changed if resource.drift.is_empty() => one(Level::Changed, Some("changed")),
        Status::Changed => each(|_| Level::Changed),
        Status::Failed if resource.ignored => one(
            Level::Drift(Severity::Info),
            Some("failed, and declared not to matter"),
        ),
        Status::Failed => one(Level::Failed, Some("failed")),
        Status::Unknown => one(Level::Unknown, Some("could not be told")),
        _ if resource.would_run && command == Command::Plan => {
            one(Level::Drift(Severity::Info), Some("would run"))
        }
        Status::Ok | Status::Skipped => Vec::new(),
    }
}

/// A host without a complete result.
fn lost<'a>(host: &HostReport, error: &'a HostError) -> Finding<'a> {
    Finding {
        position: usize::MAX,
        level: match host.status() {
            HostStatus::Unreachable => Level::Unreachable,
            HostStatus::Untouched => Level::Unknown,
            _ => Level::Failed,
        },
        host_error: true,
        role: None,
        play: "".into(),
        task: "".into(),
        kind: "host".into(),
        id: error.class.words().into(),
        severity: Severity::Critical,
        note: None,
        message: Some(text(&error.message)),
        difference: None,
        notifies: Vec::new(),
    }
}

impl<'a> Particulars<'a> {
    fn new(difference: &'a Difference) -> Self {
        let drift = &difference.drift;
        // The host replaced secrets already; a second lock costs nothing.
        let shown = |found| {
            if drift.sensitive {
                Cow::Borrowed("")
            } else {
                value(found)
            }
        };
        Self {
            attribute: value(&drift.attribute),
            change: drift.change,
            sensitive: drift.sensitive,
            expected: shown(&drift.expected),
            actual: shown(&drift.actual),
            diff: drift.diff.as_deref().filter(|_| !drift.sensitive).map(text),
            waived: difference.waived.as_deref().map(Waiver::new),
        }
    }
}

impl<'a> Waiver<'a> {
    fn new(waived: &'a super::super::Waived) -> Self {
        Self {
            reason: value(&waived.reason),
            owner: value(&waived.owner),
            expires: waived.expires.to_string(),
            place: value(&waived.place),
        }
    }
}

impl<'a> Remark<'a> {
    fn new(remark: &'a WaiverRemark) -> Self {
        Self {
            subject: value(&remark.subject),
            why: remark.issue.words(),
            waiver: Waiver::new(&remark.waiver),
        }
    }
}

/// A value on one line.
fn value(text: &str) -> Cow<'_, str> {
    harmless::one_line(text, LONGEST_VALUE)
}

/// Several lines.
fn text(text: &str) -> Cow<'_, str> {
    let cut = text.char_indices().nth(LONGEST_TEXT);
    let shown = cut.map_or(text, |(at, _)| &text[..at]);
    let mut lines: Vec<_> = harmless::lines(shown).collect();
    if cut.is_some() {
        lines.push("… (the rest is in the JSON report)".into());
    }
    match &lines[..] {
        [Cow::Borrowed(one)] => Cow::Borrowed(one),
        _ => lines.join("\n").into(),
    }
}

//! What was found, each finding once with the hosts it was found on.
//!
//! Two hosts share a finding if it reads the same on both. So grouping needs no notion of
//! equality of its own, and never hides a difference that would have been shown.

use std::collections::BTreeMap;

use indexmap::{IndexMap, IndexSet};

use super::{Paint, TextOptions, Verbosity};
use crate::harmless::{self, single_line};
use crate::protocol::{Change, Holder, Output, Severity, Status, is_refusal};
use crate::report::{
    Command, Counts, Difference, ErrorClass, HostError, HostStatus, ResourceReport, RunReport,
    Waived, apply_by, diff,
};

/// More hosts than these are shown as a number and the first and last name.
const NAMED_HOSTS: usize = 3;

/// One thing found, as it will be printed.
#[derive(PartialEq, Eq, Hash)]
struct Finding {
    symbol: Symbol,
    /// What follows the symbol, on one line.
    text: String,
    /// Lines below it: a message, a diff, a command's output.
    body: Vec<String>,
}

/// The first column.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Symbol {
    Change(Change),
    Waived,
    Unknown,
    Failed,
    None,
}

impl Symbol {
    fn painted(self, paint: Paint) -> String {
        match self {
            Self::Change(Change::Create) => paint.green("+"),
            Self::Change(Change::Update) => paint.yellow("~"),
            Self::Change(Change::Remove) => paint.red("-"),
            Self::Change(Change::Replace) => paint.red("-/+"),
            Self::Change(Change::Nothing) => paint.yellow("*"),
            Self::Waived => paint.dim("="),
            Self::Unknown => paint.magenta("?"),
            Self::Failed => paint.red("!"),
            Self::None => " ".to_owned(),
        }
    }
}

/// Everything found about one resource, over all hosts.
#[derive(Default)]
struct Group<'a> {
    findings: IndexMap<Finding, Vec<&'a str>>,
    notifies: IndexSet<&'a str>,
}

impl<'a> Group<'a> {
    fn add(&mut self, finding: Finding, host: &'a str) {
        let hosts = self.findings.entry(finding).or_default();
        // A handler or a loop may find the same twice on one host.
        if hosts.last() != Some(&host) {
            hosts.push(host);
        }
    }
}

type Subject<'a> = (Option<&'a str>, &'a str, &'a str, &'a str);

/// All findings, in the order of the playbook; hosts that gave no result come last.
pub(super) fn render(report: &RunReport, options: TextOptions, paint: Paint) -> Vec<String> {
    let mut positions: BTreeMap<usize, IndexMap<Subject<'_>, Group<'_>>> = BTreeMap::new();
    let mut errors = Group::default();
    for host in &report.hosts {
        for resource in &host.resources {
            let subject = (
                resource.role.as_deref(),
                &*resource.task,
                &*resource.kind,
                &*resource.id,
            );
            let findings = describe(resource, report.command, options, paint);
            if findings.is_empty() {
                continue;
            }
            let group = positions
                .entry(resource.position)
                .or_default()
                .entry(subject)
                .or_default();
            for finding in findings {
                group.add(finding, &host.host);
            }
            if matches!(resource.status, Status::Drift | Status::Changed) {
                group
                    .notifies
                    .extend(resource.notifies.iter().map(String::as_str));
            }
        }
        if let Some(running) = &host.running
            && options.verbosity > Verbosity::Quiet
        {
            errors.add(meanwhile(running), &host.host);
        }
        // Those that were not begun at all are listed with what stopped the run.
        let not_begun = host.status() == HostStatus::Untouched && host.counts == Counts::default();
        if let Some(error) = host.error.as_ref().filter(|_| !not_begun) {
            errors.add(lost(error), &host.host);
        }
    }
    let mut out = Vec::new();
    for group in positions
        .values()
        .flat_map(IndexMap::values)
        .chain([&errors])
    {
        write(&mut out, group, options, paint);
    }
    out
}

fn write(out: &mut Vec<String>, group: &Group<'_>, options: TextOptions, paint: Paint) {
    for (finding, hosts) in &group.findings {
        let symbol = finding.symbol.painted(paint);
        let hosts = paint.dim(&format!("[{}]", names(hosts, options.verbosity)));
        out.push(format!("{symbol} {}   {hosts}", finding.text));
        out.extend(
            finding
                .body
                .iter()
                .map(|line| format!("    {line}").trim_end().to_owned()),
        );
    }
    if options.verbosity > Verbosity::Quiet {
        let arrow = paint.cyan("→");
        let handlers = group.notifies.iter();
        out.extend(handlers.map(|name| format!("    {arrow} notifies {}", single_line(name))));
    }
}

/// The hosts between the brackets.
pub(in crate::report) fn names(hosts: &[&str], verbosity: Verbosity) -> String {
    match hosts {
        [first, .., last] if hosts.len() > NAMED_HOSTS && verbosity < Verbosity::Verbose => {
            format!("{} hosts: {first} … {last}", hosts.len())
        }
        _ => hosts.join(", "),
    }
}

/// What one resource on one host has to say; nothing if all is well.
fn describe(
    resource: &ResourceReport,
    command: Command,
    options: TextOptions,
    paint: Paint,
) -> Vec<Finding> {
    let verbose = options.verbosity == Verbosity::Verbose;
    // Of what has no owner any more the host says all of it.
    let subject = format!(
        "{} {}",
        single_line(&resource.kind),
        single_line(&resource.id)
    );
    let message = resource.message.as_deref().unwrap_or_default();
    // What no apply would remove is told to whoever only looks, too.
    let remarks = verbose || command == Command::Plan || is_refusal(Some(message));
    let mut findings = match resource.status {
        Status::Drift | Status::Changed if !resource.drift.is_empty() => resource
            .drift
            .iter()
            // What is accepted is not worth a word to somebody who wants only bad news.
            .filter(|found| options.verbosity > Verbosity::Quiet || found.waived.is_none())
            .map(|found| difference(&subject, found, options, paint))
            .collect(),
        Status::Drift => vec![told(
            Symbol::Change(Change::Update),
            &subject,
            message,
            "drifted",
        )],
        Status::Changed => vec![told(
            Symbol::Change(Change::Update),
            &subject,
            message,
            "changed",
        )],
        Status::Failed => vec![failure(resource, &subject, options, paint)],
        Status::Unknown => vec![told(
            Symbol::Unknown,
            &subject,
            message,
            "could not be told",
        )],
        // It is no drift, but a plan that left it out would not be the plan.
        _ if resource.would_run && command == Command::Plan => {
            vec![told(Symbol::None, &subject, message, "would run")]
        }
        // Somebody wrote it to be read: `debug`, the success message of `assert`.
        Status::Ok if verbose || (options.verbosity > Verbosity::Quiet && !message.is_empty()) => {
            vec![told(Symbol::None, &subject, message, "ok")]
        }
        Status::Skipped if verbose => {
            let why = if message.is_empty() {
                String::new()
            } else {
                format!(": {message}")
            };
            vec![told(
                Symbol::None,
                &subject,
                &format!("skipped{why}"),
                "skipped",
            )]
        }
        Status::Ok | Status::Skipped => vec![],
    };
    // Of a difference its particulars are told first.
    if remarks
        && resource.status == Status::Drift
        && !resource.drift.is_empty()
        && let Some(last) = findings.last_mut()
    {
        let lines = harmless::lines(message).filter(|line| !line.is_empty());
        last.body.extend(lines.map(std::borrow::Cow::into_owned));
    }
    if verbose && let (Some(output), Some(last)) = (&resource.output, findings.last_mut()) {
        last.body.extend(printed(output));
    }
    findings
}

fn difference(subject: &str, found: &Difference, options: TextOptions, paint: Paint) -> Finding {
    let drift = &found.drift;
    let attribute = single_line(&drift.attribute);
    let change = if drift.sensitive {
        "(secret changed)".to_owned()
    } else {
        format!("{} → {}", value(&drift.actual), value(&drift.expected))
    };
    let diff = drift
        .diff
        .as_deref()
        .filter(|_| options.diff && !drift.sensitive);
    let (symbol, remark) = match &found.waived {
        Some(waived) => (Symbol::Waived, format!("  ({})", waiver(waived))),
        None if found.severity >= Severity::High => (
            Symbol::Change(drift.change),
            format!("  ({})", found.severity),
        ),
        None => (Symbol::Change(drift.change), String::new()),
    };
    Finding {
        symbol,
        text: format!("{subject}  {attribute}: {change}{remark}"),
        body: diff.map(|diff| diff::body(diff, paint)).unwrap_or_default(),
    }
}

fn waiver(waived: &Waived) -> String {
    let Waived {
        reason,
        owner,
        expires,
        place: _,
    } = waived;
    format!(
        "waived by {} until {expires}: {}",
        single_line(owner),
        single_line(reason)
    )
}

fn value(text: &str) -> std::borrow::Cow<'_, str> {
    if text.is_empty() {
        "(none)".into()
    } else {
        single_line(text)
    }
}

/// A finding in words. The words follow on the same line, or below if they are several lines.
fn told(symbol: Symbol, subject: &str, message: &str, otherwise: &str) -> Finding {
    let mut lines = harmless::lines(message).map(std::borrow::Cow::into_owned);
    let first = lines.next().unwrap_or_else(|| otherwise.to_owned());
    Finding {
        symbol,
        text: format!("{subject}  {first}"),
        body: lines.collect(),
    }
}

/// A failure names its task as it is in the playbook: that is where one looks next.
fn failure(
    resource: &ResourceReport,
    subject: &str,
    options: TextOptions,
    paint: Paint,
) -> Finding {
    let role = resource
        .role
        .as_ref()
        .map(|role| format!("{} : ", single_line(role)))
        .unwrap_or_default();
    let task = single_line(&resource.task).into_owned();
    let verdict = if resource.ignored {
        "failed (ignored)"
    } else {
        "failed"
    };
    let mut body: Vec<_> = match &resource.message {
        Some(message) => harmless::lines(message)
            .map(std::borrow::Cow::into_owned)
            .collect(),
        None => vec!["no reason was given".to_owned()],
    };
    // What it was about to change helps to understand why that did not work.
    for drift in &resource.drift {
        let found = difference("", drift, options, paint);
        body.push(format!(
            "{} {}",
            found.symbol.painted(paint),
            found.text.trim_start()
        ));
        body.extend(found.body);
    }
    Finding {
        symbol: Symbol::Failed,
        text: format!("{subject}  {verdict}: {role}{task}"),
        body,
    }
}

/// What was seen may be half of what somebody else is doing.
fn meanwhile(running: &Holder) -> Finding {
    let text = format!("{} is running on this host", apply_by(running));
    Finding {
        symbol: Symbol::None,
        text: single_line(&text).into_owned(),
        body: Vec::new(),
    }
}

/// A host without a complete result.
fn lost(error: &HostError) -> Finding {
    let class = error.class.words();
    let text = if error.class.is_unreachable() {
        format!("unreachable: {class}")
    } else {
        class.to_owned()
    };
    let body = harmless::lines(&error.message)
        .map(std::borrow::Cow::into_owned)
        .collect();
    Finding {
        symbol: match error.class {
            ErrorClass::Untouched => Symbol::None,
            _ => Symbol::Failed,
        },
        text,
        body,
    }
}

/// What a command printed, each line with the stream it came from.
fn printed(output: &Output) -> Vec<String> {
    let stream = |name: &'static str, text| {
        harmless::lines(text)
            .map(move |line| format!("{name}: {line}"))
            .collect::<Vec<_>>()
    };
    let mut lines = stream("stdout", &output.stdout);
    lines.extend(stream("stderr", &output.stderr));
    if output.truncated {
        lines.push("(the rest of the output was dropped)".to_owned());
    }
    lines
}

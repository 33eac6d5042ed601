//! The report as one JSON document, for programs. The shape is a promise: see `schema_version`.

use serde::Serialize;

use super::{Counts, ErrorClass, HostReport, HostStatus, ResourceReport, RunReport};
use crate::protocol::{Change, Drift, Output, Status};

/// Raised when a key changes its meaning or goes away; new keys do not raise it.
const SCHEMA_VERSION: u32 = 1;

/// What stands where a secret would.
const REDACTED: &str = "[redacted]";

/// The report as indented JSON, ending with a newline.
#[must_use]
#[expect(
    clippy::missing_panics_doc,
    reason = "plain structs in memory always serialize"
)]
pub fn to_json(report: &RunReport) -> String {
    let mut text = serde_json::to_string_pretty(&Document::new(report))
        .expect("no map of the document has a key that is not text");
    text.push('\n');
    text
}

#[derive(Serialize)]
struct Document<'a> {
    schema_version: u32,
    run_id: &'a str,
    command: super::Command,
    playbook: &'a str,
    started_at: String,
    duration_ms: u128,
    exit_code: u8,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    interrupted: bool,
    summary: Summary,
    hosts: Vec<Host<'a>>,
}

#[derive(Serialize)]
struct Summary {
    hosts: usize,
    in_sync: usize,
    drifted: usize,
    changed: usize,
    failed: usize,
    unknown: usize,
    unreachable: usize,
}

#[derive(Serialize)]
struct Host<'a> {
    #[serde(rename = "host")]
    name: &'a str,
    status: HostStatus,
    duration_ms: u128,
    counts: Count,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<HostError<'a>>,
    resources: Vec<Resource<'a>>,
}

#[derive(Serialize)]
struct Count {
    ok: usize,
    drift: usize,
    changed: usize,
    failed: usize,
    unknown: usize,
    skipped: usize,
    waived: usize,
    ignored: usize,
}

#[derive(Serialize)]
struct HostError<'a> {
    class: ErrorClass,
    message: &'a str,
}

#[derive(Serialize)]
struct Resource<'a> {
    play: &'a str,
    role: Option<&'a str>,
    task: &'a str,
    kind: &'a str,
    id: &'a str,
    status: Status,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    ignored: bool,
    severity: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    drift: Vec<Difference<'a>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    would_run: bool,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    notifies: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<&'a Output>,
}

#[derive(Serialize)]
struct Difference<'a> {
    attribute: &'a str,
    expected: &'a str,
    actual: &'a str,
    change: Change,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    sensitive: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    diff: Option<&'a str>,
}

impl<'a> Document<'a> {
    fn new(report: &'a RunReport) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            run_id: &report.run_id,
            command: report.command,
            playbook: &report.playbook,
            // RFC 3339 in UTC; fractions of a second would be noise in a report.
            started_at: report.started_at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            duration_ms: report.duration.as_millis(),
            exit_code: report.exit_code() as u8,
            interrupted: report.interrupted,
            summary: Summary::new(report),
            hosts: report.hosts.iter().map(Host::new).collect(),
        }
    }
}

impl Summary {
    fn new(report: &RunReport) -> Self {
        Self {
            hosts: report.hosts.len(),
            in_sync: report.count(HostStatus::InSync),
            drifted: report.count(HostStatus::Drifted),
            changed: report.count(HostStatus::Changed),
            failed: report.count(HostStatus::Failed),
            unknown: report.count(HostStatus::Unknown),
            unreachable: report.count(HostStatus::Unreachable),
        }
    }
}

impl<'a> Host<'a> {
    fn new(host: &'a HostReport) -> Self {
        Self {
            name: &host.host,
            status: host.status(),
            duration_ms: host.duration.as_millis(),
            counts: Count::new(&host.counts),
            error: host.error.as_ref().map(|error| HostError {
                class: error.class,
                message: &error.message,
            }),
            resources: host.resources.iter().map(Resource::new).collect(),
        }
    }
}

impl Count {
    const fn new(counts: &Counts) -> Self {
        let &Counts {
            ok,
            drift,
            changed,
            failed,
            unknown,
            skipped,
            waived,
            ignored,
        } = counts;
        Self {
            ok,
            drift,
            changed,
            failed,
            unknown,
            skipped,
            waived,
            ignored,
        }
    }
}

impl<'a> Resource<'a> {
    fn new(resource: &'a ResourceReport) -> Self {
        Self {
            play: &resource.play,
            role: resource.role.as_deref(),
            task: &resource.task,
            kind: &resource.kind,
            id: &resource.id,
            status: resource.status,
            ignored: resource.ignored,
            severity: resource.severity.as_deref(),
            message: resource.message.as_deref(),
            drift: resource.drift.iter().map(Difference::new).collect(),
            would_run: resource.would_run,
            notifies: &resource.notifies,
            output: resource.output.as_ref(),
        }
    }
}

impl<'a> Difference<'a> {
    fn new(drift: &'a Drift) -> Self {
        // The host replaced secrets already; a second lock costs nothing.
        let shown = |value: &'a str| if drift.sensitive { REDACTED } else { value };
        Self {
            attribute: &drift.attribute,
            expected: shown(&drift.expected),
            actual: shown(&drift.actual),
            change: drift.change,
            sensitive: drift.sensitive,
            diff: drift.diff.as_deref().filter(|_| !drift.sensitive),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Command;
    use super::super::fixture::{findings, host, resource, run, unreachable};
    use super::*;

    #[test]
    fn the_document_has_the_promised_shape() {
        let mut unknown = resource(Status::Unknown);
        unknown.message = Some("systemctl did not answer".to_owned());
        let drifted = findings(Status::Drift).into_iter().take(1).chain([unknown]);
        let report = run(
            Command::Check,
            vec![host("node1", drifted), unreachable("node2")],
        );
        insta::assert_snapshot!(to_json(&report));
    }

    #[test]
    fn no_secret_reaches_the_document() {
        let report = run(Command::Check, vec![host("node1", findings(Status::Drift))]);
        let json = to_json(&report);
        assert!(
            !json.contains("hunter2") && !json.contains("letmein"),
            "{json}"
        );
        assert_eq!(json.matches(REDACTED).count(), 2);
    }

    #[test]
    fn an_interrupted_run_and_an_ignored_failure_say_so() {
        let mut ignored = resource(Status::Failed);
        ignored.ignored = true;
        let mut report = run(Command::Apply, vec![host("node1", [ignored])]);
        report.interrupted = true;
        let document: serde_json::Value = serde_json::from_str(&to_json(&report)).unwrap();
        assert_eq!(document["interrupted"], true);
        assert_eq!(document["exit_code"], 130);
        assert_eq!(document["hosts"][0]["counts"]["ignored"], 1);
        assert_eq!(document["hosts"][0]["resources"][0]["ignored"], true);
        assert_eq!(document["hosts"][0]["status"], "in_sync");
    }
}

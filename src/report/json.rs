//! The report as one JSON document, for programs. The shape is a promise: see `schema_version`.

use serde::Serialize;

use super::cut_short::HowFar;
use super::{
    Batches, Counts, CutShort, Difference, ErrorClass, HostReport, HostStatus, ResourceReport,
    RunReport, Waived, WaiverIssue, WaiverRemark, lock,
};
use crate::harmless;
use crate::protocol::{Change, Output, Severity, Status};

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
    harmless::json(text)
}

#[derive(Serialize)]
pub(super) struct Document<'a> {
    schema_version: u32,
    run_id: &'a str,
    command: super::Command,
    playbook: &'a str,
    started_at: String,
    duration_ms: u128,
    exit_code: u8,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    interrupted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    cut_short: Option<Cut<'a>>,
    summary: Summary,
    #[serde(skip_serializing_if = "Option::is_none")]
    hosts: Option<Vec<Host<'a>>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    batches: &'a [Batches],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    waivers: Vec<Remark<'a>>,
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
    untouched: usize,
}

/// Why the run ended before every host was done, and which were.
#[derive(Serialize)]
struct Cut<'a> {
    reason: &'static str,
    message: String,
    #[serde(flatten)]
    hosts: HowFar<'a>,
}

#[derive(Serialize)]
pub(super) struct Host<'a> {
    #[serde(rename = "host")]
    name: &'a str,
    status: HostStatus,
    duration_ms: u128,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_ms: Option<u128>,
    counts: Count,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<HostError<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    running: Option<Running<'a>>,
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
    hidden: usize,
}

#[derive(Serialize)]
struct HostError<'a> {
    class: ErrorClass,
    message: &'a str,
}

/// An apply of somebody else.
#[derive(Serialize)]
struct Running<'a> {
    who: &'a str,
    run_id: &'a str,
    since: String,
}

#[derive(Serialize)]
struct Resource<'a> {
    play: &'a str,
    role: Option<&'a str>,
    task: &'a str,
    kind: &'a str,
    id: &'a str,
    status: Verdict,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    ignored: bool,
    severity: Severity,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    drift: Vec<Entry<'a>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    would_run: bool,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    notifies: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<&'a Output>,
}

/// A resource is counted under this name.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Waived,
    #[serde(untagged)]
    Told(Status),
}

#[derive(Serialize)]
struct Entry<'a> {
    attribute: &'a str,
    expected: &'a str,
    actual: &'a str,
    change: Change,
    severity: Severity,
    #[serde(skip_serializing_if = "Option::is_none")]
    waived: Option<Waiver<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_seen: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    sensitive: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    diff: Option<&'a str>,
}

/// Why a difference is accepted.
#[derive(Serialize)]
struct Waiver<'a> {
    reason: &'a str,
    owner: &'a str,
    expires: String,
    place: &'a str,
}

/// A waiver that somebody should look at.
#[derive(Serialize)]
struct Remark<'a> {
    issue: WaiverIssue,
    subject: &'a str,
    #[serde(flatten)]
    waiver: Waiver<'a>,
}

impl<'a> Waiver<'a> {
    fn new(waived: &'a Waived) -> Self {
        Self {
            reason: &waived.reason,
            owner: &waived.owner,
            expires: waived.expires.to_string(),
            place: &waived.place,
        }
    }
}

impl<'a> Remark<'a> {
    fn new(remark: &'a WaiverRemark) -> Self {
        Self {
            issue: remark.issue,
            subject: &remark.subject,
            waiver: Waiver::new(&remark.waiver),
        }
    }
}

/// RFC 3339 in UTC; fractions of a second would be noise in a report.
pub(super) fn time(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

impl<'a> Document<'a> {
    fn new(report: &'a RunReport) -> Self {
        Self {
            hosts: Some(report.hosts.iter().map(Host::new).collect()),
            ..Self::without_hosts(report)
        }
    }

    /// Everything but the hosts.
    pub(super) fn without_hosts(report: &'a RunReport) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            run_id: &report.run_id,
            command: report.command,
            playbook: &report.playbook,
            started_at: time(report.started_at),
            duration_ms: report.duration.as_millis(),
            exit_code: report.exit_code() as u8,
            interrupted: report.cut_short == Some(CutShort::Interrupted),
            cut_short: report.cut_short.as_ref().map(|cut| Cut {
                reason: cut.as_str(),
                message: cut.words(report.hosts.len()),
                hosts: HowFar::of(report),
            }),
            summary: Summary::new(report),
            hosts: None,
            batches: &report.batches,
            waivers: report.waivers.iter().map(Remark::new).collect(),
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
            untouched: report.count(HostStatus::Untouched),
        }
    }
}

impl<'a> Host<'a> {
    pub(super) fn new(host: &'a HostReport) -> Self {
        Self {
            name: &host.host,
            status: host.status(),
            duration_ms: host.duration.as_millis(),
            cpu_ms: host.cpu.map(|cpu| cpu.as_millis()),
            counts: Count::new(&host.counts),
            error: host.error.as_ref().map(|error| HostError {
                class: error.class,
                message: &error.message,
            }),
            running: host.running.as_ref().map(|running| Running {
                who: &running.who,
                run_id: &running.run_id,
                since: lock::since(running),
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
            hidden,
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
            hidden,
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
            status: if resource.is_waived() {
                Verdict::Waived
            } else {
                Verdict::Told(resource.status)
            },
            ignored: resource.ignored,
            severity: resource.severity,
            message: resource.message.as_deref(),
            drift: resource.drift.iter().map(Entry::new).collect(),
            would_run: resource.would_run,
            notifies: &resource.notifies,
            output: resource.output.as_ref(),
        }
    }
}

impl<'a> Entry<'a> {
    fn new(difference: &'a Difference) -> Self {
        let drift = &difference.drift;
        // The host replaced secrets already; a second lock costs nothing.
        let shown = |value: &'a str| if drift.sensitive { REDACTED } else { value };
        Self {
            attribute: &drift.attribute,
            expected: shown(&drift.expected),
            actual: shown(&drift.actual),
            change: drift.change,
            severity: difference.severity,
            waived: difference.waived.as_deref().map(Waiver::new),
            first_seen: difference.first_seen.map(time),
            sensitive: drift.sensitive,
            diff: drift.diff.as_deref().filter(|_| !drift.sensitive),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Command;
    use super::super::fixture::{findings, host, resource, run, unreachable, waived};
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
    fn a_waiver_stands_beside_what_it_waives() {
        let mut node = host("node1", findings(Status::Drift).into_iter().skip(1).take(1));
        node.waive(|_, _| Some(waived()));
        node.resources[0].drift[0].first_seen = Some(jiff::Timestamp::UNIX_EPOCH);
        let report = run(Command::Check, vec![node]);
        let document: serde_json::Value = serde_json::from_str(&to_json(&report)).unwrap();
        assert_eq!(document["exit_code"], 0);
        let resource = &document["hosts"][0]["resources"][0];
        assert_eq!(resource["status"], "waived");
        assert_eq!(
            resource["drift"][0],
            serde_json::json!({
                "attribute": "state",
                "expected": "directory",
                "actual": "absent",
                "change": "create",
                "severity": "medium",
                "waived": {
                    "reason": "until the new disks are in",
                    "owner": "ops",
                    "expires": "2099-12-31",
                    "place": "waivers.yml:1",
                },
                "first_seen": "1970-01-01T00:00:00Z",
            })
        );
    }

    #[test]
    fn an_interrupted_run_and_an_ignored_failure_say_so() {
        let mut ignored = resource(Status::Failed);
        ignored.ignored = true;
        let mut report = run(Command::Apply, vec![host("node1", [ignored])]);
        report.cut_short = Some(CutShort::Interrupted);
        let document: serde_json::Value = serde_json::from_str(&to_json(&report)).unwrap();
        assert_eq!(document["interrupted"], true);
        assert_eq!(document["exit_code"], 130);
        assert_eq!(document["hosts"][0]["counts"]["ignored"], 1);
        assert_eq!(document["hosts"][0]["resources"][0]["ignored"], true);
        assert_eq!(document["hosts"][0]["status"], "in_sync");
    }
}

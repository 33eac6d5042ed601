//! `fleet drift`: what checks have found, and for how long it is there.

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use super::options::{ListFormat, severity_parser};
use super::remember::as_error;
use super::session::Session;
use super::table::{age, table, time};
use crate::error::Error;
use crate::harmless;
use crate::inventory::Glob;
use crate::memory::{Finding, Project, Query, Seen, Sighting, Store as _};
use crate::protocol::Severity;
use crate::report::ExitCode;

/// Arguments of `fleet drift`.
#[derive(Args, Clone, Debug)]
pub(super) struct DriftArgs {
    /// Only on these hosts, as in `web*`
    #[arg(long, value_name = "GLOB", value_parser = Glob::parse)]
    host: Option<Glob>,

    /// Only from these roles
    #[arg(long, value_name = "GLOB", value_parser = Glob::parse)]
    role: Option<Glob>,

    /// Only of these kinds
    #[arg(long, value_name = "GLOB", value_parser = Glob::parse)]
    kind: Option<Glob>,

    /// Only this bad or worse
    #[arg(long, value_name = "LEVEL", value_parser = severity_parser())]
    severity: Option<Severity>,

    /// List also what is over, in the order in which it came
    #[arg(long)]
    history: bool,

    /// Print the list in this format
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: ListFormat,
}

pub(super) fn run(session: &mut Session, args: &DriftArgs) -> Result<ExitCode, Error> {
    let failed = |error| as_error(error, "the drift cannot be listed");
    let project = Project::of_current_directory();
    let store = project.existing_store().map_err(failed)?;
    let query = Query {
        playbook: None,
        resolved: args.history,
    };
    let mut findings = store
        .map_or(Ok(Vec::new()), |store| store.findings(&query))
        .map_err(failed)?;
    findings.retain(|finding| args.wants(&finding.seen));
    if !args.history {
        // The worst first; those equally bad stay in the order of their age.
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.seen.severity));
    }
    let now = Timestamp::now();
    let text = match (args.format, args.history) {
        (ListFormat::Json, _) => json(&findings),
        (ListFormat::Text, _) if findings.is_empty() => "No drift is remembered here.\n".to_owned(),
        (ListFormat::Text, true) => history(&findings),
        (ListFormat::Text, false) => open(&findings, now),
    };
    session.output.write(&text)?;
    Ok(ExitCode::AsDeclared)
}

impl DriftArgs {
    fn wants(&self, seen: &Seen) -> bool {
        let role = seen.role.as_deref().unwrap_or_default();
        let fits =
            |glob: &Option<Glob>, text: &str| glob.as_ref().is_none_or(|glob| glob.is_match(text));
        fits(&self.host, &seen.subject.host)
            && fits(&self.role, role)
            && fits(&self.kind, &seen.subject.kind)
            && self.severity.is_none_or(|least| seen.severity >= least)
    }
}

fn open(findings: &[Finding], now: Timestamp) -> String {
    let row = |finding: &Finding| {
        [
            age(now.duration_since(finding.first_seen.at)),
            finding.seen.severity.to_string(),
            finding.seen.subject.host.clone(),
            finding.seen.role.clone().unwrap_or_default(),
            what(&finding.seen),
        ]
    };
    let rows: Vec<_> = findings.iter().map(row).collect();
    let waived = findings
        .iter()
        .filter(|finding| finding.seen.waived)
        .count();
    let waived = if waived > 0 {
        format!(", {waived} of them waived")
    } else {
        String::new()
    };
    let count = findings.len();
    let plural = if count == 1 { "" } else { "s" };
    let heading = ["AGE", "SEVERITY", "HOST", "ROLE", "FINDING"];
    format!(
        "{}\n{count} open finding{plural}{waived}.\n",
        table(heading, &rows)
    )
}

fn history(findings: &[Finding]) -> String {
    let row = |finding: &Finding| {
        let gone = finding.resolved.as_ref().map(|gone| time(gone.at));
        [
            time(finding.first_seen.at),
            time(finding.last_seen.at),
            gone.unwrap_or_else(|| "open".to_owned()),
            finding.seen.subject.host.clone(),
            what(&finding.seen),
        ]
    };
    let rows: Vec<_> = findings.iter().map(row).collect();
    table(
        ["FIRST SEEN", "LAST SEEN", "GONE", "HOST", "FINDING"],
        &rows,
    )
}

/// As in the report of a check.
fn what(seen: &Seen) -> String {
    let subject = &seen.subject;
    let value = |text: &str| match text {
        "" => "(none)".to_owned(),
        text => text.to_owned(),
    };
    let waived = if seen.waived { "  (waived)" } else { "" };
    let (kind, id) = (&subject.kind, &subject.id);
    match &*subject.attribute {
        "" => format!("{kind} {id}{waived}"),
        attribute => {
            let (actual, expected) = (value(&seen.actual), value(&seen.expected));
            format!("{kind} {id}  {attribute}: {actual} → {expected}{waived}")
        }
    }
}

#[derive(Serialize)]
struct Document<'a> {
    schema_version: u32,
    findings: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    host: &'a str,
    playbook: &'a str,
    role: Option<&'a str>,
    task: &'a str,
    kind: &'a str,
    id: &'a str,
    attribute: &'a str,
    expected: &'a str,
    actual: &'a str,
    severity: Severity,
    waived: bool,
    first_seen: Moment<'a>,
    last_seen: Moment<'a>,
    resolved: Option<Moment<'a>>,
}

#[derive(Serialize)]
struct Moment<'a> {
    at: String,
    run_id: &'a str,
}

impl<'a> Entry<'a> {
    fn new(finding: &'a Finding) -> Self {
        let Finding {
            seen,
            first_seen,
            last_seen,
            resolved,
        } = finding;
        Self {
            host: &seen.subject.host,
            playbook: &seen.subject.playbook,
            role: seen.role.as_deref(),
            task: &seen.task,
            kind: &seen.subject.kind,
            id: &seen.subject.id,
            attribute: &seen.subject.attribute,
            expected: &seen.expected,
            actual: &seen.actual,
            severity: seen.severity,
            waived: seen.waived,
            first_seen: Moment::new(first_seen),
            last_seen: Moment::new(last_seen),
            resolved: resolved.as_ref().map(Moment::new),
        }
    }
}

impl<'a> Moment<'a> {
    fn new(sighting: &'a Sighting) -> Self {
        Self {
            at: time(sighting.at),
            run_id: &sighting.run,
        }
    }
}

fn json(findings: &[Finding]) -> String {
    let document = Document {
        schema_version: 1,
        findings: findings.iter().map(Entry::new).collect(),
    };
    let text = serde_json::to_string_pretty(&document).expect("plain structs always serialize");
    harmless::json(text + "\n")
}

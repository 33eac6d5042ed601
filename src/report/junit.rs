//! The report as `JUnit` XML, for build servers: a suite per host, a case per resource.
//!
//! What differs is a failure; what failed, could not be told or was not reached is an error; what
//! was skipped, waived or declared not to matter is skipped. Resources that are plainly as
//! declared are not kept in a report: all of them on a host are one case that passes.

use std::fmt::Write as _;
use std::time::Duration;

use super::text::counted;
use super::{Difference, ErrorClass, HostReport, HostStatus, ResourceReport, RunReport, json};
use crate::harmless;
use crate::protocol::Status;

/// Longest attribute value; the whole of it is in the element's text.
const LONGEST_MESSAGE: usize = 400;

/// The report as an XML document in UTF-8.
#[must_use]
pub fn to_junit(report: &RunReport) -> String {
    let suites: Vec<_> = report.hosts.iter().map(Suite::new).collect();
    let total = |count: fn(&Suite) -> usize| suites.iter().map(count).sum::<usize>();
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let name = format!("fleet {} {}", report.command.as_str(), report.playbook);
    element(
        &mut out,
        0,
        "testsuites",
        &[
            ("name", &name),
            ("tests", &total(|suite| suite.cases.len()).to_string()),
            (
                "failures",
                &total(|suite| suite.count(Tag::Failure)).to_string(),
            ),
            (
                "errors",
                &total(|suite| suite.count(Tag::Error)).to_string(),
            ),
            ("time", &seconds(report.duration)),
        ],
    );
    let started = json::time(report.started_at);
    for suite in &suites {
        suite.write(&mut out, started.trim_end_matches('Z'));
    }
    out.push_str("</testsuites>\n");
    out
}

/// What came of one host.
struct Suite<'a> {
    host: &'a HostReport,
    cases: Vec<Case<'a>>,
}

struct Case<'a> {
    class: &'a str,
    name: String,
    verdict: Option<Verdict>,
}

/// Why a case did not simply pass.
struct Verdict {
    tag: Tag,
    /// In a word, for machines: `drift`, `unknown`, `unreachable`.
    r#type: &'static str,
    message: String,
    text: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tag {
    Failure,
    Error,
    Skipped,
}

impl Tag {
    const fn name(self) -> &'static str {
        match self {
            Self::Failure => "failure",
            Self::Error => "error",
            Self::Skipped => "skipped",
        }
    }
}

impl<'a> Suite<'a> {
    fn new(host: &'a HostReport) -> Self {
        let mut cases: Vec<_> = host.resources.iter().map(Case::new).collect();
        let kept = host.resources.iter();
        let kept = kept.filter(|found| found.status == Status::Ok).count();
        match host.counts.ok.saturating_sub(kept) {
            0 => {}
            others => cases.push(Case {
                class: "fleet",
                name: format!("{} as declared", counted(others, "resource")),
                verdict: None,
            }),
        }
        if let Some(error) = &host.error {
            let unreachable = host.status() == HostStatus::Unreachable;
            cases.push(Case {
                class: "fleet",
                name: if unreachable { "connection" } else { "run" }.to_owned(),
                verdict: Some(Verdict {
                    tag: Tag::Error,
                    r#type: match error.class {
                        ErrorClass::Locked => "locked",
                        ErrorClass::Interrupted => "interrupted",
                        ErrorClass::Abandoned => "abandoned",
                        ErrorClass::Untouched => "untouched",
                        _ if unreachable => "unreachable",
                        _ => "stopped",
                    },
                    message: error.class.words().to_owned(),
                    text: error.message.clone(),
                }),
            });
        }
        Self { host, cases }
    }

    fn count(&self, tag: Tag) -> usize {
        let verdicts = self.cases.iter().filter_map(|case| case.verdict.as_ref());
        verdicts.filter(|verdict| verdict.tag == tag).count()
    }

    fn write(&self, out: &mut String, timestamp: &str) {
        element(
            out,
            2,
            "testsuite",
            &[
                ("name", &self.host.host),
                ("tests", &self.cases.len().to_string()),
                ("failures", &self.count(Tag::Failure).to_string()),
                ("errors", &self.count(Tag::Error).to_string()),
                ("skipped", &self.count(Tag::Skipped).to_string()),
                ("time", &seconds(self.host.duration)),
                ("timestamp", timestamp),
                ("hostname", &self.host.host),
            ],
        );
        for case in &self.cases {
            case.write(out);
        }
        out.push_str("  </testsuite>\n");
    }
}

impl<'a> Case<'a> {
    fn new(resource: &'a ResourceReport) -> Self {
        let ResourceReport { kind, id, task, .. } = resource;
        Self {
            class: resource.role.as_deref().unwrap_or(&resource.play),
            name: format!("{kind} {id}: {task}"),
            verdict: verdict(resource),
        }
    }

    fn write(&self, out: &mut String) {
        let attributes = [("classname", self.class), ("name", &self.name)];
        element(out, 4, "testcase", &attributes);
        let Some(verdict) = &self.verdict else {
            // The element was opened for nothing: end it in itself.
            out.truncate(out.len() - ">\n".len());
            out.push_str("/>\n");
            return;
        };
        let name = verdict.tag.name();
        let attributes = [("type", verdict.r#type), ("message", &verdict.message)];
        element(out, 6, name, &attributes);
        out.truncate(out.len() - "\n".len());
        for (number, line) in harmless::lines(&verdict.text).enumerate() {
            if number > 0 {
                out.push('\n');
            }
            escape(out, &line);
        }
        let result = writeln!(out, "</{name}>\n    </testcase>");
        result.expect("a String takes everything");
    }
}

/// What is to be said of a resource that did not simply pass.
fn verdict(resource: &ResourceReport) -> Option<Verdict> {
    let message = resource.message.clone().unwrap_or_default();
    let first = |otherwise: &str| {
        let line = message.lines().next().unwrap_or(otherwise);
        line.to_owned()
    };
    let (tag, r#type, said) = match resource.status {
        Status::Ok | Status::Changed => return None,
        Status::Drift if resource.is_waived() => (Tag::Skipped, "waived", waiver(resource)),
        Status::Drift => (Tag::Failure, "drift", drift(resource, &first("drifted"))),
        Status::Failed if resource.ignored => (Tag::Skipped, "ignored", first("failed")),
        Status::Failed => (Tag::Error, "failed", first("failed")),
        Status::Unknown => (Tag::Error, "unknown", first("could not be told")),
        Status::Skipped => (Tag::Skipped, "skipped", first("skipped")),
    };
    let mut text: Vec<_> = (!message.is_empty())
        .then_some(message)
        .into_iter()
        .collect();
    text.extend(resource.drift.iter().map(difference));
    Some(Verdict {
        tag,
        r#type,
        message: said,
        text: text.join("\n"),
    })
}

/// `high: mode: 0644 → 0600`, and how many more.
fn drift(resource: &ResourceReport, otherwise: &str) -> String {
    let mut open = resource.open_drift();
    let Some(first) = open.next() else {
        return format!("{}: {otherwise}", resource.severity);
    };
    let more = match open.count() {
        0 => String::new(),
        count => format!(" and {count} more"),
    };
    format!("{}: {}{more}", resource.worst(), change(first))
}

fn waiver(resource: &ResourceReport) -> String {
    let waived = resource
        .drift
        .iter()
        .find_map(|found| found.waived.as_deref());
    waived.map_or_else(String::new, |waived| {
        format!(
            "waived until {} by {}: {}",
            waived.expires, waived.owner, waived.reason
        )
    })
}

/// One difference in full: what, how bad, why it is accepted, and the diff.
fn difference(found: &Difference) -> String {
    let mut line = format!("{} [{}]", change(found), found.severity);
    if let Some(waived) = &found.waived {
        let result = write!(
            line,
            " (waived until {} by {})",
            waived.expires, waived.owner
        );
        result.expect("a String takes everything");
    }
    match &found.drift.diff {
        Some(diff) if !found.drift.sensitive => format!("{line}\n{diff}"),
        _ => line,
    }
}

fn change(found: &Difference) -> String {
    let drift = &found.drift;
    if drift.sensitive {
        return format!("{}: (secret changed)", drift.attribute);
    }
    format!("{}: {} → {}", drift.attribute, drift.actual, drift.expected)
}

fn seconds(time: Duration) -> String {
    format!("{:.3}", time.as_secs_f64())
}

/// Opens an element on a line of its own.
fn element(out: &mut String, indent: usize, name: &str, attributes: &[(&str, &str)]) {
    let result = write!(out, "{:indent$}<{name}", "");
    result.expect("a String takes everything");
    for (name, value) in attributes {
        let result = write!(out, " {name}=\"");
        result.expect("a String takes everything");
        escape(out, &harmless::one_line(value, LONGEST_MESSAGE));
        out.push('"');
    }
    out.push_str(">\n");
}

/// Text without control characters, as XML. Two characters that are no controls are none of
/// XML's either.
fn escape(out: &mut String, text: &str) {
    for char in text.chars() {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            _ => out.push(char),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::fixture::{full_of, rich};
    use super::*;

    #[test]
    fn a_suite_per_host_and_a_case_per_resource() {
        insta::assert_snapshot!(to_junit(&rich()));
    }

    /// What the schema that build servers validate with asks for: element names, where they may
    /// stand, required and allowed attributes, and numbers that add up.
    fn assert_valid(xml: &str) {
        let document = roxmltree::Document::parse(xml).unwrap_or_else(|e| panic!("{e}: {xml}"));
        let suite = [
            "name",
            "tests",
            "failures",
            "errors",
            "skipped",
            "time",
            "timestamp",
            "hostname",
        ];
        for node in document
            .root()
            .descendants()
            .filter(roxmltree::Node::is_element)
        {
            let parent = node
                .parent_element()
                .map(|node| node.tag_name().name().to_owned());
            let (above, required, optional): (_, &[&str], &[&str]) = match node.tag_name().name() {
                "testsuites" => (
                    None,
                    &suite[..0],
                    &["name", "tests", "failures", "errors", "time"],
                ),
                "testsuite" => (Some("testsuites"), &suite[..4], &suite),
                "testcase" => (Some("testsuite"), &["name"], &["name", "classname", "time"]),
                "failure" | "error" | "skipped" => (Some("testcase"), &[], &["type", "message"]),
                other => panic!("no element of JUnit: {other}"),
            };
            assert_eq!(parent.as_deref(), above, "{xml}");
            let names: Vec<_> = node.attributes().map(|one| one.name()).collect();
            assert!(
                required.iter().all(|name| names.contains(name)),
                "{names:?}"
            );
            assert!(
                names
                    .iter()
                    .all(|name| required.contains(name) || optional.contains(name)),
                "{names:?}"
            );
            for (attribute, element) in [
                ("tests", "testcase"),
                ("failures", "failure"),
                ("errors", "error"),
                ("skipped", "skipped"),
            ] {
                if let Some(count) = node.attribute(attribute) {
                    let found = node.descendants().filter(|node| node.has_tag_name(element));
                    assert_eq!(count, found.count().to_string(), "{attribute}: {xml}");
                }
            }
        }
    }

    #[test]
    fn the_document_is_what_the_schema_asks_for() {
        assert_valid(&to_junit(&rich()));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_text_breaks_the_document(text: String) {
            assert_valid(&to_junit(&full_of(&text)));
        }
    }
}

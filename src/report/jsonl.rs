//! The report as JSON lines, for programs that do not want to wait: a line per host as soon as
//! it is done, in that order, and one line for the run at the end. A file without the last line
//! is that of a run that was killed.

use serde::Serialize;

use super::json::{Document, Host};
use super::{HostReport, RunReport};
use crate::harmless;

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line<'a> {
    Host {
        run_id: &'a str,
        #[serde(flatten)]
        host: Host<'a>,
    },
    Summary(Document<'a>),
}

/// One host: `"type": "host"`, the run's name, and what the JSON document has of it.
#[must_use]
pub fn host_line(run_id: &str, host: &HostReport) -> String {
    let host = Host::new(host);
    written(&Line::Host { run_id, host })
}

/// The run: `"type": "summary"`, and what the JSON document has beside the hosts.
#[must_use]
pub fn summary_line(report: &RunReport) -> String {
    written(&Line::Summary(Document::without_hosts(report)))
}

fn written(line: &Line<'_>) -> String {
    let mut text =
        serde_json::to_string(line).expect("no map of the line has a key that is not text");
    text.push('\n');
    harmless::json(text)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::rich;
    use super::*;

    #[test]
    fn a_line_per_host_and_one_for_the_run() {
        let report = rich();
        let mut lines: Vec<_> = report
            .hosts
            .iter()
            .map(|host| host_line(&report.run_id, host))
            .collect();
        lines.push(summary_line(&report));
        insta::assert_snapshot!(lines.concat());
    }

    /// Whoever reads lines learns what whoever reads the document learns.
    #[test]
    fn the_lines_together_are_the_document() {
        let report = rich();
        let whole: serde_json::Value =
            serde_json::from_str(&super::super::to_json(&report)).unwrap();
        let parse = |line: String| -> serde_json::Value {
            assert_eq!(line.lines().count(), 1, "{line}");
            let mut value: serde_json::Value = serde_json::from_str(&line).unwrap();
            value.as_object_mut().unwrap().shift_remove("type");
            value
        };
        let mut document = parse(summary_line(&report));
        document["hosts"] = report
            .hosts
            .iter()
            .map(|host| {
                let mut host = parse(host_line(&report.run_id, host));
                let run_id = host.as_object_mut().unwrap().shift_remove("run_id");
                assert_eq!(run_id, Some(report.run_id.clone().into()));
                host
            })
            .collect();
        assert_eq!(document, whole);
    }
}

//! The report as metrics, for node exporter's textfile collector.
//!
//! Every series names the playbook: two audits may write two files into one directory, where
//! the same series twice would be an error. Of a host that was not reached nothing is claimed
//! but that.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};

use super::{HostReport, HostStatus, RunReport};
use crate::harmless;
use crate::protocol::{Severity, Status};

fn was_reached(host: &HostReport) -> bool {
    !matches!(
        host.status(),
        HostStatus::Unreachable | HostStatus::Untouched
    )
}

/// The report in the text format of Prometheus, version 0.0.4.
#[must_use]
pub fn to_prometheus(report: &RunReport) -> String {
    let mut out = Metrics::new(&report.playbook);
    let reached = || {
        let hosts = report.hosts.iter();
        hosts.filter(|host| was_reached(host))
    };
    let help = "Differences found and left on the host, by severity; waived ones are not counted.";
    out.family("fleet_drift_items", help);
    for host in reached() {
        let open = open_by_severity(host);
        for severity in Severity::ALL {
            let count = open.get(&severity).copied().unwrap_or_default();
            let labels = [("host", &*host.host), ("severity", severity.as_str())];
            out.sample("fleet_drift_items", &labels, count);
        }
    }
    let counts: [(&str, &str, Count); 4] = [
        (
            "fleet_waived_items",
            "Resources that differ only where a waiver covers it.",
            |host| host.counts.waived,
        ),
        (
            "fleet_unknown_items",
            "Resources of which it could not be told whether they are as declared.",
            |host| host.counts.unknown,
        ),
        (
            "fleet_failed_items",
            "Resources that could not be brought about, and the end of the host's run if it broke off.",
            |host| {
                let broke_off = host.error.is_some() && host.status() == HostStatus::Failed;
                host.counts.failed + usize::from(broke_off)
            },
        ),
        (
            "fleet_changed_items",
            "Resources that this run changed.",
            |host| host.counts.changed,
        ),
    ];
    for (name, help, count) in counts {
        out.family(name, help);
        for host in reached() {
            out.sample(name, &[("host", &host.host)], count(host));
        }
    }
    out.family(
        "fleet_host_reachable",
        "Whether the host was reached and answered to the end.",
    );
    for host in &report.hosts {
        let reachable = u8::from(was_reached(host));
        out.sample("fleet_host_reachable", &[("host", &host.host)], reachable);
    }
    let help = "How long the host took, from the first attempt to connect.";
    out.family("fleet_check_duration_seconds", help);
    for host in &report.hosts {
        let seconds = host.duration.as_secs_f64();
        let labels = [("host", &*host.host)];
        out.sample("fleet_check_duration_seconds", &labels, seconds);
    }
    let help = "Hosts that the run ended before it came to, wholly or in part.";
    out.family("fleet_untouched_hosts", help);
    let untouched = report.count(HostStatus::Untouched);
    out.sample("fleet_untouched_hosts", &[], untouched);
    let help = "The exit code of the run: 0 is as declared, fleet's manual has the others.";
    out.family("fleet_exit_code", help);
    out.sample("fleet_exit_code", &[], report.exit_code() as u8);
    let help = "When the run ended, in seconds since 1970.";
    out.family("fleet_last_check_timestamp", help);
    let ended =
        report.started_at.as_second() + i64::try_from(report.duration.as_secs()).unwrap_or(0);
    out.sample("fleet_last_check_timestamp", &[], ended);
    out.text
}

/// What is counted of a host.
type Count = fn(&HostReport) -> usize;

fn open_by_severity(host: &HostReport) -> BTreeMap<Severity, usize> {
    let mut open = BTreeMap::new();
    let drifted = host.resources.iter();
    for resource in drifted.filter(|found| found.status == Status::Drift) {
        if resource.drift.is_empty() {
            *open.entry(resource.severity).or_default() += 1;
        }
        for difference in resource.open_drift() {
            *open.entry(difference.severity).or_default() += 1;
        }
    }
    open
}

/// Metrics of one playbook while they are written down.
struct Metrics {
    playbook: String,
    text: String,
}

impl Metrics {
    fn new(playbook: &str) -> Self {
        Self {
            playbook: label("playbook", playbook),
            text: String::new(),
        }
    }

    /// Begins the samples of one name. All are gauges: each run tells anew.
    fn family(&mut self, name: &str, help: &str) {
        let result = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} gauge");
        result.expect("a String takes everything");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels = labels.iter().map(|(name, value)| label(name, value) + ",");
        let labels = labels.collect::<String>() + &self.playbook;
        let result = writeln!(self.text, "{name}{{{labels}}} {value}");
        result.expect("a String takes everything");
    }
}

/// `name="value"`, in which `\`, `"` and line breaks are escaped.
fn label(name: &str, value: &str) -> String {
    let value = harmless::visible(value)
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n");
    format!("{name}=\"{value}\"")
}

#[cfg(test)]
mod tests {
    use super::super::Command;
    use super::super::fixture::{host, rich, run, untouched};
    use super::*;

    #[test]
    fn every_name_is_explained_once_and_every_host_is_in_it() {
        insta::assert_snapshot!(to_prometheus(&rich()), @r#"
        # HELP fleet_drift_items Differences found and left on the host, by severity; waived ones are not counted.
        # TYPE fleet_drift_items gauge
        fleet_drift_items{host="web01",severity="info",playbook="playbooks/host-init.yml"} 0
        fleet_drift_items{host="web01",severity="low",playbook="playbooks/host-init.yml"} 0
        fleet_drift_items{host="web01",severity="medium",playbook="playbooks/host-init.yml"} 1
        fleet_drift_items{host="web01",severity="high",playbook="playbooks/host-init.yml"} 1
        fleet_drift_items{host="web01",severity="critical",playbook="playbooks/host-init.yml"} 1
        fleet_drift_items{host="web02",severity="info",playbook="playbooks/host-init.yml"} 0
        fleet_drift_items{host="web02",severity="low",playbook="playbooks/host-init.yml"} 0
        fleet_drift_items{host="web02",severity="medium",playbook="playbooks/host-init.yml"} 0
        fleet_drift_items{host="web02",severity="high",playbook="playbooks/host-init.yml"} 1
        fleet_drift_items{host="web02",severity="critical",playbook="playbooks/host-init.yml"} 0
        fleet_drift_items{host="db01",severity="info",playbook="playbooks/host-init.yml"} 0
        fleet_drift_items{host="db01",severity="low",playbook="playbooks/host-init.yml"} 0
        fleet_drift_items{host="db01",severity="medium",playbook="playbooks/host-init.yml"} 0
        fleet_drift_items{host="db01",severity="high",playbook="playbooks/host-init.yml"} 0
        fleet_drift_items{host="db01",severity="critical",playbook="playbooks/host-init.yml"} 0
        fleet_drift_items{host="db02",severity="info",playbook="playbooks/host-init.yml"} 0
        fleet_drift_items{host="db02",severity="low",playbook="playbooks/host-init.yml"} 0
        fleet_drift_items{host="db02",severity="medium",playbook="playbooks/host-init.yml"} 0
        fleet_drift_items{host="db02",severity="high",playbook="playbooks/host-init.yml"} 0
        fleet_drift_items{host="db02",severity="critical",playbook="playbooks/host-init.yml"} 0
        fleet_drift_items{host="cache01",severity="info",playbook="playbooks/host-init.yml"} 0
        fleet_drift_items{host="cache01",severity="low",playbook="playbooks/host-init.yml"} 0
        fleet_drift_items{host="cache01",severity="medium",playbook="playbooks/host-init.yml"} 0
        fleet_drift_items{host="cache01",severity="high",playbook="playbooks/host-init.yml"} 0
        fleet_drift_items{host="cache01",severity="critical",playbook="playbooks/host-init.yml"} 0
        # HELP fleet_waived_items Resources that differ only where a waiver covers it.
        # TYPE fleet_waived_items gauge
        fleet_waived_items{host="web01",playbook="playbooks/host-init.yml"} 0
        fleet_waived_items{host="web02",playbook="playbooks/host-init.yml"} 1
        fleet_waived_items{host="db01",playbook="playbooks/host-init.yml"} 0
        fleet_waived_items{host="db02",playbook="playbooks/host-init.yml"} 0
        fleet_waived_items{host="cache01",playbook="playbooks/host-init.yml"} 0
        # HELP fleet_unknown_items Resources of which it could not be told whether they are as declared.
        # TYPE fleet_unknown_items gauge
        fleet_unknown_items{host="web01",playbook="playbooks/host-init.yml"} 0
        fleet_unknown_items{host="web02",playbook="playbooks/host-init.yml"} 0
        fleet_unknown_items{host="db01",playbook="playbooks/host-init.yml"} 1
        fleet_unknown_items{host="db02",playbook="playbooks/host-init.yml"} 0
        fleet_unknown_items{host="cache01",playbook="playbooks/host-init.yml"} 0
        # HELP fleet_failed_items Resources that could not be brought about, and the end of the host's run if it broke off.
        # TYPE fleet_failed_items gauge
        fleet_failed_items{host="web01",playbook="playbooks/host-init.yml"} 0
        fleet_failed_items{host="web02",playbook="playbooks/host-init.yml"} 0
        fleet_failed_items{host="db01",playbook="playbooks/host-init.yml"} 1
        fleet_failed_items{host="db02",playbook="playbooks/host-init.yml"} 1
        fleet_failed_items{host="cache01",playbook="playbooks/host-init.yml"} 0
        # HELP fleet_changed_items Resources that this run changed.
        # TYPE fleet_changed_items gauge
        fleet_changed_items{host="web01",playbook="playbooks/host-init.yml"} 0
        fleet_changed_items{host="web02",playbook="playbooks/host-init.yml"} 0
        fleet_changed_items{host="db01",playbook="playbooks/host-init.yml"} 0
        fleet_changed_items{host="db02",playbook="playbooks/host-init.yml"} 1
        fleet_changed_items{host="cache01",playbook="playbooks/host-init.yml"} 0
        # HELP fleet_host_reachable Whether the host was reached and answered to the end.
        # TYPE fleet_host_reachable gauge
        fleet_host_reachable{host="web01",playbook="playbooks/host-init.yml"} 1
        fleet_host_reachable{host="web02",playbook="playbooks/host-init.yml"} 1
        fleet_host_reachable{host="db01",playbook="playbooks/host-init.yml"} 1
        fleet_host_reachable{host="db02",playbook="playbooks/host-init.yml"} 1
        fleet_host_reachable{host="cache01",playbook="playbooks/host-init.yml"} 1
        fleet_host_reachable{host="edge01",playbook="playbooks/host-init.yml"} 0
        # HELP fleet_check_duration_seconds How long the host took, from the first attempt to connect.
        # TYPE fleet_check_duration_seconds gauge
        fleet_check_duration_seconds{host="web01",playbook="playbooks/host-init.yml"} 1.2
        fleet_check_duration_seconds{host="web02",playbook="playbooks/host-init.yml"} 1.2
        fleet_check_duration_seconds{host="db01",playbook="playbooks/host-init.yml"} 1.2
        fleet_check_duration_seconds{host="db02",playbook="playbooks/host-init.yml"} 1.2
        fleet_check_duration_seconds{host="cache01",playbook="playbooks/host-init.yml"} 1.2
        fleet_check_duration_seconds{host="edge01",playbook="playbooks/host-init.yml"} 0
        # HELP fleet_untouched_hosts Hosts that the run ended before it came to, wholly or in part.
        # TYPE fleet_untouched_hosts gauge
        fleet_untouched_hosts{playbook="playbooks/host-init.yml"} 0
        # HELP fleet_exit_code The exit code of the run: 0 is as declared, fleet's manual has the others.
        # TYPE fleet_exit_code gauge
        fleet_exit_code{playbook="playbooks/host-init.yml"} 4
        # HELP fleet_last_check_timestamp When the run ended, in seconds since 1970.
        # TYPE fleet_last_check_timestamp gauge
        fleet_last_check_timestamp{playbook="playbooks/host-init.yml"} 1800000002
        "#);
    }

    #[test]
    fn hosts_that_a_run_did_not_come_to_are_counted() {
        let report = run(
            Command::Apply,
            vec![host("a", []), untouched("b"), untouched("c")],
        );
        let text = to_prometheus(&report);
        let count = "\nfleet_untouched_hosts{playbook=\"playbooks/host-init.yml\"} 2\n";
        assert!(text.contains(count), "{text}");
    }

    #[test]
    fn a_hostile_name_stays_inside_its_label() {
        let report = run(Command::Check, vec![host("a\"} 1\nevil{x=\"\\", [])]);
        let text = to_prometheus(&report);
        assert!(
            text.contains(r#"fleet_host_reachable{host="a\"} 1\nevil{x=\"\\",playbook="#),
            "{text}"
        );
        let own = |line: &str| line.starts_with("fleet_") || line.starts_with("# ");
        assert!(text.lines().all(own), "{text}");
    }
}

//! The report as a monitoring plugin's answer: one line, performance data, and a state that is
//! also the plugin's exit code. Made for Nagios, read by Icinga, Naemon, Zabbix and `check_mk`.

use super::{ExitCode, HostStatus, RunReport, text};

/// What a plugin exits with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum State {
    /// Every host is as declared.
    Ok = 0,
    /// Every host is as declared, or differs only where a waiver covers it.
    Warning = 1,
    /// Drift was found, or something failed.
    Critical = 2,
    /// It could not be told: hosts unreachable, observations failed, the run was stopped or
    /// could not begin.
    Unknown = 3,
}

impl State {
    /// The state of a finished run. What cannot be told of a whole host outranks what was found
    /// on others, as in fleet's own exit codes.
    #[must_use]
    pub fn of(report: &RunReport) -> Self {
        match report.exit_code() {
            ExitCode::NotAsDeclared => Self::Critical,
            ExitCode::AsDeclared if waived(report) > 0 => Self::Warning,
            ExitCode::AsDeclared => Self::Ok,
            _ => Self::Unknown,
        }
    }

    /// As plugins write it.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
            Self::Unknown => "UNKNOWN",
        }
    }

    /// The line of a plugin in this state; `text` is one line.
    #[must_use]
    pub fn line(self, text: &str) -> String {
        // A bar would begin the performance data.
        format!("FLEET {} - {}", self.words(), text.replace('|', "/"))
    }
}

/// The report as one line with performance data.
#[must_use]
pub fn to_nagios(report: &RunReport) -> String {
    let total = report.hosts.len();
    let hosts = |status| report.count(status);
    let all = |count: fn(&super::Counts) -> usize| -> usize {
        report.hosts.iter().map(|host| count(&host.counts)).sum()
    };
    let data = [
        ("hosts", total),
        ("in_sync", hosts(HostStatus::InSync)),
        ("drifted", hosts(HostStatus::Drifted)),
        ("changed", hosts(HostStatus::Changed)),
        ("failed", hosts(HostStatus::Failed)),
        ("unknown", hosts(HostStatus::Unknown)),
        ("unreachable", hosts(HostStatus::Unreachable)),
        ("untouched", hosts(HostStatus::Untouched)),
        ("drift_items", all(|counts| counts.drift)),
        ("waived_items", all(|counts| counts.waived)),
    ];
    let data: Vec<_> = data
        .iter()
        .map(|(label, count)| format!("{label}={count};;;0"))
        .collect();
    let line = State::of(report).line(&text::summary(report));
    let seconds = report.duration.as_secs_f64();
    format!("{line} | {} duration={seconds:.3}s;;;0\n", data.join(" "))
}

fn waived(report: &RunReport) -> usize {
    report.hosts.iter().map(|host| host.counts.waived).sum()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{
        findings, host, locked, resource, rich, run, unreachable, untouched, waived,
    };
    use super::super::{Command, CutShort, HostReport};
    use super::*;
    use crate::protocol::Status;

    #[test]
    fn one_line_says_it_all() {
        insta::assert_snapshot!(to_nagios(&rich()), @"FLEET UNKNOWN - Drift: 4 resources on 2 of 6 hosts; 1 resource waived on 1 host; 1 resource could not be told on 1 host; 1 resource failed and ignored on 1 host; 2 hosts failed; 1 host unreachable. | hosts=6;;;0 in_sync=1;;;0 drifted=2;;;0 changed=0;;;0 failed=2;;;0 unknown=0;;;0 unreachable=1;;;0 untouched=0;;;0 drift_items=4;;;0 waived_items=1;;;0 duration=2.345s;;;0");
    }

    #[test]
    fn the_state_follows_from_the_worst_host() {
        let waived = || {
            let mut host = host("waived", findings(Status::Drift));
            host.waive(|_, _| Some(waived()));
            host
        };
        // Worst last: the state is that of the highest bit set.
        let hosts: [(&dyn Fn() -> HostReport, State); 7] = [
            (&|| host("in-sync", [resource(Status::Ok)]), State::Ok),
            (&waived, State::Warning),
            (&|| locked("locked"), State::Unknown),
            (
                &|| host("unknown", [resource(Status::Unknown)]),
                State::Unknown,
            ),
            (
                &|| host("drifted", [resource(Status::Drift)]),
                State::Critical,
            ),
            (
                &|| host("failed", [resource(Status::Failed)]),
                State::Critical,
            ),
            (&|| unreachable("unreachable"), State::Unknown),
        ];
        for present in 1_usize..1 << hosts.len() {
            let chosen: Vec<_> = (0..hosts.len())
                .filter(|bit| present >> bit & 1 == 1)
                .collect();
            let report = run(
                Command::Check,
                chosen.iter().map(|&bit| hosts[bit].0()).collect(),
            );
            let (_, expected) = hosts[*chosen.last().unwrap()];
            assert_eq!(State::of(&report), expected, "{chosen:?}");
        }
        let mut stopped = run(Command::Check, vec![host("a", [])]);
        stopped.cut_short = Some(CutShort::Interrupted);
        assert_eq!(State::of(&stopped), State::Unknown);
    }

    #[test]
    fn hosts_that_a_run_did_not_come_to_are_counted() {
        let mut report = run(Command::Apply, vec![host("a", []), untouched("b")]);
        report.cut_short = Some(CutShort::Paused { batches: 1 });
        let line = to_nagios(&report);
        assert!(line.starts_with("FLEET UNKNOWN - "), "{line}");
        assert!(line.contains(" in_sync=1;;;0 "), "{line}");
        assert!(line.contains(" untouched=1;;;0 "), "{line}");
    }

    #[test]
    fn only_the_performance_data_has_a_bar_before_it() {
        let line = State::Unknown.line("cannot read `a|b.yml`");
        assert_eq!(line, "FLEET UNKNOWN - cannot read `a/b.yml`");
    }
}

//! The exit codes, one table for all commands.

use super::{CutShort, ErrorClass, HostError, HostStatus, RunReport};

/// What the process exits with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ExitCode {
    /// Every selected host is as declared (for `apply`: now).
    AsDeclared = 0,
    /// The command line or the configuration is wrong; no host was touched.
    Usage = 1,
    /// `check`, `plan`: drift was found; `apply`: at least one host failed.
    NotAsDeclared = 2,
    /// `check`, `plan`: something could not be told, and no drift was found.
    Unknown = 3,
    /// At least one host was unreachable: the result is incomplete.
    Unreachable = 4,
    /// Another run holds the lock.
    Locked = 5,
    /// The run stopped before every host was done: at its failure budget, or because it was to.
    CutShort = 8,
    /// The user stopped it.
    Interrupted = 130,
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}

/// The exit code of a finished run.
pub(super) fn of(report: &RunReport) -> ExitCode {
    match report.cut_short {
        Some(CutShort::Interrupted) => return ExitCode::Interrupted,
        Some(_) => return ExitCode::CutShort,
        None => {}
    }
    // Nothing matched is not "as declared".
    if report.hosts.is_empty() {
        return ExitCode::Usage;
    }
    let any = |status| report.hosts.iter().any(|host| host.status() == status);
    let failed = report.hosts.iter().any(|host| {
        let locked = |error: &HostError| error.class == ErrorClass::Locked;
        host.status() == HostStatus::Failed && !host.error.as_ref().is_some_and(locked)
    });
    if any(HostStatus::Unreachable) {
        ExitCode::Unreachable
    } else if failed || any(HostStatus::Drifted) {
        ExitCode::NotAsDeclared
    } else if any(HostStatus::Unknown) {
        // After an apply nothing may be left untold: it is a failure like any other.
        if report.command.changes() {
            ExitCode::NotAsDeclared
        } else {
            ExitCode::Unknown
        }
    } else if any(HostStatus::Failed) {
        // Nothing is wrong but that another run was faster: try again later.
        ExitCode::Locked
    } else {
        ExitCode::AsDeclared
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{host, locked, resource, run, unreachable};
    use super::super::{Command, HostReport};
    use super::*;
    use crate::protocol::Status;

    /// The table of the manual, written out: the worst host over each command.
    #[test]
    fn every_combination_of_hosts_exits_as_the_table_says() {
        // Worst last, so the expected code is the one of the highest bit set.
        type Case = (fn() -> HostReport, u8, u8);
        let states: [Case; 7] = [
            //                                            check, apply
            (|| host("in-sync", [resource(Status::Ok)]), 0, 0),
            (|| host("changed", [resource(Status::Changed)]), 0, 0),
            (|| locked("locked"), 5, 5),
            (|| host("unknown", [resource(Status::Unknown)]), 3, 2),
            (|| host("drifted", [resource(Status::Drift)]), 2, 2),
            (|| host("failed", [resource(Status::Failed)]), 2, 2),
            (|| unreachable("unreachable"), 4, 4),
        ];
        for present in 1_usize..1 << states.len() {
            let chosen = || (0..states.len()).filter(move |bit| present >> bit & 1 == 1);
            let worst = chosen().next_back().expect("at least one bit is set");
            for command in [Command::Check, Command::Plan, Command::Apply, Command::Exec] {
                let hosts = chosen().map(|bit| states[bit].0()).collect();
                let mut report = run(command, hosts);
                let (_, check, apply) = states[worst];
                let expected = if command.changes() { apply } else { check };
                assert_eq!(report.exit_code() as u8, expected, "{command:?} {report:?}");
                for (cut_short, code) in [
                    (CutShort::Paused { batches: 1 }, 8),
                    (CutShort::Interrupted, 130),
                ] {
                    report.cut_short = Some(cut_short);
                    assert_eq!(report.exit_code() as u8, code);
                }
            }
        }
    }

    #[test]
    fn a_run_over_no_host_is_not_a_success() {
        assert_eq!(run(Command::Check, vec![]).exit_code(), ExitCode::Usage);
    }

    #[test]
    fn an_ignored_failure_and_a_skipped_task_leave_the_code_alone() {
        let mut ignored = resource(Status::Failed);
        ignored.ignored = true;
        let hosts = vec![host("a", [ignored, resource(Status::Skipped)])];
        assert_eq!(run(Command::Apply, hosts).exit_code(), ExitCode::AsDeclared);
    }
}

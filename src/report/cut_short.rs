//! Why a run ended before every host was done, and which ones were.

use serde::Serialize;

use super::{Command, ErrorClass, HostError, HostReport, HostStatus, RunReport, counted};

/// Why a run ended before every host was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CutShort {
    /// The user stopped it.
    Interrupted,
    /// So many hosts failed or were not reached, and `limit` is what was allowed not to be reached.
    MaxFail {
        /// How many.
        failed: usize,
        /// As written: a number or a percentage of the selected hosts.
        limit: String,
    },
    /// This host failed or was not reached, and any error was declared fatal.
    AnyError {
        /// Which.
        host: String,
    },
    /// It was to stop after so many batches.
    Paused {
        /// How many.
        batches: usize,
    },
    /// What was to be done could not be written into the run's journal, so it was not done.
    NotJournaled {
        /// Why not.
        reason: String,
    },
}

impl CutShort {
    /// For programs.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Interrupted => "interrupted",
            Self::MaxFail { .. } => "max_fail",
            Self::AnyError { .. } => "any_errors_fatal",
            Self::Paused { .. } => "paused",
            Self::NotJournaled { .. } => "not_journaled",
        }
    }

    /// For people: what stopped a run over so many hosts.
    #[must_use]
    pub fn words(&self, selected: usize) -> String {
        match self {
            Self::Interrupted => "interrupted".to_owned(),
            Self::MaxFail { failed, limit } => format!(
                "{failed} of {} failed or {} not reached, and `max_fail` is {limit}",
                counted(selected, "host"),
                if *failed == 1 { "was" } else { "were" },
            ),
            Self::AnyError { host } => {
                format!("{host} failed or was not reached, and `any_errors_fatal` is set")
            }
            Self::Paused { batches: 1 } => "paused after the first batch, as asked".to_owned(),
            Self::Paused { batches } => format!("paused after {batches} batches, as asked"),
            Self::NotJournaled { reason } => {
                format!("the run's journal cannot be written, so nothing more was begun: {reason}")
            }
        }
    }
}

/// The hosts of a run by how far they came, in the order of the inventory.
#[derive(Debug, Serialize)]
pub(super) struct HowFar<'r> {
    pub done: Vec<&'r str>,
    pub failed: Vec<&'r str>,
    pub interrupted: Vec<&'r str>,
    pub untouched: Vec<&'r str>,
}

impl<'r> HowFar<'r> {
    pub(super) fn of(report: &'r RunReport) -> Self {
        let mut far = Self {
            done: Vec::new(),
            failed: Vec::new(),
            interrupted: Vec::new(),
            untouched: Vec::new(),
        };
        for host in &report.hosts {
            let was_interrupted = |error: &HostError| {
                matches!(error.class, ErrorClass::Interrupted | ErrorClass::Abandoned)
            };
            let list = match host.status() {
                _ if host.error.as_ref().is_some_and(was_interrupted) => &mut far.interrupted,
                HostStatus::Untouched => &mut far.untouched,
                _ if host.has_failed(report.command) => &mut far.failed,
                _ => &mut far.done,
            };
            list.push(&*host.host);
        }
        far
    }
}

impl HostReport {
    /// Whether it failed or was not reached: what a failure budget counts. After a change,
    /// what could not be told is a failure too.
    #[must_use]
    pub fn has_failed(&self, command: Command) -> bool {
        match self.status() {
            HostStatus::Failed | HostStatus::Unreachable => true,
            HostStatus::Unknown => command.changes(),
            HostStatus::InSync
            | HostStatus::Drifted
            | HostStatus::Changed
            | HostStatus::Untouched => false,
        }
    }
}

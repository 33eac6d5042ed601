//! What earlier runs found: since when something drifts, what is new, what was mended.
//!
//! A check that only knows today says the same every night, and soon nobody reads it. So `check`
//! and `apply` remember their runs and findings in `.fleet/` of the project; `check --only-new`,
//! `fleet runs` and `fleet drift` read them.
//!
//! A finding is one difference of one resource on one host, found by one playbook. It is open
//! from the check that first saw it until a run looked again and saw it gone. Not to have looked
//! is not to have seen it gone: a host that was not reached, a resource that could not be told, a
//! task left out by `--tags` leave a finding as it was.
//!
//! [`digest`] is the whole of that rule, without a store; [`Store`] is what a store must do;
//! [`Sqlite`] is the embedded one. `plan` is not remembered: it is a look before an `apply`, and
//! what a person has seen there must not be old news for the nightly audit.

use std::time::Duration;

use jiff::Timestamp;

use crate::protocol::Severity;
use crate::report::{Command, RunReport};

mod digest;
mod project;
mod sqlite;

pub use digest::{Known, Scope, digest};
pub use project::{DIRECTORY, Project};
pub use sqlite::Sqlite;

/// Names a finding. While it is open, there is only one of its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    /// The playbook that declares otherwise, relative to the project.
    pub playbook: String,
    /// The host.
    pub host: String,
    /// The resource's kind.
    pub kind: String,
    /// The resource within its kind.
    pub id: String,
    /// What differs; empty if the host gave no particulars.
    pub attribute: String,
}

/// When something was seen, and by which run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// When the run began.
    pub at: Timestamp,
    /// The run's id.
    pub run: String,
}

/// What one run saw of a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What it is.
    pub subject: Subject,
    /// The role of the task.
    pub role: Option<String>,
    /// The task.
    pub task: String,
    /// How bad it is.
    pub severity: Severity,
    /// What is declared; shortened, and without secrets.
    pub expected: String,
    /// What was found; shortened, and without secrets.
    pub actual: String,
    /// A waiver covered it.
    pub waived: bool,
}

/// A finding with its history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was seen last.
    pub seen: Seen,
    /// When it was first seen, without a break since.
    pub first_seen: Sighting,
    /// When it was last seen.
    pub last_seen: Sighting,
    /// When it was gone; `None` while it is open.
    pub resolved: Option<Sighting>,
}

/// A run that came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunEntry {
    /// Its id.
    pub id: String,
    /// What was asked for.
    pub command: Command,
    /// The playbook, relative to the project.
    pub playbook: String,
    /// When it began.
    pub started_at: Timestamp,
    /// Wall time.
    pub duration: Duration,
    /// How many hosts it was about.
    pub hosts: u64,
    /// What it exited with.
    pub exit_code: u8,
}

/// What a run changes about what is remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Digest {
    /// Findings it saw.
    pub seen: Vec<Seen>,
    /// Open findings it saw to be gone.
    pub gone: Vec<Subject>,
}

/// Which findings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Only those of this playbook.
    pub playbook: Option<String>,
    /// Also those that are resolved.
    pub resolved: bool,
}

/// Where runs and findings are kept. A run is read and written from several processes at once;
/// what is written is written as a whole or not at all.
///
/// One controller has the embedded store; a store that several controllers share implements the
/// same three questions.
pub trait Store {
    /// Remembers a run and what it found, and forgets what is older than `forget`.
    ///
    /// A run that began earlier than what is remembered of a finding changes nothing about it:
    /// runs may end in another order than they began.
    ///
    /// # Errors
    /// When nothing was remembered.
    fn record(
        &mut self,
        run: &RunEntry,
        digest: &Digest,
        forget: Timestamp,
    ) -> Result<(), MemoryError>;

    /// The findings asked for, oldest first.
    ///
    /// # Errors
    /// When they cannot be read.
    fn findings(&self, query: &Query) -> Result<Vec<Finding>, MemoryError>;

    /// At most so many runs, the latest first.
    ///
    /// # Errors
    /// When they cannot be read.
    fn runs(&self, limit: u32) -> Result<Vec<RunEntry>, MemoryError>;
}

/// Why nothing could be remembered, or read.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// The project's directory cannot be used.
    #[error("cannot use `{path}`: {reason}")]
    Directory {
        /// Which.
        path: String,
        /// Why.
        reason: String,
    },
    /// The store is that of a later fleet.
    #[error("`{path}` was written by a newer fleet (format {format})")]
    Newer {
        /// The file.
        path: String,
        /// Its format.
        format: i64,
    },
    /// The store does not answer as it should.
    #[error("cannot {attempt} `{path}`")]
    Store {
        /// What was attempted: `read`, `write`.
        attempt: &'static str,
        /// The file.
        path: String,
        /// What it said.
        #[source]
        source: rusqlite::Error,
    },
}

impl MemoryError {
    /// What the user can do.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Directory { .. } => None,
            Self::Newer { .. } => Some("use that fleet, or move the file away".to_owned()),
            Self::Store { path, source, .. } => match source.sqlite_error_code()? {
                rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase => Some(
                    format!("move it away, and fleet begins anew: `mv {path} {path}.broken`"),
                ),
                _ => None,
            },
        }
    }
}

impl RunEntry {
    /// The entry of a finished run of `playbook`.
    #[must_use]
    pub fn of(report: &RunReport, playbook: &str) -> Self {
        Self {
            id: report.run_id.clone(),
            command: report.command,
            playbook: playbook.to_owned(),
            started_at: report.started_at,
            duration: report.duration,
            hosts: u64::try_from(report.hosts.len()).unwrap_or(u64::MAX),
            exit_code: report.exit_code() as u8,
        }
    }
}

#[cfg(test)]
mod tests;

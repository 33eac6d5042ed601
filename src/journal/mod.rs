//! The journal of an apply: what was asked for, and which hosts were begun and how they ended, in
//! the order in which it happened.
//!
//! One file of JSON lines per run, `.fleet/runs/RUN_ID.jsonl`, only ever appended to. That a host is
//! begun is on the disk before anything is sent to it; so whenever the controller dies, a host is
//! done, failed, untouched, or begun without an end, which is all that can be known of it. The
//! controller holds a lock on the file as long as it lives: the kernel says whether a run is going
//! on, not an entry that a dead one could not take back.
//!
//! Nothing here knows what a task is. [`Journal`] writes, [`Past`] reads.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::report::Batches;

mod locked;
mod past;
mod writer;

pub use past::{Past, latest, unfinished};
pub use writer::Journal;

/// The directory of journals in a project's own.
pub const DIRECTORY: &str = "runs";

/// Raised when a fleet that reads this one's journals would misunderstand them.
const FORMAT: u32 = 2;

/// What a run is about: enough to go on with it later. Holds no values of variables.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// The run.
    pub run_id: String,
    /// When it began.
    pub started_at: jiff::Timestamp,
    /// As the user named it.
    pub playbook: String,
    /// Where fleet was started; relative paths begin there.
    pub directory: PathBuf,
    /// The arguments, without variables. Only the command line understands it.
    pub arguments: serde_json::Value,
    /// The names of the variables that were given with `-e`. Their values may be secret.
    pub variables: Vec<String>,
    /// Every selected host, in the order of the inventory.
    pub hosts: Vec<String>,
    /// The plays with their batches.
    pub plays: Vec<Batches>,
    /// What `order: shuffle` went by.
    pub seed: u64,
    /// The run that this one goes on with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumes: Option<String>,
}

/// How a host ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// All plays were done.
    Done,
    /// Something could not be brought about.
    Failed,
    /// It was not reached, or the connection was lost.
    Unreachable,
    /// The user stopped it between two tasks.
    Interrupted,
    /// It was begun, and how far it came cannot be known.
    Unknown,
    /// Nothing was begun, or not all plays were.
    Untouched,
}

impl Outcome {
    /// All of them, in the order in which they are listed.
    pub const ALL: [Self; 6] = [
        Self::Done,
        Self::Failed,
        Self::Unreachable,
        Self::Interrupted,
        Self::Unknown,
        Self::Untouched,
    ];

    /// What a run that goes on takes without being asked for it: the hosts that are not over.
    pub const LEFT: [Self; 3] = [Self::Interrupted, Self::Unknown, Self::Untouched];

    /// For people and programs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Unreachable => "unreachable",
            Self::Interrupted => "interrupted",
            Self::Unknown => "unknown",
            Self::Untouched => "untouched",
        }
    }
}

/// One line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
enum Entry {
    /// The first line.
    Asked {
        format: u32,
        fleet: String,
        #[serde(flatten)]
        asked: Box<Asked>,
    },
    /// What came of hosts in the runs that this one goes on with.
    Earlier { hosts: BTreeMap<String, Outcome> },
    /// Written before anything is sent to these hosts.
    Begun {
        at: jiff::Timestamp,
        hosts: Vec<String>,
    },
    /// Nothing more is done on the host.
    Ended {
        at: jiff::Timestamp,
        host: String,
        outcome: Outcome,
    },
    /// The run came to its end by itself.
    Over {
        at: jiff::Timestamp,
        exit_code: u8,
        /// Why it ended before every host was done.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cut_short: Option<String>,
    },
    /// Another run goes on with it.
    Resumed { at: jiff::Timestamp, by: String },
}

/// Why a journal cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk says no.
    #[error("cannot {attempt} `{path}`")]
    File {
        /// What was attempted: `read`, `write`.
        attempt: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What it said.
        #[source]
        source: io::Error,
    },
    /// There is no journal of this run.
    #[error("there is no journal of a run `{id}`")]
    NoSuchRun {
        /// As asked for.
        id: String,
        /// The run that was probably meant.
        near: Option<String>,
    },
    /// A line makes no sense.
    #[error("{path}:{line}: {reason}", path = path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// It was written by a later fleet.
    #[error("`{path}` was written by a newer fleet (format {format})", path = path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: u32,
    },
    /// The run is going on.
    #[error("run {id} is still going on")]
    Running {
        /// The run.
        id: String,
    },
}

impl JournalError {
    /// What the user can do.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::File { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                "make room on that disk: fleet changes nothing that it cannot journal first"
                    .to_owned()
            }
            Self::File {
                attempt: "read", ..
            } => "see who may read it".to_owned(),
            Self::File { .. } => {
                "see who may write there: fleet changes nothing that it cannot journal first"
                    .to_owned()
            }
            Self::NoSuchRun { near: Some(id), .. } => format!("did you mean `{id}`?"),
            Self::NoSuchRun { .. } => {
                "only applies have one, in `.fleet/runs/` of their project; `fleet runs` lists runs"
                    .to_owned()
            }
            Self::Broken { .. } => {
                "somebody changed the file; begin anew with `fleet apply PLAYBOOK`".to_owned()
            }
            Self::Newer { .. } => "use that fleet".to_owned(),
            Self::Running { .. } => "wait for its end, or stop it".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;

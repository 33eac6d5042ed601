//! What a command asks of the engine, in plain values: nothing here knows of clap.

#![expect(
    dead_code,
    reason = "the engine, which reads all of this, is being written"
)]

use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Error, ErrorKind};
use crate::report::{Command, Keep, Progress, RunReport};
use crate::secret::Secret;

/// One run over some hosts.
#[derive(Clone, Debug)]
pub(super) struct Request {
    /// Look, or change.
    pub command: Command,
    /// What to do there.
    pub work: Work,
    /// Where hosts and variables come from.
    pub sources: Sources,
    /// A pattern that hosts must match too.
    pub limit: Option<String>,
    /// How to reach them.
    pub connection: Connection,
    /// Only tasks with one of these tags; all, if empty.
    pub tags: Vec<String>,
    /// No task with one of these tags.
    pub skip_tags: Vec<String>,
    /// Make unified diffs.
    pub diff: bool,
    /// What the report is to keep.
    pub keep: Keep,
}

/// What to do on each host.
#[derive(Clone, Debug)]
pub(super) enum Work {
    /// The plays of this file.
    Playbook(PathBuf),
    /// One command on the hosts of a pattern.
    Exec {
        /// Which hosts.
        pattern: String,
        /// Program and arguments, as they are: no shell.
        argv: Vec<String>,
    },
    /// Nothing but to ask the hosts of a pattern what they are.
    Facts {
        /// Which hosts.
        pattern: String,
    },
}

/// Where hosts and variables come from.
#[derive(Clone, Debug)]
pub(super) struct Sources {
    /// As given with `-i`; `inventory/` if there are none.
    pub inventory: Vec<String>,
    /// As given with `-e`, in that order.
    pub extra_vars: Vec<String>,
}

/// How to reach hosts.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    /// How many hosts are worked on at once.
    pub forks: NonZeroU16,
    /// The user to log in as.
    pub user: Option<String>,
    /// The key to log in with.
    pub private_key: Option<PathBuf>,
    /// Read instead of `~/.ssh/config`.
    pub ssh_config: Option<PathBuf>,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// Become root.
    pub r#become: bool,
    /// What sudo will ask for.
    pub become_password: Option<Secret>,
}

/// What to list instead of doing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listing {
    Hosts,
    Tasks,
    Tags,
}

/// Does what `request` says, telling `progress` of it.
///
/// # Errors
/// When nothing could be begun; what goes wrong on a host is in the report.
pub(super) fn run(request: &Request, _progress: &dyn Progress) -> Result<RunReport, Error> {
    Err(not_wired(&request.work))
}

/// Lists what `run` would work on.
pub(super) fn list(request: &Request, _listing: Listing) -> Result<String, Error> {
    Err(not_wired(&request.work))
}

/// Checks everything that can be checked without contacting a host.
///
/// # Errors
/// Everything that is wrong, as diagnostics.
pub(super) fn validate(request: &Request) -> Result<(), Error> {
    Err(not_wired(&request.work))
}

// For the lead: replace the three functions above by calls into `crate::run`.
fn not_wired(work: &Work) -> Error {
    Error::new(
        ErrorKind::Internal,
        format!("the engine is not part of this build: {work:?}"),
    )
}

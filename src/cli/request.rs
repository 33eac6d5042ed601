//! What was asked for on the command line, settings already looked up.

use std::num::NonZeroU16;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::journaling::Journaling;
use crate::report::{Command, Gathering, Keep};
use crate::run::Rollout;
use crate::secret::{Secret, Vault};

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
    /// What the playbook made and no longer declares is a difference, which `apply` removes.
    pub prune: bool,
    /// How long `apply` waits for another run that changes the same host.
    pub lock_timeout: Duration,
    /// How an apply goes over its hosts, as far as the plays are not to say.
    pub rollout: Rollout,
    /// What an apply's journal begins with.
    pub journaling: Option<Journaling>,
    /// Make unified diffs.
    pub diff: bool,
    /// What the report is to keep.
    pub keep: Keep,
    /// Colour what goes to stderr.
    pub color: bool,
    /// The file of waivers to go by, if any.
    pub waivers: Option<PathBuf>,
    /// Opens encrypted files, and keeps what is in them out of what is said.
    pub vault: Vault,
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
    /// Ask them also what is on them.
    Census {
        /// Which hosts.
        pattern: String,
        /// Where it is put together.
        gathering: Arc<Gathering>,
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
    /// How long a host may take, beyond what its plan declares to take longer.
    pub host_timeout: Duration,
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

//! The managed host as kinds see it: files, commands, and contents from the controller.
//!
//! Everything here runs inside the helper, as the user it was started as (usually root). The
//! helper does one thing at a time, so [`Host`] is used by one thread and needs no locks.

use std::cell::{Cell, RefCell};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

mod accounts;
mod addresses;
mod alone;
mod answers;
mod attributes;
pub(crate) mod block_device;
pub(crate) mod census;
mod command;
pub(crate) mod config_dirs;
mod confirmation;
pub(crate) mod docker;
pub mod docker_api;
pub(crate) mod docker_containers;
pub(crate) mod docker_unit;
mod draft;
mod entry;
pub mod evr;
pub mod facts;
mod files;
pub(crate) mod haproxy;
pub(crate) mod http_get;
mod ledger;
mod link;
mod lock;
pub(crate) mod lvm;
mod mode;
mod obstacle;
mod own;
mod path;
mod pending;
pub(crate) mod rpm;
mod snapshot;
mod staging;
mod start_failure;
pub mod systemctl;
mod tree;
mod unheard;

pub(crate) use accounts::Database;
#[cfg(feature = "control")]
pub(crate) use accounts::account_of;
pub use alone::end_when_alone;
pub(crate) use alone::hold_results;
pub use command::{Command, CommandEnd, CommandFailure};
pub use confirmation::{Watched, WayBack, check_confirm_timeout, confirm_within, watch};
pub(crate) use confirmation::{confirm, require as require_confirmation};
pub use draft::Draft;
#[cfg(feature = "control")]
pub(crate) use entry::names_of;
pub(crate) use files::list;
pub use files::{FileKind, Found, Metadata, Permissions};
pub(crate) use ledger::{Ledger, Made};
pub use link::Link;
pub(crate) use lock::{HostLock, Turn, running_apply};
pub use mode::{FileMode, InvalidMode};
pub(crate) use obstacle::{SYSTEM, unescape};
pub(crate) use own::make_private_directory;
pub use path::{HostPath, InvalidPath};
pub(crate) use pending::Pending;
pub use snapshot::Snapshot;
pub(crate) use snapshot::remove_file;
pub use staging::Staged;
pub(crate) use unheard::{Place, Unheard, UnheardResult, now};

use accounts::Accounts;
use answers::Answers;

use crate::protocol::wire::WireError;
use crate::protocol::{Advance, Begin, Event, Judge, Message, Mode, Step, TaskId};

/// For tests of what only root can do: to be skipped is not to be tested.
#[cfg(test)]
pub(crate) fn needs_root() {
    assert!(rustix::process::geteuid().is_root(), "this test needs root");
}

/// Why something on the host could not be observed or changed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Something this resource needs is not there: a unit, a user, a parent directory, a tool.
    /// In check mode, after an earlier task that would change the host, this reads as "cannot
    /// be known before apply".
    #[error("{0}")]
    Missing(String),
    /// The operating system said no.
    #[error("cannot {action} {path}: {source}", path = path.display())]
    Io {
        /// What was attempted: `read`, `create`, `rename`.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the kernel answered.
        source: io::Error,
    },
    /// A command failed, could not start or ran out of time.
    #[error("{0}")]
    Command(#[from] CommandFailure),
    /// What is declared will not be done, because of what was found on the host.
    #[error("{0}")]
    Refused(String),
    /// What was found on the host, or what a tool printed, could not be understood.
    #[error("{0}")]
    Unexpected(String),
    /// The conversation with the controller is broken; nothing more can be done.
    #[error("the connection to the controller is lost: {0}")]
    Disconnected(String),
}

impl Failure {
    /// An error of the operating system, with what was attempted and where.
    pub fn io(action: &'static str, path: &Path, source: impl Into<io::Error>) -> Self {
        Self::Io {
            action,
            path: path.to_owned(),
            source: source.into(),
        }
    }
}

/// The host a resource is on.
pub struct Host {
    link: RefCell<Link>,
    accounts: RefCell<Accounts>,
    /// What was heard so far; `None` while a task changes the host.
    answers: RefCell<Option<Answers>>,
    state: PathBuf,
    begin: Begin,
    /// When the controller was last told how far something has come.
    advanced: Cell<Option<Instant>>,
    /// Directories that will be there when the tasks that follow are applied.
    foreseen: RefCell<Vec<PathBuf>>,
}

/// The controller is not told more often than this how far something has come.
const ADVANCE_PAUSE: Duration = Duration::from_secs(1);

impl Host {
    /// The host at the other end of `link`. `state` is fleet's own directory on it.
    #[must_use]
    pub fn new(link: Link, state: PathBuf, begin: Begin) -> Self {
        Self {
            link: RefCell::new(link),
            accounts: RefCell::default(),
            answers: RefCell::new(Some(Answers::default())),
            state,
            begin,
            advanced: Cell::default(),
            foreseen: RefCell::default(),
        }
    }

    /// A host without a controller, for tests of kinds: contents cannot be fetched.
    #[cfg(test)]
    pub(crate) fn offline(state: &Path) -> Self {
        Self::offline_in(state, Mode::Apply)
    }

    /// The same, in either mode.
    #[cfg(test)]
    pub(crate) fn offline_in(state: &Path, mode: Mode) -> Self {
        let begin = Begin {
            mode,
            diff: true,
            run_id: "test".to_owned(),
            claim: None,
            playbook: None,
        };
        let (nothing, _) = io::pipe().expect("two more descriptors");
        Self::new(Link::new(nothing, io::sink()), state.to_owned(), begin)
    }

    /// The conversation goes on without this view of the host.
    pub(crate) fn into_link(self) -> Link {
        self.link.into_inner()
    }

    /// A task that comes before what follows, and is not applied, makes the directory at `path`.
    pub(crate) fn foresee_directory(&self, path: &Path) {
        self.foreseen.borrow_mut().push(path.to_owned());
    }

    /// Whether there will be a directory at `path` by then.
    fn foresees_directory(&self, path: &Path) -> bool {
        let foreseen = self.foreseen.borrow();
        foreseen.iter().any(|made| made.starts_with(path))
    }

    /// Whether changes are wanted. Not for kinds: they never know.
    pub(crate) fn mode(&self) -> Mode {
        self.begin.mode
    }

    /// Whether unified diffs of file contents are wanted.
    pub fn wants_diff(&self) -> bool {
        self.begin.diff
    }

    /// Names the run in backups and journals.
    pub fn run_id(&self) -> &str {
        &self.begin.run_id
    }

    /// Names the playbook in the host's memory of what was made, if a playbook is run.
    pub(crate) fn playbook(&self) -> Option<&str> {
        self.begin.playbook.as_deref()
    }

    /// Whether somebody is there who can come again over a new connection.
    pub(crate) fn can_be_confirmed(&self) -> bool {
        self.begin.claim.is_some()
    }

    /// fleet's own directory on the host, for what must outlive a run.
    pub fn state_directory(&self) -> &Path {
        &self.state
    }

    /// Whether the helper runs as root.
    pub fn is_root(&self) -> bool {
        rustix::process::geteuid().is_root()
    }

    /// The uid of a user by name; digits are taken as the uid itself.
    ///
    /// # Errors
    /// [`Failure::Missing`] if there is no such user.
    pub fn user_id(&self, name: &str) -> Result<u32, Failure> {
        self.accounts.borrow_mut().id(Database::Passwd, name)
    }

    /// The gid of a group by name; digits are taken as the gid itself.
    ///
    /// # Errors
    /// [`Failure::Missing`] if there is no such group.
    pub fn group_id(&self, name: &str) -> Result<u32, Failure> {
        self.accounts.borrow_mut().id(Database::Group, name)
    }

    /// Forgets users and groups looked up so far. To be called after changing them.
    pub fn forget_accounts(&self) {
        *self.accounts.borrow_mut() = Accounts::default();
    }

    /// Tells the controller how far the task has come, in bytes; most calls are not passed on.
    pub fn advance(&self, step: Step, done: u64, total: u64) {
        let now = Instant::now();
        let early = |last| now.duration_since(last) < ADVANCE_PAUSE;
        if self.advanced.get().is_some_and(early) {
            return;
        }
        self.advanced.set(Some(now));
        // Where nobody listens any more, the task's end cannot be told either, and that is said.
        let _ = self.send(&Event::Advanced(Advance { step, done, total }));
    }

    /// Tells the controller something.
    pub(crate) fn send(&self, event: &Event) -> Result<(), WireError> {
        self.link.borrow_mut().send(event)
    }

    /// Waits for what the controller says next; `None` when it has hung up.
    pub(crate) fn receive(&self) -> Result<Option<Message>, WireError> {
        self.link.borrow_mut().receive()
    }

    /// Whether the controller wants nothing more to be begun.
    pub(crate) fn is_told_to_stop(&self) -> Result<bool, WireError> {
        self.link.borrow_mut().is_told_to_stop()
    }

    /// CPU time that fleet has used here, in milliseconds.
    pub(crate) fn cpu_ms(&self) -> u64 {
        self.link.borrow().cpu_ms()
    }

    /// Waits for the controller's verdict on a task.
    pub(crate) fn judge(&self, task: TaskId) -> Result<Judge, WireError> {
        self.link.borrow_mut().judge(task)
    }

    fn account_name(&self, database: Database, id: u32) -> Result<String, Failure> {
        self.accounts.borrow_mut().name(database, id)
    }
}

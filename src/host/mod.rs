//! The managed host as kinds see it: files, commands, and contents from the controller.
//!
//! Everything here runs inside the helper, as the user it was started as (usually root).

use std::io;
use std::path::PathBuf;

mod command;
mod files;

pub use command::Command;
pub use files::FileMode;

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
    Command(#[from] command::CommandFailure),
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

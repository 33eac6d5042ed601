//! The process at the other end of a conversation, on this machine or behind `ssh`.

use std::sync::Arc;
use std::time::Duration;

use openssh::Session;
use tokio::time::timeout;

use super::channel::{Ending, Exit};
use super::ssh::Master;
use super::stderr::Stderr;
use crate::harmless::printable;

/// What is left to wait for.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) end: End,
    pub(super) stderr: Stderr,
}

/// The handle to wait on.
#[derive(Debug)]
pub(super) enum End {
    /// A child of this process.
    Local(tokio::process::Child),
    /// A command over a connection of its own.
    Ssh(openssh::Child<Arc<Session>>, Master),
}

/// How long the last words may take after the end.
const LAST_WORDS: Duration = Duration::from_millis(500);

impl Process {
    /// Gives up on a far side that did not become a helper.
    pub(super) fn abandon(&mut self) {
        if let End::Local(child) = &mut self.end {
            // An error means that it has ended, or became another user and is out of reach; then
            // the end of its input ends it, as it does behind ssh.
            let _ = child.start_kill();
        }
    }

    /// Waits for the end, at most `patience`, and closes the connection.
    pub(super) async fn close(mut self, patience: Duration) -> Ending {
        let (exit, lost) = match self.end {
            End::Local(mut child) => {
                let exit = match timeout(patience, child.wait()).await {
                    Ok(Ok(status)) => status.code().map_or(Exit::Killed, Exit::Status),
                    Ok(Err(_)) => Exit::Lost,
                    Err(_) => Exit::Running,
                };
                (exit, String::new())
            }
            End::Ssh(child, master) => {
                let exit = match timeout(patience, child.wait()).await {
                    Ok(Ok(status)) => status.code().map_or(Exit::Killed, Exit::Status),
                    // The crate reports a remote 127 as "command not found".
                    Ok(Err(openssh::Error::Remote(_))) => Exit::Status(127),
                    // Without a status the command was killed, unless ssh itself is gone.
                    Ok(Err(_)) if master.is_alive().await => Exit::Killed,
                    Ok(Err(_)) => Exit::Lost,
                    Err(_) => Exit::Running,
                };
                let lost = if exit == Exit::Lost {
                    master.last_words()
                } else {
                    String::new()
                };
                // With the command still running there, only dropping the connection ends ssh.
                if matches!(exit, Exit::Status(_) | Exit::Killed) {
                    master.close().await;
                }
                (exit, lost)
            }
        };
        let said = self.stderr.rest(LAST_WORDS).await;
        let stderr = said
            .lines()
            .chain(lost.lines())
            .map(printable)
            .filter(|line| !line.is_empty());
        Ending {
            exit,
            stderr: stderr.collect(),
        }
    }
}

//! Why a host gave no result, or only part of one.

use serde::Serialize;

/// Why a host gave no result, or only part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostError {
    /// What kind of reason.
    pub class: ErrorClass,
    /// In words, possibly several lines.
    pub message: String,
}

/// What kind of reason kept a host from giving a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorClass {
    /// The name does not resolve.
    Dns,
    /// Nothing listens there, or the network says no.
    Refused,
    /// No answer in time.
    Timeout,
    /// The host key is unknown or not the one known.
    HostKey,
    /// No key or password was accepted.
    Authentication,
    /// `sudo` did not let us.
    Sudo,
    /// The helper could not be put on the host or started there.
    Helper,
    /// The connection broke while the host was being worked on.
    Lost,
    /// Not reached for another reason.
    Other,
    /// Reached, but the work could not go on: a variable, a template, a full disk.
    Stopped,
    /// Reached, but another run changes the host: nothing was done.
    Locked,
    /// The user stopped it between two tasks: what was begun is done, and known.
    Interrupted,
    /// The user did not wait for its end: what it was doing it may have done.
    Abandoned,
    /// The run ended before the host's turn, or before its turn in a later play.
    Untouched,
}

impl ErrorClass {
    /// Whether the host counts as unreachable (exit code 4) and not as failed (2).
    #[must_use]
    pub const fn is_unreachable(self) -> bool {
        !matches!(
            self,
            Self::Stopped | Self::Locked | Self::Interrupted | Self::Abandoned | Self::Untouched
        )
    }

    /// For people, after "unreachable:".
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Dns => "the name does not resolve",
            Self::Refused => "connection refused",
            Self::Timeout => "no answer in time",
            Self::HostKey => "host key refused",
            Self::Authentication => "authentication refused",
            Self::Sudo => "sudo refused",
            Self::Helper => "the helper did not start",
            Self::Lost => "connection lost",
            Self::Other => "no connection",
            Self::Stopped => "stopped",
            Self::Locked => "locked by another run",
            Self::Interrupted => "interrupted",
            Self::Abandoned => "abandoned",
            Self::Untouched => "untouched",
        }
    }
}

//! Why a conversation ends before its time.

use std::time::Duration;

use crate::protocol::{Holder, cut};
use crate::run::lock;
use crate::transport::TransportError;

/// The longest words with which a helper ends, in bytes.
const WORDS_LIMIT: usize = 64 * 1024;

/// Why the conversation with a helper ended before its time.
#[derive(Debug, thiserror::Error)]
pub(in crate::run) enum Lost {
    /// The stream broke, or the helper said something that makes no sense.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The stream ended without `Done`: the helper was killed, or the host went down.
    #[error("the helper ended without finishing: it was killed, or the host went down")]
    Ended,
    /// Nothing was heard for too long.
    #[error("nothing was heard from the helper for {} s", .0.as_secs())]
    Silent(Duration),
    /// The host does not read what it is sent.
    #[error("the helper did not take what was sent to it for {} s", .0.as_secs())]
    Deaf(Duration),
    /// A task goes on without an end.
    #[error(
        "a task did not end in the time that it may take, although the helper went on talking: \
         the host is not what it should be, or the task needs a `timeout`"
    )]
    Slow,
    /// Everything together took too long.
    #[error(
        "the host took longer than the {} s that it has for this run; \
         `--host-timeout` gives it more", .0.as_secs()
    )]
    OverTime(Duration),
    /// Nothing of the run is in the way, and the host says so.
    #[error(
        "the helper waits for another host of this run that is the same machine, and there is none \
         at work; is a helper of this run left over there?"
    )]
    NoTurn,
    /// The helper spoke out of turn: what it says about its tasks cannot be relied on.
    #[error("the helper said something out of turn: {0}")]
    OutOfTurn(&'static str),
    /// The helper itself could not go on.
    #[error("{0}")]
    Fatal(String),
    /// Another run writes to the host, and did not end in time.
    #[error("{}", lock::in_words(.0.as_ref()))]
    Locked(Option<Holder>),
}

impl Lost {
    /// The helper could not go on, and says why.
    pub(super) fn fatal(mut message: String) -> Self {
        cut(&mut message, WORDS_LIMIT);
        Self::Fatal(message)
    }
}

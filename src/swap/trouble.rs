//! What can go wrong with a swap.

use serde::Serialize;

/// Why a swap did not come about.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Trouble {
    /// What kind of trouble.
    pub class: Class,
    /// What happened, in one sentence without a period.
    pub message: String,
}

/// What kind of trouble it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// A load balancer was not reached.
    Unreachable,
    /// Another swap runs.
    Locked,
    /// The user stopped it.
    Interrupted,
    /// The gate's check was not clean.
    Gate,
    /// The deployment failed.
    Deploy,
    /// A server or the live address does not answer as it should.
    Health,
    /// Sessions did not end.
    Drain,
    /// Hosts are out of service for somebody else's reasons.
    Held,
    /// Too few servers would be left.
    Budget,
    /// A load balancer refuses, or contradicts the file.
    LoadBalancer,
    /// The journal cannot be written.
    Journal,
}

impl Trouble {
    /// Trouble of a class.
    pub fn new(class: Class, message: impl Into<String>) -> Self {
        Self {
            class,
            message: message.into(),
        }
    }
}

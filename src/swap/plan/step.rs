//! The steps there are, whatever they are taken for.

use std::collections::BTreeSet;

use crate::protocol::balancer::Admin;
use crate::swap::world::Slot;

/// The one thing to do next.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::swap) enum Step {
    /// Check the gate's playbook on hosts.
    Gate(Vec<String>),
    /// Apply the deployment's playbook to hosts.
    Deploy(Vec<String>),
    /// Ask servers for their health.
    Health(BTreeSet<Slot>),
    /// Change the state of servers.
    Put(Admin, BTreeSet<Slot>),
    /// Wait until HAProxy calls servers up.
    AwaitUp(BTreeSet<Slot>),
    /// Wait until they have been up long enough.
    Settle,
    /// Wait until drained servers have nothing left.
    AwaitEmpty(BTreeSet<Slot>),
    /// Ask the live address for its health.
    Live,
    /// Nothing.
    Done,
    /// Nothing that is allowed: too few servers would be left.
    Short(Shortage),
}

/// Where too few servers would be left in service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::swap) struct Shortage {
    /// Which load balancer.
    pub balancer: String,
    /// Which of its backends.
    pub backend: String,
    /// How many would be left.
    pub left: usize,
    /// How many have to be.
    pub floor: usize,
}

impl std::fmt::Display for Shortage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} of the servers would be left in service in the backend `{}` of {}, and {} have to be",
            self.left, self.backend, self.balancer, self.floor
        )
    }
}

//! The border between the loop and what it acts on: behind it are load balancers over SSH, or a
//! simulation of them in which everything goes wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::journal::Entry;
use super::trouble::Trouble;
use super::world::{Slot, World};
use crate::protocol::balancer::Admin;

/// What a swap acts on: the load balancers, the playbooks, the clock and the journal.
pub(super) trait Fleet {
    /// What the load balancers say now. One that does not answer is in the world as missing.
    fn look(&mut self) -> impl Future<Output = World>;

    /// Puts servers into a state. With `floors`, no load balancer does it that would be left
    /// with fewer servers in a backend.
    fn put(
        &mut self,
        admin: Admin,
        slots: &BTreeSet<Slot>,
        floors: Option<&BTreeMap<(String, String), usize>>,
    ) -> impl Future<Output = Result<(), Trouble>>;

    /// Ends the sessions of servers.
    fn end_sessions(&mut self, slots: &BTreeSet<Slot>)
    -> impl Future<Output = Result<(), Trouble>>;

    /// Checks the gate on hosts.
    fn gate(&mut self, hosts: &[String]) -> impl Future<Output = Result<(), Trouble>>;

    /// Deploys to hosts.
    fn deploy(&mut self, hosts: &[String]) -> impl Future<Output = Result<(), Trouble>>;

    /// Asks servers for their health.
    fn health(
        &mut self,
        world: &World,
        slots: &BTreeSet<Slot>,
    ) -> impl Future<Output = Result<(), Trouble>>;

    /// Asks the live address for its health.
    fn live(&mut self) -> impl Future<Output = Result<(), Trouble>>;

    /// Waits, but not after an interruption.
    fn pause(&mut self, time: Duration) -> impl Future<Output = ()>;

    /// Time since some beginning, by a clock that nobody sets.
    fn now(&self) -> Duration;

    /// Whether the user has asked to stop since the last question.
    fn is_interrupted(&mut self) -> bool;

    /// Writes the journal.
    fn remember<E: Entry>(&mut self, record: &E) -> Result<(), Trouble>;

    /// Tells the user what is done next.
    fn announce(&mut self, text: &str);
}

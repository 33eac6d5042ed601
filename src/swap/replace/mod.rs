//! Hosts of one pool are replaced, some at a time, while the others serve.
//!
//! The journal says which hosts are done and which may be broken; where servers are is told by the
//! load balancers alone, as where traffic is moved.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::journal::Entry;
use super::world::Slot;

mod call;
mod drive;
mod forecast;
mod plan;

pub(super) use call::Call;

/// How far a replace has come, as far as the load balancers cannot say: the journal's content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// The run that began it.
    pub run_id: String,
    /// Nothing is under way.
    pub over: bool,
    /// The hosts that were replaced and are back.
    pub done: BTreeSet<String>,
    /// The hosts that are replaced now.
    pub batch: Option<Batch>,
    /// The hosts on which the playbook was begun, and that were not proven since: they get no
    /// traffic, in whichever run that was.
    pub suspect: BTreeSet<String>,
    /// What fleet has taken out of service, in this replace or earlier.
    pub parked: BTreeSet<Slot>,
    /// What failed when it was stopped; nothing if somebody has stopped it.
    pub error: Option<String>,
}

/// Hosts that are replaced together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Batch {
    /// In the inventory.
    pub hosts: Vec<String>,
    /// How far they are.
    pub phase: Phase,
}

/// How far a batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Phase {
    /// Its hosts are as they were, in service or not.
    Untouched,
    /// The playbook was begun: what is on its hosts is not known, and they get no traffic.
    Begun,
    /// Its hosts are as declared and healthy: they may get traffic.
    Proven,
}

impl Record {
    /// Begins a batch.
    fn begin(&mut self, hosts: Vec<String>) {
        let suspect = hosts.iter().any(|host| self.suspect.contains(host));
        let phase = if suspect {
            Phase::Begun
        } else {
            Phase::Untouched
        };
        self.batch = Some(Batch { hosts, phase });
    }

    /// The batch is so far now.
    fn enter(&mut self, phase: Phase) {
        let Some(batch) = &mut self.batch else {
            return;
        };
        batch.phase = phase;
        let hosts = batch.hosts.iter();
        match phase {
            Phase::Untouched => {}
            Phase::Begun => self.suspect.extend(hosts.cloned()),
            Phase::Proven => self.suspect.retain(|host| !batch.hosts.contains(host)),
        }
    }

    /// The batch is done.
    fn finish(&mut self) {
        let batch = self.batch.take().into_iter();
        self.done.extend(batch.flat_map(|batch| batch.hosts));
    }
}

impl Entry for Record {
    const FILE: &'static str = "replace.json";

    fn is_over(&self) -> bool {
        self.over
    }

    fn parked(&mut self) -> &mut BTreeSet<Slot> {
        &mut self.parked
    }
}

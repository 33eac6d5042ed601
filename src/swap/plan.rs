//! What is to be done next: decided from what the load balancers say, and from nothing that was
//! true a moment ago.
//!
//! This is where the promise is kept that too few servers are never left in service.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::world::{Pool, Rules, Slot, World};
use crate::protocol::balancer::Admin;

/// What a swap is about and how far it has come, as far as the load balancers cannot say: the
/// journal's content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The run that wrote it.
    pub run_id: String,
    /// The pool that served at the beginning.
    pub from: String,
    /// The pool that is to serve.
    pub to: String,
    /// Which way it goes.
    pub stage: Stage,
    /// What was done with the target pool before it gets traffic.
    pub preparation: Preparation,
    /// What fleet has taken out of service, in this swap or earlier.
    pub parked: BTreeSet<Slot>,
    /// Servers of the target pool that served beside the other pool at the beginning.
    pub beside: BTreeSet<Slot>,
    /// How many servers were in service at the beginning, per load balancer and backend.
    #[serde(with = "counts")]
    pub before: BTreeMap<(String, String), usize>,
    /// Why it is taken back, or was.
    pub error: Option<String>,
}

/// JSON has no keys of two parts.
mod counts {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    type Counts = BTreeMap<(String, String), usize>;

    pub(super) fn serialize<S: Serializer>(counts: &Counts, to: S) -> Result<S::Ok, S::Error> {
        Vec::from_iter(counts).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Counts, D::Error> {
        let pairs = Vec::<((String, String), usize)>::deserialize(from)?;
        Ok(pairs.into_iter().collect())
    }
}

/// Which way a swap goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// To the target pool.
    Forward,
    /// Back to where it was.
    Back,
    /// Nothing is under way: the target pool serves.
    Swapped,
    /// Nothing is under way: it was taken back.
    Reverted,
}

/// What was done with the target pool while it was idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preparation {
    /// Nothing.
    None,
    /// The gate was passed.
    Gated,
    /// A deployment was begun: what is on its hosts is not known.
    Deploying,
    /// All of it, or none is needed.
    Done,
}

/// What this call has seen with its own eyes. Asked again by the next one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "observations, each true or not yet"
)]
pub(super) struct Seen {
    /// Every server that gets traffic answered as it should.
    pub healthy: bool,
    /// The servers have been up long enough.
    pub settled: bool,
    /// The live address answers as it should.
    pub live: bool,
    /// Nobody waits any more for servers that do not come up.
    pub waited: bool,
}

/// The one thing to do next.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// Check the gate's playbook on the target pool.
    Gate,
    /// Apply the deployment's playbook to the target pool.
    Deploy,
    /// Ask the target pool's servers for their health.
    Health,
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
pub(super) struct Shortage {
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

/// What to do next.
#[must_use]
pub(super) fn next_step(rules: &Rules, world: &World, record: &Record, seen: Seen) -> Step {
    let decision = Decision {
        rules,
        world,
        record,
        seen,
    };
    decision.step()
}

/// Whether the target pool could serve alone.
///
/// # Errors
/// Where it could not.
pub(super) fn can_serve_alone(
    rules: &Rules,
    world: &World,
    record: &Record,
) -> Result<(), Shortage> {
    let target = rules.other(&record.from);
    for place in world.in_service(&BTreeSet::new()).into_keys() {
        let usable = world.of(target).filter(|(slot, _)| {
            (&slot.balancer, &slot.name.backend) == (&place.0, &place.1)
                && !world.is_held(slot, &record.parked)
        });
        let left = usable.count();
        if left < rules.floor {
            let (balancer, backend) = place;
            return Err(Shortage {
                balancer,
                backend,
                left,
                floor: rules.floor,
            });
        }
    }
    Ok(())
}

struct Decision<'d> {
    rules: &'d Rules,
    world: &'d World,
    record: &'d Record,
    seen: Seen,
}

impl Decision<'_> {
    fn step(&self) -> Step {
        let from = self.rules.other(&self.record.to);
        let to = self.rules.other(&self.record.from);
        match self.record.stage {
            Stage::Swapped | Stage::Reverted => Step::Done,
            Stage::Forward => self.forward(from, to),
            Stage::Back => self.back(from, to),
        }
    }

    fn forward(&self, from: &Pool, to: &Pool) -> Step {
        if self.record.preparation < Preparation::Done {
            return self.take_out(to).unwrap_or_else(|| {
                if self.record.preparation == Preparation::None {
                    Step::Gate
                } else {
                    Step::Deploy
                }
            });
        }
        if let Some(step) = self.bring_in(&self.out_of_service(to)) {
            return match step {
                Step::Put(..) if !self.seen.healthy => Step::Health,
                step => step,
            };
        }
        if let Some(step) = self.await_up(to) {
            // Those that are out already are needed more than patience.
            let out = self.out_of_service(from);
            let short = self.shortage_without(&BTreeSet::new(), &out);
            return short.map_or(step, Step::Short);
        }
        if self.serves(from) && !self.seen.settled {
            return Step::Settle;
        }
        if let Some(step) = self.take_out(from) {
            return step;
        }
        if self.seen.live {
            Step::Done
        } else {
            Step::Live
        }
    }

    fn back(&self, from: &Pool, to: &Pool) -> Step {
        // Before a deployment was begun, the target pool was as good as ever.
        let untouched = self.record.preparation < Preparation::Deploying;
        let mut returning = self.out_of_service(from);
        if untouched {
            let out = self.out_of_service(to);
            returning.extend(out.intersection(&self.record.beside).cloned());
        }
        // Nobody waits with what takes back: all at once.
        if !returning.is_empty() {
            return Step::Put(Admin::Ready, returning);
        }
        if untouched && !self.record.beside.is_empty() {
            return Step::Done;
        }
        if !self.seen.waited
            && self.serves(to)
            && let Some(step) = self.await_up(from)
        {
            return step;
        }
        self.take_out(to).unwrap_or(Step::Done)
    }

    /// The servers of a pool that fleet may bring in and that are not.
    fn out_of_service(&self, pool: &Pool) -> BTreeSet<Slot> {
        let out = self.world.of(pool).filter(|(slot, server)| {
            server.admin != Admin::Ready && !self.world.is_held(slot, &self.record.parked)
        });
        out.map(|(slot, _)| slot.clone()).collect()
    }

    fn serves(&self, pool: &Pool) -> bool {
        let mut servers = self.world.of(pool);
        servers.any(|(_, server)| server.admin == Admin::Ready)
    }

    fn bring_in(&self, out: &BTreeSet<Slot>) -> Option<Step> {
        (!out.is_empty()).then(|| Step::Put(Admin::Ready, self.turn(out)))
    }

    fn await_up(&self, pool: &Pool) -> Option<Step> {
        let down = self
            .world
            .of(pool)
            .filter(|(_, server)| server.admin == Admin::Ready && !server.is_in_service());
        let down: BTreeSet<_> = down.map(|(slot, _)| slot.clone()).collect();
        (!down.is_empty()).then_some(Step::AwaitUp(down))
    }

    /// Drains a pool, waits, and puts it into maintenance; `None` if that is done.
    fn take_out(&self, pool: &Pool) -> Option<Step> {
        let ready = self.world.of(pool);
        let ready = ready.filter(|(_, server)| server.admin == Admin::Ready);
        let ready: BTreeSet<_> = ready.map(|(slot, _)| slot.clone()).collect();
        if !ready.is_empty() {
            let turn = self.turn(&ready);
            return Some(match self.shortage_without(&turn, &turn) {
                Some(shortage) => Step::Short(shortage),
                None => Step::Put(Admin::Drain, turn),
            });
        }
        let draining = || {
            self.world.of(pool).filter(|(slot, server)| {
                server.admin == Admin::Drain && self.record.parked.contains(slot)
            })
        };
        let busy: BTreeSet<_> = draining()
            .filter(|(_, server)| !server.is_empty())
            .map(|(slot, _)| slot.clone())
            .collect();
        if !busy.is_empty() {
            return Some(Step::AwaitEmpty(busy));
        }
        let drained: BTreeSet<_> = draining().map(|(slot, _)| slot.clone()).collect();
        (!drained.is_empty()).then_some(Step::Put(Admin::Maint, drained))
    }

    /// All of them, or those of the first server.
    fn turn(&self, slots: &BTreeSet<Slot>) -> BTreeSet<Slot> {
        if !self.rules.one_by_one {
            return slots.clone();
        }
        let first = slots.iter().map(|slot| &slot.name.server).min();
        let is_first = |slot: &&Slot| Some(&slot.name.server) == first;
        slots.iter().filter(is_first).cloned().collect()
    }

    /// Where `touched` servers are and too few would be left without `slots`.
    fn shortage_without(
        &self,
        slots: &BTreeSet<Slot>,
        touched: &BTreeSet<Slot>,
    ) -> Option<Shortage> {
        let touched = |balancer: &str, backend: &str| {
            touched
                .iter()
                .any(|slot| slot.balancer == balancer && slot.name.backend == backend)
        };
        let counts = self.world.in_service(slots);
        counts.into_iter().find_map(|((balancer, backend), left)| {
            let floor = floor(self.rules, self.record, &balancer, &backend);
            let short = touched(&balancer, &backend) && left < floor;
            short.then_some(Shortage {
                balancer,
                backend,
                left,
                floor,
            })
        })
    }
}

/// How many servers have to stay in service in a backend. What is taken back need not become
/// better than it was.
#[must_use]
pub(super) fn floor(rules: &Rules, record: &Record, balancer: &str, backend: &str) -> usize {
    if record.stage != Stage::Back {
        return rules.floor;
    }
    let place = (balancer.to_owned(), backend.to_owned());
    let before = record.before.get(&place).copied();
    before.map_or(rules.floor, |before| rules.floor.min(before).max(1))
}

//! What is to be done next: decided from what the load balancers say, and from nothing that was
//! true a moment ago.
//!
//! This is where the promise is kept that too few servers are never left in service.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::journal::Entry;
use super::world::{Pool, Rules, Slot, World};
use crate::protocol::balancer::Admin;

mod parts;
mod step;

pub(super) use parts::{Floors, Parts};
pub(super) use step::{Shortage, Step};

/// What a swap is about and how far it has come, as far as the load balancers cannot say: the
/// journal's content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
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
    /// How many servers were in service at the beginning, per load balancer and backend, or would
    /// have been if all of the pool had been up that served.
    #[serde(with = "counts")]
    pub before: BTreeMap<(String, String), usize>,
    /// Why it is taken back, or was.
    pub error: Option<String>,
}

impl Record {
    /// How many servers have to stay in service. What is taken back need not become better than
    /// it was.
    #[must_use]
    pub(super) fn floors<'r>(&'r self, rules: &'r Rules) -> Floors<'r> {
        let before = (self.stage == Stage::Back).then_some(&self.before);
        Floors { rules, before }
    }
}

impl Entry for Record {
    const FILE: &'static str = "journal.json";

    fn is_over(&self) -> bool {
        !matches!(self.stage, Stage::Forward | Stage::Back)
    }

    fn parked(&mut self) -> &mut BTreeSet<Slot> {
        &mut self.parked
    }
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
pub(super) enum Stage {
    /// To the target pool.
    Forward,
    /// To the target pool, which serves already and alone: there is nothing to be taken back.
    Arrived,
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
pub(super) enum Preparation {
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// The servers that answered as they should. A reload may bring others within reach.
    pub healthy: BTreeSet<Slot>,
    /// The servers have been up long enough.
    pub settled: bool,
    /// The live address answers as it should.
    pub live: bool,
    /// Nobody waits any more for servers that do not come up.
    pub waited: bool,
}

/// What to do next.
#[must_use]
pub(super) fn next_step(rules: &Rules, world: &World, record: &Record, seen: &Seen) -> Step {
    let decision = Decision {
        record,
        seen,
        parts: Parts {
            rules,
            world,
            parked: &record.parked,
            floors: record.floors(rules),
        },
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
        let left = world.count_not_held(target, &place, &record.parked);
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
    record: &'d Record,
    seen: &'d Seen,
    parts: Parts<'d>,
}

impl Decision<'_> {
    fn step(&self) -> Step {
        let rules = self.parts.rules;
        let from = rules.other(&self.record.to);
        let to = rules.other(&self.record.from);
        match self.record.stage {
            Stage::Swapped | Stage::Reverted => Step::Done,
            Stage::Forward | Stage::Arrived => self.forward(from, to),
            Stage::Back => self.back(from, to),
        }
    }

    fn forward(&self, from: &Pool, to: &Pool) -> Step {
        if self.record.preparation < Preparation::Done {
            return self.parts.take_out(to).unwrap_or_else(|| {
                if self.record.preparation == Preparation::None {
                    Step::Gate(to.hosts())
                } else {
                    Step::Deploy(to.hosts())
                }
            });
        }
        if let Some(step) = self.parts.bring_in(&self.parts.out_of_service(to)) {
            return match step {
                Step::Put(_, next) if !next.is_subset(&self.seen.healthy) => {
                    Step::Health(self.parts.not_held(to))
                }
                step => step,
            };
        }
        if let Some(step) = self.parts.await_up(to) {
            // Those that are out already are needed more than patience.
            let out = self.parts.out_of_service(from);
            let short = self.parts.shortage_without(&BTreeSet::new(), &out);
            return short.map_or(step, Step::Short);
        }
        if !self.parts.world.ready(from).is_empty() && !self.seen.settled {
            return Step::Settle;
        }
        // A reload may have brought in servers that nobody has asked.
        let target = self.parts.not_held(to);
        if self.record.stage == Stage::Forward && !target.is_subset(&self.seen.healthy) {
            return Step::Health(target);
        }
        if let Some(step) = self.parts.take_out(from) {
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
        let mut returning = self.parts.out_of_service(from);
        if untouched {
            let out = self.parts.out_of_service(to);
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
            && !self.parts.world.ready(to).is_empty()
            && let Some(step) = self.parts.await_up(from)
        {
            return step;
        }
        self.parts.take_out(to).unwrap_or(Step::Done)
    }
}

//! What a swap would do, if everything goes well: the same decisions over a world that obeys.

use std::collections::BTreeSet;

use super::act::Terms;
use super::plan::{Preparation, Record, Seen, Step, next_step};
use super::world::{Rules, Slot, World};
use crate::protocol::balancer::Admin;

/// More steps than any swap has; only a decision that never ends would get there.
pub(super) const LIMIT: usize = 10_000;

/// The steps that are left.
#[must_use]
pub(super) fn forecast(rules: &Rules, terms: &Terms, world: &World, record: &Record) -> Vec<Step> {
    let mut world = world.clone();
    let mut record = record.clone();
    let mut seen = Seen::default();
    let mut steps = Vec::new();
    for _ in 0..LIMIT {
        let step = next_step(rules, &world, &record, &seen);
        obey(&step, &mut world, &mut record.parked);
        let told = match &step {
            Step::Gate(_) => {
                record.preparation = Preparation::Gated;
                terms.gate
            }
            Step::Deploy(_) => {
                record.preparation = Preparation::Done;
                terms.deploy
            }
            Step::Health(slots) => {
                seen.healthy.extend(slots.iter().cloned());
                true
            }
            Step::Settle => {
                seen.settled = true;
                !terms.settle.is_zero()
            }
            Step::Live => {
                seen.live = true;
                terms.live
            }
            Step::Put(..) | Step::AwaitUp(_) | Step::AwaitEmpty(_) => true,
            Step::Short(_) => {
                steps.push(step);
                return steps;
            }
            Step::Done => return steps,
        };
        if told {
            steps.push(step);
        }
    }
    steps
}

/// Load balancers do what they are told, and servers what is hoped of them.
pub(super) fn obey(step: &Step, world: &mut World, parked: &mut BTreeSet<Slot>) {
    let (Step::Put(_, slots) | Step::AwaitUp(slots) | Step::AwaitEmpty(slots)) = step else {
        return;
    };
    for slot in slots {
        let Some(server) = world.servers.get_mut(slot) else {
            continue;
        };
        match step {
            Step::Put(admin, _) => {
                server.admin = *admin;
                server.up |= *admin == Admin::Ready;
                if *admin == Admin::Ready {
                    parked.remove(slot);
                } else {
                    parked.insert(slot.clone());
                }
            }
            Step::AwaitUp(_) => {
                server.up = true;
                server.weight = server.weight.max(1);
            }
            _ => (server.sessions, server.queued) = (0, 0),
        }
    }
}

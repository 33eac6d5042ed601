//! What a swap would do, if everything goes well: the same decisions over a world that obeys.

use super::drive::Terms;
use super::plan::{Preparation, Record, Seen, Step, next_step};
use super::world::{Rules, World};
use crate::protocol::balancer::Admin;

/// More steps than any swap has; only a decision that never ends would get there.
const LIMIT: usize = 10_000;

/// The steps that are left.
#[must_use]
pub(super) fn forecast(rules: &Rules, terms: &Terms, world: &World, record: &Record) -> Vec<Step> {
    let mut world = world.clone();
    let mut record = record.clone();
    let mut seen = Seen::default();
    let mut steps = Vec::new();
    for _ in 0..LIMIT {
        let step = next_step(rules, &world, &record, seen);
        let told = match &step {
            Step::Gate => {
                record.preparation = Preparation::Gated;
                terms.gate
            }
            Step::Deploy => {
                record.preparation = Preparation::Done;
                terms.deploy
            }
            Step::Health => {
                seen.healthy = true;
                true
            }
            Step::Put(admin, slots) => {
                for slot in slots {
                    if let Some(server) = world.servers.get_mut(slot) {
                        server.admin = *admin;
                        server.up |= *admin == Admin::Ready;
                    }
                    if *admin == Admin::Ready {
                        record.parked.remove(slot);
                    } else {
                        record.parked.insert(slot.clone());
                    }
                }
                true
            }
            Step::AwaitUp(slots) => {
                for slot in slots {
                    if let Some(server) = world.servers.get_mut(slot) {
                        server.up = true;
                        server.weight = server.weight.max(1);
                    }
                }
                true
            }
            Step::Settle => {
                seen.settled = true;
                !terms.settle.is_zero()
            }
            Step::AwaitEmpty(slots) => {
                for slot in slots {
                    if let Some(server) = world.servers.get_mut(slot) {
                        (server.sessions, server.queued) = (0, 0);
                    }
                }
                true
            }
            Step::Live => {
                seen.live = true;
                terms.live
            }
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

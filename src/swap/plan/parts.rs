//! What load balancers say, asked in the ways that decisions need it.

use std::collections::{BTreeMap, BTreeSet};

use super::step::{Shortage, Step};
use crate::protocol::balancer::{Admin, Server};
use crate::swap::world::{Pool, Rules, Slot, World};

/// How many servers have to stay in service.
#[derive(Clone, Copy, Debug)]
pub(in crate::swap) struct Floors<'f> {
    /// What the file says.
    pub rules: &'f Rules,
    /// How many there were at the beginning, where something is taken back: it need not become
    /// better than it was.
    pub before: Option<&'f BTreeMap<(String, String), usize>>,
}

impl Floors<'_> {
    /// In one backend.
    #[must_use]
    pub(in crate::swap) fn of(&self, balancer: &str, backend: &str) -> usize {
        let place = (balancer.to_owned(), backend.to_owned());
        let before = self.before.and_then(|before| before.get(&place).copied());
        before.map_or(self.rules.floor, |before| {
            self.rules.floor.min(before).max(1)
        })
    }

    /// In every backend in which some of these servers are.
    #[must_use]
    pub(in crate::swap) fn around(
        &self,
        slots: &BTreeSet<Slot>,
    ) -> BTreeMap<(String, String), usize> {
        let places = slots.iter().map(|slot| {
            let (balancer, backend) = (&slot.balancer, &slot.name.backend);
            let floor = self.of(balancer, backend);
            ((balancer.clone(), backend.clone()), floor)
        });
        places.collect()
    }
}

/// The steps that a pool needs.
#[derive(Clone, Copy, Debug)]
pub(in crate::swap) struct Parts<'d> {
    /// What is swapped.
    pub rules: &'d Rules,
    /// What the load balancers say.
    pub world: &'d World,
    /// What fleet has taken out of service.
    pub parked: &'d BTreeSet<Slot>,
    /// How many servers have to stay in service.
    pub floors: Floors<'d>,
}

impl Parts<'_> {
    /// The servers of a pool of which something holds.
    pub(in crate::swap) fn those(
        &self,
        pool: &Pool,
        hold: impl Fn(&Slot, &Server) -> bool,
    ) -> BTreeSet<Slot> {
        let of = self.world.of(pool);
        let those = of.filter(|(slot, server)| hold(slot, server));
        those.map(|(slot, _)| slot.clone()).collect()
    }

    /// The servers of a pool that fleet may bring in and that are not.
    pub(in crate::swap) fn out_of_service(&self, pool: &Pool) -> BTreeSet<Slot> {
        self.those(pool, |slot, server| {
            server.admin != Admin::Ready && !self.world.is_held(slot, self.parked)
        })
    }

    /// The servers of a pool that fleet has to do with.
    pub(in crate::swap) fn not_held(&self, pool: &Pool) -> BTreeSet<Slot> {
        self.those(pool, |slot, _| !self.world.is_held(slot, self.parked))
    }

    /// Brings servers in; `None` if there are none.
    pub(in crate::swap) fn bring_in(&self, out: &BTreeSet<Slot>) -> Option<Step> {
        (!out.is_empty()).then(|| Step::Put(Admin::Ready, self.turn(out)))
    }

    /// Waits for the servers of a pool that are to serve and do not; `None` if all do.
    pub(in crate::swap) fn await_up(&self, pool: &Pool) -> Option<Step> {
        let down = self.those(pool, |_, server| {
            server.admin == Admin::Ready && !server.is_in_service()
        });
        (!down.is_empty()).then_some(Step::AwaitUp(down))
    }

    /// Drains a pool, waits, and puts it into maintenance; `None` if that is done.
    pub(in crate::swap) fn take_out(&self, pool: &Pool) -> Option<Step> {
        let ready = self.world.ready(pool);
        if !ready.is_empty() {
            let turn = self.turn(&ready);
            // Nothing is lost with what gives no answers.
            let serves = |slot: &&Slot| self.world.serves(slot);
            let lost = turn.iter().filter(serves).cloned().collect();
            return Some(match self.shortage_without(&turn, &lost) {
                Some(shortage) => Step::Short(shortage),
                None => Step::Put(Admin::Drain, turn),
            });
        }
        let draining = |slot: &Slot, server: &Server| {
            server.admin == Admin::Drain && self.parked.contains(slot)
        };
        let busy = self.those(pool, |slot, server| {
            draining(slot, server) && !server.is_empty()
        });
        if !busy.is_empty() {
            return Some(Step::AwaitEmpty(busy));
        }
        let drained = self.those(pool, draining);
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
    pub(in crate::swap) fn shortage_without(
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
            let floor = self.floors.of(&balancer, &backend);
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

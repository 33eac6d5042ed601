//! Which step is next: decided from what the load balancers say now.

use std::collections::BTreeSet;

use super::{Batch, Phase, Record};
use crate::protocol::balancer::Admin;
use crate::swap::plan::{Floors, Parts, Step};
use crate::swap::setup::Replacement;
use crate::swap::world::{Pool, Rules, Slot, World};

/// What this call has seen of the batch with its own eyes. Asked again by the next one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "observations, each true or not yet"
)]
pub(super) struct Seen {
    /// The playbook was applied without an error.
    pub applied: bool,
    /// The check was clean.
    pub clean: bool,
    /// Every server answered as it should.
    pub healthy: bool,
    /// The servers have been up long enough.
    pub settled: bool,
}

impl Seen {
    /// What a step shows that has succeeded.
    pub(super) fn learn(&mut self, step: &Step, record: &mut Record) {
        match step {
            Step::Deploy(_) => {
                record.enter(Phase::Begun);
                self.applied = true;
            }
            Step::Gate(_) => self.clean = true,
            Step::Health(_) => {
                record.enter(Phase::Proven);
                self.healthy = true;
            }
            Step::Settle => self.settled = true,
            _ => {}
        }
    }
}

/// What is next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// These hosts are the next batch.
    Begin(Vec<String>),
    /// A step for the batch.
    Step(Step),
    /// The batch is in service again, replaced.
    Finished,
    /// The batch is where it was, untouched.
    Returned,
    /// Nothing.
    Nothing,
}

/// Everything a decision needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decision<'d> {
    /// What is swapped.
    pub rules: &'d Rules,
    /// Which hosts are replaced.
    pub replacement: &'d Replacement,
    /// What the load balancers say.
    pub world: &'d World,
    /// What the journal says.
    pub record: &'d Record,
}

impl Decision<'_> {
    /// What to do next.
    #[must_use]
    pub(super) fn forward(&self, seen: Seen) -> Next {
        let Some(batch) = &self.record.batch else {
            let hosts = self.next_batch();
            if !hosts.is_empty() {
                return Next::Begin(hosts);
            }
            // What was taken out by a run of more hosts than this one.
            let step = self.parts().bring_in(&self.stranded());
            return step.map_or(Next::Nothing, Next::Step);
        };
        let pool = self.rules.some(&batch.hosts);
        let parts = self.parts();
        if batch.phase == Phase::Proven {
            return match parts.bring_in(&parts.out_of_service(&pool)) {
                Some(_) if !seen.healthy => Next::Step(Step::Health(parts.not_held(&pool))),
                Some(step) => Next::Step(step),
                None => parts.await_up(&pool).map_or_else(
                    || {
                        if seen.settled {
                            Next::Finished
                        } else {
                            Next::Step(Step::Settle)
                        }
                    },
                    Next::Step,
                ),
            };
        }
        Next::Step(self.taken_out(batch, &pool).unwrap_or_else(|| {
            if !seen.applied {
                Step::Deploy(batch.hosts.clone())
            } else if !seen.clean {
                Step::Gate(batch.hosts.clone())
            } else {
                Step::Health(parts.not_held(&pool))
            }
        }))
    }

    /// What to do next where something has failed: what was not begun goes back into service, in
    /// whichever run it was taken out, and what was begun stays out.
    #[must_use]
    pub(super) fn back(&self) -> Next {
        let parts = self.parts();
        let mut out = self.stranded();
        let batch = self.record.batch.as_ref();
        let batch = batch.map(|batch| (batch.phase, self.rules.some(&batch.hosts)));
        if let Some((Phase::Untouched, pool)) = &batch {
            out.extend(parts.out_of_service(pool));
        }
        if let Some(step) = parts.bring_in(&out) {
            return Next::Step(step);
        }
        match batch {
            Some((Phase::Untouched, _)) if self.world.missing.is_empty() => Next::Returned,
            Some((Phase::Begun, pool)) => {
                let step = parts.take_out(&pool);
                step.map_or(Next::Nothing, Next::Step)
            }
            _ => Next::Nothing,
        }
    }

    /// What fleet has taken out, in whichever run, on hosts that are not suspect.
    #[must_use]
    pub(super) fn stranded(&self) -> BTreeSet<Slot> {
        let suspect: Vec<_> = self.record.suspect.iter().cloned().collect();
        let suspect = self.rules.some(&suspect);
        let servers = self.world.servers.iter().filter(|(slot, server)| {
            server.admin != Admin::Ready
                && self.record.parked.contains(slot)
                && !suspect.has(&slot.name.server)
        });
        servers.map(|(slot, _)| slot.clone()).collect()
    }

    /// The step that gets a batch out of service; `None` if it is.
    fn taken_out(&self, batch: &Batch, pool: &Pool) -> Option<Step> {
        let parts = self.parts();
        // What still could serve goes back before too few are left, as long as it is as it was.
        let useful = parts.those(pool, |slot, server| {
            server.admin == Admin::Drain
                && server.up
                && server.weight > 0
                && self.record.parked.contains(slot)
        });
        if batch.phase == Phase::Untouched
            && let Some(shortage) = parts.shortage_without(&useful, &useful)
        {
            return Some(Step::Short(shortage));
        }
        parts.take_out(pool)
    }

    /// The hosts that are replaced next: those that may be broken first and by themselves, then
    /// those that are out of service somewhere already, then those that have to be taken out.
    #[must_use]
    pub(super) fn next_batch(&self) -> Vec<String> {
        let left = self.left_alone();
        let hosts = self.replacement.hosts.iter();
        let open = hosts.filter(|host| !self.record.done.contains(*host) && !left.contains(*host));
        let is_suspect = |host: &String| self.record.suspect.contains(host);
        let (suspect, open): (Vec<_>, Vec<_>) = open.cloned().partition(is_suspect);
        let (serving, out): (Vec<_>, Vec<_>) = open.into_iter().partition(|host| {
            let pool = self.rules.some(std::slice::from_ref(host));
            self.world
                .of(&pool)
                .all(|(_, server)| server.is_in_service())
        });
        let hosts = if suspect.is_empty() {
            out.into_iter().chain(serving).collect()
        } else {
            suspect
        };
        hosts.into_iter().take(self.replacement.batch).collect()
    }

    /// Hosts that were not in service anyway, and not by fleet: they are left so, and as they are.
    #[must_use]
    pub(super) fn left_alone(&self) -> BTreeSet<String> {
        let alone = self.replacement.hosts.iter().filter(|host| {
            let pool = self.rules.some(std::slice::from_ref(host));
            let out = self.parts().those(&pool, |slot, server| {
                let serves = server.admin == Admin::Ready && server.weight > 0;
                !serves && !self.record.parked.contains(slot)
            });
            !out.is_empty() && !self.record.done.contains(*host)
        });
        alone.cloned().collect()
    }

    fn parts(&self) -> Parts<'_> {
        Parts {
            rules: self.rules,
            world: self.world,
            parked: &self.record.parked,
            floors: Floors {
                rules: self.rules,
                before: None,
            },
        }
    }
}

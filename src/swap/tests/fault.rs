//! What goes wrong while load balancers in memory are acted on.

use std::collections::BTreeSet;
use std::future::pending;

use super::simulation::Lab;
use crate::protocol::balancer::{Admin, Cause};

/// What goes wrong.
#[derive(Clone, Debug)]
pub(super) enum Fault {
    /// The controller is gone.
    Kill,
    /// The user wants it to stop.
    Interrupt,
    /// HAProxy reads its configuration, and maybe the state that was kept, and nothing else.
    Reload { balancer: usize, keeps_state: bool },
    /// It cannot be reached for so many moments.
    Away { balancer: usize, moments: usize },
    /// A server does not answer any more.
    Dies { server: usize },
    /// Somebody takes a server out.
    TakenOut { slot: usize },
}

impl Lab {
    /// Time goes on, and something may go wrong.
    pub(super) async fn moment(&mut self) {
        self.moment += 1;
        self.away.retain(|_, left| {
            *left -= 1;
            *left > 0
        });
        match self.faults.get(&self.moment).cloned() {
            None => {}
            Some(Fault::Kill) => pending().await,
            Some(Fault::Interrupt) => {
                self.interrupted = true;
                self.interruptions += 1;
            }
            Some(Fault::Reload {
                balancer,
                keeps_state,
            }) => {
                let name = self.rules.balancers[balancer % self.rules.balancers.len()].clone();
                let source = if keeps_state {
                    &self.kept
                } else {
                    &self.configured
                };
                let dead: BTreeSet<_> = self
                    .servers
                    .values()
                    .filter(|server| server.check == "DEAD")
                    .map(|server| server.name.clone())
                    .collect();
                for (slot, server) in source.iter().filter(|(slot, _)| slot.balancer == name) {
                    let mut server = server.clone();
                    server.sessions = 0;
                    if dead.contains(&server.name) {
                        server.up = false;
                        "DEAD".clone_into(&mut server.check);
                    }
                    self.servers.insert(slot.clone(), server);
                }
            }
            Some(Fault::Away { balancer, moments }) => {
                let name = self.rules.balancers[balancer % self.rules.balancers.len()].clone();
                self.lost.insert(name.clone());
                self.away.insert(name, moments.max(1));
            }
            Some(Fault::Dies { server }) => {
                let members = self.rules.pools.iter().flat_map(|pool| &pool.members);
                let all: Vec<_> = members.map(|member| member.server.clone()).collect();
                let dead = &all[server % all.len()];
                for (_, server) in self
                    .servers
                    .iter_mut()
                    .filter(|(slot, _)| slot.name.server == *dead)
                {
                    server.up = false;
                    "DEAD".clone_into(&mut server.check);
                }
            }
            Some(Fault::TakenOut { slot }) => {
                let count = self.servers.len();
                let slot = self.servers.keys().nth(slot % count).unwrap().clone();
                // Of the pool that served at the beginning, or serves alone by now, it is missing
                // from then on, and not by an act of fleet's.
                let mut pools = self.rules.pools.iter();
                let pool = pools.find(|pool| pool.has(&slot.name.server)).unwrap();
                let serving = self.serving(&slot.balancer);
                let alone = !serving.is_empty() && serving.iter().all(|server| pool.has(server));
                let missed = pool.name == self.rules.pools[0].name || alone;
                if self.taken.insert(slot.clone()) && missed {
                    let place = (slot.balancer.clone(), slot.name.backend.clone());
                    let least = self.least.get_mut(&place).unwrap();
                    *least = (*least - 1).max(1);
                }
                let server = self.servers.get_mut(&slot).unwrap();
                server.admin = Admin::Maint;
                server.cause = Cause::Command;
                server.up = false;
            }
        }
    }
}

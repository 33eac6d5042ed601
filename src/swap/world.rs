//! What the load balancers say, and what of it matters to a swap.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::protocol::balancer::{Admin, Cause, Server, ServerName, Standing};

/// One server in one backend of one load balancer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Slot {
    /// The load balancer, as the inventory names it.
    pub balancer: String,
    /// The server there.
    #[serde(flatten)]
    pub name: ServerName,
}

/// What is swapped: everything a decision needs beside what the load balancers say.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The load balancers, by name.
    pub balancers: Vec<String>,
    /// The backends on each of them.
    pub backends: Vec<String>,
    /// The pools: two where traffic is moved, one where its hosts are replaced.
    pub pools: Vec<Pool>,
    /// So many servers stay in service in each backend.
    pub floor: usize,
    /// One server after the other instead of all at once.
    pub one_by_one: bool,
}

/// Servers that serve together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// As the file names it.
    pub name: String,
    /// Server and host.
    pub members: Vec<Member>,
}

/// One host and its name as a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// In the inventory.
    pub host: String,
    /// In the backends.
    pub server: String,
}

impl Rules {
    /// The pool of this name.
    #[must_use]
    pub fn pool(&self, name: &str) -> Option<&Pool> {
        self.pools.iter().find(|pool| pool.name == name)
    }

    /// The pool that is not this one.
    #[must_use]
    pub fn other(&self, name: &str) -> &Pool {
        let other = self.pools.iter().find(|pool| pool.name != name);
        other.unwrap_or(&self.pools[0])
    }

    /// These hosts, as a pool.
    #[must_use]
    pub fn some(&self, hosts: &[String]) -> Pool {
        let members = self.pools.iter().flat_map(|pool| &pool.members);
        Pool {
            name: String::new(),
            members: members
                .filter(|member| hosts.contains(&member.host))
                .cloned()
                .collect(),
        }
    }

    /// Every server of both pools, as names in one load balancer.
    #[must_use]
    pub fn all_names(&self) -> Vec<ServerName> {
        let names = |backend: &String| {
            let members = self.pools.iter().flat_map(|pool| &pool.members);
            members
                .map(|member| ServerName {
                    backend: backend.clone(),
                    server: member.server.clone(),
                })
                .collect::<Vec<_>>()
        };
        self.backends.iter().flat_map(names).collect()
    }
}

impl Pool {
    /// Whether a server is of this pool.
    #[must_use]
    pub fn has(&self, server: &str) -> bool {
        self.members.iter().any(|member| member.server == server)
    }

    /// Its hosts.
    #[must_use]
    pub fn hosts(&self) -> Vec<String> {
        let hosts = self.members.iter().map(|member| member.host.clone());
        hosts.collect()
    }
}

/// What all load balancers that answered say, as far as it concerns the pools.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct World {
    /// The servers of both pools.
    pub servers: BTreeMap<Slot, Server>,
    /// HAProxy's version on each load balancer that answered.
    pub versions: BTreeMap<String, String>,
    /// Load balancers that did not answer, and why.
    pub missing: BTreeMap<String, String>,
    /// Load balancers that have not what the file names, and what they lack.
    pub contradicting: BTreeMap<String, String>,
}

impl World {
    /// Adds what a load balancer says.
    pub fn add(&mut self, balancer: &str, standing: Standing, rules: &Rules) {
        let version = standing.version.clone();
        let mut found: BTreeMap<ServerName, Server> = standing
            .servers
            .into_iter()
            .map(|server| (server.name.clone(), server))
            .collect();
        let mut wrong = Vec::new();
        for backend in &rules.backends {
            if !found.keys().any(|name| name.backend == *backend) {
                wrong.push(format!("there is no backend `{backend}`"));
                continue;
            }
            for member in rules.pools.iter().flat_map(|pool| &pool.members) {
                let name = ServerName {
                    backend: backend.clone(),
                    server: member.server.clone(),
                };
                match found.remove(&name) {
                    Some(server) => {
                        let balancer = balancer.to_owned();
                        self.servers.insert(Slot { balancer, name }, server);
                    }
                    None => wrong.push(format!(
                        "the backend `{backend}` has no server `{}`",
                        member.server
                    )),
                }
            }
        }
        self.versions.insert(balancer.to_owned(), version);
        if !wrong.is_empty() {
            let wrong = wrong.join("; ");
            self.contradicting.insert(balancer.to_owned(), wrong);
        }
    }

    /// The servers of one pool everywhere.
    pub fn of<'w>(&'w self, pool: &'w Pool) -> impl Iterator<Item = (&'w Slot, &'w Server)> {
        self.servers
            .iter()
            .filter(|(slot, _)| pool.has(&slot.name.server))
    }

    /// The servers of a pool that are meant to serve.
    #[must_use]
    pub fn ready(&self, pool: &Pool) -> BTreeSet<Slot> {
        let ready = self.of(pool);
        let ready = ready.filter(|(_, server)| server.admin == Admin::Ready);
        ready.map(|(slot, _)| slot.clone()).collect()
    }

    /// How many servers of a pool nobody else keeps out of service, in one backend of one load
    /// balancer.
    #[must_use]
    pub fn count_not_held(
        &self,
        pool: &Pool,
        (balancer, backend): &(String, String),
        parked: &BTreeSet<Slot>,
    ) -> usize {
        let there = self.of(pool).filter(|(slot, _)| {
            (&slot.balancer, &slot.name.backend) == (balancer, backend)
                && !self.is_held(slot, parked)
        });
        there.count()
    }

    /// How many servers are in service in each backend, `without` some.
    #[must_use]
    pub fn in_service(&self, without: &BTreeSet<Slot>) -> BTreeMap<(String, String), usize> {
        let mut counts = BTreeMap::new();
        for (slot, server) in &self.servers {
            let place = (slot.balancer.clone(), slot.name.backend.clone());
            let count = counts.entry(place).or_default();
            if server.is_in_service() && !without.contains(slot) {
                *count += 1;
            }
        }
        counts
    }

    /// Whether a server gets new requests.
    #[must_use]
    pub fn serves(&self, slot: &Slot) -> bool {
        self.servers.get(slot).is_some_and(Server::is_in_service)
    }

    /// Whether a pool has no server in service anywhere.
    #[must_use]
    pub fn is_idle(&self, pool: &Pool) -> bool {
        !self.of(pool).any(|(_, server)| server.is_in_service())
    }

    /// Whether somebody else keeps a server out of service: it is left so.
    #[must_use]
    pub fn is_held(&self, slot: &Slot, parked: &BTreeSet<Slot>) -> bool {
        self.servers.get(slot).is_some_and(|server| {
            server.admin != Admin::Ready
                && match server.cause {
                    Cause::Command => !parked.contains(slot),
                    Cause::Configuration => false,
                    Cause::Inherited => true,
                }
        })
    }
}

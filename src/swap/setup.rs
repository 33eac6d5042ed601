//! The file meets the inventory: which hosts, under which names, reached how.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::act::Terms;
use super::balancer::Balancer;
use super::file::{Declared, Replace, SwapFile, Unavailable, Work};
use super::world::{Member, Pool, Rules};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::inventory::{HostName, Inventory, Pattern};
use crate::playbook::Globals;
use crate::protocol::balancer::ServerName;
use crate::run::{Login, targets};
use crate::yaml::{Node, Span};

/// How often a load balancer is asked while something is waited for.
const POLL: Duration = Duration::from_millis(500);

/// A swap with everything known that can be known before anybody is asked.
#[derive(Debug)]
pub struct Setup {
    /// What is swapped.
    pub rules: Rules,
    /// How long things may take and which parts there are.
    pub terms: Terms,
    /// The load balancers.
    pub balancers: Vec<Balancer>,
    /// Where servers are asked for their health, if the file says so.
    pub addresses: BTreeMap<String, String>,
    /// Which hosts are replaced, if traffic is not moved.
    pub replacement: Option<Replacement>,
}

/// Hosts that are replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replacement {
    /// In the inventory's order.
    pub hosts: Vec<String>,
    /// How many at a time.
    pub batch: usize,
}

impl Setup {
    /// Finds the hosts.
    ///
    /// # Errors
    /// Everything in which file and inventory do not fit together.
    pub fn new(
        file: &SwapFile,
        inventory: &Inventory,
        globals: &Globals<'_>,
        login: &Login,
    ) -> Result<Self, Vec<Diagnostic>> {
        let mut resolver = Resolver {
            inventory,
            globals,
            errors: Diagnostics::new(),
        };
        let declared = &file.load_balancers;
        let hosts = resolver.hosts(&declared.hosts, &declared.place, "load balancers");
        let declared_pools: Vec<_> = match &file.work {
            Work::Move(pools) => pools.iter().collect(),
            Work::Replace(replace) => vec![&replace.hosts],
        };
        let pools = declared_pools.iter().map(|pool| resolver.pool(pool, file));
        let pools: Vec<_> = pools.collect();
        resolver.keep_apart(&pools, &declared_pools, file);
        let size = pools.iter().map(|pool| pool.members.len()).max();
        let size = size.unwrap_or_default();
        let (replacement, floor) = match &file.work {
            Work::Replace(replace) => {
                let (batch, floor) = resolver.budget(replace, size, file.max_unavailable);
                let hosts = pools.iter().flat_map(Pool::hosts).collect();
                (Some(Replacement { hosts, batch }), floor)
            }
            Work::Move(_) => {
                let may_miss = file.max_unavailable.unwrap_or(Unavailable::Count(0));
                (None, may_miss.floor(size))
            }
        };
        let addresses = resolver.addresses(&pools, file);
        let reached = targets(globals, &hosts, login);
        let reached = resolver.errors.check(reached).unwrap_or_default();
        let balancers: Vec<_> = hosts
            .iter()
            .zip(reached)
            .filter_map(|(host, target)| {
                let socket = resolver.render(host, &declared.socket)?;
                let state_file = resolver.render(host, &declared.server_state_file)?;
                for (path, node) in [
                    (&socket, &declared.socket),
                    (&state_file, &declared.server_state_file),
                ] {
                    if !path.starts_with('/') {
                        let message = format!("`{path}` is no absolute path");
                        let error = Diagnostic::error(message).at(node.span.clone());
                        resolver.errors.push(error);
                    }
                }
                Some(Balancer::new(target, socket, state_file))
            })
            .collect();
        if resolver.errors.has_errors() {
            return Err(resolver.errors.into_vec());
        }
        let rules = Rules {
            balancers: hosts.iter().map(ToString::to_string).collect(),
            backends: declared.backends.clone(),
            floor,
            // Batches are what is apart where hosts are replaced.
            one_by_one: !file.stagger.is_zero() && replacement.is_none(),
            pools,
        };
        Ok(Self {
            terms: Terms {
                gate: file.gate.is_some(),
                deploy: file.deploy.is_some(),
                live: file.live.is_some(),
                up: file.health.expect.deadline,
                settle: file.min_healthy_time,
                stagger: file.stagger,
                drain: file.drain,
                auto_revert: file.auto_revert,
                poll: POLL,
            },
            rules,
            balancers,
            addresses,
            replacement,
        })
    }
}

struct Resolver<'r> {
    inventory: &'r Inventory,
    globals: &'r Globals<'r>,
    errors: Diagnostics,
}

impl Resolver<'_> {
    fn wrong(&mut self, message: String, place: &Span, help: &str) {
        let error = Diagnostic::error(message).at(place.clone());
        self.errors.push(error.help(help));
    }

    fn hosts(&mut self, pattern: &Pattern, place: &Span, what: &str) -> Vec<HostName> {
        match self.inventory.select(pattern) {
            Ok(hosts) if hosts.is_empty() => {
                let message = format!("there are no {what}: the pattern matches no host");
                let help = "`fleet inventory --graph` shows the groups and their hosts";
                self.wrong(message, place, help);
                hosts
            }
            Ok(hosts) => hosts,
            Err(error) => {
                let error = Diagnostic::from(error).at(place.clone());
                self.errors.push(error);
                Vec::new()
            }
        }
    }

    fn render(&mut self, host: &HostName, node: &Node) -> Option<String> {
        let rendered = self.globals.render(&self.globals.host(host), node);
        self.errors.check(rendered)
    }

    fn pool(&mut self, declared: &Declared, file: &SwapFile) -> Pool {
        let what = format!("servers in the pool `{}`", declared.name);
        let hosts = self.hosts(&declared.hosts, &declared.place, &what);
        let template = &file.load_balancers.server;
        let members = hosts.iter().filter_map(|host| {
            let server = self.render(host, template)?;
            if !ServerName::is_valid_part(&server) {
                let message = format!("`{server}`, for {host}, cannot be a server in HAProxy");
                let help = "letters, digits, `-`, `_`, `.` and `:`";
                self.wrong(message, &template.span, help);
            }
            Some(Member {
                host: host.to_string(),
                server,
            })
        });
        Pool {
            name: declared.name.clone(),
            members: members.collect(),
        }
    }

    /// No host and no server may be in both pools, or twice in one.
    fn keep_apart(&mut self, pools: &[Pool], declared: &[&Declared], file: &SwapFile) {
        let mut hosts = BTreeSet::new();
        let mut servers = BTreeSet::new();
        for (pool, declared) in pools.iter().zip(declared) {
            for member in &pool.members {
                if !hosts.insert(&member.host) {
                    let message = format!("{} is in both pools", member.host);
                    self.wrong(message, &declared.place, "a host serves in one of them");
                } else if !servers.insert(&member.server) {
                    let message = format!(
                        "{} is called `{}` in the load balancers, and so is another host",
                        member.host, member.server
                    );
                    let place = &file.load_balancers.server.span;
                    self.wrong(message, place, "each host needs a name of its own");
                }
            }
        }
    }

    /// How many hosts are replaced at a time, and how many servers have to stay in service.
    fn budget(
        &mut self,
        replace: &Replace,
        size: usize,
        may_miss: Option<Unavailable>,
    ) -> (usize, usize) {
        let batch = replace.batch.map_or(1, |batch| batch.of(size)).min(size);
        let floor = may_miss.unwrap_or(Unavailable::Count(batch)).floor(size);
        let left = size - batch;
        if size > 0 && left < floor {
            let message = format!(
                "a batch of {batch} would leave {left} of {size} servers in service, and {floor} \
                 have to be"
            );
            let help = if size == 1 {
                "one server always stays in service: it takes a second one to replace the first"
            } else {
                "make `batch` smaller, or `max_unavailable` larger; a percentage is rounded down"
            };
            self.wrong(message, &replace.budget, help);
        }
        (batch, floor)
    }

    fn addresses(&mut self, pools: &[Pool], file: &SwapFile) -> BTreeMap<String, String> {
        let Some(template) = &file.health.address else {
            return BTreeMap::new();
        };
        let members = pools.iter().flat_map(|pool| &pool.members);
        let addresses = members.filter_map(|member| {
            let host = self.inventory.host(&member.host)?.clone();
            let address = self.render(&host, template)?;
            let allowed = |c: char| c.is_ascii_alphanumeric() || "_.:-".contains(c);
            if address.is_empty() || !address.chars().all(allowed) {
                let message = format!("`{address}`, for {host}, is no address");
                self.wrong(
                    message,
                    &template.span,
                    "a name or an IP address, without a port",
                );
            }
            Some((member.server.clone(), address))
        });
        addresses.collect()
    }
}

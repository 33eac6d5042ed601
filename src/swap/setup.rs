//! The file meets the inventory: which hosts, under which names, reached how.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::balancer::Balancer;
use super::drive::Terms;
use super::file::{Declared, SwapFile};
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
        let pools = [&file.pools[0], &file.pools[1]].map(|pool| resolver.pool(pool, file));
        resolver.keep_apart(&pools, file);
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
        let size = pools.iter().map(|pool| pool.members.len()).max();
        let rules = Rules {
            balancers: hosts.iter().map(ToString::to_string).collect(),
            backends: declared.backends.clone(),
            floor: file.max_unavailable.floor(size.unwrap_or_default()),
            one_by_one: !file.stagger.is_zero(),
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
    fn keep_apart(&mut self, pools: &[Pool; 2], file: &SwapFile) {
        let mut hosts = BTreeSet::new();
        let mut servers = BTreeSet::new();
        for (pool, declared) in pools.iter().zip(&file.pools) {
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

    fn addresses(&mut self, pools: &[Pool; 2], file: &SwapFile) -> BTreeMap<String, String> {
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

//! Load balancers in memory: they obey, forget on a reload and lose servers, and the controller
//! can be killed at any moment.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::FutureExt;

use super::fault::Fault;
use crate::protocol::balancer::{Admin, Cause, Server, ServerName};
use crate::swap::act::Terms;
use crate::swap::call::Wish;
use crate::swap::file::{Drain, OnTimeout};
use crate::swap::fleet::Fleet;
use crate::swap::journal::Entry;
use crate::swap::perform::{Asked, Call};
use crate::swap::report::{Action, Report};
use crate::swap::trouble::{Class, Trouble};
use crate::swap::world::{Member, Pool, Rules, Slot, World};

/// A service behind load balancers.
#[derive(Clone, Debug)]
pub(super) struct Lab {
    pub rules: Rules,
    pub terms: Terms,
    pub servers: BTreeMap<Slot, Server>,
    pub(super) configured: BTreeMap<Slot, Server>,
    pub(super) kept: BTreeMap<Slot, Server>,
    /// What is on the disk.
    pub journals: BTreeMap<&'static str, String>,
    /// What went wrong on the hosts: the gate, the deployment, the live address.
    pub broken: BTreeSet<&'static str>,
    /// Servers that answer, but not as they should.
    pub sick: BTreeSet<String>,
    /// Hosts on which the deployment fails.
    pub failing: BTreeSet<String>,
    /// Hosts on which a deployment was begun, and those that were not found healthy since.
    pub begun: BTreeSet<String>,
    pub suspect: BTreeSet<String>,
    /// Servers whose sessions never end.
    pub clinging: BTreeSet<String>,
    /// What goes wrong, and at which moment.
    pub faults: BTreeMap<usize, Fault>,
    pub moment: usize,
    /// Load balancers that were away at some time.
    pub lost: BTreeSet<String>,
    /// What somebody took out.
    pub taken: BTreeSet<Slot>,
    /// When servers were put into service.
    pub readied: Vec<usize>,
    /// When deployments were begun.
    pub deployed: Vec<usize>,
    /// When the live address was asked.
    pub asked_live: usize,
    /// How often somebody has asked it to stop.
    pub interruptions: usize,
    pub(super) away: BTreeMap<String, usize>,
    pub(super) interrupted: bool,
    now: Duration,
    /// No act of fleet's may leave fewer in service than this.
    pub(super) least: BTreeMap<(String, String), usize>,
    pub violations: Vec<String>,
    pub told: Vec<String>,
}

impl Lab {
    /// `balancers` load balancers before pools of these sizes; blue serves.
    pub(super) fn new(balancers: usize, blue: usize, green: usize, floor: usize) -> Self {
        let pool = |name: &str, size: usize| Pool {
            name: name.to_owned(),
            members: (1..=size)
                .map(|n| Member {
                    host: format!("{name}{n}.example"),
                    server: format!("{name}{n}"),
                })
                .collect(),
        };
        let rules = Rules {
            balancers: (1..=balancers).map(|n| format!("lb{n}")).collect(),
            backends: vec!["orders".to_owned()],
            pools: vec![pool("blue", blue), pool("green", green)],
            floor,
            one_by_one: false,
        };
        let terms = Terms {
            gate: true,
            deploy: true,
            live: true,
            up: Duration::from_secs(10),
            settle: Duration::from_secs(3),
            stagger: Duration::ZERO,
            drain: Drain {
                deadline: Duration::from_secs(20),
                on_timeout: OnTimeout::Restore,
            },
            auto_revert: true,
            poll: Duration::from_secs(1),
        };
        let mut servers = BTreeMap::new();
        for balancer in &rules.balancers {
            for pool in &rules.pools {
                for member in &pool.members {
                    let is_blue = pool.name == "blue";
                    let slot = Slot {
                        balancer: balancer.clone(),
                        name: ServerName {
                            backend: "orders".to_owned(),
                            server: member.server.clone(),
                        },
                    };
                    let server = Server {
                        name: slot.name.clone(),
                        admin: if is_blue { Admin::Ready } else { Admin::Maint },
                        cause: if is_blue {
                            Cause::Command
                        } else {
                            Cause::Configuration
                        },
                        up: is_blue,
                        weight: 1,
                        address: "127.0.0.1".to_owned(),
                        port: 80,
                        sessions: u64::from(is_blue) * 2,
                        queued: 0,
                        check: String::new(),
                    };
                    servers.insert(slot, server);
                }
            }
        }
        let mut lab = Self {
            rules,
            terms,
            configured: servers.clone(),
            kept: servers.clone(),
            servers,
            journals: BTreeMap::new(),
            broken: BTreeSet::new(),
            sick: BTreeSet::new(),
            failing: BTreeSet::new(),
            begun: BTreeSet::new(),
            suspect: BTreeSet::new(),
            clinging: BTreeSet::new(),
            faults: BTreeMap::new(),
            moment: 0,
            lost: BTreeSet::new(),
            taken: BTreeSet::new(),
            readied: Vec::new(),
            deployed: Vec::new(),
            asked_live: 0,
            interruptions: 0,
            away: BTreeMap::new(),
            interrupted: false,
            now: Duration::ZERO,
            least: BTreeMap::new(),
            violations: Vec::new(),
            told: Vec::new(),
        };
        for (place, count) in lab.counts() {
            lab.least.insert(place, count.min(floor).max(1));
        }
        lab
    }

    /// One call of `fleet swap`; `None` if it was killed.
    pub(super) fn call(&mut self, wish: &Wish) -> Option<Report> {
        self.call_for(Action::To, wish)
    }

    pub(super) fn call_for(&mut self, action: Action, wish: &Wish) -> Option<Report> {
        let asked = Asked {
            action,
            wish: Some(wish.clone()),
            adopt: false,
            anew: false,
            run_id: "run".to_owned(),
        };
        let (rules, terms) = (self.rules.clone(), self.terms.clone());
        let mut report = Report::new(&asked, "orders".to_owned(), "swap.yml".to_owned());
        let mut call = Call {
            asked: &asked,
            rules: &rules,
            terms: &terms,
            previous: self.journal(),
            report: &mut report,
            confirm: &mut |_| true,
        };
        let world = self.look().now_or_never()?;
        let went = call.go(self, world).now_or_never()?;
        assert!(went);
        Some(report)
    }

    /// What the journal says of one kind of work.
    pub(super) fn journal<E: Entry>(&self) -> Option<E> {
        let text = self.journals.get(E::FILE)?;
        Some(serde_json::from_str(text).unwrap())
    }

    pub(super) fn counts(&self) -> BTreeMap<(String, String), usize> {
        World {
            servers: self.servers.clone(),
            ..World::default()
        }
        .in_service(&BTreeSet::new())
    }

    /// The names of the servers in service on one load balancer.
    pub(super) fn serving(&self, balancer: &str) -> Vec<&str> {
        let on = self
            .servers
            .iter()
            .filter(|(slot, server)| slot.balancer == balancer && server.is_in_service());
        on.map(|(slot, _)| slot.name.server.as_str()).collect()
    }

    pub(super) fn slot(&mut self, balancer: &str, server: &str) -> &mut Server {
        let mut found = self.servers.iter_mut();
        let (_, server) = found
            .find(|(slot, _)| slot.balancer == balancer && slot.name.server == server)
            .unwrap();
        server
    }

    /// Nothing goes wrong any more, and whoever was interrupted is gone.
    pub(super) fn come_back(&mut self) {
        self.faults.clear();
        self.away.clear();
        self.interrupted = false;
    }

    /// Somebody else calls, whom nobody has interrupted yet.
    pub(super) fn next_call(&mut self) {
        self.interrupted = false;
        self.interruptions = 0;
    }

    fn is_away(&self, balancer: &str) -> bool {
        self.away.contains_key(balancer)
    }

    async fn playbook(&mut self, name: &'static str, class: Class) -> Result<(), Trouble> {
        self.told.push(name.to_owned());
        self.moment().await;
        if self.broken.contains(name) {
            return Err(Trouble::new(class, format!("{name} is broken")));
        }
        Ok(())
    }
}

impl Fleet for Lab {
    async fn look(&mut self) -> World {
        self.moment().await;
        let mut world = World::default();
        for balancer in &self.rules.balancers {
            if self.is_away(balancer) {
                world
                    .missing
                    .insert(balancer.clone(), "it is away".to_owned());
            }
        }
        let there = self
            .servers
            .iter()
            .filter(|(slot, _)| !self.is_away(&slot.balancer));
        world.servers = there
            .map(|(slot, server)| (slot.clone(), server.clone()))
            .collect();
        world
    }

    async fn put(
        &mut self,
        admin: Admin,
        slots: &BTreeSet<Slot>,
        floors: Option<&BTreeMap<(String, String), usize>>,
    ) -> Result<(), Trouble> {
        let mut failed = None;
        for balancer in self.rules.balancers.clone() {
            let own: BTreeSet<_> = slots
                .iter()
                .filter(|slot| slot.balancer == balancer)
                .cloned()
                .collect();
            if own.is_empty() {
                continue;
            }
            self.moment().await;
            if self.is_away(&balancer) {
                failed = Some(Trouble::new(
                    Class::Unreachable,
                    format!("{balancer} is away"),
                ));
                continue;
            }
            // As the helper does it.
            let without = World {
                servers: self.servers.clone(),
                ..World::default()
            }
            .in_service(&own);
            let now = self.counts();
            let short = floors.into_iter().flatten().find(|(place, floor)| {
                place.0 == balancer
                    && without.get(place) < now.get(place)
                    && without.get(place).is_some_and(|left| left < floor)
            });
            if let Some((place, floor)) = short {
                let message = format!("{place:?} would be under {floor}");
                failed = Some(Trouble::new(Class::Budget, message));
                continue;
            }
            let before = self.counts();
            for slot in &own {
                let server = self.servers.get_mut(slot).unwrap();
                let alive = server.check != "DEAD";
                server.admin = admin;
                server.cause = Cause::Command;
                match admin {
                    Admin::Ready => {
                        (server.up, server.sessions) = (alive, 2);
                        if self.suspect.contains(&slot.name.server) {
                            let act = format!("{slot:?} gets traffic unproven");
                            self.violations.push(act);
                        }
                    }
                    Admin::Drain if !self.clinging.contains(&slot.name.server) => {
                        server.sessions /= 2;
                    }
                    Admin::Drain => {}
                    Admin::Maint => server.up = false,
                }
            }
            for (place, after) in self.counts() {
                if after < before[&place] && after < self.least[&place] {
                    let act = format!("{admin:?} {own:?} left {after} in service on {place:?}");
                    self.violations.push(act);
                }
            }
            self.kept = self.servers.clone();
            if admin == Admin::Ready {
                self.readied.push(self.moment);
            }
            self.moment().await;
        }
        failed.map_or(Ok(()), Err)
    }

    async fn end_sessions(&mut self, slots: &BTreeSet<Slot>) -> Result<(), Trouble> {
        self.moment().await;
        for slot in slots {
            self.servers.get_mut(slot).unwrap().sessions = 0;
        }
        Ok(())
    }

    async fn gate(&mut self, _: &[String]) -> Result<(), Trouble> {
        self.playbook("gate", Class::Gate).await
    }

    async fn deploy(&mut self, hosts: &[String]) -> Result<(), Trouble> {
        let pool = self.rules.some(hosts);
        let serving = self
            .servers
            .iter()
            .find(|(slot, server)| pool.has(&slot.name.server) && server.is_in_service());
        // A reload may have brought it back, which nobody can prevent without the kept state.
        if let Some((slot, _)) = serving
            && self.faults.is_empty()
        {
            self.violations
                .push(format!("deployed to {slot:?} while it served"));
        }
        for member in &pool.members {
            self.begun.insert(member.server.clone());
            self.suspect.insert(member.server.clone());
        }
        self.deployed.push(self.moment + 1);
        self.playbook("deploy", Class::Deploy).await?;
        match hosts.iter().find(|host| self.failing.contains(*host)) {
            None => Ok(()),
            Some(host) => Err(Trouble::new(Class::Deploy, format!("{host} failed"))),
        }
    }

    async fn health(&mut self, _: &World, slots: &BTreeSet<Slot>) -> Result<(), Trouble> {
        self.moment().await;
        match slots
            .iter()
            .find(|slot| self.sick.contains(&slot.name.server))
        {
            None => {
                for slot in slots {
                    self.suspect.remove(&slot.name.server);
                }
                Ok(())
            }
            Some(slot) => Err(Trouble::new(
                Class::Health,
                format!("{} answers 503", slot.name),
            )),
        }
    }

    async fn live(&mut self) -> Result<(), Trouble> {
        self.asked_live = self.moment + 1;
        self.playbook("live", Class::Health).await
    }

    async fn pause(&mut self, time: Duration) {
        self.now += time;
        for server in self.servers.values_mut() {
            if server.admin == Admin::Drain && !self.clinging.contains(&server.name.server) {
                server.sessions = server.sessions.saturating_sub(1);
            }
        }
    }

    fn now(&self) -> Duration {
        self.now
    }

    fn is_interrupted(&mut self) -> bool {
        std::mem::take(&mut self.interrupted)
    }

    fn remember<E: Entry>(&mut self, record: &E) -> Result<(), Trouble> {
        let text = serde_json::to_string(record).unwrap();
        self.journals.insert(E::FILE, text);
        Ok(())
    }

    fn announce(&mut self, text: &str) {
        self.told.push(text.to_owned());
    }
}

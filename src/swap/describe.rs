//! What is done and what is wrong, in words.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::plan::Step;
use super::trouble::{Class, Trouble};
use super::world::{Rules, Slot, World};
use crate::protocol::balancer::Admin;

/// The step's name in reports.
pub(super) fn name(step: &Step) -> &'static str {
    match step {
        Step::Gate(_) => "gate",
        Step::Deploy(_) => "deploy",
        Step::Health(_) => "health",
        Step::Put(admin, _) => admin.as_str(),
        Step::AwaitUp(_) => "up",
        Step::Settle => "settle",
        Step::AwaitEmpty(_) => "sessions",
        Step::Live => "live",
        Step::Done => "done",
        Step::Short(_) => "budget",
    }
}

/// A step in words.
pub(super) fn step(step: &Step, rules: &Rules) -> String {
    match step {
        Step::Gate(hosts) => format!("gate: nothing may differ on {}", hosts.join(", ")),
        Step::Deploy(hosts) => format!("deploy to {}", hosts.join(", ")),
        Step::Health(slots) => {
            let servers: BTreeSet<_> = slots.iter().map(|slot| &*slot.name.server).collect();
            let servers: Vec<_> = servers.into_iter().collect();
            format!("health of {}", servers.join(", "))
        }
        Step::Put(admin, slots) => {
            let what = match admin {
                Admin::Ready => "into service",
                Admin::Drain => "drain",
                Admin::Maint => "into maintenance",
            };
            format!("{what}: {}", places(slots, rules))
        }
        Step::AwaitUp(slots) => format!("wait until up: {}", places(slots, rules)),
        Step::Settle => "wait whether they stay up".to_owned(),
        Step::AwaitEmpty(slots) => {
            format!("wait for the last sessions: {}", places(slots, rules))
        }
        Step::Live => "health of the live address".to_owned(),
        Step::Done => "nothing is left to do".to_owned(),
        Step::Short(shortage) => shortage.to_string(),
    }
}

/// `green01, green02 on lb1, lb2`, with backends where there is more than one.
fn places(slots: &BTreeSet<Slot>, rules: &Rules) -> String {
    let mut by_servers: BTreeMap<Vec<String>, Vec<&str>> = BTreeMap::new();
    let balancers: BTreeSet<_> = slots.iter().map(|slot| slot.balancer.as_str()).collect();
    for balancer in balancers {
        let on = slots.iter().filter(|slot| slot.balancer == balancer);
        let names = on.map(|slot| match rules.backends.len() {
            0 | 1 => slot.name.server.clone(),
            _ => slot.name.to_string(),
        });
        by_servers
            .entry(names.collect())
            .or_default()
            .push(balancer);
    }
    let parts = by_servers
        .into_iter()
        .map(|(servers, on)| format!("{} on {}", servers.join(", "), on.join(", ")));
    parts.collect::<Vec<_>>().join("; ")
}

/// Nothing, if every load balancer has answered and has what the file names.
pub(super) fn incomplete(world: &World) -> Result<(), Trouble> {
    let told = |all: &BTreeMap<String, String>| {
        let told = all
            .iter()
            .map(|(balancer, why)| format!("{balancer}: {why}"));
        told.collect::<Vec<_>>().join("\n")
    };
    if !world.missing.is_empty() {
        let message = format!("a load balancer cannot be asked\n{}", told(&world.missing));
        return Err(Trouble::new(Class::Unreachable, message));
    }
    if !world.contradicting.is_empty() {
        let told = told(&world.contradicting);
        let message = format!("a load balancer has not what the file names\n{told}");
        return Err(Trouble::new(Class::LoadBalancer, message));
    }
    Ok(())
}

/// Servers that are not up and why.
pub(super) fn down(world: &World, slots: &BTreeSet<Slot>) -> String {
    let told = slots.iter().filter_map(|slot| {
        let server = world.servers.get(slot)?;
        let why = if server.weight == 0 {
            "its weight is 0".to_owned()
        } else if server.check.is_empty() {
            "no check has said why".to_owned()
        } else {
            format!("its check says {}", server.check)
        };
        Some(format!("{} on {} ({why})", slot.name, slot.balancer))
    });
    told.collect::<Vec<_>>().join(", ")
}

/// What servers still have.
pub(super) fn sessions(world: &World, slots: &BTreeSet<Slot>) -> String {
    let told = slots.iter().filter_map(|slot| {
        let server = world.servers.get(slot)?;
        let place = format!("on {} at {}", slot.name, slot.balancer);
        let sessions = match server.sessions {
            1 => "1 session".to_owned(),
            count => format!("{count} sessions"),
        };
        Some(match server.queued {
            0 => format!("{sessions} {place}"),
            queued => format!("{sessions} and {queued} waiting {place}"),
        })
    });
    told.collect::<Vec<_>>().join(", ")
}

/// The sessions that are ended.
pub(super) fn kill(world: &World, slots: &BTreeSet<Slot>) -> String {
    format!(
        "ended, as the drain's deadline was over: {}",
        sessions(world, slots)
    )
}

/// `90s`, `1.5s`.
pub(super) fn time(time: Duration) -> String {
    format!("{time:?}")
}

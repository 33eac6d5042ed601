//! What a change of the Docker engine's own packages does to the containers that run.
//!
//! Their scripts restart the engine, and an engine without `live-restore` ends its containers. Those
//! are named in the plan, and what ran before runs after, whatever its restart policy says.

use super::{Found, Rpm};
use crate::host::docker_containers::{self, Container};
use crate::host::{Failure, Host, docker, docker_api, systemctl};
use crate::protocol::Drift;
use crate::resource::presence::Presence;

/// The packages whose scripts stop or restart dockerd, by the names they have had.
const ENGINES: [&str; 6] = [
    "docker",
    "docker-ce",
    "docker-engine",
    "docker.io",
    "docker-io",
    "moby-engine",
];

const UNIT: &str = "docker.service";

/// The containers that end with the engine, if `drift` is about one that runs.
///
/// # Errors
/// As [`docker_api::get_once`].
pub(super) fn containers_at_stake(host: &Host, drift: &[Drift]) -> Result<Vec<Container>, Failure> {
    let name = |drift: &Drift| drift.attribute.split(' ').next().map(str::to_owned);
    let changes = |name: String| ENGINES.contains(&name.as_str());
    // One that is to be installed does not run yet.
    let there = drift.iter().filter(|drift| drift.actual != "absent");
    if !there.filter_map(name).any(changes) {
        return Ok(Vec::new());
    }
    match docker_api::get_once(host, "/info") {
        Ok(Some(told)) if told["LiveRestoreEnabled"] != true => docker_containers::running(host),
        Ok(_) | Err(Failure::Missing(_)) => Ok(Vec::new()),
        Err(failure) => Err(failure),
    }
}

impl Rpm {
    /// The containers that end, as a difference of their own.
    pub(super) fn engine_drift(&self, actual: &Found) -> Option<Drift> {
        let containers = &actual.containers;
        if containers.is_empty() {
            return None;
        }
        let what = match self.state {
            Presence::Present => format!(
                "restarted by its packages, with {}",
                docker_containers::listed(containers)
            ),
            Presence::Absent => format!("stopped, with {}", docker_containers::listed(containers)),
        };
        Some(Drift::update("Docker engine", what, "running"))
    }
}

/// Has the engine run again, and what ran on it.
///
/// # Errors
/// With the containers that could not be started.
pub(super) fn bring_back(host: &Host, containers: &[Container]) -> Result<(), Failure> {
    if containers.is_empty() {
        return Ok(());
    }
    // Some scripts stop it and leave the start to others.
    systemctl::bring_up("start", UNIT)?;
    docker::info(host)?;
    docker_containers::bring_back(host, containers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_engine_that_is_there_and_changes_puts_containers_at_stake() {
        let host = Host::new();
        for drift in [
            vec![],
            vec![Drift::create("docker-ce", "3:24.0.9-1.el7")],
            vec![Drift::update("docker-ce-cli (upgrade)", "1:2-1", "1:1-1")],
        ] {
            assert_eq!(containers_at_stake(&host, &drift).unwrap(), []);
        }
    }
}

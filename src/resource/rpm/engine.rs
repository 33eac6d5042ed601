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
    if !changes_an_engine(drift) {
        return Ok(Vec::new());
    }
    match docker_api::get_once(host, "/info") {
        Ok(Some(told)) if told["LiveRestoreEnabled"] != true => docker_containers::running(host),
        Ok(_) | Err(Failure::Missing(_)) => Ok(Vec::new()),
        Err(failure) => Err(failure),
    }
}

/// Whether the package of an engine that is there is to be changed.
fn changes_an_engine(drift: &[Drift]) -> bool {
    drift.iter().any(|drift| {
        let name = drift.attribute.split(' ').next().unwrap_or_default();
        drift.actual != "absent" && ENGINES.contains(&name)
    })
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
        for (drift, expected) in [
            (Drift::create("docker-ce", "3:24.0.9-1.el7"), false),
            (
                Drift::update("docker-ce-cli (upgrade)", "1:2-1", "1:1-1"),
                false,
            ),
            (Drift::update("docker-ce (upgrade)", "3:2-1", "3:1-1"), true),
            (Drift::update("docker-ce (files)", "as packaged", "x"), true),
            (Drift::remove("docker-engine", "17.03-1"), true),
        ] {
            let attribute = drift.attribute.clone();
            assert_eq!(changes_an_engine(&[drift]), expected, "{attribute}");
        }
        assert!(!changes_an_engine(&[]));
    }
}

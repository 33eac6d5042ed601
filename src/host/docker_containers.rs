//! The containers that run, and which of them come back by themselves when the daemon does.

use serde_json::Value;

use super::docker_api::Engine;
use super::{Failure, Host, docker};

/// How many containers are named; the rest is counted.
const NAMED: usize = 10;

/// A container that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Container {
    pub(crate) name: String,
    pub(crate) comeback: Comeback,
}

/// What becomes of a container that the daemon takes down with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comeback {
    /// The daemon starts it again: `restart: always` or `unless-stopped`.
    ByItself,
    /// It stays down until somebody starts it.
    None,
}

/// Those that run, by name.
pub(crate) fn running(host: &Host) -> Result<Vec<Container>, Failure> {
    let engine = Engine::local();
    let mut running = Vec::new();
    for name in docker::running_containers(host)? {
        // One that is gone by now is in nobody's way.
        if let Some(container) = engine.get(&format!("/containers/{name}/json"))? {
            let comeback = comeback(&container);
            running.push(Container { name, comeback });
        }
    }
    Ok(running)
}

/// By the restart policy. With `on-failure` it depends on how the container takes being stopped,
/// and Docker promises nothing.
fn comeback(container: &Value) -> Comeback {
    match container["HostConfig"]["RestartPolicy"]["Name"].as_str() {
        Some("always" | "unless-stopped") => Comeback::ByItself,
        _ => Comeback::None,
    }
}

/// Starts those of `expected` that do not run.
pub(crate) fn bring_back<'a>(
    host: &Host,
    expected: impl IntoIterator<Item = &'a Container>,
) -> Result<(), Failure> {
    let expected: Vec<_> = expected.into_iter().collect();
    if expected.is_empty() {
        return Ok(());
    }
    let engine = Engine::local();
    let running = docker::running_containers(host)?;
    let mut lost = Vec::new();
    for Container { name, .. } in expected {
        if running.contains(name) {
            continue;
        }
        let path = format!("/containers/{name}/start");
        match engine.post(&path, None) {
            Ok(_) => {}
            // Somebody removed it meanwhile.
            Err(_) if engine.get(&format!("/containers/{name}/json"))?.is_none() => {}
            Err(failure) => lost.push(format!("`{name}`: {failure}")),
        }
    }
    if lost.is_empty() {
        return Ok(());
    }
    Err(Failure::Unexpected(format!(
        "the Docker engine runs, but of the containers that ran before, these did not come back: {}",
        lost.join("; ")
    )))
}

/// How many containers, and the names of the first few: `2 running containers: a, b`.
pub(crate) fn listed<'a>(containers: impl IntoIterator<Item = &'a Container>) -> String {
    let containers: Vec<_> = containers.into_iter().collect();
    format!("{}: {}", counted(containers.len()), named(containers))
}

/// How many containers: `1 running container`.
pub(crate) fn counted(count: usize) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} running container{plural}")
}

/// The names of containers, the first few.
pub(crate) fn named<'a>(containers: impl IntoIterator<Item = &'a Container>) -> String {
    let mut names: Vec<_> = containers
        .into_iter()
        .map(|container| container.name.as_str())
        .collect();
    let more = names.len().saturating_sub(NAMED);
    names.truncate(NAMED);
    match more {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

/// What a restart of the daemon does to those that it takes down with it.
pub(crate) fn restarted(containers: &[Container]) -> String {
    let (back, down): (Vec<&Container>, Vec<_>) = containers
        .iter()
        .partition(|container| container.comeback == Comeback::ByItself);
    let mut parts = Vec::new();
    if !back.is_empty() {
        parts.push(format!("restarts {}", listed(back)));
    }
    match down.as_slice() {
        [] => {}
        [one] => parts.push(format!(
            "stops 1 running container, which stays down: {}",
            one.name
        )),
        more => parts.push(format!(
            "stops {}, which stay down: {}",
            counted(more.len()),
            named(more.iter().copied())
        )),
    }
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_policy_that_docker_keeps_over_a_restart_brings_a_container_back() {
        for (policy, expected) in [
            ("always", Comeback::ByItself),
            ("unless-stopped", Comeback::ByItself),
            ("on-failure", Comeback::None),
            ("no", Comeback::None),
            ("", Comeback::None),
        ] {
            let container = json!({ "HostConfig": { "RestartPolicy": { "Name": policy } } });
            assert_eq!(comeback(&container), expected, "{policy}");
        }
        assert_eq!(comeback(&Value::Null), Comeback::None);
    }

    #[test]
    fn who_is_restarted_is_told_from_who_stays_down() {
        let container = |name: &str, comeback| Container {
            name: name.to_owned(),
            comeback,
        };
        let web = container("web", Comeback::ByItself);
        let job = container("job", Comeback::None);
        let batch = container("batch", Comeback::None);
        assert_eq!(
            restarted(&[web.clone(), job.clone()]),
            "restarts 1 running container: web; \
             stops 1 running container, which stays down: job"
        );
        assert_eq!(
            restarted(&[batch, job]),
            "stops 2 running containers, which stay down: batch, job"
        );
        assert_eq!(restarted(&[web]), "restarts 1 running container: web");
    }
}

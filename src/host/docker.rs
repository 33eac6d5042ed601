//! What the Docker daemon tells of itself. Everything has a deadline: a daemon can hang.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::docker_api::get_once;
use super::{Command, Failure, Host};

/// How long the daemon may take for an answer. It answers within a second, unless it hangs.
const ANSWER: Duration = Duration::from_mins(1);

/// What the daemon says of itself.
///
/// # Errors
/// [`Failure::Unexpected`] if no daemon answers.
pub(crate) fn info(host: &Host) -> Result<Value, Failure> {
    ask(host, "/info")?.ok_or_else(|| {
        Failure::Unexpected("what answers on the Docker engine's socket is no engine".to_owned())
    })
}

/// The network that containers are on unless they say otherwise; `None` if the daemon has none
/// (`bridge: none`).
///
/// # Errors
/// As [`info`].
pub(crate) fn bridge(host: &Host) -> Result<Option<Value>, Failure> {
    ask(host, "/networks/bridge")
}

/// The names of the containers that run.
///
/// # Errors
/// As [`info`].
pub(crate) fn running_containers(host: &Host) -> Result<Vec<String>, Failure> {
    let running = ask(host, "/containers/json")?.unwrap_or_default();
    Ok(names(&running))
}

fn names(containers: &Value) -> Vec<String> {
    let containers = containers.as_array().into_iter().flatten();
    // Further names are those of links, with a slash inside.
    let mut names: Vec<_> = containers
        .filter_map(|container| {
            let names = container["Names"].as_array()?.iter();
            let mut own = names.filter_map(|name| name.as_str()?.strip_prefix('/'));
            own.find(|name| !name.contains('/')).map(str::to_owned)
        })
        .collect();
    names.sort();
    names
}

/// The daemon runs, so an engine that is not there is a surprise and nothing that an earlier task
/// will bring.
fn ask(host: &Host, path: &'static str) -> Result<Option<Value>, Failure> {
    get_once(host, path).map_err(|failure| match failure {
        Failure::Missing(why) => Failure::Unexpected(why),
        failure => failure,
    })
}

/// Whether the daemon has taken over a configuration since `begin`.
///
/// # Errors
/// As [`info`].
pub(crate) fn has_reloaded_since(begin: SystemTime) -> Result<bool, Failure> {
    let stamp = |time: SystemTime| {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        format!("{}.{:09}", since.as_secs(), since.subsec_nanos())
    };
    let (since, until) = (stamp(begin), stamp(SystemTime::now()));
    let output = Command::new(["docker", "events", "--since", &since, "--until", &until])
        .timeout(ANSWER)
        .args(["--filter", "type=daemon", "--filter", "event=reload"])
        .args(["--format", "{{.Action}}"])
        .run()?;
    Ok(!output.stdout.trim().is_empty())
}

/// The version that `program`, a dockerd, prints.
///
/// # Errors
/// [`Failure::Missing`] if there is no such program.
pub(crate) fn daemon_version(host: &Host, program: &str) -> Result<String, Failure> {
    let command = Command::new([program, "--version"]).timeout(ANSWER);
    let output = host.ask_once(&command)?;
    version_in(&output.stdout)
        .map(str::to_owned)
        .ok_or_else(|| {
            Failure::Unexpected(format!(
                "`{program} --version` printed no version: {}",
                output.stdout.trim()
            ))
        })
}

fn version_in(printed: &str) -> Option<&str> {
    let rest = printed.trim().strip_prefix("Docker version ")?;
    rest.split([',', ' '])
        .next()
        .filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_container_linked_to_has_one_name_nonetheless() {
        let containers = json!([
            { "Names": ["/web/db", "/db"] }, { "Names": ["/web"] }, { "Names": [] }, {},
        ]);
        assert_eq!(names(&containers), ["db", "web"]);
        assert!(names(&json!(null)).is_empty());
    }

    #[test]
    fn reads_the_version() {
        for (printed, version) in [
            (
                "Docker version 20.10.24+dfsg1, build 5d6db84\n",
                Some("20.10.24+dfsg1"),
            ),
            (
                "Docker version 17.03.2-ce, build f5ec1e2",
                Some("17.03.2-ce"),
            ),
            ("Docker version ", None),
            ("podman version 4", None),
        ] {
            assert_eq!(version_in(printed), version, "{printed}");
        }
    }
}

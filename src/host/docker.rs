//! The docker and dockerd programs. Everything has a deadline: a daemon can hang.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::{Command, Failure};

/// How long the daemon may take for an answer. It answers within a second, unless it hangs.
const ANSWER: Duration = Duration::from_mins(1);

fn docker(arguments: &[&str]) -> Command {
    Command::new(["docker"]).args(arguments).timeout(ANSWER)
}

/// What the daemon says of itself.
///
/// # Errors
/// [`Failure::Missing`] without the program `docker`; [`Failure::Unexpected`] if no daemon
/// answers.
pub(crate) fn info() -> Result<Value, Failure> {
    let output = docker(&["info", "--format", "{{json .}}"]).run()?;
    let info: Value = serde_json::from_str(&output.stdout).map_err(|error| {
        Failure::Unexpected(format!("`docker info` cannot be understood: {error}"))
    })?;
    // Some releases report success without a daemon.
    match info["ServerErrors"].as_array().map(Vec::as_slice) {
        None | Some([]) => Ok(info),
        Some([first, ..]) => Err(Failure::Unexpected(format!(
            "`docker info` reports: {}",
            first.as_str().unwrap_or("an error of the daemon")
        ))),
    }
}

/// The names of the containers that run.
///
/// # Errors
/// As [`info`].
pub(crate) fn running_containers() -> Result<Vec<String>, Failure> {
    let output = docker(&["ps", "--format", "{{.Names}}"]).run()?;
    let mut names: Vec<_> = output.stdout.lines().map(str::to_owned).collect();
    names.sort();
    Ok(names)
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
    let output = docker(&["events", "--since", &since, "--until", &until])
        .args(["--filter", "type=daemon", "--filter", "event=reload"])
        .args(["--format", "{{.Action}}"])
        .run()?;
    Ok(!output.stdout.trim().is_empty())
}

/// The version that `program`, a dockerd, prints.
///
/// # Errors
/// [`Failure::Missing`] if there is no such program.
pub(crate) fn daemon_version(program: &str) -> Result<String, Failure> {
    let output = Command::new([program, "--version"]).timeout(ANSWER).run()?;
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
    use super::*;

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

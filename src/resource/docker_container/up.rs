//! Whether a container is up: it runs, has not been started again just now, and works, where Docker
//! is told how to find that out.

use std::thread;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use super::DockerContainer;
use super::options::Span;
use super::replace;
use crate::host::docker_api::{self, Engine};
use crate::host::{Failure, Host};
use crate::protocol::Drift;

/// How long a container that Docker had to start again must have stayed up since. Docker waits at
/// most a minute between two attempts, so that a container in a loop shows itself.
pub(super) const STEADY: Duration = Duration::from_mins(2);

const PAUSE: Duration = Duration::from_millis(250);

/// What Docker says about how a container does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Condition {
    /// `running`, `exited`, `restarting`, …
    pub(super) status: String,
    /// `healthy`, `starting` or `unhealthy`; nothing without a health check.
    health: Option<String>,
    /// How often Docker has started it again by itself.
    restarts: u64,
    /// How long it has been up, if that is known.
    up: Option<Duration>,
}

impl Condition {
    /// Of a container as it is described at `now`.
    pub(super) fn of(container: &Value, now: SystemTime) -> Self {
        let state = &container["State"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let health = text(&state["Health"]["Status"]);
        let started = humantime::parse_rfc3339(&text(&state["StartedAt"])).ok();
        Self {
            status: text(&state["Status"]),
            // `none`: the image's check is switched off.
            health: (!["", "none"].contains(&health.as_str())).then_some(health),
            restarts: container["RestartCount"].as_u64().unwrap_or_default(),
            up: started.and_then(|started| now.duration_since(started).ok()),
        }
    }

    /// What keeps a container that is to run from being up.
    pub(super) fn drift(&self) -> Vec<Drift> {
        if self.status != "running" {
            return vec![Drift::update("state", "running", &self.status)];
        }
        let mut drift = Vec::new();
        if let Some(health) = self.health.as_ref().filter(|health| *health != "healthy") {
            drift.push(Drift::update("health", "healthy", health));
        }
        if let Some(up) = self.unsteady() {
            let seconds = Span(Duration::from_secs(up.as_secs()));
            let times = match self.restarts {
                1 => "once".to_owned(),
                times => format!("{times} times"),
            };
            let actual = format!("started again by Docker {times}, up for {seconds}");
            let expected = format!("up for {}", Span(STEADY));
            drift.push(Drift::update("state", expected, actual));
        }
        drift
    }

    /// How long it has been up, if that is too short after Docker had to start it again.
    fn unsteady(&self) -> Option<Duration> {
        self.up.filter(|up| self.restarts > 0 && *up < STEADY)
    }

    /// Whether waiting is all that can be done for it.
    pub(super) fn may_become_up(&self) -> bool {
        self.status == "running" && self.health.as_deref() != Some("unhealthy")
    }
}

/// Waits until a container that was started, or runs, is up. It must stay so for as long as is
/// declared without being started again by Docker.
///
/// # Errors
/// [`Failure::Refused`] with what became of it, and the last it said.
pub(super) fn wait(
    host: &Host,
    engine: &Engine,
    declared: &DockerContainer,
) -> Result<(), Failure> {
    let name = &declared.name;
    let settle = declared.settle.unwrap_or_default();
    let begun = Instant::now();
    let mut restarts = None;
    loop {
        let found = replace::inspect(engine, name)?.unwrap_or_default();
        let condition = Condition::of(&found, SystemTime::now());
        let before = *restarts.get_or_insert(condition.restarts);
        let waited = begun.elapsed();
        if condition.status != "running" {
            return Err(Failure::Refused(format!(
                "the container was started and ended {} ({}){}",
                if waited < PAUSE { "at once" } else { "soon" },
                reason(&found["State"]),
                last_words(host, name),
            )));
        }
        if condition.restarts > before {
            return Err(Failure::Refused(format!(
                "the container was started and ended ({}), and Docker started it again{}",
                reason(&found["State"]),
                last_words(host, name),
            )));
        }
        let health = condition.health.as_deref().unwrap_or("healthy");
        if health == "unhealthy" {
            return Err(Failure::Refused(format!(
                "the container runs and is unhealthy{}{}",
                last_check(&found["State"]),
                last_words(host, name),
            )));
        }
        let steady = condition.unsteady().is_none();
        if health == "healthy" && steady && waited >= settle.time.0 {
            return Ok(());
        }
        if health != "healthy" && waited >= settle.deadline.0 {
            return Err(Failure::Refused(format!(
                "the container is not healthy after {} (`settle.deadline`){}{}",
                settle.deadline,
                last_check(&found["State"]),
                last_words(host, name),
            )));
        }
        thread::sleep(PAUSE);
    }
}

/// Why a container ended.
pub(super) fn reason(state: &Value) -> String {
    match (
        &state["OOMKilled"],
        state["Error"].as_str().unwrap_or_default(),
    ) {
        (Value::Bool(true), _) => "it needed more memory than its limit".to_owned(),
        (_, "") => format!("status {}", state["ExitCode"]),
        (_, error) => error.to_owned(),
    }
}

/// What the last health check said.
fn last_check(state: &Value) -> String {
    let checks = state["Health"]["Log"].as_array();
    let said = checks
        .and_then(|checks| checks.last()?["Output"].as_str())
        .unwrap_or_default();
    match said.trim().lines().next_back() {
        Some(line) => format!("; its check says: {line}"),
        None => String::new(),
    }
}

/// The last lines of what a container printed.
pub(super) fn last_words(host: &Host, name: &str) -> String {
    let last = docker_api::program(host)
        .and_then(|docker| {
            docker
                .args(["logs", "--tail", "5", name])
                .timeout(Duration::from_secs(20))
                .output()
        })
        .map(|output| output.stdout + &output.stderr)
        .unwrap_or_default();
    last.lines().flat_map(|line| ["\n    ", line]).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Half a minute after a start.
    const NOW: &str = "2026-12-01T12:00:30Z";

    fn drift(state: &Value, restarts: u64) -> Vec<String> {
        let mut state = state.clone();
        state["StartedAt"] = json!("2026-12-01T12:00:00.123456789Z");
        let container = json!({ "State": state, "RestartCount": restarts });
        let now = humantime::parse_rfc3339(NOW).unwrap();
        let drift = Condition::of(&container, now).drift();
        drift
            .iter()
            .map(|drift| format!("{} {} ← {}", drift.attribute, drift.expected, drift.actual))
            .collect()
    }

    #[test]
    fn up_means_that_it_runs_has_stayed_up_and_works() {
        let health = |status: &str| json!({ "Status": "running", "Health": { "Status": status } });
        for (state, restarts, expected) in [
            (json!({ "Status": "running" }), 0, None),
            (health("healthy"), 0, None),
            (health("none"), 0, None),
            (health("starting"), 0, Some("health healthy ← starting")),
            (health("unhealthy"), 0, Some("health healthy ← unhealthy")),
            (
                json!({ "Status": "running" }),
                4,
                Some("state up for 2m ← started again by Docker 4 times, up for 29s"),
            ),
            (
                json!({ "Status": "restarting" }),
                4,
                Some("state running ← restarting"),
            ),
            (
                json!({ "Status": "paused" }),
                0,
                Some("state running ← paused"),
            ),
            (
                json!({ "Status": "exited" }),
                0,
                Some("state running ← exited"),
            ),
        ] {
            let expected: Vec<_> = expected.into_iter().collect();
            assert_eq!(drift(&state, restarts), expected, "{state}");
        }
    }

    #[test]
    fn a_restart_long_ago_is_forgotten() {
        let container = json!({
            "State": { "Status": "running", "StartedAt": "2026-12-01T11:00:00Z" }, "RestartCount": 1,
        });
        let now = humantime::parse_rfc3339(NOW).unwrap();
        assert_eq!(Condition::of(&container, now).drift(), []);
    }
}

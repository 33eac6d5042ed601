//! Making, starting and replacing containers, so that every moment of it can be the last one.
//!
//! A replacement goes: make `NAME.fleet-new` · stop `NAME` and rename it to `NAME.fleet-old` ·
//! rename the new one to `NAME` · start it · remove the old one. A run that was killed leaves one
//! of the two side names behind; that is drift, and the next run begins by looking at them.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::java;
use super::request;
use super::{DockerContainer, Found, State};
use crate::host::docker_api::{self, Engine};
use crate::host::{Failure, Host};

/// How long a container that was started is watched: what is wrong with its command or its
/// configuration mostly shows at once.
const WATCHED: Duration = Duration::from_secs(2);

/// How long a container may take to end by itself when it is stopped, in seconds.
const GRACE: u32 = 30;

/// Docker's description of a container; `None` if there is none of that name.
pub(super) fn inspect(engine: &Engine, name: &str) -> Result<Option<Value>, Failure> {
    let found = engine.get(&format!("/containers/{name}/json"))?;
    // Docker also takes the beginning of an id for a name.
    Ok(found.filter(|found| found["Name"].as_str() == Some(&format!("/{name}"))))
}

/// The names a container has on its way in and out.
pub(super) fn side_names(name: &str) -> [String; 2] {
    [format!("{name}.fleet-new"), format!("{name}.fleet-old")]
}

/// Ends and removes a container, if there is one of that name.
pub(super) fn remove(engine: &Engine, name: &str) -> Result<(), Failure> {
    if inspect(engine, name)?.is_none() {
        return Ok(());
    }
    stop(engine, name)?;
    // Forced, for one that is paused or already half removed. Its volumes stay.
    engine.delete(&format!("/containers/{name}?force=1"))
}

fn stop(engine: &Engine, name: &str) -> Result<(), Failure> {
    engine
        .post(&format!("/containers/{name}/stop?t={GRACE}"), None)
        .map(drop)
}

fn rename(engine: &Engine, name: &str, new: &str) -> Result<(), Failure> {
    engine
        .post(&format!("/containers/{name}/rename?name={new}"), None)
        .map(drop)
}

/// Starts or stops the container that is there.
pub(super) fn set_running(
    host: &Host,
    engine: &Engine,
    declared: &DockerContainer,
    status: &str,
) -> Result<(), Failure> {
    let name = &declared.name;
    if declared.state == State::Stopped {
        return stop(engine, name);
    }
    match status {
        "running" => return Ok(()),
        "paused" => engine.post(&format!("/containers/{name}/unpause"), None)?,
        "restarting" => engine.post(&format!("/containers/{name}/restart?t={GRACE}"), None)?,
        _ => engine.post(&format!("/containers/{name}/start"), None)?,
    };
    has_started(host, engine, declared)
}

/// Has the kernel enforce again what it was told when the container was made.
pub(super) fn limit_again(engine: &Engine, declared: &DockerContainer) -> Result<(), Failure> {
    let body = Value::Object(request::memory(declared));
    let path = format!("/containers/{}/update", declared.name);
    engine.post(&path, Some(&body)).map(drop)
}

/// Puts a container as declared in place of the one that is there, if any.
pub(super) fn replace(
    host: &Host,
    engine: &Engine,
    declared: &DockerContainer,
    actual: &Found,
) -> Result<(), Failure> {
    if actual.image.is_none() {
        return Err(Failure::Missing(format!(
            "the image {} is not on the host; bring it with docker_image before this task",
            declared.image_name()
        )));
    }
    let name = &declared.name;
    let [new, old] = side_names(name);
    remove(engine, &new)?;
    let body = request::create(declared);
    engine.post(&format!("/containers/create?name={new}"), Some(&body))?;

    if actual.container.is_some() {
        remove(engine, &old)?;
        stop(engine, name)?;
        rename(engine, name, &old)?;
    } else if inspect(engine, &old)?.is_some() {
        // A run was killed before the new one had its name; the old one may have come up again.
        stop(engine, &old)?;
    }
    let put_in_place = rename(engine, &new, name).and_then(|()| match declared.state {
        State::Started => engine
            .post(&format!("/containers/{name}/start"), None)
            .and_then(|_| has_started(host, engine, declared)),
        State::Stopped | State::Absent => Ok(()),
    });
    let Err(failure) = put_in_place else {
        return Ok(());
    };
    Err(put_back(engine, name, &old, actual, &failure))
}

/// Gives the old container its place again, and says what became of that.
fn put_back(engine: &Engine, name: &str, old: &str, actual: &Found, failure: &Failure) -> Failure {
    let back = || -> Result<&str, Failure> {
        remove(engine, name)?;
        for name in side_names(name).iter().filter(|name| *name != old) {
            remove(engine, name)?;
        }
        if inspect(engine, old)?.is_none() {
            return Ok("nothing of it is left");
        }
        rename(engine, old, name)?;
        if matches!(actual.status(), "running" | "restarting" | "absent") {
            engine.post(&format!("/containers/{name}/start"), None)?;
        }
        Ok("the previous container is in its place again")
    };
    let became = match back() {
        Ok(text) => text.to_owned(),
        Err(second) => format!("the previous container could not be put back: {second}"),
    };
    Failure::Refused(format!("{failure}\n    {became}"))
}

/// Insists that the container stays up, and that a JVM in it has the declared heap.
fn has_started(host: &Host, engine: &Engine, declared: &DockerContainer) -> Result<(), Failure> {
    let name = &declared.name;
    let begin = Instant::now();
    while begin.elapsed() < WATCHED {
        let state = inspect(engine, name)?.map(|found| found["State"].clone());
        let state = state.unwrap_or_default();
        if state["Status"] != "running" {
            return Err(ended(host, name, &state));
        }
        thread::sleep(Duration::from_millis(250));
    }
    check_heap(host, engine, declared)
}

fn ended(host: &Host, name: &str, state: &Value) -> Failure {
    let reason = match (
        &state["OOMKilled"],
        state["Error"].as_str().unwrap_or_default(),
    ) {
        (Value::Bool(true), _) => "it needed more memory than its limit".to_owned(),
        (_, "") => format!("status {}", state["ExitCode"]),
        (_, error) => error.to_owned(),
    };
    let last = docker_api::program(host)
        .and_then(|docker| {
            docker
                .args(["logs", "--tail", "5", name])
                .timeout(Duration::from_secs(20))
                .output()
        })
        .map(|output| output.stdout + &output.stderr)
        .unwrap_or_default();
    let last: String = last.lines().flat_map(|line| ["\n    ", line]).collect();
    Failure::Refused(format!(
        "the container was started and ended at once ({reason}){last}"
    ))
}

/// Asks the container's own JVM how large its heap may become.
fn check_heap(host: &Host, engine: &Engine, declared: &DockerContainer) -> Result<(), Failure> {
    let (Some(java), Some(memory)) = (&declared.java, declared.memory) else {
        return Ok(());
    };
    let asked = docker_api::program(host)?
        .args([
            "exec",
            &declared.name,
            "java",
            "-XX:+PrintFlagsFinal",
            "-version",
        ])
        .keep(1 << 20)
        .timeout(Duration::from_mins(2))
        .output()?;
    if asked.rc != 0 {
        // The container may have ended because of the same options.
        let state = inspect(engine, &declared.name)?.unwrap_or_default();
        if state["State"]["Status"] != json!("running") {
            return Err(ended(host, &declared.name, &state["State"]));
        }
        let said = if asked.stderr.trim().is_empty() {
            &asked.stdout
        } else {
            &asked.stderr
        };
        return Err(Failure::Refused(format!(
            "the container's `java` does not say how large its heap is: {}",
            said.trim().lines().last().unwrap_or_default()
        )));
    }
    let Some(found) = java::max_heap_size(&asked.stdout) else {
        return Err(Failure::Unexpected(
            "the container's `java` prints no MaxHeapSize".to_owned(),
        ));
    };
    if java.accepts(memory, found) {
        return Ok(());
    }
    Err(Failure::Refused(format!(
        "the JVM takes {} MiB for its largest heap, not the declared {} MiB; is `version: {}` the \
         version of the JRE in the image?",
        found >> 20,
        java.heap(memory) >> 20,
        java.version
    )))
}

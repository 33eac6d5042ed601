//! Making, starting and replacing containers, so that every moment of it can be the last one.
//!
//! A replacement goes: make `NAME.fleet-new` · stop `NAME` and rename it to `NAME.fleet-old` ·
//! rename the new one to `NAME` · start it · wait until it is up · remove the old one. A run that
//! was killed leaves one of the two side names behind; that is drift, and the next run begins by
//! looking at them. Meanwhile the old one starts by itself after a reboot: Docker leaves what was
//! stopped stopped, unless its policy is `always`.

use std::time::Duration;

use serde_json::{Value, json};

use super::java;
use super::request;
use super::up;
use super::{DockerContainer, Found, State};
use crate::host::docker_api::{self, Engine};
use crate::host::{Failure, Host};

/// How long a container may take to end by itself when it is stopped, in seconds, unless it says so
/// itself.
pub(super) const GRACE: u64 = 30;

/// How long Docker may take beyond that to end it.
const KILLING: Duration = Duration::from_mins(1);

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
    let found = inspect(engine, name)?.unwrap_or_default();
    let grace = found["Config"]["StopTimeout"].as_u64().unwrap_or(GRACE);
    let path = format!("/containers/{name}/stop?t={grace}");
    let limit = Duration::from_secs(grace).saturating_add(KILLING);
    engine.post_within(&path, None, limit).map(drop)
}

/// Has a container start by itself when the engine starts, also if it was stopped by hand; returns
/// its own policy, if it had another one.
fn keep_coming_back(engine: &Engine, name: &str, found: &Value) -> Result<Option<Value>, Failure> {
    let policy = &found["HostConfig"]["RestartPolicy"];
    if policy["Name"] != "unless-stopped" || found["State"]["Running"] != true {
        return Ok(None);
    }
    set_policy(engine, name, &json!({ "Name": "always" }))?;
    Ok(Some(policy.clone()))
}

fn set_policy(engine: &Engine, name: &str, policy: &Value) -> Result<(), Failure> {
    let body = json!({ "RestartPolicy": policy });
    engine
        .post(&format!("/containers/{name}/update"), Some(&body))
        .map(drop)
}

fn rename(engine: &Engine, name: &str, new: &str) -> Result<(), Failure> {
    engine
        .post(&format!("/containers/{name}/rename?name={new}"), None)
        .map(drop)
}

/// Starts or stops the container that is there. What cannot even be started is made again: the
/// reason is in what it was made with.
pub(super) fn set_running(
    host: &Host,
    engine: &Engine,
    declared: &DockerContainer,
    actual: &Found,
) -> Result<(), Failure> {
    let name = &declared.name;
    let condition = actual.condition();
    if declared.state == State::Stopped {
        return stop(engine, name);
    }
    let begun = match condition.status.as_str() {
        "running" if condition.may_become_up() => return up::wait(host, engine, declared),
        "paused" => engine.post(&format!("/containers/{name}/unpause"), None),
        "running" | "restarting" => {
            let path = format!("/containers/{name}/restart?t={GRACE}");
            engine.post(&path, None)
        }
        _ => engine.post(&format!("/containers/{name}/start"), None),
    };
    match begun {
        Ok(_) => has_started(host, engine, declared),
        Err(Failure::Refused(_)) => replace(host, engine, declared, actual),
        Err(failure) => Err(failure),
    }
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
    join_networks(engine, declared, &new)?;

    let mut policy = None;
    if let Some(found) = &actual.container {
        remove(engine, &old)?;
        policy = keep_coming_back(engine, name, found)?;
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
    Err(put_back(
        engine,
        name,
        &old,
        actual,
        policy.as_ref(),
        &failure,
    ))
}

/// Has the new container join the networks beside the one it was made in. An engine before 25 takes
/// only one when it makes a container.
fn join_networks(engine: &Engine, declared: &DockerContainer, new: &str) -> Result<(), Failure> {
    let first = request::first_network(declared);
    let further = declared.networks.iter();
    for (network, place) in further.filter(|(name, _)| Some(name.as_str()) != first) {
        let body = json!({ "Container": new, "EndpointConfig": request::endpoint(place) });
        let joined = engine.post(&format!("/networks/{network}/connect"), Some(&body));
        if let Err(failure) = joined {
            remove(engine, new)?;
            return Err(failure);
        }
    }
    Ok(())
}

/// Gives the old container its place again, and says what became of that.
fn put_back(
    engine: &Engine,
    name: &str,
    old: &str,
    actual: &Found,
    policy: Option<&Value>,
    failure: &Failure,
) -> Failure {
    let back = || -> Result<&str, Failure> {
        remove(engine, name)?;
        for name in side_names(name).iter().filter(|name| *name != old) {
            remove(engine, name)?;
        }
        if inspect(engine, old)?.is_none() {
            return Ok("nothing of it is left");
        }
        rename(engine, old, name)?;
        if let Some(policy) = policy {
            set_policy(engine, name, policy)?;
        }
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

/// Insists that the container stays up and works, and that a JVM in it has the declared heap.
fn has_started(host: &Host, engine: &Engine, declared: &DockerContainer) -> Result<(), Failure> {
    up::wait(host, engine, declared)?;
    check_heap(host, engine, declared)
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
            return Err(Failure::Refused(format!(
                "the container was started and ended ({}){}",
                up::reason(&state["State"]),
                up::last_words(host, &declared.name),
            )));
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

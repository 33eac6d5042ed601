//! Making, starting and replacing containers, so that every moment of it can be the last one.
//!
//! A replacement goes: make `NAME.fleet-new` · rename `NAME`, which runs on, to `NAME.fleet-old` ·
//! rename the new one to `NAME` · stop the old one and start the new one, in one program · wait until
//! it is up · remove the old one. A run that was killed leaves one of the two side names behind; that
//! is drift, and the next run begins by looking at them. Meanwhile one of the two runs, and the old
//! one starts by itself after a reboot: Docker leaves what was stopped stopped, unless its policy is
//! `always`.

use std::time::Duration;

use serde_json::{Value, json};

use super::java;
use super::request;
use super::up;
use super::{DockerContainer, Found, State};
use crate::host::docker_api::{self, Engine};
use crate::host::{Command, Failure, Host};

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

fn start(engine: &Engine, name: &str) -> Result<(), Failure> {
    engine
        .post(&format!("/containers/{name}/start"), None)
        .map(drop)
}

/// How long a container may take to end by itself, in seconds.
fn grace(container: &Value) -> u64 {
    container["Config"]["StopTimeout"].as_u64().unwrap_or(GRACE)
}

fn stop(engine: &Engine, name: &str) -> Result<(), Failure> {
    let Some(found) = inspect(engine, name)? else {
        return Ok(());
    };
    let grace = grace(&found);
    let path = format!("/containers/{name}/stop?t={grace}");
    let limit = Duration::from_secs(grace).saturating_add(KILLING);
    engine.post_within(&path, None, limit).map(drop)
}

/// Has a container start by itself when the engine starts, also after it was stopped by hand.
fn keep_coming_back(engine: &Engine, name: &str) -> Result<(), Failure> {
    let found = inspect(engine, name)?.unwrap_or_default();
    if found["HostConfig"]["RestartPolicy"]["Name"] != "unless-stopped" {
        return Ok(());
    }
    set_policy(engine, name, &json!({ "Name": "always" }))
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
    let [_, old] = side_names(name);
    let condition = actual.condition();
    if declared.state == State::Stopped {
        return stop(engine, name);
    }
    let nothing = |()| Value::Null;
    let begun = match condition.status.as_str() {
        "running" if condition.may_become_up() => Ok(Value::Null),
        "paused" => engine.post(&format!("/containers/{name}/unpause"), None),
        "running" | "restarting" => {
            let path = format!("/containers/{name}/restart?t={GRACE}");
            engine.post(&path, None)
        }
        // A run was killed before the new one was started: what serves is the old one still.
        _ => match inspect(engine, &old)?.filter(serves) {
            Some(left) => hand_over(host, engine, &old, name, &left).map(nothing),
            None => start(engine, name).map(nothing),
        },
    };
    let failure = match begun {
        Ok(_) => match has_started(host, engine, declared) {
            Ok(()) => return Ok(()),
            Err(failure) => failure,
        },
        Err(Failure::Refused(_)) => return replace(host, engine, declared, actual),
        Err(failure) => return Err(failure),
    };
    // A run was killed before the new one had proven itself; the old one is still there.
    match inspect(engine, &old)? {
        Some(_) => Err(put_back(engine, declared, None, &failure)),
        None => Err(failure),
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

    let (before, replaced) = match (&actual.container, inspect(engine, &old)?) {
        // A run was killed amid a replacement: what serves is the old one still.
        (Some(found), Some(left)) if serves(&left) && !serves(found) => {
            remove(engine, name)?;
            (Some(left), None)
        }
        (None, left) => (left, None),
        (Some(found), _) => {
            remove(engine, &old)?;
            rename(engine, name, &old)?;
            (Some(found.clone()), Some(found))
        }
    };
    let put_in_place = rename(engine, &new, name).and_then(|()| {
        match (
            declared.state,
            before.as_ref().filter(|before| serves(before)),
        ) {
            (State::Started, Some(before)) => {
                hand_over(host, engine, &old, name, before)?;
            }
            (State::Started, None) => start(engine, name)?,
            (State::Stopped | State::Absent, _) => return stop(engine, &old),
        }
        has_started(host, engine, declared)
    });
    let Err(failure) = put_in_place else {
        return Ok(());
    };
    Err(put_back(engine, declared, replaced, &failure))
}

/// Whether a container does something that would be missed.
fn serves(container: &Value) -> bool {
    let status = container["State"]["Status"].as_str().unwrap_or_default();
    ["running", "restarting", "paused"].contains(&status)
}

/// Ends the old container and starts the new one, or else the old one again. A program of its own
/// does it, which goes on if the helper is killed meanwhile: there is no moment in which neither
/// runs and nobody starts one.
fn hand_over(
    host: &Host,
    engine: &Engine,
    old: &str,
    new: &str,
    before: &Value,
) -> Result<(), Failure> {
    const SCRIPT: &str = r#"
old=$1 new=$2 grace=$3
shift 3
"$@" stop -t "$grace" "$old" >/dev/null 2>&1
said=$("$@" start "$new" 2>&1) && exit
"$@" start "$old" >/dev/null 2>&1
printf '%s\n' "$said" >&2
exit 1
"#;
    keep_coming_back(engine, old)?;
    let grace = grace(before);
    let docker = docker_api::program(host)?;
    let handed = Command::new(["sh", "-c", SCRIPT, "sh", old, new])
        .arg(grace.to_string())
        .args(docker.argv())
        .timeout(Duration::from_secs(grace).saturating_add(KILLING * 2))
        .output()?;
    if handed.rc == 0 {
        return Ok(());
    }
    let said = handed.stderr.lines().next().unwrap_or_default();
    let said = said.trim_start_matches("Error response from daemon: ");
    Err(Failure::Refused(format!("Docker says: {said}")))
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
    declared: &DockerContainer,
    replaced: Option<&Value>,
    failure: &Failure,
) -> Failure {
    let name = &declared.name;
    let [new, old] = side_names(name);
    let back = || -> Result<&str, Failure> {
        remove(engine, name)?;
        remove(engine, &new)?;
        let Some(found) = inspect(engine, &old)? else {
            return Ok("nothing of it is left");
        };
        rename(engine, &old, name)?;
        // Of one that an earlier run left nobody knows what it was before.
        let wanted = request::create(declared);
        let policy = &replaced.unwrap_or(&wanted)["HostConfig"]["RestartPolicy"];
        if !policy.is_null() && *policy != found["HostConfig"]["RestartPolicy"] {
            set_policy(engine, name, policy)?;
        }
        if replaced.is_none_or(serves) {
            start(engine, name)?;
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

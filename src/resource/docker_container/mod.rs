//! One container, as declared or made again.
//!
//! A container cannot be changed, only replaced. It is replaced when anything that Docker says about
//! it is not as declared, or, where nothing is declared, not what the image and the daemon give to a
//! container that is told nothing. What cannot be declared (that it is privileged, that it is in the
//! network of another container) must not be. What fleet does not know in the description of a newer
//! engine, and is not empty, makes it unknown whether a container is as declared.
//!
//! A container is up when it runs, Docker had not to start it again in the last two minutes, and it
//! is healthy, if there is a health check. After a start fleet waits until it is (see `settle`), and
//! a start after which it is not is a failure.
//!
//! The new container is made before the old one is stopped, so that what Docker refuses stops
//! nothing; if the new one does not come up, the old one takes its place again. A run that is
//! killed in between is completed by the next.
//!
//! The memory limit is read back from the control group that the container really runs in
//! (versions 1 and 2): where the kernel has no such controller, Docker only warns and runs the
//! container without a limit. A limit that was lost while the container ran is set again, and
//! nothing is restarted: with version 2, runc 1.1 and systemd, every `systemctl daemon-reload`
//! takes the swap limit off containers that may not swap.
//!
//! `java` sets the heap by the version of the JRE (see `java.rs` for the table), in the variable
//! `JAVA_TOOL_OPTIONS`. A heap that cannot fit is an error before any host is contacted. After
//! every start made by fleet the container's own `java` is asked for its `MaxHeapSize`; a check
//! asks none, because one more JVM may be what an exhausted limit cannot bear.
//!
//! Values of `env` are never shown: passwords are handed over there.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::docker_image::{self, ImageRef};
use super::hidden::Hidden;
use super::{AnyResource, Footprint, Removal, Resource};
use crate::host::docker_api::{self, Engine};
use crate::host::{Failure, Host};
use crate::protocol::{Change, Drift, Output};

mod cgroup;
mod compare;
mod defaults;
mod fields;
pub(super) mod java;
mod options;
mod replace;
mod request;
pub(super) mod size;
mod up;
pub(super) mod valid;
mod words;

use cgroup::Limits;
use defaults::Defaults;
use java::Java;
use options::{Healthcheck, Log, Network, Settle, Ulimit};
use size::Size;
use up::Condition;

/// One container, as declared or made again.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "control", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DockerContainer {
    /// Its name.
    pub name: String,
    /// The image, by digest (`registry/app@sha256:…`) or by id (`sha256:…`). It must be on the
    /// host: see `docker_image`. Not needed with `state: absent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageRef>,
    /// The words of the command, in place of the image's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// The words of the entrypoint, in place of the image's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// Environment variables. Their values are never shown.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, Hidden>,
    /// Published ports: `8080:80`, `127.0.0.1:8080:80`, `53:53/udp`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<String>,
    /// Mounts: `/srv/data:/data`, `/etc/app:/etc/app:ro`, `volume:/data`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<String>,
    /// File systems in memory, with their options: `/run: size=64m`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tmpfs: BTreeMap<String, String>,
    /// Devices of the host: `/dev/ttyS0`, `/dev/ttyS0:/dev/modem:rw`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<String>,
    /// Whether it cannot write to its own file system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only: Option<bool>,
    /// `bridge` (the default), `host`, `none`, or the name of a network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// Networks it is in beside `network`, and its aliases in each. Without `network` it is in these
    /// alone.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub networks: BTreeMap<String, Network>,
    /// Addresses of the name servers it asks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<String>,
    /// Names it knows by itself: `db:10.0.0.5`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extra_hosts: Vec<String>,
    /// `no` (the default), `always`, `unless-stopped`, `on-failure` or `on-failure:5`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<String>,
    /// The user it runs as, and the group: `app`, `1000:1000`; the image's unless told otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Further groups of that user.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub group_add: Vec<String>,
    /// The directory it is started in; the image's unless told otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// Its name for itself; the beginning of its id unless told otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Whether Docker's own `init` starts the command, and buries what it leaves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<bool>,
    /// How Docker finds out whether it works; the image's way unless told otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// The signal that asks it to end: `SIGQUIT`; the image's unless told otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// How many seconds it may take to end; 10 when Docker stops it, 30 when fleet does, unless told
    /// otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_timeout: Option<u32>,
    /// When it is believed to be up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settle: Option<Settle>,
    /// The most memory it may use: `512m`, `2g`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Size>,
    /// The most memory and swap together; the same as `memory` (no swap) unless told otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_swap: Option<Size>,
    /// How many CPUs it may use: `1.5`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<f64>,
    /// The most processes and threads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pids: Option<u32>,
    /// How much memory its processes may share: `256m`; 64m unless told otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shm_size: Option<Size>,
    /// What each of its processes may use: `nofile: { soft: 1024, hard: 4096 }`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ulimits: BTreeMap<String, Ulimit>,
    /// Kernel parameters of its own: `net.core.somaxconn: 1024`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sysctls: BTreeMap<String, String>,
    /// Capabilities beyond those of every container: `NET_ADMIN`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cap_add: Vec<String>,
    /// Capabilities it does without: `ALL`, `NET_RAW`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cap_drop: Vec<String>,
    /// How it is confined: `no-new-privileges`, `apparmor=PROFILE`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub security_opt: Vec<String>,
    /// Whose shared memory it sees: `private`, `shareable`, `none` or the `host`'s; the daemon's choice
    /// unless told otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipc: Option<String>,
    /// `host`, to see the processes of the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<String>,
    /// `host`, to be left out of the daemon's `userns-remap`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub userns: Option<String>,
    /// Where its output goes; the daemon's choice unless told otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<Log>,
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The heap, if it runs a JVM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub java: Option<Java>,
    /// `started` (the default), `stopped` or `absent`.
    #[serde(default)]
    pub state: State,
}

/// What a container is to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "control", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It runs.
    #[default]
    Started,
    /// It is there and does not run.
    Stopped,
    /// It does not exist.
    Absent,
}

/// What was found on the host.
#[derive(Clone)]
pub struct Found {
    /// Docker's description of the container, if it is there.
    container: Option<Value>,
    /// Docker's description of the declared image, if it is there.
    image: Option<Value>,
    /// What the kernel enforces, while it runs.
    limits: Option<Limits>,
    /// Containers that an interrupted replacement left behind.
    leftovers: Vec<String>,
    /// What the daemon gives to containers that are told nothing.
    defaults: Defaults,
    /// When it was looked at.
    at: SystemTime,
}

impl Found {
    /// `running`, `exited`, `restarting`, …
    fn status(&self) -> &str {
        let status = self
            .container
            .as_ref()
            .map(|found| &found["State"]["Status"]);
        status.and_then(Value::as_str).unwrap_or("absent")
    }

    /// How the container does.
    fn condition(&self) -> Condition {
        self.container
            .as_ref()
            .map(|found| Condition::of(found, self.at))
            .unwrap_or_default()
    }
}

/// Whether a list of containers has one of this name.
fn is_there(all: &Value, name: &str) -> bool {
    let all = all.as_array().into_iter().flatten();
    all.flat_map(|one| one["Names"].as_array().into_iter().flatten())
        .any(|found| found.as_str().and_then(|found| found.strip_prefix('/')) == Some(name))
}

impl DockerContainer {
    /// That there is no container of this name.
    fn absent(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            state: State::Absent,
            ..Self::default()
        }
    }

    /// What it is made from, as Docker is told.
    fn image_name(&self) -> String {
        self.image
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default()
    }

    /// What can only be changed by making the container again.
    fn differences(&self, actual: &Found) -> Vec<Drift> {
        compare::differences(self, actual)
    }

    /// Where the kernel does not enforce what Docker was told.
    fn lost_limits(&self, actual: &Found) -> Vec<Drift> {
        match (self.memory, &actual.limits) {
            (Some(memory), Some(limits)) => {
                limits.drift(memory, self.memory_swap.unwrap_or(memory))
            }
            _ => Vec::new(),
        }
    }
}

impl Resource for DockerContainer {
    const KIND: &'static str = "docker_container";

    const EXAMPLE: &'static str = "\
- name: the order service
  docker_container:
    name: orders
    image: registry.example.com/shop/orders@sha256:4b6bcb4b6ae4fd6e1cfd7b1f0f5f0a2a5a3d0cfb3d5d3d8c2b1a0f9e8d7c6b5a
    env:
      DATABASE_PASSWORD: \"{{ database_password }}\"
    ports: [\"8080:8080\"]
    volumes: [\"/srv/data/orders:/data\", \"/var/log/app/orders:/var/log/orders\"]
    restart: unless-stopped
    memory: 1g
    cpus: 1.5
    pids: 512
    log: { driver: json-file, options: { max-size: 50m, max-file: 5 } }
    labels: { team: shop }
    healthcheck: { command: [curl, -sSf, \"localhost:8080/healthz\"], interval: 10s, timeout: 2s, retries: 3, start_period: 30s }
    settle: { time: 10s, deadline: 3m }
    stop_timeout: 45
    java: { version: 17.0.9, heap_percent: 70, options: [-XX:+UseSerialGC] }

- name: a name server, confined as far as it goes
  docker_container:
    name: names
    image: registry.example.com/shop/names@sha256:4b6bcb4b6ae4fd6e1cfd7b1f0f5f0a2a5a3d0cfb3d5d3d8c2b1a0f9e8d7c6b5a
    entrypoint: [/usr/sbin/unbound]
    command: [-d]
    user: \"1000:1000\"
    group_add: [\"2000\"]
    working_dir: /var/lib/unbound
    hostname: names
    network: front
    networks: { front: { aliases: [dns] }, back: {} }
    dns: [10.0.0.2]
    extra_hosts: [\"db:10.0.0.5\"]
    tmpfs: { /run: size=16m }
    devices: [\"/dev/ttyS0:/dev/modem:rw\"]
    read_only: true
    init: true
    stop_signal: SIGQUIT
    shm_size: 16m
    memory: 256m
    memory_swap: 512m
    ulimits: { nofile: { soft: 4096, hard: 8192 } }
    sysctls: { net.core.somaxconn: \"1024\" }
    cap_drop: [ALL]
    cap_add: [NET_BIND_SERVICE]
    security_opt: [no-new-privileges]
    ipc: private

- name: an agent that looks at its host
  docker_container:
    name: agent
    image: registry.example.com/shop/agent@sha256:4b6bcb4b6ae4fd6e1cfd7b1f0f5f0a2a5a3d0cfb3d5d3d8c2b1a0f9e8d7c6b5a
    network: host
    pid: host
    userns: host

- name: its predecessor is gone
  docker_container: { name: orders-old, state: absent }
";

    type Actual = Found;

    fn id(&self) -> String {
        self.name.clone()
    }

    fn validate(&self) -> Result<(), String> {
        valid::validate(self)
    }

    fn footprint(&self) -> Option<Footprint> {
        Some(Footprint {
            absence: AnyResource::DockerContainer(Self::absent(&self.name)),
            made_with: "state",
            removal: Removal::Prune,
        })
    }

    fn time_limit(&self) -> Option<Duration> {
        let settle = self.settle.unwrap_or_default().deadline.0;
        let grace = Duration::from_secs(self.stop_timeout.map_or(replace::GRACE, u64::from));
        // To make it, to stop it twice, to ask its JVM, and to put the old one back.
        Some(settle.max(up::STEADY) + grace * 2 + Duration::from_mins(5))
    }

    fn observe(&self, host: &Host) -> Result<Found, Failure> {
        let engine = Engine::local();
        let container = replace::inspect(&engine, &self.name)?;
        let image = match &self.image {
            Some(image) => docker_image::inspect(&engine, &image.to_string())?,
            None => None,
        };
        let limits = match &container {
            Some(found) if self.memory.is_some() => Limits::of(found)?,
            _ => None,
        };
        // Asked once for all containers: few have any.
        let there = docker_api::get_once(host, "/containers/json?all=1")?.unwrap_or_default();
        let mut leftovers = replace::side_names(&self.name).to_vec();
        leftovers.retain(|name| is_there(&there, name));
        let unknown = container.as_ref().map(compare::unknown);
        if let Some(unknown) = unknown.filter(|unknown| !unknown.is_empty()) {
            return Err(Failure::Unexpected(format!(
                "Docker describes the container with what this fleet does not know, so it cannot \
                 tell whether it is as declared: {}; a newer fleet may know it",
                unknown.join("; ")
            )));
        }
        Ok(Found {
            container,
            image,
            limits,
            leftovers,
            defaults: Defaults::of(host)?,
            at: SystemTime::now(),
        })
    }

    fn drift(&self, actual: &Found) -> Vec<Drift> {
        let mut drift = Vec::new();
        match (self.state, &actual.container) {
            (State::Absent, Some(_)) => drift.push(Drift::remove("state", actual.status())),
            (State::Absent, None) => {}
            (State::Started, None) => drift.push(Drift::create("state", "running")),
            (State::Stopped, None) => drift.push(Drift::create("state", "stopped")),
            (state, Some(_)) => {
                drift.extend(self.differences(actual));
                // A container that is made again gets its limits anyway.
                if drift.is_empty() {
                    drift.extend(self.lost_limits(actual));
                }
                let ended = ["created", "exited", "dead"].contains(&actual.status());
                match state {
                    State::Started => drift.extend(actual.condition().drift()),
                    _ if !ended => {
                        drift.push(Drift::update("state", "stopped", actual.status()));
                    }
                    _ => {}
                }
            }
        }
        for name in &actual.leftovers {
            let attribute = "left by an interrupted change";
            drift.push(Drift::new(Change::Remove, attribute, "absent", name));
        }
        drift
    }

    fn apply(&self, host: &Host, actual: &Found) -> Result<Option<Output>, Failure> {
        let engine = Engine::local();
        match (self.state, &actual.container) {
            (State::Absent, _) => replace::remove(&engine, &self.name)?,
            (_, Some(_)) if self.differences(actual).is_empty() => {
                if !self.lost_limits(actual).is_empty() {
                    replace::limit_again(&engine, self)?;
                }
                let settled = match self.state {
                    State::Started => actual.condition().drift().is_empty(),
                    State::Stopped | State::Absent => false,
                };
                if !settled {
                    replace::set_running(host, &engine, self, actual)?;
                }
            }
            _ => replace::replace(host, &engine, self, actual)?,
        }
        for name in replace::side_names(&self.name) {
            replace::remove(&engine, &name)?;
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests;

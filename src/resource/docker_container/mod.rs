//! One container, as declared or made again.
//!
//! A container cannot be changed, only replaced. It is replaced when something declared differs
//! from what Docker says about it; what the image or the daemon adds (its command, its labels,
//! its log driver) is no difference. What was taken out of the declaration is one, and so is what
//! cannot be declared and makes a container more than one: that it is privileged, has further
//! capabilities or devices, or sees the host's processes.
//!
//! The new container is made before the old one is stopped, so that what Docker refuses stops
//! nothing; if the new one does not start, the old one takes its place again. A run that is
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

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::docker_image::{self, ImageRef};
use super::hidden::Hidden;
use super::{AnyResource, Footprint, Removal, Resource};
use crate::host::docker_api::Engine;
use crate::host::{Failure, Host};
use crate::protocol::{Change, Drift, Output};

mod cgroup;
mod compare;
pub(super) mod java;
mod replace;
mod request;
pub(super) mod size;

use cgroup::Limits;
use java::Java;
use size::Size;

/// One container, as declared or made again.
#[derive(Clone, Debug, Serialize, Deserialize)]
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
    /// `bridge` (the default), `host`, `none`, or the name of a network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// `no` (the default), `always`, `unless-stopped`, `on-failure` or `on-failure:5`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<String>,
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

/// Where a container's output goes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "control", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// `json-file`, `journald`, `none`, …
    pub driver: String,
    /// The driver's options: `max-size: 50m`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
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
}

impl DockerContainer {
    /// That there is no container of this name.
    fn absent(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            image: None,
            command: None,
            entrypoint: None,
            env: BTreeMap::new(),
            ports: Vec::new(),
            volumes: Vec::new(),
            network: None,
            restart: None,
            memory: None,
            memory_swap: None,
            cpus: None,
            pids: None,
            log: None,
            labels: BTreeMap::new(),
            java: None,
            state: State::Absent,
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
        let Some(container) = &actual.container else {
            return Vec::new();
        };
        compare::differences(self, container, actual.image.as_ref())
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
    java: { version: 17.0.9, heap_percent: 70, options: [-XX:+UseSerialGC] }

- name: its predecessor is gone
  docker_container: { name: orders-old, state: absent }
";

    type Actual = Found;

    fn id(&self) -> String {
        self.name.clone()
    }

    fn validate(&self) -> Result<(), String> {
        request::validate(self)
    }

    fn footprint(&self) -> Option<Footprint> {
        Some(Footprint {
            absence: AnyResource::DockerContainer(Self::absent(&self.name)),
            made_with: "state",
            removal: Removal::Prune,
        })
    }

    fn observe(&self, _: &Host) -> Result<Found, Failure> {
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
        let mut leftovers = Vec::new();
        for name in replace::side_names(&self.name) {
            if replace::inspect(&engine, &name)?.is_some() {
                leftovers.push(name);
            }
        }
        Ok(Found {
            container,
            image,
            limits,
            leftovers,
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
                let running = actual.status() == "running";
                if running != (state == State::Started) {
                    let wanted = if running { "stopped" } else { "running" };
                    drift.push(Drift::update("state", wanted, actual.status()));
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
                replace::set_running(host, &engine, self, actual.status())?;
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

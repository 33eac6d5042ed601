//! The Docker daemon: its configuration, its unit and its service, as one.
//!
//! `config` is the whole of `/etc/docker/daemon.json`, written as YAML; `drop_ins` are all files
//! in `/etc/systemd/system/docker.service.d`; `sysconfig` are files in `/etc/sysconfig`. What is
//! declared is owned: a key or a drop-in that is not declared is drift and is removed. What is
//! left out altogether (`config`, `drop_ins`, a file of `sysconfig`) is left alone.
//!
//! A daemon that dislikes its configuration does not start, so it is checked before any host is
//! contacted: keys against the table of the engine named in `engine_version`, types (the values
//! of `log-opts` are texts: `max-file: "3"`), sizes, networks and addresses, the options of log
//! and storage drivers, limits that no container would start with, storage drivers that an engine
//! lost. On the host, the engine itself is asked whether it has the log driver, which may be a
//! plugin, and from 23.0 on whether it would start with the configuration (`dockerd --validate`). A
//! key that is also a flag in the unit is refused, with the drop-in that clears the flag; and so
//! is a file of `sysconfig` that the unit does not read, as those of Docker Inc. do not.
//!
//! Files are written before the daemon first starts. A daemon that runs takes a change over by a
//! reload (SIGHUP) where its release can, else by a restart; the plan says which, and which
//! running containers a restart stops. With live-restore before and after the change it stops
//! none. But a daemon that comes back on another storage does not find them again: the plan says
//! that it loses them. And one that takes them over keeps the network they are on, so a change of
//! `bip` and the like is refused until they are stopped. When the daemon does not come up within
//! `timeout`, or refuses the reload, the files of before are put back, it is started with them,
//! and the task fails with the end of its journal. The same happens, by the host itself, when it
//! cannot be reached over a new connection within a minute (`confirm_timeout`) of a restart, which sets up bridge and
//! firewall anew.
//!
//! A daemon that has live-restore and is to be without is told so by a reload first, and restarted
//! then: else the new one would take down for good what the old one kept. The plan tells the
//! containers that a restart restarts from those that it leaves down, and those of the first sort
//! are started where the daemon did not.
//!
//! `daemon.json` is compared by meaning: order and white space are no drift. Files that are
//! declared belong to root, and nobody else may write to them. Drift is also a daemon that runs
//! with something else than its files say: older than its configuration, its unit files or its
//! program, started with other flags than its unit has, or telling other settings in `docker info`
//! than are declared or, where none is, than it has by default.
//!
//! Flags of the unit that no package brings are declared by `drop_ins` or `sysconfig`, or they are
//! drift, and so is a unit in /etc that hides that of the package. As they are somebody's files,
//! they are not removed: this task is refused until they are declared or gone. The same holds for
//! a dockerd that was started by hand.
//!
//! The engine itself is installed by an `rpm` task; another version than `engine_version` is
//! drift that this task refuses to work with.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Resource;
use crate::host::docker_unit::{SOCKET, UNIT};
use crate::host::{Failure, Host, WayBack, check_confirm_timeout, confirm_within};
use crate::protocol::{Drift, Output};

mod access;
mod ask;
mod change;
mod check;
mod drift;
mod files;
mod flags;
mod found;
mod info;
mod keys;
mod logging;
mod measures;
mod memory;
mod nested;
mod restart;
mod running;
#[cfg(test)]
mod tests;
mod unit;
mod values;
mod version;
mod work;

use found::{Found, OnDisk};
use version::EngineVersion;
use work::Means;

const DAEMON_JSON: &str = "/etc/docker/daemon.json";
const DROP_INS: &str = "/etc/systemd/system/docker.service.d";
const SYSCONFIG: &str = "/etc/sysconfig";

/// Hundreds of containers on a slow disk take minutes; nothing takes this long and comes up.
const DEFAULT_LIMIT: Duration = Duration::from_mins(5);

/// The Docker daemon: its configuration, its unit and its service, as one.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "control", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DockerDaemon {
    /// The pinned version of the engine, all three numbers: decides which keys there are.
    pub engine_version: EngineVersion,
    /// The whole of `/etc/docker/daemon.json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Map<String, Value>>,
    /// All files in `/etc/systemd/system/docker.service.d`: name and text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drop_ins: Option<BTreeMap<String, String>>,
    /// Files in `/etc/sysconfig` whose names begin with `docker`: name and text.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sysconfig: BTreeMap<String, String>,
    /// `started` or `stopped`; as it is unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<DaemonState>,
    /// Whether it starts at boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// How long it may take to start or to stop, in seconds; 300 unless given.
    #[serde(default = "default_timeout")]
    pub timeout: u64,
    /// How long a change that may cut the host off waits for a new connection before it is taken
    /// back, in seconds, from 10 to 600; 60 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm_timeout: Option<u64>,
}

const fn default_timeout() -> u64 {
    DEFAULT_LIMIT.as_secs()
}

/// Whether a [`DockerDaemon`] runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "control", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum DaemonState {
    /// It runs.
    Started,
    /// It does not run, and nothing starts it on demand.
    Stopped,
}

impl Resource for DockerDaemon {
    const KIND: &'static str = "docker_daemon";

    const EXAMPLE: &'static str = "\
- name: the engine as we run it
  docker_daemon:
    engine_version: 20.10.24
    config:
      storage-driver: overlay2
      live-restore: yes
      log-driver: json-file
      log-opts: { max-size: 100m, max-file: \"3\" }
      registry-mirrors: [https://mirror.example.com]
      default-ulimits:
        nofile: { Name: nofile, Hard: 64000, Soft: 64000 }
    state: started
    enabled: yes
    timeout: 600
    confirm_timeout: 180

- name: the API on the network, behind TLS
  docker_daemon:
    engine_version: 20.10.24
    config:
      hosts: [fd://, tcp://0.0.0.0:2376]
      tlsverify: yes
      tlscacert: /etc/docker/ca.pem
      tlscert: /etc/docker/cert.pem
      tlskey: /etc/docker/key.pem
    drop_ins:
      10-hosts.conf: |
        [Service]
        ExecStart=
        ExecStart=/usr/bin/dockerd --containerd=/run/containerd/containerd.sock
    state: started
";

    type Actual = Found;

    fn id(&self) -> String {
        "docker".to_owned()
    }

    fn validate(&self) -> Result<(), String> {
        let mut problems = self
            .config
            .as_ref()
            .map(|config| check::problems(config, &self.engine_version, &self.elsewhere()))
            .unwrap_or_default();
        for name in self.drop_ins.iter().flat_map(BTreeMap::keys) {
            if !is_file_name(name) || Path::new(name).extension() != Some("conf".as_ref()) {
                problems.push(format!(
                    "`{name}` is not the name of a drop-in; it ends in `.conf` and has no `/`"
                ));
            }
        }
        for name in self.sysconfig.keys() {
            if !is_file_name(name) || !name.starts_with("docker") {
                problems.push(format!(
                    "`{name}` is not one of Docker's files in {SYSCONFIG}: their names begin with \
                     `docker`"
                ));
            }
        }
        if self.state == Some(DaemonState::Stopped) && self.enabled == Some(true) {
            problems.push(
                "`state: stopped` with `enabled: yes` would hold until the next boot".to_owned(),
            );
        }
        if self.timeout == 0 {
            problems.push("`timeout: 0` leaves no time to start".to_owned());
        }
        problems.extend(check_confirm_timeout(self.confirm_timeout).err());
        if problems.is_empty() {
            return Ok(());
        }
        Err(problems.join("\n"))
    }

    fn may_cut_off(&self) -> bool {
        true
    }

    fn way_back(&self, host: &Host, found: &Found) -> Result<Option<WayBack>, Failure> {
        change::way_back(self, host, found)
    }

    fn confirm_within(&self) -> Duration {
        confirm_within(self.confirm_timeout)
    }

    fn observe(&self, host: &Host) -> Result<Found, Failure> {
        self.validate().map_err(Failure::Refused)?;
        let mut found = found::look(self, host)?;
        if let (None, OnDisk::Broken(why)) = (&self.config, &found.daemon_json) {
            return Err(Failure::Unexpected(format!(
                "{DAEMON_JSON} cannot be understood: {why}"
            )));
        }
        self.refuse_conflicts(&found)?;
        found.look_up_containers(host, self.would_end(&found))?;
        Ok(found)
    }

    fn drift(&self, found: &Found) -> Vec<Drift> {
        drift::drift(self, found)
    }

    fn obstacle(&self, _: &Host, found: &Found) -> Result<(), Failure> {
        change::check_lasting(self, found)?;
        match &found.installed {
            Some(installed) if *installed == self.engine_version => ask::validate(self, found),
            // An earlier task brings another one.
            _ => Ok(()),
        }
    }

    fn apply(&self, host: &Host, found: &Found) -> Result<Option<Output>, Failure> {
        change::change(self, host, found)
    }
}

impl DockerDaemon {
    /// What dockerd or systemd would refuse or pass over once the files are in place.
    fn refuse_conflicts(&self, found: &Found) -> Result<(), Failure> {
        if found.unit.is_none() {
            return Ok(());
        }
        let mut conflicts = self
            .config
            .as_ref()
            .map(|config| found.effective.conflicts(config))
            .unwrap_or_default();
        for name in self.sysconfig.keys() {
            let path = Path::new(SYSCONFIG).join(name);
            if !found.effective.environment_files.contains(&path) {
                conflicts.push(format!(
                    "the unit {UNIT} does not read {0}, so it would have no effect; use `config`, \
                     or have it read by a file in `drop_ins`: `EnvironmentFile={0}`",
                    path.display()
                ));
            }
        }
        if conflicts.is_empty() {
            return Ok(());
        }
        Err(Failure::Refused(conflicts.join("\n")))
    }

    /// The texts of the other files, which may have flags.
    fn elsewhere(&self) -> String {
        let drop_ins = self.drop_ins.iter().flat_map(BTreeMap::values);
        let texts: Vec<_> = drop_ins.chain(self.sysconfig.values()).cloned().collect();
        texts.join("\n")
    }

    /// Whether the daemon is to run, now or after the next boot.
    fn needs_unit(&self) -> bool {
        self.state == Some(DaemonState::Started) || self.enabled == Some(true)
    }

    /// How long systemd may take to start or to stop it.
    fn limit(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }

    /// Whether the daemon that runs is to end, for good or to come back.
    fn would_end(&self, found: &Found) -> bool {
        self.state == Some(DaemonState::Stopped)
            || self
                .work(found)
                .is_some_and(|work| work.means == Means::Restart)
    }

    /// Whether the daemon is to run after the change. One that an interrupted change ended is.
    fn wants_up(&self, found: &Found) -> bool {
        match self.state {
            Some(state) => state == DaemonState::Started,
            None => {
                found.running.is_some()
                    || found.memory.before.as_ref().is_some_and(|before| before.up)
            }
        }
    }
}

fn is_file_name(name: &str) -> bool {
    let fits = |sign: char| sign.is_ascii_alphanumeric() || "._-@".contains(sign);
    !name.starts_with('.') && (1..=200).contains(&name.len()) && name.chars().all(fits)
}

//! Looking at the daemon: its files, its unit, the process that runs and what it says of itself.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use std::{fs, io};

use serde_json::{Map, Value};

use super::access::{self, Access};
use super::files::{self, LIMIT};
use super::flags::{self, HiddenUnit, Undeclared};
use super::memory::Memory;
use super::running::Told;
use super::unit::Effective;
use super::version::EngineVersion;
use super::{DAEMON_JSON, DaemonState, DockerDaemon, SOCKET, SYSCONFIG, UNIT};
use crate::host::docker_containers::{self, Container};
use crate::host::docker_unit::{self, Stray};
use crate::host::systemctl::{self, Unit, UnitFile};
use crate::host::{Failure, Host, docker};

/// A file counts as newer than a process only by more than this: clocks are corrected.
const TOLERANCE: Duration = Duration::from_secs(1);

/// The daemon as it is.
#[derive(Clone, Debug)]
pub struct Found {
    /// `None`: no engine is installed.
    pub(super) unit: Option<Unit>,
    /// How the unit starts dockerd once the declared files are in place.
    pub(super) effective: Effective,
    /// The flags among them that nobody declared.
    pub(super) undeclared: Vec<Undeclared>,
    /// The package's unit, if another one hides it.
    pub(super) hidden_unit: Option<HiddenUnit>,
    /// A daemon that systemd did not start.
    pub(super) stray: Option<Stray>,
    pub(super) installed: Option<EngineVersion>,
    pub(super) daemon_json: OnDisk,
    /// All there are, by name.
    pub(super) drop_ins: BTreeMap<String, String>,
    /// Those of the declared names that are there.
    pub(super) sysconfig: BTreeMap<String, String>,
    /// Whose the declared files are.
    pub(super) access: Access,
    /// The socket that would start the daemon is open; only looked up when none is to run.
    pub(super) socket: bool,
    /// `None`: no daemon runs.
    pub(super) running: Option<Running>,
    pub(super) memory: Memory,
    /// Whether unified diffs are wanted.
    pub(super) wants_diff: bool,
}

/// What is in `daemon.json`.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum OnDisk {
    Absent,
    Settings(Map<String, Value>),
    /// No JSON, or no mapping: why.
    Broken(String),
}

/// A daemon that runs.
#[derive(Clone, Debug)]
pub(super) struct Running {
    /// The boot and the moment of its start.
    pub(super) process: String,
    /// The words it was started with; none if they are not told.
    pub(super) argv: Vec<String>,
    pub(super) version: EngineVersion,
    /// The program was replaced since.
    pub(super) replaced: bool,
    /// Files of its unit that were changed since.
    pub(super) newer: Vec<PathBuf>,
    /// The configuration it has in effect; `None` if that cannot be known any more.
    pub(super) read: Option<Map<String, Value>>,
    pub(super) told: Told,
    /// The running containers; only looked up when something could stop them.
    pub(super) containers: Vec<Container>,
}

impl OnDisk {
    fn parse(bytes: Option<&[u8]>) -> Self {
        match bytes.map(serde_json::from_slice) {
            None => Self::Absent,
            Some(Ok(Value::Object(settings))) => Self::Settings(settings),
            Some(Ok(_)) => Self::Broken("it is JSON, but no mapping".to_owned()),
            Some(Err(error)) => Self::Broken(format!("it is no JSON: {error}")),
        }
    }

    /// The settings; none where there is no file. `None` if they cannot be told.
    pub(super) fn settings(&self) -> Option<Map<String, Value>> {
        match self {
            Self::Absent => Some(Map::new()),
            Self::Settings(settings) => Some(settings.clone()),
            Self::Broken(_) => None,
        }
    }
}

impl Found {
    /// Notes which containers run, if that matters.
    pub(super) fn look_up_containers(
        &mut self,
        host: &Host,
        would_end: bool,
    ) -> Result<(), Failure> {
        if let Some(daemon) = &mut self.running
            && would_end
            && daemon.told.info["ContainersRunning"] != 0
        {
            daemon.containers = docker_containers::running(host)?;
        }
        Ok(())
    }

    /// Whether the daemon is known to run with the very files that are there.
    pub(super) fn is_proven(&self) -> bool {
        self.running.as_ref().is_some_and(|running| {
            running.newer.is_empty()
                && running.read.is_some()
                && running.read == self.daemon_json.settings()
        })
    }
}

/// Looks at everything. Changes nothing.
pub(super) fn look(declared: &DockerDaemon, host: &Host) -> Result<Found, Failure> {
    let daemon_json = OnDisk::parse(host.read(Path::new(DAEMON_JSON), LIMIT)?.as_deref());
    let mut found = Found {
        unit: None,
        effective: Effective::default(),
        undeclared: Vec::new(),
        hidden_unit: None,
        stray: None,
        installed: None,
        daemon_json,
        drop_ins: files::drop_ins(host)?,
        sysconfig: BTreeMap::new(),
        access: access::look(declared, host)?,
        socket: false,
        running: None,
        memory: Memory::load(host)?,
        wants_diff: host.wants_diff(),
    };
    for name in declared.sysconfig.keys() {
        if let Some(text) = files::text(host, &Path::new(SYSCONFIG).join(name))? {
            found.sysconfig.insert(name.clone(), text);
        }
    }
    let mut unit = match declared.enabled {
        Some(_) => systemctl::settled_as_on_disk(host, UNIT, Vec::new)?,
        None => systemctl::settled(host, UNIT, Vec::new)?,
    };
    match unit.load.as_str() {
        "not-found" => return Ok(found),
        "loaded" | "masked" => {}
        other => {
            return Err(Failure::Unexpected(format!(
                "systemd cannot read the unit {UNIT} ({other}); `systemctl status {UNIT}` says why"
            )));
        }
    }
    // A masked unit's file is /dev/null.
    let fragment = match unit.load.as_str() {
        "masked" => PathBuf::new(),
        _ => on_disk(host, &mut unit)?,
    };
    let fragment = fragment.as_path();
    let unit_files: Vec<_> = unit.drop_ins.iter().map(PathBuf::as_path).collect();
    let layers = files::layers(declared, &found, host, fragment, &unit_files)?;
    let reading = files::Reading { declared, host };
    found.effective = reading.effective(&layers);
    found.undeclared = reading.undeclared(&layers);
    found.hidden_unit =
        flags::hidden_unit(fragment, |path| matches!(host.metadata(path), Ok(Some(_))));
    if unit.is_down() {
        found.stray = docker_unit::stray(host)?;
    }

    let process = Path::new("/proc").join(&unit.main_process).join("exe");
    let replaced = fs::read_link(process).is_ok_and(|program| is_deleted(program.as_os_str()));
    if unit.is_up() {
        let watched = [fragment].into_iter().chain(unit_files).chain(
            found
                .effective
                .environment_files
                .iter()
                .map(PathBuf::as_path),
        );
        found.running = Some(Running {
            replaced,
            ..running(host, &found, &unit, watched)?
        });
    }
    found.installed = Some(match &found.running {
        // It runs from the program that is installed, and has told its version.
        Some(running) if !replaced => running.version.clone(),
        _ => parse_version(&docker::daemon_version(host, found.effective.program())?)?,
    });
    found.unit = Some(unit);
    found.socket = declared.state == Some(DaemonState::Stopped)
        && systemctl::settled(host, SOCKET, Vec::new)?.is_up();
    Ok(found)
}

/// The unit's file as systemd would find it now: another one may have been put into its place, or
/// taken away, without it having been told.
fn on_disk(host: &Host, unit: &mut Unit) -> Result<PathBuf, Failure> {
    let Some(UnitFile::Own(path) | UnitFile::Linked(path)) = systemctl::unit_file(UNIT) else {
        return Ok(unit.fragment.clone());
    };
    // One directory may have two names.
    if host.real_path(&path)? != host.real_path(&unit.fragment)? {
        unit.stale = true;
    }
    Ok(path)
}

fn running<'a>(
    host: &Host,
    found: &Found,
    unit: &Unit,
    watched: impl Iterator<Item = &'a Path>,
) -> Result<Running, Failure> {
    let told = Told::listen(host)?;
    let version = parse_version(told.info["ServerVersion"].as_str().unwrap_or_default())?;
    let started = unit.start_time();
    let newer = |path: &Path| -> Result<bool, Failure> {
        Ok(match (changed_at(path)?, started) {
            (Some(changed), Some(started)) => changed > started + TOLERANCE,
            _ => false,
        })
    };
    let process = process(host, unit)?;
    let remembered = found.memory.read.as_ref();
    let read = match remembered.filter(|read| read.process == process) {
        Some(read) => Some(read.config.clone()),
        None if newer(Path::new(DAEMON_JSON))? => None,
        None => found.daemon_json.settings(),
    };
    let mut newer_files = Vec::new();
    for path in watched {
        if newer(path)? {
            newer_files.push(path.to_owned());
        }
    }
    Ok(Running {
        process,
        argv: docker_unit::command_line(host, &unit.main_process)?,
        version,
        replaced: false,
        newer: newer_files,
        read,
        told,
        containers: Vec::new(),
    })
}

/// Names the main process of a unit among all that ever ran on this host.
pub(super) fn process(host: &Host, unit: &Unit) -> Result<String, Failure> {
    let boot = host.read(Path::new("/proc/sys/kernel/random/boot_id"), 100)?;
    let boot = String::from_utf8_lossy(boot.as_deref().unwrap_or_default()).into_owned();
    Ok(format!("{} {}", boot.trim(), unit.started))
}

fn parse_version(text: &str) -> Result<EngineVersion, Failure> {
    text.parse()
        .map_err(|error| Failure::Unexpected(format!("the engine says of itself: {error}")))
}

fn changed_at(path: &Path) -> Result<Option<SystemTime>, Failure> {
    match fs::metadata(path).and_then(|found| found.modified()) {
        Ok(time) => Ok(Some(time)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Failure::io("look at", path, source)),
    }
}

/// What the kernel calls a program whose file is not there any more.
fn is_deleted(program: &OsStr) -> bool {
    program.to_string_lossy().ends_with(" (deleted)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_compared_by_meaning() {
        let parse = |text: &str| OnDisk::parse(Some(text.as_bytes()));
        assert_eq!(
            parse(r#"{"a":1,"b":{"c":2,"d":3}}"#),
            parse("{ \"b\": {\"d\": 3, \"c\": 2},\n  \"a\": 1 }\n")
        );
        assert_eq!(OnDisk::parse(None).settings(), Some(Map::new()));
        for (text, why) in [("{,}", "no JSON"), ("[]", "no mapping"), ("", "no JSON")] {
            assert!(
                matches!(parse(text), OnDisk::Broken(found) if found.contains(why)),
                "{text}"
            );
        }
    }

    #[test]
    fn fuzz_daemon_json() {
        let samples = [
            r#"{"log-driver": "json-file", "hosts": ["unix://"], "log-opts": {"max-size": "10m"}}"#,
            "20.10.24",
        ];
        crate::fuzz::feed("daemon_json", samples, |bytes| {
            OnDisk::parse(Some(bytes)).settings();
            let _ = parse_version(&String::from_utf8_lossy(bytes));
        });
    }
}

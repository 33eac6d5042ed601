//! Looking at everything on the host that rules are about. Changes nothing, starts nothing.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::SystemTime;
use std::{fs, io};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::audit::Audit;
use super::files::{self, Access, Told};
use super::finding::text;
use super::rule::Rule;
use super::settings::{self, Settings};
use super::{DAEMON_JSON, DockerPolicy};
use crate::host::docker_api::{Engine, get_once};
use crate::host::systemctl::Unit;
use crate::host::{Command, Failure, Host, docker_unit, list};

/// Configuration that is longer is none.
const LIMIT: u64 = 1 << 20;

const CERTIFICATES: &str = "/etc/docker/certs.d";

/// Directories of certificates, one for each registry; more are not looked into.
const MOST_CERTIFICATES: usize = 1000;

/// The host as rules see it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Observed {
    /// `/info` of the Engine API.
    pub(super) info: Value,
    /// `/networks/bridge`.
    pub(super) bridge: Value,
    /// `/containers/ID/json` of all of them, running or not.
    pub(super) containers: Vec<Value>,
    /// `/images/json`.
    pub(super) images: Vec<Value>,
    pub(super) daemon_json: Map<String, Value>,
    /// Why `daemon.json` cannot be understood.
    pub(super) broken_daemon_json: Option<String>,
    /// Of the daemon that runs, without its own name.
    pub(super) arguments: Vec<String>,
    pub(super) told: Told,
    /// By path; those that exist.
    pub(super) files: BTreeMap<String, Access>,
    /// Only looked up where there is a rule about it, here and below.
    pub(super) docker_group: Vec<String>,
    pub(super) data_root_is_mounted: Option<bool>,
    pub(super) audit: Option<Audit>,
    /// The host's clock in seconds since 1970.
    pub(super) now: i64,
}

impl Observed {
    pub(super) fn settings(&self) -> Settings {
        Settings::merge(&self.daemon_json, &self.arguments, &self.info, &self.bridge)
    }
}

/// Looks at everything.
///
/// # Errors
/// [`Failure::Missing`] without a Docker engine, or with one that does not run: nothing can be
/// told then.
pub(super) fn look(policy: &DockerPolicy, host: &Host) -> Result<Observed, Failure> {
    let wanted = |rule| policy.is_in_force(rule);
    let unit = docker_unit::running(host)?;
    let mut observed = engine(host)?;
    observed.now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| {
            i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
        });
    observed.arguments = arguments(host, &unit)?;
    observed.told.service = unit_files(&unit);
    observed.told.socket = unit_files(&docker_unit::socket(host)?);
    observed.told.configuration = settings::configuration_file(&observed.arguments);
    read_daemon_json(host, &mut observed)?;
    let settings = observed.settings();
    if wanted(Rule::FileOwner) || wanted(Rule::FileMode) {
        observed.told.certificates = certificates()?;
        for guard in files::guards(&settings, &observed.told) {
            if let Some(access) = access(host, &guard.path)? {
                observed.files.insert(guard.path, access);
            }
        }
    }
    if wanted(Rule::DockerGroup) {
        observed.docker_group = members(settings.text("group"))?;
    }
    if wanted(Rule::DataRoot) {
        observed.data_root_is_mounted =
            is_mounted(Path::new(text(&observed.info["DockerRootDir"])))?;
    }
    if wanted(Rule::AuditWatches) {
        observed.audit = Some(Audit::look(host)?);
    }
    Ok(observed)
}

/// What the engine says of itself, its containers and its images.
fn engine(host: &Host) -> Result<Observed, Failure> {
    let engine = Engine::local();
    let needed = |path: &str, told: Option<Value>| {
        told.ok_or_else(|| {
            Failure::Unexpected(format!("the Docker engine knows nothing about {path}"))
        })
    };
    let list = |path: &str| match needed(path, engine.get(path)?)? {
        Value::Array(items) => Ok(items),
        _ => Err(Failure::Unexpected(format!(
            "the Docker engine's answer to {path} is no list"
        ))),
    };
    let mut observed = Observed {
        info: needed("/info", get_once(host, "/info")?)?,
        // A daemon with `bridge: none` has none.
        bridge: get_once(host, "/networks/bridge")?.unwrap_or_default(),
        images: list("/images/json")?,
        ..Observed::default()
    };
    for container in list("/containers/json?all=true")? {
        let id = text(&container["Id"]);
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(Failure::Unexpected(
                "the Docker engine lists a container without an id".to_owned(),
            ));
        }
        // One that is gone by now breaks no rule.
        observed
            .containers
            .extend(engine.get(&format!("/containers/{id}/json"))?);
    }
    observed
        .containers
        .sort_by_cached_key(super::container::name);
    Ok(observed)
}

/// What the daemon that runs was started with, without its own name.
fn arguments(host: &Host, unit: &Unit) -> Result<Vec<String>, Failure> {
    let mut process = unit.main_process.clone();
    if process.is_empty() || process == "0" {
        let bytes = host.read(Path::new("/var/run/docker.pid"), LIMIT)?;
        process = String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned();
    }
    let command = match process.trim().parse::<u32>() {
        Ok(process) => host.read(Path::new(&format!("/proc/{process}/cmdline")), LIMIT)?,
        Err(_) => None,
    };
    let command = command
        .filter(|command| !command.is_empty())
        .ok_or_else(|| {
            Failure::Unexpected(
                "the process of the Docker daemon was not found, so its flags cannot be told"
                    .to_owned(),
            )
        })?;
    let text = String::from_utf8_lossy(&command).into_owned();
    Ok(text
        .trim_end_matches('\0')
        .split('\0')
        .skip(1)
        .map(str::to_owned)
        .collect())
}

fn unit_files(unit: &Unit) -> Vec<String> {
    let paths = [&unit.fragment].into_iter().chain(&unit.drop_ins);
    paths
        .map(|path| path.display().to_string())
        .filter(|path| !path.is_empty())
        .collect()
}

fn read_daemon_json(host: &Host, observed: &mut Observed) -> Result<(), Failure> {
    let path = observed
        .told
        .configuration
        .as_deref()
        .unwrap_or(DAEMON_JSON);
    match host
        .read(Path::new(path), LIMIT)?
        .map(|bytes| serde_json::from_slice(&bytes))
    {
        None => {}
        Some(Ok(Value::Object(settings))) => observed.daemon_json = settings,
        Some(Ok(_)) => observed.broken_daemon_json = Some("JSON, but no mapping".to_owned()),
        Some(Err(error)) => observed.broken_daemon_json = Some(format!("no JSON: {error}")),
    }
    Ok(())
}

/// The certificates and keys for all registries.
fn certificates() -> Result<Vec<String>, Failure> {
    let mut found = Vec::new();
    for registry in list(Path::new(CERTIFICATES))? {
        for file in list(&registry)? {
            let end = file.extension().and_then(|end| end.to_str());
            if matches!(end, Some("crt" | "cert" | "key"))
                && let Some(path) = file.to_str()
                && found.len() < MOST_CERTIFICATES
            {
                found.push(path.to_owned());
            }
        }
    }
    Ok(found)
}

/// Whom a file belongs to, links followed; `None` if it does not exist.
fn access(host: &Host, path: &str) -> Result<Option<Access>, Failure> {
    let path = Path::new(path);
    let real = match host.real_path(path) {
        Err(Failure::Missing(_)) => return Ok(None),
        real => real?,
    };
    Ok(host.metadata(&real)?.map(|found| Access {
        owner: found.owner,
        group: found.group,
        mode: found.mode,
    }))
}

/// Who is in a group, as the host's own data bases have it.
fn members(group: &str) -> Result<Vec<String>, Failure> {
    if group.is_empty() || group.starts_with('-') {
        return Ok(Vec::new());
    }
    let output = Command::new(["getent", "group", group]).output()?;
    // 2: there is no such group.
    if output.rc == 2 {
        return Ok(Vec::new());
    }
    if output.rc != 0 {
        return Err(Failure::Unexpected(format!(
            "`getent group {group}` ended with status {}",
            output.rc
        )));
    }
    // name:password:id:members
    let members = output
        .stdout
        .trim()
        .splitn(4, ':')
        .nth(3)
        .unwrap_or_default();
    let members = members.split(',').filter(|member| !member.is_empty());
    Ok(members.map(str::to_owned).collect())
}

/// Whether a directory is where a file system begins; `None` if it does not exist.
fn is_mounted(directory: &Path) -> Result<Option<bool>, Failure> {
    let Some(parent) = directory.parent() else {
        return Ok(None);
    };
    let device = |path: &Path| match fs::metadata(path) {
        Ok(found) => Ok(Some(found.dev())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Failure::io("look at", path, source)),
    };
    Ok(match (device(directory)?, device(parent)?) {
        (Some(own), Some(parent)) => Some(own != parent),
        _ => None,
    })
}

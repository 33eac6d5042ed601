//! What differs, in the order in which it would be changed.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::found::{Found, OnDisk};
use super::work::{self, Means};
use super::{DROP_INS, DaemonState, DockerDaemon, SYSCONFIG, running};
use crate::host::systemctl::Unit;
use crate::protocol::{Change, Drift};
use crate::resource::content::content_drift;

/// All differences between what is declared and what was found.
pub(super) fn drift(declared: &DockerDaemon, found: &Found) -> Vec<Drift> {
    let mut drift = Vec::new();
    if let Some(installed) = &found.installed
        && *installed != declared.engine_version
    {
        let (declared, installed) = (declared.engine_version.to_string(), installed.to_string());
        drift.push(Drift::update("engine_version", declared, installed));
    }
    drift.extend(declared.setting_drift(found));
    if let (Some(config), Some(daemon)) = (&declared.config, &found.running) {
        for (key, declared, running) in running::differing(config, &daemon.told) {
            // The file's own difference says it already.
            if found
                .daemon_json
                .settings()
                .is_some_and(|found| found.get(&key) == config.get(&key))
            {
                drift.push(Drift::update(format!("running {key}"), declared, running));
            }
        }
    }
    drift.extend(declared.file_drift(found));
    drift.extend(declared.service_drift(found));
    drift
}

impl DockerDaemon {
    fn setting_drift(&self, found: &Found) -> Vec<Drift> {
        let Some(config) = &self.config else {
            return Vec::new();
        };
        let settings = match &found.daemon_json {
            OnDisk::Absent => Map::new(),
            OnDisk::Settings(settings) => settings.clone(),
            OnDisk::Broken(why) => {
                let expected = "what is declared";
                return vec![Drift::new(Change::Replace, "daemon.json", expected, why)];
            }
        };
        work::differing_keys(config, &settings)
            .into_iter()
            .map(|key| {
                let attribute = format!("daemon.json {key}");
                match (config.get(&key).map(shown), settings.get(&key).map(shown)) {
                    (Some(declared), Some(found)) => Drift::update(attribute, declared, found),
                    (Some(declared), None) => Drift::create(attribute, declared),
                    (None, found) => Drift::remove(attribute, found.unwrap_or_default()),
                }
            })
            .collect()
    }

    fn file_drift(&self, found: &Found) -> Vec<Drift> {
        let mut drift = Vec::new();
        for (path, old, new) in self.text_files(found) {
            let attribute = path.display().to_string();
            let change = match (old, new) {
                (None, Some(_)) => Drift::create(attribute, "present"),
                (Some(_), None) => Drift::remove(attribute, "present"),
                (old, new) if old != new => Drift::update(attribute, "as declared", "other text"),
                _ => continue,
            };
            drift.push(match new {
                Some(new) if found.wants_diff => {
                    content_drift(change, &path, old.map(str::as_bytes), new.as_bytes())
                }
                _ => change,
            });
        }
        drift
    }

    /// The unit's files: where, as found, as declared.
    pub(super) fn text_files<'a>(
        &'a self,
        found: &'a Found,
    ) -> Vec<(PathBuf, Option<&'a str>, Option<&'a str>)> {
        let mut files = Vec::new();
        if let Some(declared) = &self.drop_ins {
            let more = found
                .drop_ins
                .keys()
                .filter(|name| !declared.contains_key(*name));
            for name in declared.keys().chain(more) {
                let (old, new) = (found.drop_ins.get(name), declared.get(name));
                let path = Path::new(DROP_INS).join(name);
                files.push((path, old.map(String::as_str), new.map(String::as_str)));
            }
        }
        for (name, new) in &self.sysconfig {
            let old = found.sysconfig.get(name).map(String::as_str);
            files.push((Path::new(SYSCONFIG).join(name), old, Some(new.as_str())));
        }
        files
    }

    fn service_drift(&self, found: &Found) -> Vec<Drift> {
        let mut drift = Vec::new();
        let file = found
            .unit
            .as_ref()
            .map_or("not installed", |unit| &unit.file);
        match self.enabled {
            Some(true) if file != "enabled" => drift.push(Drift::update("enabled", "yes", file)),
            Some(false) if file == "enabled" => drift.push(Drift::update("enabled", "no", "yes")),
            _ => {}
        }
        let state = found
            .unit
            .as_ref()
            .map_or_else(|| "not installed".to_owned(), Unit::state);
        let is_down = found.unit.as_ref().is_none_or(Unit::is_down);
        if self.wants_up(found) {
            if found.running.is_none() {
                drift.push(Drift::update("state", "started", state));
            } else if let Some(work) = self.work(found) {
                let expected = match work.means {
                    Means::Reload => "reload (no container stops)".to_owned(),
                    Means::Restart => format!("restart ({})", self.toll(found)),
                };
                drift.push(Drift::update("daemon", expected, work.reasons.join(", ")));
            }
        } else if self.state == Some(DaemonState::Stopped) {
            if !is_down {
                let expected = format!("stopped ({})", self.toll(found));
                drift.push(Drift::update("state", expected, state));
            } else if found.socket {
                drift.push(Drift::update(
                    "docker.socket",
                    "stopped",
                    "would start the daemon",
                ));
            }
        }
        drift
    }
}

/// A setting's value as it is written.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

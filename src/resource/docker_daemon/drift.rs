//! What differs, in the order in which it would be changed.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::flags::{HiddenUnit, Undeclared};
use super::found::{Found, OnDisk};
use super::work::{self, Means};
use super::{DROP_INS, DaemonState, DockerDaemon, SYSCONFIG, UNIT, access, running};
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
    drift.extend(declared.running_drift(found));
    drift.extend(declared.file_drift(found));
    drift.extend(access::drift(&found.access));
    drift.extend(declared.unit_drift(found));
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

    /// What the daemon has in effect that no file says.
    fn running_drift(&self, found: &Found) -> Vec<Drift> {
        let Some(daemon) = &found.running else {
            return Vec::new();
        };
        let unknown = self.unknown_log_driver(found);
        let unknown = unknown.map(|(driver, known)| {
            Drift::update(
                "log-driver of the engine",
                format!("one of {known}"),
                driver,
            )
        });
        let (Some(target), Some(settings)) = (self.target(found), found.daemon_json.settings())
        else {
            return Vec::new();
        };
        let differing = running::differing(&target, &found.effective, &daemon.told);
        let differing = differing
            .into_iter()
            // The file's own difference says it already.
            .filter(|found| settings.get(found.key) == target.get(found.key))
            .map(|found| {
                let attribute = format!("running {}", found.key);
                Drift::update(attribute, found.expected, found.running)
            });
        unknown.into_iter().chain(differing).collect()
    }

    /// What decides how dockerd starts, and is nobody's declaration.
    fn unit_drift(&self, found: &Found) -> Vec<Drift> {
        let mut drift = Vec::new();
        let Some(unit) = &found.unit else {
            return drift;
        };
        if let Some(HiddenUnit { packaged, by }) = &found.hidden_unit {
            drift.push(Drift::update(
                "unit",
                packaged.display().to_string(),
                by.display().to_string(),
            ));
        }
        for Undeclared { flag, path } in &found.undeclared {
            drift.push(Drift::update(
                format!("flag {}", flag.written()),
                "not given",
                format!("given by {}", path.display()),
            ));
        }
        if let Some(stray) = &found.stray {
            drift.push(Drift::update(
                "dockerd",
                format!("started by {UNIT}"),
                format!("started by hand: {stray}"),
            ));
        }
        if self.needs_unit() && unit.load == "masked" {
            drift.push(Drift::update("unit", "not masked", "masked"));
        }
        drift
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

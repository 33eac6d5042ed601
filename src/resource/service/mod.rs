//! A systemd unit: whether it runs, and whether it starts at boot.
//!
//! - `started` and `stopped` are states: nothing happens if the unit is in it already. A unit
//!   that failed is stopped.
//! - `restarted` and `reloaded` are actions without a state to compare: they happen on every
//!   apply and never count as drift, so they belong into handlers. A unit that is not running is
//!   started instead.
//!
//! A unit counts as started only if it is still up a second later; otherwise the task fails with
//! the end of its journal. A unit on its way between two states is waited for.
//!
//! `enabled` is about boot, and read from the disk: systemd misses a link that somebody removed only
//! when it reads its files again. A unit without an `[Install]` section (`static`) cannot
//! be enabled, and is not by itself started at boot: `enabled: no` holds, `enabled: yes` is
//! refused. A unit that only enables others (`indirect`, with `Also=`) is enabled if they are, and one
//! under another name (`alias`) if the unit behind it is. What lasts only until the next boot counts
//! for neither `enabled` nor `masked`. For a unit made from a SysV script nobody can tell; that is
//! reported as unknown.
//!
//! When the unit's files were changed after systemd has read them, that is drift, and systemd
//! reads them before anything else is done; `daemon_reload: no` leaves that to someone else.
//! What runs already goes on with the old files until it is restarted.
//!
//! `current: yes` asks for more than up: what runs is what is on the disk. A main process whose
//! program was replaced, or that was started before the unit's files or one of `config_files`
//! were last changed, is drift, and the unit is restarted. It takes the place of a handler that
//! restarts, and cannot be lost. Where a handler restarts the unit too, that happens twice.
//!
//! A masked unit cannot be started or enabled: say `masked: no` if that is meant.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{AnyResource, Resource};
use crate::host::systemctl::{self, Unit, UnitFile};
use crate::host::{Failure, Host, HostPath};
use crate::protocol::{Drift, Output};

mod current;

/// A systemd unit: whether it runs, and whether it starts at boot.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "control", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// The unit; `.service` may be left out.
    pub name: String,
    /// `started`, `stopped`, `restarted` or `reloaded`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<ServiceState>,
    /// Whether it starts at boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Whether it can be started at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub masked: Option<bool>,
    /// Make systemd read its unit files again when those of this unit were changed; true unless
    /// given.
    #[serde(default = "yes")]
    pub daemon_reload: bool,
    /// What runs is what is on the disk: restarted if its program, unit files or `config_files`
    /// were changed after it was started.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub current: bool,
    /// With `current`: files that it reads only when it starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub config_files: Vec<HostPath>,
}

/// What was found of a [`Service`].
#[derive(Clone, Debug)]
pub struct Found {
    unit: Unit,
    /// What on the disk is newer than the process that runs.
    newer: Vec<String>,
}

/// What a [`Service`] does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "control", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ServiceState {
    /// It runs.
    Started,
    /// It does not run.
    Stopped,
    /// It is stopped and started on every apply.
    Restarted,
    /// It is told to read its configuration on every apply.
    Reloaded,
}

fn yes() -> bool {
    true
}

/// Suffixes of the kinds of units.
const KINDS: [&str; 11] = [
    ".service",
    ".socket",
    ".target",
    ".timer",
    ".mount",
    ".automount",
    ".path",
    ".swap",
    ".slice",
    ".scope",
    ".device",
];

impl Service {
    fn unit(&self) -> String {
        if KINDS.iter().any(|suffix| self.name.ends_with(suffix)) {
            self.name.clone()
        } else {
            format!("{}.service", self.name)
        }
    }

    fn wants_up(&self) -> bool {
        matches!(
            self.state,
            Some(ServiceState::Started | ServiceState::Restarted | ServiceState::Reloaded)
        )
    }

    fn is_stale(&self, unit: &Unit) -> bool {
        self.daemon_reload && unit.stale
    }

    /// What differs in what systemd says.
    fn unit_drift(&self, unit: &Unit) -> Vec<Drift> {
        let mut drift = Vec::new();
        if self.is_stale(unit) {
            drift.push(Drift::update(
                "daemon_reload",
                "unit files as on the disk",
                "older unit files",
            ));
        }
        match self.masked {
            Some(true) if !is_masked_for_good(unit) => {
                let found = if is_masked(unit) {
                    "until the next boot"
                } else {
                    "no"
                };
                drift.push(Drift::update("masked", "yes", found));
            }
            Some(false) if is_masked(unit) => drift.push(Drift::update("masked", "no", "yes")),
            _ => {}
        }
        if let Some(enabled) = self.enabled
            && enabled != is_enabled(unit, enabled)
        {
            drift.push(Drift::update("enabled", yes_no(enabled), enablement(unit)));
        }
        match self.state {
            Some(ServiceState::Started) if !unit.is_up() => {
                drift.push(Drift::update("state", "started", unit.state()));
            }
            Some(ServiceState::Stopped) if !unit.is_down() => {
                drift.push(Drift::update("state", "stopped", unit.state()));
            }
            _ => {}
        }
        drift
    }

    /// Refuses what systemd would refuse in less clear words, before anything is changed.
    fn check_possible(&self, unit: &Unit) -> Result<(), Failure> {
        let name = self.unit();
        let refused = |why: String| Err(Failure::Refused(why));
        if is_masked(unit) && self.masked.is_none() {
            let wanted = match (self.wants_up() && !unit.is_up(), self.enabled) {
                (true, _) => "started",
                (false, Some(true)) => "enabled",
                (false, _) => return Ok(()),
            };
            return refused(format!(
                "the unit `{name}` is masked, so it cannot be {wanted}; \
                 add `masked: no` if it is to be"
            ));
        }
        if self.masked == Some(true)
            && !is_masked(unit)
            && let Some(file) = file_in_the_way(&unit.id)
        {
            return refused(format!(
                "the unit `{name}` cannot be masked, because the link that would do it has the name \
                 of its own file, {}; declare `state: stopped, enabled: no`, or move that file to \
                 /usr/local/lib/systemd/system",
                file.display()
            ));
        }
        let enables_nothing = unit.file == "indirect"
            && !unit.also.is_empty()
            && unit.also.iter().all(|(_, word)| word == "static");
        if self.enabled == Some(true)
            && (matches!(unit.file.as_str(), "static" | "transient") || enables_nothing)
        {
            return refused(format!(
                "the unit `{name}` is `{}`: it has no `[Install]` section that would enable it; \
                 leave `enabled` out, or declare the unit that starts it",
                unit.file
            ));
        }
        Ok(())
    }
}

/// The units of tasks that are looked at next.
fn units_ahead(host: &Host) -> Vec<String> {
    host.ahead(|task| match &task.resource {
        AnyResource::Service(service) => vec![service.unit()],
        _ => Vec::new(),
    })
}

/// The file in whose place a mask would have to be.
fn file_in_the_way(name: &str) -> Option<PathBuf> {
    let place = Path::new("/etc/systemd/system").join(name);
    let is_mask = matches!(
        systemctl::unit_file(name),
        Some(UnitFile::Masked { runtime: false })
    );
    (!is_mask && place.symlink_metadata().is_ok()).then_some(place)
}

fn is_masked(unit: &Unit) -> bool {
    unit.load == "masked" || unit.file.starts_with("masked")
}

fn is_masked_for_good(unit: &Unit) -> bool {
    is_masked(unit) && unit.file != "masked-runtime"
}

/// Enabled for good: `enabled-runtime` ends with the next boot, so it is not. Of a unit that only
/// enables others, all of them for one who wants it, and any for one who does not.
fn is_enabled(unit: &Unit, wanted: bool) -> bool {
    let mut words = unit.also.iter().map(|(_, word)| word.as_str());
    match unit.file.as_str() {
        "enabled" => true,
        "indirect" if wanted => {
            words.clone().any(|word| word == "enabled")
                && words.all(|word| matches!(word, "enabled" | "static"))
        }
        "indirect" => words.any(|word| word == "enabled"),
        _ => false,
    }
}

/// What is enabled of it, in words.
fn enablement(unit: &Unit) -> String {
    let also: Vec<_> = unit
        .also
        .iter()
        .map(|(name, word)| {
            format!(
                "{name} {}",
                if word.is_empty() { "not found" } else { word }
            )
        })
        .collect();
    match also.as_slice() {
        [] => unit.file.clone(),
        also => format!("{} ({})", unit.file, also.join(", ")),
    }
}

impl Resource for Service {
    const KIND: &'static str = "service";

    const EXAMPLE: &'static str = "\
- name: the engine runs, also after a reboot
  service: { name: docker, state: started, enabled: yes }

- name: the scheduler runs, and with its present configuration
  service: { name: crond, state: started, current: yes, config_files: [/etc/sysconfig/crond] }

- name: restart docker
  service: { name: docker, state: restarted, daemon_reload: yes }

- name: nothing filters packets behind our back
  service: { name: firewalld.service, state: stopped, enabled: no, masked: yes }
";

    type Actual = Found;

    fn id(&self) -> String {
        self.unit()
    }

    fn validate(&self) -> Result<(), String> {
        let fits = |sign: char| sign.is_ascii_alphanumeric() || ":-_.\\@".contains(sign);
        if self.name.starts_with('-')
            || !self.name.chars().all(fits)
            || !(1..=240).contains(&self.name.len())
        {
            return Err(format!("`{}` is not the name of a unit", self.name));
        }
        if self.unit().contains("@.") {
            return Err(format!(
                "`{}` is a template; name an instance of it, like `{}`",
                self.name,
                self.name.replacen('@', "@1", 1)
            ));
        }
        if self.current && self.state != Some(ServiceState::Started) {
            return Err("`current` goes with `state: started` only".to_owned());
        }
        if !self.config_files.is_empty() && !self.current {
            return Err("`config_files` goes with `current: yes` only".to_owned());
        }
        if self.masked == Some(true) && self.wants_up() {
            return Err("a unit with `masked: yes` cannot be started".to_owned());
        }
        if self.masked == Some(true) && self.enabled == Some(true) {
            return Err("a unit with `masked: yes` cannot be `enabled: yes`".to_owned());
        }
        Ok(())
    }

    fn runs_every_time(&self) -> bool {
        matches!(
            self.state,
            Some(ServiceState::Restarted | ServiceState::Reloaded)
        )
    }

    fn observe(&self, host: &Host) -> Result<Found, Failure> {
        let name = self.unit();
        let soon = || units_ahead(host);
        let unit = if self.enabled.is_some() || self.masked.is_some() {
            systemctl::settled_as_on_disk(host, &name, soon)?
        } else {
            systemctl::settled(host, &name, soon)?
        };
        match unit.load.as_str() {
            "loaded" | "masked" | "merged" | "stub" => {}
            // What is on the disk now may be right.
            _ if self.is_stale(&unit) => {}
            "not-found" => {
                return Err(Failure::Missing(if unit.stale {
                    format!(
                        "systemd has not read the file of the unit `{name}` yet; leave \
                         `daemon_reload: no` out"
                    )
                } else {
                    format!("the unit `{name}` does not exist")
                }));
            }
            other => {
                return Err(Failure::Unexpected(format!(
                    "systemd cannot read the unit `{name}` ({other}); \
                     `systemctl status {name}` says why"
                )));
            }
        }
        if self.enabled.is_some() && matches!(unit.file.as_str(), "" | "generated" | "bad") {
            return Err(Failure::Unexpected(format!(
                "cannot tell whether the unit `{name}` is enabled: systemd made it from something \
                 else (a SysV script); leave `enabled` out"
            )));
        }
        let newer = if self.current && unit.is_up() {
            current::newer_than_process(&unit, &self.config_files)?
        } else {
            Vec::new()
        };
        Ok(Found { unit, newer })
    }

    fn obstacle(&self, _: &Host, found: &Found) -> Result<(), Failure> {
        self.check_possible(&found.unit)
    }

    fn drift(&self, found: &Found) -> Vec<Drift> {
        let mut drift = self.unit_drift(&found.unit);
        if !found.newer.is_empty() {
            let newer = found.newer.join(", ");
            let actual = format!("started before a change of {newer}");
            drift.push(Drift::update("current", "what is on the disk", actual));
        }
        drift
    }

    fn apply(&self, _: &Host, found: &Found) -> Result<Option<Output>, Failure> {
        let unit = &found.unit;
        let name = self.unit();
        // An alias is started like any other name, but it is the unit that is enabled.
        let real = if unit.id.is_empty() { &name } else { &unit.id };
        let mut output = None;
        if self.is_stale(unit) {
            output = Some(systemctl::daemon_reload()?);
        }
        if self.masked == Some(false) && is_masked(unit) {
            output = Some(systemctl::unmask(real)?);
        }
        match self.enabled {
            Some(true) if !is_enabled(unit, true) => {
                output = Some(systemctl::tell("enable", real)?);
            }
            Some(false) if is_enabled(unit, false) => output = Some(systemctl::disable(real)?),
            _ => {}
        }
        match self.state {
            Some(ServiceState::Started) if !unit.is_up() => {
                output = Some(systemctl::bring_up("start", &name)?);
            }
            Some(ServiceState::Restarted) => {
                output = Some(systemctl::bring_up("restart", &name)?);
            }
            Some(ServiceState::Started) if !found.newer.is_empty() => {
                output = Some(systemctl::bring_up("restart", &name)?);
            }
            Some(ServiceState::Reloaded) => {
                let verb = if unit.is_up() { "reload" } else { "start" };
                output = Some(systemctl::bring_up(verb, &name)?);
            }
            Some(ServiceState::Stopped) if !unit.is_down() => {
                output = Some(systemctl::tell("stop", &name)?);
            }
            _ => {}
        }
        // Last: a masked unit can be stopped, but no longer disabled.
        if self.masked == Some(true) && !is_masked_for_good(unit) {
            output = Some(systemctl::tell("mask", real)?);
        }
        Ok(output)
    }
}

fn yes_no(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

#[cfg(test)]
mod tests;

//! A kernel parameter: its value now, and its value after the next boot.
//!
//! Both are compared and both are set. `live` is what `/proc/sys` says; runs of white space
//! count as one blank, so `net.ipv4.tcp_rmem` compares as it is written. `persisted` is what
//! boot will set: the last word of all files of `sysctl.d`, read in their order. fleet writes
//! only its own `file`, one line per parameter, and keeps all other lines in it; when a file
//! that is read later sets another value, it says which and changes nothing.
//!
//! A name is written with dots, `net.ipv4.ip_forward`, or with slashes where a part has a dot in
//! it, `net/ipv4/conf/eth0.100/rp_filter`. A parameter that does not exist usually means that
//! its kernel module is not loaded: declare a `kernel_module` first.
//!
//! A parameter below `net.` may cut the host off: if it cannot be reached over a new connection
//! within a minute (`confirm_timeout`), the old value comes back by itself, live and in `file`, and the task fails.
//!
//! `state: absent` takes the line out of `file`. The live value stays: the kernel does not tell
//! what it was before.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::presence::Presence;
use super::{AnyResource, Footprint, Removal, Resource};
use crate::host::config_dirs::{self, ConfigFile};
use crate::host::{
    Failure, Host, HostPath, Permissions, Snapshot, WayBack, check_confirm_timeout, confirm_within,
};
use crate::protocol::{Drift, Output};

const DEFAULT_FILE: &str = "/etc/sysctl.d/90-fleet.conf";

/// A kernel parameter: its value now, and its value after the next boot.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "control", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Sysctl {
    /// The parameter: `vm.swappiness`, `net/ipv4/conf/eth0.100/rp_filter`.
    pub name: String,
    /// Its value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// `present` (the default) or `absent`.
    #[serde(default)]
    pub state: Presence,
    /// The file that keeps it over a reboot; `/etc/sysctl.d/90-fleet.conf` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<HostPath>,
    /// How long a change that may cut the host off waits for a new connection before it is taken
    /// back, in seconds, from 10 to 600; 60 unless given. Only for parameters below `net.`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm_timeout: Option<u64>,
}

/// What the kernel and the files say.
#[derive(Clone, Debug)]
pub struct Found {
    live: Option<String>,
    /// The text of `file`.
    own: Option<String>,
    /// A file read after `file` that sets the parameter, and its value.
    later: Option<(PathBuf, String)>,
}

impl Sysctl {
    fn file(&self) -> &Path {
        self.file.as_deref().unwrap_or(Path::new(DEFAULT_FILE))
    }

    fn path(&self) -> PathBuf {
        Path::new("/proc/sys").join(key_path(&self.name))
    }

    fn value(&self) -> String {
        self.value.as_deref().map(one_line).unwrap_or_default()
    }

    fn is_of_network(&self) -> bool {
        key_path(&self.name).starts_with("net/")
    }

    fn set_live(&self, actual: &Found) -> Result<(), Failure> {
        if actual.live == Some(self.value()) {
            return Ok(());
        }
        let path = self.path();
        let failed = |source| Failure::io("set", &path, source);
        let mut file = OpenOptions::new().write(true).open(&path).map_err(failed)?;
        // One write: the kernel takes each as a value of its own.
        file.write_all(format!("{}\n", self.value()).as_bytes())
            .map_err(failed)?;
        Ok(())
    }
}

impl Resource for Sysctl {
    const KIND: &'static str = "sysctl";

    const EXAMPLE: &'static str = "\
- name: containers reach the outside
  sysctl: { name: net.ipv4.ip_forward, value: 1 }

- name: loose reverse path filter on one VLAN
  sysctl:
    name: net/ipv4/conf/eth0.100/rp_filter
    value: 2
    file: /etc/sysctl.d/80-vlan.conf
    confirm_timeout: 120

- name: the distribution's own choice
  sysctl: { name: vm.swappiness, state: absent }
";

    type Actual = Found;

    fn id(&self) -> String {
        self.name.clone()
    }

    fn validate(&self) -> Result<(), String> {
        let fits = |sign: char| sign.is_ascii_alphanumeric() || "._-/:@+".contains(sign);
        let path = key_path(&self.name);
        if !self.name.chars().all(fits)
            || path.split('/').any(|part| matches!(part, "" | "." | ".."))
        {
            return Err(format!(
                "`{}` is not the name of a kernel parameter, like `vm.swappiness` or \
                 `net/ipv4/conf/eth0.100/rp_filter`",
                self.name
            ));
        }
        if self.confirm_timeout.is_some() && !(self.is_of_network() && self.value.is_some()) {
            return Err(format!(
                "`confirm_timeout` has no meaning for `{}`: only the value of a parameter below \
                 `net.` may cut the host off; leave it out",
                self.name
            ));
        }
        check_confirm_timeout(self.confirm_timeout)?;
        match (self.state, &self.value) {
            (Presence::Present, None) => Err("`value` is needed".to_owned()),
            (Presence::Present, Some(value)) if value.trim().is_empty() => {
                Err("`value` is empty".to_owned())
            }
            (Presence::Present, Some(value))
                if value.chars().any(|sign| sign.is_control() && sign != '\t') =>
            {
                Err("`value` contains a line break or another control character".to_owned())
            }
            (Presence::Absent, Some(_)) => {
                Err("`value` has no meaning with `state: absent`; leave it out".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// The line that sets it at boot: what the live value was before is not known.
    fn footprint(&self) -> Option<Footprint> {
        Some(Footprint {
            absence: AnyResource::Sysctl(Self {
                value: None,
                state: Presence::Absent,
                confirm_timeout: None,
                ..self.clone()
            }),
            made_with: "persisted",
            removal: Removal::Prune,
        })
    }

    fn may_cut_off(&self) -> bool {
        self.is_of_network()
    }

    fn way_back(&self, host: &Host, actual: &Found) -> Result<Option<WayBack>, Failure> {
        match &actual.live {
            Some(live) if *live != self.value() && self.is_of_network() => Ok(Some(WayBack {
                parameters: vec![(self.path(), live.clone())],
                files: Snapshot::take(host, [self.file()])?,
                restart: None,
            })),
            _ => Ok(None),
        }
    }

    fn confirm_within(&self) -> Duration {
        confirm_within(self.confirm_timeout)
    }

    fn observe(&self, host: &Host) -> Result<Found, Failure> {
        let live = match self.state {
            Presence::Absent => None,
            Presence::Present => Some(host.read(&self.path(), 1 << 16)?.ok_or_else(|| {
                Failure::Missing(format!(
                    "the kernel has no parameter `{}`; is its module loaded?",
                    self.name
                ))
            })?),
        };
        let files = config_dirs::read(host, "sysctl.d")?;
        Ok(Found {
            live: live.map(|bytes| one_line(&String::from_utf8_lossy(&bytes))),
            own: config_dirs::read_file(host, self.file())?,
            later: set_later(&files, self.file(), &self.name),
        })
    }

    fn drift(&self, actual: &Found) -> Vec<Drift> {
        let persisted = actual
            .own
            .as_deref()
            .and_then(|text| value_in(text, &self.name));
        let mut drift = Vec::new();
        if self.state == Presence::Absent {
            drift.extend(persisted.map(|value| Drift::remove("persisted", value)));
            return drift;
        }
        let value = self.value();
        if let Some(live) = &actual.live
            && *live != value
        {
            drift.push(Drift::update("live", &value, live));
        }
        match (&actual.later, persisted) {
            // Whoever sets the value last, boot will set that one.
            (Some((file, later)), _) if *later != value => {
                let found = format!("{later} (by {})", file.display());
                drift.push(Drift::update("persisted", value, found));
            }
            (None, None) => drift.push(Drift::create("persisted", value)),
            (None, Some(found)) if found != value => {
                drift.push(Drift::update("persisted", value, found));
            }
            (Some(_), _) | (None, Some(_)) => {}
        }
        drift
    }

    fn apply(&self, host: &Host, actual: &Found) -> Result<Option<Output>, Failure> {
        if self.state == Presence::Present {
            if let Some((file, later)) = &actual.later
                && *later != self.value()
            {
                return Err(Failure::Refused(format!(
                    "{} is read after {} and sets `{}` to `{later}`; nothing was changed: \
                     take the line out there, or declare `file` so that it is read later",
                    file.display(),
                    self.file().display(),
                    self.name
                )));
            }
            self.set_live(actual)?;
        }
        let before = actual.own.as_deref().unwrap_or_default();
        let after = match (self.state, &actual.later) {
            (Presence::Absent, _) => with_value(before, &self.name, None),
            (Presence::Present, None) => with_value(before, &self.name, Some(&self.value())),
            (Presence::Present, Some(_)) => return Ok(None),
        };
        if after != before {
            host.write(self.file(), after.as_bytes(), Permissions::default())?;
        }
        Ok(None)
    }
}

/// The path below `/proc/sys`, by the rule of sysctl(8): the first separator in the name is the
/// separator, and the other sign stands for itself.
fn key_path(name: &str) -> String {
    match name.find(['.', '/']).map(|first| name.as_bytes()[first]) {
        Some(b'.') => name
            .chars()
            .map(|sign| match sign {
                '.' => '/',
                '/' => '.',
                other => other,
            })
            .collect(),
        _ => name.to_owned(),
    }
}

fn one_line(value: &str) -> String {
    value.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The parameter (as a path) and value of one line of a `sysctl.d` file. A leading `-` means
/// that errors are to be ignored.
fn assignment(line: &str) -> Option<(String, String)> {
    let line = line.trim();
    if line.starts_with(['#', ';']) {
        return None;
    }
    let (key, value) = line.split_once('=')?;
    let key = key.trim();
    Some((
        key_path(key.strip_prefix('-').unwrap_or(key)),
        one_line(value),
    ))
}

/// The last value a file sets.
fn value_in(text: &str, name: &str) -> Option<String> {
    let path = key_path(name);
    text.lines()
        .filter_map(assignment)
        .rfind(|(key, _)| *key == path)
        .map(|(_, value)| value)
}

/// The last file after `own` that sets the parameter.
fn set_later(files: &[ConfigFile], own: &Path, name: &str) -> Option<(PathBuf, String)> {
    files
        .iter()
        .rev()
        .take_while(|file| file.path != own && file.path.file_name() > own.file_name())
        .find_map(|file| Some((file.path.clone(), value_in(&file.text, name)?)))
}

/// The text with one line for the parameter, in the place of the first one, or with none.
fn with_value(text: &str, name: &str, value: Option<&str>) -> String {
    let path = key_path(name);
    let mut left = value.map(|value| format!("{name} = {value}"));
    let mut result = String::new();
    for line in text.lines() {
        if assignment(line).is_some_and(|(key, _)| key == path) {
            if let Some(line) = left.take() {
                let _ = writeln!(result, "{line}");
            }
        } else {
            let _ = writeln!(result, "{line}");
        }
    }
    if let Some(line) = left {
        let _ = writeln!(result, "{line}");
    }
    result
}

#[cfg(test)]
mod tests;

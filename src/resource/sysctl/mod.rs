//! A kernel parameter: its value now, and its value after the next boot.
//!
//! Both are compared and both are set. `live` is what `/proc/sys` says; values are compared by
//! what they mean, so `0x10` is 16, and runs of white space count as one blank. `persisted` is what
//! boot will set: the last word of all files of `sysctl.d`, read in their order. fleet writes
//! only its own `file`, one line per parameter, and keeps all other lines in it; when a file
//! that is read later sets another value, or boot does not read `file`, it says so and changes
//! nothing.
//!
//! A name is written with dots, `net.ipv4.ip_forward`, or with slashes where a part has a dot in
//! it, `net/ipv4/conf/eth0.100/rp_filter`. A parameter that does not exist usually means that
//! its kernel module is not loaded: declare a `kernel_module` first. One that can only be written
//! (`net.ipv4.route.flush`) is an action without a state: that is for a `command` in a handler.
//!
//! A parameter below `net.` may cut the host off: if it cannot be reached over a new connection
//! within a minute (`confirm_timeout`), the old value comes back by itself, live and in `file`, and the task fails.
//!
//! `state: absent` takes the line out of `file`. The live value stays: the kernel does not tell
//! what it was before.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::presence::Presence;
use super::{AnyResource, Footprint, Removal, Resource};
use crate::host::config_dirs::{self, OwnFile};
use crate::host::{
    Failure, Host, HostPath, Snapshot, WayBack, check_confirm_timeout, confirm_within,
};
use crate::protocol::{Drift, Output};

mod boot;
mod value;

use boot::{Boot, key_path, one_line};

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
    /// The file that keeps it over a reboot, one that boot reads: `/etc/sysctl.d/*.conf`, or
    /// `/etc/sysctl.conf` where that is linked there; `/etc/sysctl.d/90-fleet.conf` unless given.
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
    /// `file`.
    own: OwnFile,
    /// What other files mean for the line in it.
    boot: Boot,
    /// The parameter can only be read.
    read_only: bool,
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

    fn is_live(&self, actual: &Found) -> bool {
        let live = actual.live.as_deref();
        live.is_some_and(|live| value::is_same(&self.value(), live))
    }

    fn is_value(&self, set: Option<&str>) -> bool {
        set.is_some_and(|set| value::is_same(&self.value(), set))
    }

    /// Where the files lead after boot, if that is not to the declared value.
    fn persisted_drift(&self, actual: &Found) -> Option<Drift> {
        let value = self.value();
        // Whoever sets the value last, boot will set that one.
        if let Some((file, later)) = &actual.boot.later {
            let found = format!("{} (by {})", in_words(later.as_deref()), file.display());
            let differs = !self.is_value(later.as_deref());
            return differs.then(|| Drift::update("persisted", value, found));
        }
        if let Some(why) = &actual.boot.unread {
            let found = format!(
                "not set: boot does not read {}, as {why}",
                self.file().display()
            );
            return Some(Drift::update("persisted", value, found));
        }
        match boot::value_in(actual.own_text(), &key_path(&self.name)) {
            None => Some(Drift::create("persisted", value)),
            Some(found) if !self.is_value(found.as_deref()) => Some(Drift::update(
                "persisted",
                value,
                in_words(found.as_deref()),
            )),
            Some(_) => None,
        }
    }

    /// Why the kernel has no such parameter.
    fn missing(&self) -> Failure {
        let named = spelling_with_slashes(Path::new("/proc/sys"), &self.name);
        let name = &self.name;
        Failure::Missing(match named {
            Some(slashes) => format!(
                "the kernel has no parameter `{name}`, but one with a dot in a part of its name; \
                 write it as `{slashes}`"
            ),
            None => format!("the kernel has no parameter `{name}`; is its module loaded?"),
        })
    }

    /// The mode of the parameter, and its value, if there is one to read.
    fn look(&self, host: &Host) -> Result<(String, u32), Failure> {
        let path = self.path();
        let Ok(found) = fs::metadata(&path) else {
            return Err(self.missing());
        };
        let mode = found.permissions().mode();
        if mode & 0o444 == 0 {
            return Err(Failure::Refused(format!(
                "the kernel parameter `{name}` is write-only, so it has no state to compare; to \
                 trigger it, declare `command: sysctl -w {name}={value}` in a handler",
                name = self.name,
                value = self.value()
            )));
        }
        let bytes = host.read(&path, 1 << 16)?.ok_or_else(|| self.missing())?;
        Ok((one_line(&String::from_utf8_lossy(&bytes)), mode))
    }

    fn check_file(&self) -> Result<(), String> {
        let file = self.file();
        let is_in = |directory: &str| file.parent() == Some(Path::new(directory));
        if self.state == Presence::Absent || file == Path::new(boot::LINKED) {
            return Ok(());
        }
        let why = if is_in("/run/sysctl.d") {
            "it is gone after a reboot"
        } else if !boot::DIRECTORIES.into_iter().any(is_in) {
            "boot reads none but those in /etc/sysctl.d and the like"
        } else if !config_dirs::is_read(file) {
            "boot reads only names that end in `.conf`"
        } else {
            return Ok(());
        };
        Err(format!(
            "`file` is `{}`, which keeps nothing: {why}; name one like {DEFAULT_FILE}",
            file.display()
        ))
    }

    fn set_live(&self, actual: &Found) -> Result<(), Failure> {
        if self.is_live(actual) {
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
        let path = boot::with_slashes(&self.name);
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
        self.check_file()?;
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
            Some(live) if !self.is_live(actual) && self.is_of_network() => Ok(Some(WayBack {
                parameters: vec![(self.path(), live.clone())],
                files: Snapshot::take(host, [actual.own.real()])?,
                restart: None,
            })),
            _ => Ok(None),
        }
    }

    fn confirm_within(&self) -> Duration {
        confirm_within(self.confirm_timeout)
    }

    fn observe(&self, host: &Host) -> Result<Found, Failure> {
        let look = || self.look(host);
        let looked = (self.state == Presence::Present).then(look).transpose()?;
        let files = config_dirs::read(host, "sysctl.d")?;
        Ok(Found {
            read_only: looked.as_ref().is_some_and(|(_, mode)| mode & 0o222 == 0),
            live: looked.map(|(live, _)| live),
            own: OwnFile::read(host, self.file())?,
            boot: Boot::of(&files, self.file(), &key_path(&self.name)),
        })
    }

    fn obstacle(&self, _: &Host, actual: &Found) -> Result<(), Failure> {
        let (name, file) = (&self.name, self.file().display());
        if self.state == Presence::Absent {
            return Ok(());
        }
        let refused = |why: String| Err(Failure::Refused(why));
        if actual.read_only && !self.is_live(actual) {
            return refused(format!(
                "the kernel parameter `{name}` is read-only; take the task out"
            ));
        }
        if let Some(why) = &actual.boot.unread
            && self.persisted_drift(actual).is_some()
        {
            return refused(format!(
                "boot does not read {file}, as {why}; nothing was changed: leave `file` out, which \
                 then is {DEFAULT_FILE}"
            ));
        }
        match &actual.boot.later {
            Some((other, later)) if !self.is_value(later.as_deref()) => refused(format!(
                "{} is read after {file} and sets `{name}` to `{}`; nothing was changed: take the \
                 line out there, or declare `file` so that it is read later",
                other.display(),
                in_words(later.as_deref())
            )),
            _ => Ok(()),
        }
    }

    fn drift(&self, actual: &Found) -> Vec<Drift> {
        if self.state == Presence::Absent {
            let persisted = boot::value_in(actual.own_text(), &key_path(&self.name));
            let removed =
                persisted.map(|value| Drift::remove("persisted", in_words(value.as_deref())));
            return removed.into_iter().collect();
        }
        let mut drift = Vec::new();
        if let Some(live) = &actual.live
            && !self.is_live(actual)
        {
            drift.push(Drift::update("live", self.value(), live));
        }
        drift.extend(self.persisted_drift(actual));
        drift
    }

    fn apply(&self, host: &Host, actual: &Found) -> Result<Option<Output>, Failure> {
        let path = key_path(&self.name);
        let is_meant = |line: &[u8]| boot::is_about(line, &path);
        if self.state == Presence::Absent {
            let text = config_dirs::with_line(actual.own_text(), None, is_meant);
            actual.own.write(host, &text)?;
            return Ok(None);
        }
        self.set_live(actual)?;
        if self.persisted_drift(actual).is_some() {
            let line = format!("{} = {}", self.name, self.value());
            let text = config_dirs::with_line(actual.own_text(), Some(&line), is_meant);
            actual.own.write(host, &text)?;
        }
        Ok(None)
    }
}

impl Found {
    fn own_text(&self) -> &[u8] {
        self.own.text.as_deref().unwrap_or_default()
    }
}

fn in_words(value: Option<&str>) -> &str {
    value.unwrap_or("not set")
}

/// The same name with slashes, where dots within its parts lead to a parameter below `root`.
fn spelling_with_slashes(root: &Path, name: &str) -> Option<String> {
    if name.contains('/') {
        return None;
    }
    let parts: Vec<_> = name.split('.').collect();
    for length in 1..=parts.len() {
        let (first, rest) = (parts[..length].join("."), parts[length..].join("."));
        let path = root.join(&first);
        if rest.is_empty() {
            return path.is_file().then_some(first);
        }
        if path.is_dir()
            && let Some(rest) = spelling_with_slashes(&path, &rest)
        {
            return Some(format!("{first}/{rest}"));
        }
    }
    None
}

#[cfg(test)]
mod tests;

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
//! within a minute, the old value comes back by itself, live and in `file`, and the task fails.
//!
//! `state: absent` takes the line out of `file`. The live value stays: the kernel does not tell
//! what it was before.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::presence::Presence;
use super::{AnyResource, Footprint, Removal, Resource};
use crate::host::config_dirs::{self, ConfigFile};
use crate::host::{Failure, Host, HostPath, Permissions, Snapshot, WayBack};
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
                ..self.clone()
            }),
            made_with: "persisted",
            removal: Removal::Prune,
        })
    }

    fn way_back(&self, host: &Host, actual: &Found) -> Result<Option<WayBack>, Failure> {
        match &actual.live {
            Some(live) if *live != self.value() && key_path(&self.name).starts_with("net/") => {
                Ok(Some(WayBack {
                    parameters: vec![(self.path(), live.clone())],
                    files: Snapshot::take(host, [self.file()])?,
                    restart: None,
                }))
            }
            _ => Ok(None),
        }
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sysctl(name: &str, value: &str) -> Sysctl {
        Sysctl {
            name: name.to_owned(),
            value: Some(value.to_owned()),
            state: Presence::Present,
            file: None,
        }
    }

    fn found(live: &str, own: Option<&str>) -> Found {
        Found {
            live: Some(live.to_owned()),
            own: own.map(str::to_owned),
            later: None,
        }
    }

    #[test]
    fn compares_the_live_and_the_persisted_value() {
        let declared = sysctl("net.ipv4.tcp_rmem", "4096 131072  6291456");
        let value = "4096 131072 6291456";
        let line = "-net/ipv4/tcp_rmem=4096\t131072\t6291456\n";
        assert_eq!(declared.drift(&found(value, Some(line))), []);
        assert_eq!(
            declared.drift(&found("1 2 3", None)),
            [
                Drift::update("live", value, "1 2 3"),
                Drift::create("persisted", value)
            ]
        );
        let edited = "net.ipv4.tcp_rmem = 4096 131072 6291456\nnet.ipv4.tcp_rmem = 9 9 9\n";
        assert_eq!(
            declared.drift(&found(value, Some(edited))),
            [Drift::update("persisted", value, "9 9 9")]
        );
    }

    #[test]
    fn a_later_file_decides() {
        let declared = sysctl("vm.swappiness", "10");
        let own = "vm.swappiness = 10\n";
        let file = |path: &str, text: &str| ConfigFile {
            path: path.into(),
            text: text.to_owned(),
        };
        let files = [
            file("/usr/lib/sysctl.d/50-default.conf", "vm.swappiness = 30\n"),
            file(DEFAULT_FILE, own),
            file(
                "/etc/sysctl.d/99-sysctl.conf",
                "# vm.swappiness = 1\nvm.swappiness=60\n",
            ),
        ];
        let later =
            |files: &[ConfigFile]| set_later(files, Path::new(DEFAULT_FILE), "vm.swappiness");
        assert_eq!(later(&files[..2]), None);
        // The own file does not exist yet, but its place in the order is known.
        assert_eq!(later(&files[..1]), None);
        let actual = Found {
            later: later(&files),
            ..found("10", Some(own))
        };
        assert_eq!(
            declared.drift(&actual),
            [Drift::update(
                "persisted",
                "10",
                "60 (by /etc/sysctl.d/99-sysctl.conf)"
            )]
        );
        assert_eq!(
            sysctl("vm.swappiness", "60").drift(&actual)[0].attribute,
            "live"
        );
    }

    #[test]
    fn absent_takes_out_the_line_and_no_other() {
        let declared = Sysctl {
            value: None,
            state: Presence::Absent,
            ..sysctl("vm.swappiness", "")
        };
        let text = "# kept\nvm.swappiness = 10\n kernel.pid_max = 4194304\nvm/swappiness = 20";
        let actual = Found {
            live: None,
            own: Some(text.to_owned()),
            later: None,
        };
        assert_eq!(declared.drift(&actual), [Drift::remove("persisted", "20")]);
        let after = with_value(text, "vm.swappiness", None);
        assert_eq!(after, "# kept\n kernel.pid_max = 4194304\n");
        assert_eq!(
            declared.drift(&Found {
                own: Some(after),
                ..actual
            }),
            []
        );
    }

    #[test]
    fn names_lead_below_proc_sys() {
        for (name, path) in [
            ("vm.swappiness", "/proc/sys/vm/swappiness"),
            (
                "net.ipv4.conf.eth0/100.rp_filter",
                "/proc/sys/net/ipv4/conf/eth0.100/rp_filter",
            ),
            (
                "net/ipv4/conf/eth0.100/rp_filter",
                "/proc/sys/net/ipv4/conf/eth0.100/rp_filter",
            ),
        ] {
            assert_eq!(sysctl(name, "1").path(), Path::new(path));
            assert_eq!(sysctl(name, "1").validate(), Ok(()));
        }
        for name in [
            "",
            "vm..swappiness",
            "../../etc/passwd",
            "/etc/passwd",
            "a b",
            "a\nb",
            "net.*",
        ] {
            assert!(sysctl(name, "1").validate().is_err(), "{name:?}");
        }
        for value in ["", "  ", "1\nkernel.x = 2"] {
            assert!(
                sysctl("vm.swappiness", value).validate().is_err(),
                "{value:?}"
            );
        }
    }

    #[test]
    fn two_parameters_share_a_file() {
        let text = with_value("", "vm.swappiness", Some("10"));
        let text = with_value(&text, "net.ipv4.ip_forward", Some("1"));
        let text = with_value(&text, "vm.swappiness", Some("20"));
        assert_eq!(text, "vm.swappiness = 20\nnet.ipv4.ip_forward = 1\n");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(text in "([#;a-z.= \n-]|vm\\.swappiness ?=){0,40}", value in "[0-9]{1,3}") {
            let after = with_value(&text, "vm.swappiness", Some(&value));
            prop_assert_eq!(value_in(&after, "vm.swappiness"), Some(value.clone()));
            prop_assert_eq!(&with_value(&after, "vm.swappiness", Some(&value)), &after);
            let removed = with_value(&after, "vm.swappiness", None);
            prop_assert_eq!(value_in(&removed, "vm.swappiness"), None);
        }
    }
}

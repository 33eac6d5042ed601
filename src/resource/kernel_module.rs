//! A kernel module: loaded now, and loaded at every boot.
//!
//! `-` and `_` in a module's name mean the same. A module that is built into the kernel counts
//! as loaded, and as loaded at boot. `persisted` is kept in `/etc/modules-load.d/NAME.conf`; a
//! module that another file of `modules-load.d` names is loaded at boot just as well, and such a
//! file is left alone.
//!
//! `params` are kept in `/etc/modprobe.d/NAME.conf` and take effect when the module is loaded. A
//! module that is loaded already with other ones is drift, but fleet does not unload a module
//! that may be in use: unload it by hand or reboot. Parameters that the module does not show in
//! `/sys/module/NAME/parameters` cannot be compared while it is loaded.
//!
//! `state: absent` unloads the module and removes fleet's files about it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::presence::Presence;
use super::{Footprint, Resource};
use crate::host::config_dirs::{self, ConfigFile};
use crate::host::{Command, Failure, Host, Permissions, remove_file};
use crate::protocol::{Drift, Output};

/// A kernel module: loaded now, and loaded at every boot.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "control", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct KernelModule {
    /// The module's name: `br_netfilter`.
    pub name: String,
    /// `present` (the default, loaded) or `absent` (not loaded).
    #[serde(default)]
    pub state: Presence,
    /// Load it at every boot too; true unless given. `false` leaves boot alone.
    #[serde(default = "yes")]
    pub persisted: bool,
    /// Module parameters by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, String>,
}

/// Whether the module is part of the running kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Live {
    Loaded,
    BuiltIn,
    Absent,
}

/// What the kernel and the files say.
#[derive(Clone, Debug)]
pub struct Found {
    live: Live,
    /// Files that load it at boot.
    listed_in: Vec<PathBuf>,
    /// fleet's own file of parameters.
    options: Option<String>,
    /// The parameters in use, of those that are declared and shown.
    parameters: BTreeMap<String, String>,
}

fn yes() -> bool {
    true
}

impl KernelModule {
    /// As the kernel writes it.
    fn kernel_name(&self) -> String {
        self.name.replace('-', "_")
    }

    fn load_file(&self) -> PathBuf {
        PathBuf::from(format!("/etc/modules-load.d/{}.conf", self.name))
    }

    fn options_file(&self) -> PathBuf {
        PathBuf::from(format!("/etc/modprobe.d/{}.conf", self.name))
    }

    /// What fleet's own file of parameters is to say; `None` if there is to be none.
    fn options(&self) -> Option<String> {
        if self.params.is_empty() || self.state == Presence::Absent {
            return None;
        }
        let mut line = format!("options {}", self.name);
        for (name, value) in &self.params {
            let _ = write!(line, " {name}={value}");
        }
        Some(line + "\n")
    }

    fn parameters_in_use(&self, host: &Host) -> Result<BTreeMap<String, String>, Failure> {
        let directory = Path::new("/sys/module")
            .join(self.kernel_name())
            .join("parameters");
        let mut found = BTreeMap::new();
        for name in self.params.keys() {
            if let Some(bytes) = host.read(&directory.join(name), 1 << 16)? {
                let value = String::from_utf8_lossy(&bytes).trim().to_owned();
                found.insert(name.clone(), value);
            }
        }
        Ok(found)
    }

    /// Parameters that the loaded module runs with and that are declared otherwise.
    fn other_parameters<'a>(&'a self, found: &'a Found) -> Vec<(&'a str, &'a str, &'a str)> {
        let declared = self.params.iter().filter_map(|(name, wanted)| {
            Some((
                name.as_str(),
                wanted.as_str(),
                found.parameters.get(name)?.as_str(),
            ))
        });
        declared
            .filter(|(_, wanted, actual)| !same_parameter(wanted, actual))
            .collect()
    }
}

impl Resource for KernelModule {
    const KIND: &'static str = "kernel_module";

    const EXAMPLE: &'static str = "\
- name: bridged packets pass iptables
  kernel_module: { name: br_netfilter }

- name: two dummy interfaces, until the next boot
  kernel_module: { name: dummy, persisted: no, params: { numdummies: 2 } }

- name: no floppy
  kernel_module: { name: floppy, state: absent }
";

    type Actual = Found;

    fn id(&self) -> String {
        self.name.clone()
    }

    fn validate(&self) -> Result<(), String> {
        let word = |text: &str| {
            text.starts_with(|first: char| first.is_ascii_alphanumeric())
                && text
                    .chars()
                    .all(|sign| sign.is_ascii_alphanumeric() || "_-".contains(sign))
        };
        if !word(&self.name) || self.name.len() > 55 {
            return Err(format!(
                "`{}` is not the name of a kernel module",
                self.name
            ));
        }
        for (name, value) in &self.params {
            if !word(name) {
                return Err(format!("`{name}` is not the name of a module parameter"));
            }
            if value.is_empty()
                || value.contains(|sign: char| !sign.is_ascii_graphic() || "#\\'\"".contains(sign))
            {
                return Err(format!(
                    "the parameter `{name}` is `{value}`: it cannot be empty or contain blanks, \
                     quotes, `#` or `\\`"
                ));
            }
        }
        if self.state == Presence::Absent && !self.params.is_empty() {
            return Err("`params` have no meaning with `state: absent`; leave them out".to_owned());
        }
        Ok(())
    }

    /// The file that loads it at boot: whether it can be unloaded depends on who uses it now.
    fn footprint(&self) -> Option<Footprint> {
        Footprint::of_path(&self.load_file(), "persisted")
    }

    fn observe(&self, host: &Host) -> Result<Found, Failure> {
        let text = |path: &Path| -> Result<String, Failure> {
            let bytes = host.read(path, 16 << 20)?.unwrap_or_default();
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        let name = self.kernel_name();
        let live = if is_loaded(&text(Path::new("/proc/modules"))?, &name) {
            Live::Loaded
        } else {
            let release = text(Path::new("/proc/sys/kernel/osrelease"))?;
            let built_in = Path::new("/lib/modules")
                .join(release.trim())
                .join("modules.builtin");
            if is_built_in(&text(&built_in)?, &name) {
                Live::BuiltIn
            } else {
                Live::Absent
            }
        };
        Ok(Found {
            live,
            listed_in: listed_in(&config_dirs::read(host, "modules-load.d")?, &name),
            options: config_dirs::read_file(host, &self.options_file())?,
            parameters: if live == Live::Absent {
                BTreeMap::new()
            } else {
                self.parameters_in_use(host)?
            },
        })
    }

    fn drift(&self, actual: &Found) -> Vec<Drift> {
        let mut drift = Vec::new();
        match (self.state, actual.live) {
            (Presence::Present, Live::Absent) => drift.push(Drift::create("live", "loaded")),
            (Presence::Absent, Live::Loaded) => drift.push(Drift::remove("live", "loaded")),
            (Presence::Absent, Live::BuiltIn) => {
                drift.push(Drift::remove("live", "built into the kernel"));
            }
            (Presence::Present, Live::Loaded | Live::BuiltIn)
            | (Presence::Absent, Live::Absent) => {}
        }
        if self.persisted {
            match self.state {
                Presence::Present
                    if actual.listed_in.is_empty() && actual.live != Live::BuiltIn =>
                {
                    drift.push(Drift::create("persisted", "loaded at boot"));
                }
                Presence::Present => {}
                Presence::Absent => drift.extend(
                    actual
                        .listed_in
                        .iter()
                        .map(|file| Drift::remove("persisted", file.display().to_string())),
                ),
            }
        }
        match (self.options(), &actual.options) {
            (Some(wanted), None) => drift.push(Drift::create("params", wanted.trim_end())),
            (Some(wanted), Some(found)) if wanted != *found => {
                drift.push(Drift::update("params", wanted.trim_end(), found.trim_end()));
            }
            (None, Some(found)) if self.state == Presence::Absent => {
                drift.push(Drift::remove("params", found.trim_end()));
            }
            _ => {}
        }
        drift.extend(
            self.other_parameters(actual)
                .into_iter()
                .map(|(name, wanted, found)| {
                    Drift::update(format!("parameter {name} in use"), wanted, found)
                }),
        );
        drift
    }

    fn apply(&self, host: &Host, actual: &Found) -> Result<Option<Output>, Failure> {
        if self.state == Presence::Absent {
            return self.remove(actual);
        }
        if let Some(options) = self.options()
            && actual.options.as_ref() != Some(&options)
        {
            host.write(
                &self.options_file(),
                options.as_bytes(),
                Permissions::default(),
            )?;
        }
        // modprobe reads the parameters from the file just written. What cannot be loaded is not
        // to be tried again at every boot, so that file comes after it.
        let output = if actual.live == Live::Absent {
            Some(Command::new(["modprobe", "--", &self.name]).run()?)
        } else {
            None
        };
        if self.persisted && actual.listed_in.is_empty() && actual.live != Live::BuiltIn {
            let line = format!("{}\n", self.name);
            host.write(&self.load_file(), line.as_bytes(), Permissions::default())?;
        }
        if let [(name, wanted, found), ..] = self.other_parameters(actual)[..] {
            return Err(Failure::Refused(format!(
                "the module `{}` is loaded with `{name}={found}`, not `{wanted}`, and is not \
                 unloaded by fleet; the parameter is stored and holds after the next boot",
                self.name
            )));
        }
        Ok(output)
    }
}

impl KernelModule {
    fn remove(&self, actual: &Found) -> Result<Option<Output>, Failure> {
        if actual.live == Live::BuiltIn {
            return Err(Failure::Refused(format!(
                "the module `{}` is built into the kernel and cannot be unloaded",
                self.name
            )));
        }
        let own = self.load_file();
        let foreign = actual
            .listed_in
            .iter()
            .find(|file| self.persisted && **file != own);
        if let Some(file) = foreign {
            return Err(Failure::Refused(format!(
                "{} loads the module `{}` at boot and is not fleet's; take the line out there \
                 first",
                file.display(),
                self.name
            )));
        }
        if self.persisted && actual.listed_in.contains(&own) {
            remove_file(&own)?;
        }
        if actual.options.is_some() {
            remove_file(&self.options_file())?;
        }
        if actual.live == Live::Loaded {
            return Command::new(["modprobe", "-r", "--", &self.name])
                .run()
                .map(Some);
        }
        Ok(None)
    }
}

/// Lines of `/proc/modules` begin with the name: `br_netfilter 32768 0 - Live 0x…`.
fn is_loaded(modules: &str, kernel_name: &str) -> bool {
    modules
        .lines()
        .any(|line| line.split(' ').next() == Some(kernel_name))
}

/// Lines of `modules.builtin` are paths: `kernel/fs/ext4/ext4.ko`.
fn is_built_in(modules: &str, kernel_name: &str) -> bool {
    modules
        .lines()
        .filter_map(|line| line.rsplit('/').next()?.strip_suffix(".ko"))
        .any(|name| name.replace('-', "_") == kernel_name)
}

fn listed_in(files: &[ConfigFile], kernel_name: &str) -> Vec<PathBuf> {
    let lists = |text: &str| {
        text.lines()
            .map(str::trim)
            .filter(|line| !line.starts_with(['#', ';']))
            .any(|line| line.replace('-', "_") == kernel_name)
    };
    files
        .iter()
        .filter(|file| lists(&file.text))
        .map(|file| file.path.clone())
        .collect()
}

/// The kernel shows truth values as `Y` and `N`, however they were given.
fn same_parameter(wanted: &str, actual: &str) -> bool {
    let truth = |value: &str| match value.to_ascii_lowercase().as_str() {
        "y" | "yes" | "1" | "true" | "on" => Some(true),
        "n" | "no" | "0" | "false" | "off" => Some(false),
        _ => None,
    };
    match actual {
        "Y" => truth(wanted) == Some(true),
        "N" => truth(wanted) == Some(false),
        actual => wanted == actual,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(json: &str) -> KernelModule {
        serde_json::from_str(json).unwrap()
    }

    fn found(live: Live, listed_in: &[&str]) -> Found {
        Found {
            live,
            listed_in: listed_in.iter().map(PathBuf::from).collect(),
            options: None,
            parameters: BTreeMap::new(),
        }
    }

    #[test]
    fn compares_now_and_boot() {
        let declared = module(r#"{"name": "br_netfilter"}"#);
        let own = "/etc/modules-load.d/br_netfilter.conf";
        assert_eq!(declared.drift(&found(Live::Loaded, &[own])), []);
        assert_eq!(
            declared.drift(&found(Live::Loaded, &["/usr/lib/modules-load.d/k8s.conf"])),
            []
        );
        assert_eq!(declared.drift(&found(Live::BuiltIn, &[])), []);
        assert_eq!(
            declared.drift(&found(Live::Absent, &[])),
            [
                Drift::create("live", "loaded"),
                Drift::create("persisted", "loaded at boot")
            ]
        );
        let now_only = module(r#"{"name": "br_netfilter", "persisted": false}"#);
        assert_eq!(now_only.drift(&found(Live::Loaded, &[])), []);
    }

    #[test]
    fn absent_is_about_both_too() {
        let declared = module(r#"{"name": "floppy", "state": "absent"}"#);
        assert_eq!(declared.drift(&found(Live::Absent, &[])), []);
        assert_eq!(
            declared.drift(&found(Live::Loaded, &["/etc/modules-load.d/floppy.conf"])),
            [
                Drift::remove("live", "loaded"),
                Drift::remove("persisted", "/etc/modules-load.d/floppy.conf")
            ]
        );
        assert_eq!(declared.drift(&found(Live::BuiltIn, &[])).len(), 1);
    }

    #[test]
    fn parameters_are_compared_in_the_file_and_in_use() {
        let declared = module(
            r#"{"name": "dummy", "persisted": false,
            "params": {"numdummies": "2", "fast": "yes"}}"#,
        );
        let line = "options dummy fast=yes numdummies=2";
        assert_eq!(
            declared.drift(&found(Live::Loaded, &[])),
            [Drift::create("params", line)]
        );
        let in_use = |numdummies: &str| Found {
            options: Some(format!("{line}\n")),
            parameters: [("numdummies", numdummies), ("fast", "Y")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            ..found(Live::Loaded, &[])
        };
        assert_eq!(declared.drift(&in_use("2")), []);
        assert_eq!(
            declared.drift(&in_use("1")),
            [Drift::update("parameter numdummies in use", "2", "1")]
        );
    }

    #[test]
    fn finds_modules_under_either_spelling() {
        let modules = "br_netfilter 32768 0 - Live 0x0000000000000000\n\
                       bridge 311296 1 br_netfilter, Live 0x0000000000000000\n";
        assert!(is_loaded(modules, "br_netfilter"));
        assert!(!is_loaded(modules, "br"));
        assert_eq!(
            module(r#"{"name": "dm-thin-pool"}"#).kernel_name(),
            "dm_thin_pool"
        );
        assert!(is_built_in(
            "kernel/drivers/md/dm-thin-pool.ko\n",
            "dm_thin_pool"
        ));
        assert!(!is_built_in(
            "kernel/drivers/md/dm-thin-pool.ko\n",
            "dm_thin"
        ));
        let file = |path: &str, text: &str| ConfigFile {
            path: path.into(),
            text: text.to_owned(),
        };
        let files = [
            file("/a.conf", "# dm-thin-pool\n"),
            file("/b.conf", "loop\n dm-thin-pool \n"),
        ];
        assert_eq!(listed_in(&files, "dm_thin_pool"), [Path::new("/b.conf")]);
    }

    #[test]
    fn refuses_what_would_break_the_files() {
        for json in [
            r#"{"name": ""}"#,
            r#"{"name": "-r"}"#,
            r#"{"name": "../x"}"#,
            r#"{"name": "a b"}"#,
            r#"{"name": "a", "params": {"x y": "1"}}"#,
            r#"{"name": "a", "params": {"x": "1\ninstall a /bin/sh"}}"#,
            r#"{"name": "a", "params": {"x": ""}}"#,
            r#"{"name": "a", "state": "absent", "params": {"x": "1"}}"#,
        ] {
            assert!(module(json).validate().is_err(), "{json}");
        }
    }
}

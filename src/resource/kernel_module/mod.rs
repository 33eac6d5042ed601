//! A kernel module: loaded now, and loaded at every boot.
//!
//! `-` and `_` in a module's name mean the same. A module that is built into the kernel counts
//! as loaded, and as loaded at boot. Where neither the kernel nor `/lib/modules` tells, as in many
//! containers, that is reported as unknown. `persisted` is kept in `/etc/modules-load.d/NAME.conf`; a
//! module that another file of `modules-load.d` names is loaded at boot just as well, and such a
//! file is left alone. What `modprobe.d` keeps out by `blacklist` (at boot) or `install … /bin/true`
//! (always) is not loaded, so that line is named and nothing is changed.
//!
//! `params` are kept in `/etc/modprobe.d/NAME.conf` and take effect when the module is loaded. A
//! module that is loaded already with other ones is drift, but fleet does not unload a module
//! that may be in use: unload it by hand or reboot. Parameters that the module does not show in
//! `/sys/module/NAME/parameters` cannot be compared while it is loaded.
//!
//! `state: absent` unloads the module and takes its lines out of those two files.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use listing::{is_built_in, is_listing, is_loaded, listed_in, same_parameter};

use super::presence::Presence;
use super::{Footprint, Resource};
use crate::host::config_dirs::{self, OwnFile};
use crate::host::{Command, Failure, Host};
use crate::protocol::{Drift, Output};

mod listing;
mod modprobe;

use modprobe::{Known, Said};

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
    /// fleet's own file of what boot loads.
    load: OwnFile,
    /// fleet's own file of parameters.
    options: OwnFile,
    /// What all of `modprobe.d` says.
    said: Said,
    /// The parameters in use, of those that are declared and shown.
    parameters: BTreeMap<String, String>,
}

fn yes() -> bool {
    true
}

impl KernelModule {
    /// As the kernel writes it.
    fn kernel_name(&self) -> String {
        modprobe::kernel_name(&self.name)
    }

    fn load_file(&self) -> PathBuf {
        PathBuf::from(format!("/etc/modules-load.d/{}.conf", self.name))
    }

    fn options_file(&self) -> PathBuf {
        PathBuf::from(format!("/etc/modprobe.d/{}.conf", self.name))
    }

    /// The line for fleet's own file of parameters; `None` if there is to be none.
    fn options(&self) -> Option<String> {
        if self.params.is_empty() || self.state == Presence::Absent {
            return None;
        }
        let mut line = format!("options {}", self.name);
        for (name, value) in &self.params {
            let _ = write!(line, " {name}={value}");
        }
        Some(line)
    }

    /// fleet's own file of parameters as it is to be, everybody else's lines in it as they are.
    fn options_text(&self, found: &Found) -> Vec<u8> {
        let text = found.options.text.as_deref().unwrap_or_default();
        let name = self.kernel_name();
        config_dirs::with_line(text, self.options().as_deref(), |line| {
            modprobe::is_options_of(line, &name)
        })
    }

    /// The lines about the module in that file as it is.
    fn options_found(&self, found: &Found) -> Option<String> {
        let text = String::from_utf8_lossy(found.options.text.as_deref()?).into_owned();
        let name = self.kernel_name();
        let lines = text.lines();
        let lines = lines.filter(|line| modprobe::is_options_of(line.as_bytes(), &name));
        let lines: Vec<_> = lines.map(str::trim_end).collect();
        (!lines.is_empty()).then(|| lines.join("; "))
    }

    /// A parameter that another file, read after fleet's own, gives another value.
    fn overruled<'f>(&self, found: &'f Found) -> Option<(&str, &'f str, &'f Path)> {
        let own = self.options_file();
        self.params.iter().find_map(|(name, wanted)| {
            let (value, file) = found.said.parameters.get(&modprobe::kernel_name(name))?;
            let is_later = file.file_name() > own.file_name();
            (is_later && !same_parameter(wanted, value)).then_some((
                name.as_str(),
                value.as_str(),
                file.as_path(),
            ))
        })
    }

    /// What keeps the module from being loaded: the file and the line.
    fn kept_out(&self, found: &Found) -> Option<(PathBuf, String)> {
        if let Some(never) = &found.said.never {
            return Some(never.clone());
        }
        let blacklisted = found.said.blacklisted.clone().filter(|_| self.persisted);
        blacklisted.map(|file| (file, format!("blacklist {}", self.name)))
    }

    /// Whether the kernel has it, loaded or built in.
    fn live(&self, host: &Host) -> Result<Live, Failure> {
        let name = self.kernel_name();
        let module = Path::new("/sys/module").join(&name);
        if module.is_dir() {
            // Only a module that was loaded has a state; one built in is there for its parameters.
            return Ok(if module.join("initstate").exists() {
                Live::Loaded
            } else {
                Live::BuiltIn
            });
        }
        let loaded = text(host, Path::new("/proc/modules"))?;
        if loaded
            .as_deref()
            .is_some_and(|loaded| is_loaded(loaded, &name))
        {
            return Ok(Live::Loaded);
        }
        let directory = modules_directory(host)?;
        match text(host, &directory.join("modules.builtin"))? {
            Some(built_in) if is_built_in(&built_in, &name) => Ok(Live::BuiltIn),
            Some(_) => Ok(Live::Absent),
            None => Err(Failure::Unexpected(format!(
                "cannot tell whether the kernel has the module `{}`: there is no \
                 {}/modules.builtin{}; in a container, declare it for the machine it runs on",
                self.name,
                directory.display(),
                match loaded {
                    Some(_) => "",
                    None => " and no /proc/modules",
                }
            ))),
        }
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
        let name = self.kernel_name();
        let live = self.live(host)?;
        Ok(Found {
            live,
            listed_in: listed_in(&config_dirs::read(host, "modules-load.d")?, &name),
            load: OwnFile::read(host, &self.load_file())?,
            options: OwnFile::read(host, &self.options_file())?,
            said: modprobe::read(&config_dirs::read(host, "modprobe.d")?, &name),
            parameters: if live == Live::Absent {
                BTreeMap::new()
            } else {
                self.parameters_in_use(host)?
            },
        })
    }

    fn obstacle(&self, host: &Host, found: &Found) -> Result<(), Failure> {
        if self.state == Presence::Absent {
            return self.removable(found);
        }
        let name = &self.name;
        if found.live == Live::BuiltIn {
            return Ok(());
        }
        if let Some((file, line)) = self.kept_out(found) {
            return Err(Failure::Refused(format!(
                "{file} says `{line}`, so the module `{name}` is not loaded; take the line out there \
                 first",
                file = file.display()
            )));
        }
        if let Some((parameter, value, file)) = self.overruled(found) {
            return Err(Failure::Refused(format!(
                "{file} is read later and gives the module `{name}` the parameter \
                 `{parameter}={value}`; take it out there first",
                file = file.display()
            )));
        }
        if found.live == Live::Absent {
            self.check_known(host)?;
        }
        if self.options() == self.options_found(found) {
            self.check_in_use(found)?;
        }
        Ok(())
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
                Presence::Present if actual.live == Live::BuiltIn => {}
                Presence::Present if actual.listed_in.is_empty() => {
                    drift.push(Drift::create("persisted", "loaded at boot"));
                }
                Presence::Present => {
                    drift.extend(self.kept_out(actual).map(|(file, line)| {
                        let found = format!("kept out by `{line}` in {}", file.display());
                        Drift::update("persisted", "loaded at boot", found)
                    }));
                }
                Presence::Absent => drift.extend(
                    actual
                        .listed_in
                        .iter()
                        .map(|file| Drift::remove("persisted", file.display().to_string())),
                ),
            }
        }
        match (self.options(), self.options_found(actual)) {
            (Some(wanted), None) => drift.push(Drift::create("params", wanted)),
            (Some(wanted), Some(found)) if wanted != found => {
                drift.push(Drift::update("params", wanted, found));
            }
            (None, Some(found)) if self.state == Presence::Absent => {
                drift.push(Drift::remove("params", found));
            }
            (Some(wanted), Some(_)) => {
                drift.extend(self.overruled(actual).map(|(name, value, file)| {
                    let found = format!("{name}={value} (by {})", file.display());
                    Drift::update("params", wanted, found)
                }));
            }
            (None, _) => {}
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
            return self.remove(host, actual);
        }
        if self.options().is_some() {
            actual.options.write(host, &self.options_text(actual))?;
        }
        // modprobe reads the parameters from the file just written. What cannot be loaded is not
        // to be tried again at every boot, so that file comes after it.
        let output = if actual.live == Live::Absent {
            Some(Command::new(["modprobe", "--", &self.name]).run()?)
        } else {
            None
        };
        if self.persisted && actual.listed_in.is_empty() && actual.live != Live::BuiltIn {
            actual.load.write(host, &self.load_text(actual, true))?;
        }
        self.check_in_use(actual)?;
        Ok(output)
    }
}

impl KernelModule {
    /// fleet's own file of what boot loads, with or without the module.
    fn load_text(&self, found: &Found, listed: bool) -> Vec<u8> {
        let text = found.load.text.as_deref().unwrap_or_default();
        let (line, name) = (listed.then_some(self.name.as_str()), self.kernel_name());
        config_dirs::with_line(text, line, |line| is_listing(line, &name))
    }

    /// Whether modprobe would find it at all.
    fn check_known(&self, host: &Host) -> Result<(), Failure> {
        let directory = modules_directory(host)?;
        let of = |file: &str| -> Result<String, Failure> {
            Ok(text(host, &directory.join(file))?.unwrap_or_default())
        };
        let (name, directory) = (&self.name, directory.display());
        match modprobe::look_up(
            &of("modules.dep")?,
            &of("modules.alias")?,
            &self.kernel_name(),
        ) {
            Known::Module => Ok(()),
            Known::Alias(module) => Err(Failure::Refused(format!(
                "`{name}` is another name of the module `{module}`; declare that one"
            ))),
            Known::Unknown => Err(Failure::Missing(format!(
                "the running kernel has no module `{name}` in {directory}; install the package it \
                 comes with, or reboot if the kernel was updated"
            ))),
        }
    }

    /// A module that is loaded keeps its parameters.
    fn check_in_use(&self, found: &Found) -> Result<(), Failure> {
        let [(parameter, wanted, value), ..] = self.other_parameters(found)[..] else {
            return Ok(());
        };
        Err(Failure::Refused(format!(
            "the module `{}` is loaded with `{parameter}={value}`, not `{wanted}`, and is not \
             unloaded by fleet; the parameter is stored and holds after the next boot",
            self.name
        )))
    }

    fn removable(&self, actual: &Found) -> Result<(), Failure> {
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
        Ok(())
    }

    fn remove(&self, host: &Host, actual: &Found) -> Result<Option<Output>, Failure> {
        if self.persisted && actual.listed_in.contains(&self.load_file()) {
            actual
                .load
                .write_or_remove(host, &self.load_text(actual, false))?;
        }
        if self.options_found(actual).is_some() {
            actual
                .options
                .write_or_remove(host, &self.options_text(actual))?;
        }
        if actual.live == Live::Loaded {
            return Command::new(["modprobe", "-r", "--", &self.name])
                .run()
                .map(Some);
        }
        Ok(None)
    }
}

/// Where the modules of the running kernel are.
fn modules_directory(host: &Host) -> Result<PathBuf, Failure> {
    let release = text(host, Path::new("/proc/sys/kernel/osrelease"))?.unwrap_or_default();
    Ok(Path::new("/lib/modules").join(release.trim()))
}

/// A file of the kernel's; `None` if there is none.
fn text(host: &Host, path: &Path) -> Result<Option<String>, Failure> {
    let bytes = host.read(path, 16 << 20)?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

#[cfg(test)]
mod tests;

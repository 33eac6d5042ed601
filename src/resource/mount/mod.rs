//! A file system that is mounted, and mounted again at boot.
//!
//! The words are those of Ansible's `mount`:
//! - `mounted` (the default): in `/etc/fstab` and mounted now; the directory is made if it is not
//!   there.
//! - `present`: in `/etc/fstab`; what is mounted now is left alone.
//! - `unmounted`: not mounted now; `/etc/fstab` is left alone.
//! - `absent`: neither. The directory stays.
//!
//! What is mounted now is compared with what is declared: the device (through `UUID=` and
//! `LABEL=` and links), the type, and those options that the kernel shows as they were given:
//! `ro`, `nosuid`, `nodev`, `noexec`, `noatime`, `nodiratime`. Other options differ from one file
//! system to the next and are compared in `/etc/fstab` only. Options are brought about by a
//! remount. Another device or type at the path is refused: that is for people to unmount.
//!
//! Lines of `/etc/fstab` for other paths are kept as they are.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::content::content_drift;
use super::{AnyResource, Footprint, Removal, Resource};
use crate::host::{Command, Failure, Host, HostPath, Permissions};
use crate::protocol::{Change, Drift, Output};

mod fstab;
mod mounted;

use fstab::Entry;
use mounted::Mounted;

/// A file system that is mounted, and mounted again at boot.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "control", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Mount {
    /// Where it is mounted.
    pub path: HostPath,
    /// What is mounted: a device, `UUID=…`, `LABEL=…`, `tmpfs`, `server:/export`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub src: Option<String>,
    /// Its type: `xfs`, `ext4`, `nfs`, `tmpfs`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fstype: Option<String>,
    /// Options, with commas between them; `defaults` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opts: Option<String>,
    /// The fifth field of `/etc/fstab`; 0 unless given.
    #[serde(default)]
    pub dump: u8,
    /// The sixth, which says when it is checked at boot; 0, never, unless given.
    #[serde(default)]
    pub passno: u8,
    /// `mounted` (the default), `present`, `unmounted` or `absent`.
    #[serde(default)]
    pub state: MountState,
}

/// What a [`Mount`] is to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "control", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum MountState {
    /// Mounted now and at boot.
    #[default]
    Mounted,
    /// Mounted at boot.
    Present,
    /// Not mounted now.
    Unmounted,
    /// Mounted neither now nor at boot.
    Absent,
}

impl MountState {
    const fn is_in_fstab(self) -> bool {
        matches!(self, Self::Mounted | Self::Present)
    }
}

/// What was found of a [`Mount`].
#[derive(Clone, Debug)]
pub struct Found {
    /// All of `/etc/fstab`.
    fstab: String,
    mounted: Option<Mounted>,
    /// What is mounted is the declared device.
    same_source: bool,
}

const FSTAB: &str = "/etc/fstab";

/// Options that the kernel shows as they are given.
const SHOWN: [&str; 6] = ["ro", "nosuid", "nodev", "noexec", "noatime", "nodiratime"];

/// A server that does not answer must not hang the host.
const TIME_LIMIT: Duration = Duration::from_mins(2);

impl Mount {
    fn opts(&self) -> &str {
        self.opts.as_deref().unwrap_or("defaults")
    }

    fn has(&self, option: &str) -> bool {
        self.opts().split(',').any(|given| given == option)
    }

    fn is_bind(&self) -> bool {
        self.has("bind") || self.has("rbind")
    }

    /// The line for `/etc/fstab`; none where there is to be none.
    fn entry(&self) -> Option<Entry> {
        self.state.is_in_fstab().then(|| Entry {
            src: self.src.clone().unwrap_or_default(),
            path: self.path.to_path_buf(),
            fstype: self.fstype.clone().unwrap_or_default(),
            opts: self.opts().to_owned(),
            dump: self.dump,
            passno: self.passno,
        })
    }

    fn fstab_drift(&self, text: &str) -> Option<Drift> {
        let wanted = self.entry();
        if self.state == MountState::Unmounted {
            return None;
        }
        let found = fstab::entry_at(text, &self.path);
        let drift = match (&wanted, &found) {
            (Some(wanted), None) => Drift::create("fstab", wanted.line()),
            (Some(wanted), Some(found)) if wanted != found => {
                Drift::update("fstab", wanted.line(), found.line())
            }
            (None, Some(found)) => Drift::remove("fstab", found.line()),
            _ => return None,
        };
        let new = fstab::with_entry(text, &self.path, wanted.as_ref());
        Some(content_drift(
            drift,
            Path::new(FSTAB),
            Some(text.as_bytes()),
            new.as_bytes(),
        ))
    }

    /// What is mounted and is something else than declared.
    fn other(&self, found: &Found, mounted: &Mounted) -> Vec<Drift> {
        if self.is_bind() {
            return Vec::new();
        }
        let mut drift = Vec::new();
        if !found.same_source {
            let wanted = self.src.as_deref().unwrap_or_default();
            drift.push(Drift::new(Change::Replace, "src", wanted, &mounted.src));
        }
        let wanted = self.fstype.as_deref().unwrap_or_default();
        // The kernel says `nfs4` of an `nfs`, and `auto` is any.
        let same =
            wanted == "auto" || mounted.fstype == wanted || mounted.fstype == format!("{wanted}4");
        if !same {
            drift.push(Drift::new(
                Change::Replace,
                "fstype",
                wanted,
                &mounted.fstype,
            ));
        }
        drift
    }

    fn options_drift(&self, mounted: &Mounted) -> Option<Drift> {
        let given = |opts: &dyn Fn(&str) -> bool| {
            let shown = SHOWN.into_iter().filter(|option| opts(option));
            let shown = shown.collect::<Vec<_>>().join(",");
            if shown.is_empty() {
                "defaults".to_owned()
            } else {
                shown
            }
        };
        let wanted = given(&|option| self.has(option));
        let found = given(&|option| mounted.opts.contains(option));
        (wanted != found).then(|| Drift::update("mounted with", wanted, found))
    }

    fn mount(&self, host: &Host, found: &Found) -> Result<Option<Output>, Failure> {
        let Some(mounted) = &found.mounted else {
            if host.metadata(&self.path)?.is_none() {
                host.make_directory(&self.path, Permissions::default())?;
            }
            return run(&["mount"], &self.path).map(Some);
        };
        if self.other(found, mounted).is_empty() {
            return match self.options_drift(mounted) {
                Some(_) => {
                    // `defaults` would not take away what was given before.
                    let opposite = |option: &str| match option {
                        "ro" => "rw".to_owned(),
                        "noatime" => "relatime".to_owned(),
                        option => option.trim_start_matches("no").to_owned(),
                    };
                    let flags = SHOWN.map(|option| {
                        if self.has(option) {
                            option.to_owned()
                        } else {
                            opposite(option)
                        }
                    });
                    let bind = if self.is_bind() { ",bind" } else { "" };
                    let options = format!("remount{bind},{}", flags.join(","));
                    run(&["mount", "-o", &options], &self.path).map(Some)
                }
                None => Ok(None),
            };
        }
        Err(Failure::Refused(format!(
            "{} ({}) is mounted at {}, not what is declared; unmount it first, when nobody uses it",
            mounted.src, mounted.fstype, self.path
        )))
    }
}

/// `mount` and `umount` take the rest from `/etc/fstab` and from the kernel.
fn run(words: &[&str], path: &Path) -> Result<Output, Failure> {
    Command::new(words.to_vec())
        .arg("--")
        .arg(path)
        .timeout(TIME_LIMIT)
        .run()
}

/// Whether two names are of one device.
fn is_same(declared: &str, mounted: &str) -> bool {
    let by = |directory: &str, name: &str| {
        Path::new("/dev/disk")
            .join(directory)
            .join(name.trim_matches('"'))
    };
    let declared = match declared.split_once('=') {
        Some(("UUID", name)) => by("by-uuid", name),
        Some(("LABEL", name)) => by("by-label", name),
        Some(("PARTUUID", name)) => by("by-partuuid", name),
        Some(("PARTLABEL", name)) => by("by-partlabel", name),
        _ => PathBuf::from(declared),
    };
    if !declared.is_absolute() {
        return declared.as_os_str() == mounted;
    }
    let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    real(&declared) == real(Path::new(mounted))
}

impl Resource for Mount {
    const KIND: &'static str = "mount";

    const EXAMPLE: &'static str = "\
- name: data on a disk of its own
  mount:
    path: /srv/data
    src: UUID=0a3c5b5e-5a2b-4d6b-9d84-7f2c1f7f3a11
    fstype: xfs
    opts: defaults,nodev,nosuid,noatime
    dump: 0
    passno: 2

- name: the share is there after the next boot
  mount: { path: /mnt/share, src: \"filer:/share\", fstype: nfs, opts: \"_netdev,ro\", state: present }

- name: no disk that is gone
  mount: { path: /mnt/old, state: absent }
";

    type Actual = Found;

    fn id(&self) -> String {
        self.path.to_string()
    }

    fn validate(&self) -> Result<(), String> {
        if self.state.is_in_fstab() {
            for (name, value) in [("src", &self.src), ("fstype", &self.fstype)] {
                if value.as_deref().is_none_or(str::is_empty) {
                    return Err(format!("`{name}` is needed"));
                }
            }
        } else if *self.path == *Path::new("/") {
            return Err("/ is never unmounted".to_owned());
        }
        let word =
            |text: &str| !text.contains(|sign: char| sign.is_whitespace() || sign.is_control());
        if !self
            .fstype
            .as_deref()
            .is_none_or(|fstype| word(fstype) && !fstype.starts_with('#'))
        {
            return Err("`fstype` is one word".to_owned());
        }
        if self
            .opts
            .as_deref()
            .is_some_and(|opts| opts.is_empty() || !word(opts))
        {
            return Err("`opts` are words with commas between them".to_owned());
        }
        if self
            .src
            .as_deref()
            .is_some_and(|src| src.chars().any(char::is_control))
        {
            return Err("`src` has a line break or another control character in it".to_owned());
        }
        Ok(())
    }

    fn footprint(&self) -> Option<Footprint> {
        Some(Footprint {
            absence: AnyResource::Mount(Self {
                path: self.path.clone(),
                src: None,
                fstype: None,
                opts: None,
                dump: 0,
                passno: 0,
                state: MountState::Absent,
            }),
            made_with: "fstab",
            removal: Removal::Prune,
        })
    }

    fn observe(&self, host: &Host) -> Result<Found, Failure> {
        let fstab = host.read(Path::new(FSTAB), 1 << 20)?.unwrap_or_default();
        let fstab = String::from_utf8(fstab).map_err(|_| {
            Failure::Refused(format!("{FSTAB} is not UTF-8, so fleet does not write it"))
        })?;
        let mounted = mounted::at(&self.path)?;
        let same_source = match (&self.src, &mounted) {
            (Some(declared), Some(mounted)) => is_same(declared, &mounted.src),
            _ => true,
        };
        Ok(Found {
            fstab,
            mounted,
            same_source,
        })
    }

    fn drift(&self, found: &Found) -> Vec<Drift> {
        let mut drift: Vec<_> = self.fstab_drift(&found.fstab).into_iter().collect();
        match (self.state, &found.mounted) {
            (MountState::Mounted, None) => drift.push(Drift::create("state", "mounted")),
            (MountState::Mounted, Some(mounted)) => {
                drift.extend(self.other(found, mounted));
                drift.extend(self.options_drift(mounted));
            }
            (MountState::Unmounted | MountState::Absent, Some(mounted)) => {
                drift.push(Drift::remove(
                    "state",
                    format!("mounted from {}", mounted.src),
                ));
            }
            _ => {}
        }
        drift
    }

    fn apply(&self, host: &Host, found: &Found) -> Result<Option<Output>, Failure> {
        if self.state == MountState::Mounted
            && let Some(mounted) = &found.mounted
            && !self.other(found, mounted).is_empty()
        {
            // Before anything is written: the boot would mount what is refused now.
            return self.mount(host, found);
        }
        if self.fstab_drift(&found.fstab).is_some() {
            let text = fstab::with_entry(&found.fstab, &self.path, self.entry().as_ref());
            host.write(Path::new(FSTAB), text.as_bytes(), Permissions::default())?;
        }
        match (self.state, &found.mounted) {
            (MountState::Mounted, _) => self.mount(host, found),
            (MountState::Unmounted | MountState::Absent, Some(_)) => {
                run(&["umount"], &self.path).map(Some)
            }
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests;

//! A file system that is mounted, and mounted again at boot.
//!
//! The words are those of Ansible's `mount`:
//! - `mounted` (the default): in `/etc/fstab` and mounted now; the directory is made if it is not
//!   there.
//! - `present`: in `/etc/fstab`; what is mounted now is left alone.
//! - `unmounted`: not mounted now, also where several are mounted on top of each other; `/etc/fstab`
//!   is left alone.
//! - `absent`: neither. The directory stays.
//!
//! What is mounted now is compared with what is declared: the device (through `UUID=` and
//! `LABEL=` and links), the image in a loop device, the directory that is bound, the type, and those
//! options that the kernel shows as they were given:
//! `ro`, `nosuid`, `nodev`, `noexec`, `noatime`, `nodiratime`. Other options differ from one file
//! system to the next and are compared in `/etc/fstab` only. Options are brought about by a
//! remount. Another device or type at the path is refused: that is for people to unmount.
//!
//! Lines of `/etc/fstab` for other paths are kept as they are. A path that leads through links is the
//! same mount point as the one they lead to. A mount unit of systemd's own hides the line, so it is
//! named and nothing is changed. Swap is not mounted: that is not for this kind.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, de};

use super::content::content_drift;
use super::{AnyResource, Footprint, Removal, Resource};
use crate::host::config_dirs::real_path;
use crate::host::{Command, Failure, Host, HostPath, Permissions, systemctl};
use crate::protocol::{Change, Drift, Output};

mod fstab;
mod mounted;
mod options;
mod source;
mod unit;

use fstab::Entry;
use mounted::Mounted;

/// A file system that is mounted, and mounted again at boot.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "control", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Mount {
    /// Where it is mounted.
    #[serde(deserialize_with = "mount_point")]
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
    fstab: Vec<u8>,
    /// The mount point as the kernel names it.
    point: PathBuf,
    mounted: Option<Mounted>,
    /// What is mounted is the declared device, image or directory.
    same_source: bool,
    /// A unit that boot mounts there in place of what `/etc/fstab` says.
    hidden_by: Option<PathBuf>,
}

const FSTAB: &str = "/etc/fstab";

/// More are not mounted on top of each other.
const HIGHEST_STACK: usize = 100;

/// A server that does not answer must not hang the host.
const TIME_LIMIT: Duration = Duration::from_mins(2);

/// Tells those who think of swap that it has no mount point.
fn mount_point<'de, D: Deserializer<'de>>(deserializer: D) -> Result<HostPath, D::Error> {
    let text = String::deserialize(deserializer)?;
    if matches!(text.as_str(), "none" | "swap" | "-") {
        return Err(de::Error::custom(no_swap(&text)));
    }
    text.parse().map_err(de::Error::custom)
}

fn no_swap(what: &str) -> String {
    format!(
        "`{what}` is for swap, which has no mount point and is not for this kind; declare its line \
         of /etc/fstab with `lineinfile`, and `command: swapon --all` in a handler"
    )
}

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

    fn fstab_drift(&self, found: &Found) -> Option<Drift> {
        let wanted = self.entry();
        if self.state == MountState::Unmounted {
            return None;
        }
        let points = [&*self.path, &*found.point];
        let entries = fstab::entries_at(&found.fstab, &points);
        let lines: Vec<_> = entries.iter().map(Entry::line).collect();
        let lines = lines.join("; ");
        let drift = match (&wanted, entries.as_slice()) {
            (Some(wanted), []) => Drift::create("fstab", wanted.line()),
            (Some(wanted), [found]) if wanted == found => return None,
            (Some(wanted), _) => Drift::update("fstab", wanted.line(), lines),
            (None, []) => return None,
            (None, _) => Drift::remove("fstab", lines),
        };
        let new = self.fstab_text(found);
        Some(content_drift(
            drift,
            Path::new(FSTAB),
            Some(&found.fstab),
            &new,
        ))
    }

    fn fstab_text(&self, found: &Found) -> Vec<u8> {
        let points = [&*self.path, &*found.point];
        fstab::with_entry(&found.fstab, &points, self.entry().as_ref())
    }

    /// What is mounted and is something else than declared.
    fn other(&self, found: &Found, mounted: &Mounted) -> Vec<Drift> {
        let mut drift = Vec::new();
        if !found.same_source {
            let wanted = self.src.as_deref().unwrap_or_default();
            let what = if self.is_bind() {
                format!("{} of {}", mounted.root.display(), mounted.src)
            } else {
                mounted.src.clone()
            };
            drift.push(Drift::new(Change::Replace, "src", wanted, what));
        }
        let wanted = self.fstype.as_deref().unwrap_or_default();
        if !self.is_bind() && !is_type(wanted, &mounted.fstype) {
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
        let wanted = options::declared(self.opts());
        let found = options::mounted(&mounted.opts);
        let [expected, actual] = [&wanted, &found].map(options::in_words);
        (wanted != found).then(|| Drift::update("mounted with", expected, actual))
    }

    fn mount(&self, host: &Host, found: &Found) -> Result<Option<Output>, Failure> {
        let mut output = None;
        let mut mounted = found.mounted.clone();
        if mounted.is_none() {
            self.make_mount_point(host)?;
            output = Some(run(&["mount"], &self.path)?);
            mounted = mounted::at(&found.point)?;
        }
        // Also after the mount: older ones do not make a bind mount read-only at once.
        if mounted.is_some_and(|mounted| self.options_drift(&mounted).is_some()) {
            let flags = options::spelled_out(&options::declared(self.opts()));
            let bind = if self.is_bind() { ",bind" } else { "" };
            let options = format!("remount{bind},{flags}");
            output = Some(run(&["mount", "-o", &options], &self.path)?);
        }
        Ok(output)
    }

    /// A file is bound to a file, everything else is mounted on a directory.
    fn make_mount_point(&self, host: &Host) -> Result<(), Failure> {
        if self.path.exists() {
            return Ok(());
        }
        let source = Path::new(self.src.as_deref().unwrap_or_default());
        if self.is_bind() && source.is_file() {
            return host.write(&self.path, b"", Permissions::default());
        }
        host.make_directory(&self.path, Permissions::default())
    }

    /// Refuses to mount what is not there, before a line is written that boot would stumble over.
    fn check_source(&self) -> Result<(), Failure> {
        let declared = self.src.as_deref().unwrap_or_default();
        match source::path(declared) {
            Some(path) if path.is_absolute() && !path.exists() => Err(Failure::Missing(format!(
                "{} does not exist",
                path.display()
            ))),
            _ => Ok(()),
        }
    }
}

/// Whether the kernel may call a declared type so.
fn is_type(declared: &str, mounted: &str) -> bool {
    declared.split(',').any(|declared| {
        matches!(
            (declared, mounted),
            ("auto", _) | ("nfs", "nfs4") | ("ntfs" | "ntfs-3g", "fuseblk")
        ) || declared == mounted
            || mounted.strip_prefix("fuse.") == Some(declared)
    })
}

/// Takes away all that is mounted there.
fn unmount(point: &Path) -> Result<Option<Output>, Failure> {
    let mut output = None;
    for _ in 0..HIGHEST_STACK {
        if mounted::at(point)?.is_none() {
            break;
        }
        output = Some(run(&["umount"], point)?);
    }
    Ok(output)
}

/// `mount` and `umount` take the rest from `/etc/fstab` and from the kernel.
fn run(words: &[&str], path: &Path) -> Result<Output, Failure> {
    Command::new(words.to_vec())
        .arg("--")
        .arg(path)
        .timeout(TIME_LIMIT)
        .run()
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
        if self.fstype.as_deref() == Some("swap") {
            return Err(no_swap("swap"));
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
        let point = real_path(&self.path);
        let mounted = mounted::at(&point)?;
        let same_source = match (&self.src, &mounted) {
            (Some(declared), Some(_)) if self.is_bind() => source::is_bound(declared, &point),
            (Some(declared), Some(mounted)) => source::is_same(declared, mounted),
            _ => true,
        };
        Ok(Found {
            fstab: host.read(Path::new(FSTAB), 1 << 20)?.unwrap_or_default(),
            hidden_by: unit::hiding(&point),
            point,
            mounted,
            same_source,
        })
    }

    fn obstacle(&self, _: &Host, found: &Found) -> Result<(), Failure> {
        let refused = |why: String| Err(Failure::Refused(why));
        if !self.state.is_in_fstab() {
            return if found.point == Path::new("/") {
                refused(format!(
                    "{} leads to /, which is never unmounted",
                    self.path
                ))
            } else {
                Ok(())
            };
        }
        if let Some(unit) = &found.hidden_by {
            return refused(format!(
                "{} is what boot mounts at {}, not the line in {FSTAB}; remove that unit, or take \
                 the task out",
                unit.display(),
                self.path
            ));
        }
        match (self.state, &found.mounted) {
            (MountState::Mounted, None) => self.check_source(),
            (MountState::Mounted, Some(mounted)) if !self.other(found, mounted).is_empty() => {
                refused(format!(
                    "{} ({}) is mounted at {}, not what is declared; unmount it first, when nobody \
                     uses it",
                    mounted.src, mounted.fstype, self.path
                ))
            }
            _ => Ok(()),
        }
    }

    fn drift(&self, found: &Found) -> Vec<Drift> {
        let mut drift: Vec<_> = self.fstab_drift(found).into_iter().collect();
        if let Some(unit) = &found.hidden_by
            && self.state.is_in_fstab()
        {
            let found = format!("hidden by {}", unit.display());
            drift.push(Drift::update("boot", "mounts what fstab says", found));
        }
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
        if self.fstab_drift(found).is_some() {
            let text = self.fstab_text(found);
            host.write(Path::new(FSTAB), &text, Permissions::default())?;
            // Until then systemd goes by the old lines, and may undo what is mounted now.
            if Path::new("/run/systemd/system").is_dir() {
                systemctl::daemon_reload()?;
            }
        }
        match self.state {
            MountState::Mounted => self.mount(host, found),
            MountState::Unmounted | MountState::Absent => unmount(&found.point),
            MountState::Present => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests;

//! What stands in the way of a change of a path, as far as looking can tell: a plan says what
//! apply would refuse.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::{IFlags, StatVfsMountFlags};

use super::accounts::local_user;
use super::entry::{Entry, Handle};
use super::{Failure, FileKind, Host};

impl Host {
    /// Whether a regular file at `path` could be made or replaced.
    ///
    /// # Errors
    /// [`Failure::Refused`] with what keeps it from that.
    pub fn may_write(&self, path: &Path) -> Result<(), Failure> {
        match Entry::at(path)? {
            Some(entry) => to_write(&entry).map(drop),
            // What it would be in may be made by an earlier task.
            None => self.may_make_directory(path.parent().unwrap_or(path)),
        }
    }

    /// Whether a link at `path` could be made, in place of a file or link that is there.
    pub fn may_rename(&self, path: &Path) -> Result<(), Failure> {
        let Some(entry) = Entry::at(path)? else {
            return self.may_make_directory(path.parent().unwrap_or(path));
        };
        match entry.handle()? {
            Some(found) if found.kind() == FileKind::File => to_write(&entry).map(drop),
            _ => refuse_directory(&entry, Change::Replace),
        }
    }

    /// Whether owner and mode of what is at `path` could be changed.
    pub fn may_alter(&self, path: &Path) -> Result<(), Failure> {
        let Some(entry) = Entry::at(path)? else {
            return Ok(());
        };
        match entry.handle()? {
            Some(found) => refuse_flags(&found, path, "changed"),
            None => Ok(()),
        }
    }

    /// Whether the directory at `path` could be made, with those above it.
    pub fn may_make_directory(&self, path: &Path) -> Result<(), Failure> {
        match Entry::missing_directories(path) {
            Ok(Some((entry, _))) => refuse_directory(&entry, Change::Add),
            Ok(None) => Ok(()),
            Err(failure) => Err(failure),
        }
    }

    /// Whether what is at `path` could be removed.
    pub fn may_remove(&self, path: &Path) -> Result<(), Failure> {
        match Entry::at(path)? {
            Some(entry) => to_remove(&entry).map(drop),
            None => Ok(()),
        }
    }
}

/// What a new version at `entry` takes the place of.
///
/// # Errors
/// [`Failure::Refused`] if it could not.
pub(super) fn to_write(entry: &Entry) -> Result<Option<Handle>, Failure> {
    let found = entry.handle()?;
    let path = entry.path().display();
    if let Some(found) = &found {
        let what = match found.kind() {
            FileKind::File => None,
            FileKind::Link => Some("a symbolic link; declare the file it leads to"),
            FileKind::Directory => Some("a directory; declare the whole path of the file"),
            FileKind::Special => Some("a device, socket or fifo"),
        };
        if let Some(what) = what {
            return Err(Failure::Refused(format!(
                "{path} is {what}, and only a regular file can be replaced"
            )));
        }
        refuse_flags(found, entry.path(), "replaced")?;
        if is_mount_point(&found.real_path()?)? {
            return Err(Failure::Refused(format!(
                "{path} is a mount point (a file bound from elsewhere), so it cannot be replaced \
                 in one step; change the file it is bound from"
            )));
        }
    }
    refuse_directory(entry, Change::Replace)?;
    Ok(found)
}

/// What is removed at `entry`; `None` if nothing is there.
///
/// # Errors
/// [`Failure::Refused`] if it is not to be removed.
pub(super) fn to_remove(entry: &Entry) -> Result<Option<Handle>, Failure> {
    let Some(found) = entry.handle()? else {
        return Ok(None);
    };
    let path = entry.path().display();
    if found.kind() != FileKind::Link {
        let real = found.real_path()?;
        let mount = mount_points()?
            .into_iter()
            .find(|mount| mount.starts_with(&real));
        if let Some(mount) = mount {
            return Err(Failure::Refused(format!(
                "{path} is not removed: {} is a mount point; unmount it first",
                mount.display()
            )));
        }
    }
    refuse_system(&found, entry.path())?;
    refuse_flags(&found, entry.path(), "removed")?;
    refuse_directory(entry, Change::Replace)?;
    Ok(Some(found))
}

/// Directories without which there is no system to manage.
pub(crate) const SYSTEM: [&str; 18] = [
    "/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib64", "/opt", "/proc", "/root",
    "/run", "/sbin", "/srv", "/sys", "/usr", "/var", "/var/lib",
];

/// Looks at what was opened: a path may lead there by another name.
fn refuse_system(found: &Handle, path: &Path) -> Result<(), Failure> {
    if found.kind() != FileKind::Directory {
        return Ok(());
    }
    for name in SYSTEM {
        let system = match Entry::led_to(name.as_ref())? {
            Some(entry) => entry.handle()?,
            None => None,
        };
        let same = |system: &Handle| {
            (system.stat.st_dev, system.stat.st_ino) == (found.stat.st_dev, found.stat.st_ino)
        };
        if system.as_ref().is_some_and(same) {
            return Err(Failure::Refused(format!(
                "{} is {name}, which is part of the system and never removed",
                path.display()
            )));
        }
    }
    Ok(())
}

/// What is done to the names in a directory.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Add,
    Replace,
}

/// Whether names can be changed in the directory of `entry`.
fn refuse_directory(entry: &Entry, change: Change) -> Result<(), Failure> {
    let parent = entry.path().parent().unwrap_or(entry.path());
    if entry.is_denied() {
        let user = local_user(rustix::process::geteuid().as_raw());
        return Err(Failure::Refused(format!(
            "{user}, whom fleet acts as, may not write to {}; give `become: yes`, or the right to",
            parent.display()
        )));
    }
    // What may not be read can still be written to.
    let Ok(directory) = entry.open_directory() else {
        return Ok(());
    };
    refuse_read_only(&directory, entry.path())?;
    let kept = match change {
        Change::Add => IFlags::IMMUTABLE,
        Change::Replace => IFlags::IMMUTABLE | IFlags::APPEND,
    };
    refuse_flags_of(&directory, kept, parent, "changed")
}

fn refuse_read_only(opened: &OwnedFd, path: &Path) -> Result<(), Failure> {
    let found = rustix::fs::fstatvfs(opened);
    if found.is_ok_and(|found| found.f_flag.contains(StatVfsMountFlags::RDONLY)) {
        return Err(Failure::Refused(format!(
            "{} is on a file system that is mounted read-only; mount it for writing first",
            path.display()
        )));
    }
    Ok(())
}

fn refuse_flags(found: &Handle, path: &Path, done: &str) -> Result<(), Failure> {
    if !matches!(found.kind(), FileKind::File | FileKind::Directory) {
        return Ok(());
    }
    // What may not be read can still be replaced.
    let Ok(opened) = found.open() else {
        return Ok(());
    };
    refuse_read_only(&opened, path)?;
    refuse_flags_of(&opened, IFlags::IMMUTABLE | IFlags::APPEND, path, done)
}

fn refuse_flags_of(opened: &OwnedFd, kept: IFlags, path: &Path, done: &str) -> Result<(), Failure> {
    // Not every file system has such flags.
    let Ok(found) = rustix::fs::ioctl_getflags(opened) else {
        return Ok(());
    };
    let found = found & kept;
    let (name, letter) = if found.contains(IFlags::IMMUTABLE) {
        ("immutable", "i")
    } else if found.contains(IFlags::APPEND) {
        ("append-only", "a")
    } else {
        return Ok(());
    };
    let path = path.display();
    Err(Failure::Refused(format!(
        "{path} is {name} (`lsattr` shows `{letter}`), so it cannot be {done}; `chattr -{letter} \
         {path}` allows it"
    )))
}

fn is_mount_point(real: &Path) -> Result<bool, Failure> {
    Ok(mount_points()?.iter().any(|mount| mount == real))
}

/// Every place something is mounted on.
fn mount_points() -> Result<Vec<PathBuf>, Failure> {
    let path = Path::new("/proc/self/mountinfo");
    let bytes = std::fs::read(path).map_err(|source| Failure::io("read", path, source))?;
    Ok(parse_mount_points(&bytes))
}

/// The fifth field of each line, where blanks are written as `\040`.
fn parse_mount_points(text: &[u8]) -> Vec<PathBuf> {
    text.split(|byte| *byte == b'\n')
        .filter_map(|line| line.split(|byte| *byte == b' ').nth(4))
        .map(|field| PathBuf::from(OsString::from_vec(unescape(field))))
        .collect()
}

pub(crate) fn unescape(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, tail @ ..] = rest {
        rest = match rest {
            [b'\\', digits @ ..] if digits.len() >= 3 => {
                let octal = std::str::from_utf8(&digits[..3]).ok();
                if let Some(byte) = octal.and_then(|text| u8::from_str_radix(text, 8).ok()) {
                    bytes.push(byte);
                    &digits[3..]
                } else {
                    bytes.push(*first);
                    tail
                }
            }
            _ => {
                bytes.push(*first);
                tail
            }
        };
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_mount_points_with_blanks() {
        let text = b"22 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
            36 22 0:5 / /srv/a\\040b\\134c rw - tmpfs x rw\n";
        assert_eq!(
            parse_mount_points(text),
            [Path::new("/"), Path::new("/srv/a b\\c")]
        );
    }

    #[test]
    fn fuzz_mountinfo() {
        let mountinfo = std::fs::read("/proc/self/mountinfo").unwrap();
        crate::fuzz::feed(
            "mountinfo",
            [&mountinfo[..], MOUNTINFO.as_bytes()],
            |bytes| {
                parse_mount_points(bytes);
            },
        );
    }

    const MOUNTINFO: &str =
        "36 35 98:0 /mnt1 /mnt/a\\040b rw,noatime master:1 - ext3 /dev/root rw\n";
}

//! Replacing a file so that no crash leaves half of it.

use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, XattrFlags};
use rustix::io::Errno;

use super::{Failure, FileMode, Permissions};

/// A new version of a file, in the directory of the old one under a name of its own.
///
/// It has its final owner, mode and SELinux label before its first byte, and takes the place of
/// the old version in one step and only once it is on the disk: at any moment, and after any
/// crash, the path holds all of one version. Dropped without [`commit`](Draft::commit), it is
/// removed.
#[derive(Debug)]
pub struct Draft {
    directory: OwnedFd,
    name: String,
    target: PathBuf,
    file: File,
    mode: FileMode,
    committed: bool,
}

impl Draft {
    /// Begins a new version of the regular file `target`, which need not exist.
    ///
    /// # Errors
    /// [`Failure::Missing`] without a parent directory, [`Failure::Refused`] if `target` is
    /// anything but a regular file.
    pub fn beside(target: &Path, permissions: Permissions) -> Result<Self, Failure> {
        let (Some(parent), Some(_)) = (target.parent(), target.file_name()) else {
            return Err(Failure::Refused(format!(
                "{} is not a file",
                target.display()
            )));
        };
        let directory = open_directory(parent)?;
        remove_leftovers(parent);
        let old = existing(target)?;
        let mode = permissions
            .mode
            .or(old.as_ref().map(|old| FileMode::from_bits(old.mode())))
            .unwrap_or(FileMode::FILE);

        let flags =
            OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::WRONLY | OFlags::CLOEXEC;
        let (name, file) = loop {
            let name = draft_name();
            match rustix::fs::openat(&directory, &name, flags, Mode::RUSR | Mode::WUSR) {
                Ok(fd) => break (name, File::from(fd)),
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(Failure::io("create a file beside", target, errno)),
            }
        };
        let draft = Self {
            directory,
            name,
            target: target.to_owned(),
            file,
            mode,
            committed: false,
        };
        draft.own(permissions, old.as_ref())?;
        draft.set_mode()?;
        if old.is_some() {
            draft.keep_label()?;
        }
        Ok(draft)
    }

    /// Where it is until it takes its place; for programs that check it (`validate`).
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.target.with_file_name(&self.name)
    }

    /// Puts it in place of the old version and waits until both are on the disk.
    pub fn commit(mut self) -> Result<(), Failure> {
        // Writing as another user than root takes setuid and setgid away.
        self.set_mode()?;
        self.file
            .sync_all()
            .map_err(|source| Failure::io("sync", &self.path(), source))?;
        let target = self.target.file_name().unwrap_or_default();
        match rustix::fs::renameat(&self.directory, &self.name, &self.directory, target) {
            Ok(()) => self.committed = true,
            Err(Errno::BUSY) => {
                return Err(Failure::Refused(format!(
                    "{} is a mount point (a file bound from elsewhere), so it cannot be replaced \
                     in one step; change the file it is bound from",
                    self.target.display()
                )));
            }
            Err(errno) => return Err(Failure::io("replace", &self.target, errno)),
        }
        sync(&self.directory, &self.target)
    }

    fn own(&self, wanted: Permissions, old: Option<&fs::Metadata>) -> Result<(), Failure> {
        let uid = wanted.uid.or(old.map(MetadataExt::uid));
        let gid = wanted.gid.or(old.map(MetadataExt::gid));
        let new = self
            .file
            .metadata()
            .map_err(|source| Failure::io("look at", &self.path(), source))?;
        // A user who is not root may not even give a file what it already has.
        let uid = uid.filter(|uid| *uid != new.uid());
        let gid = gid.filter(|gid| *gid != new.gid());
        if uid.is_none() && gid.is_none() {
            return Ok(());
        }
        fchown(&self.file, uid, gid)
            .map_err(|source| Failure::io("change the owner of", &self.target, source))
    }

    fn set_mode(&self) -> Result<(), Failure> {
        rustix::fs::fchmod(&self.file, Mode::from_raw_mode(self.mode.bits()))
            .map_err(|errno| Failure::io("change the mode of", &self.target, errno))
    }

    /// Takes over the SELinux label of the old version; a new file has its directory's default.
    fn keep_label(&self) -> Result<(), Failure> {
        const LABEL: &str = "security.selinux";
        let mut label = [0; 1024];
        match rustix::fs::lgetxattr(&self.target, LABEL, &mut label[..]) {
            Ok(length) => {
                match rustix::fs::fsetxattr(
                    &self.file,
                    LABEL,
                    &label[..length],
                    XattrFlags::empty(),
                ) {
                    Ok(()) | Err(Errno::OPNOTSUPP) => Ok(()),
                    Err(errno) => Err(Failure::io(
                        "keep the SELinux label of",
                        &self.target,
                        errno,
                    )),
                }
            }
            Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
            Err(errno) => Err(Failure::io(
                "read the SELinux label of",
                &self.target,
                errno,
            )),
        }
    }
}

/// Begins the name of every draft. The dot hides it from `*.conf` and the like.
const PREFIX: &str = ".fleet-";

/// A name nobody else has, with the process that uses it.
pub(super) fn draft_name() -> String {
    // The standard library's hasher is keyed from the system's random numbers.
    let random = RandomState::new().hash_one(());
    format!("{PREFIX}{}-{random:016x}", std::process::id())
}

/// The process that made the draft of this name; `None` if it is no draft's.
fn drafted_by(name: &str) -> Option<u32> {
    let (process, random) = name.strip_prefix(PREFIX)?.split_once('-')?;
    let hexadecimal = random.len() == 16 && random.bytes().all(|digit| digit.is_ascii_hexdigit());
    process.parse().ok().filter(|_| hexadecimal)
}

/// Removes drafts of helpers that were killed. What cannot be removed harms nobody.
fn remove_leftovers(directory: &Path) {
    for path in leftovers(directory) {
        let _ = fs::remove_file(path);
    }
}

/// What is named like a draft in `directory`, of helpers that are no more.
pub(super) fn leftovers(directory: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let process = entry.file_name().to_str().and_then(drafted_by)?;
        let gone = !Path::new("/proc").join(process.to_string()).exists();
        gone.then(|| entry.path())
    })
}

/// A path beside `path` that is not in use, for what is renamed to it.
pub(super) fn sibling(path: &Path) -> PathBuf {
    path.with_file_name(draft_name())
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.committed {
            // Nobody is left to tell, and the name says whose it was.
            let _ = rustix::fs::unlinkat(&self.directory, &self.name, AtFlags::empty());
        }
    }
}

pub(super) fn open_directory(path: &Path) -> Result<OwnedFd, Failure> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| match errno {
        Errno::NOENT => {
            Failure::Missing(format!("the directory {} does not exist", path.display()))
        }
        errno => Failure::io("open the directory", path, errno),
    })
}

/// The regular file at `target`; anything else there is refused.
fn existing(target: &Path) -> Result<Option<fs::Metadata>, Failure> {
    let found = match fs::symlink_metadata(target) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(Failure::io("look at", target, source)),
    };
    if found.is_file() {
        return Ok(Some(found));
    }
    let what = if found.is_symlink() {
        "a symbolic link; declare the file it leads to"
    } else if found.is_dir() {
        "a directory"
    } else {
        "a device, socket or fifo"
    };
    Err(Failure::Refused(format!(
        "{} is {what}, and only a regular file can be replaced",
        target.display()
    )))
}

/// Waits until what was renamed, made or removed in the directory of `path` is on the disk.
pub(crate) fn sync_parent(path: &Path) -> Result<(), Failure> {
    match path.parent() {
        Some(parent) => sync(&open_directory(parent)?, path),
        None => Ok(()),
    }
}

fn sync(directory: &OwnedFd, path: &Path) -> Result<(), Failure> {
    match rustix::fs::fsync(directory) {
        // Some network file systems have no fsync for directories.
        Ok(()) | Err(Errno::INVAL) => Ok(()),
        Err(errno) => Err(Failure::io("sync the directory of", path, errno)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn permissions(mode: u32) -> Permissions {
        Permissions {
            mode: Some(FileMode::from_bits(mode)),
            ..Permissions::default()
        }
    }

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o7777
    }

    fn names(directory: &Path) -> Vec<String> {
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name();
        let mut names: Vec<_> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| name(entry).into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn has_its_mode_before_its_first_byte_and_its_name_after_the_last() {
        let base = tempfile::tempdir().unwrap();
        let target = base.path().join("x");
        fs::write(&target, "old").unwrap();
        let mut draft = Draft::beside(&target, permissions(0o4711)).unwrap();
        assert_eq!(mode(&draft.path()), 0o4711);
        draft.write_all(b"new").unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "old");
        draft.commit().unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "new");
        assert_eq!(
            (mode(&target), names(base.path())),
            (0o4711, vec!["x".to_owned()])
        );
    }

    #[test]
    fn keeps_what_is_not_declared() {
        let base = tempfile::tempdir().unwrap();
        let target = base.path().join("x");
        Draft::beside(&target, Permissions::default())
            .unwrap()
            .commit()
            .unwrap();
        assert_eq!(mode(&target), 0o644, "whatever the umask");
        Draft::beside(&target, permissions(0o640))
            .unwrap()
            .commit()
            .unwrap();
        Draft::beside(&target, Permissions::default())
            .unwrap()
            .commit()
            .unwrap();
        assert_eq!(mode(&target), 0o640);
    }

    #[test]
    fn keeps_the_selinux_label() {
        let base = tempfile::tempdir().unwrap();
        let target = base.path().join("x");
        fs::write(&target, "").unwrap();
        let (name, label) = ("security.selinux", b"system_u:object_r:etc_t:s0\0");
        if rustix::fs::lsetxattr(&target, name, label, XattrFlags::empty()).is_err() {
            return eprintln!("NOT TESTED: this file system or user cannot set SELinux labels");
        }
        Draft::beside(&target, permissions(0o600))
            .unwrap()
            .commit()
            .unwrap();
        let mut found = [0; 64];
        let length = rustix::fs::lgetxattr(&target, name, &mut found[..]).unwrap();
        assert_eq!(&found[..length], label);
    }

    #[test]
    fn takes_the_place_of_regular_files_only() {
        let base = tempfile::tempdir().unwrap();
        let path = |name: &str| base.path().join(name);
        symlink("nowhere", path("link")).unwrap();
        fs::create_dir(path("directory")).unwrap();
        let fifo = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, path("fifo"), fifo, Mode::RUSR, 0).unwrap();
        for (name, reason) in [
            ("link", "is a symbolic link; declare the file it leads to"),
            ("directory", "is a directory"),
            ("fifo", "is a device, socket or fifo"),
        ] {
            let failure = Draft::beside(&path(name), permissions(0o600)).unwrap_err();
            assert!(matches!(failure, Failure::Refused(_)));
            assert!(failure.to_string().contains(reason), "{failure}");
        }
        let missing = Draft::beside(&path("no/x"), permissions(0o600));
        assert!(matches!(missing, Err(Failure::Missing(_))));
        assert!(Draft::beside("/".as_ref(), permissions(0o600)).is_err());
    }

    #[test]
    fn is_gone_when_given_up_and_when_its_process_is() {
        let base = tempfile::tempdir().unwrap();
        let target = base.path().join("x");
        let first = Draft::beside(&target, permissions(0o600)).unwrap();
        // No process has the highest number there is; the other names are nobody's draft.
        for name in [
            ".fleet-4294967295-0123456789abcdef",
            ".fleet-1-0123456789abcdeg",
            ".fleet",
        ] {
            fs::write(base.path().join(name), "").unwrap();
        }
        drop(Draft::beside(&target, permissions(0o600)).unwrap());
        let living = first
            .path()
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        let mut expected = vec![
            ".fleet".to_owned(),
            ".fleet-1-0123456789abcdeg".to_owned(),
            living,
        ];
        expected.sort();
        assert_eq!(names(base.path()), expected);
    }
}

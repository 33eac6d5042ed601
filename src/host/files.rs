//! Files on the host: what is there, and replacing it so that no crash leaves half of it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, XattrFlags};
use rustix::io::Errno;

use super::accounts::Database;
use super::{Failure, FileMode, Host};

/// What is at a path. Symbolic links are not followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// What it is.
    pub kind: FileKind,
    /// Permission bits.
    pub mode: FileMode,
    /// Owner by number.
    pub uid: u32,
    /// Group by number.
    pub gid: u32,
    /// Owner by name, or the number where it has none.
    pub owner: String,
    /// Group by name, or the number where it has none.
    pub group: String,
    /// Bytes.
    pub size: u64,
    /// Last change of its content, in seconds since 1970.
    pub mtime: i64,
}

/// What can be at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A device, socket or FIFO.
    Special,
}

impl FileKind {
    /// The kind in words, as in `state`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Directory => "directory",
            Self::Link => "link",
            Self::Special => "device, socket or fifo",
        }
    }
}

/// Owner, group and mode to give; what is `None` stays as it is, or takes the default of a new
/// file: the helper's user and [`FileMode::FILE`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Permissions {
    /// Owner by number.
    pub uid: Option<u32>,
    /// Group by number.
    pub gid: Option<u32>,
    /// Permission bits.
    pub mode: Option<FileMode>,
}

impl Host {
    /// What is at `path`; `None` if nothing is.
    pub fn metadata(&self, path: &Path) -> Result<Option<Metadata>, Failure> {
        let found = match fs::symlink_metadata(path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Failure::io("look at", path, source)),
        };
        let kind = match found.file_type() {
            kind if kind.is_file() => FileKind::File,
            kind if kind.is_dir() => FileKind::Directory,
            kind if kind.is_symlink() => FileKind::Link,
            _ => FileKind::Special,
        };
        Ok(Some(Metadata {
            kind,
            mode: FileMode::from_bits(found.mode()),
            uid: found.uid(),
            gid: found.gid(),
            owner: self.account_name(Database::Passwd, found.uid())?,
            group: self.account_name(Database::Group, found.gid())?,
            size: found.size(),
            mtime: found.mtime(),
        }))
    }

    /// The bytes of a regular file of at most `limit` bytes; `None` if nothing is there.
    ///
    /// # Errors
    /// [`Failure::Refused`] for what is no regular file or is longer.
    pub fn read(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>, Failure> {
        let Some(file) = self.open(path)? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        file.take(limit.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(|source| Failure::io("read", path, source))?;
        if bytes.len() as u64 > limit {
            return Err(Failure::Refused(format!(
                "{} is longer than {limit} bytes",
                path.display()
            )));
        }
        Ok(Some(bytes))
    }

    /// Opens a regular file for reading; `None` if nothing is there. Symbolic links are followed.
    ///
    /// # Errors
    /// [`Failure::Refused`] for what is no regular file: opening a FIFO would wait forever.
    pub fn open(&self, path: &Path) -> Result<Option<File>, Failure> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(fd) => File::from(fd),
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(Failure::io("open", path, errno)),
        };
        let found = file
            .metadata()
            .map_err(|source| Failure::io("look at", path, source))?;
        if !found.is_file() {
            return Err(Failure::Refused(format!(
                "{} is not a regular file",
                path.display()
            )));
        }
        Ok(Some(file))
    }

    /// Replaces the file at `path` by `bytes`, or makes it. See [`Draft`].
    pub fn write(
        &self,
        path: &Path,
        bytes: &[u8],
        permissions: Permissions,
    ) -> Result<(), Failure> {
        replace(path, bytes, permissions)
    }

    /// Keeps the version of a file that is about to be replaced, beside it, as `name.RUN~`.
    /// A second call in the same run keeps the first version.
    pub fn keep_version(&self, path: &Path) -> Result<(), Failure> {
        let Some(name) = path.file_name() else {
            return Ok(());
        };
        let mut backup = name.to_owned();
        backup.push(format!(".{}~", self.run_id()));
        // The same file under another name: complete, with all its attributes, at no cost.
        match fs::hard_link(path, path.with_file_name(backup)) {
            Err(error)
                if !matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists
                ) =>
            {
                Err(Failure::io("keep a backup of", path, error))
            }
            _ => Ok(()),
        }
    }

    /// Makes sure that the directory `path` is in is there.
    ///
    /// # Errors
    /// [`Failure::Missing`] if it is not.
    pub fn require_parent(&self, path: &Path) -> Result<(), Failure> {
        path.parent()
            .map_or(Ok(()), |parent| open_directory(parent).map(drop))
    }
}

/// See [`Host::write`].
pub(super) fn replace(path: &Path, bytes: &[u8], permissions: Permissions) -> Result<(), Failure> {
    let mut draft = Draft::beside(path, permissions)?;
    draft
        .write_all(bytes)
        .map_err(|source| Failure::io("write", path, source))?;
    draft.commit()
}

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
        let (Some(parent), Some(file_name)) = (target.parent(), target.file_name()) else {
            return Err(Failure::Refused(format!(
                "{} is not a file",
                target.display()
            )));
        };
        let directory = open_directory(parent)?;
        let old = existing(&directory, file_name, target)?;
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

/// A name nobody else has. The leading dot hides it from `*.conf` and the like.
fn draft_name() -> String {
    // The standard library's hasher is keyed from the system's random numbers.
    format!(".fleet-{:016x}", RandomState::new().hash_one(()))
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

fn open_directory(path: &Path) -> Result<OwnedFd, Failure> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| match errno {
        Errno::NOENT => {
            Failure::Missing(format!("the directory {} does not exist", path.display()))
        }
        errno => Failure::io("open the directory", path, errno),
    })
}

/// The regular file `name`; anything else there is refused.
fn existing(
    directory: &OwnedFd,
    name: &OsStr,
    target: &Path,
) -> Result<Option<fs::Metadata>, Failure> {
    // The type comes from the directory that was opened, not from a path that may have changed.
    match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => {}
        Err(Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(Failure::io("look at", target, errno)),
    }
    let found =
        fs::symlink_metadata(target).map_err(|source| Failure::io("look at", target, source))?;
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

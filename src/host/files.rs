//! Files on the host: what is there, reading and replacing it.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::accounts::Database;
use super::draft::open_directory;
use super::{Draft, Failure, FileMode, Host};

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

/// What is in a directory, by name; nothing if it does not exist.
///
/// # Errors
/// [`Failure::Io`] if it cannot be listed to the end.
pub(crate) fn list(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed = |source| Failure::io("list", directory, source);
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry.map_err(failed)?.path());
    }
    paths.sort();
    Ok(paths)
}

/// See [`Host::write`].
pub(super) fn replace(path: &Path, bytes: &[u8], permissions: Permissions) -> Result<(), Failure> {
    let mut draft = Draft::beside(path, permissions)?;
    draft
        .write_all(bytes)
        .map_err(|source| Failure::io("write", path, source))?;
    draft.commit()
}

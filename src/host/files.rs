//! Files on the host: what is there, reading and replacing it.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use rustix::fs::Stat;

use super::accounts::{Database, local_user};
use super::entry::{Entry, Handle, exposure, is_trusted};
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
    /// Who owns a new version of it unless somebody is declared, where that is somebody else:
    /// what fleet writes does not become the file of a user who was there first.
    pub new_owner: Option<String>,
    /// It belongs to the owner of its directory, in which nobody else may write.
    pub at_home: bool,
    /// Tells it from what has its name later.
    pub(crate) version: Version,
}

#[cfg(test)]
impl Metadata {
    /// Something of root's, for tests of what is compared.
    pub(crate) fn of_root(kind: FileKind, mode: FileMode) -> Self {
        Self {
            kind,
            mode,
            uid: 0,
            gid: 0,
            owner: "root".to_owned(),
            group: "root".to_owned(),
            size: 0,
            mtime: 0,
            new_owner: None,
            at_home: true,
            version: Version::default(),
        }
    }
}

/// One version of what is at a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Version {
    device: u64,
    inode: u64,
    size: i64,
    modified: (i64, u64),
    owner: u32,
}

impl Version {
    pub(super) fn of(found: &Handle) -> Self {
        let stat = &found.stat;
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            size: stat.st_size,
            modified: (stat.st_mtime, stat.st_mtime_nsec),
            owner: stat.st_uid,
        }
    }
}

/// What is at a path, opened: what is read is what was looked at.
#[derive(Debug)]
pub struct Found {
    /// What it is.
    pub metadata: Metadata,
    /// The file, opened for reading, if it is a regular one.
    pub file: Option<File>,
}

impl Found {
    /// The bytes of the file; `None` if it is no regular file.
    ///
    /// # Errors
    /// [`Failure::Refused`] if they are more than `limit`.
    pub fn read(&mut self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>, Failure> {
        self.file
            .as_mut()
            .map(|file| read(file, path, limit))
            .transpose()
    }
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
    /// What is at `path`; `None` if nothing is, not even the directory it would be in.
    pub fn metadata(&self, path: &Path) -> Result<Option<Metadata>, Failure> {
        let Some(entry) = Entry::at(path)? else {
            return Ok(None);
        };
        let found = entry.handle()?;
        found
            .map(|found| self.metadata_of(&entry, &found))
            .transpose()
    }

    /// Opens what is at `path`; `None` if nothing is. A link at its end is not followed.
    pub fn look(&self, path: &Path) -> Result<Option<Found>, Failure> {
        Entry::at(path)?.map_or(Ok(None), |entry| self.look_at(&entry))
    }

    /// Opens what `path` leads to; `None` if nothing is there. Links are followed as far as they
    /// are trusted.
    pub fn follow(&self, path: &Path) -> Result<Option<Found>, Failure> {
        Entry::led_to(path)?.map_or(Ok(None), |entry| self.look_at(&entry))
    }

    fn look_at(&self, entry: &Entry) -> Result<Option<Found>, Failure> {
        let Some(found) = entry.handle()? else {
            return Ok(None);
        };
        let metadata = self.metadata_of(entry, &found)?;
        let file = match metadata.kind {
            FileKind::File => {
                refuse_foreign_link(entry, &found)?;
                Some(found.open()?.into())
            }
            _ => None,
        };
        Ok(Some(Found { metadata, file }))
    }

    fn metadata_of(&self, entry: &Entry, found: &Handle) -> Result<Metadata, Failure> {
        let stat = &found.stat;
        let around = entry.directory_stat()?;
        let me = rustix::process::geteuid().as_raw();
        let foreign = found.kind() == FileKind::File && !is_trusted(stat.st_uid);
        Ok(Metadata {
            kind: found.kind(),
            mode: found.mode(),
            uid: stat.st_uid,
            gid: stat.st_gid,
            owner: self.account_name(Database::Passwd, stat.st_uid)?,
            group: self.account_name(Database::Group, stat.st_gid)?,
            size: u64::try_from(stat.st_size).unwrap_or_default(),
            mtime: stat.st_mtime,
            new_owner: foreign.then(|| local_user(me)),
            at_home: is_at_home(&around, stat),
            version: Version::of(found),
        })
    }

    /// The bytes of a regular file of at most `limit` bytes; `None` if nothing is there. Links
    /// are followed as far as they are trusted.
    ///
    /// # Errors
    /// [`Failure::Refused`] for what is no regular file or is longer.
    pub fn read(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>, Failure> {
        let file = self.open(path)?;
        file.map(|mut file| read(&mut file, path, limit))
            .transpose()
    }

    /// Opens a regular file for reading; `None` if nothing is there. Links are followed as far as
    /// they are trusted.
    ///
    /// # Errors
    /// [`Failure::Refused`] for what is no regular file: opening a FIFO would wait forever.
    pub fn open(&self, path: &Path) -> Result<Option<File>, Failure> {
        let Some(entry) = Entry::led_to(path)? else {
            return Ok(None);
        };
        let Some(found) = entry.handle()? else {
            return Ok(None);
        };
        if found.kind() != FileKind::File {
            return Err(Failure::Refused(format!(
                "{} is not a regular file",
                path.display()
            )));
        }
        refuse_foreign_link(&entry, &found)?;
        found.open().map(|file| Some(file.into()))
    }

    /// The path without links of what `path` leads to, or would; links are followed as far as
    /// they are trusted.
    ///
    /// # Errors
    /// [`Failure::Missing`] without the directory it is in.
    pub fn real_path(&self, path: &Path) -> Result<PathBuf, Failure> {
        match Entry::led_to(path)? {
            Some(entry) => Ok(entry.real_path()),
            None => Entry::required(path).map(|entry| entry.real_path()),
        }
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
        let Some(entry) = Entry::at(path)? else {
            return Ok(());
        };
        if entry.handle()?.is_none() {
            return Ok(());
        }
        let mut backup = entry.name().to_owned();
        backup.push(format!(".{}~", self.run_id()));
        // The same file under another name: complete, with all its attributes, at no cost.
        entry
            .link(&backup)
            .map(drop)
            .map_err(|errno| Failure::io("keep a backup of", path, errno))
    }

    /// Makes sure that the directory `path` is in is there, or will be when an earlier task that
    /// makes it has been applied.
    ///
    /// # Errors
    /// [`Failure::Missing`] if it is not.
    pub fn require_parent(&self, path: &Path) -> Result<(), Failure> {
        match Entry::required(path) {
            Err(Failure::Missing(_))
                if path.parent().is_some_and(|at| self.foresees_directory(at)) =>
            {
                Ok(())
            }
            found => found.map(drop),
        }
    }
}

fn read(file: &mut File, path: &Path, limit: u64) -> Result<Vec<u8>, Failure> {
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
    Ok(bytes)
}

/// Refuses a file that somebody may have given this name to who may not even read it: a hard
/// link in a directory that others write to.
pub(super) fn refuse_foreign_link(entry: &Entry, found: &Handle) -> Result<(), Failure> {
    if found.kind() != FileKind::File || found.stat.st_nlink < 2 {
        return Ok(());
    }
    let around = entry.directory_stat()?;
    match exposure(&around) {
        Some(exposure) if !is_at_home(&around, &found.stat) => Err(Failure::Refused(format!(
            "{} has further names (hard links) and is in a directory that {exposure}, so it may be \
             another file than it seems to be; remove the name, or make it a file of its own",
            entry.path().display()
        ))),
        _ => Ok(()),
    }
}

/// Whether a file belongs to the owner of its directory, in which nobody else may write.
fn is_at_home(directory: &Stat, file: &Stat) -> bool {
    directory.st_uid == file.st_uid && directory.st_mode & 0o022 == 0
}

/// What is in a directory, by name; nothing if there is none.
///
/// # Errors
/// [`Failure::Io`] if it cannot be listed to the end.
pub(crate) fn list(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let found = match Entry::led_to(directory)? {
        Some(entry) => entry.handle()?,
        None => None,
    };
    let Some(found) = found.filter(|found| found.kind() == FileKind::Directory) else {
        return Ok(Vec::new());
    };
    let names = found.names()?.into_iter();
    Ok(names.map(|name| directory.join(name)).collect())
}

/// See [`Host::write`].
pub(super) fn replace(path: &Path, bytes: &[u8], permissions: Permissions) -> Result<(), Failure> {
    let mut draft = Draft::beside(path, permissions)?;
    draft
        .write_all(bytes)
        .map_err(|source| Failure::io("write", path, source))?;
    draft.commit()
}

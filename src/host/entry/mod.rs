//! The one way to reach a path on the host.
//!
//! A path is walked once, component by component; what comes out is an [`Entry`]: a name in a
//! directory that is open. Whatever is done then is done to the descriptor, so nobody who may
//! change the path meanwhile has a say in what is read, changed or removed. What is at the name
//! is opened as a [`Handle`], which stays the same whatever takes its name.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, Uid};
use rustix::io::Errno;

use super::{Failure, FileKind, FileMode};

mod kernel;
mod walk;

#[cfg(test)]
mod race;
#[cfg(test)]
mod tests;

#[cfg(feature = "control")]
pub(crate) use walk::names_of;
pub(super) use walk::{exposure, is_trusted};

use walk::{Last, Unreached, walk};

/// A name in a directory that is open; there need not be anything of that name.
#[derive(Debug)]
pub(super) struct Entry {
    /// As it was asked for.
    path: PathBuf,
    /// Where the directory was when it was opened, without links.
    walked: PathBuf,
    directory: OwnedFd,
    name: OsString,
}

/// What is at a name, opened without looking into it.
#[derive(Debug)]
pub(super) struct Handle {
    fd: OwnedFd,
    /// What the kernel says of it.
    pub(super) stat: Stat,
    path: PathBuf,
}

impl Entry {
    /// The entry at `path`; `None` if the directory it would be in does not exist. A link at
    /// its end is not followed.
    pub(super) fn at(path: &Path) -> Result<Option<Self>, Failure> {
        existing(walk(path, Last::Link))
    }

    /// The entry that `path` leads to, links at its end followed as far as they are trusted.
    pub(super) fn led_to(path: &Path) -> Result<Option<Self>, Failure> {
        existing(walk(path, Last::Target))
    }

    /// The entry at `path`, where something is to be made.
    ///
    /// # Errors
    /// [`Failure::Missing`] without the directory it is in.
    pub(super) fn required(path: &Path) -> Result<Self, Failure> {
        walk(path, Last::Link).map_err(|unreached| match unreached {
            Unreached::Missing => {
                let parent = path.parent().unwrap_or(path).display();
                Failure::Missing(format!("the directory {parent} does not exist"))
            }
            Unreached::NoDirectory(at) => Failure::Refused(format!(
                "{} is not a directory, so nothing can be in it; remove it, or declare another path",
                at.display()
            )),
            Unreached::Failed(failure) => failure,
        })
    }

    /// The entries from the first directory on the way that does not exist to `path` itself,
    /// all but the first as names only. Nothing if `path` leads to a directory already.
    pub(super) fn missing_directories(
        path: &Path,
    ) -> Result<Option<(Self, Vec<OsString>)>, Failure> {
        let mut names = Vec::new();
        let mut at = path;
        loop {
            match walk(at, Last::Target) {
                Ok(entry) => {
                    let found = entry.handle()?;
                    return match found {
                        Some(found) if found.kind() == FileKind::Directory => Ok(None),
                        Some(found) => Err(Failure::Refused(format!(
                            "{} is a {} already; remove it first",
                            at.display(),
                            found.kind().name()
                        ))),
                        None if Self::at(at)?.is_some_and(|entry| entry.is_link()) => {
                            Err(Failure::Refused(format!(
                                "{} is a symbolic link that leads nowhere; remove it, or make what \
                                 it leads to",
                                at.display()
                            )))
                        }
                        None => Ok(Some((entry, names))),
                    };
                }
                Err(Unreached::Missing) if at.parent().is_some() => {
                    names.insert(0, at.file_name().unwrap_or_default().to_owned());
                    at = at.parent().unwrap_or(at);
                }
                Err(_) => return Self::required(at).map(|entry| Some((entry, names))),
            }
        }
    }

    fn is_link(&self) -> bool {
        let found = kernel::statat(&self.directory, &self.name);
        found.is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::Symlink)
    }

    /// The same directory, and another name in it.
    pub(super) fn sibling(&self, name: impl Into<OsString>) -> Result<Self, Failure> {
        let name = name.into();
        let directory = self.directory.try_clone();
        Ok(Self {
            path: self.path.with_file_name(&name),
            walked: self.walked.clone(),
            directory: directory.map_err(|source| Failure::io("open", &self.path, source))?,
            name,
        })
    }

    pub(super) fn name(&self) -> &OsStr {
        &self.name
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The path by which another program may reach it: as a text where nobody else decides where
    /// that leads, through our descriptor otherwise.
    pub(super) fn path_for_programs(&self) -> PathBuf {
        if walk::is_safe_as_text(&self.walked) {
            return self.path.clone();
        }
        let (process, descriptor) = (std::process::id(), self.directory.as_raw_fd());
        PathBuf::from(format!("/proc/{process}/fd/{descriptor}")).join(&self.name)
    }

    /// The path that led here, without links.
    pub(super) fn real_path(&self) -> PathBuf {
        match self.name.as_bytes() {
            b"." => self.walked.clone(),
            _ => self.walked.join(&self.name),
        }
    }

    fn failed(&self, action: &'static str) -> impl Fn(Errno) -> Failure + '_ {
        move |errno| Failure::io(action, &self.path, errno)
    }

    /// What the kernel says of the directory it is in.
    pub(super) fn directory_stat(&self) -> Result<Stat, Failure> {
        rustix::fs::fstat(&self.directory).map_err(self.failed("look at the directory of"))
    }

    /// Whether the user fleet acts as may not change names in its directory.
    pub(super) fn is_denied(&self) -> bool {
        let access = Access::WRITE_OK | Access::EXEC_OK;
        let asked = rustix::fs::accessat(&self.directory, ".", access, AtFlags::empty());
        asked == Err(Errno::ACCESS)
    }

    /// The directory it is in, opened to be read.
    pub(super) fn open_directory(&self) -> Result<OwnedFd, Failure> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        kernel::openat(&self.directory, OsStr::new("."), flags, Mode::empty())
            .map_err(self.failed("open the directory of"))
    }

    /// What is there; `None` if nothing is.
    pub(super) fn handle(&self) -> Result<Option<Handle>, Failure> {
        let fd = match kernel::open_path(&self.directory, &self.name) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(self.failed("look at")(errno)),
        };
        let stat = rustix::fs::fstat(&fd).map_err(self.failed("look at"))?;
        let path = self.path.clone();
        Ok(Some(Handle { fd, stat, path }))
    }

    /// Makes a file that only its owner may use. `None` if something of that name is there.
    pub(super) fn create(&self) -> Result<Option<File>, Failure> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY;
        let mode = Mode::RUSR | Mode::WUSR;
        match kernel::openat(&self.directory, &self.name, flags, mode) {
            Ok(fd) => Ok(Some(fd.into())),
            Err(Errno::EXIST) => Ok(None),
            Err(errno) => Err(self.failed("create")(errno)),
        }
    }

    /// Opens a file of fleet's own, which is made if `create` is wanted; `None` if it is not there.
    ///
    /// # Errors
    /// [`Failure::Refused`] for what is no regular file: a FIFO would be waited for for ever.
    pub(super) fn open_own(&self, flags: OFlags) -> Result<Option<File>, Failure> {
        let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY;
        let mode = Mode::RUSR | Mode::WUSR;
        let file: File = match kernel::openat(&self.directory, &self.name, flags, mode) {
            Ok(fd) => fd.into(),
            Err(Errno::NOENT) => return Ok(None),
            // A link, or a FIFO that nobody reads.
            Err(Errno::LOOP | Errno::NXIO) => return Err(self.is_no_file()),
            Err(errno) => return Err(self.failed("open")(errno)),
        };
        let stat = rustix::fs::fstat(&file).map_err(self.failed("look at"))?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
            Ok(Some(file))
        } else {
            Err(self.is_no_file())
        }
    }

    fn is_no_file(&self) -> Failure {
        Failure::Refused(format!(
            "{} is not a regular file; fleet keeps its own things there: remove it",
            self.path.display()
        ))
    }

    /// Makes a directory that only its owner may use.
    pub(super) fn make_directory(&self) -> Result<Handle, Failure> {
        let failed = self.failed("make the directory");
        kernel::mkdirat(&self.directory, &self.name).map_err(&failed)?;
        let fd = kernel::open_directory(&self.directory, &self.name).map_err(&failed)?;
        let stat = rustix::fs::fstat(&fd).map_err(&failed)?;
        let path = self.path.clone();
        if stat.st_uid != rustix::process::geteuid().as_raw() {
            return Err(changed_meanwhile(&path));
        }
        Ok(Handle { fd, stat, path })
    }

    /// An entry in the directory that was just made here.
    pub(super) fn below(&self, made: Handle, name: OsString) -> Self {
        Self {
            path: made.path.join(&name),
            walked: self.walked.join(&self.name),
            directory: made.fd,
            name,
        }
    }

    pub(super) fn make_link(&self, target: &Path) -> Result<(), Failure> {
        kernel::symlinkat(target.as_os_str(), &self.directory, &self.name)
            .map_err(self.failed("make the link"))
    }

    /// Gives what is at this name another name, in one step in place of what has it.
    pub(super) fn rename(&self, to: &OsStr) -> Result<(), Errno> {
        kernel::renameat(&self.directory, &self.name, to)
    }

    /// Gives the same file one more name. `false` if something of that name is there.
    pub(super) fn link(&self, to: &OsStr) -> Result<bool, Errno> {
        match kernel::linkat(&self.directory, &self.name, to) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            Err(errno) => Err(errno),
        }
    }

    /// Removes what is no directory. `false` if nothing is there.
    pub(super) fn unlink(&self) -> Result<bool, Failure> {
        gone(kernel::unlinkat(
            &self.directory,
            &self.name,
            AtFlags::empty(),
        ))
        .map_err(self.failed("remove"))
    }

    /// Removes an empty directory.
    pub(super) fn remove_directory(&self) -> Result<bool, Errno> {
        gone(kernel::unlinkat(
            &self.directory,
            &self.name,
            AtFlags::REMOVEDIR,
        ))
    }

    /// Removes a directory with all that is in it. Links are removed, never followed.
    pub(super) fn remove_tree(&self) -> Result<bool, Failure> {
        remove_tree(self.directory.as_fd(), &self.name, &self.path)
    }

    /// Waits until what was renamed, made or removed in its directory is on the disk.
    pub(super) fn sync(&self) -> Result<(), Failure> {
        match rustix::fs::fsync(self.open_directory()?) {
            // Some network file systems have no fsync for directories.
            Ok(()) | Err(Errno::INVAL) => Ok(()),
            Err(errno) => Err(self.failed("sync the directory of")(errno)),
        }
    }

    /// The names in its directory, sorted.
    pub(super) fn neighbours(&self) -> Result<Vec<OsString>, Failure> {
        names_in(self.open_directory()?).map_err(self.failed("list the directory of"))
    }
}

fn existing(walked: Result<Entry, Unreached>) -> Result<Option<Entry>, Failure> {
    match walked {
        Ok(entry) => Ok(Some(entry)),
        Err(Unreached::Missing | Unreached::NoDirectory(_)) => Ok(None),
        Err(Unreached::Failed(failure)) => Err(failure),
    }
}

fn gone(removed: Result<(), Errno>) -> Result<bool, Errno> {
    match removed {
        Ok(()) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// The names in a directory, sorted.
fn names_in(directory: OwnedFd) -> Result<Vec<OsString>, Errno> {
    let mut names = Vec::new();
    for found in Dir::new(directory)? {
        let name = found?.file_name().to_bytes().to_owned();
        if name != b"." && name != b".." {
            names.push(OsString::from_vec(name));
        }
    }
    names.sort();
    Ok(names)
}

fn remove_tree(directory: impl AsFd, name: &OsStr, path: &Path) -> Result<bool, Failure> {
    let failed = |errno| Failure::io("remove", path, errno);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let opened = match kernel::openat(&directory, name, flags, Mode::empty()) {
        Ok(opened) => opened,
        Err(Errno::NOENT) => return Ok(false),
        // It is no directory, or none any more.
        Err(Errno::NOTDIR | Errno::LOOP) => {
            let removed = kernel::unlinkat(&directory, name, AtFlags::empty());
            return gone(removed).map_err(failed);
        }
        Err(errno) => return Err(failed(errno)),
    };
    let own = opened
        .try_clone()
        .map_err(|source| Failure::io("remove", path, source))?;
    for name in names_in(own).map_err(failed)? {
        remove_tree(&opened, &name, &path.join(&name))?;
    }
    drop(opened);
    gone(kernel::unlinkat(&directory, name, AtFlags::REMOVEDIR)).map_err(failed)
}

/// The failure of what somebody else changed in the middle of it.
pub(super) fn changed_meanwhile(path: &Path) -> Failure {
    Failure::Refused(format!(
        "{} was changed by somebody else at this very moment; apply again",
        path.display()
    ))
}

impl Handle {
    pub(super) fn kind(&self) -> FileKind {
        match FileType::from_raw_mode(self.stat.st_mode) {
            FileType::RegularFile => FileKind::File,
            FileType::Directory => FileKind::Directory,
            FileType::Symlink => FileKind::Link,
            _ => FileKind::Special,
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn mode(&self) -> FileMode {
        FileMode::from_bits(self.stat.st_mode)
    }

    /// Where this very file is, whatever has its name: for system calls that take no descriptor
    /// of what was opened without being looked into.
    pub(super) fn by_descriptor(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.fd.as_raw_fd()))
    }

    /// Opens it for reading; for regular files and directories, as others may wait or act.
    pub(super) fn open(&self) -> Result<OwnedFd, Failure> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        rustix::fs::open(self.by_descriptor(), flags, Mode::empty())
            .map_err(|errno| Failure::io("open", &self.path, errno))
    }

    /// The names in it, sorted; for a directory.
    pub(super) fn names(&self) -> Result<Vec<OsString>, Failure> {
        names_in(self.open()?).map_err(|errno| Failure::io("list", &self.path, errno))
    }

    pub(super) fn link_target(&self) -> Result<PathBuf, Failure> {
        let target = rustix::fs::readlinkat(&self.fd, "", Vec::new());
        let target = target.map_err(|errno| Failure::io("read the link", &self.path, errno))?;
        Ok(OsStr::from_bytes(target.to_bytes()).into())
    }

    /// Where the kernel says it is: without links, and after every rename.
    pub(super) fn real_path(&self) -> Result<PathBuf, Failure> {
        let path = rustix::fs::readlink(self.by_descriptor(), Vec::new());
        let path = path.map_err(|errno| Failure::io("find", &self.path, errno))?;
        Ok(OsStr::from_bytes(path.to_bytes()).into())
    }

    pub(super) fn set_owner(&self, uid: Option<u32>, gid: Option<u32>) -> Result<(), Failure> {
        let (uid, gid) = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
        rustix::fs::chownat(&self.fd, "", uid, gid, AtFlags::EMPTY_PATH)
            .map_err(|errno| Failure::io("change the owner of", &self.path, errno))
    }

    pub(super) fn set_mode(&self, mode: FileMode) -> Result<(), Failure> {
        rustix::fs::chmod(self.by_descriptor(), Mode::from_raw_mode(mode.bits()))
            .map_err(|errno| Failure::io("change the mode of", &self.path, errno))
    }
}

//! The way along a path, one component after the other, each opened from the one before.
//!
//! A symbolic link is followed only if root, or the user fleet acts as, owns both the link and
//! the directory it is in, and nobody else may write there: what another user's link leads to is
//! that user's choice. `..` in a link leads back along the way that was walked.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::{Entry, kernel};
use crate::host::Failure;
use crate::host::accounts::local_user;

/// As many links as the kernel follows.
const LINK_LIMIT: usize = 40;

/// Whether a link at the end of the path is what is meant, or what it leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Last {
    Link,
    Target,
}

/// Why the end of a path was not reached.
#[derive(Debug)]
pub(super) enum Unreached {
    /// A directory on the way does not exist.
    Missing,
    /// What is there instead of a directory on the way.
    NoDirectory(PathBuf),
    /// It could not be told, or is not to be done.
    Failed(Failure),
}

impl From<Failure> for Unreached {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// The directories that were opened so far, each in the one before.
struct Way(Vec<(OwnedFd, PathBuf)>);

impl Way {
    fn begin(at: &Path) -> Result<Self, Failure> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(at, flags, Mode::empty())
            .map_err(|errno| Failure::io("open the directory", at, errno))?;
        Ok(Self(vec![(fd, at.to_owned())]))
    }

    fn end(&self) -> (BorrowedFd<'_>, &Path) {
        let (fd, path) = self.0.last().expect("it has a beginning");
        (fd.as_fd(), path)
    }

    fn back(&mut self) {
        if self.0.len() > 1 {
            self.0.pop();
        }
    }

    fn into_end(mut self) -> (OwnedFd, PathBuf) {
        self.0.pop().expect("it has a beginning")
    }
}

/// Goes along `path` to the directory its last component is in.
pub(super) fn walk(path: &Path, last: Last) -> Result<Entry, Unreached> {
    let begin = if path.is_absolute() { "/" } else { "." };
    let mut way = Way::begin(begin.as_ref())?;
    let mut names: VecDeque<OsString> = names_of(path).collect();
    let mut links = 0;
    while let Some(name) = names.pop_front() {
        if name == ".." {
            way.back();
            continue;
        }
        let is_last = names.is_empty();
        if is_last && last == Last::Link {
            return Ok(entry(path, way, name));
        }
        let (directory, walked) = way.end();
        let at = walked.join(&name);
        match kernel::open_directory(directory, &name) {
            Ok(_) | Err(Errno::NOENT) if is_last => return Ok(entry(path, way, name)),
            Ok(fd) => {
                way.0.push((fd, at));
                continue;
            }
            Err(Errno::NOENT) => return Err(Unreached::Missing),
            // A link; kernels differ in which.
            Err(Errno::NOTDIR | Errno::LOOP) => {}
            Err(errno) => return Err(Failure::io("open the directory", &at, errno).into()),
        }
        let Some(target) = target_of_trusted(directory, &name, &at)? else {
            if is_last {
                return Ok(entry(path, way, name));
            }
            return Err(Unreached::NoDirectory(at));
        };
        links += 1;
        if links > LINK_LIMIT {
            return Err(Failure::io("follow", &at, Errno::LOOP).into());
        }
        if target.is_absolute() {
            way.0.truncate(1);
            if begin != "/" {
                way = Way::begin("/".as_ref())?;
            }
        }
        for name in names_of(&target).rev() {
            names.push_front(name);
        }
    }
    Ok(entry(path, way, ".".into()))
}

fn entry(path: &Path, way: Way, name: OsString) -> Entry {
    let (directory, walked) = way.into_end();
    Entry {
        path: path.to_owned(),
        walked,
        directory,
        name,
    }
}

/// The components of a path, `..` among them.
pub(crate) fn names_of(path: &Path) -> impl DoubleEndedIterator<Item = OsString> + '_ {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

/// Where the link leads that is at `name`; `None` if something else is there.
fn target_of_trusted(
    directory: BorrowedFd<'_>,
    name: &OsStr,
    at: &Path,
) -> Result<Option<PathBuf>, Failure> {
    let failed = |errno| Failure::io("look at", at, errno);
    // From here on it is this very link, whatever takes its name.
    let link = kernel::open_path(directory, name).map_err(failed)?;
    let found = rustix::fs::fstat(&link).map_err(failed)?;
    if FileType::from_raw_mode(found.st_mode) != FileType::Symlink {
        return Ok(None);
    }
    let around = rustix::fs::fstat(directory).map_err(failed)?;
    let why = if is_trusted(found.st_uid) {
        exposure(&around).map(|exposure| format!("is in a directory that {exposure}"))
    } else {
        Some(format!("belongs to {}", local_user(found.st_uid)))
    };
    if let Some(why) = why {
        return Err(Failure::Refused(format!(
            "{} is a symbolic link that {why}, so it is not followed; declare the path it leads to",
            at.display()
        )));
    }
    let target = rustix::fs::readlinkat(&link, "", Vec::new())
        .map_err(|errno| Failure::io("read the link", at, errno))?;
    let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
    Ok(Some(target))
}

/// Whether it is root or the user fleet acts as.
pub(in crate::host) fn is_trusted(uid: u32) -> bool {
    uid == 0 || uid == rustix::process::geteuid().as_raw()
}

/// Why others than root and the user fleet acts as decide what is in a directory; `None` if they
/// do not. Members of root's group are root's choice.
pub(in crate::host) fn exposure(directory: &Stat) -> Option<String> {
    let mode = directory.st_mode;
    if !is_trusted(directory.st_uid) {
        return Some(format!("belongs to {}", local_user(directory.st_uid)));
    }
    let writable = mode & 0o002 != 0 || mode & 0o020 != 0 && directory.st_gid != 0;
    writable.then(|| "others may write to".to_owned())
}

/// Whether nobody else decides where `path` leads, which has no links in it: another program may
/// be given it as a text.
pub(super) fn is_safe_as_text(path: &Path) -> bool {
    path.ancestors().all(|directory| {
        let found = walk(directory, Last::Link)
            .ok()
            .and_then(|entry| kernel::statat(&entry.directory, &entry.name).ok());
        // Where everybody may write, the sticky bit keeps them from what is not theirs.
        found.is_some_and(|found| {
            is_trusted(found.st_uid)
                && (exposure(&found).is_none() || found.st_mode & 0o1000 != 0)
                && FileType::from_raw_mode(found.st_mode) == FileType::Directory
        })
    })
}

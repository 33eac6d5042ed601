//! The system calls by which a path is reached: each takes a descriptor and one name, and none
//! follows a link. In tests, what others do to the path at that very moment.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Mode, OFlags, Stat};
use rustix::io::Errno;

/// Opens a name without looking into it: neither devices nor FIFOs notice.
pub(super) fn open_path(directory: impl AsFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    openat(directory, name, OFlags::PATH, Mode::empty())
}

/// Opens a directory to go on from. Unlike [`open_path`] it has the kernel mount what is mounted
/// on demand.
pub(super) fn open_directory(directory: impl AsFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    openat(directory, name, flags, Mode::empty())
}

pub(super) fn openat(
    directory: impl AsFd,
    name: &OsStr,
    flags: OFlags,
    mode: Mode,
) -> Result<OwnedFd, Errno> {
    others::act("openat", name);
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(directory, name, flags, mode)
}

pub(super) fn statat(directory: impl AsFd, name: &OsStr) -> Result<Stat, Errno> {
    others::act("fstatat", name);
    rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)
}

pub(super) fn mkdirat(directory: impl AsFd, name: &OsStr) -> Result<(), Errno> {
    others::act("mkdirat", name);
    rustix::fs::mkdirat(directory, name, Mode::RWXU)
}

pub(super) fn symlinkat(target: &OsStr, directory: impl AsFd, name: &OsStr) -> Result<(), Errno> {
    others::act("symlinkat", name);
    rustix::fs::symlinkat(target, directory, name)
}

pub(super) fn renameat(directory: impl AsFd, from: &OsStr, to: &OsStr) -> Result<(), Errno> {
    others::act("renameat", to);
    rustix::fs::renameat(&directory, from, &directory, to)
}

pub(super) fn linkat(directory: impl AsFd, from: &OsStr, to: &OsStr) -> Result<(), Errno> {
    others::act("linkat", from);
    rustix::fs::linkat(&directory, from, &directory, to, AtFlags::empty())
}

pub(super) fn unlinkat(directory: impl AsFd, name: &OsStr, flags: AtFlags) -> Result<(), Errno> {
    others::act("unlinkat", name);
    rustix::fs::unlinkat(directory, name, flags)
}

#[cfg(not(test))]
mod others {
    pub(super) fn act(_call: &'static str, _name: &std::ffi::OsStr) {}
}

/// What another process does between two system calls of ours.
#[cfg(test)]
pub(in crate::host) mod others {
    use std::cell::RefCell;
    use std::ffi::OsStr;

    type Act = Box<dyn FnMut(&'static str, &OsStr)>;

    thread_local! {
        static ACT: RefCell<Option<Act>> = const { RefCell::new(None) };
    }

    /// From now on, before each system call of this thread, `act` is called with the call's name
    /// and the name it is about.
    pub(in crate::host) fn before_each_call(act: impl FnMut(&'static str, &OsStr) + 'static) {
        ACT.set(Some(Box::new(act)));
    }

    pub(super) fn act(call: &'static str, name: &OsStr) {
        if let Some(mut act) = ACT.take() {
            act(call, name);
            ACT.set(Some(act));
        }
    }
}

//! A private directory for the sockets and logs of one run's `ssh` processes.

use std::env;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use tempfile::TempDir;

/// Who can connect to a control socket can use the connection, so the directory is ours alone
/// (0700) and gone when dropped. That of a run that was killed is removed by a later one.
#[derive(Debug)]
pub(super) struct RuntimeDirectory {
    directory: TempDir,
    /// Locked: the kernel lets go of it with the process, however that ends.
    _lock: OwnedFd,
}

/// Begins the name of every such directory.
const PREFIX: &str = "fleet-ssh-";

/// Younger directories may belong to a run that is about to lock its own.
const SETTLED: Duration = Duration::from_mins(1);

/// The longest path of this directory: a socket's address takes 108 bytes (104 on some systems)
/// with its final zero, below this come `/.tmp123456/master`, and ssh adds 17 while it binds.
const LONGEST: usize = 104 - 1 - "/.tmp123456/master".len() - 17;

impl RuntimeDirectory {
    /// Makes one below `$XDG_RUNTIME_DIR` or, without it, below the directory for temporary files.
    pub(super) fn create() -> io::Result<Self> {
        let candidates = [
            env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from),
            Some(env::temp_dir()),
        ];
        let mut refused = None;
        for parent in candidates.into_iter().flatten() {
            match Self::below(&parent) {
                Ok(directory) => return Ok(directory),
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        Err(refused.unwrap_or_else(|| io::Error::other("no directory for temporary files")))
    }

    fn below(parent: &Path) -> io::Result<Self> {
        let refuse = |why: &str| io::Error::other(format!("{} {why}", parent.display()));
        let met = fs::metadata(parent)
            .map_err(|error| io::Error::new(error.kind(), refuse(&error.to_string())))?;
        let (owner, mode) = (met.uid(), met.mode());
        if owner != 0 && owner != rustix::process::geteuid().as_raw() {
            return Err(refuse(
                "belongs to another user: sockets of ssh are not safe there",
            ));
        }
        // Where others may write, only the sticky bit keeps them from putting their own
        // directory in the place of ours.
        if mode & 0o022 != 0 && mode & 0o1000 == 0 {
            return Err(refuse("can be written by others and is not sticky"));
        }
        remove_leftovers(parent, SETTLED);
        let directory = private().prefix(PREFIX).tempdir_in(parent)?;
        if directory.path().as_os_str().as_bytes().len() > LONGEST {
            return Err(refuse(
                "is too long a path for a socket; set TMPDIR to a shorter one",
            ));
        }
        let lock = locked(directory.path())?;
        Ok(Self {
            directory,
            _lock: lock,
        })
    }

    /// A new directory for one connection.
    pub(super) fn connection(&self) -> io::Result<TempDir> {
        private().tempdir_in(self.directory.path())
    }
}

/// The directory at `path` itself, opened and locked; an error if another process has it locked.
fn locked(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = rustix::fs::open(path, flags, Mode::empty())?;
    flock(&directory, FlockOperation::NonBlockingLockExclusive)?;
    Ok(directory)
}

/// Removes what runs that were killed left behind and has not changed for `age`. What cannot be
/// removed harms nobody.
fn remove_leftovers(parent: &Path, age: Duration) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let ours = entry.file_name().as_bytes().starts_with(PREFIX.as_bytes());
        if ours && let Ok(Some(_lock)) = abandoned(&entry.path(), age) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// A directory of this user's that nobody uses, locked.
fn abandoned(path: &Path, age: Duration) -> io::Result<Option<OwnedFd>> {
    let lock = locked(path)?;
    let met = fs::File::from(lock.try_clone()?).metadata()?;
    let private = met.uid() == rustix::process::geteuid().as_raw() && met.mode() & 0o777 == 0o700;
    let old = met.modified()?.elapsed().is_ok_and(|passed| passed >= age);
    Ok((private && old).then_some(lock))
}

/// A directory with a random name, made with its final mode.
fn private() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.permissions(fs::Permissions::from_mode(0o700));
    builder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_private_and_short_enough_and_ends_with_its_owner() {
        let parent = tempfile::tempdir().unwrap();
        let directory = RuntimeDirectory::below(parent.path()).unwrap();
        let connection = directory.connection().unwrap();
        assert_eq!(
            fs::metadata(directory.directory.path()).unwrap().mode() & 0o777,
            0o700
        );
        let socket = connection.path().join("master.0123456789abcdef");
        assert!(socket.as_os_str().len() < 104, "{}", socket.display());
        drop((connection, directory));
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_a_killed_run_left_is_removed_and_nothing_else() {
        let parent = tempfile::tempdir().unwrap();
        let make = |name: &str, mode: u32| {
            let path = parent.path().join(name);
            fs::create_dir_all(path.join(".tmp123456")).unwrap();
            fs::write(path.join(".tmp123456/log"), "").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        };
        let names = || {
            let entries = fs::read_dir(parent.path()).unwrap();
            let mut names: Vec<_> = entries
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        };
        let used = RuntimeDirectory::below(parent.path()).unwrap();
        make("fleet-ssh-killed", 0o700);
        make("fleet-ssh-shared", 0o755);
        make("fleet-notes", 0o700);
        std::os::unix::fs::symlink("fleet-notes", parent.path().join("fleet-ssh-link")).unwrap();
        remove_leftovers(parent.path(), SETTLED);
        assert!(
            names().contains(&"fleet-ssh-killed".to_owned()),
            "too young"
        );
        remove_leftovers(parent.path(), Duration::ZERO);
        let own = used.directory.path().file_name().unwrap().to_str().unwrap();
        let mut expected = ["fleet-notes", "fleet-ssh-link", "fleet-ssh-shared", own];
        expected.sort_unstable();
        assert_eq!(names(), expected);
    }

    #[test]
    fn an_unsafe_or_too_long_place_is_refused() {
        let parent = tempfile::tempdir().unwrap();
        let open = parent.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        let error = RuntimeDirectory::below(&open).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("can be written by others and is not sticky")
        );

        let long = parent.path().join("x".repeat(80));
        fs::create_dir(&long).unwrap();
        let error = RuntimeDirectory::below(&long).unwrap_err();
        assert!(error.to_string().contains("too long"), "{error}");
        assert_eq!(fs::read_dir(&long).unwrap().count(), 0);
    }
}

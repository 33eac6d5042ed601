//! A private directory for the sockets and logs of one run's `ssh` processes.

use std::env;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// Who can connect to a control socket can use the connection, so the directory is ours alone
/// (0700) and gone when dropped.
#[derive(Debug)]
pub(super) struct RuntimeDirectory(TempDir);

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
        let directory = private().prefix("fleet-").tempdir_in(parent)?;
        if directory.path().as_os_str().as_bytes().len() > LONGEST {
            return Err(refuse(
                "is too long a path for a socket; set TMPDIR to a shorter one",
            ));
        }
        Ok(Self(directory))
    }

    /// A new directory for one connection.
    pub(super) fn connection(&self) -> io::Result<TempDir> {
        private().tempdir_in(self.0.path())
    }
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
            fs::metadata(directory.0.path()).unwrap().mode() & 0o777,
            0o700
        );
        let socket = connection.path().join("master.0123456789abcdef");
        assert!(socket.as_os_str().len() < 104, "{}", socket.display());
        drop((connection, directory));
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
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

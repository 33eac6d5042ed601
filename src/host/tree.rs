//! Directories, links and the permissions of what is already there.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, fchown, lchown, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use super::{Failure, FileKind, FileMode, Host, Permissions, sync_parent};

impl Host {
    /// Changes owner, group and mode of the regular file or directory at `path`.
    pub fn set_permissions(&self, path: &Path, wanted: Permissions) -> Result<(), Failure> {
        // Through a descriptor, so that nothing swapped in meanwhile is changed instead.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file: File = rustix::fs::open(path, flags, Mode::empty())
            .map_err(|errno| Failure::io("open", path, errno))?
            .into();
        let found = file
            .metadata()
            .map_err(|source| Failure::io("look at", path, source))?;
        let uid = wanted.uid.filter(|uid| *uid != found.uid());
        let gid = wanted.gid.filter(|gid| *gid != found.gid());
        if uid.is_some() || gid.is_some() {
            fchown(&file, uid, gid)
                .map_err(|source| Failure::io("change the owner of", path, source))?;
        }
        // After the owner: giving a file away takes its setuid and setgid bits.
        let mode = wanted.mode.unwrap_or(FileMode::from_bits(found.mode()));
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode.bits()))
            .map_err(|errno| Failure::io("change the mode of", path, errno))
    }

    /// Changes owner and group of the symbolic link at `path` itself. Links have no mode.
    pub fn set_link_owner(&self, path: &Path, wanted: Permissions) -> Result<(), Failure> {
        if wanted.uid.is_none() && wanted.gid.is_none() {
            return Ok(());
        }
        lchown(path, wanted.uid, wanted.gid)
            .map_err(|source| Failure::io("change the owner of", path, source))
    }

    /// Makes the directory at `path` and those above it that are not there, all with the same
    /// permissions, [`FileMode::DIRECTORY`] unless told otherwise.
    pub fn make_directory(&self, path: &Path, wanted: Permissions) -> Result<(), Failure> {
        let missing: Vec<_> = path.ancestors().take_while(|path| !path.exists()).collect();
        let wanted = Permissions {
            mode: wanted.mode.or(Some(FileMode::DIRECTORY)),
            ..wanted
        };
        for directory in missing.into_iter().rev() {
            DirBuilder::new()
                .mode(0o700)
                .create(directory)
                .map_err(|source| Failure::io("make the directory", directory, source))?;
            self.set_permissions(directory, wanted)?;
            sync_parent(directory)?;
        }
        Ok(())
    }

    /// Where the symbolic link at `path` leads, as it is written in it.
    pub fn link_target(&self, path: &Path) -> Result<PathBuf, Failure> {
        fs::read_link(path).map_err(|source| Failure::io("read the link", path, source))
    }

    /// Makes a symbolic link at `path`, in one step in place of a file or link that is there.
    pub fn make_link(&self, path: &Path, target: &Path) -> Result<(), Failure> {
        let new = super::draft::sibling(path);
        symlink(target, &new).map_err(|source| Failure::io("make the link", &new, source))?;
        fs::rename(&new, path).map_err(|source| {
            // It failed already; that it leaves nothing behind is all that can be done.
            let _ = fs::remove_file(&new);
            Failure::io("replace", path, source)
        })?;
        sync_parent(path)
    }

    /// Removes the directory at `path`.
    ///
    /// # Errors
    /// [`Failure::Refused`] if there is something in it.
    pub fn remove_empty_directory(&self, path: &Path) -> Result<(), Failure> {
        match rustix::fs::rmdir(path) {
            Ok(()) => sync_parent(path),
            Err(rustix::io::Errno::NOTEMPTY) => Err(Failure::Refused(format!(
                "{} is not empty; what is in it may be somebody's",
                path.display()
            ))),
            Err(errno) => Err(Failure::io("remove", path, errno)),
        }
    }

    /// Removes what is at `path`, a directory with all that is in it. Links are removed, never
    /// followed.
    ///
    /// # Errors
    /// [`Failure::Refused`] if something is mounted on it or below it: nothing is removed then.
    pub fn remove(&self, path: &Path) -> Result<(), Failure> {
        let Some(found) = self.metadata(path)? else {
            return Ok(());
        };
        let removed = if found.kind == FileKind::Directory {
            if let Some(mount) = mount_points()?
                .into_iter()
                .find(|mount| mount.starts_with(path))
            {
                return Err(Failure::Refused(format!(
                    "{} is not removed: {} is a mount point; unmount it first",
                    path.display(),
                    mount.display()
                )));
            }
            fs::remove_dir_all(path)
        } else {
            fs::remove_file(path)
        };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Failure::io("remove", path, error))
            }
            _ => sync_parent(path),
        }
    }
}

/// Every place something is mounted on.
fn mount_points() -> Result<Vec<PathBuf>, Failure> {
    let path = Path::new("/proc/self/mountinfo");
    let bytes = fs::read(path).map_err(|source| Failure::io("read", path, source))?;
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
    use std::os::unix::fs::PermissionsExt;

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
    fn removes_a_tree_and_never_what_its_links_lead_to() {
        let base = tempfile::tempdir().unwrap();
        let (tree, outside) = (base.path().join("tree"), base.path().join("outside"));
        fs::create_dir_all(tree.join("a/b")).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("kept"), "").unwrap();
        symlink(&outside, tree.join("a/link")).unwrap();

        let host = Host::offline(base.path());
        host.remove(&tree).unwrap();
        assert!(!tree.exists() && outside.join("kept").exists());
        host.remove(&tree).unwrap();
    }

    #[test]
    fn refuses_to_remove_a_mount_point_or_what_holds_one() {
        let host = Host::offline(Path::new("/nonexistent"));
        let failure = host.remove(Path::new("/proc")).unwrap_err();
        assert!(
            failure.to_string().contains("is a mount point"),
            "{failure}"
        );
        assert!(Path::new("/proc/self").exists());
    }

    #[test]
    fn gives_new_parents_the_same_mode_whatever_the_umask() {
        let base = tempfile::tempdir().unwrap();
        let wanted = Permissions {
            mode: Some(FileMode::from_bits(0o2775)),
            ..Permissions::default()
        };
        Host::offline(base.path())
            .make_directory(&base.path().join("a/b"), wanted)
            .unwrap();
        for path in ["a", "a/b"] {
            let mode = fs::metadata(base.path().join(path))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o7777, 0o2775, "{path}");
        }
    }
}

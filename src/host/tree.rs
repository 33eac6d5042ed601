//! Directories, links and the permissions of what is already there.

use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::entry::{Entry, Handle, is_trusted};
use super::files::refuse_foreign_link;
use super::{Failure, FileKind, FileMode, Host, Permissions, attributes, obstacle};

impl Host {
    /// Changes owner, group and mode of the regular file or directory at `path`.
    pub fn set_permissions(&self, path: &Path, wanted: Permissions) -> Result<(), Failure> {
        let (entry, found) = required(path)?;
        if !matches!(found.kind(), FileKind::File | FileKind::Directory) {
            return Err(Failure::Refused(format!(
                "{} is a {}, whose owner and mode are not changed",
                path.display(),
                found.kind().name()
            )));
        }
        refuse_foreign_link(&entry, &found)?;
        set_permissions(&found, wanted)
    }

    /// Changes owner and group of the symbolic link at `path` itself. Links have no mode.
    pub fn set_link_owner(&self, path: &Path, wanted: Permissions) -> Result<(), Failure> {
        if wanted.uid.is_none() && wanted.gid.is_none() {
            return Ok(());
        }
        let (_, found) = required(path)?;
        if found.kind() != FileKind::Link {
            return Err(super::entry::changed_meanwhile(path));
        }
        found.set_owner(wanted.uid, wanted.gid)
    }

    /// Makes the directory at `path` and those above it that are not there, all with the same
    /// permissions: unless told otherwise [`FileMode::DIRECTORY`], as far as a default ACL allows,
    /// with the setgid bit of the directory they are in.
    pub fn make_directory(&self, path: &Path, wanted: Permissions) -> Result<(), Failure> {
        let Some((mut entry, names)) = Entry::missing_directories(path)? else {
            return Ok(());
        };
        let mut names = names.into_iter();
        loop {
            let new = entry.make_directory()?;
            let default = FileMode::DIRECTORY.bits() | new.mode().bits() & 0o2000;
            let default = attributes::inherited(&new.by_descriptor(), default);
            let mode = wanted.mode.unwrap_or(FileMode::from_bits(default));
            set_permissions(
                &new,
                Permissions {
                    mode: Some(mode),
                    ..wanted
                },
            )?;
            entry.sync()?;
            let Some(name) = names.next() else {
                return Ok(());
            };
            entry = entry.below(new, name);
        }
    }

    /// Where the symbolic link at `path` leads, as it is written in it.
    pub fn link_target(&self, path: &Path) -> Result<PathBuf, Failure> {
        required(path)?.1.link_target()
    }

    /// Makes a symbolic link at `path`, in one step in place of a file or link that is there.
    pub fn make_link(&self, path: &Path, target: &Path) -> Result<(), Failure> {
        let entry = Entry::required(path)?;
        let new = entry.sibling(super::draft::draft_name())?;
        new.make_link(target)?;
        new.rename(entry.name()).map_err(|errno| {
            // It failed already; that it leaves nothing behind is all that can be done.
            let _ = new.unlink();
            Failure::io("replace", path, errno)
        })?;
        entry.sync()
    }

    /// Removes the directory at `path`.
    ///
    /// # Errors
    /// [`Failure::Refused`] if there is something in it.
    pub fn remove_empty_directory(&self, path: &Path) -> Result<(), Failure> {
        let Some(entry) = Entry::at(path)? else {
            return Ok(());
        };
        if obstacle::to_remove(&entry)?.is_none() {
            return Ok(());
        }
        match entry.remove_directory() {
            Ok(_) => entry.sync(),
            Err(Errno::NOTEMPTY | Errno::EXIST) => Err(Failure::Refused(format!(
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
        let Some(entry) = Entry::at(path)? else {
            return Ok(());
        };
        let removed = match obstacle::to_remove(&entry)?.map(|found| found.kind()) {
            None => false,
            Some(FileKind::Directory) => entry.remove_tree()?,
            Some(_) => entry.unlink()?,
        };
        if removed { entry.sync() } else { Ok(()) }
    }
}

/// What is at `path`, which is there.
fn required(path: &Path) -> Result<(Entry, Handle), Failure> {
    let entry = Entry::required(path)?;
    match entry.handle()? {
        Some(found) => Ok((entry, found)),
        None => Err(Failure::Missing(format!(
            "{} does not exist",
            path.display()
        ))),
    }
}

fn set_permissions(found: &Handle, wanted: Permissions) -> Result<(), Failure> {
    let uid = wanted.uid.filter(|uid| *uid != found.stat.st_uid);
    let gid = wanted.gid.filter(|gid| *gid != found.stat.st_gid);
    let is_file = found.kind() == FileKind::File;
    let given_away = uid.is_some() || gid.is_some();
    if given_away {
        let kept = is_file && is_trusted(found.stat.st_uid);
        let place = found.by_descriptor();
        let capabilities = attributes::capabilities(&place).filter(|_| kept);
        found.set_owner(uid, gid)?;
        // The kernel takes them from what is given away.
        if let Some(capabilities) = capabilities {
            attributes::set_capabilities(&place, &capabilities, found.path())?;
        }
    }
    // Giving a file away takes its setuid and setgid bits, and only who declares them gives them
    // to the next owner.
    let mode = match wanted.mode {
        Some(mode) => mode,
        None if given_away && is_file => found.mode().without_setid(),
        None => found.mode(),
    };
    found.set_mode(mode)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

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

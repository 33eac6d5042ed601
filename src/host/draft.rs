//! Replacing a file so that no crash leaves half of it.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use rustix::io::Errno;

use super::attributes::{self, Attributes};
use super::entry::{Entry, Handle, changed_meanwhile, is_trusted};
use super::files::Version;
use super::{Failure, FileMode, Metadata, Permissions, obstacle};

/// A new version of a file, in the directory of the old one under a name of its own.
///
/// It has its final owner, mode, ACL and SELinux label before its first byte, and takes the place
/// of the old version in one step and only once it is on the disk: at any moment, and after any
/// crash, the path holds all of one version. Dropped without [`commit`](Draft::commit), it is
/// removed.
///
/// What is not declared is taken over from the old version, unless that belongs to somebody else
/// than root and the user fleet acts as: then it is fleet's file from now on, with no more rights
/// for others than to read. The setuid and setgid bits of an old content say nothing about a
/// new one.
#[derive(Debug)]
pub struct Draft {
    /// Where it takes its place.
    target: Entry,
    /// Where it is until then.
    entry: Entry,
    file: File,
    mode: FileMode,
    attributes: Attributes,
    replaces: Replaced,
    committed: bool,
}

impl Draft {
    /// Begins a new version of the regular file `target`, which need not exist.
    ///
    /// # Errors
    /// [`Failure::Missing`] without a parent directory, [`Failure::Refused`] if `target` is
    /// anything but a regular file that can be replaced.
    pub fn beside(target: &Path, permissions: Permissions) -> Result<Self, Failure> {
        if target.file_name().is_none() {
            return Err(Failure::Refused(format!(
                "{} is not a file",
                target.display()
            )));
        }
        let target = Entry::required(target)?;
        let old = obstacle::to_write(&target)?;
        remove_leftovers(&target);
        let old = old.map(|old| Old::of(&old, permissions)).transpose()?;
        let (entry, file) = loop {
            let entry = target.sibling(draft_name())?;
            if let Some(file) = entry.create()? {
                break (entry, file);
            }
        };
        let mut draft = Self {
            target,
            entry,
            file,
            mode: FileMode::FILE,
            attributes: Attributes::default(),
            replaces: Replaced::Whatever,
            committed: false,
        };
        draft.take_over(permissions, old)?;
        Ok(draft)
    }

    /// The path by which a program finds it until it takes its place (`validate`).
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.entry.path_for_programs()
    }

    /// It takes the place of what was found, and of nothing else; `None`: of nothing.
    #[must_use]
    pub fn instead_of(mut self, found: Option<&Metadata>) -> Self {
        self.replaces = found.map_or(Replaced::Nothing, |found| Replaced::This(found.version));
        self
    }

    /// Puts it in place of the old version and waits until both are on the disk.
    pub fn commit(mut self) -> Result<(), Failure> {
        let path = self.target.path();
        // Writing as another user than root takes setuid and setgid away.
        self.set_mode()?;
        self.attributes.give_capabilities_to(&self.file, path)?;
        self.file
            .sync_all()
            .map_err(|source| Failure::io("sync", self.entry.path(), source))?;
        let found = self.target.handle()?.as_ref().map(Version::of);
        let is_expected = match self.replaces {
            Replaced::Whatever => true,
            Replaced::Nothing => found.is_none(),
            Replaced::This(version) => found == Some(version),
        };
        if !is_expected {
            return Err(changed_meanwhile(path));
        }
        match self.entry.rename(self.target.name()) {
            Ok(()) => self.committed = true,
            Err(Errno::BUSY | Errno::ISDIR | Errno::NOENT) => return Err(changed_meanwhile(path)),
            Err(errno) => return Err(Failure::io("replace", path, errno)),
        }
        self.target.sync()
    }

    /// Gives it what is declared, and the rest from the old version.
    fn take_over(&mut self, wanted: Permissions, old: Option<Old>) -> Result<(), Failure> {
        let old_owner = old.as_ref().filter(|old| old.kept);
        self.own(
            wanted.uid.or(old_owner.map(|old| old.uid)),
            wanted.gid.or(old_owner.map(|old| old.gid)),
        )?;
        let default = if let Some(old) = &old {
            old.mode
        } else {
            let directory = self.entry.open_directory()?;
            let place = attributes::path_of(&directory);
            FileMode::from_bits(attributes::inherited(&place, FileMode::FILE.bits()))
        };
        self.mode = wanted.mode.unwrap_or(default);
        if let Some(old) = old {
            self.attributes = old.attributes;
            self.attributes.give_to(&self.file, self.target.path())?;
        }
        self.set_mode()
    }

    fn own(&self, uid: Option<u32>, gid: Option<u32>) -> Result<(), Failure> {
        let new = self
            .file
            .metadata()
            .map_err(|source| Failure::io("look at", self.entry.path(), source))?;
        // A user who is not root may not even give a file what it already has.
        let uid = uid.filter(|uid| *uid != new.uid());
        let gid = gid.filter(|gid| *gid != new.gid());
        if uid.is_none() && gid.is_none() {
            return Ok(());
        }
        fchown(&self.file, uid, gid)
            .map_err(|source| Failure::io("change the owner of", self.target.path(), source))
    }

    fn set_mode(&self) -> Result<(), Failure> {
        rustix::fs::fchmod(&self.file, Mode::from_raw_mode(self.mode.bits()))
            .map_err(|errno| Failure::io("change the mode of", self.target.path(), errno))
    }
}

/// What a draft may take the place of.
#[derive(Clone, Copy, Debug)]
enum Replaced {
    Whatever,
    Nothing,
    This(Version),
}

/// What a new version takes over from the old one where nothing is declared.
struct Old {
    /// Owner, group and rights of others are taken over.
    kept: bool,
    uid: u32,
    gid: u32,
    mode: FileMode,
    attributes: Attributes,
}

impl Old {
    fn of(found: &Handle, wanted: Permissions) -> Result<Self, Failure> {
        let (uid, gid) = (found.stat.st_uid, found.stat.st_gid);
        let attributes = Attributes::read(&found.by_descriptor(), found.path())?;
        // What a user gave to others is not what the operator gave them.
        let kept = is_trusted(uid) || wanted.uid == Some(uid);
        let mode = found.mode().without_setid();
        let (mode, attributes) = if kept {
            (mode, attributes)
        } else {
            let plain = attributes.plain_mode().map(FileMode::from_bits);
            let mode = plain.unwrap_or(mode).without_writing_by_others();
            (mode, attributes.label_only())
        };
        Ok(Self {
            kept,
            uid,
            gid,
            mode,
            attributes,
        })
    }
}

/// Begins the name of every draft. The dot hides it from `*.conf` and the like.
const PREFIX: &str = ".fleet-";

/// A name nobody else has, with the process that uses it.
pub(super) fn draft_name() -> String {
    // The standard library's hasher is keyed from the system's random numbers.
    let random = RandomState::new().hash_one(());
    format!("{PREFIX}{}-{random:016x}", std::process::id())
}

/// The process that made the draft of this name; `None` if it is no draft's.
fn drafted_by(name: &str) -> Option<u32> {
    let (process, random) = name.strip_prefix(PREFIX)?.split_once('-')?;
    let hexadecimal = random.len() == 16 && random.bytes().all(|digit| digit.is_ascii_hexdigit());
    process.parse().ok().filter(|_| hexadecimal)
}

/// Whether it is named like a draft of a helper that is no more.
pub(super) fn is_leftover(name: &OsStr) -> bool {
    let process = name.to_str().and_then(drafted_by);
    process.is_some_and(|process| !Path::new("/proc").join(process.to_string()).exists())
}

/// Removes drafts of helpers that were killed. What cannot be removed harms nobody.
fn remove_leftovers(target: &Entry) {
    let names: Vec<OsString> = target.neighbours().unwrap_or_default();
    for name in names.into_iter().filter(|name| is_leftover(name)) {
        let _ = target.sibling(name).and_then(|entry| entry.unlink());
    }
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
            let _ = self.entry.unlink();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use rustix::fs::XattrFlags;

    use super::*;

    fn permissions(mode: u32) -> Permissions {
        Permissions {
            mode: Some(FileMode::from_bits(mode)),
            ..Permissions::default()
        }
    }

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o7777
    }

    fn names(directory: &Path) -> Vec<String> {
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name();
        let mut names: Vec<_> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| name(entry).into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn has_its_mode_before_its_first_byte_and_its_name_after_the_last() {
        let base = tempfile::tempdir().unwrap();
        let target = base.path().join("x");
        fs::write(&target, "old").unwrap();
        let mut draft = Draft::beside(&target, permissions(0o4711)).unwrap();
        assert_eq!(mode(&draft.path()), 0o4711);
        draft.write_all(b"new").unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "old");
        draft.commit().unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "new");
        assert_eq!(
            (mode(&target), names(base.path())),
            (0o4711, vec!["x".to_owned()])
        );
    }

    #[test]
    fn keeps_what_is_not_declared() {
        let base = tempfile::tempdir().unwrap();
        let target = base.path().join("x");
        Draft::beside(&target, Permissions::default())
            .unwrap()
            .commit()
            .unwrap();
        assert_eq!(mode(&target), 0o644, "whatever the umask");
        Draft::beside(&target, permissions(0o640))
            .unwrap()
            .commit()
            .unwrap();
        Draft::beside(&target, Permissions::default())
            .unwrap()
            .commit()
            .unwrap();
        assert_eq!(mode(&target), 0o640);
    }

    #[test]
    fn keeps_the_selinux_label() {
        let base = tempfile::tempdir().unwrap();
        let target = base.path().join("x");
        fs::write(&target, "").unwrap();
        let (name, label) = ("security.selinux", b"system_u:object_r:etc_t:s0\0");
        crate::host::needs_root();
        rustix::fs::lsetxattr(&target, name, label, XattrFlags::empty()).unwrap();
        Draft::beside(&target, permissions(0o600))
            .unwrap()
            .commit()
            .unwrap();
        let mut found = [0; 64];
        let length = rustix::fs::lgetxattr(&target, name, &mut found[..]).unwrap();
        assert_eq!(&found[..length], label);
    }

    #[test]
    fn takes_the_place_of_regular_files_only() {
        let base = tempfile::tempdir().unwrap();
        let path = |name: &str| base.path().join(name);
        symlink("nowhere", path("link")).unwrap();
        fs::create_dir(path("directory")).unwrap();
        let fifo = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, path("fifo"), fifo, Mode::RUSR, 0).unwrap();
        for (name, reason) in [
            ("link", "is a symbolic link; declare the file it leads to"),
            ("directory", "is a directory"),
            ("fifo", "is a device, socket or fifo"),
        ] {
            let failure = Draft::beside(&path(name), permissions(0o600)).unwrap_err();
            assert!(matches!(failure, Failure::Refused(_)));
            assert!(failure.to_string().contains(reason), "{failure}");
        }
        let missing = Draft::beside(&path("no/x"), permissions(0o600));
        assert!(matches!(missing, Err(Failure::Missing(_))));
        assert!(Draft::beside("/".as_ref(), permissions(0o600)).is_err());
    }

    #[test]
    fn is_gone_when_given_up_and_when_its_process_is() {
        let base = tempfile::tempdir().unwrap();
        let target = base.path().join("x");
        let first = Draft::beside(&target, permissions(0o600)).unwrap();
        // No process has the highest number there is; the other names are nobody's draft.
        for name in [
            ".fleet-4294967295-0123456789abcdef",
            ".fleet-1-0123456789abcdeg",
            ".fleet",
        ] {
            fs::write(base.path().join(name), "").unwrap();
        }
        drop(Draft::beside(&target, permissions(0o600)).unwrap());
        let living = first
            .path()
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        let mut expected = vec![
            ".fleet".to_owned(),
            ".fleet-1-0123456789abcdeg".to_owned(),
            living,
        ];
        expected.sort();
        assert_eq!(names(base.path()), expected);
    }
}

//! What must be remembered between runs, on the host.
//!
//! A daemon does not tell which `daemon.json` it has read, and its start tells nothing once it
//! was made to reload. So fleet remembers what the running process has read; and, while a change
//! is under way, the files with which the daemon last ran, so that they can be put back even
//! after the helper was killed.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::host::{Failure, FileMode, Host, Permissions, make_private_directory, sync_parent};

/// Kept in fleet's own directory on the host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Memory {
    /// Which process has read what.
    #[serde(default)]
    pub(super) read: Option<HasRead>,
    /// The files with which the daemon last ran; only while a change is under way.
    #[serde(default)]
    pub(super) before: Option<Before>,
}

/// The configuration that one process has in effect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct HasRead {
    /// The boot and the moment of the process's start.
    pub(super) process: String,
    pub(super) config: Map<String, Value>,
}

/// How everything was before a change began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Before {
    /// Whether the daemon ran.
    pub(super) up: bool,
    pub(super) files: BTreeMap<PathBuf, Option<Version>>,
}

/// One file as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Version {
    bytes: Vec<u8>,
    mode: u32,
}

impl Memory {
    fn path(host: &Host) -> PathBuf {
        host.state_directory().join("docker_daemon.json")
    }

    /// What an earlier run left; nothing if there was none, or if it cannot be understood: then
    /// the daemon counts as one of which nothing is known.
    pub(super) fn load(host: &Host) -> Result<Self, Failure> {
        let bytes = host.read(&Self::path(host), 16 << 20)?;
        Ok(bytes
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default())
    }

    /// On the disk when this returns.
    pub(super) fn save(&self, host: &Host) -> Result<(), Failure> {
        make_private_directory(host.state_directory())?;
        let json = serde_json::to_vec(self).expect("all keys are text");
        let private = Permissions {
            mode: Some(FileMode::PRIVATE),
            ..Permissions::default()
        };
        host.write(&Self::path(host), &json, private)
    }
}

impl Before {
    /// Takes the files as they are now.
    pub(super) fn take<'a>(
        host: &Host,
        paths: impl IntoIterator<Item = &'a Path>,
        up: bool,
    ) -> Result<Self, Failure> {
        let mut files = BTreeMap::new();
        for path in paths {
            let bytes = host.read(path, 1 << 20)?;
            let mode = host
                .metadata(path)?
                .map_or(0o644, |found| found.mode.bits());
            let version = bytes.map(|bytes| Version { bytes, mode });
            files.insert(path.to_owned(), version);
        }
        Ok(Self { up, files })
    }

    /// Puts the files back.
    pub(super) fn restore(&self, host: &Host) -> Result<(), Failure> {
        for (path, version) in &self.files {
            match version {
                Some(Version { bytes, mode }) => {
                    let permissions = Permissions {
                        mode: Some(FileMode::from_bits(*mode)),
                        ..Permissions::default()
                    };
                    host.write(path, bytes, permissions)?;
                }
                None => remove(path)?,
            }
        }
        Ok(())
    }
}

/// Removes a file for good, if it is there.
pub(super) fn remove(path: &Path) -> Result<(), Failure> {
    match fs::remove_file(path) {
        Ok(()) => sync_parent(path),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(source) => Err(Failure::io("remove", path, source)),
    }
}

/// Makes a directory with those above it, if it is not there, on the disk when this returns.
pub(super) fn make_directory(path: &Path) -> Result<(), Failure> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        make_directory(parent)?;
    }
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(Failure::io("create the directory", path, error))
        }
        _ => sync_parent(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_back_as_they_were_and_those_that_were_not_go() {
        let base = tempfile::tempdir().unwrap();
        let host = Host::offline(&base.path().join("state"));
        let (old, new) = (base.path().join("old"), base.path().join("new"));
        host.write(
            &old,
            b"a\xff",
            Permissions {
                mode: Some(FileMode::PRIVATE),
                ..Permissions::default()
            },
        )
        .unwrap();
        let before = Before::take(&host, [old.as_path(), new.as_path()], true).unwrap();
        let memory = Memory {
            read: None,
            before: Some(before),
        };
        memory.save(&host).unwrap();

        host.write(
            &old,
            b"changed",
            Permissions {
                mode: Some(FileMode::FILE),
                ..Permissions::default()
            },
        )
        .unwrap();
        host.write(&new, b"made", Permissions::default()).unwrap();

        let remembered = Memory::load(&host).unwrap();
        assert_eq!(remembered, memory);
        remembered.before.unwrap().restore(&host).unwrap();
        assert_eq!(fs::read(&old).unwrap(), b"a\xff");
        assert_eq!(
            host.metadata(&old).unwrap().unwrap().mode,
            FileMode::PRIVATE
        );
        assert!(!new.exists());
    }

    #[test]
    fn what_cannot_be_understood_is_forgotten() {
        let base = tempfile::tempdir().unwrap();
        let host = Host::offline(base.path());
        assert_eq!(Memory::load(&host).unwrap(), Memory::default());
        fs::write(Memory::path(&host), "{").unwrap();
        assert_eq!(Memory::load(&host).unwrap(), Memory::default());
    }
}

//! What must be remembered between runs, on the host.
//!
//! A daemon does not tell which `daemon.json` it has read, and its start tells nothing once it
//! was made to reload. So fleet remembers what the running process has read; and, while a change
//! is under way, the files with which the daemon last ran, so that they can be put back even
//! after the helper was killed.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::host::{Failure, FileMode, Host, Permissions, Snapshot, make_private_directory};

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
    pub(super) files: Snapshot,
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

#[cfg(test)]
mod tests {
    use std::fs;

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
        let files = Snapshot::take(&host, [old.as_path(), new.as_path()]).unwrap();
        let memory = Memory {
            read: None,
            before: Some(Before { up: true, files }),
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
        remembered.before.unwrap().files.restore().unwrap();
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

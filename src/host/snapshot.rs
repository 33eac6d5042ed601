//! Files as they were, to go back to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::entry::Entry;
use super::{Failure, FileMode, Host, Permissions, files};

/// More than any file of settings has.
const FILE_LIMIT: u64 = 1 << 20;

/// Files as they were; `None` for one that was not there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Snapshot(BTreeMap<PathBuf, Option<Version>>);

/// One file as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Version {
    bytes: Vec<u8>,
    mode: u32,
    #[serde(default)]
    uid: Option<u32>,
    #[serde(default)]
    gid: Option<u32>,
}

impl Snapshot {
    /// Reads the files.
    ///
    /// # Errors
    /// If one cannot be read or is too large for one of settings.
    pub fn take<'a>(
        host: &Host,
        paths: impl IntoIterator<Item = &'a Path>,
    ) -> Result<Self, Failure> {
        let mut versions = BTreeMap::new();
        for path in paths {
            let version = match host.follow(path)? {
                Some(mut found) => Some(Version {
                    bytes: found.read(path, FILE_LIMIT)?.ok_or_else(|| {
                        Failure::Refused(format!("{} is not a regular file", path.display()))
                    })?,
                    mode: found.metadata.mode.bits(),
                    uid: Some(found.metadata.uid),
                    gid: Some(found.metadata.gid),
                }),
                None => None,
            };
            versions.insert(path.to_owned(), version);
        }
        Ok(Self(versions))
    }

    /// Adds those files of a later snapshot that are not in this one.
    pub fn complete(&mut self, later: Self) {
        for (path, version) in later.0 {
            self.0.entry(path).or_insert(version);
        }
    }

    /// Puts the files back.
    ///
    /// # Errors
    /// If one cannot be written; those before it are back.
    pub fn restore(&self) -> Result<(), Failure> {
        for (path, version) in &self.0 {
            match version {
                Some(version) => {
                    let permissions = Permissions {
                        uid: version.uid,
                        gid: version.gid,
                        mode: Some(FileMode::from_bits(version.mode)),
                    };
                    files::replace(path, &version.bytes, permissions)?;
                }
                None => remove_file(path)?,
            }
        }
        Ok(())
    }
}

/// Removes a file for good, if it is there.
pub(crate) fn remove_file(path: &Path) -> Result<(), Failure> {
    match Entry::at(path)? {
        Some(entry) if entry.unlink()? => entry.sync(),
        _ => Ok(()),
    }
}

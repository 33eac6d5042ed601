//! Where a project keeps what it remembers, and for how long.

use std::fs::{DirBuilder, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use rustix::fs::OFlags;
use serde::Deserialize;

use super::{MemoryError, Sqlite};
use crate::diagnostic::Diagnostic;
use crate::secret::SETTINGS_FILE;
use crate::trust;
use crate::yaml::{self, Limits};

/// The directory in a project that is fleet's own.
pub const DIRECTORY: &str = ".fleet";

/// The store in it.
const STORE: &str = "memory.db";

/// How long runs and findings are remembered unless `fleet.yml` says otherwise.
const KEEP_DAYS: u16 = 365;

/// A directory with playbooks that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    root: PathBuf,
}

/// `memory:` in `fleet.yml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    keep_days: Option<u16>,
}

impl Project {
    /// The project of a playbook: the nearest directory at or above the playbook's with a
    /// `fleet.yml` or a `.fleet`, as far up as nobody else can put one there; else the current
    /// directory if the playbook is in it, else the playbook's own. Cron starts fleet anywhere and
    /// means the same project.
    #[must_use]
    pub fn of_playbook(playbook: &Path) -> Self {
        let current = std::env::current_dir().unwrap_or_default();
        let folder = current.join(playbook);
        let folder = resolved(folder.parent().unwrap_or(&current));
        Self::above(&folder).unwrap_or_else(|| {
            let current = resolved(&current);
            Self {
                root: if trust::upwards(&folder).any(|above| above == current) {
                    current
                } else {
                    folder
                },
            }
        })
    }

    /// The project fleet was started in.
    #[must_use]
    pub fn of_current_directory() -> Self {
        let current = resolved(&std::env::current_dir().unwrap_or_default());
        Self::above(&current).unwrap_or(Self { root: current })
    }

    fn above(folder: &Path) -> Option<Self> {
        let is_root = |folder: &PathBuf| {
            folder.join(SETTINGS_FILE).is_file() || folder.join(DIRECTORY).is_dir()
        };
        let root = trust::upwards(folder).find(is_root)?;
        Some(Self { root })
    }

    /// What a playbook is called in this project, wherever fleet was started.
    #[must_use]
    pub fn name_of(&self, playbook: &Path) -> String {
        let path = resolved(&std::env::current_dir().unwrap_or_default().join(playbook));
        let name = path.strip_prefix(&self.root).unwrap_or(&path);
        name.display().to_string()
    }

    /// What is older than this may be forgotten.
    ///
    /// # Errors
    /// Everything wrong with `memory:` in `fleet.yml`.
    pub fn forget_before(&self, now: Timestamp) -> Result<Timestamp, Vec<Diagnostic>> {
        let path = self.root.join(SETTINGS_FILE);
        let mut days = KEEP_DAYS;
        if path.is_file() {
            let file = yaml::load(&path, &Limits::default())?;
            if let Some(node) = file.get("memory") {
                let settings: Settings =
                    yaml::from_node(node).map_err(|error| vec![error.into()])?;
                days = settings.keep_days.unwrap_or(days);
            }
        }
        let kept = SignedDuration::from_hours(i64::from(days) * 24);
        Ok(now.checked_sub(kept).unwrap_or(Timestamp::MIN))
    }

    /// The project's own directory; made if there is none.
    ///
    /// # Errors
    /// When it is not ours, or cannot be made.
    pub fn directory(&self) -> Result<PathBuf, MemoryError> {
        let directory = self.root.join(DIRECTORY);
        match DirBuilder::new().mode(0o700).create(&directory) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(refused(&directory, error.to_string()));
            }
            _ => {}
        }
        check(&directory).map_err(|reason| refused(&directory, reason))?;
        Ok(directory)
    }

    /// The project's own directory, if there is one.
    ///
    /// # Errors
    /// When it is not ours.
    pub fn existing_directory(&self) -> Result<Option<PathBuf>, MemoryError> {
        match std::fs::symlink_metadata(self.root.join(DIRECTORY)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            _ => self.directory().map(Some),
        }
    }

    /// The project's store; made if there is none.
    ///
    /// # Errors
    /// When it is not ours, or cannot be used.
    pub fn store(&self) -> Result<Sqlite, MemoryError> {
        let directory = self.directory()?;
        let path = directory.join(STORE);
        // SQLite would make it with the mode that the umask leaves.
        let made = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(&path);
        made.map_err(|error| refused(&directory, format!("`{STORE}`: {error}")))?;
        Sqlite::open(&path)
    }

    /// The project's store, if there is one.
    ///
    /// # Errors
    /// When it is not ours, or cannot be used.
    pub fn existing_store(&self) -> Result<Option<Sqlite>, MemoryError> {
        let path = self.root.join(DIRECTORY).join(STORE);
        match std::fs::symlink_metadata(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            _ => self.store().map(Some),
        }
    }

    /// The project's directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }
}

fn refused(directory: &Path, reason: String) -> MemoryError {
    MemoryError::Directory {
        path: directory.display().to_string(),
        reason,
    }
}

/// Somebody else's directory could hold anything: what it says of drift is not believed, and
/// nothing is written into it, nor through a link in it.
fn check(directory: &Path) -> Result<(), String> {
    let found = std::fs::symlink_metadata(directory).map_err(|error| error.to_string())?;
    if !found.is_dir() {
        return Err("it is no directory".to_owned());
    }
    trust::check_own(directory).map_err(|distrust| format!("{distrust}; {}", distrust.help))
}

/// Without symbolic links, so that one project has one name.
fn resolved(path: &Path) -> PathBuf {
    path.canonicalize()
        .or_else(|_| std::path::absolute(path))
        .unwrap_or_else(|_| path.to_owned())
}

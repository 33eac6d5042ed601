//! What outlives a call: which swap is under way and what fleet itself took out of service.
//!
//! One directory per service in the project's own, with the journal and a lock that dies with
//! its holder.

use std::collections::BTreeSet;
use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::trouble::{Class, Trouble};
use super::world::Slot;
use crate::host::{Draft, FileMode, HostLock, Permissions};
use crate::protocol::{Claim, Holder};

/// More than any journal.
const LIMIT: u64 = 16 * 1024 * 1024;

/// What a journal says of one kind of work.
pub(super) trait Entry: Serialize + DeserializeOwned {
    /// Where it is written.
    const FILE: &'static str;

    /// Nothing of it is under way.
    fn is_over(&self) -> bool;

    /// What fleet has taken out of service.
    fn parked(&mut self) -> &mut BTreeSet<Slot>;
}

/// The journal of one service.
#[derive(Debug)]
pub struct Journal {
    directory: PathBuf,
    _lock: Option<HostLock>,
}

impl Journal {
    /// The journal of a service, to look at. `project` is the project's directory of fleet's own.
    #[must_use]
    pub fn to_look_at(project: &Path, service: &str) -> Self {
        Self {
            directory: project.join("swap").join(service),
            _lock: None,
        }
    }

    /// The journal of a service, for nobody else.
    ///
    /// # Errors
    /// When somebody else has it, or it cannot be made.
    pub fn claim(project: &Path, service: &str, who: &str, run_id: &str) -> Result<Self, Trouble> {
        let directory = project.join("swap").join(service);
        let claim = Claim {
            who: who.to_owned(),
            wait_ms: 0,
        };
        match HostLock::take(&directory, &claim, run_id) {
            Ok(Ok(lock)) => Ok(Self {
                directory,
                _lock: Some(lock),
            }),
            Ok(Err(holder)) => {
                let message = format!("another swap of `{service}` is running: {}", by(holder));
                Err(Trouble::new(Class::Locked, message))
            }
            Err(failure) => Err(Trouble::new(Class::Journal, failure.to_string())),
        }
    }

    /// What it says; `None` if there is none.
    ///
    /// # Errors
    /// When it cannot be read. A journal that makes no sense is not ignored: it may say what has
    /// to be put back.
    pub(super) fn load<E: Entry>(&self) -> Result<Option<E>, Trouble> {
        let path = self.directory.join(E::FILE);
        let broken = |why: String| {
            let message = format!(
                "the journal `{}` cannot be read: {why}; `fleet swap FILE --status` shows what the \
                 load balancers do; move the journal away when that is as it should be",
                path.display()
            );
            Trouble::new(Class::Journal, message)
        };
        let bytes = match fs::metadata(&path) {
            Ok(found) if found.len() > LIMIT => return Err(broken("it is too large".to_owned())),
            Ok(_) => fs::read(&path).map_err(|error| broken(error.to_string()))?,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(broken(error.to_string())),
        };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| broken(error.to_string()))
    }

    /// Replaces it; on the disk when this returns.
    ///
    /// # Errors
    /// When that cannot be done: nothing is to be changed then.
    pub(super) fn save<E: Entry>(&self, record: &E) -> Result<(), Trouble> {
        let path = self.directory.join(E::FILE);
        let permissions = Permissions {
            mode: Some(FileMode::from_bits(0o600)),
            ..Permissions::default()
        };
        let write = || {
            let text = serde_json::to_vec_pretty(record).map_err(|error| error.to_string())?;
            let mut draft = Draft::beside(&path, permissions).map_err(|error| error.to_string())?;
            draft.write_all(&text).map_err(|error| error.to_string())?;
            draft.commit().map_err(|error| error.to_string())
        };
        write().map_err(|why| {
            let message = format!("the journal `{}` cannot be written: {why}", path.display());
            Trouble::new(Class::Journal, message)
        })
    }
}

/// Who holds a lock, for people.
pub(super) fn by(holder: Option<Holder>) -> String {
    holder.map_or_else(
        || "by somebody who did not leave a name".to_owned(),
        |holder| {
            format!(
                "by {}, run {}, process {}",
                holder.who, holder.run_id, holder.pid
            )
        },
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::swap::plan::{Preparation, Record, Stage};

    fn record() -> Record {
        Record {
            run_id: "r".to_owned(),
            from: "blue".to_owned(),
            to: "green".to_owned(),
            stage: Stage::Forward,
            preparation: Preparation::Deploying,
            parked: BTreeSet::new(),
            beside: BTreeSet::new(),
            before: BTreeMap::from([(("lb1".to_owned(), "orders".to_owned()), 2)]),
            error: Some("no".to_owned()),
        }
    }

    #[test]
    fn says_again_what_was_written() {
        let project = tempfile::tempdir().unwrap();
        let journal = Journal::claim(project.path(), "orders", "me@ctl", "r").unwrap();
        assert_eq!(journal.load::<Record>().unwrap(), None);
        journal.save(&record()).unwrap();
        let looked_at = Journal::to_look_at(project.path(), "orders");
        assert_eq!(looked_at.load().unwrap(), Some(record()));
    }

    #[test]
    fn has_one_writer_who_is_named() {
        let project = tempfile::tempdir().unwrap();
        let held = Journal::claim(project.path(), "orders", "me@ctl", "r1").unwrap();
        let trouble = Journal::claim(project.path(), "orders", "you@ctl", "r2").unwrap_err();
        assert_eq!(trouble.class, Class::Locked);
        assert!(trouble.message.contains("me@ctl, run r1"), "{trouble}");
        assert!(Journal::claim(project.path(), "other", "you@ctl", "r2").is_ok());
        drop(held);
        assert!(Journal::claim(project.path(), "orders", "you@ctl", "r2").is_ok());
    }

    #[test]
    fn what_makes_no_sense_is_not_taken_for_nothing() {
        let project = tempfile::tempdir().unwrap();
        let journal = Journal::claim(project.path(), "orders", "me@ctl", "r").unwrap();
        for text in ["", "{", "{\"to\": \"green\"}"] {
            fs::write(journal.directory.join(Record::FILE), text).unwrap();
            let trouble = journal.load::<Record>().unwrap_err();
            assert_eq!(trouble.class, Class::Journal, "{text}");
        }
    }
}

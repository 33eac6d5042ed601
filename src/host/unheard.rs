//! What came of steps whose end nobody heard, on the host's disk.
//!
//! When a connection is lost, the step that runs goes on to its end. What would run once more
//! because nobody knows of that, a command without a guard above all, has its result kept here for
//! the next apply, which reads it instead. A result is of use once, and for a day: after that,
//! too much may have happened.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::own::make_private_directory;
use super::{Failure, FileMode, Permissions, files, own, remove_file};
use crate::protocol::{HandlerName, Outcome, Sha256};

/// For how long a result is of use.
const LIFE: Duration = Duration::from_hours(24);

/// Which step of which playbook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// The playbook, on the host as it knows it.
    pub playbook: String,
    /// The task as it was sent, apart from its number.
    pub task: Sha256,
    /// How many like it came before it in the same run.
    pub nth: u32,
}

/// What came of one step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct UnheardResult {
    pub place: Place,
    pub outcome: Outcome,
    /// Values and output were secret, and are not in it.
    pub withheld: bool,
    /// The handlers that are pending because of it alone.
    pub notified: Vec<HandlerName>,
    /// When it ended, by the host's clock, in seconds since 1970.
    pub ended: u64,
}

impl UnheardResult {
    /// How long ago it ended, as far as the host's clock can be trusted.
    pub(crate) fn age(&self) -> Duration {
        Duration::from_secs(now().saturating_sub(self.ended))
    }
}

/// The host's clock, in seconds since 1970.
pub(crate) fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs()
}

/// All results that nobody has heard.
#[derive(Debug, Default)]
pub(crate) struct Unheard {
    path: PathBuf,
    results: Vec<UnheardResult>,
}

impl Unheard {
    /// Reads what earlier runs left. Changes nothing.
    pub(crate) fn load(state: &Path) -> Result<Self, Failure> {
        let path = state.join("unheard.json");
        let results: Vec<UnheardResult> = match own::read(&path)? {
            Some(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                Failure::Unexpected(format!(
                    "{} cannot be understood ({error}); it holds what came of steps during which \
                     the connection was lost: remove it, and those steps run again",
                    path.display()
                ))
            })?,
            None => Vec::new(),
        };
        Ok(Self { path, results })
    }

    pub(crate) fn find(&self, place: &Place) -> Option<&UnheardResult> {
        let of_use = |result: &&UnheardResult| result.place == *place && result.age() < LIFE;
        self.results.iter().find(of_use)
    }

    /// Keeps results, on the disk when this returns.
    pub(crate) fn keep(&mut self, new: Vec<UnheardResult>) -> Result<(), Failure> {
        let mut results = self.results.clone();
        for result in new {
            results.retain(|known| known.place != result.place);
            results.push(result);
        }
        self.save(results)
    }

    /// It was heard.
    pub(crate) fn forget(&mut self, place: &Place) -> Result<(), Failure> {
        if self.results.iter().all(|known| known.place != *place) {
            return Ok(());
        }
        let mut results = self.results.clone();
        results.retain(|known| known.place != *place);
        self.save(results)
    }

    fn save(&mut self, mut results: Vec<UnheardResult>) -> Result<(), Failure> {
        results.retain(|result| result.age() < LIFE);
        if results.is_empty() {
            remove_file(&self.path)?;
            self.results = results;
            return Ok(());
        }
        if let Some(state) = self.path.parent() {
            make_private_directory(state)?;
        }
        let json = serde_json::to_vec(&results).expect("texts and numbers");
        let private = Permissions {
            mode: Some(FileMode::PRIVATE),
            ..Permissions::default()
        };
        files::replace(&self.path, &json, private)?;
        self.results = results;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn place(nth: u32) -> Place {
        Place {
            playbook: "a.yml".to_owned(),
            task: Sha256::of(b"task"),
            nth,
        }
    }

    fn result(nth: u32, ended: u64) -> UnheardResult {
        UnheardResult {
            place: place(nth),
            outcome: Outcome::default(),
            withheld: false,
            notified: Vec::new(),
            ended,
        }
    }

    #[test]
    fn is_kept_until_it_was_heard_and_for_its_own_place_only() {
        let base = tempfile::tempdir().unwrap();
        let state = base.path().join("state");
        let mut unheard = Unheard::load(&state).unwrap();
        assert!(!state.exists(), "looking changes nothing");
        unheard
            .keep(vec![result(0, now()), result(1, now())])
            .unwrap();

        let mut unheard = Unheard::load(&state).unwrap();
        assert!(unheard.find(&place(1)).is_some());
        let other = Place {
            playbook: "b.yml".to_owned(),
            ..place(1)
        };
        assert_eq!(unheard.find(&other), None);
        unheard.forget(&place(1)).unwrap();
        let mut unheard = Unheard::load(&state).unwrap();
        assert_eq!(unheard.find(&place(1)), None);
        assert!(unheard.find(&place(0)).is_some());
        unheard.forget(&place(0)).unwrap();
        assert!(!state.join("unheard.json").exists());
    }

    #[test]
    fn is_of_no_use_after_a_day() {
        let base = tempfile::tempdir().unwrap();
        let mut unheard = Unheard::load(base.path()).unwrap();
        let old = result(0, now() - LIFE.as_secs());
        unheard.results.push(old);
        assert_eq!(unheard.find(&place(0)), None);
        unheard.keep(vec![result(1, now())]).unwrap();
        assert_eq!(Unheard::load(base.path()).unwrap().results.len(), 1);
    }

    #[test]
    fn a_damaged_file_is_no_empty_one() {
        let base = tempfile::tempdir().unwrap();
        fs::write(base.path().join("unheard.json"), "[{").unwrap();
        let failure = Unheard::load(base.path()).unwrap_err().to_string();
        assert!(failure.contains("those steps run again"), "{failure}");
    }
}

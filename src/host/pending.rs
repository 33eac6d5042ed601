//! Handlers that were notified and have not run yet, on the host's disk.
//!
//! A name is written before the change that notifies it is made and removed after its handler
//! succeeded, so neither a killed helper nor a lost connection can lose it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::staging::make_private_directory;
use super::{Failure, FileMode, Permissions, files, sync_parent};
use crate::protocol::HandlerName;

/// The journal of pending handlers, each with the run that notified it.
#[derive(Debug)]
pub(crate) struct Pending {
    path: PathBuf,
    names: BTreeMap<HandlerName, String>,
}

impl Pending {
    /// Reads what earlier runs left pending. Changes nothing.
    pub(crate) fn load(state: &Path) -> Result<Self, Failure> {
        let path = state.join("pending.json");
        let names = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                Failure::Unexpected(format!(
                    "{} cannot be understood ({error}); it lists handlers that have not run yet: \
                     run what is needed by hand, then remove it",
                    path.display()
                ))
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(source) => return Err(Failure::io("read", &path, source)),
        };
        Ok(Self { path, names })
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &HandlerName> {
        self.names.keys()
    }

    pub(crate) fn any(&self, names: &[HandlerName]) -> bool {
        names.iter().any(|name| self.names.contains_key(name))
    }

    /// Remembers names, on the disk when this returns. Answers which of them are new.
    pub(crate) fn add(
        &mut self,
        names: &[HandlerName],
        run_id: &str,
    ) -> Result<Vec<HandlerName>, Failure> {
        let new: Vec<_> = names
            .iter()
            .filter(|name| !self.names.contains_key(*name))
            .cloned()
            .collect();
        if new.is_empty() {
            return Ok(new);
        }
        let mut names = self.names.clone();
        names.extend(new.iter().map(|name| (name.clone(), run_id.to_owned())));
        self.save(names)?;
        Ok(new)
    }

    /// Forgets names: their handler succeeded, or the change was not made after all.
    pub(crate) fn remove(&mut self, forgotten: &[HandlerName]) -> Result<(), Failure> {
        if !self.any(forgotten) {
            return Ok(());
        }
        let mut names = self.names.clone();
        names.retain(|name, _| !forgotten.contains(name));
        self.save(names)
    }

    fn save(&mut self, names: BTreeMap<HandlerName, String>) -> Result<(), Failure> {
        if names.is_empty() {
            fs::remove_file(&self.path)
                .map_err(|source| Failure::io("remove", &self.path, source))?;
            sync_parent(&self.path)?;
        } else {
            if let Some(state) = self.path.parent() {
                make_private_directory(state)?;
            }
            let json = serde_json::to_vec(&names).expect("a map from text to text");
            let private = Permissions {
                mode: Some(FileMode::PRIVATE),
                ..Permissions::default()
            };
            files::replace(&self.path, &json, private)?;
        }
        self.names = names;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<HandlerName> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn on_disk(state: &Path) -> Vec<HandlerName> {
        Pending::load(state).unwrap().names().cloned().collect()
    }

    #[test]
    fn is_on_the_disk_after_every_step() {
        let base = tempfile::tempdir().unwrap();
        let state = base.path().join("state");
        let mut pending = Pending::load(&state).unwrap();
        assert!(!state.exists(), "looking changes nothing");

        assert_eq!(
            pending.add(&names(&["b", "a"]), "run-1").unwrap(),
            names(&["b", "a"])
        );
        assert_eq!(
            pending.add(&names(&["a", "c"]), "run-2").unwrap(),
            names(&["c"])
        );
        assert_eq!(on_disk(&state), names(&["a", "b", "c"]));
        pending.remove(&names(&["a", "c", "unknown"])).unwrap();
        assert_eq!(on_disk(&state), names(&["b"]));
        pending.remove(&names(&["b"])).unwrap();
        assert!(!state.join("pending.json").exists());
    }

    #[test]
    fn never_takes_a_damaged_journal_for_an_empty_one() {
        let base = tempfile::tempdir().unwrap();
        fs::write(base.path().join("pending.json"), "{\"a\":").unwrap();
        let failure = Pending::load(base.path()).unwrap_err().to_string();
        assert!(failure.contains("cannot be understood"), "{failure}");
    }
}

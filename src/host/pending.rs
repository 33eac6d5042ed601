//! Handlers that were notified and have not run yet, on the host's disk.
//!
//! A name is written before the change that notifies it is made and removed after its handler
//! succeeded, so neither a killed helper nor a lost connection can lose it.
//!
//! A role's handler is the same whichever playbook uses the role, and any of them may run it. A
//! play's own handler is its playbook's alone: another one may give the same name to something else.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::own::make_private_directory;
use super::{Failure, FileMode, Permissions, files, own, remove_file};
use crate::protocol::HandlerName;

/// The journal of pending handlers, each with the run that notified it.
#[derive(Debug)]
pub(crate) struct Pending {
    path: PathBuf,
    playbook: Option<String>,
    /// A play's own handlers with their playbook before them.
    names: BTreeMap<String, String>,
}

/// Between a handler's name and whose it is.
const OF: &str = " : ";

impl Pending {
    /// Reads what earlier runs left pending, to be seen as `playbook` sees it. Changes nothing.
    pub(crate) fn load(state: &Path, playbook: Option<&str>) -> Result<Self, Failure> {
        let path = state.join("pending.json");
        let names = match own::read(&path)? {
            Some(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                Failure::Unexpected(format!(
                    "{} cannot be understood ({error}); it lists handlers that have not run yet: \
                     run what is needed by hand, then remove it",
                    path.display()
                ))
            })?,
            None => BTreeMap::new(),
        };
        Ok(Self {
            path,
            playbook: playbook.map(str::to_owned),
            names,
        })
    }

    /// What is pending: other playbooks' own handlers with their playbook before them.
    pub(crate) fn names(&self) -> impl Iterator<Item = HandlerName> {
        self.names.keys().map(|key| {
            let own = self.playbook.as_deref().and_then(|playbook| {
                let rest = key.strip_prefix(playbook)?;
                rest.strip_prefix(OF)
            });
            own.unwrap_or(key).to_owned()
        })
    }

    pub(crate) fn any(&self, names: &[HandlerName]) -> bool {
        names
            .iter()
            .any(|name| self.names.contains_key(&self.key(name)))
    }

    /// What a handler is kept as.
    fn key(&self, name: &str) -> String {
        match &self.playbook {
            // One without an owner is from before they had any.
            Some(playbook) if !name.contains(OF) && !self.names.contains_key(name) => {
                format!("{playbook}{OF}{name}")
            }
            _ => name.to_owned(),
        }
    }

    /// Remembers names, on the disk when this returns. Answers which of them are new.
    pub(crate) fn add(
        &mut self,
        names: &[HandlerName],
        run_id: &str,
    ) -> Result<Vec<HandlerName>, Failure> {
        let new: Vec<_> = names
            .iter()
            .filter(|name| !self.names.contains_key(&self.key(name)))
            .cloned()
            .collect();
        if new.is_empty() {
            return Ok(new);
        }
        let mut names = self.names.clone();
        names.extend(new.iter().map(|name| (self.key(name), run_id.to_owned())));
        self.save(names)?;
        Ok(new)
    }

    /// Forgets names: their handler succeeded, or the change was not made after all.
    pub(crate) fn remove(&mut self, forgotten: &[HandlerName]) -> Result<(), Failure> {
        if !self.any(forgotten) {
            return Ok(());
        }
        let mut names = self.names.clone();
        for name in forgotten {
            names.remove(&self.key(name));
        }
        self.save(names)
    }

    fn save(&mut self, names: BTreeMap<String, String>) -> Result<(), Failure> {
        if names.is_empty() {
            remove_file(&self.path)?;
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
    use std::fs;

    use super::*;

    fn names(names: &[&str]) -> Vec<HandlerName> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn on_disk(state: &Path) -> Vec<HandlerName> {
        Pending::load(state, None).unwrap().names().collect()
    }

    #[test]
    fn is_on_the_disk_after_every_step() {
        let base = tempfile::tempdir().unwrap();
        let state = base.path().join("state");
        let mut pending = Pending::load(&state, None).unwrap();
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
    fn a_plays_own_handler_is_its_playbooks_and_a_roles_is_everybodys() {
        let base = tempfile::tempdir().unwrap();
        let load = |playbook| Pending::load(base.path(), Some(playbook)).unwrap();
        let seen = |playbook| load(playbook).names().collect::<Vec<_>>();
        let both = names(&["docker : restart", "restart"]);
        load("a.yml").add(&both, "run-1").unwrap();
        assert_eq!(seen("a.yml"), names(&["restart", "docker : restart"]));
        assert_eq!(
            seen("b.yml"),
            names(&["a.yml : restart", "docker : restart"])
        );
        assert!(!load("b.yml").any(&names(&["restart"])));
        load("b.yml").add(&names(&["restart"]), "run-2").unwrap();
        load("b.yml").remove(&both).unwrap();
        assert_eq!(seen("a.yml"), names(&["restart"]));
        assert_eq!(seen("b.yml"), names(&["a.yml : restart"]));
    }

    #[test]
    fn what_was_kept_without_an_owner_is_run_by_whoever_has_it() {
        let base = tempfile::tempdir().unwrap();
        fs::write(base.path().join("pending.json"), r#"{"restart":"run-1"}"#).unwrap();
        let mut pending = Pending::load(base.path(), Some("a.yml")).unwrap();
        assert!(pending.any(&names(&["restart"])));
        pending.remove(&names(&["restart"])).unwrap();
        assert_eq!(on_disk(base.path()), names(&[]));
    }

    #[test]
    fn never_takes_a_damaged_journal_for_an_empty_one() {
        let base = tempfile::tempdir().unwrap();
        fs::write(base.path().join("pending.json"), "{\"a\":").unwrap();
        let failure = Pending::load(base.path(), None).unwrap_err().to_string();
        assert!(failure.contains("cannot be understood"), "{failure}");
    }
}

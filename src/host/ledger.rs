//! What fleet brought into being on this host, and which playbooks declare it.
//!
//! A thing is written down before it is made, and taken out after it was seen to be gone: a run
//! that is killed in between leaves an entry for something that does not exist, which harms
//! nobody. What was there before fleet came is never in it.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::staging::make_private_directory;
use super::{Failure, FileMode, Permissions, files};
use crate::protocol::Origin;

/// One thing that fleet made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Made {
    /// The playbooks that declare it, each with where.
    pub playbooks: BTreeSet<String>,
    /// The kind it was declared as.
    pub kind: String,
    /// Its name within the kind.
    pub id: String,
    /// Names the thing, whatever kind declares it.
    pub key: String,
    /// Where it was declared last.
    pub origin: Origin,
    /// The run that made it.
    pub run_id: String,
    /// The declaration that it is not there. As it was written: another version of fleet may
    /// no longer know what it says.
    pub absence: serde_json::Value,
    /// fleet may remove it.
    pub prunable: bool,
}

/// Everything that fleet made on this host, in the order it was made.
#[derive(Debug)]
pub(crate) struct Ledger {
    path: PathBuf,
    made: Vec<Made>,
}

impl Ledger {
    /// Reads what earlier runs wrote down. Changes nothing.
    pub(crate) fn load(state: &Path) -> Result<Self, Failure> {
        let path = state.join("ledger.json");
        let made = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                Failure::Unexpected(format!(
                    "{} cannot be understood ({error}); it lists what fleet made on this host: \
                     remove it, and fleet forgets what that was",
                    path.display()
                ))
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(source) => return Err(Failure::io("read", &path, source)),
        };
        Ok(Self { path, made })
    }

    /// Everything that `playbook` declared, the last that was made first: what is in a directory
    /// before the directory.
    pub(crate) fn declared_by(&self, playbook: &str) -> Vec<Made> {
        let made = self.made.iter().rev();
        made.filter(|made| made.playbooks.contains(playbook))
            .cloned()
            .collect()
    }

    pub(crate) fn find(&self, key: &str) -> Option<&Made> {
        self.made.iter().find(|made| made.key == key)
    }

    /// Writes something down, on the disk when this returns. What is known already only gets
    /// one more playbook that declares it.
    pub(crate) fn add(&mut self, new: Made) -> Result<(), Failure> {
        let mut all = self.made.clone();
        match all.iter_mut().find(|made| made.key == new.key) {
            Some(known) if new.playbooks.is_subset(&known.playbooks) => return Ok(()),
            Some(known) => {
                known.playbooks.extend(new.playbooks);
                known.origin = new.origin;
            }
            None => all.push(new),
        }
        self.save(all)
    }

    /// `playbook` does not declare it any more; others still do.
    pub(crate) fn disown(&mut self, key: &str, playbook: &str) -> Result<(), Failure> {
        let mut all = self.made.clone();
        for made in all.iter_mut().filter(|made| made.key == key) {
            made.playbooks.remove(playbook);
        }
        self.save(all)
    }

    /// It is gone.
    pub(crate) fn forget(&mut self, key: &str) -> Result<(), Failure> {
        let mut all = self.made.clone();
        all.retain(|made| made.key != key);
        self.save(all)
    }

    fn save(&mut self, made: Vec<Made>) -> Result<(), Failure> {
        if let Some(state) = self.path.parent() {
            make_private_directory(state)?;
        }
        let json = serde_json::to_vec(&made).expect("texts and what was JSON before");
        let private = Permissions {
            mode: Some(FileMode::PRIVATE),
            ..Permissions::default()
        };
        files::replace(&self.path, &json, private)?;
        self.made = made;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(key: &str, playbook: &str) -> Made {
        Made {
            playbooks: BTreeSet::from([playbook.to_owned()]),
            kind: "file".to_owned(),
            id: key.to_owned(),
            key: key.to_owned(),
            origin: Origin::default(),
            run_id: "r".to_owned(),
            absence: serde_json::Value::Null,
            prunable: true,
        }
    }

    fn keys(state: &Path, playbook: &str) -> Vec<String> {
        let ledger = Ledger::load(state).unwrap();
        let made = ledger.declared_by(playbook).into_iter();
        made.map(|made| made.key).collect()
    }

    #[test]
    fn is_on_the_disk_after_every_step() {
        let base = tempfile::tempdir().unwrap();
        let state = base.path().join("state");
        let mut ledger = Ledger::load(&state).unwrap();
        assert!(!state.exists(), "looking changes nothing");
        for (key, playbook) in [("d", "a.yml"), ("d/x", "a.yml"), ("d", "b.yml")] {
            ledger.add(made(key, playbook)).unwrap();
        }
        assert_eq!(keys(&state, "a.yml"), ["d/x", "d"], "the last one first");
        assert_eq!(keys(&state, "b.yml"), ["d"]);
        ledger.disown("d", "a.yml").unwrap();
        assert_eq!(keys(&state, "a.yml"), ["d/x"]);
        assert_eq!(keys(&state, "b.yml"), ["d"]);
        ledger.forget("d/x").unwrap();
        assert_eq!(keys(&state, "a.yml"), Vec::<String>::new());
    }

    #[test]
    fn nothing_is_written_for_what_is_known() {
        let base = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::load(base.path()).unwrap();
        ledger.add(made("x", "a.yml")).unwrap();
        fs::remove_file(base.path().join("ledger.json")).unwrap();
        ledger.add(made("x", "a.yml")).unwrap();
        assert!(!base.path().join("ledger.json").exists());
    }
}

//! What fleet brought into being on this host, and which playbooks declare it.
//!
//! A thing is written down before it is made, and taken out after it was seen to be gone: a run
//! that is killed in between leaves an entry for something that does not exist, which harms
//! nobody. What was there before fleet came is never in it.
//!
//! Each change is a line at the end of the file: one write to the disk for each thing, however
//! many there are. A last line that is not whole was being written when the helper was killed,
//! and what it tells of was not made.

use std::collections::{BTreeSet, HashMap};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use super::own::make_private_directory;
use super::{Failure, FileMode, Permissions, files, own};
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

/// What a line of the file says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    /// It was made, or what is known of it is something else now.
    Made(Box<Made>),
    /// What has this key is gone.
    Gone(String),
}

/// Things in the order they were made.
#[derive(Clone, Debug, Default)]
struct Things {
    made: Vec<Made>,
    /// Where each key is: a host may have thousands, and every task asks.
    places: HashMap<String, usize>,
}

/// Everything that fleet made on this host.
#[derive(Debug)]
pub(crate) struct Ledger {
    path: PathBuf,
    things: Things,
    /// How many whole lines the file has.
    lines: usize,
    /// How many bytes these are.
    bytes: u64,
}

/// So many lines that say nothing any more are of no account.
const STALE: usize = 100;

impl Ledger {
    /// Reads what earlier runs wrote down. Changes nothing.
    pub(crate) fn load(state: &Path) -> Result<Self, Failure> {
        let path = state.join("ledger.jsonl");
        let mut bytes = own::read(&path)?.unwrap_or_default();
        let whole = bytes.iter().rposition(|byte| *byte == b'\n');
        bytes.truncate(whole.map_or(0, |last| last + 1));
        let mut things = Things::default();
        let mut lines = 0;
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            lines += 1;
            let line = serde_json::from_slice(line).map_err(|error| {
                Failure::Unexpected(format!(
                    "line {lines} of {} cannot be understood ({error}); it lists what fleet made \
                     on this host: remove it, and fleet forgets what that was",
                    path.display()
                ))
            })?;
            things.heed(line);
        }
        Ok(Self {
            path,
            things,
            lines,
            bytes: bytes.len() as u64,
        })
    }

    /// Everything that `playbook` declared, the last that was made first: what is in a directory
    /// before the directory.
    pub(crate) fn declared_by(&self, playbook: &str) -> Vec<Made> {
        let made = self.things.made.iter().rev();
        made.filter(|made| made.playbooks.contains(playbook))
            .cloned()
            .collect()
    }

    pub(crate) fn find(&self, key: &str) -> Option<&Made> {
        let place = self.things.places.get(key)?;
        self.things.made.get(*place)
    }

    /// Writes something down, on the disk when this returns. What is known already only gets
    /// one more playbook that declares it.
    pub(crate) fn add(&mut self, new: Made) -> Result<(), Failure> {
        let made = match self.find(&new.key) {
            Some(known) if new.playbooks.is_subset(&known.playbooks) => return Ok(()),
            Some(known) => Made {
                playbooks: &known.playbooks | &new.playbooks,
                origin: new.origin,
                ..known.clone()
            },
            None => new,
        };
        self.write(Line::Made(Box::new(made)))
    }

    /// `playbook` does not declare it any more; others still do.
    pub(crate) fn disown(&mut self, key: &str, playbook: &str) -> Result<(), Failure> {
        let Some(mut made) = self.find(key).cloned() else {
            return Ok(());
        };
        made.playbooks.remove(playbook);
        self.write(Line::Made(Box::new(made)))
    }

    /// It is gone.
    pub(crate) fn forget(&mut self, key: &str) -> Result<(), Failure> {
        self.write(Line::Gone(key.to_owned()))
    }

    fn write(&mut self, line: Line) -> Result<(), Failure> {
        let is_stale = self.lines > 2 * self.things.made.len() + STALE;
        if is_stale || !self.append(&line)? {
            let mut things = self.things.clone();
            things.heed(line);
            return self.rewrite(things);
        }
        self.things.heed(line);
        Ok(())
    }

    /// Puts a line at the end of the file, on the disk when this returns. `false` if there is no
    /// file.
    fn append(&mut self, line: &Line) -> Result<bool, Failure> {
        let Some(mut file) = own::open(&self.path, OFlags::WRONLY)? else {
            return Ok(false);
        };
        let text = text(line);
        let written = file
            .set_len(self.bytes)
            .and_then(|()| file.seek(SeekFrom::Start(self.bytes)))
            .and_then(|_| file.write_all(&text))
            .and_then(|()| file.sync_data());
        written.map_err(|source| Failure::io("write", &self.path, source))?;
        self.lines += 1;
        self.bytes += text.len() as u64;
        Ok(true)
    }

    /// Writes the file anew, with a line for each thing.
    fn rewrite(&mut self, things: Things) -> Result<(), Failure> {
        if let Some(state) = self.path.parent() {
            make_private_directory(state)?;
        }
        let made = things.made.iter().cloned();
        let whole: Vec<u8> = made
            .flat_map(|made| text(&Line::Made(Box::new(made))))
            .collect();
        let private = Permissions {
            mode: Some(FileMode::PRIVATE),
            ..Permissions::default()
        };
        files::replace(&self.path, &whole, private)?;
        self.lines = things.made.len();
        self.bytes = whole.len() as u64;
        self.things = things;
        Ok(())
    }
}

fn text(line: &Line) -> Vec<u8> {
    let mut text = serde_json::to_vec(line).expect("texts and what was JSON before");
    text.push(b'\n');
    text
}

impl Things {
    fn heed(&mut self, line: Line) {
        match line {
            Line::Made(made) => {
                if let Some(place) = self.places.get(&made.key) {
                    self.made[*place] = *made;
                } else {
                    self.places.insert(made.key.clone(), self.made.len());
                    self.made.push(*made);
                }
            }
            Line::Gone(key) => {
                self.made.retain(|made| made.key != key);
                let keys = self.made.iter().map(|made| made.key.clone());
                self.places = keys.zip(0..).collect();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

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
        fs::remove_file(base.path().join("ledger.jsonl")).unwrap();
        ledger.add(made("x", "a.yml")).unwrap();
        assert!(!base.path().join("ledger.jsonl").exists());
    }

    #[test]
    fn a_line_that_was_being_written_is_none() {
        let base = tempfile::tempdir().unwrap();
        let file = base.path().join("ledger.jsonl");
        let mut ledger = Ledger::load(base.path()).unwrap();
        ledger.add(made("x", "a.yml")).unwrap();
        ledger.add(made("y", "a.yml")).unwrap();
        let whole = fs::read(&file).unwrap();
        fs::write(&file, &whole[..whole.len() - 1]).unwrap();
        assert_eq!(keys(base.path(), "a.yml"), ["x"]);
        // The next one stands in its place.
        let mut ledger = Ledger::load(base.path()).unwrap();
        ledger.add(made("z", "a.yml")).unwrap();
        assert_eq!(keys(base.path(), "a.yml"), ["z", "x"]);
    }

    #[test]
    fn lines_that_say_nothing_any_more_are_taken_out_now_and_then() {
        let base = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::load(base.path()).unwrap();
        ledger.add(made("stays", "a.yml")).unwrap();
        for _ in 0..2 * STALE {
            ledger.add(made("goes", "a.yml")).unwrap();
            ledger.forget("goes").unwrap();
        }
        let text = fs::read_to_string(base.path().join("ledger.jsonl")).unwrap();
        assert!(text.lines().count() <= STALE + 10, "{text}");
        assert_eq!(keys(base.path(), "a.yml"), ["stays"]);
    }
}

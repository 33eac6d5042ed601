//! Reads journals.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::locked::Locked;
use super::writer::hand_over;
use super::{Asked, Entry, FORMAT, JournalError, Outcome};

/// What the journal of a run says.
#[derive(Debug)]
pub struct Past {
    /// What the run is about.
    pub asked: Asked,
    /// The exit code, and why it ended before every host was done; `None` if it was killed, or is
    /// going on.
    pub over: Option<(u8, Option<String>)>,
    /// The last run that goes on with it.
    pub resumed_by: Option<String>,
    /// Its controller is alive.
    pub is_running: bool,
    begun: BTreeSet<String>,
    ended: BTreeMap<String, Outcome>,
    path: PathBuf,
    /// How long the file is, and how much of it is whole lines.
    size: u64,
    whole: u64,
}

impl Past {
    /// Reads the journal of a run, which may be going on.
    ///
    /// # Errors
    /// When there is none, or it makes no sense.
    pub fn load(directory: &Path, id: &str) -> Result<Self, JournalError> {
        let path = find(directory, id)?;
        let failed = |source| JournalError::File {
            attempt: "read",
            path: path.clone(),
            source,
        };
        let mut file = File::open(&path).map_err(failed)?;
        // Before reading: what ends in between is then read to its end. And until it is read:
        // nobody goes on with it meanwhile.
        let lock = match Locked::shared(file.try_clone().map_err(failed)?) {
            Ok(lock) => Some(lock),
            Err(TryLockError::WouldBlock) => None,
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        };
        let is_running = lock.is_none();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed)?;
        drop(lock);
        let text = String::from_utf8_lossy(&bytes);
        // A kill may have cut off the last line: it was not yet written.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let broken = |line: usize, reason: String| JournalError::Broken {
            path: path.clone(),
            line: line + 1,
            reason,
        };
        let mut lines = text[..whole].lines().enumerate();
        let first = lines.next().map(|(_, line)| line).unwrap_or_default();
        // Asked for apart: what a newer fleet wrote may not be an entry to this one.
        let format = serde_json::from_str::<serde_json::Value>(first)
            .ok()
            .and_then(|first| u32::try_from(first.get("format")?.as_u64()?).ok());
        if let Some(format) = format.filter(|format| *format > FORMAT) {
            return Err(JournalError::Newer { path, format });
        }
        let asked = match serde_json::from_str(first) {
            Ok(Entry::Asked { asked, .. }) => *asked,
            Ok(_) => {
                return Err(broken(
                    0,
                    "the first entry does not say what was asked for".to_owned(),
                ));
            }
            Err(error) => return Err(broken(0, error.to_string())),
        };
        let mut past = Self {
            asked,
            over: None,
            resumed_by: None,
            is_running,
            begun: BTreeSet::new(),
            ended: BTreeMap::new(),
            path: path.clone(),
            size: bytes.len() as u64,
            whole: whole as u64,
        };
        for (at, line) in lines {
            match serde_json::from_str(line).map_err(|error| broken(at, error.to_string()))? {
                Entry::Asked { .. } => {
                    return Err(broken(at, "a second run in the same journal".to_owned()));
                }
                Entry::Earlier { hosts } => past.ended.extend(hosts),
                Entry::Begun { hosts, .. } => {
                    for host in hosts {
                        // What came of it in an earlier run is over.
                        past.ended.remove(&host);
                        past.begun.insert(host);
                    }
                }
                Entry::Ended { host, outcome, .. } => _ = past.ended.insert(host, outcome),
                Entry::Over {
                    exit_code,
                    cut_short,
                    ..
                } => past.over = Some((exit_code, cut_short)),
                Entry::Resumed { by, .. } => past.resumed_by = Some(by),
            }
        }
        Ok(past)
    }

    /// What is known of a host.
    #[must_use]
    pub fn outcome(&self, host: &str) -> Outcome {
        match self.ended.get(host) {
            Some(outcome) => *outcome,
            None if self.begun.contains(host) => Outcome::Unknown,
            None => Outcome::Untouched,
        }
    }

    /// The hosts with one of these outcomes, in the order of the inventory.
    #[must_use]
    pub fn hosts(&self, outcomes: &[Outcome]) -> Vec<&str> {
        let hosts = self.asked.hosts.iter().map(String::as_str);
        hosts
            .filter(|host| outcomes.contains(&self.outcome(host)))
            .collect()
    }

    /// What is known of all hosts of which something is.
    #[must_use]
    pub fn outcomes(&self) -> BTreeMap<String, Outcome> {
        let hosts = self.asked.hosts.iter();
        hosts
            .map(|host| (host.clone(), self.outcome(host)))
            .filter(|(_, outcome)| *outcome != Outcome::Untouched)
            .collect()
    }

    /// Says in this journal that the run `by` goes on from here.
    ///
    /// # Errors
    /// When the run is still going on itself, or it cannot be written.
    pub fn hand_over(&self, by: &str) -> Result<(), JournalError> {
        let failed = |source| JournalError::File {
            attempt: "write",
            path: self.path.clone(),
            source,
        };
        let running = || JournalError::Running {
            id: self.asked.run_id.clone(),
        };
        let file = OpenOptions::new().append(true).open(&self.path);
        let file = match Locked::alone(file.map_err(failed)?) {
            Ok(file) => file,
            Err(TryLockError::WouldBlock) => return Err(running()),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        };
        // Somebody else may have gone on with it since it was read.
        if file.metadata().map_err(failed)?.len() != self.size {
            return Err(running());
        }
        hand_over(&file, self.whole, by).map_err(failed)
    }
}

/// The latest run with a journal, if there is one.
///
/// # Errors
/// When the directory cannot be read.
pub fn latest(directory: &Path) -> Result<Option<String>, JournalError> {
    Ok(runs(directory)?.pop())
}

/// The runs of which hosts are left and with which no other run goes on, the latest first. A
/// journal that makes no sense is left out: who asks for it by its name is told.
///
/// # Errors
/// When the directory cannot be read.
pub fn unfinished(directory: &Path) -> Result<Vec<Past>, JournalError> {
    let runs = runs(directory)?;
    let pasts = runs
        .iter()
        .rev()
        .filter_map(|id| Past::load(directory, id).ok());
    let left = |past: &Past| !past.hosts(&Outcome::LEFT).is_empty();
    Ok(pasts
        .filter(|past| past.resumed_by.is_none() && left(past))
        .collect())
}

/// The names of all runs, the earliest first: they begin with the time.
fn runs(directory: &Path) -> Result<Vec<String>, JournalError> {
    let entries = match directory.read_dir() {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => {
            return Err(JournalError::File {
                attempt: "read",
                path: directory.to_owned(),
                source,
            });
        }
    };
    let mut runs: Vec<_> = entries
        .flatten()
        .filter_map(|entry| {
            Some(
                entry
                    .file_name()
                    .to_str()?
                    .strip_suffix(".jsonl")?
                    .to_owned(),
            )
        })
        .collect();
    runs.sort_unstable();
    Ok(runs)
}

/// The file of a run. Only what is there is a run, so no name leads out of the directory.
fn find(directory: &Path, id: &str) -> Result<PathBuf, JournalError> {
    let runs = runs(directory)?;
    if runs.iter().any(|run| run == id) {
        return Ok(directory.join(format!("{id}.jsonl")));
    }
    let near = crate::diagnostic::nearest(id, runs.iter().map(String::as_str));
    Err(JournalError::NoSuchRun {
        id: id.to_owned(),
        near: near.map(str::to_owned),
    })
}

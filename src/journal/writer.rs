//! Writes a journal.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::locked::Locked;
use super::{Asked, Entry, FORMAT, JournalError, Outcome};

/// The journal of a run that is going on.
#[derive(Debug)]
pub struct Journal {
    file: Locked,
    path: PathBuf,
    /// Lines that need not be on the disk yet.
    waiting: String,
    /// How much of the file is whole lines.
    whole: u64,
}

impl Journal {
    /// Begins a journal in a directory, which is made if it is not there. What is asked for is on
    /// the disk when this returns. Journals that nobody has written to for longer than `keep` go.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn create(
        directory: &Path,
        asked: &Asked,
        earlier: BTreeMap<String, Outcome>,
        keep: Duration,
    ) -> Result<Self, JournalError> {
        let failed = |source| JournalError::File {
            attempt: "write",
            path: directory.to_owned(),
            source,
        };
        match DirBuilder::new().mode(0o700).create(directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed(error));
            }
            _ => {}
        }
        forget(directory, keep);
        let path = directory.join(format!("{}.jsonl", asked.run_id));
        let opened = OpenOptions::new()
            .append(true)
            .create_new(true)
            .mode(0o600)
            .open(&path);
        // Nobody else can write to it yet.
        let locked = opened.and_then(Locked::when_free);
        let mut journal = Self {
            file: locked.map_err(failed)?,
            path,
            waiting: String::new(),
            whole: 0,
        };
        journal.add(&Entry::Asked {
            format: FORMAT,
            fleet: env!("CARGO_PKG_VERSION").to_owned(),
            asked: Box::new(asked.clone()),
        });
        if !earlier.is_empty() {
            journal.add(&Entry::Earlier { hosts: earlier });
        }
        journal.sync()?;
        let directory = File::open(directory).and_then(|directory| directory.sync_all());
        directory.map_err(failed)?;
        Ok(journal)
    }

    /// Hosts are about to be begun: it is on the disk when this returns.
    ///
    /// # Errors
    /// When it cannot be written. Then they must not be begun.
    pub fn begin(&mut self, hosts: &[&str]) -> Result<(), JournalError> {
        self.add(&Entry::Begun {
            at: jiff::Timestamp::now(),
            hosts: hosts.iter().map(|&host| host.to_owned()).collect(),
        });
        self.sync()
    }

    /// A host ended. It is written with what comes next, or by [`write`](Self::write): a host
    /// whose end is lost is one of which nothing is known, and that is safe.
    pub fn end(&mut self, host: &str, outcome: Outcome) {
        self.add(&Entry::Ended {
            at: jiff::Timestamp::now(),
            host: host.to_owned(),
            outcome,
        });
    }

    /// The run is over.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn close(mut self, exit_code: u8, cut_short: Option<&str>) -> Result<(), JournalError> {
        self.add(&Entry::Over {
            at: jiff::Timestamp::now(),
            exit_code,
            cut_short: cut_short.map(str::to_owned),
        });
        self.sync()
    }

    /// Takes it away: the run is not begun after all.
    pub fn discard(self) {
        // If it stays, it says that nothing was begun.
        let _ = std::fs::remove_file(&self.path);
    }

    /// Writes what waits, so that others can read it.
    ///
    /// # Errors
    /// When it cannot be written. It waits on.
    pub fn write(&mut self) -> Result<(), JournalError> {
        let written = (&*self.file).write_all(self.waiting.as_bytes());
        if let Err(error) = written {
            // Half a line would spoil the one that follows; if even that fails, the next try
            // begins with it.
            let _ = self.file.set_len(self.whole);
            return Err(self.failed(error));
        }
        self.whole += self.waiting.len() as u64;
        self.waiting.clear();
        Ok(())
    }

    fn add(&mut self, entry: &Entry) {
        self.waiting += &line(entry);
    }

    fn sync(&mut self) -> Result<(), JournalError> {
        self.write()?;
        let synced = self.file.sync_data();
        synced.map_err(|error| self.failed(error))
    }

    fn failed(&self, source: io::Error) -> JournalError {
        JournalError::File {
            attempt: "write",
            path: self.path.clone(),
            source,
        }
    }

    /// One that writes to a file of the test's.
    #[cfg(test)]
    pub(super) fn to(path: &Path) -> Self {
        Self {
            file: Locked::not_at_all(OpenOptions::new().append(true).open(path).unwrap()),
            path: path.to_owned(),
            waiting: String::new(),
            whole: 0,
        }
    }
}

/// Says in the journal of an earlier run that `by` goes on with it. `whole` is how much of the
/// file is whole lines: what a kill cut off goes.
pub(super) fn hand_over(mut file: &File, whole: u64, by: &str) -> io::Result<()> {
    let entry = Entry::Resumed {
        at: jiff::Timestamp::now(),
        by: by.to_owned(),
    };
    file.set_len(whole)?;
    file.write_all(line(&entry).as_bytes())?;
    file.sync_data()
}

fn line(entry: &Entry) -> String {
    let text = serde_json::to_string(entry);
    text.expect("no map of an entry has a key that is not text") + "\n"
}

/// Removes old journals. One that cannot be removed is no reason not to begin.
fn forget(directory: &Path, keep: Duration) {
    let Some(oldest) = SystemTime::now().checked_sub(keep) else {
        return;
    };
    for entry in directory.read_dir().into_iter().flatten().flatten() {
        let path = entry.path();
        let written = entry.metadata().and_then(|metadata| metadata.modified());
        if path.extension().is_some_and(|end| end == "jsonl")
            && written.is_ok_and(|written| written < oldest)
        {
            let _ = std::fs::remove_file(path);
        }
    }
}

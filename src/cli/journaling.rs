//! The journal of an apply: where it is, what goes into it, and how a run goes on with another.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, ErrorKind};
use crate::journal::{self, Asked, Journal, JournalError, Past};
use crate::memory::{DIRECTORY, MemoryError, Project};
use crate::report::Batches;

/// What a run's journal begins with, as far as the command line knows.
#[derive(Clone, Debug)]
pub(super) struct Journaling {
    /// The project's directory of journals.
    pub directory: PathBuf,
    /// How long journals are kept.
    pub keep: Duration,
    /// What was asked for, to ask for it again.
    pub arguments: serde_json::Value,
    /// The run that this one goes on with.
    pub past: Option<Arc<Past>>,
}

/// What the inventory and the playbook say, for the journal.
pub(super) struct Declared {
    pub playbook: String,
    /// The names of the variables that were given with `-e`.
    pub variables: Vec<String>,
    /// Every selected host.
    pub hosts: Vec<String>,
    pub plays: Vec<Batches>,
}

impl Journaling {
    /// The journal of an apply of this playbook, which is asked for again by `arguments`.
    ///
    /// # Errors
    /// When `fleet.yml` is wrong, or the directory of journals is not ours.
    pub(super) fn of(
        playbook: &Path,
        arguments: serde_json::Value,
        past: Option<Arc<Past>>,
    ) -> Result<Self, Error> {
        let project = Project::of_playbook(playbook);
        let now = jiff::Timestamp::now();
        let forget = project.forget_before(now).map_err(Error::config)?;
        Ok(Self {
            directory: Self::directory(&project)?,
            keep: Duration::try_from(now.duration_since(forget)).unwrap_or(Duration::MAX),
            arguments,
            past,
        })
    }

    /// The project's directory of journals; made if there is none.
    ///
    /// # Errors
    /// When it is not ours. Nothing is changed that cannot be journaled.
    pub(super) fn directory(project: &Project) -> Result<PathBuf, Error> {
        let directory = project.directory().map_err(refused)?;
        Ok(directory.join(journal::DIRECTORY))
    }

    /// Makes sure that the same variables are given with `-e` as to the run before this one.
    /// Without them, whatever they stand for would be wrong instead.
    ///
    /// # Errors
    /// Those that were given then and are given now.
    pub(super) fn check_variables(&self, given: &[String]) -> Result<(), Error> {
        let Some(Past { asked, .. }) = self.past.as_deref() else {
            return Ok(());
        };
        if asked.variables == given {
            return Ok(());
        }
        let list = |names: &[String]| match names {
            [] => "none".to_owned(),
            names => format!("`{}`", names.join("`, `")),
        };
        let message = format!(
            "run {} was given other variables with `-e`: {}, and now {}",
            asked.run_id,
            list(&asked.variables),
            list(given)
        );
        Err(Error::new(ErrorKind::Usage, message)
            .hint("give the same ones again: their values are not in the journal"))
    }

    /// Makes sure that a run goes on with the same work as the one before it.
    ///
    /// # Errors
    /// What has changed.
    pub(super) fn check(&self, declared: &Declared) -> Result<(), Error> {
        let Some(Past { asked, .. }) = self.past.as_deref() else {
            return Ok(());
        };
        let id = &asked.run_id;
        if asked.plays == declared.plays && asked.hosts == declared.hosts {
            return Ok(());
        }
        let error = Error::new(
            ErrorKind::Config,
            format!("the plays or their hosts are no longer those of run {id}"),
        );
        let error = differences(asked, declared)
            .into_iter()
            .fold(error, Error::hint);
        Err(error.hint(format!(
            "bring that back, or begin a new run: `fleet runs show {id}` lists the hosts for its `-l`"
        )))
    }

    /// Begins the journal of the run `id`, before any host is contacted.
    ///
    /// # Errors
    /// When it cannot be written, or somebody else goes on with the same run.
    pub(super) fn begin(&self, id: &str, seed: u64, declared: Declared) -> Result<Journal, Error> {
        let past = self.past.as_deref();
        let asked = Asked {
            run_id: id.to_owned(),
            started_at: jiff::Timestamp::now(),
            playbook: declared.playbook,
            directory: current_directory(),
            arguments: self.arguments.clone(),
            variables: declared.variables,
            hosts: declared.hosts,
            plays: declared.plays,
            seed,
            resumes: past.map(|past| past.asked.run_id.clone()),
        };
        let earlier = past.map(Past::outcomes).unwrap_or_default();
        let journal = Journal::create(&self.directory, &asked, earlier, self.keep);
        let journal = journal.map_err(not_begun)?;
        if let Some(Err(error)) = past.map(|past| past.hand_over(id)) {
            journal.discard();
            return Err(as_error(error, "the run cannot be resumed"));
        }
        Ok(journal)
    }
}

/// The first few things that are not as they were.
fn differences(asked: &Asked, declared: &Declared) -> Vec<String> {
    let mut found = Vec::new();
    let names = |hosts: &[String]| hosts.iter().cloned().collect::<BTreeSet<_>>();
    let (before, now) = (names(&asked.hosts), names(&declared.hosts));
    for (hosts, words) in [
        (&now - &before, "not part of it then"),
        (&before - &now, "gone"),
    ] {
        if !hosts.is_empty() {
            let hosts: Vec<_> = hosts.into_iter().collect();
            found.push(format!("{words}: {}", hosts.join(", ")));
        }
    }
    if asked.plays.len() != declared.plays.len() {
        let (before, now) = (asked.plays.len(), declared.plays.len());
        found.push(format!("it had {before} plays, and now there are {now}"));
    }
    for (before, now) in asked.plays.iter().zip(&declared.plays) {
        if before.play != now.play {
            found.push(format!("play `{}` is now `{}`", before.play, now.play));
        } else if before.batches != now.batches {
            found.push(format!("the batches of play `{}` are others", now.play));
        }
    }
    found
}

/// Where journals of a project are, if there are any.
///
/// # Errors
/// When the directory is not ours.
pub(super) fn existing(project: &Project) -> Result<Option<PathBuf>, Error> {
    project
        .existing_directory()
        .map_err(|error| {
            Error::new(ErrorKind::Internal, "the journals cannot be read").caused_by(error)
        })
        .map(|found| found.map(|directory| directory.join(journal::DIRECTORY)))
}

/// Where fleet was started.
pub(super) fn current_directory() -> PathBuf {
    std::env::current_dir().unwrap_or_default()
}

/// An error of a journal, as a command ends with it.
pub(super) fn as_error(error: JournalError, message: &str) -> Error {
    let kind = match error {
        JournalError::Running { .. } => ErrorKind::Locked,
        JournalError::NoSuchRun { .. } => ErrorKind::Usage,
        _ => ErrorKind::Internal,
    };
    let hint = error.hint();
    Error::new(kind, message).caused_by(error).hint(hint)
}

fn not_begun(error: JournalError) -> Error {
    as_error(
        error,
        "nothing was begun: what is done could not be journaled",
    )
}

fn refused(error: MemoryError) -> Error {
    let message = "nothing was begun: what is done could not be journaled";
    Error::new(ErrorKind::Internal, message)
        .caused_by(error)
        .hint(format!(
            "an apply keeps its journal in `{DIRECTORY}/` of the project"
        ))
}

/// The journals of the project of a playbook, or of the current directory.
pub(super) fn project(playbook: Option<&Path>) -> Project {
    playbook.map_or_else(Project::of_current_directory, Project::of_playbook)
}

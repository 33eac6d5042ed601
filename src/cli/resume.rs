//! `fleet apply --resume` and `--rerun`: from a run's journal back to what was asked for.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use super::apply::ApplyArgs;
use super::journaling::{as_error, current_directory, existing, project};
use super::options::{Targets, TaskSelection};
use crate::error::{Error, ErrorKind};
use crate::journal::{Outcome, Past, latest};
use crate::playbook::{Serial, Share};
use crate::run::Rollout;

/// Stands for the playbook where the journal names it.
pub(super) const NAMED_BY_JOURNAL: &str = "-";

/// What a run that goes on with another takes from that one's journal.
const FROM_JOURNAL: [&str; 15] = [
    "inventory",
    "limit",
    "tags",
    "skip_tags",
    "forks",
    "user",
    "private_key",
    "ssh_config",
    "connect_timeout",
    "host_timeout",
    "become",
    "prune",
    "lock_timeout",
    "serial",
    "check",
];

/// How an apply goes over its hosts, and with which other run it goes on.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Rollout")]
pub(super) struct RolloutArgs {
    /// Finish a play on so many hosts before it begins on the next: `5`, `25%`, `1,25%,100%`
    ///
    /// A percentage is one of the play's hosts. The last size goes on. Outranks `serial` in the
    /// playbook.
    #[arg(long, value_name = "SIZES", value_delimiter = ',')]
    pub serial: Vec<Share>,

    /// Begin no further host when so many have failed or were not reached: `3`, `10%`
    ///
    /// A percentage is one of all selected hosts, and to reach it is to stop. Hosts that are under
    /// way are finished. Outranks `max_fail` in the playbook.
    #[arg(long, value_name = "LIMIT")]
    pub max_fail: Option<Share>,

    /// Begin no further host when one has failed or was not reached
    #[arg(long)]
    pub any_errors_fatal: bool,

    /// Stop after so many batches, to look at them and go on with `--resume`
    ///
    /// On a terminal it asks whether to go on, and again after so many more.
    #[arg(long, value_name = "N")]
    pub pause_after: Option<std::num::NonZeroU32>,

    /// Go on with an earlier run: with its hosts that were not begun, or not worked on to their end
    ///
    /// Its playbook and arguments are asked for again, but for the values given with `-e`, which
    /// it did not keep. Batches go on where they stopped; failures are counted anew.
    #[arg(long, value_name = "RUN_ID", conflicts_with_all = FROM_JOURNAL)]
    pub resume: Option<String>,

    /// Take the hosts again that failed or were not reached, in the latest run or in that of `--resume`
    #[arg(long, value_name = "WHICH", conflicts_with_all = FROM_JOURNAL)]
    pub rerun: Option<Which>,
}

/// Which hosts of an earlier run are taken again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Which {
    /// Those that failed or were not reached
    Failed,
}

/// What a later run needs to ask for the same. No values of variables: they may be secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Arguments {
    playbook: PathBuf,
    targets: Targets,
    tags: TaskSelection,
    prune: bool,
    lock_timeout: Duration,
    serial: Vec<Share>,
    max_fail: Option<Share>,
    any_errors_fatal: bool,
}

/// An apply as it is to be made, after the journal it goes on with was read.
pub(super) struct GoingOn {
    pub args: ApplyArgs,
    pub rollout: Rollout,
    pub past: Option<Arc<Past>>,
}

/// What is kept of the arguments.
pub(super) fn kept(args: &ApplyArgs) -> serde_json::Value {
    to_value(&Arguments {
        playbook: args.playbook.playbook.clone(),
        targets: args.playbook.targets.clone(),
        tags: args.playbook.tags.clone(),
        prune: args.prune,
        lock_timeout: args.lock_timeout,
        serial: args.rollout.serial.clone(),
        max_fail: args.rollout.max_fail,
        any_errors_fatal: args.rollout.any_errors_fatal,
    })
}

/// What is kept of an apply that is part of something else.
pub(super) fn kept_of_part(
    playbook: &Path,
    targets: Targets,
    lock_timeout: Duration,
) -> serde_json::Value {
    to_value(&Arguments {
        playbook: playbook.to_owned(),
        targets,
        tags: TaskSelection::default(),
        prune: false,
        lock_timeout,
        serial: Vec::new(),
        max_fail: None,
        any_errors_fatal: false,
    })
}

fn to_value(arguments: &Arguments) -> serde_json::Value {
    serde_json::to_value(arguments).expect("paths of arguments are text, as are their keys")
}

/// Reads the journal of the run to go on with, if there is one.
///
/// # Errors
/// When it cannot be gone on with, and why.
pub(super) fn going_on(args: &ApplyArgs) -> Result<GoingOn, Error> {
    if args.rollout.resume.is_none() && args.rollout.rerun.is_none() {
        return Ok(GoingOn {
            rollout: rollout(&args.rollout, fastrand::u64(..), None),
            args: args.clone(),
            past: None,
        });
    }
    let past = read(args)?;
    let mut args = merged(args, &past)?;
    let mut wanted = Vec::new();
    if args.rollout.resume.is_some() {
        wanted.extend(Outcome::LEFT);
    }
    if args.rollout.rerun == Some(Which::Failed) {
        wanted.extend([Outcome::Failed, Outcome::Unreachable]);
    }
    let only: BTreeSet<String> = past.hosts(&wanted).into_iter().map(str::to_owned).collect();
    if only.is_empty() {
        return Err(nothing_left(&past, &args.rollout));
    }
    // The new journal is to say what was asked for, not how it was asked this time.
    args.rollout.resume = None;
    args.rollout.rerun = None;
    Ok(GoingOn {
        rollout: rollout(&args.rollout, past.asked.seed, Some(only)),
        args,
        past: Some(Arc::new(past)),
    })
}

fn rollout(args: &RolloutArgs, seed: u64, only: Option<BTreeSet<String>>) -> Rollout {
    Rollout {
        serial: Serial::new(args.serial.clone()),
        max_fail: args.max_fail,
        any_errors_fatal: args.any_errors_fatal,
        pause_after: args.pause_after,
        goes_on: None,
        seed,
        only,
    }
}

/// The journal that is meant.
fn read(args: &ApplyArgs) -> Result<Past, Error> {
    let playbook = &args.playbook.playbook;
    let playbook = Some(playbook).filter(|path| *path != Path::new(NAMED_BY_JOURNAL));
    let project = project(playbook.map(PathBuf::as_path));
    let failed = |error| as_error(error, "the run cannot be resumed");
    let none = || {
        let message = format!("no run of {} has a journal", project.root().display());
        Error::new(ErrorKind::Usage, message)
            .hint("start fleet in the project, or name its playbook as well")
    };
    let directory = existing(&project)?.ok_or_else(none)?;
    let id = match &args.rollout.resume {
        Some(id) => id.clone(),
        None => latest(&directory).map_err(failed)?.ok_or_else(none)?,
    };
    let past = Past::load(&directory, &id).map_err(failed)?;
    if past.is_running {
        return Err(failed(crate::journal::JournalError::Running { id }));
    }
    if let Some(by) = &past.resumed_by {
        let message = format!("run {by} already goes on with run {id}");
        return Err(Error::new(ErrorKind::Usage, message)
            .hint(format!("go on with that one: `fleet apply --resume {by}`")));
    }
    let here = current_directory();
    if past.asked.directory != here {
        let there = past.asked.directory.display();
        let message = format!("run {id} was started in {there}, where its paths begin");
        return Err(Error::new(ErrorKind::Usage, message).hint(format!("`cd {there}` first")));
    }
    if let Some(playbook) = playbook.filter(|path| **path != Path::new(&past.asked.playbook)) {
        let (other, this) = (&past.asked.playbook, playbook.display());
        let message = format!("run {id} is one of `{other}`, not of `{this}`");
        return Err(Error::new(ErrorKind::Usage, message)
            .hint("leave the playbook out, or name another run with `--resume`"));
    }
    Ok(past)
}

/// What was asked for then, with what is said anew now.
fn merged(args: &ApplyArgs, past: &Past) -> Result<ApplyArgs, Error> {
    let kept = serde_json::from_value(past.asked.arguments.clone());
    let kept: Arguments = kept.map_err(|error| {
        let message = "the journal does not say what was asked for in a way this fleet understands";
        Error::new(ErrorKind::Internal, message)
            .caused_by(error)
            .hint("begin anew with `fleet apply PLAYBOOK`")
    })?;
    let mut args = args.clone();
    let extra_vars = std::mem::take(&mut args.playbook.targets.sources.extra_vars);
    let list_hosts = args.playbook.targets.list_hosts;
    let ask_become_pass = args.playbook.targets.connection.ask_become_pass;
    args.playbook.playbook = kept.playbook;
    args.playbook.targets = kept.targets;
    args.playbook.targets.sources.extra_vars = extra_vars;
    args.playbook.targets.list_hosts = list_hosts;
    args.playbook.targets.connection.ask_become_pass |= ask_become_pass;
    let (list_tasks, list_tags) = (args.playbook.tags.list_tasks, args.playbook.tags.list_tags);
    args.playbook.tags = TaskSelection {
        list_tasks,
        list_tags,
        ..kept.tags
    };
    args.prune = kept.prune;
    args.lock_timeout = kept.lock_timeout;
    args.rollout.serial = kept.serial;
    args.rollout.max_fail = args.rollout.max_fail.or(kept.max_fail);
    args.rollout.any_errors_fatal |= kept.any_errors_fatal;
    Ok(args)
}

fn nothing_left(past: &Past, asked: &RolloutArgs) -> Error {
    let id = &past.asked.run_id;
    let counts = Outcome::ALL.map(|outcome| (past.hosts(&[outcome]).len(), outcome.as_str()));
    let counts = counts.iter().filter(|(count, _)| *count > 0);
    let counts: Vec<_> = counts
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    let message = format!(
        "there is nothing to go on with in run {id}: {}",
        counts.join(", ")
    );
    let error = Error::new(ErrorKind::Usage, message);
    let failed = past.hosts(&[Outcome::Failed, Outcome::Unreachable]);
    let left = past.hosts(&Outcome::LEFT);
    match asked.resume {
        Some(_) if !failed.is_empty() => {
            error.hint("`--rerun failed` takes those again that failed or were not reached")
        }
        None if !left.is_empty() => {
            error.hint(format!("`--resume {id}` takes those that are left"))
        }
        _ => error,
    }
}

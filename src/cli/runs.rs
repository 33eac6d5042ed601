//! `fleet runs`: which checks and applies there were, and how far an apply came.

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use jiff::SignedDuration;
use serde::Serialize;
use serde_json::json;

use super::journaling::{as_error as as_journal_error, existing};
use super::options::ListFormat;
use super::remember::as_error;
use super::session::Session;
use super::table::{age, table, time};
use crate::error::{Error, ErrorKind};
use crate::harmless;
use crate::journal::{Asked, Outcome, Past, latest, unfinished};
use crate::memory::{Project, RunEntry, Store as _};
use crate::report::{Batches, Command, ExitCode, single_line};

/// Arguments of `fleet runs`.
#[derive(Args, Clone, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct RunsArgs {
    #[command(subcommand)]
    verb: Option<Verb>,

    /// List at most so many, the latest first
    #[arg(long, value_name = "N", default_value = "20")]
    limit: u32,

    /// Print the list in this format
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: ListFormat,
}

#[derive(Clone, Debug, Subcommand)]
enum Verb {
    /// Show what the journal of an apply says of each of its hosts
    ///
    /// The journal is there whatever became of the run: a host that was begun and of which no end
    /// is known is `unknown`.
    Show(ShowArgs),
}

#[derive(Args, Clone, Debug)]
struct ShowArgs {
    /// The run; the latest apply, if it is not given
    #[arg(value_name = "RUN_ID")]
    id: Option<String>,

    /// Print it in this format
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: ListFormat,
}

pub(super) fn run(session: &mut Session, args: &RunsArgs) -> Result<ExitCode, Error> {
    if let Some(Verb::Show(args)) = &args.verb {
        return show(session, args);
    }
    let failed = |error| as_error(error, "the runs cannot be listed");
    let store = Project::of_current_directory()
        .existing_store()
        .map_err(failed)?;
    let runs = store
        .map_or(Ok(Vec::new()), |store| store.runs(args.limit))
        .map_err(failed)?;
    let text = match args.format {
        ListFormat::Json => json(&runs),
        ListFormat::Text if runs.is_empty() => "No run is remembered here.\n".to_owned(),
        ListFormat::Text => text(&runs),
    };
    let text = match args.format {
        ListFormat::Json => text,
        ListFormat::Text => text + &left_over()?,
    };
    session.output.write(&text)?;
    Ok(ExitCode::AsDeclared)
}

/// Applies of which hosts are left, as they are not in the list if they were killed.
fn left_over() -> Result<String, Error> {
    let directory = existing(&Project::of_current_directory())?;
    let unfinished = directory.map_or(Ok(Vec::new()), |directory| unfinished(&directory));
    let unfinished =
        unfinished.map_err(|error| as_journal_error(error, "the journals cannot be read"))?;
    let lines = unfinished.iter().map(|past| {
        let left = past.hosts(&Outcome::LEFT).len();
        let (id, playbook) = (&past.asked.run_id, single_line(&past.asked.playbook));
        let state = if past.is_running {
            "goes on"
        } else {
            "is left"
        };
        format!(
            "{id} of {playbook} {state}: {left} of {} hosts are not done\n",
            past.asked.hosts.len()
        )
    });
    let lines: String = lines.collect();
    Ok(if lines.is_empty() {
        lines
    } else {
        format!("\n{lines}")
    })
}

fn show(session: &mut Session, args: &ShowArgs) -> Result<ExitCode, Error> {
    let failed = |error| as_journal_error(error, "the run cannot be shown");
    let project = Project::of_current_directory();
    let none = || {
        let message = format!("no apply of {} has a journal", project.root().display());
        Error::new(ErrorKind::Usage, message).hint("start fleet in the project of the playbook")
    };
    let directory = existing(&project)?.ok_or_else(none)?;
    let id = match &args.id {
        Some(id) => id.clone(),
        None => latest(&directory).map_err(failed)?.ok_or_else(none)?,
    };
    let past = Past::load(&directory, &id).map_err(failed)?;
    let text = match args.format {
        ListFormat::Text => journal_text(&past),
        ListFormat::Json => journal_json(&past),
    };
    session.output.write(&text)?;
    Ok(ExitCode::AsDeclared)
}

/// What became of a run.
fn state(past: &Past) -> String {
    match &past.over {
        None if past.is_running => "it is going on".to_owned(),
        None => "it was killed".to_owned(),
        Some((code, None)) => format!("exit code {code}"),
        Some((code, Some(why))) => format!("exit code {code}: {why}"),
    }
}

fn journal_text(past: &Past) -> String {
    let Asked {
        run_id,
        playbook,
        started_at,
        plays,
        resumes,
        ..
    } = &past.asked;
    let mut text = format!(
        "run {run_id}: apply of {}, {}, {}\n",
        single_line(playbook),
        time(*started_at),
        single_line(&state(past))
    );
    if let Some(earlier) = resumes {
        _ = writeln!(text, "goes on with run {}", single_line(earlier));
    }
    for words in plays.iter().filter_map(Batches::words) {
        _ = writeln!(text, "{}", single_line(&words));
    }
    for outcome in Outcome::ALL {
        let hosts = past.hosts(&[outcome]);
        if !hosts.is_empty() {
            let hosts: Vec<_> = hosts.into_iter().map(single_line).collect();
            _ = writeln!(
                text,
                "  {:<11} {:>4}  {}",
                outcome.as_str(),
                hosts.len(),
                hosts.join(", ")
            );
        }
    }
    let left = !past.hosts(&Outcome::LEFT).is_empty();
    match &past.resumed_by {
        Some(by) => _ = writeln!(text, "run {} goes on with it", single_line(by)),
        None if left && !past.is_running => {
            _ = writeln!(text, "`fleet apply --resume {run_id}` goes on with it");
        }
        None => {}
    }
    text
}

fn journal_json(past: &Past) -> String {
    let Asked {
        run_id,
        playbook,
        started_at,
        plays,
        hosts,
        resumes,
        ..
    } = &past.asked;
    let hosts = hosts
        .iter()
        .map(|host| json!({"host": host, "outcome": past.outcome(host)}));
    let document = json!({
        "schema_version": 1,
        "run_id": run_id,
        "command": Command::Apply,
        "playbook": playbook,
        "started_at": time(*started_at),
        "running": past.is_running,
        "exit_code": past.over.as_ref().map(|(code, _)| code),
        "cut_short": past.over.as_ref().and_then(|(_, why)| why.as_ref()),
        "resumes": resumes,
        "resumed_by": past.resumed_by,
        "plays": plays,
        "hosts": hosts.collect::<Vec<_>>(),
    });
    format!("{document:#}\n")
}

fn text(runs: &[RunEntry]) -> String {
    let row = |run: &RunEntry| {
        [
            run.id.clone(),
            run.command.as_str().to_owned(),
            run.playbook.clone(),
            time(run.started_at),
            age(SignedDuration::try_from(run.duration).unwrap_or(SignedDuration::MAX)),
            run.hosts.to_string(),
            run.exit_code.to_string(),
        ]
    };
    let rows: Vec<_> = runs.iter().map(row).collect();
    let heading = [
        "RUN", "COMMAND", "PLAYBOOK", "STARTED", "TOOK", "HOSTS", "EXIT",
    ];
    table(heading, &rows)
}

#[derive(Serialize)]
struct Document<'a> {
    schema_version: u32,
    runs: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    run_id: &'a str,
    command: Command,
    playbook: &'a str,
    started_at: String,
    duration_ms: u128,
    hosts: u64,
    exit_code: u8,
}

impl<'a> Entry<'a> {
    fn new(run: &'a RunEntry) -> Self {
        let RunEntry {
            id,
            command,
            playbook,
            started_at,
            duration,
            hosts,
            exit_code,
        } = run;
        Self {
            run_id: id,
            command: *command,
            playbook,
            started_at: time(*started_at),
            duration_ms: duration.as_millis(),
            hosts: *hosts,
            exit_code: *exit_code,
        }
    }
}

fn json(runs: &[RunEntry]) -> String {
    let document = Document {
        schema_version: 1,
        runs: runs.iter().map(Entry::new).collect(),
    };
    let text = serde_json::to_string_pretty(&document).expect("plain structs always serialize");
    harmless::json(text + "\n")
}

//! `fleet runs`: which checks and applies there were.

use clap::Args;
use jiff::SignedDuration;
use serde::Serialize;

use super::options::ListFormat;
use super::remember::as_error;
use super::session::Session;
use super::table::{age, table, time};
use crate::error::Error;
use crate::memory::{Project, RunEntry, Store as _};
use crate::report::{Command, ExitCode};

/// Arguments of `fleet runs`.
#[derive(Args, Clone, Copy, Debug)]
pub(super) struct RunsArgs {
    /// List at most so many, the latest first
    #[arg(long, value_name = "N", default_value = "20")]
    limit: u32,

    /// Print the list in this format
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: ListFormat,
}

pub(super) fn run(session: &mut Session, args: RunsArgs) -> Result<ExitCode, Error> {
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
    session.output.write(&text)?;
    Ok(ExitCode::AsDeclared)
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
    text + "\n"
}

//! The command line: what the user said, turned into one run, and its result into an exit code.
//!
//! The flags are read as they are ([`options`]), decided once ([`settings`]), and handed to the
//! engine in plain values ([`engine`]). Only this module and `report` write for people to read.

use std::ffi::OsString;
use std::process;

use clap::{Parser, Subcommand};

use crate::error::Error;
use crate::report::{Command, ExitCode};

mod apply;
mod check;
mod completions;
mod doc;
mod engine;
mod exec;
mod facts;
mod inventory;
mod options;
mod output;
mod password;
mod session;
mod settings;
mod validate;

use options::{Global, PlaybookArgs};
use output::Output;
use session::Session;
use settings::{Settings, Surroundings};

const EXIT_CODES: &str = "\
Exit codes:
  0    every selected host is as declared (for `apply`: now)
  1    the command line or the configuration is wrong; no host was touched
  2    `check`, `plan`: drift was found; `apply`: at least one host failed
  3    `check`, `plan`: something could not be told, and no drift was found
  4    at least one host was unreachable: the result is incomplete
  5    another run holds the lock, or the plan is stale
  130  interrupted";

/// Make Docker hosts standard and keep them so, over plain SSH
///
/// fleet brings hosts to the state a playbook declares (`apply`), says where they differ from it
/// (`check`) and what it would do (`plan`). Hosts need sshd and nothing else.
#[derive(Clone, Debug, Parser)]
#[command(name = "fleet", version, after_help = EXIT_CODES, max_term_width = 100)]
struct Opts {
    #[command(flatten)]
    global: Global,

    #[command(subcommand)]
    command: Verb,
}

#[derive(Clone, Debug, Subcommand)]
enum Verb {
    /// Bring hosts to the declared state
    ///
    /// Shows the plan first and asks. Every change is read back: what does not come about is a
    /// failure of that host. A failed task ends the work on its host, not on the others.
    Apply(apply::ApplyArgs),
    /// Find what differs from the declared state, and change nothing
    ///
    /// Exits with 2 if something differs and with 3 if something could not be told, so that cron
    /// can tell. With `-q`, nothing is printed when all is well.
    Check(PlaybookArgs),
    /// Show what `apply` would do, and change nothing
    ///
    /// What cannot be known before an earlier task is applied is shown as `?`.
    Plan(PlaybookArgs),
    /// Check playbooks, roles, templates and inventory without contacting a host
    ///
    /// Shows everything that is wrong, each with its file, line and a way out.
    Validate(validate::ValidateArgs),
    /// Run one command on many hosts
    ///
    /// For example: `fleet exec 'web*' -- uptime`
    Exec(exec::ExecArgs),
    /// Print what hosts are, as JSON
    Facts(facts::FactsArgs),
    /// Show hosts, groups and variables, and where they come from
    Inventory(inventory::InventoryArgs),
    /// Show the reference of kinds: what a task can declare
    Doc(doc::DocArgs),
    /// Print a completion script for a shell
    ///
    /// For example: `fleet completions bash > /etc/bash_completion.d/fleet`
    Completions(completions::CompletionsArgs),
}

/// Runs fleet with this process's arguments, stdin, stdout and stderr.
#[must_use]
pub fn main() -> process::ExitCode {
    run(std::env::args_os()).into()
}

fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let opts = match Opts::try_parse_from(args) {
        Ok(opts) => opts,
        Err(error) => {
            // Help goes to stdout and errors to stderr; if nobody reads them, so be it.
            let _ = error.print();
            return if error.use_stderr() {
                ExitCode::Usage
            } else {
                ExitCode::AsDeclared
            };
        }
    };
    let settings = Settings::resolve(&opts.global, Surroundings::of_process());
    let mut session = Session {
        settings,
        output: Output::stdout(),
    };
    dispatch(&mut session, &opts.command)
        .unwrap_or_else(|error| output::report(&error, settings.stderr_color))
}

fn dispatch(session: &mut Session, verb: &Verb) -> Result<ExitCode, Error> {
    match verb {
        Verb::Apply(args) => apply::run(session, args),
        Verb::Check(args) => check::look(session, Command::Check, args),
        Verb::Plan(args) => check::look(session, Command::Plan, args),
        Verb::Validate(args) => validate::run(session, args),
        Verb::Exec(args) => exec::run(session, args),
        Verb::Facts(args) => facts::run(session, args),
        Verb::Inventory(args) => inventory::run(session, args),
        Verb::Doc(args) => doc::run(session, args),
        Verb::Completions(args) => completions::run(session, *args),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Opts::command().debug_assert();
    }

    #[test]
    fn every_flag_and_argument_says_what_it_is_for() {
        let mut pending = vec![Opts::command()];
        while let Some(command) = pending.pop() {
            for arg in command.get_arguments() {
                let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
                let name = format!("{} {}", command.get_name(), arg.get_id());
                assert!(!help.is_empty(), "{name} has no help");
                assert!(
                    !help.ends_with('.'),
                    "the summary of {name} ends with a period"
                );
            }
            assert!(
                command.get_about().is_some(),
                "{} has no summary",
                command.get_name()
            );
            pending.extend(command.get_subcommands().cloned());
        }
    }
}

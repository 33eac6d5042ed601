//! The command line: what the user said, turned into one run, and its result into an exit code.
//!
//! The flags are read as they are ([`options`]), decided once ([`settings`]), and handed to the
//! engine in plain values ([`engine`]). Only this module and `report` write for people to read.

use std::ffi::OsString;
use std::process;

use clap::{Parser, Subcommand};

use crate::error::Error;
use crate::report::ExitCode;
use crate::secret::Redactor;

mod apply;
mod artifacts;
mod bug;
mod check;
mod compare;
mod completions;
mod delivery;
mod destination;
mod doc;
mod drift;
mod engine;
mod exec;
mod facts;
mod images;
mod inventory;
mod journaling;
mod locks;
mod nothing;
mod options;
mod output;
mod password;
mod project;
mod remember;
mod request;
mod resume;
mod runs;
mod secret;
mod session;
mod settings;
mod stream;
mod swap;
mod table;
mod validate;

use delivery::Verdict;
use options::{Format, Global, PlaybookArgs};
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
  5    another run holds the lock
  8    `apply`: stopped before every host was done, by the failure budget or a pause
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
    #[command(mut_arg("playbook", apply::unless_resumed))]
    Apply(apply::ApplyArgs),
    /// Find what differs from the declared state, and change nothing
    ///
    /// Exits with 2 if something differs and with 3 if something could not be told, so that cron
    /// can tell. With `-q`, nothing is printed when all is well. What was found is remembered in
    /// `.fleet/` of the project: the nearest directory, from the playbook's upwards, that has a
    /// `fleet.yml` or a `.fleet`.
    #[command(mut_arg("playbook", check::unless_compared))]
    Check(check::CheckArgs),
    /// Show what `apply` would do, and change nothing
    ///
    /// What cannot be known before an earlier task is applied is shown as `?`.
    Plan(PlaybookArgs),
    /// List the drift that checks have found and that is still open
    ///
    /// Reads what is remembered and contacts no host. A finding is open until a check or an apply
    /// has looked again and seen it gone.
    Drift(drift::DriftArgs),
    /// List the checks and applies of this project, and show what an apply came to
    Runs(runs::RunsArgs),
    /// Check playbooks, roles, templates and inventory without contacting a host
    ///
    /// Shows everything that is wrong, each with its file, line and a way out.
    Validate(validate::ValidateArgs),
    /// Run one command on many hosts
    ///
    /// For example: `fleet exec 'web*' -- uptime`
    Exec(exec::ExecArgs),
    /// Move traffic from one pool of hosts to the other and back, or replace hosts in turn
    ///
    /// Blue and green behind HAProxy: the idle pool is checked, deployed and proven, put into
    /// service on every load balancer, and only then the other one is drained. Too few servers are
    /// never left in service, whatever happens; what fails or was interrupted is taken back. With
    /// `replace` in the file, the hosts of one pool are drained, deployed to, proven and put back,
    /// some at a time.
    Swap(swap::SwapArgs),
    /// Print what hosts are, as JSON
    Facts(facts::FactsArgs),
    /// Show hosts, groups and variables, and where they come from
    Inventory(inventory::InventoryArgs),
    /// Show the reference of kinds: what a task can declare
    Doc(doc::DocArgs),
    /// Fetch and verify the packages and archives of `artifacts.lock.yml`
    Artifacts(artifacts::ArtifactsArgs),
    /// Find out which images tags are, for `images.lock.yml`
    Images(images::ImagesArgs),
    /// Make keys, and encrypt, edit and show files of variables
    ///
    /// Files in `group_vars/`, `host_vars/` and `vars_files` may be encrypted with age. Whatever
    /// is in them is kept out of everything fleet writes. So is what a store outside knows:
    /// templates ask for it with `secret('name')`, through the command that `fleet.yml` names
    /// under `secrets: {command: [pass, show, "{name}"]}`.
    Secret(secret::SecretArgs),
    /// Print a completion script for a shell
    ///
    /// For example: `fleet completions bash > /etc/bash_completion.d/fleet`
    Completions(completions::CompletionsArgs),
}

/// Runs fleet with this process's arguments, stdin, stdout and stderr.
#[must_use]
pub fn main() -> process::ExitCode {
    match bug::caught(|| run(std::env::args_os())) {
        Some(verdict) => verdict.into(),
        None => ExitCode::Usage.into(),
    }
}

fn run(args: impl IntoIterator<Item = OsString>) -> Verdict {
    let args: Vec<_> = args.into_iter().collect();
    let opts = match Opts::try_parse_from(&args) {
        Ok(opts) => opts,
        Err(error) => {
            // Help goes to stdout and errors to stderr; if nobody reads them, so be it.
            let _ = error.print();
            return if !error.use_stderr() {
                ExitCode::AsDeclared.into()
            } else if delivery::is_plugin(&args) {
                delivery::plugin_misused(&error)
            } else {
                ExitCode::Usage.into()
            };
        }
    };
    let settings = Settings::resolve(&opts.global, Surroundings::of_process());
    let redactor = Redactor::default();
    let mut session = Session {
        settings,
        output: Output::stdout(redactor.clone()),
        redactor,
    };
    dispatch(&mut session, &opts.command).unwrap_or_else(|error| {
        if opts.command.is_plugin() {
            return delivery::plugin_error(&mut session, &error);
        }
        output::report(&error, settings.stderr_color, &session.redactor).into()
    })
}

impl Verb {
    /// Whether it is asked as a monitoring plugin, whose exit codes mean something else.
    fn is_plugin(&self) -> bool {
        let options = match self {
            Self::Apply(args) => args.report(),
            Self::Check(args) => args.report(),
            Self::Plan(args) => &args.report,
            _ => return false,
        };
        options.format == Format::Nagios
    }
}

fn dispatch(session: &mut Session, verb: &Verb) -> Result<Verdict, Error> {
    let code = match verb {
        Verb::Apply(args) => return apply::run(session, args),
        Verb::Check(args) => return check::run(session, args),
        Verb::Plan(args) => return check::plan(session, args),
        Verb::Exec(args) => return exec::run(session, args),
        Verb::Validate(args) => validate::run(session, args),
        Verb::Drift(args) => drift::run(session, args),
        Verb::Runs(args) => runs::run(session, args),
        Verb::Swap(args) => swap::run(session, args),
        Verb::Facts(args) => facts::run(session, args),
        Verb::Inventory(args) => inventory::run(session, args),
        Verb::Doc(args) => doc::run(session, args),
        Verb::Artifacts(args) => artifacts::run(session, args),
        Verb::Images(args) => images::run(session, args),
        Verb::Secret(args) => secret::run(session, args),
        Verb::Completions(args) => completions::run(session, *args),
    };
    code.map(Verdict::from)
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

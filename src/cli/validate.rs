//! `fleet validate`: everything that can be wrong without a host.

use std::path::PathBuf;

use clap::Args;

use super::engine;
use super::options::{PlaybookArgs, Targets};
use super::session::Session;
use crate::error::Error;
use crate::report::{Command, ExitCode, Verbosity, single_line};

/// Arguments of `fleet validate`.
#[derive(Args, Clone, Debug)]
pub(super) struct ValidateArgs {
    /// The playbooks
    #[arg(value_name = "PLAYBOOK", required = true)]
    playbooks: Vec<PathBuf>,

    #[command(flatten)]
    targets: Targets,
}

pub(super) fn run(session: &mut Session, args: &ValidateArgs) -> Result<ExitCode, Error> {
    // All playbooks are looked at before the first complaint, as all tasks of one are.
    let mut diagnostics = Vec::new();
    for playbook in &args.playbooks {
        let args = PlaybookArgs::all_of(playbook.clone(), args.targets.clone());
        let request = session.request(Command::Check, &args)?;
        match engine::validate(&request) {
            Ok(()) => {}
            Err(error) if error.diagnostics.is_empty() => return Err(error),
            Err(error) => diagnostics.extend(error.diagnostics),
        }
    }
    if !diagnostics.is_empty() {
        return Err(Error::config(diagnostics));
    }
    if session.settings.verbosity > Verbosity::Quiet {
        for playbook in &args.playbooks {
            let name = playbook.display().to_string();
            session
                .output
                .write(&format!("{} is valid.\n", single_line(&name)))?;
        }
    }
    Ok(ExitCode::AsDeclared)
}

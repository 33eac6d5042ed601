//! `fleet completions`: a script that teaches a shell fleet's commands and flags.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Opts;
use super::session::Session;
use crate::error::Error;
use crate::report::ExitCode;

/// Arguments of `fleet completions`.
#[derive(Args, Clone, Copy, Debug)]
pub(super) struct CompletionsArgs {
    /// For which shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

pub(super) fn run(session: &mut Session, args: CompletionsArgs) -> Result<ExitCode, Error> {
    // Through memory, because clap_complete panics when it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Opts::command(), "fleet", &mut script);
    session.output.write(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::AsDeclared)
}

//! `fleet check` and `fleet plan`: look, change nothing.

use super::options::PlaybookArgs;
use super::session::Session;
use crate::error::Error;
use crate::report::{Command, ExitCode};

/// Looks for drift, in the words of `command`.
pub(super) fn look(
    session: &mut Session,
    command: Command,
    args: &PlaybookArgs,
) -> Result<ExitCode, Error> {
    let request = session.request(command, args)?;
    if let Some(code) = session.list(&request, &args.targets, &args.tags)? {
        return Ok(code);
    }
    let found = session.perform(&request)?;
    session.print(&found, args.report)
}

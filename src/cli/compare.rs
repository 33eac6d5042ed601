//! `fleet check --compare`: hosts against one another, nothing declared.

use std::sync::Arc;

use super::options::{Format, PlaybookArgs, TaskSelection};
use super::output;
use super::request::Work;
use super::session::Session;
use crate::error::{Error, ErrorKind};
use crate::report::{
    self, Command, Comparison, ExitCode, Gathering, RunReport, TextOptions, Verbosity,
};

/// Asks the hosts of a pattern what is on them and says where they differ.
pub(super) fn run(
    session: &mut Session,
    pattern: &str,
    args: &PlaybookArgs,
) -> Result<ExitCode, Error> {
    if !matches!(args.report.format, Format::Text | Format::Json) {
        let message = format!("a comparison cannot be reported as {}", args.report.format);
        return Err(Error::new(ErrorKind::Usage, message).hint("its formats are text and json"));
    }
    let gathering = Arc::new(Gathering::default());
    let work = Work::Census {
        pattern: pattern.to_owned(),
        gathering: Arc::clone(&gathering),
    };
    let request = session.ad_hoc(Command::Facts, work, &args.targets)?;
    if let Some(code) = session.list(&request, &args.targets, &TaskSelection::default())? {
        return Ok(code);
    }
    let heard = session.perform(&request)?;
    let comparison = gathering.compare(heard.hosts.iter().map(|host| host.host.as_str()));
    let text = if args.report.format == Format::Json {
        comparison.to_json(&heard).map_err(|error| {
            Error::new(ErrorKind::Internal, "cannot write the comparison as JSON").caused_by(error)
        })?
    } else {
        let color = session.settings.color;
        comparison.render(session.text_options(&args.report, color))
    };
    session.output.write(&text)?;
    if heard.exit_code() != ExitCode::AsDeclared {
        // Those that were not heard.
        let options = TextOptions {
            color: session.settings.stderr_color,
            verbosity: Verbosity::Quiet,
            diff: false,
        };
        output::say(&report::render(&heard, options));
    }
    Ok(exit_code(&heard, &comparison))
}

/// As for a check, with "differs from the others" in the place of "differs from its declaration".
fn exit_code(heard: &RunReport, comparison: &Comparison) -> ExitCode {
    match heard.exit_code() {
        ExitCode::AsDeclared if !comparison.differences.is_empty() => ExitCode::NotAsDeclared,
        ExitCode::AsDeclared if !comparison.untold.is_empty() => ExitCode::Unknown,
        code => code,
    }
}

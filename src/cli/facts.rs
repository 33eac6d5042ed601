//! `fleet facts`: what hosts are, as JSON.

use clap::{Args, builder::NonEmptyStringValueParser};

use super::options::{Targets, TaskSelection};
use super::output;
use super::request::Work;
use super::session::Session;
use crate::error::{Error, ErrorKind};
use crate::harmless;
use crate::report::{self, Command, ExitCode, RunReport, TextOptions, Verbosity};

/// Arguments of `fleet facts`.
#[derive(Args, Clone, Debug)]
pub(super) struct FactsArgs {
    /// Of which hosts
    #[arg(value_name = "PATTERN", value_parser = NonEmptyStringValueParser::new())]
    pattern: String,

    #[command(flatten)]
    targets: Targets,
}

pub(super) fn run(session: &mut Session, args: &FactsArgs) -> Result<ExitCode, Error> {
    let work = Work::Facts {
        pattern: args.pattern.clone(),
    };
    let request = session.ad_hoc(Command::Facts, work, &args.targets)?;
    if let Some(code) = session.list(&request, &args.targets, &TaskSelection::default())? {
        return Ok(code);
    }
    let report = session.perform(&request)?;
    session.output.write(&by_host(&report)?)?;
    if report.exit_code() != ExitCode::AsDeclared {
        // stdout is for programs here, so the reasons go where people look.
        let color = session.settings.stderr_color;
        let options = TextOptions {
            color,
            verbosity: Verbosity::Quiet,
            diff: false,
        };
        output::say(&report::render(&report, options));
    }
    Ok(report.exit_code())
}

/// One object: host → facts. Hosts that did not answer are not in it.
fn by_host(report: &RunReport) -> Result<String, Error> {
    let mut hosts = serde_json::Map::new();
    for host in &report.hosts {
        if let Some(facts) = &host.facts {
            hosts.insert(host.host.clone(), to_value(facts)?);
        }
    }
    let text = format!("{:#}\n", serde_json::Value::Object(hosts));
    Ok(harmless::json(text))
}

fn to_value(facts: &crate::protocol::Facts) -> Result<serde_json::Value, Error> {
    serde_json::to_value(facts).map_err(|error| {
        Error::new(ErrorKind::Internal, "cannot write facts as JSON").caused_by(error)
    })
}

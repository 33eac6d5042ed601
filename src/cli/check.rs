//! `fleet check` and `fleet plan`: look, change nothing.

use clap::builder::{ArgPredicate, NonEmptyStringValueParser};
use clap::{Arg, Args};

use super::compare;
use super::delivery::{Delivery, Verdict};
use super::options::{FindingArgs, PlaybookArgs, ReportOptions};
use super::remember::Remembering;
use super::session::Session;
use crate::error::Error;
use crate::report::{Command, RunReport};

/// Arguments of `fleet check`.
#[derive(Args, Clone, Debug)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    playbook: PlaybookArgs,

    #[command(flatten)]
    findings: FindingArgs,

    /// Compare the hosts of this pattern with one another instead of with a playbook
    ///
    /// Their facts, packages, kernel parameters, modules and the settings of their Docker
    /// engines: what most of them have, and who deviates. Nothing needs to be declared. Exits
    /// with 2 if they differ. Root (`-b`) may be asked more than others.
    #[arg(
        long,
        value_name = "PATTERN",
        value_parser = NonEmptyStringValueParser::new(),
        conflicts_with_all = [
            "playbook", "tags", "skip_tags", "list_tasks", "list_tags", "diff", "waivers",
            "min_severity", "only_new", "since", "output",
        ]
    )]
    compare: Option<String>,
}

/// There is no playbook where hosts are compared with one another.
pub(super) fn unless_compared(playbook: Arg) -> Arg {
    playbook
        .required(false)
        .required_unless_present("compare")
        .default_value_if("compare", ArgPredicate::IsPresent, "-")
}

impl CheckArgs {
    pub(super) const fn report(&self) -> &ReportOptions {
        &self.playbook.report
    }
}

/// Looks for drift, waives what is waived, and remembers the rest.
pub(super) fn run(session: &mut Session, args: &CheckArgs) -> Result<Verdict, Error> {
    match &args.compare {
        Some(pattern) => compare::run(session, pattern, &args.playbook).map(Verdict::from),
        None => check(session, &args.playbook, &args.findings),
    }
}

/// `fleet check` without any of its own flags: `fleet apply --check`.
pub(super) fn plainly(session: &mut Session, args: &PlaybookArgs) -> Result<Verdict, Error> {
    check(session, args, &FindingArgs::default())
}

/// Says what an apply would do. Waived is what an apply waives: findings that no change removes.
pub(super) fn plan(session: &mut Session, args: &PlaybookArgs) -> Result<Verdict, Error> {
    let request = session.request(Command::Plan, args)?;
    if let Some(code) = session.list(&request, &args.targets, &args.tags)? {
        return Ok(code.into());
    }
    let mut delivery = Delivery::begin(session, &args.report, Command::Plan)?;
    let found = delivery.perform(session, &request, |_| {})?;
    Ok(delivery.finish(session, &found))
}

fn check(
    session: &mut Session,
    args: &PlaybookArgs,
    findings: &FindingArgs,
) -> Result<Verdict, Error> {
    let request = session.request(Command::Check, args)?;
    if let Some(code) = session.list(&request, &args.targets, &args.tags)? {
        return Ok(code.into());
    }
    let mut remembering = Remembering::of(session, &args.playbook)?;
    let request = remembering.wants(request);
    let mut delivery = Delivery::begin(session, &args.report, Command::Check)?;
    let keep = session.keep();
    let arrange = |report: &mut RunReport| {
        let new_since = findings.since.unwrap_or(report.started_at);
        for host in &mut report.hosts {
            host.keep(keep);
            host.hide_unless(|found| {
                let is_new = found.first_seen.is_none_or(|first| first >= new_since);
                let is_bad = findings
                    .min_severity
                    .is_none_or(|least| found.severity >= least);
                is_bad && (is_new || !findings.only_new)
            });
        }
    };
    let date = remembering.dates(session, delivery.is_streamed());
    let mut found = delivery.perform(session, &request, |one| {
        date(one);
        arrange(one);
    })?;
    remembering.learn(session, &mut found, arrange);
    Ok(delivery.finish(session, &found))
}

//! `fleet apply`: show the plan, ask, bring it about.

use clap::Args;

use super::check;
use super::engine::Request;
use super::options::PlaybookArgs;
use super::session::Session;
use super::settings::Answers;
use crate::error::{Error, ErrorKind};
use crate::report::{self, Command, ExitCode, HostStatus, RunReport};

/// Arguments of `fleet apply`.
#[derive(Args, Clone, Debug)]
pub(super) struct ApplyArgs {
    #[command(flatten)]
    playbook: PlaybookArgs,

    /// Change nothing: the same as `fleet check`
    #[arg(short = 'C', long, help_heading = "Changes", visible_alias = "dry-run", aliases = ["dry", "noop"])]
    check: bool,

    /// Do not show the plan and ask first
    #[arg(short, long, help_heading = "Changes", alias = "auto-approve")]
    yes: bool,
}

pub(super) fn run(session: &mut Session, args: &ApplyArgs) -> Result<ExitCode, Error> {
    if args.check {
        return check::look(session, Command::Check, &args.playbook);
    }
    let PlaybookArgs {
        targets,
        tags,
        report,
        ..
    } = &args.playbook;
    let lists = targets.list_hosts || tags.list_tasks || tags.list_tags;
    if !args.yes && !lists && session.settings.answers != Answers::Typed {
        return Err(Error::new(
            ErrorKind::Usage,
            "`fleet apply` asks before it changes anything, and there is no terminal to ask on",
        )
        .hint("give `--yes` to apply without being asked, or look first with `fleet plan`"));
    }
    let request = session.request(Command::Apply, &args.playbook)?;
    if let Some(code) = session.list(&request, targets, tags)? {
        return Ok(code);
    }
    if !args.yes {
        let plan = session.perform(&Request {
            command: Command::Plan,
            ..request.clone()
        })?;
        if plan.interrupted || !leaves_work(&plan) {
            // What was asked for was an apply, and there was nothing to it.
            return session.print(
                &RunReport {
                    command: Command::Apply,
                    ..plan
                },
                *report,
            );
        }
        ask(session, &plan, args)?;
    }
    let done = session.perform(&request)?;
    session.print(&done, *report)
}

/// Whether an apply would do anything. A command without a guard is no drift, and yet work.
fn leaves_work(plan: &RunReport) -> bool {
    plan.hosts.iter().any(|host| {
        !matches!(host.status(), HostStatus::InSync | HostStatus::Unreachable)
            || host.resources.iter().any(|found| found.would_run)
    })
}

/// The plan and the question are a conversation, so both go to stderr; stdout is for the report.
fn ask(session: &Session, plan: &RunReport, args: &ApplyArgs) -> Result<(), Error> {
    let color = session.settings.stderr_color;
    let text = report::render(plan, session.text_options(args.playbook.report, color));
    let term = console::Term::stderr();
    let answer = term
        .write_str(&format!("{text}\nApply these changes? [y/N] "))
        .and_then(|()| term.read_line())
        .map_err(|error| Error::new(ErrorKind::Internal, "cannot ask").caused_by(error))?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Error::new(
            ErrorKind::Interrupted,
            "not applied: nothing was changed",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Status;
    use crate::report::{HostReport, Keep, ResourceReport};

    fn plan(found: ResourceReport) -> RunReport {
        let mut host = HostReport::new("a");
        host.record(found, Keep::Findings);
        RunReport {
            run_id: String::new(),
            command: Command::Plan,
            playbook: String::new(),
            started_at: jiff::Timestamp::UNIX_EPOCH,
            duration: std::time::Duration::ZERO,
            hosts: vec![host],
            interrupted: false,
        }
    }

    #[test]
    fn only_a_plan_with_something_to_do_is_asked_about() {
        for (status, would_run, expected) in [
            (Status::Ok, false, false),
            (Status::Skipped, false, false),
            (Status::Skipped, true, true),
            (Status::Drift, false, true),
            (Status::Unknown, false, true),
        ] {
            let found = ResourceReport {
                status,
                would_run,
                ..ResourceReport::default()
            };
            assert_eq!(
                leaves_work(&plan(found)),
                expected,
                "{status:?} {would_run}"
            );
        }
    }
}

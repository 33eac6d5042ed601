//! `fleet apply`: show the plan, ask, bring it about.

use std::io;
use std::time::Duration;

use clap::builder::ArgPredicate;
use clap::{Arg, Args};

use super::check;
use super::delivery::{Delivery, Verdict};
use super::journaling::Journaling;
use super::options::{PlaybookArgs, ReportOptions};
use super::remember::Remembering;
use super::request::Request;
use super::resume::{self, GoingOn, NAMED_BY_JOURNAL, RolloutArgs};
use super::session::Session;
use super::settings::Answers;
use crate::error::{Error, ErrorKind};
use crate::harmless;
use crate::report::{self, Command, HostStatus, ResourceReport, RunReport};
use crate::run::{Interrupt, Rollout};

/// Arguments of `fleet apply`.
#[derive(Args, Clone, Debug)]
pub(super) struct ApplyArgs {
    #[command(flatten)]
    pub playbook: PlaybookArgs,

    #[command(flatten)]
    pub rollout: RolloutArgs,

    /// Change nothing: the same as `fleet check`
    #[arg(short = 'C', long, help_heading = "Changes", visible_alias = "dry-run", aliases = ["dry", "noop"])]
    check: bool,

    /// Remove what the playbook made earlier and no longer declares
    ///
    /// Only what `fleet check` shows as `orphan`, and only when all tasks take part: not with
    /// `--tags` or `--skip-tags`.
    #[arg(long, help_heading = "Changes", conflicts_with_all = ["tags", "skip_tags"])]
    pub prune: bool,

    /// Wait so long for another run that changes the same host: `90`, `30s`, `5m`
    ///
    /// `0` does not wait. The other hosts go on meanwhile.
    #[arg(
        long,
        help_heading = "Changes",
        value_name = "DURATION",
        default_value = "30s",
        value_parser = duration
    )]
    pub lock_timeout: Duration,

    /// Do not show the plan and ask first
    #[arg(short, long, help_heading = "Changes", alias = "auto-approve")]
    yes: bool,
}

impl ApplyArgs {
    pub(super) const fn report(&self) -> &ReportOptions {
        &self.playbook.report
    }
}

pub(super) fn run(session: &mut Session, args: &ApplyArgs) -> Result<Verdict, Error> {
    if args.check {
        return check::plainly(session, &args.playbook);
    }
    let GoingOn {
        args,
        rollout,
        past,
    } = resume::going_on(args)?;
    let args = &args;
    let PlaybookArgs { targets, tags, .. } = &args.playbook;
    let lists = targets.list_hosts || tags.list_tasks || tags.list_tags;
    if !args.yes && !lists && session.settings.answers != Answers::Typed {
        return Err(Error::new(
            ErrorKind::Usage,
            "`fleet apply` asks before it changes anything, and there is no terminal to ask on",
        )
        .hint("give `--yes` to apply without being asked, or look first with `fleet plan`"));
    }
    let request = Request {
        lock_timeout: args.lock_timeout,
        prune: args.prune,
        rollout: Rollout {
            goes_on: (session.settings.answers == Answers::Typed).then_some(goes_on),
            ..rollout
        },
        ..session.request(Command::Apply, &args.playbook)?
    };
    if let Some(code) = session.list(&request, targets, tags)? {
        return Ok(code.into());
    }
    let mut delivery = Delivery::begin(session, args.report(), Command::Apply)?;
    let request = Request {
        journaling: Some(Journaling::of(
            &args.playbook.playbook,
            resume::kept(args),
            past,
        )?),
        ..request
    };
    let mut remembering = Remembering::of(session, &args.playbook.playbook)?;
    let request = remembering.wants(request);
    if !args.yes {
        let plan = session.perform(&Request {
            command: Command::Plan,
            ..request.clone()
        })?;
        if plan.cut_short.is_some() || !leaves_work(&plan) {
            // What was asked for was an apply, and there was nothing to it.
            let done = RunReport {
                command: Command::Apply,
                ..plan
            };
            return Ok(finish(session, remembering, done, delivery));
        }
        ask(session, &plan, args)?;
    }
    let keep = session.keep();
    let date = remembering.dates(session, delivery.is_streamed());
    let done = delivery.perform(session, &request, |one| {
        date(one);
        one.hosts.iter_mut().for_each(|host| host.keep(keep));
    })?;
    Ok(finish(session, remembering, done, delivery))
}

/// The journal names the playbook of a run that is gone on with.
pub(super) fn unless_resumed(playbook: Arg) -> Arg {
    let named = [
        ("resume", ArgPredicate::IsPresent, NAMED_BY_JOURNAL),
        ("rerun", ArgPredicate::IsPresent, NAMED_BY_JOURNAL),
    ];
    playbook
        .required(false)
        .required_unless_present_any(["resume", "rerun"])
        .default_value_ifs(named)
}

/// Remembers the run and prints its report.
fn finish(
    session: &mut Session,
    remembering: Remembering,
    mut done: RunReport,
    delivery: Delivery<'_>,
) -> Verdict {
    let keep = session.keep();
    remembering.learn(session, &mut done, |report| {
        report.hosts.iter_mut().for_each(|host| host.keep(keep));
    });
    delivery.finish(session, &done)
}

/// Seconds, or a duration with its unit.
fn duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse::<u32>() {
        return Ok(Duration::from_secs(seconds.into()));
    }
    text.parse::<jiff::SignedDuration>()
        .ok()
        .and_then(|duration| Duration::try_from(duration).ok())
        .ok_or_else(|| "expected seconds, or a duration such as `30s` or `5m`".to_owned())
}

/// Whether an apply would do anything. A command without a guard is no drift, and yet work.
fn leaves_work(plan: &RunReport) -> bool {
    plan.hosts.iter().any(|host| {
        let work = match host.status() {
            HostStatus::InSync | HostStatus::Unreachable | HostStatus::Untouched => false,
            HostStatus::Drifted => host.resources.iter().any(ResourceReport::would_change),
            HostStatus::Changed | HostStatus::Failed | HostStatus::Unknown => true,
        };
        work || host.resources.iter().any(|found| found.would_run)
    })
}

/// The plan and the question are a conversation, so both go to stderr; stdout is for the report.
fn ask(session: &Session, plan: &RunReport, args: &ApplyArgs) -> Result<(), Error> {
    let color = session.settings.stderr_color;
    let text = report::render(plan, session.text_options(args.report(), color));
    let question = format!("{text}\nApply these changes? [y/N] ");
    let cannot = |error| Error::new(ErrorKind::Internal, "cannot ask").caused_by(error);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(cannot)?;
    // Looking at the hosts has taken Ctrl-C away from the terminal.
    let answer = runtime
        .block_on(async {
            Interrupt::listen()
                .unless(move || consents(&question))
                .await
        })
        .transpose()
        .map_err(cannot)?;
    match answer {
        Some(true) => Ok(()),
        Some(false) | None => Err(Error::new(
            ErrorKind::Interrupted,
            "not applied: nothing was changed",
        )),
    }
}

/// Asks on the terminal. Whatever is not yes is no. The terminal stays as it is, so that Ctrl-C
/// comes as a signal.
fn consents(question: &str) -> io::Result<bool> {
    console::Term::stderr().write_str(&harmless::written(question))?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    let answer = answer.trim().to_ascii_lowercase();
    Ok(matches!(&*answer, "y" | "yes"))
}

/// Asks whether to go on after a pause.
fn goes_on(so_far: &str) -> bool {
    consents(&format!("{so_far}; go on with the next batch? [y/N] ")).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Drift, Severity, Status};
    use crate::report::{Difference, HostReport, Keep, ResourceReport};

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
            cut_short: None,
            batches: Vec::new(),
            waivers: Vec::new(),
        }
    }

    #[test]
    fn what_an_audit_finds_is_nothing_to_apply() {
        let drift = |drift| ResourceReport {
            status: Status::Drift,
            drift: vec![Difference::new(drift, Severity::Medium)],
            ..ResourceReport::default()
        };
        let reported = drift(Drift::reported("privileged", "false", "true"));
        assert!(!leaves_work(&plan(reported)));
        assert!(leaves_work(&plan(drift(Drift::update("mode", "a", "b")))));
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

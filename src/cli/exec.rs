//! `fleet exec`: one command on many hosts, answered as Ansible's ad-hoc mode does.

use clap::{Args, builder::NonEmptyStringValueParser};

use super::delivery::{Delivery, Verdict};
use super::options::{ReportOptions, Targets, TaskSelection};
use super::request::Work;
use super::session::Session;
use crate::error::Error;
use crate::protocol::{Output, Status};
use crate::report::{Command, HostReport, HostStatus, Keep, RunReport, lines, single_line};

/// Arguments of `fleet exec`.
#[derive(Args, Clone, Debug)]
pub(super) struct ExecArgs {
    /// On which hosts
    #[arg(value_name = "PATTERN", value_parser = NonEmptyStringValueParser::new())]
    pattern: String,

    #[command(flatten)]
    targets: Targets,

    #[command(flatten)]
    report: ReportOptions,

    /// The program and its arguments, after `--`; no shell reads them
    #[arg(
        value_name = "CMD",
        last = true,
        required_unless_present = "list_hosts"
    )]
    command: Vec<String>,
}

pub(super) fn run(session: &mut Session, args: &ExecArgs) -> Result<Verdict, Error> {
    let work = Work::Exec {
        pattern: args.pattern.clone(),
        argv: args.command.clone(),
    };
    let mut request = session.ad_hoc(Command::Exec, work, &args.targets)?;
    // What the command printed is the result here, not a remark.
    request.keep = Keep::All;
    if let Some(code) = session.list(&request, &args.targets, &TaskSelection::default())? {
        return Ok(code.into());
    }
    let mut delivery = Delivery::begin(session, &args.report, Command::Exec)?;
    let report = delivery.perform(session, &request, |_| {})?;
    Ok(delivery.finish_as(session, &report, |report, _| render(report)))
}

/// `host | CHANGED | rc=0 >>` and what the command printed, host by host.
fn render(report: &RunReport) -> String {
    let mut answers: Vec<_> = report.hosts.iter().flat_map(answer).collect();
    answers.push(String::new());
    answers.join("\n")
}

fn answer(host: &HostReport) -> Vec<String> {
    let name = single_line(&host.host);
    if let Some(error) = &host.error {
        let verdict = match host.status() {
            HostStatus::Unreachable => format!("{name} | UNREACHABLE! ({})", error.class.words()),
            HostStatus::Untouched => format!("{name} | UNTOUCHED"),
            _ => format!("{name} | FAILED!"),
        };
        return with_body(format!("{verdict} >>"), &[&error.message]);
    }
    host.resources
        .iter()
        .flat_map(|resource| {
            let word = match resource.status {
                Status::Ok => "SUCCESS",
                Status::Changed | Status::Drift => "CHANGED",
                Status::Failed => "FAILED",
                Status::Unknown => "UNKNOWN",
                Status::Skipped => "SKIPPED",
            };
            match (&resource.output, &resource.message) {
                (
                    Some(Output {
                        rc,
                        stdout,
                        stderr,
                        truncated,
                    }),
                    _,
                ) => {
                    let mut lines =
                        with_body(format!("{name} | {word} | rc={rc} >>"), &[stdout, stderr]);
                    if *truncated {
                        lines.push("(the rest of the output was dropped)".to_owned());
                    }
                    lines
                }
                (None, Some(message)) => with_body(format!("{name} | {word} >>"), &[message]),
                (None, None) => vec![format!("{name} | {word}")],
            }
        })
        .collect()
}

fn with_body(head: String, texts: &[&str]) -> Vec<String> {
    let body = texts
        .iter()
        .flat_map(|text| lines(text))
        .map(std::borrow::Cow::into_owned);
    std::iter::once(head).chain(body).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{ErrorClass, HostError, ResourceReport};

    fn answered(name: &str, status: Status, rc: i32, stdout: &str, stderr: &str) -> HostReport {
        let mut host = HostReport::new(name);
        let (stdout, stderr) = (stdout.to_owned(), stderr.to_owned());
        let output = Some(Output {
            rc,
            stdout,
            stderr,
            truncated: rc > 1,
        });
        let resource = ResourceReport {
            status,
            output,
            ..ResourceReport::default()
        };
        host.record(resource, Keep::All);
        host
    }

    #[test]
    fn each_host_answers_as_ansible_would_print_it() {
        let mut silent = HostReport::new("web03");
        silent.error = Some(HostError {
            class: ErrorClass::Refused,
            message: "nothing listens on port 22".to_owned(),
        });
        let report = RunReport {
            run_id: String::new(),
            command: Command::Exec,
            playbook: String::new(),
            started_at: jiff::Timestamp::UNIX_EPOCH,
            duration: std::time::Duration::ZERO,
            hosts: vec![
                answered("web01", Status::Changed, 0, "up 3 days\n", ""),
                answered("web02", Status::Failed, 2, "half\n", "broken\x1b]0;x\x07\n"),
                silent,
            ],
            cut_short: None,
            batches: Vec::new(),
            waivers: Vec::new(),
        };
        insta::assert_snapshot!(render(&report), @r"
        web01 | CHANGED | rc=0 >>
        up 3 days
        web02 | FAILED | rc=2 >>
        half
        broken\x1b]0;x\x07
        (the rest of the output was dropped)
        web03 | UNREACHABLE! (connection refused) >>
        nothing listens on port 22
        ");
    }
}

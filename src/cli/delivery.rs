//! Where a report goes: to stdout in one format, into files in any number of others, and as
//! lines to whoever does not want to wait. All of it is made from the one report.

use std::collections::HashSet;
use std::ffi::OsString;

use super::destination::Destination;
use super::options::{Format, ReportOptions};
use super::output::{self, Output};
use super::request::Request;
use super::session::Session;
use super::stream::{Sink, Stream};
use crate::error::{Error, ErrorKind};
use crate::report::{
    self, Command, ExitCode, RunReport, State, host_line, summary_line, to_html, to_json, to_junit,
    to_nagios, to_prometheus,
};
use crate::secret::Redactor;

/// What the process is to exit with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// fleet's own code.
    Code(ExitCode),
    /// The state of a monitoring plugin: it was asked for as one.
    Plugin(State),
}

impl From<ExitCode> for Verdict {
    fn from(code: ExitCode) -> Self {
        Self::Code(code)
    }
}

impl From<Verdict> for std::process::ExitCode {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Code(code) => code.into(),
            Verdict::Plugin(state) => Self::from(state as u8),
        }
    }
}

/// A report that is to be delivered.
#[derive(Debug)]
pub(super) struct Delivery<'o> {
    options: &'o ReportOptions,
    /// Where lines go while the run goes on.
    stream: Option<Stream>,
    /// Hosts whose line was sent.
    sent: HashSet<String>,
}

impl<'o> Delivery<'o> {
    /// Makes sure that everything asked for can be delivered, before any host is contacted.
    ///
    /// # Errors
    /// A format that the command has no report for, or a file that cannot be written.
    pub(super) fn begin(
        session: &Session,
        options: &'o ReportOptions,
        command: Command,
    ) -> Result<Self, Error> {
        let files = options.output.iter().map(|file| file.format);
        for format in std::iter::once(options.format).chain(files) {
            if command == Command::Exec && !format.suits_exec() {
                let message = format!("`fleet exec` has no findings to report as {format}");
                return Err(Error::new(ErrorKind::Usage, message)
                    .hint("its formats are text, json and jsonl"));
            }
        }
        Destination::check_all(&options.output)?;
        let mut sinks: Vec<Sink> = Vec::new();
        if options.format == Format::Jsonl {
            sinks.push(Sink::stdout(&session.redactor));
        }
        for file in &options.output {
            if file.format == Format::Jsonl {
                sinks.push(Sink::file(file, &session.redactor)?);
            }
        }
        Ok(Self {
            options,
            stream: (!sinks.is_empty()).then(|| Stream::start(sinks)),
            sent: HashSet::new(),
        })
    }

    /// Whether somebody wants to hear of hosts before the run is over.
    pub(super) const fn is_streamed(&self) -> bool {
        self.stream.is_some()
    }

    /// Runs `request` and streams each host that is done, once `arrange` has made of its report
    /// what [`finish`](Self::finish) will be given of it.
    pub(super) fn perform(
        &mut self,
        session: &Session,
        request: &Request,
        arrange: impl Fn(&mut RunReport),
    ) -> Result<RunReport, Error> {
        let streamed = self.is_streamed();
        let mut tell = |mut one: RunReport| {
            arrange(&mut one);
            self.stream(&one);
        };
        session.perform_telling(request, streamed.then_some(&mut tell))
    }

    /// Sends what has not been sent yet of these hosts.
    fn stream(&mut self, report: &RunReport) {
        let Some(stream) = &self.stream else { return };
        for host in &report.hosts {
            if self.sent.insert(host.host.clone()) {
                stream.send(host_line(&report.run_id, host));
            }
        }
    }

    /// Delivers the report of a playbook everywhere.
    pub(super) fn finish(self, session: &mut Session, report: &RunReport) -> Verdict {
        let colored = session.text_options(self.options, session.settings.color);
        let plain = session.text_options(self.options, false);
        self.finish_as(session, report, |report, color| {
            report::render(report, if color { colored } else { plain })
        })
    }

    /// Delivers the report everywhere, with `text` as its text for people. What could not be
    /// delivered is told on stderr, and then the code is not that of a success; what was found
    /// on the hosts remains the more important news.
    pub(super) fn finish_as(
        mut self,
        session: &mut Session,
        report: &RunReport,
        text: impl Fn(&RunReport, bool) -> String,
    ) -> Verdict {
        self.stream(report);
        let mut errors = Vec::new();
        if let Some(stream) = self.stream.take() {
            errors.extend(stream.end(summary_line(report)));
        }
        if let Some(text) = rendered(self.options.format, report, |report| {
            text(report, session.settings.color)
        }) {
            errors.extend(session.output.write(&text).err());
        }
        for file in &self.options.output {
            if let Some(text) = rendered(file.format, report, |report| text(report, false)) {
                let text = session.redactor.redact(&text);
                errors.extend(file.write(&text).err());
            }
        }
        for error in &errors {
            output::report(error, session.settings.stderr_color, &session.redactor);
        }
        let delivered = errors.is_empty();
        match (self.options.format, report.exit_code()) {
            (Format::Nagios, ExitCode::AsDeclared) if !delivered => Verdict::Plugin(State::Unknown),
            (Format::Nagios, _) => Verdict::Plugin(State::of(report)),
            (_, ExitCode::AsDeclared) if !delivered => ExitCode::Usage.into(),
            (_, code) => code.into(),
        }
    }
}

/// The report in a format; nothing in the one that was streamed.
fn rendered(
    format: Format,
    report: &RunReport,
    text: impl Fn(&RunReport) -> String,
) -> Option<String> {
    match format {
        Format::Text => Some(text(report)),
        Format::Json => Some(to_json(report)),
        Format::Jsonl => None,
        Format::Junit => Some(to_junit(report)),
        Format::Prometheus => Some(to_prometheus(report)),
        Format::Nagios => Some(to_nagios(report)),
        Format::Html => Some(to_html(report)),
    }
}

/// An error, as a monitoring plugin tells it: nothing is known of the hosts.
pub(super) fn plugin_error(session: &mut Session, error: &Error) -> Verdict {
    let line = State::Unknown.line(&report::single_line(&error.message));
    // The particulars go where people look; the code is there even if nobody reads the line.
    output::report(error, session.settings.stderr_color, &session.redactor);
    let _ = session.output.write(&format!("{line}\n"));
    Verdict::Plugin(State::Unknown)
}

/// Whether the caller of a command line that cannot be understood is a monitoring system.
pub(super) fn is_plugin(args: &[OsString]) -> bool {
    let flags: Vec<_> = args.iter().take_while(|arg| *arg != "--").collect();
    let in_two = |pair: &[&OsString]| pair[0] == "--format" && pair[1] == "nagios";
    flags.iter().any(|flag| *flag == "--format=nagios") || flags.windows(2).any(in_two)
}

/// A wrong command line, as a monitoring plugin tells it: nothing is known of the hosts, which is
/// not the WARNING that fleet's own code would be. The particulars are on stderr already.
pub(super) fn plugin_misused(error: &clap::Error) -> Verdict {
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default();
    let line = State::Unknown.line(&report::single_line(first.trim_start_matches("error: ")));
    let _ = Output::stdout(Redactor::default()).write(&format!("{line}\n"));
    Verdict::Plugin(State::Unknown)
}

//! What every command that reaches hosts does alike: make a request, show progress, print.

use std::io::{Stdout, stderr};
use std::time::Duration;

use super::engine::{self, Listing, Request, Work};
use super::options::{self, Format, PlaybookArgs, ReportOptions, Targets, TaskSelection};
use super::output::Output;
use super::password;
use super::settings::{ProgressStyle, Settings};
use crate::error::Error;
use crate::report::{
    self, Command, ExitCode, Keep, Live, Plain, Progress, RunReport, Silent, TextOptions, Verbosity,
};

/// One invocation of fleet: how it talks, and to whom.
#[derive(Debug)]
pub(super) struct Session {
    pub settings: Settings,
    pub output: Output<Stdout>,
}

impl Session {
    /// Runs `request` with progress on stderr, which is gone again when this returns.
    pub(super) fn perform(&self, request: &Request) -> Result<RunReport, Error> {
        let progress: Box<dyn Progress> = match self.settings.progress {
            ProgressStyle::Live => Box::new(Live::stderr()),
            ProgressStyle::Plain => Box::new(Plain::new(stderr())),
            ProgressStyle::None => Box::new(Silent),
        };
        let result = engine::run(request, &*progress);
        progress.end();
        result
    }

    /// Prints the report, and says what to exit with.
    pub(super) fn print(
        &mut self,
        report: &RunReport,
        options: ReportOptions,
    ) -> Result<ExitCode, Error> {
        let text = match options.format {
            Format::Text => report::render(report, self.text_options(options, self.settings.color)),
            Format::Json => report::to_json(report),
        };
        self.output.write(&text)?;
        Ok(report.exit_code())
    }

    pub(super) fn text_options(&self, options: ReportOptions, color: bool) -> TextOptions {
        TextOptions {
            color,
            verbosity: self.settings.verbosity,
            diff: options.diff,
        }
    }

    /// The request that a playbook's arguments make.
    pub(super) fn request(&self, command: Command, args: &PlaybookArgs) -> Result<Request, Error> {
        let work = Work::Playbook(args.playbook.clone());
        let request = self.ad_hoc(command, work, &args.targets)?;
        let TaskSelection {
            tags, skip_tags, ..
        } = args.tags.clone();
        Ok(Request {
            tags,
            skip_tags,
            diff: args.report.diff,
            ..request
        })
    }

    /// A request without tags and diffs.
    pub(super) fn ad_hoc(
        &self,
        command: Command,
        work: Work,
        targets: &Targets,
    ) -> Result<Request, Error> {
        Ok(Request {
            command,
            work,
            sources: sources(&targets.sources),
            limit: targets.limit.clone(),
            connection: self.connection(&targets.connection)?,
            tags: Vec::new(),
            skip_tags: Vec::new(),
            diff: false,
            color: self.settings.stderr_color,
            keep: match self.settings.verbosity {
                Verbosity::Quiet | Verbosity::Normal => Keep::Findings,
                Verbosity::Verbose => Keep::All,
            },
        })
    }

    fn connection(&self, args: &options::Connection) -> Result<engine::Connection, Error> {
        Ok(engine::Connection {
            forks: args.forks,
            user: args.user.clone(),
            private_key: args.private_key.clone(),
            ssh_config: args.ssh_config.clone(),
            connect_timeout: Duration::from_secs(args.connect_timeout.into()),
            r#become: args.r#become,
            become_password: args
                .ask_become_pass
                .then(|| password::ask(self.settings.answers))
                .transpose()?,
        })
    }

    /// Prints a list instead of working, if one was asked for.
    pub(super) fn list(
        &mut self,
        request: &Request,
        targets: &Targets,
        tags: &TaskSelection,
    ) -> Result<Option<ExitCode>, Error> {
        let listing = match (targets.list_hosts, tags.list_tasks, tags.list_tags) {
            (true, _, _) => Listing::Hosts,
            (_, true, _) => Listing::Tasks,
            (_, _, true) => Listing::Tags,
            (false, false, false) => return Ok(None),
        };
        self.output.write(&engine::list(request, listing)?)?;
        Ok(Some(ExitCode::AsDeclared))
    }
}

/// Where hosts and variables come from, as asked for.
pub(super) fn sources(args: &options::Sources) -> engine::Sources {
    engine::Sources {
        inventory: args.inventory.clone(),
        extra_vars: args.extra_vars.clone(),
    }
}

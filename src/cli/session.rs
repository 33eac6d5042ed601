//! What every command that reaches hosts does alike: make a request, show progress, print.

use std::io::{Stdout, stderr};
use std::path::Path;
use std::time::Duration;

use super::engine;
use super::locks;
use super::options::{self, PlaybookArgs, ReportOptions, Targets, TaskSelection};
use super::output::Output;
use super::password;
use super::request::{self, Listing, Request, Work};
use super::settings::{ProgressStyle, Settings};
use crate::error::Error;
use crate::report::{
    Command, ExitCode, Keep, Live, Plain, Progress, Redacted, RunReport, Silent, TextOptions,
    Verbosity,
};
use crate::run::{Over, Rollout};
use crate::secret::{self, Redactor, Vault};
use crate::waiver;

/// One invocation of fleet: how it talks, and to whom.
#[derive(Debug)]
pub(super) struct Session {
    pub settings: Settings,
    pub output: Output<Stdout>,
    /// Knows the secrets of the files that were opened.
    pub redactor: Redactor,
}

impl Session {
    /// Runs `request` with progress on stderr, which is gone again when this returns.
    pub(super) fn perform(&self, request: &Request) -> Result<RunReport, Error> {
        self.perform_telling(request, None)
    }

    /// The same, telling `over` of each host that is done.
    pub(super) fn perform_telling(
        &self,
        request: &Request,
        over: Option<Over<'_>>,
    ) -> Result<RunReport, Error> {
        let progress: Box<dyn Progress> = match self.settings.progress {
            // Lines that move and lines that stay do not go together on one terminal.
            ProgressStyle::Live if over.is_some() => Box::new(Plain::new(stderr())),
            ProgressStyle::Live => Box::new(Live::stderr()),
            ProgressStyle::Plain => Box::new(Plain::new(stderr())),
            ProgressStyle::None => Box::new(Silent),
        };
        let progress = Redacted::new(progress, request.vault.redactor().clone());
        let result = engine::run(request, &progress, over);
        progress.end();
        result
    }

    pub(super) fn text_options(&self, options: &ReportOptions, color: bool) -> TextOptions {
        TextOptions {
            color,
            verbosity: self.settings.verbosity,
            diff: options.diff,
        }
    }

    /// The request that a playbook's arguments make.
    pub(super) fn request(&self, command: Command, args: &PlaybookArgs) -> Result<Request, Error> {
        let work = Work::Playbook(args.playbook.clone());
        let vault = self.open_vault(args.playbook.parent())?;
        let request = Request {
            vault,
            ..self.ad_hoc(command, work, &args.targets)?
        };
        let TaskSelection {
            tags, skip_tags, ..
        } = args.tags.clone();
        Ok(Request {
            tags,
            skip_tags,
            diff: args.report.diff,
            waivers: args
                .waivers
                .clone()
                .or_else(|| locks::beside(&args.playbook, waiver::WAIVER_FILE)),
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
            prune: false,
            lock_timeout: Duration::ZERO,
            rollout: Rollout::default(),
            journaling: None,
            diff: false,
            color: self.settings.stderr_color,
            vault: self.open_vault(None)?,
            keep: self.keep(),
            waivers: None,
        })
    }

    /// Which resources the report is to show.
    pub(super) fn keep(&self) -> Keep {
        match self.settings.verbosity {
            Verbosity::Quiet | Verbosity::Normal => Keep::Findings,
            Verbosity::Verbose => Keep::All,
        }
    }

    /// The vault for what is read in `directory`, the current one if `None`. What comes out of
    /// it is kept out of everything this session writes.
    pub(super) fn open_vault(&self, directory: Option<&Path>) -> Result<Vault, Error> {
        let directory = directory.unwrap_or(Path::new(""));
        secret::Settings::vault(directory, self.redactor.clone()).map_err(Error::config)
    }

    fn connection(&self, args: &options::Connection) -> Result<request::Connection, Error> {
        Ok(request::Connection {
            forks: args.forks,
            user: args.user.clone(),
            private_key: args.private_key.clone(),
            ssh_config: args.ssh_config.clone(),
            connect_timeout: Duration::from_secs(args.connect_timeout.into()),
            host_timeout: Duration::from_secs(args.host_timeout.into()),
            r#become: args.r#become,
            become_password: args
                .ask_become_pass
                .then(|| {
                    let password = password::ask(self.settings.answers)?;
                    self.redactor.add(password.expose());
                    Ok::<_, Error>(password)
                })
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
pub(super) fn sources(args: &options::Sources) -> request::Sources {
    request::Sources {
        inventory: args.inventory.clone(),
        extra_vars: args.extra_vars.clone(),
    }
}

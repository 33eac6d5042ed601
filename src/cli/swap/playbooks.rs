//! Gate and deployment: playbooks on the hosts that a swap has to do with.

use std::path::Path;

use crate::cli::engine;
use crate::cli::journaling::Journaling;
use crate::cli::locks;
use crate::cli::options::{ReportOptions, Targets};
use crate::cli::output;
use crate::cli::remember::Remembering;
use crate::cli::request::{Request, Work};
use crate::cli::resume;
use crate::cli::session::Session;
use crate::error::Error;
use crate::report::{self, Command, CutShort, ExitCode, HostStatus, RunReport};
use crate::swap::{Class, Playbooks, SwapFile, Trouble};
use crate::waiver::WAIVER_FILE;

/// The playbooks of a swap, run as `fleet check` and `fleet apply` would.
pub(super) struct Runs<'r> {
    pub session: &'r Session,
    pub base: &'r Request,
    pub file: &'r SwapFile,
    /// How hosts are reached, to be kept in the journal of a deployment.
    pub targets: &'r Targets,
}

impl Runs<'_> {
    fn request(
        &self,
        command: Command,
        playbook: &Path,
        hosts: &[String],
    ) -> Result<Request, Error> {
        Ok(Request {
            command,
            work: Work::Playbook(playbook.to_owned()),
            limit: Some(hosts.join(",")),
            vault: self.session.open_vault(playbook.parent())?,
            waivers: match command {
                Command::Check => locks::beside(playbook, WAIVER_FILE),
                _ => None,
            },
            ..self.base.clone()
        })
    }

    fn gate(&self, hosts: &[String]) -> Option<Result<Request, Error>> {
        let playbook = self.file.gate.as_ref()?;
        Some(self.request(Command::Check, playbook, hosts))
    }

    fn deploy(&self, hosts: &[String]) -> Option<Result<Request, Error>> {
        let playbook = self.file.deploy.as_ref()?;
        Some(self.request(Command::Apply, playbook, hosts))
    }

    /// Finds everything wrong with them, before anybody is contacted.
    pub(super) fn validate(&self, hosts: &[String]) -> Result<(), Error> {
        for request in [self.gate(hosts), self.deploy(hosts)].into_iter().flatten() {
            engine::validate(&request?)?;
        }
        Ok(())
    }

    /// Runs one. A deployment has a journal and is remembered, as every apply.
    fn run(&self, request: Request) -> Result<RunReport, Error> {
        let (Command::Apply, Work::Playbook(playbook)) = (request.command, &request.work) else {
            return self.session.perform(&request);
        };
        let playbook = playbook.clone();
        let targets = Targets {
            limit: request.limit.clone(),
            ..self.targets.clone()
        };
        let arguments = resume::kept_of_part(&playbook, targets, request.lock_timeout);
        let remembering = Remembering::of(self.session, &playbook)?;
        let mut report = self.session.perform(&Request {
            journaling: Some(Journaling::of(&playbook, arguments, None)?),
            ..request
        })?;
        remembering.learn(self.session, &mut report, |_| {});
        Ok(report)
    }

    /// Runs one, and makes sure that it was about all hosts of the pool.
    fn perform(
        &self,
        class: Class,
        request: Option<Result<Request, Error>>,
        hosts: &[String],
    ) -> Result<(), Trouble> {
        let Some(request) = request else {
            return Ok(());
        };
        let told = |error: Error| Trouble::new(class, error.to_string());
        let report = request.and_then(|request| self.run(request));
        let report = report.map_err(told)?;
        let title = &report.playbook;
        if report.cut_short == Some(CutShort::Interrupted) {
            let message = format!("`{title}` was interrupted");
            return Err(Trouble::new(Class::Interrupted, message));
        }
        let left_out = hosts.iter().find(|name| {
            let mut hosts = report.hosts.iter();
            !hosts.any(|host| host.host == **name)
        });
        if let Some(host) = left_out {
            let message = format!("`{title}` is not about {host}: no play has it");
            return Err(Trouble::new(class, message));
        }
        if report.exit_code() == ExitCode::AsDeclared {
            return Ok(());
        }
        // The whole of it is for people; the swap's own report has the sentence.
        let options = self.session.text_options(
            &ReportOptions::default(),
            self.session.settings.stderr_color,
        );
        let text = report::render(&report, options);
        let text = self.session.redactor.redact(&text);
        output::say(&text);
        Err(Trouble::new(class, verdict(&report)))
    }
}

impl Playbooks for Runs<'_> {
    fn check(&mut self, hosts: &[String]) -> Result<(), Trouble> {
        self.perform(Class::Gate, self.gate(hosts), hosts)
    }

    fn apply(&mut self, hosts: &[String]) -> Result<(), Trouble> {
        self.perform(Class::Deploy, self.deploy(hosts), hosts)
    }
}

/// Which hosts are not as they should be, and why.
fn verdict(report: &RunReport) -> String {
    let bad = report.hosts.iter().filter_map(|host| {
        let why = match host.status() {
            HostStatus::InSync | HostStatus::Changed => return None,
            HostStatus::Drifted => "differs",
            HostStatus::Failed => "failed",
            HostStatus::Unknown => "could not be told",
            HostStatus::Unreachable => "was not reached",
            HostStatus::Untouched => "was not begun",
        };
        Some(format!("{} {why}", host.host))
    });
    let bad: Vec<_> = bad.collect();
    format!("`{}`: {}", report.playbook, bad.join(", "))
}

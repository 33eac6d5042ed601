//! `fleet swap`: traffic from one pool of hosts to the other.

use std::io::{Write as _, stderr};
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::builder::NonEmptyStringValueParser;
use clap::{ArgGroup, Args};

use super::engine;
use super::locks;
use super::options::{Connection, ListFormat, ReportOptions, Sources, Targets};
use super::request::{Request, Work};
use super::session::Session;
use super::settings::{Answers, ProgressStyle};
use crate::error::{Error, ErrorKind};
use crate::memory::Project;
use crate::protocol::{Begin, Claim, Mode};
use crate::report::{self, Command, ExitCode, HostStatus, RunReport, Verbosity};
use crate::run::{Interrupt, new_run_id, who};
use crate::swap::{
    Action, Asked, Class, Conclusion, Journal, Means, Playbooks, Pool, Report, Rules, Setup,
    SwapFile, Trouble, Wish, perform,
};
use crate::transport::Transport;
use crate::waiver::WAIVER_FILE;

/// How long a deployment waits for another apply on the same host.
const LOCK_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(30);

/// Arguments of `fleet swap`.
#[derive(Args, Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "flags, each given or not")]
#[command(group = ArgGroup::new("wish").required(true).multiple(false))]
pub(super) struct SwapArgs {
    /// The file that says what is swapped
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Let this pool serve
    #[arg(long, value_name = "POOL", group = "wish", value_parser = NonEmptyStringValueParser::new())]
    to: Option<String>,

    /// Go back to the pool that served before, or take back what was interrupted
    ///
    /// Neither gate nor deployment is run again: that pool was kept as it was.
    #[arg(long, group = "wish")]
    revert: bool,

    /// Show which pool serves on every load balancer, and what was interrupted
    #[arg(long, group = "wish", conflicts_with_all = ["plan", "yes", "adopt"])]
    status: bool,

    /// Show what would be done, and change nothing
    #[arg(long, conflicts_with = "yes")]
    plan: bool,

    /// Take servers of the pools that are in maintenance or drain for fleet's own
    ///
    /// Without it, what was taken out by hand stays out. For a project whose journal is lost.
    #[arg(long)]
    adopt: bool,

    /// Do not show the plan and ask first
    #[arg(short, long, alias = "auto-approve")]
    yes: bool,

    /// How the result is printed
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: ListFormat,

    #[command(flatten)]
    sources: Sources,

    #[command(flatten)]
    connection: Connection,
}

pub(super) fn run(session: &mut Session, args: &SwapArgs) -> Result<ExitCode, Error> {
    let file = SwapFile::load(&args.file).map_err(Error::config)?;
    if let Some(to) = &args.to
        && !file.pools.iter().any(|pool| pool.name == *to)
    {
        let [first, second] = [&file.pools[0].name, &file.pools[1].name];
        let message = format!("`{}` has no pool `{to}`", args.file.display());
        let hint = format!("its pools are `{first}` and `{second}`");
        return Err(Error::new(ErrorKind::Usage, message).hint(hint));
    }
    let looks = args.plan || args.status;
    if !looks && !args.yes && session.settings.answers != Answers::Typed {
        let message =
            "`fleet swap` asks before it moves traffic, and there is no terminal to ask on";
        return Err(Error::new(ErrorKind::Usage, message)
            .hint("give `--yes` to swap without being asked, or look first with `--plan`"));
    }
    let base = Request {
        vault: session.open_vault(args.file.parent())?,
        lock_timeout: LOCK_TIMEOUT,
        ..session.ad_hoc(
            Command::Facts,
            Work::Facts {
                pattern: "all".to_owned(),
            },
            &args.targets(),
        )?
    };
    let (report, rules) = engine::within(&base, |inventory, globals| {
        let login = engine::login(&base.connection);
        let setup = Setup::new(&file, inventory, globals, &login).map_err(Error::config)?;
        let runs = Runs {
            session,
            base: &base,
            file: &file,
        };
        // The playbooks are read, too, before anybody is contacted.
        if let Some(pool) = args.to.as_ref().and_then(|to| setup.rules.pool(to)) {
            runs.validate(pool)?;
        }
        let transport = engine::transport(&base.connection)?;
        swap(args, &file, setup, runs, &transport)
    })?;
    let text = match args.format {
        ListFormat::Text => report.to_text(&rules),
        ListFormat::Json => report.to_json(&rules),
    };
    let code = report.exit_code();
    let quiet = session.settings.verbosity == Verbosity::Quiet;
    if args.format == ListFormat::Json || !(quiet && code == ExitCode::AsDeclared) {
        session.output.write(&text)?;
    }
    Ok(code)
}

fn swap(
    args: &SwapArgs,
    file: &SwapFile,
    setup: Setup,
    mut runs: Runs<'_>,
    transport: &Transport,
) -> Result<(Report, Rules), Error> {
    let session = runs.session;
    let looks = args.plan || args.status;
    let run_id = new_run_id();
    let directory = project_directory(&args.file)?;
    let journal = if looks {
        Ok(Journal::to_look_at(&directory, &file.service))
    } else {
        Journal::claim(&directory, &file.service, &who(), &run_id)
    };
    let journal = journal.map_err(as_error)?;
    let begin = Begin {
        mode: if looks { Mode::Check } else { Mode::Apply },
        diff: false,
        run_id: run_id.clone(),
        claim: (!looks).then(|| Claim {
            who: who(),
            wait_ms: 0,
        }),
        playbook: None,
    };
    let shows_progress = session.settings.progress != ProgressStyle::None;
    let redactor = session.redactor.clone();
    let mut number = 0;
    let mut announce = |text: &str| {
        number += 1;
        if shows_progress {
            let line = format!("[{number}] {}\n", report::single_line(text));
            // If stderr is closed, nobody wants to know.
            let _ = stderr().write_all(redactor.redact(&line).as_bytes());
        }
    };
    let mut confirm = |plan: &str| args.yes || ask(session, plan);
    let asked = Asked {
        action: args.action(),
        wish: args.wish(),
        adopt: args.adopt,
        run_id,
    };
    let runtime = tokio::runtime::Runtime::new()
        .map_err(|error| Error::new(ErrorKind::Internal, "cannot start").caused_by(error))?;
    let conclusion = runtime.block_on(async {
        perform(
            asked,
            file,
            setup,
            Means {
                transport,
                begin,
                journal: &journal,
                playbooks: &mut runs,
                announce: &mut announce,
                confirm: &mut confirm,
                interrupt: Interrupt::listen(),
                began: Instant::now(),
            },
        )
        .await
    });
    match conclusion {
        Conclusion::Report(report, rules) => Ok((*report, rules)),
        Conclusion::Declined => Err(Error::new(
            ErrorKind::Interrupted,
            "not swapped: nothing was changed",
        )),
        Conclusion::Journal(trouble) => Err(as_error(trouble)),
    }
}

fn as_error(trouble: Trouble) -> Error {
    let kind = match trouble.class {
        Class::Locked => ErrorKind::Locked,
        _ => ErrorKind::Internal,
    };
    Error::new(kind, trouble.message)
}

/// Where the project of the file keeps what is fleet's own.
fn project_directory(file: &Path) -> Result<PathBuf, Error> {
    Project::of_playbook(file).directory().map_err(|error| {
        Error::new(
            ErrorKind::Config,
            "there is no place for the journal of swaps",
        )
        .caused_by(error)
    })
}

fn ask(session: &Session, plan: &str) -> bool {
    let term = console::Term::stderr();
    let plan = session.redactor.redact(plan);
    let answer = term
        .write_str(&format!("{plan}\nMove the traffic? [y/N] "))
        .and_then(|()| term.read_line());
    answer.is_ok_and(|answer| {
        let answer = answer.trim().to_ascii_lowercase();
        answer == "y" || answer == "yes"
    })
}

impl SwapArgs {
    fn action(&self) -> Action {
        match (self.status, self.plan, self.revert) {
            (true, _, _) => Action::Status,
            (_, true, _) => Action::Plan,
            (_, _, true) => Action::Revert,
            _ => Action::To,
        }
    }

    /// `None` only to look.
    fn wish(&self) -> Option<Wish> {
        match &self.to {
            Some(pool) => Some(Wish::To(pool.clone())),
            None => self.revert.then_some(Wish::Revert),
        }
    }

    fn targets(&self) -> Targets {
        Targets {
            sources: self.sources.clone(),
            limit: None,
            list_hosts: false,
            connection: self.connection.clone(),
        }
    }
}

/// The playbooks of a swap, run as `fleet check` and `fleet apply` would.
struct Runs<'r> {
    session: &'r Session,
    base: &'r Request,
    file: &'r SwapFile,
}

impl Runs<'_> {
    fn request(&self, command: Command, playbook: &Path, pool: &Pool) -> Result<Request, Error> {
        let hosts: Vec<_> = pool.members.iter().map(|member| &*member.host).collect();
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

    fn gate(&self, pool: &Pool) -> Option<Result<Request, Error>> {
        let playbook = self.file.gate.as_ref()?;
        Some(self.request(Command::Check, playbook, pool))
    }

    fn deploy(&self, pool: &Pool) -> Option<Result<Request, Error>> {
        let playbook = self.file.deploy.as_ref()?;
        Some(self.request(Command::Apply, playbook, pool))
    }

    fn validate(&self, pool: &Pool) -> Result<(), Error> {
        for request in [self.gate(pool), self.deploy(pool)].into_iter().flatten() {
            engine::validate(&request?)?;
        }
        Ok(())
    }

    /// Runs one, and makes sure that it was about all hosts of the pool.
    fn perform(
        &self,
        class: Class,
        request: Option<Result<Request, Error>>,
        pool: &Pool,
    ) -> Result<(), Trouble> {
        let Some(request) = request else {
            return Ok(());
        };
        let told = |error: Error| Trouble::new(class, error.to_string());
        let request = request.map_err(told)?;
        let report = self.session.perform(&request).map_err(told)?;
        let title = &report.playbook;
        if report.interrupted {
            let message = format!("`{title}` was interrupted");
            return Err(Trouble::new(Class::Interrupted, message));
        }
        let left_out = pool.members.iter().find(|member| {
            let mut hosts = report.hosts.iter();
            !hosts.any(|host| host.host == member.host)
        });
        if let Some(member) = left_out {
            let message = format!("`{title}` is not about {}: no play has it", member.host);
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
        let _ = stderr().write_all(text.as_bytes());
        Err(Trouble::new(class, verdict(&report)))
    }
}

impl Playbooks for Runs<'_> {
    fn check(&mut self, pool: &Pool) -> Result<(), Trouble> {
        self.perform(Class::Gate, self.gate(pool), pool)
    }

    fn apply(&mut self, pool: &Pool) -> Result<(), Trouble> {
        self.perform(Class::Deploy, self.deploy(pool), pool)
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
        };
        Some(format!("{} {why}", host.host))
    });
    let bad: Vec<_> = bad.collect();
    format!("`{}`: {}", report.playbook, bad.join(", "))
}

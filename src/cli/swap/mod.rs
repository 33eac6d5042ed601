//! `fleet swap`: traffic from one pool of hosts to the other, or one pool's hosts replaced.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::builder::NonEmptyStringValueParser;
use clap::{ArgGroup, Args};

use self::playbooks::Runs;
use super::engine;
use super::options::{Connection, ListFormat, Sources, Targets};
use super::output;
use super::request::{Request, Work};
use super::session::Session;
use super::settings::{Answers, ProgressStyle};
use crate::error::{Error, ErrorKind};
use crate::harmless;
use crate::memory::Project;
use crate::protocol::{Begin, Claim, Mode};
use crate::report::{self, Command, ExitCode, Verbosity};
use crate::run::{Interrupt, new_run_id, who};
use crate::swap::{
    Action, Asked, Class, Conclusion, Journal, Means, Report, Rules, Setup, SwapFile, Trouble,
    Wish, Work as Declared, perform,
};
use crate::transport::Transport;

mod playbooks;

/// How long a deployment waits for another apply on the same host.
const LOCK_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(30);

/// Arguments of `fleet swap`.
#[derive(Args, Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "flags, each given or not")]
#[command(group = ArgGroup::new("wish").multiple(false))]
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
    #[arg(long, group = "wish", conflicts_with_all = ["plan", "yes", "adopt", "anew"])]
    status: bool,

    /// Show what would be done, and change nothing
    #[arg(long, conflicts_with = "yes")]
    plan: bool,

    /// Take servers of the pools that are in maintenance or drain for fleet's own
    ///
    /// Without it, what was taken out by hand stays out. For a project whose journal is lost.
    #[arg(long)]
    adopt: bool,

    /// Replace only the hosts that match this pattern too
    #[arg(short, long, value_name = "PATTERN", value_parser = NonEmptyStringValueParser::new())]
    limit: Option<String>,

    /// Replace all hosts again, also those that were replaced before it was stopped
    #[arg(long)]
    anew: bool,

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
    args.fits(&file)?;
    let looks = args.plan || args.status;
    if !looks && !args.yes && session.settings.answers != Answers::Typed {
        let message =
            "`fleet swap` asks before it changes anything, and there is no terminal to ask on";
        return Err(Error::new(ErrorKind::Usage, message)
            .hint("give `--yes` to go on without being asked, or look first with `--plan`"));
    }
    let targets = args.targets();
    let base = Request {
        vault: session.open_vault(args.file.parent())?,
        lock_timeout: LOCK_TIMEOUT,
        ..session.ad_hoc(
            Command::Facts,
            Work::Facts {
                pattern: "all".to_owned(),
            },
            &targets,
        )?
    };
    let (report, rules) = engine::within(&base, |inventory, globals| {
        let login = engine::login(&base.connection);
        let mut setup = Setup::new(&file, inventory, globals, &login).map_err(Error::config)?;
        if let (Some(limit), Some(replacement)) = (&args.limit, &mut setup.replacement) {
            let hosts = engine::select("--limit", limit, inventory)?;
            replacement.hosts.retain(|host| {
                let mut hosts = hosts.iter();
                hosts.any(|limited| limited.as_str() == host)
            });
            if replacement.hosts.is_empty() {
                let message = format!("`--limit {limit}` leaves no host to be replaced");
                return Err(Error::new(ErrorKind::Usage, message)
                    .hint("it takes those that match it out of `hosts` in the file"));
            }
        }
        let runs = Runs {
            session,
            base: &base,
            file: &file,
            targets: &targets,
        };
        // The playbooks are read, too, before anybody is contacted.
        let target = args.to.as_ref().and_then(|to| setup.rules.pool(to));
        if let Some(replacement) = &setup.replacement {
            runs.validate(&replacement.hosts)?;
        } else if let Some(pool) = target {
            runs.validate(&pool.hosts())?;
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
            output::say(&redactor.redact(&line));
        }
    };
    let question = match &file.work {
        Declared::Move(_) => "Move the traffic?",
        Declared::Replace(_) => "Replace these hosts?",
    };
    let mut confirm = |plan: &str| args.yes || ask(session, plan, question);
    let asked = Asked {
        action: args.action(&file.work),
        wish: args.wish(),
        adopt: args.adopt,
        anew: args.anew,
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
            "not begun: nothing was changed",
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

fn ask(session: &Session, plan: &str, question: &str) -> bool {
    let term = console::Term::stderr();
    let plan = session.redactor.redact(plan);
    let answer = term
        .write_str(&harmless::written(&format!("{plan}\n{question} [y/N] ")))
        .and_then(|()| term.read_line());
    answer.is_ok_and(|answer| {
        let answer = answer.trim().to_ascii_lowercase();
        answer == "y" || answer == "yes"
    })
}

impl SwapArgs {
    /// Makes sure that what is asked for is something that the file is about.
    fn fits(&self, file: &SwapFile) -> Result<(), Error> {
        let path = file.path.display();
        let wrong =
            |message: String, hint: &str| Err(Error::new(ErrorKind::Usage, message).hint(hint));
        match &file.work {
            Declared::Replace(_) if self.to.is_some() => wrong(
                format!(
                    "`{path}` replaces the hosts of one pool: there is none to move traffic to"
                ),
                "leave `--to` out; `--plan` shows what would be done",
            ),
            Declared::Replace(_) if self.revert => wrong(
                format!("`{path}` replaces hosts, and what was replaced is not kept"),
                "declare what was there before, and replace the hosts once more",
            ),
            Declared::Replace(_) => Ok(()),
            Declared::Move(pools) => {
                if let Some(to) = &self.to
                    && !pools.iter().any(|pool| pool.name == *to)
                {
                    let [first, second] = pools.each_ref().map(|pool| &pool.name);
                    let hint = format!("its pools are `{first}` and `{second}`");
                    return wrong(format!("`{path}` has no pool `{to}`"), &hint);
                }
                if self.limit.is_some() || self.anew {
                    return wrong(
                        format!("`{path}` moves traffic between pools, and always all of it"),
                        "`--limit` and `--anew` are for files with `replace`",
                    );
                }
                if self.to.is_none() && !self.revert && !self.status {
                    return wrong(
                        format!("`{path}` moves traffic between pools, and nobody says where to"),
                        "give `--to POOL`, `--revert` or `--status`",
                    );
                }
                Ok(())
            }
        }
    }

    fn action(&self, work: &Declared) -> Action {
        match (self.status, self.plan, self.revert, work) {
            (true, ..) => Action::Status,
            (_, true, ..) => Action::Plan,
            (_, _, true, _) => Action::Revert,
            (.., Declared::Replace(_)) => Action::Replace,
            (.., Declared::Move(_)) => Action::To,
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

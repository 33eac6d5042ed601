//! From what was asked for to a run: reads inventory and playbook, finds everything wrong with
//! them before any host is contacted, and hands the rest to `run`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::journaling::Declared;
use super::locks::{self, Locks};
use super::nothing;
use super::output;
use super::project;
use super::request::{Connection, Listing, Request, Work};
use crate::diagnostic::{self, Diagnostic, Diagnostics};
use crate::error::{Error, ErrorKind};
use crate::inventory::{HostName, Inventory, Pattern, VarMap, extra_vars};
use crate::journal::Journal;
use crate::playbook::{
    self, Contents, Globals, Play, Playbook, TagFilter, Task, play_hosts, selected,
};
use crate::report::{Command, CutShort, Progress, RunReport};
use crate::resource::AnyResource;
use crate::run::{Job, Login, Options, Over, Ownership, Run, Work as RunWork};
use crate::secret::Vault;
use crate::template::Secrets;
use crate::transport::{self, Helpers, Transport};
use crate::trust;
use crate::waiver::{Coverage, Reach, Register, Waivers};

/// How long a host may say nothing, beyond what its tasks declare: longer than any command may
/// take without a time limit of its own.
const SILENCE: Duration = Duration::from_mins(15);

/// Everything read. Where the playbook is wrong, the rest of it can still be looked at.
struct Loaded {
    inventory: Inventory,
    playbook: Playbook,
    locks: Locks,
    extra: VarMap,
    /// The hosts that `-l` leaves, if it was given.
    limit: Option<BTreeSet<HostName>>,
    tags: TagFilter,
    waivers: Waivers,
}

/// Does what `request` says, telling `progress` of it and `over` of each host that is done.
///
/// # Errors
/// When nothing could be begun; what goes wrong on a host is in the report.
pub(super) fn run(
    request: &Request,
    progress: &dyn Progress,
    over: Option<Over<'_>>,
) -> Result<RunReport, Error> {
    begin(request, ask(&request.vault), |loaded, work| {
        if work.hosts.is_empty() {
            return Err(nothing::no_hosts(request));
        }
        if let Some(error) = nothing::no_tasks(request, &loaded.tags, work) {
            return Err(error);
        }
        let run = Run::prepare(work, options(request)).map_err(Error::config)?;
        let transport = transport(&request.connection)?;
        let mut journal = journal(request, loaded, work, &run)?;
        let runtime = tokio::runtime::Runtime::new()
            .map_err(|error| Error::new(ErrorKind::Internal, "cannot start").caused_by(error))?;
        let finish = |report: &mut RunReport| {
            waive(report, request, loaded);
            report.redact(request.vault.redactor());
        };
        let mut tell = over.map(|over| {
            move |mut report: RunReport| {
                finish(&mut report);
                over(report);
            }
        });
        let over = tell.as_mut().map(|tell| tell as Over<'_>);
        let performed = run.perform(&transport, progress, over, journal.as_mut());
        let mut report = runtime.block_on(performed);
        finish(&mut report);
        let cut_short = report.cut_short.as_ref().map(CutShort::as_str);
        let closed = journal.map(|journal| journal.close(report.exit_code() as u8, cut_short));
        if let Some(Err(error)) = closed {
            progress.note(&format!("the run's journal has no end: {error}"));
        }
        Ok(report)
    })
}

/// The journal of an apply. What only looks makes sure that an apply could go on likewise.
fn journal(
    request: &Request,
    loaded: &Loaded,
    work: &RunWork<'_>,
    run: &Run<'_>,
) -> Result<Option<Journal>, Error> {
    let (Some(journaling), Work::Playbook(playbook)) = (&request.journaling, &request.work) else {
        return Ok(None);
    };
    let declared = Declared {
        playbook: playbook.display().to_string(),
        variables: names(&loaded.extra),
        hosts: work.hosts.iter().map(HostName::to_string).collect(),
        plays: run.batches(),
    };
    journaling.check(&declared)?;
    let apply = request.command == Command::Apply;
    let begun = apply.then(|| journaling.begin(run.id(), request.rollout.seed, declared));
    begun.transpose()
}

/// The names of variables, in alphabetical order.
fn names(variables: &VarMap) -> Vec<String> {
    let names: BTreeSet<_> = variables.keys().cloned().collect();
    names.into_iter().collect()
}

/// Marks what is waived, and notes the waivers that somebody should look at.
fn waive(report: &mut RunReport, request: &Request, loaded: &Loaded) {
    let reach = match request.command {
        Command::Check => Reach::Everything,
        _ => Reach::OnlyReported,
    };
    let mut register = Register::new(&loaded.waivers, &loaded.inventory, report.started_at, reach);
    for host in &mut report.hosts {
        register.waive(host);
    }
    let tasks = loaded.playbook.plays.iter().flat_map(Play::tasks);
    let coverage = Coverage {
        partial: !(request.tags.is_empty() && request.skip_tags.is_empty()),
        kinds: tasks.map(|task| task.kind.name).collect(),
    };
    report.waivers = register.remarks(report, &coverage);
}

/// Lists what `run` would work on.
///
/// # Errors
/// As [`run`], before any host is contacted.
pub(super) fn list(request: &Request, listing: Listing) -> Result<String, Error> {
    begin(request, ask_nobody(&request.vault), |loaded, work| {
        let mut text = String::new();
        if listing == Listing::Hosts {
            for host in &work.hosts {
                _ = writeln!(text, "{host}");
            }
            return Ok(text);
        }
        for play in &loaded.playbook.plays {
            let tasks = || play.tasks().filter(|task| selected(task, &loaded.tags));
            _ = writeln!(text, "play: {}", play.name);
            if listing == Listing::Tags {
                let tags: BTreeSet<_> = tasks().flat_map(|task| &task.tags).cloned().collect();
                _ = writeln!(text, "  tags: {}", Vec::from_iter(tags).join(", "));
                continue;
            }
            for task in tasks() {
                _ = writeln!(text, "  {}", task_line(task));
            }
        }
        Ok(text)
    })
}

/// Checks everything that can be checked without contacting a host or a store of secrets.
///
/// # Errors
/// Everything that is wrong, as diagnostics.
pub(super) fn validate(request: &Request) -> Result<(), Error> {
    begin(request, ask_nobody(&request.vault), |_, work| {
        let unseen = locks::not_looked_at(&work.globals.contents.believed());
        warn(request, unseen.as_slice());
        let run = Run::prepare(work, options(request));
        run.map(drop).map_err(Error::config)
    })
}

/// Reads the inventory for something that is no run over its hosts.
///
/// # Errors
/// Everything wrong with it, or what `then` says.
pub(super) fn within<T>(
    request: &Request,
    then: impl FnOnce(&Inventory, &Globals<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    begin(request, ask(&request.vault), |loaded, work| {
        then(&loaded.inventory, work.globals)
    })
}

/// Reads what `request` names and finds everything wrong with it, before `then` goes on.
fn begin<T>(
    request: &Request,
    secrets: Secrets,
    then: impl FnOnce(&Loaded, &RunWork<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    let (loaded, mut diagnostics) = load(request)?;
    if !diagnostics.has_errors() {
        // With half a playbook, tags would be unknown for no fault of their own.
        diagnostics.extend(loaded.tags.unknown(&loaded.playbook));
    }
    let globals = globals(request, &loaded).with_secrets(secrets);
    let work = work(request, &loaded, &globals, &mut diagnostics);
    if diagnostics.has_errors() {
        return Err(Error::config(diagnostics.into_vec()));
    }
    warn(request, diagnostics.as_slice());
    then(&loaded, &work)
}

/// Templates get secrets from the store.
fn ask(vault: &Vault) -> Secrets {
    let store = vault.store().clone();
    Secrets::Ask(Arc::new(move |name| {
        let value = store.ask(name)?;
        Ok(value.expose().to_owned())
    }))
}

/// What needs a secret is looked at as if it needed facts: the store may be out of reach, or be
/// one that asks a person. That none is configured is wrong all the same.
fn ask_nobody(vault: &Vault) -> Secrets {
    if vault.store().is_configured() {
        Secrets::Later
    } else {
        ask(vault)
    }
}

/// Whoever only compares needs no artifact at hand: what is in it is in its lock file.
fn globals<'l>(request: &Request, loaded: &'l Loaded) -> Globals<'l> {
    let mut globals = Globals::new(&loaded.inventory, loaded.extra.clone());
    globals.secrets = request.vault.redactor().clone();
    if request.command != Command::Apply {
        globals.contents = Contents::believing(loaded.locks.files.clone());
    }
    globals
}

fn load(request: &Request) -> Result<(Loaded, Diagnostics), Error> {
    let mut diagnostics = Diagnostics::new();
    let default = vec!["inventory/".to_owned()];
    let sources = match &request.sources.inventory[..] {
        [] => &default,
        _ => &request.sources.inventory,
    };
    let mut inventory = Inventory::load(sources, &request.vault, &mut diagnostics);
    let extra = diagnostics
        .check(extra_vars(&request.sources.extra_vars, &request.vault))
        .unwrap_or_default();
    if let Some(journaling) = request
        .journaling
        .as_ref()
        .filter(|_| !diagnostics.has_errors())
    {
        journaling.check_variables(&names(&extra))?;
    }
    let folder = match &request.work {
        Work::Playbook(path) => path.parent(),
        Work::Exec { .. } | Work::Facts { .. } | Work::Census { .. } => None,
    };
    if let Some(folder) = folder {
        let here = folder.as_os_str().is_empty().then_some(Path::new("."));
        inventory.add_variable_directory(here.unwrap_or(folder), &mut diagnostics);
    }
    let mut locks = Locks::default();
    if let Work::Playbook(path) = &request.work {
        locks = Locks::load(path, &mut diagnostics);
        inventory.add_defaults(std::mem::take(&mut locks.variables));
    }
    // With half an inventory, patterns would match nothing for no fault of their own.
    let whole = !diagnostics.has_errors();
    let playbook = match &request.work {
        Work::Playbook(path) => playbook::load(path, &request.vault, &mut diagnostics),
        Work::Exec { .. } | Work::Facts { .. } | Work::Census { .. } => Playbook::default(),
    };
    let waivers = request
        .waivers
        .as_deref()
        .and_then(|path| diagnostics.check(Waivers::load(path)));
    if !whole {
        return Err(Error::config(diagnostics.into_vec()));
    }
    let limit = request
        .limit
        .as_deref()
        .map(|limit| select("-l", limit, &inventory));
    let limit = limit.transpose()?.map(BTreeSet::from_iter);
    let loaded = Loaded {
        inventory,
        playbook,
        locks,
        extra,
        limit,
        tags: TagFilter::new(
            request.tags.iter().map(String::as_str),
            request.skip_tags.iter().map(String::as_str),
        ),
        waivers: waivers.unwrap_or_default(),
    };
    Ok((loaded, diagnostics))
}

/// The hosts a pattern of the command line means.
///
/// # Errors
/// When the pattern makes no sense, or names nothing that exists.
pub(super) fn select(
    option: &str,
    pattern: &str,
    inventory: &Inventory,
) -> Result<Vec<HostName>, Error> {
    let hosts = Pattern::parse(pattern).and_then(|pattern| inventory.select(&pattern));
    hosts.map_err(|error| {
        let help = error.help.clone();
        let message = format!("`{option}`: {error}");
        help.into_iter()
            .fold(Error::new(ErrorKind::Config, message), Error::hint)
    })
}

/// Finds the hosts, and everything wrong with what is to be done on them.
fn work<'w>(
    request: &'w Request,
    loaded: &'w Loaded,
    globals: &'w Globals<'w>,
    diagnostics: &mut Diagnostics,
) -> RunWork<'w> {
    let limit = loaded.limit.as_ref();
    let (job, selected) = match &request.work {
        Work::Playbook(_) => {
            let playbook = &loaded.playbook;
            playbook::validate(
                playbook,
                &loaded.inventory,
                globals,
                limit,
                &loaded.tags,
                diagnostics,
            );
            // A pattern that is wrong was reported by `validate`.
            let hosts: Vec<BTreeSet<_>> = playbook
                .plays
                .iter()
                .map(|play| play_hosts(play, &loaded.inventory, limit).unwrap_or_default())
                .map(BTreeSet::from_iter)
                .collect();
            let all = hosts.iter().flatten().cloned().collect();
            (
                Job::Plays {
                    playbook,
                    hosts,
                    tags: loaded.tags.clone(),
                },
                all,
            )
        }
        Work::Exec { pattern, argv } => {
            let declared = serde_json::json!({ "kind": "command", "declared": { "argv": argv } });
            let resource: AnyResource =
                serde_json::from_value(declared).expect("`command` takes a list of words");
            (
                Job::Resource(Box::new(resource)),
                of_pattern(pattern, loaded, diagnostics),
            )
        }
        Work::Facts { pattern } => (Job::Facts, of_pattern(pattern, loaded, diagnostics)),
        Work::Census { pattern, gathering } => (
            Job::Census(gathering),
            of_pattern(pattern, loaded, diagnostics),
        ),
    };
    RunWork {
        globals,
        job,
        hosts: in_order(&loaded.inventory, selected),
    }
}

fn of_pattern(pattern: &str, loaded: &Loaded, diagnostics: &mut Diagnostics) -> BTreeSet<HostName> {
    let hosts = Pattern::parse(pattern).and_then(|pattern| loaded.inventory.select(&pattern));
    match hosts {
        Ok(hosts) => hosts
            .into_iter()
            .filter(|host| {
                loaded
                    .limit
                    .as_ref()
                    .is_none_or(|limit| limit.contains(host))
            })
            .collect(),
        Err(error) => {
            diagnostics.push(error);
            BTreeSet::new()
        }
    }
}

/// Hosts in the order of the inventory; those it does not have (`localhost`) last.
fn in_order(inventory: &Inventory, mut hosts: BTreeSet<HostName>) -> Vec<HostName> {
    let known: Vec<_> = inventory
        .hosts()
        .filter_map(|host| hosts.take(host))
        .collect();
    known.into_iter().chain(hosts).collect()
}

fn options(request: &Request) -> Options {
    Options {
        command: request.command,
        title: match &request.work {
            Work::Playbook(path) => path.display().to_string(),
            Work::Exec { argv, .. } => argv.join(" "),
            Work::Facts { .. } | Work::Census { .. } => String::new(),
        },
        forks: usize::from(request.connection.forks.get()),
        ownership: match &request.work {
            Work::Playbook(path) => Some(Ownership {
                playbook: project::name_of(path),
                complete: request.tags.is_empty() && request.skip_tags.is_empty(),
                counted: request.prune || request.command == Command::Check,
            }),
            Work::Exec { .. } | Work::Facts { .. } | Work::Census { .. } => None,
        },
        lock_timeout: request.lock_timeout,
        rollout: request.rollout.clone(),
        diff: request.diff,
        keep: request.keep,
        silence: SILENCE,
        host_timeout: request.connection.host_timeout,
        redactor: request.vault.redactor().clone(),
        login: login(&request.connection),
    }
}

/// Who to be on the hosts, as far as variables and plays do not say.
pub(super) fn login(connection: &Connection) -> Login {
    Login {
        user: connection.user.clone(),
        private_key: connection.private_key.clone(),
        become_root: connection.r#become,
    }
}

/// The way to the hosts.
pub(super) fn transport(connection: &Connection) -> Result<Transport, Error> {
    let helpers = Helpers::beside_executable().map_err(|error| {
        Error::new(
            ErrorKind::Internal,
            "there is no helper to bring to the hosts",
        )
        .caused_by(error)
        .hint("`make build` puts it beside `fleet`")
    })?;
    if let Some(path) = &connection.ssh_config {
        trust::check(path).map_err(|distrust| {
            let message = format!("`{}` is not used: {distrust}", path.display());
            Error::new(ErrorKind::Config, message).hint(distrust.help)
        })?;
    }
    let options = transport::Options {
        connect_timeout: connection.connect_timeout,
        ssh_config: connection.ssh_config.clone(),
        become_password: connection.become_password.clone(),
        ..transport::Options::default()
    };
    Transport::new(options, helpers).map_err(|error| {
        let message = "there is no safe directory for ssh's sockets";
        Error::new(ErrorKind::Internal, message).caused_by(error)
    })
}

fn task_line(task: &Task) -> String {
    let name = task
        .name
        .as_ref()
        .and_then(|name| name.text())
        .unwrap_or(task.kind.name);
    let role = task
        .role
        .as_ref()
        .map(|role| format!("{} : ", role.name))
        .unwrap_or_default();
    let tags: Vec<_> = task.tags.iter().map(String::as_str).collect();
    let tags = tags.join(", ");
    format!("{role}{name}  TAGS: [{tags}]")
}

/// Warnings go to stderr, before anything is contacted.
fn warn(request: &Request, warnings: &[Diagnostic]) {
    let text = diagnostic::render(warnings, request.color);
    let text = request.vault.redactor().redact(&text);
    output::say(&text);
}

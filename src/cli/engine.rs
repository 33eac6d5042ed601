//! From what was asked for to a run: reads inventory and playbook, finds everything wrong with
//! them before any host is contacted, and hands the rest to `run`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::diagnostic::{self, Diagnostic, Diagnostics};
use crate::error::{Error, ErrorKind};
use crate::inventory::{HostName, Inventory, Pattern, VarMap, extra_vars};
use crate::playbook::{self, Globals, Playbook, TagFilter, Task, play_hosts, selected};
use crate::report::{Command, Keep, Progress, RunReport};
use crate::resource::AnyResource;
use crate::run::{Job, Login, Options, Run, Work as RunWork};
use crate::secret::Secret;
use crate::transport::{self, Helpers, Transport};

/// How long a host may say nothing, beyond what its tasks declare: longer than any command may
/// take without a time limit of its own.
const SILENCE: Duration = Duration::from_mins(15);

/// One run over some hosts.
#[derive(Clone, Debug)]
pub(super) struct Request {
    /// Look, or change.
    pub command: Command,
    /// What to do there.
    pub work: Work,
    /// Where hosts and variables come from.
    pub sources: Sources,
    /// A pattern that hosts must match too.
    pub limit: Option<String>,
    /// How to reach them.
    pub connection: Connection,
    /// Only tasks with one of these tags; all, if empty.
    pub tags: Vec<String>,
    /// No task with one of these tags.
    pub skip_tags: Vec<String>,
    /// Make unified diffs.
    pub diff: bool,
    /// What the report is to keep.
    pub keep: Keep,
    /// Colour what goes to stderr.
    pub color: bool,
}

/// What to do on each host.
#[derive(Clone, Debug)]
pub(super) enum Work {
    /// The plays of this file.
    Playbook(PathBuf),
    /// One command on the hosts of a pattern.
    Exec {
        /// Which hosts.
        pattern: String,
        /// Program and arguments, as they are: no shell.
        argv: Vec<String>,
    },
    /// Nothing but to ask the hosts of a pattern what they are.
    Facts {
        /// Which hosts.
        pattern: String,
    },
}

/// Where hosts and variables come from.
#[derive(Clone, Debug)]
pub(super) struct Sources {
    /// As given with `-i`; `inventory/` if there are none.
    pub inventory: Vec<String>,
    /// As given with `-e`, in that order.
    pub extra_vars: Vec<String>,
}

/// How to reach hosts.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    /// How many hosts are worked on at once.
    pub forks: NonZeroU16,
    /// The user to log in as.
    pub user: Option<String>,
    /// The key to log in with.
    pub private_key: Option<PathBuf>,
    /// Read instead of `~/.ssh/config`.
    pub ssh_config: Option<PathBuf>,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// Become root.
    pub r#become: bool,
    /// What sudo will ask for.
    pub become_password: Option<Secret>,
}

/// What to list instead of doing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listing {
    Hosts,
    Tasks,
    Tags,
}

/// Everything read. Where the playbook is wrong, the rest of it can still be looked at.
struct Loaded {
    inventory: Inventory,
    playbook: Playbook,
    extra: VarMap,
    /// The hosts that `-l` leaves, if it was given.
    limit: Option<BTreeSet<HostName>>,
    tags: TagFilter,
}

/// Does what `request` says, telling `progress` of it.
///
/// # Errors
/// When nothing could be begun; what goes wrong on a host is in the report.
pub(super) fn run(request: &Request, progress: &dyn Progress) -> Result<RunReport, Error> {
    let (loaded, mut diagnostics) = load(request)?;
    let globals = Globals::new(&loaded.inventory, loaded.extra.clone());
    let work = work(request, &loaded, &globals, &mut diagnostics);
    if diagnostics.has_errors() {
        return Err(Error::config(diagnostics.into_vec()));
    }
    warn(request, diagnostics.as_slice());
    if work.hosts.is_empty() {
        return Err(no_hosts(request));
    }
    let run = Run::prepare(&work, options(request)).map_err(Error::config)?;
    let helpers = Helpers::beside_executable().map_err(|error| {
        Error::new(
            ErrorKind::Internal,
            "there is no helper to bring to the hosts",
        )
        .caused_by(error)
        .hint("`make build` puts it beside `fleet`")
    })?;
    let transport =
        Transport::new(transport_options(&request.connection), helpers).map_err(|error| {
            let message = "there is no safe directory for ssh's sockets";
            Error::new(ErrorKind::Internal, message).caused_by(error)
        })?;
    let runtime = tokio::runtime::Runtime::new()
        .map_err(|error| Error::new(ErrorKind::Internal, "cannot start").caused_by(error))?;
    Ok(runtime.block_on(run.perform(&transport, progress)))
}

/// Lists what `run` would work on.
///
/// # Errors
/// As [`run`], before any host is contacted.
pub(super) fn list(request: &Request, listing: Listing) -> Result<String, Error> {
    let (loaded, mut diagnostics) = load(request)?;
    let globals = Globals::new(&loaded.inventory, loaded.extra.clone());
    let work = work(request, &loaded, &globals, &mut diagnostics);
    if diagnostics.has_errors() {
        return Err(Error::config(diagnostics.into_vec()));
    }
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
}

/// Checks everything that can be checked without contacting a host.
///
/// # Errors
/// Everything that is wrong, as diagnostics.
pub(super) fn validate(request: &Request) -> Result<(), Error> {
    let (loaded, mut diagnostics) = load(request)?;
    let globals = Globals::new(&loaded.inventory, loaded.extra.clone());
    let work = work(request, &loaded, &globals, &mut diagnostics);
    if !diagnostics.has_errors()
        && let Err(errors) = Run::prepare(&work, options(request))
    {
        diagnostics.extend(errors);
    }
    if diagnostics.has_errors() {
        return Err(Error::config(diagnostics.into_vec()));
    }
    warn(request, diagnostics.as_slice());
    Ok(())
}

fn load(request: &Request) -> Result<(Loaded, Diagnostics), Error> {
    let mut diagnostics = Diagnostics::new();
    let default = vec!["inventory/".to_owned()];
    let sources = match &request.sources.inventory[..] {
        [] => &default,
        _ => &request.sources.inventory,
    };
    let mut inventory = Inventory::load(sources, &mut diagnostics);
    let extra = diagnostics
        .check(extra_vars(&request.sources.extra_vars))
        .unwrap_or_default();
    let folder = match &request.work {
        Work::Playbook(path) => path.parent(),
        Work::Exec { .. } | Work::Facts { .. } => None,
    };
    if let Some(folder) = folder {
        let here = folder.as_os_str().is_empty().then_some(Path::new("."));
        inventory.add_variable_directory(here.unwrap_or(folder), &mut diagnostics);
    }
    // With half an inventory, patterns would match nothing for no fault of their own.
    let whole = !diagnostics.has_errors();
    let playbook = match &request.work {
        Work::Playbook(path) => playbook::load(path, &mut diagnostics),
        Work::Exec { .. } | Work::Facts { .. } => Playbook::default(),
    };
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
        extra,
        limit,
        tags: TagFilter::new(
            request.tags.iter().map(String::as_str),
            request.skip_tags.iter().map(String::as_str),
        ),
    };
    Ok((loaded, diagnostics))
}

/// The hosts a pattern of the command line means.
fn select(option: &str, pattern: &str, inventory: &Inventory) -> Result<Vec<HostName>, Error> {
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
    request: &Request,
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

fn no_hosts(request: &Request) -> Error {
    let error = Error::new(
        ErrorKind::Config,
        "no host is selected, so there is nothing to do",
    );
    match &request.limit {
        Some(limit) => error.hint(format!(
            "`-l {limit}` leaves none of the hosts of the plays"
        )),
        None => {
            error.hint("the groups of the plays are empty; `fleet inventory --graph` shows them")
        }
    }
}

fn options(request: &Request) -> Options {
    Options {
        command: request.command,
        title: match &request.work {
            Work::Playbook(path) => path.display().to_string(),
            Work::Exec { argv, .. } => argv.join(" "),
            Work::Facts { .. } => String::new(),
        },
        forks: usize::from(request.connection.forks.get()),
        diff: request.diff,
        keep: request.keep,
        silence: SILENCE,
        login: Login {
            user: request.connection.user.clone(),
            private_key: request.connection.private_key.clone(),
            become_root: request.connection.r#become,
        },
    }
}

fn transport_options(connection: &Connection) -> transport::Options {
    transport::Options {
        connect_timeout: connection.connect_timeout,
        ssh_config: connection.ssh_config.clone(),
        become_password: connection.become_password.clone(),
        ..transport::Options::default()
    }
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
    // If stderr is closed, nobody wants to be warned.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

//! The systemctl program: the state of one unit, and acting on it.
//!
//! Works with systemd 219 (CentOS 7) and later.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rustix::time::{ClockId, clock_gettime};

use super::answers::together;
use super::{Command, Failure, Host};
use crate::protocol::Output;

mod unit_files;

#[cfg(test)]
mod tests;

pub(crate) use unit_files::UnitFile;

/// All that is asked about a unit, in one call.
const PROPERTIES: &str = "Id,Names,LoadState,ActiveState,SubState,UnitFileState,\
                          NeedDaemonReload,ExecMainStartTimestampMonotonic,MainPID,\
                          FragmentPath,DropInPaths";

/// How long a unit may be on its way from one state to another: systemd's own default.
const TRANSITION: Duration = Duration::from_secs(90);

/// How long a unit must stay up after it was started, before it counts as started. A program
/// that dies of its configuration does so at once, but systemd does not wait for it.
const PROBATION: Duration = Duration::from_secs(1);

/// A unit as systemd knows it. The words are systemd's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unit {
    /// Its name, where it is known under others too.
    pub id: String,
    /// `loaded`, `not-found`, `masked`, `error`, …
    pub load: String,
    /// `active`, `inactive`, `failed`, `activating`, …
    pub active: String,
    /// More of the same: `running`, `dead`, `auto-restart`, …
    pub sub: String,
    /// `enabled`, `disabled`, `static`, …; empty if systemd cannot tell.
    pub file: String,
    /// The units that are enabled along with one that is `indirect`, and what each of them is.
    pub also: Vec<(String, String)>,
    /// The unit's files on the disk are newer than what systemd has read.
    pub stale: bool,
    /// When the main process was started; changes with every restart.
    pub started: String,
    /// The number of the main process; empty or `0` without one.
    pub main_process: String,
    /// The unit's file that systemd has read; empty without one.
    pub fragment: PathBuf,
    /// What systemd has read besides.
    pub drop_ins: Vec<PathBuf>,
}

impl Unit {
    /// On its way, and not because systemd starts it over and over.
    fn in_transition(&self) -> bool {
        matches!(self.active.as_str(), "activating" | "deactivating") && self.sub != "auto-restart"
    }

    /// Whether what is enabled of it is told by links on the disk: what has no file is not there,
    /// and of a SysV script systemctl asks others.
    fn is_on_disk(&self) -> bool {
        !matches!(self.file.as_str(), "" | "generated" | "transient" | "bad")
    }

    /// The state in words: `active (running)`.
    #[must_use]
    pub fn state(&self) -> String {
        format!("{} ({})", self.active, self.sub)
    }

    /// Whether it does what it is for.
    #[must_use]
    pub fn is_up(&self) -> bool {
        matches!(self.active.as_str(), "active" | "reloading" | "refreshing")
    }

    /// When its main process was started, by the clock as it goes now; `None` without one.
    #[must_use]
    pub fn start_time(&self) -> Option<SystemTime> {
        let started: u64 = self.started.parse().ok().filter(|micros| *micros > 0)?;
        let now = clock_gettime(ClockId::Monotonic);
        let now = Duration::new(now.tv_sec.try_into().ok()?, now.tv_nsec.try_into().ok()?);
        SystemTime::now().checked_sub(now.checked_sub(Duration::from_micros(started))?)
    }

    /// Whether nothing of it runs.
    #[must_use]
    pub fn is_down(&self) -> bool {
        matches!(self.active.as_str(), "inactive" | "failed")
    }
}

/// The state of a unit. Those that will be asked for `soon` are asked for in the same breath: it is
/// the start of systemctl that takes its time, not one more unit.
///
/// # Errors
/// [`Failure::Command`] if systemd does not answer.
pub(crate) fn unit(
    host: &Host,
    name: &str,
    soon: impl FnOnce() -> Vec<String>,
) -> Result<Unit, Failure> {
    if let Some(unit) = host.known(|answers| answers.units.get(name).cloned()) {
        return Ok(unit);
    }
    let names = together(&[name], soon());
    let units = match names.as_slice() {
        [_] => vec![show(name)?],
        names => match show_all(names)? {
            Some(units) => units,
            // What is wrong with another task's unit is not to be held against this one.
            None => vec![show(name)?],
        },
    };
    let unit = units[0].clone();
    let known = names.into_iter().zip(units);
    // One that is on its way will be something else by the time its own task asks.
    let known = known.filter(|(_, unit)| !unit.in_transition());
    host.remember(|answers| answers.units.extend(known));
    Ok(unit)
}

/// The same, once it is in no state between two others, or has been for too long.
///
/// # Errors
/// As [`unit`].
pub(crate) fn settled(
    host: &Host,
    name: &str,
    soon: impl FnOnce() -> Vec<String>,
) -> Result<Unit, Failure> {
    let first = unit(host, name, soon)?;
    if !first.in_transition() {
        return Ok(first);
    }
    let unit = wait_until_settled(name, first)?;
    host.remember(|answers| {
        answers.units.insert(name.to_owned(), unit.clone());
    });
    Ok(unit)
}

fn wait_until_settled(name: &str, mut unit: Unit) -> Result<Unit, Failure> {
    let deadline = Instant::now() + TRANSITION;
    while unit.in_transition() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(200));
        unit = show(name)?;
    }
    Ok(unit)
}

/// The same, and what [`Unit::file`] is comes from the disk: systemd remembers what that was when it
/// last read its files, and a link in `/etc/systemd/system/*.wants` that somebody removed since is
/// not missed until the next boot.
///
/// # Errors
/// As [`unit`].
pub(crate) fn settled_as_on_disk(
    host: &Host,
    name: &str,
    soon: impl FnOnce() -> Vec<String>,
) -> Result<Unit, Failure> {
    let mut unit = settled(host, name, soon)?;
    unit.id = real_name(name, &unit);
    if unit.is_on_disk() || unit.stale {
        unit.file = match file_on_disk(host, &unit.id)? {
            Some(word) => word,
            // 219 tells nothing of an instance that is not enabled, and shows what its template is.
            None if unit_files::is_instance(&unit.id) && unit.file.starts_with("enabled") => {
                "disabled".to_owned()
            }
            None => unit.file,
        };
    }
    if unit.file == "indirect" {
        for other in unit_files::also(Path::new("/"), &unit.id) {
            let word = file_on_disk(host, &other)?.unwrap_or_default();
            unit.also.push((other, word));
        }
    }
    Ok(unit)
}

/// The name behind an alias: it is the unit that is enabled, never a name of it.
fn real_name(name: &str, unit: &Unit) -> String {
    match unit_files::find(Path::new("/"), name) {
        Some(UnitFile::Alias(_)) => unit_files::real_name(Path::new("/"), name),
        None if !unit.id.is_empty() => unit.id.clone(),
        _ => name.to_owned(),
    }
}

/// The unit's file on the disk.
pub(crate) fn unit_file(name: &str) -> Option<UnitFile> {
    unit_files::find(Path::new("/"), name)
}

/// What `systemctl is-enabled` says of a unit, asked for all units at once that are known and were
/// not asked for yet; nothing if it could not tell.
fn file_on_disk(host: &Host, name: &str) -> Result<Option<String>, Failure> {
    if let Some(word) = host.known(|answers| answers.unit_files.get(name).cloned()) {
        return Ok(Some(word));
    }
    let others = host.known(|answers| {
        let others = answers.units.iter().filter(|(other, unit)| {
            unit.is_on_disk() && !answers.unit_files.contains_key(other.as_str())
        });
        Some(others.map(|(other, _)| other.clone()).collect())
    });
    let names = together(&[name], others.unwrap_or_default());
    let ask = |names: &[String]| {
        Command::new(["systemctl", "is-enabled"])
            .args(names)
            .output()
    };
    if names.len() > 1
        && let Some(words) = said_of_files(&ask(&names)?.stdout, names.len())
    {
        let word = words[0].clone();
        host.remember(|answers| answers.unit_files.extend(names.into_iter().zip(words)));
        return Ok(Some(word));
    }
    // Of several, it stops at the first that it cannot tell.
    let word = said_of_file(&ask(&names[..1])?.stdout);
    if let Some(word) = &word {
        host.remember(|answers| {
            answers.unit_files.insert(name.to_owned(), word.clone());
        });
    }
    Ok(word)
}

/// What `systemctl is-enabled` says; nothing if it could not tell, which it says on standard error.
fn said_of_file(stdout: &str) -> Option<String> {
    let word = stdout.lines().next()?.trim();
    (!word.is_empty()).then(|| word.to_owned())
}

/// The same of so many units, a line for each; nothing if one of them is missing.
fn said_of_files(stdout: &str, count: usize) -> Option<Vec<String>> {
    let words: Vec<_> = stdout.lines().map(|line| line.trim().to_owned()).collect();
    let is_whole = words.len() == count && words.iter().all(|word| !word.is_empty());
    is_whole.then_some(words)
}

/// The state of one unit as it is now.
fn show(name: &str) -> Result<Unit, Failure> {
    let output = Command::new(["systemctl", "show", name, "-p", PROPERTIES]).run()?;
    let unit = parse(&output.stdout).map_err(|missing| {
        Failure::Unexpected(format!(
            "`systemctl show {name}` does not tell the {missing}"
        ))
    })?;
    Ok(corrected(unit, unit_file(name).as_ref()))
}

/// The unit, where systemd itself says less than the disk.
fn corrected(mut unit: Unit, on_disk: Option<&UnitFile>) -> Unit {
    match (unit.load.as_str(), on_disk) {
        ("masked", Some(UnitFile::Masked { runtime })) => {
            // 219 says nothing of it (Red Hat's: `bad`), and that one with drop-ins is older than
            // the disk for ever.
            if matches!(unit.file.as_str(), "" | "bad") {
                let word = if *runtime { "masked-runtime" } else { "masked" };
                word.clone_into(&mut unit.file);
            }
            unit.stale = false;
        }
        // The file came after systemd had looked for it.
        ("not-found", Some(UnitFile::Own(_) | UnitFile::Linked(_) | UnitFile::Alias(_))) => {
            unit.stale = true;
        }
        _ => {}
    }
    unit
}

/// The state of several units; nothing if systemctl does not tell of each that it is meant.
fn show_all(names: &[String]) -> Result<Option<Vec<Unit>>, Failure> {
    let output = Command::new(["systemctl", "show"])
        .args(names)
        .args(["-p", PROPERTIES])
        .output()?;
    if output.rc != 0 || output.truncated {
        return Ok(None);
    }
    Ok(parse_all(names, &output.stdout))
}

/// Blocks in the order of the names, with an empty line between two.
fn parse_all(names: &[String], printed: &str) -> Option<Vec<Unit>> {
    let blocks: Vec<_> = printed.trim_end().split("\n\n").collect();
    if blocks.len() != names.len() {
        return None;
    }
    let blocks = blocks.into_iter().zip(names);
    blocks
        .map(|(block, name)| {
            // By one of its names: a unit may have others as well.
            let mut lines = block.lines();
            let known_as = lines.find_map(|line| line.strip_prefix("Names="))?;
            let is_meant = known_as.split_whitespace().any(|known| known == name);
            let unit = parse(block).ok().filter(|_| is_meant)?;
            Some(corrected(unit, unit_file(name).as_ref()))
        })
        .collect()
}

fn parse(printed: &str) -> Result<Unit, &'static str> {
    let property = |name: &'static str| {
        printed
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
            .ok_or(name)
    };
    Ok(Unit {
        id: property("Id").unwrap_or_default().to_owned(),
        also: Vec::new(),
        load: property("LoadState")?.to_owned(),
        active: property("ActiveState")?.to_owned(),
        sub: property("SubState")?.to_owned(),
        // These are left out for kinds of units that do not have them.
        file: property("UnitFileState").unwrap_or_default().to_owned(),
        stale: property("NeedDaemonReload").unwrap_or_default() == "yes",
        started: property("ExecMainStartTimestampMonotonic")
            .unwrap_or_default()
            .to_owned(),
        main_process: property("MainPID").unwrap_or_default().to_owned(),
        fragment: property("FragmentPath").unwrap_or_default().into(),
        // Separated by blanks; there is none in the name of a unit's file.
        drop_ins: property("DropInPaths")
            .unwrap_or_default()
            .split_whitespace()
            .map(PathBuf::from)
            .collect(),
    })
}

/// Tells systemd something about one unit: `enable`, `stop`, `mask`, …
pub fn tell(verb: &str, name: &str) -> Result<Output, Failure> {
    command(verb, name).run()
}

/// Takes a mask away, also one that would end with the next boot.
pub(crate) fn unmask(name: &str) -> Result<Output, Failure> {
    let output = tell("unmask", name)?;
    match unit_file(name) {
        Some(UnitFile::Masked { runtime: true }) => command("unmask", name).arg("--runtime").run(),
        _ => Ok(output),
    }
}

/// Disables a unit. systemctl takes the link to a unit's file elsewhere for part of what it is to
/// undo; it is made again, so that the unit is still there.
pub(crate) fn disable(name: &str) -> Result<Output, Failure> {
    let before = unit_file(name);
    let output = tell("disable", name)?;
    match before {
        Some(UnitFile::Linked(file)) if unit_file(name).is_none() => Command::new([
            "systemctl".as_ref(),
            "--no-ask-password".as_ref(),
            "link".as_ref(),
            file.as_os_str(),
        ])
        .run(),
        _ => Ok(output),
    }
}

/// [`tell`], without waiting longer than `limit` for systemd to be done with it.
pub(crate) fn tell_within(verb: &str, name: &str, limit: Duration) -> Result<Output, Failure> {
    command(verb, name).timeout(limit).run()
}

fn command(verb: &str, name: &str) -> Command {
    Command::new(["systemctl", "--no-ask-password", verb, name])
}

/// Kills the main process of a unit that is on its way from one state to another, and leaves
/// those it started alone.
pub(crate) fn kill_if_stuck(name: &str) -> Result<(), Failure> {
    if show(name)?.in_transition() {
        command("kill", name)
            .args(["--kill-who=main", "--signal=KILL"])
            .run()?;
    }
    Ok(())
}

/// Makes systemd read all unit files again.
pub fn daemon_reload() -> Result<Output, Failure> {
    Command::new(["systemctl", "--no-ask-password", "daemon-reload"]).run()
}

/// Starts, restarts or reloads a unit and watches whether it stays up.
///
/// # Errors
/// With the last lines of the unit's journal, whose reason systemctl itself does not tell.
pub fn bring_up(verb: &str, name: &str) -> Result<Output, Failure> {
    forget_starts(name);
    watched(name, tell(verb, name))
}

/// The same, without waiting longer than `limit` for systemd to be done with it.
///
/// # Errors
/// As [`bring_up`].
pub(crate) fn bring_up_within(verb: &str, name: &str, limit: Duration) -> Result<Output, Failure> {
    forget_starts(name);
    watched(name, tell_within(verb, name, limit))
}

/// Has systemd forget how often a unit was started lately. After a few starts in a row (Docker's unit:
/// three in a minute) it refuses further ones, which is meant against a program that crashes, and
/// would hit an apply that comes soon after another.
fn forget_starts(name: &str) {
    // About a unit that it has not in memory it knows nothing, and says so as an error.
    let _ = tell("reset-failed", name);
}

fn watched(name: &str, told: Result<Output, Failure>) -> Result<Output, Failure> {
    match told {
        Ok(output) => stays_up(name).map(|()| output),
        Err(Failure::Command(failure)) => {
            Err(Failure::Unexpected(format!("{failure}{}", journal(name))))
        }
        Err(failure) => Err(failure),
    }
}

fn stays_up(name: &str) -> Result<(), Failure> {
    let first = wait_until_settled(name, show(name)?)?;
    let deadline = Instant::now() + PROBATION;
    let mut now = first.clone();
    while now.is_up() && now.started == first.started {
        if Instant::now() >= deadline {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(100));
        now = show(name)?;
    }
    let what = if now.is_up() {
        "had to be started again by systemd within a second".to_owned()
    } else {
        format!("is {} after it was started", now.state())
    };
    Err(Failure::Unexpected(format!(
        "the unit `{name}` {what}{}",
        journal(name)
    )))
}

/// The last lines of a unit's journal, each on a line of its own; nothing if there are none.
pub(crate) fn journal(name: &str) -> String {
    let command = Command::new([
        "journalctl",
        "--no-pager",
        "-q",
        "-n",
        "10",
        "-o",
        "cat",
        "-u",
        name,
    ]);
    // Only to explain a failure: without it the failure is still told.
    let Ok(output) = command.timeout(Duration::from_secs(10)).output() else {
        return String::new();
    };
    let lines: String = output
        .stdout
        .lines()
        .flat_map(|line| ["\n    ", line])
        .collect();
    if lines.is_empty() {
        lines
    } else {
        format!("\n  its journal ends:{lines}")
    }
}

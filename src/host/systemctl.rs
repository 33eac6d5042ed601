//! The systemctl program: the state of one unit, and acting on it.
//!
//! Works with systemd 219 (CentOS 7) and later.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rustix::time::{ClockId, clock_gettime};

use super::{Command, Failure};
use crate::protocol::Output;

/// All that is asked about a unit, in one call.
const PROPERTIES: &str = "LoadState,ActiveState,SubState,UnitFileState,NeedDaemonReload,\
                          ExecMainStartTimestampMonotonic,MainPID,FragmentPath,DropInPaths";

/// How long a unit may be on its way from one state to another: systemd's own default.
const TRANSITION: Duration = Duration::from_secs(90);

/// How long a unit must stay up after it was started, before it counts as started. A program
/// that dies of its configuration does so at once, but systemd does not wait for it.
const PROBATION: Duration = Duration::from_secs(1);

/// A unit as systemd knows it. The words are systemd's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unit {
    /// `loaded`, `not-found`, `masked`, `error`, …
    pub load: String,
    /// `active`, `inactive`, `failed`, `activating`, …
    pub active: String,
    /// More of the same: `running`, `dead`, `auto-restart`, …
    pub sub: String,
    /// `enabled`, `disabled`, `static`, …; empty if systemd cannot tell.
    pub file: String,
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

/// The state of a unit once it is in none between two others, or has been for too long.
///
/// # Errors
/// [`Failure::Command`] if systemd does not answer.
pub fn settled(name: &str) -> Result<Unit, Failure> {
    let deadline = Instant::now() + TRANSITION;
    loop {
        let unit = show(name)?;
        if !unit.in_transition() || Instant::now() >= deadline {
            return Ok(unit);
        }
        thread::sleep(Duration::from_millis(200));
    }
}

/// The same, and what [`Unit::file`] is comes from the disk: systemd remembers what that was when it
/// last read its files, and a link in `/etc/systemd/system/*.wants` that somebody removed since is
/// not missed until the next boot.
///
/// # Errors
/// As [`settled`].
pub fn settled_as_on_disk(name: &str) -> Result<Unit, Failure> {
    let mut unit = settled(name)?;
    // What has no file is not on the disk, and of a SysV script systemctl asks others.
    if !matches!(unit.file.as_str(), "" | "generated" | "transient" | "bad") {
        let output = Command::new(["systemctl", "is-enabled", name]).output()?;
        unit.file = said_of_file(&output.stdout).unwrap_or(unit.file);
    }
    Ok(unit)
}

/// What `systemctl is-enabled` says; nothing if it could not tell, which it says on standard error.
fn said_of_file(stdout: &str) -> Option<String> {
    let word = stdout.lines().next()?.trim();
    (!word.is_empty()).then(|| word.to_owned())
}

fn show(name: &str) -> Result<Unit, Failure> {
    let output = Command::new(["systemctl", "show", name, "-p", PROPERTIES]).run()?;
    parse(&output.stdout).map_err(|missing| {
        Failure::Unexpected(format!(
            "`systemctl show {name}` does not tell the {missing}"
        ))
    })
}

fn parse(printed: &str) -> Result<Unit, &'static str> {
    let property = |name: &'static str| {
        printed
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
            .ok_or(name)
    };
    Ok(Unit {
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

/// Some properties of a unit as systemd prints them; those it does not have are left out.
///
/// # Errors
/// [`Failure::Command`] if systemd does not answer.
pub fn properties(name: &str, names: &str) -> Result<BTreeMap<String, String>, Failure> {
    let output = Command::new(["systemctl", "show", name, "-p", names]).run()?;
    let pairs = output
        .stdout
        .lines()
        .filter_map(|line| line.split_once('='));
    Ok(pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect())
}

/// Tells systemd something about one unit: `enable`, `stop`, `mask`, …
pub fn tell(verb: &str, name: &str) -> Result<Output, Failure> {
    command(verb, name).run()
}

/// The same, without waiting longer than `limit` for systemd to be done with it.
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
    let first = settled(name)?;
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// As printed by systemd 252; 219 prints the same in another order.
    const CRON: &str = "ExecMainStartTimestampMonotonic=7869319\nLoadState=loaded\n\
        ActiveState=active\nSubState=running\nUnitFileState=enabled\nNeedDaemonReload=no\n\
        MainPID=412\nFragmentPath=/lib/systemd/system/cron.service\n\
        DropInPaths=/etc/systemd/system/cron.service.d/a.conf /run/systemd/system/cron.service.d/b.conf\n";

    #[test]
    fn reads_the_properties_in_any_order() {
        let unit = parse(CRON).unwrap();
        assert_eq!(
            (unit.state().as_str(), unit.is_up()),
            ("active (running)", true)
        );
        assert_eq!((unit.file.as_str(), unit.stale), ("enabled", false));
        assert_eq!(unit.main_process, "412");
        assert_eq!(unit.fragment, Path::new("/lib/systemd/system/cron.service"));
        assert_eq!(
            unit.drop_ins,
            [
                "/etc/systemd/system/cron.service.d/a.conf",
                "/run/systemd/system/cron.service.d/b.conf"
            ]
            .map(PathBuf::from)
        );
        let reversed = CRON.lines().rev().collect::<Vec<_>>().join("\n");
        assert_eq!(parse(&reversed).unwrap(), unit);
        assert!(
            parse(&CRON.replace("Reload=no", "Reload=yes"))
                .unwrap()
                .stale
        );
    }

    #[test]
    fn a_unit_without_a_main_process_or_file_is_one_too() {
        let target = "LoadState=not-found\nActiveState=inactive\nSubState=dead\n";
        let unit = parse(target).unwrap();
        assert_eq!((unit.load.as_str(), unit.is_down()), ("not-found", true));
        assert_eq!((unit.main_process.as_str(), unit.drop_ins.len()), ("", 0));
    }

    #[test]
    fn reads_what_is_enabled() {
        // As printed by systemd 252; with status 1 for all but the first.
        for (printed, expected) in [
            ("enabled\n", Some("enabled")),
            ("disabled\n", Some("disabled")),
            ("masked\n", Some("masked")),
            ("", None),
        ] {
            assert_eq!(said_of_file(printed).as_deref(), expected);
        }
    }

    #[test]
    fn says_what_systemd_left_out() {
        assert_eq!(parse("LoadState=loaded\n"), Err("ActiveState"));
        assert_eq!(parse(""), Err("LoadState"));
        assert_eq!(
            parse("LoadStateful=x\nActiveState=active\n"),
            Err("LoadState")
        );
    }

    #[test]
    fn a_crash_loop_is_no_transition() {
        let unit = |active: &str, sub: &str| Unit {
            active: active.to_owned(),
            sub: sub.to_owned(),
            ..Unit::default()
        };
        assert!(unit("activating", "start").in_transition());
        assert!(unit("deactivating", "stop-sigterm").in_transition());
        let looping = unit("activating", "auto-restart");
        assert!(!looping.in_transition() && !looping.is_up() && !looping.is_down());
    }
}

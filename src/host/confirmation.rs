//! Changes that may cut the host off: taken back unless somebody comes over a new connection.
//!
//! After such a change, a process of its own watches over it, which outlives the helper and the
//! connection. `unconfirmed.json` in fleet's own directory says what to put back. Who takes that
//! file away decides: whoever came over a new connection by removing it, or the watch, when time
//! is up, by renaming it.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::entry::Entry;
use super::own::make_private_directory;
use super::{Failure, FileMode, Host, Permissions, Snapshot, files, own, remove_file, systemctl};
use crate::protocol::{CONFIRM_LIMIT, Event};

/// How long a change may stay unconfirmed, unless its task says otherwise.
const CONFIRM_WITHIN: Duration = Duration::from_mins(1);

/// No connection is sure to come about in less.
const SHORTEST: Duration = Duration::from_secs(10);

/// How long a change may stay unconfirmed whose task says so, in seconds.
#[must_use]
pub fn confirm_within(seconds: Option<u64>) -> Duration {
    seconds.map_or(CONFIRM_WITHIN, Duration::from_secs)
}

/// Makes sure that a task asks for a time that can be kept.
///
/// # Errors
/// Which times can.
pub fn check_confirm_timeout(seconds: Option<u64>) -> Result<(), String> {
    match seconds {
        Some(seconds) if !(SHORTEST..=CONFIRM_LIMIT).contains(&Duration::from_secs(seconds)) => {
            Err(format!(
                "`confirm_timeout: {seconds}` is not from {} to {} seconds",
                SHORTEST.as_secs(),
                CONFIRM_LIMIT.as_secs()
            ))
        }
        _ => Ok(()),
    }
}

/// How often the watch looks whether it was confirmed.
const GLANCE: Duration = Duration::from_millis(100);

/// How a host was before a change that may cut it off.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WayBack {
    /// Kernel parameters, by their path below `/proc/sys`.
    pub parameters: Vec<(PathBuf, String)>,
    /// The files that were changed.
    pub files: Snapshot,
    /// The unit to restart when they are back.
    pub restart: Option<String>,
}

impl WayBack {
    /// Goes it to the end, even if a part of it fails: what is back may be what was needed.
    fn go(&self) -> Result<(), Failure> {
        let parameters = self.parameters.iter().map(|(path, value)| {
            fs::write(path, value).map_err(|source| Failure::io("set", path, source))
        });
        let parameters = parameters.fold(Ok(()), Result::and);
        let files = self.files.restore();
        let unit = self.restart.as_ref().map_or(Ok(()), |unit| {
            systemctl::daemon_reload()?;
            systemctl::bring_up("restart", unit).map(drop)
        });
        parameters.and(files).and(unit)
    }
}

/// What the watch is told, on the disk.
#[derive(Debug, Serialize, Deserialize)]
struct Unconfirmed {
    within_ms: u64,
    back: WayBack,
}

fn unconfirmed(state: &Path) -> PathBuf {
    state.join("unconfirmed.json")
}

/// Where the way back is while it is gone, and stays if it cannot be gone to its end.
fn under_way(state: &Path) -> PathBuf {
    state.join("taking-back.json")
}

/// How a watch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watched {
    /// Somebody came over a new connection.
    Confirmed,
    /// Nobody did; everything is as before.
    TakenBack,
}

impl Watched {
    /// The exit status by which the watch tells the helper; other ones say that it failed.
    #[must_use]
    pub fn status(self) -> u8 {
        match self {
            Self::Confirmed => 0,
            Self::TakenBack => 3,
        }
    }
}

/// Has a change watched, asks the controller for a new connection, and waits for the verdict.
///
/// # Errors
/// If nobody came in time, or nobody could watch: the change was taken back.
pub(crate) fn require(host: &Host, back: &WayBack, within: Duration) -> Result<(), Failure> {
    let state = host.state_directory();
    let within_ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
    let mut watch = match arm(state, back, within_ms) {
        Ok(watch) => watch,
        Err(failure) => {
            remove_file(&unconfirmed(state))?;
            back.go()?;
            return Err(Failure::Refused(format!(
                "it may cut the host off and cannot be watched over ({failure}), so it was taken back"
            )));
        }
    };
    // Where it is not heard, nobody comes; that is what the watch is for.
    let _ = host.send(&Event::Unconfirmed { within_ms });
    let ended = watch.wait().ok().and_then(|status| status.code());
    let said = [Watched::Confirmed, Watched::TakenBack]
        .into_iter()
        .find(|verdict| ended == Some(verdict.status().into()));
    // A watch that was killed leaves what it did not begin.
    let verdict = said.map_or_else(|| take_back(state), Ok);
    match verdict {
        Ok(Watched::Confirmed) if !under_way(state).exists() => Ok(()),
        Ok(Watched::TakenBack) => Err(Failure::Refused(format!(
            "it may cut the host off, and nobody could connect anew within {} s, so it was taken back",
            within.as_secs()
        ))),
        Ok(Watched::Confirmed) | Err(_) => Err(Failure::Unexpected(format!(
            "it may cut the host off, nobody could connect anew within {} s, and it could not be \
             taken back whole; {} has what was there before",
            within.as_secs(),
            under_way(state).display()
        ))),
    }
}

/// Starts the watch: this very program, with nothing of this one's but its directory.
fn arm(state: &Path, back: &WayBack, within_ms: u64) -> Result<Child, Failure> {
    make_private_directory(state)?;
    remove_file(&under_way(state))?;
    let unconfirmed_change = Unconfirmed {
        within_ms,
        back: back.clone(),
    };
    let json = serde_json::to_vec(&unconfirmed_change).expect("paths that came as text");
    let private = Permissions {
        mode: Some(FileMode::PRIVATE),
        ..Permissions::default()
    };
    files::replace(&unconfirmed(state), &json, private)?;
    let program = Path::new("/proc/self/exe");
    #[expect(
        clippy::disallowed_methods,
        reason = "it has no deadline but its own, and outlives this process"
    )]
    process::Command::new(program)
        .arg0("fleet-helper")
        .arg("watch")
        .env("FLEET_STATE_DIR", state)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|source| Failure::io("start", program, source))
}

/// Watches over the change that `unconfirmed.json` in `state` tells of: the work of a process of
/// its own.
///
/// # Errors
/// If the file cannot be read, or not everything could be put back.
pub fn watch(state: &Path) -> Result<Watched, Failure> {
    // The end of the helper's session is not to be this one's. It fails for one that has its own.
    let _ = rustix::process::setsid();
    let path = unconfirmed(state);
    let within = match read(&path)? {
        Some(change) => Duration::from_millis(change.within_ms),
        None => return Ok(Watched::Confirmed),
    };
    let deadline = Instant::now() + within;
    while path.exists() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return take_back(state);
        }
        thread::sleep(left.min(GLANCE));
    }
    Ok(Watched::Confirmed)
}

fn take_back(state: &Path) -> Result<Watched, Failure> {
    let (path, taken) = (unconfirmed(state), under_way(state));
    let name = taken.file_name().unwrap_or_default();
    match Entry::required(&path)?.rename(name) {
        Ok(()) => {}
        Err(Errno::NOENT) => return Ok(Watched::Confirmed),
        Err(errno) => return Err(Failure::io("rename", &path, errno)),
    }
    if let Some(change) = read(&taken)? {
        change.back.go()?;
    }
    remove_file(&taken)?;
    Ok(Watched::TakenBack)
}

fn read(path: &Path) -> Result<Option<Unconfirmed>, Failure> {
    let change = own::read(path)?.map(|bytes| serde_json::from_slice(&bytes));
    change
        .transpose()
        .map_err(|error| Failure::Unexpected(format!("{}: {error}", path.display())))
}

/// Confirms the change that waits for it, by being here over a new connection. Answers whether
/// one waited.
pub(crate) fn confirm(state: &Path) -> Result<bool, Failure> {
    Entry::at(&unconfirmed(state))?.map_or(Ok(false), |entry| entry.unlink())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file that was changed from `old` to `new`, and may be for so long.
    fn changed(within: Duration) -> (tempfile::TempDir, PathBuf) {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("settings");
        fs::write(&path, "old").unwrap();
        let host = Host::offline(base.path());
        let absent = base.path().join("absent");
        let back = WayBack {
            files: Snapshot::take(&host, [&*path, &*absent]).unwrap(),
            ..WayBack::default()
        };
        fs::write(&path, "new").unwrap();
        fs::write(&absent, "new").unwrap();
        let change = Unconfirmed {
            within_ms: u64::try_from(within.as_millis()).unwrap(),
            back,
        };
        let json = serde_json::to_vec(&change).unwrap();
        fs::write(unconfirmed(base.path()), json).unwrap();
        (base, path)
    }

    #[test]
    fn what_nobody_confirms_is_taken_back() {
        let (base, path) = changed(Duration::from_millis(50));
        assert_eq!(watch(base.path()).unwrap(), Watched::TakenBack);
        assert_eq!(fs::read_to_string(path).unwrap(), "old");
        assert!(!base.path().join("absent").exists());
        assert!(!confirm(base.path()).unwrap(), "it is too late");
        assert!(!under_way(base.path()).exists());
    }

    #[test]
    fn what_is_confirmed_stays() {
        let (base, path) = changed(Duration::from_mins(1));
        let state = base.path().to_owned();
        let watching = thread::spawn(move || watch(&state).unwrap());
        thread::sleep(GLANCE / 2);
        assert!(confirm(base.path()).unwrap());
        assert_eq!(watching.join().unwrap(), Watched::Confirmed);
        assert_eq!(fs::read_to_string(path).unwrap(), "new");
    }

    #[test]
    fn what_cannot_be_put_back_whole_is_kept() {
        let (base, path) = changed(Duration::ZERO);
        let absent = base.path().join("absent");
        fs::remove_file(&absent).unwrap();
        fs::create_dir(&absent).unwrap();
        watch(base.path()).unwrap_err();
        assert!(under_way(base.path()).exists());
        assert!(["old", "new"].contains(&&*fs::read_to_string(path).unwrap()));
    }
}

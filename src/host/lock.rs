//! One writer per host: a lock that dies with its holder.
//!
//! The file says who holds it, but only the kernel's lock on it counts: a killed helper leaves
//! its name behind and no lock. The file is never removed, or two runs could each lock one of
//! the same name. Programs that tasks start do not inherit it (`O_CLOEXEC`), so that something
//! that stays running on the host does not keep it.
//!
//! A run keeps it from its first play to its last. One machine may be several hosts of an inventory:
//! what keeps other runs out is shared by the helpers of one run, and they take turns.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;

use super::own::make_private_directory;
use super::{Failure, own};
use crate::protocol::{Claim, Holder};

/// More than any record of ours.
const RECORD_LIMIT: u64 = 64 * 1024;

/// A check that looks has the lock for a moment, and who has just taken it has no name yet: the
/// lock is tried so often, with a pause each time, before it counts as held.
const GLANCES: usize = 3;
const GLANCE: Duration = Duration::from_millis(20);

/// The run's lock on the host, held until this is dropped or the process ends.
#[derive(Debug)]
pub(crate) struct HostLock {
    file: File,
}

/// The right to write to the host, among the helpers of the run that has the lock.
#[derive(Debug)]
pub(crate) struct Turn {
    file: File,
}

impl Turn {
    /// Takes the turn, without waiting for another helper of the run, which may have it. For those
    /// who have the lock.
    pub(crate) fn take(state: &Path) -> Result<Option<Self>, Failure> {
        let path = state.join("turn");
        let file = open(&path)?;
        let taken = try_lock(&file, &path, FlockOperation::NonBlockingLockExclusive)?;
        Ok(taken.then_some(Self { file }))
    }
}

impl HostLock {
    /// Takes the lock, without waiting for another run; the inner error is the run that has it.
    pub(crate) fn take(
        state: &Path,
        claim: &Claim,
        run_id: &str,
    ) -> Result<Result<Self, Option<Holder>>, Failure> {
        make_private_directory(state)?;
        let path = state.join("lock");
        let mut lock = Self { file: open(&path)? };
        let mut holder = None;
        for _ in 0..GLANCES {
            let alone = try_lock(&lock.file, &path, FlockOperation::NonBlockingLockExclusive)?;
            if alone {
                lock.sign(claim, run_id);
            }
            let is_ours = |holder: &Holder| holder.run_id == run_id && holder.who == claim.who;
            holder = lock.holder();
            let share = alone || holder.as_ref().is_some_and(is_ours);
            if share && try_lock(&lock.file, &path, FlockOperation::NonBlockingLockShared)? {
                // The kernel lets go before it shares, and another run may have come in between.
                let still_ours = lock.holder().as_ref().map_or(alone, is_ours);
                if still_ours {
                    return Ok(Ok(lock));
                }
                try_lock(&lock.file, &path, FlockOperation::Unlock)?;
            }
            thread::sleep(GLANCE);
        }
        Ok(Err(holder))
    }

    /// The run that has signed it.
    pub(crate) fn holder(&mut self) -> Option<Holder> {
        record(&mut self.file)
    }

    /// Says who holds it. A full disk may swallow the name; the lock holds all the same, and an
    /// apply may be what frees the disk.
    fn sign(&mut self, claim: &Claim, run_id: &str) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let holder = Holder {
            who: claim.who.clone(),
            run_id: run_id.to_owned(),
            since: now.unwrap_or_default().as_secs(),
            pid: std::process::id(),
        };
        let text = serde_json::to_vec(&holder).expect("texts and numbers");
        let _ = self.file.set_len(0);
        let _ = self.file.seek(SeekFrom::Start(0));
        let _ = self.file.write_all(&text);
    }
}

impl Drop for HostLock {
    fn drop(&mut self) {
        // An empty file tells a check that it need not even look at the lock. Where it cannot be
        // had alone, another helper of the run goes on.
        if flock(&self.file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            let _ = self.file.set_len(0);
        }
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // Closing the file alone would not end it while a program that was just forked has it open.
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

/// The apply that runs on this host now, if one does. A host on which the last one ended in
/// order is not even touched by a lock; only a name that was left behind is verified.
pub(crate) fn running_apply(state: &Path) -> Result<Option<Holder>, Failure> {
    let path = state.join("lock");
    let Some(mut file) = own::open(&path, OFlags::RDONLY)? else {
        return Ok(None);
    };
    let Some(holder) = record(&mut file) else {
        return Ok(None);
    };
    for _ in 0..GLANCES {
        if try_lock(&file, &path, FlockOperation::NonBlockingLockExclusive)? {
            try_lock(&file, &path, FlockOperation::Unlock)?;
            return Ok(None);
        }
        thread::sleep(GLANCE);
    }
    Ok(Some(holder))
}

fn open(path: &Path) -> Result<File, Failure> {
    let file = own::open(path, OFlags::RDWR | OFlags::CREATE)?;
    file.ok_or_else(|| Failure::Missing(format!("{} cannot be made", path.display())))
}

/// Whether it was to be had at once.
fn try_lock(file: &File, path: &Path, how: FlockOperation) -> Result<bool, Failure> {
    match flock(file, how) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK | Errno::INTR) => Ok(false),
        Err(errno) => Err(Failure::io("lock", path, errno)),
    }
}

/// What the holder wrote; `None` if nothing can be read of it.
fn record(file: &mut File) -> Option<Holder> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0)).ok()?;
    file.take(RECORD_LIMIT).read_to_end(&mut bytes).ok()?;
    serde_json::from_slice(&bytes).ok()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn claim(who: &str) -> Claim {
        Claim {
            who: who.to_owned(),
            wait_ms: 0,
        }
    }

    fn take(state: &Path, who: &str) -> Result<HostLock, Option<Holder>> {
        HostLock::take(state, &claim(who), who).unwrap()
    }

    #[test]
    fn has_one_holder_at_a_time_who_is_named() {
        let base = tempfile::tempdir().unwrap();
        let state = base.path().join("state");
        assert_eq!(running_apply(&state).unwrap(), None);
        assert!(!state.exists(), "looking makes nothing");

        let first = take(&state, "a@ctl").unwrap();
        let holder = take(&state, "b@ctl").unwrap_err().unwrap();
        assert_eq!((&*holder.who, holder.pid), ("a@ctl", std::process::id()));
        assert_eq!(running_apply(&state).unwrap(), Some(holder));

        drop(first);
        assert_eq!(running_apply(&state).unwrap(), None);
        assert!(take(&state, "b@ctl").is_ok());
    }

    #[test]
    fn one_run_shares_it_and_takes_turns() {
        let base = tempfile::tempdir().unwrap();
        let first = take(base.path(), "a@ctl").unwrap();
        let second = take(base.path(), "a@ctl").unwrap();
        let turn = Turn::take(base.path()).unwrap();
        assert!(turn.is_some());
        assert!(Turn::take(base.path()).unwrap().is_none());
        drop(turn);
        assert!(Turn::take(base.path()).unwrap().is_some());

        drop(first);
        let holder = take(base.path(), "b@ctl").unwrap_err().unwrap();
        assert_eq!(holder.who, "a@ctl", "the second has it still");
        drop(second);
        assert_eq!(running_apply(base.path()).unwrap(), None);
        assert!(take(base.path(), "b@ctl").is_ok());
    }

    #[test]
    fn a_name_without_a_lock_holds_nothing() {
        let base = tempfile::tempdir().unwrap();
        let dead = r#"{"who":"dead@ctl","run_id":"r","since":1,"pid":1}"#;
        for left_behind in [dead, "", "{", "\0\u{ff}"] {
            fs::write(base.path().join("lock"), left_behind).unwrap();
            assert_eq!(running_apply(base.path()).unwrap(), None, "{left_behind}");
            assert!(take(base.path(), "a@ctl").is_ok(), "{left_behind}");
        }
    }

    #[test]
    fn a_lock_without_a_name_holds() {
        let base = tempfile::tempdir().unwrap();
        let held = take(base.path(), "a@ctl").unwrap();
        held.file.set_len(0).unwrap();
        assert_eq!(take(base.path(), "b@ctl").unwrap_err(), None);
    }
}

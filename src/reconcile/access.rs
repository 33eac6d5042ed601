//! Whether this conversation may write to the host.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::ServeError;
use crate::host::{Failure, HostLock, Link, Turn, running_apply};
use crate::protocol::{Begin, Event, Holder};

/// How often a lock that another run holds is tried.
const LOCK_POLL: Duration = Duration::from_millis(100);

/// How often who waits for its turn says that it is still there.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);

/// On which terms the host may be worked on, for one play.
#[derive(Default)]
pub(super) struct Access {
    /// The only run that writes, until it is dropped.
    lock: Option<HostLock>,
    /// The only helper of the run that does.
    turn: Option<Turn>,
    /// Who else writes while this conversation only looks.
    pub running: Option<Holder>,
}

impl Access {
    /// What is kept until the next play.
    pub(super) fn pause(self) -> Option<HostLock> {
        self.lock
    }

    /// Becomes the only helper of the run that writes, if no other is: `true`. Who only looks needs
    /// no turn.
    pub(super) fn take_turn(&mut self, state: &Path) -> Result<bool, Failure> {
        if self.lock.is_some() {
            self.turn = Turn::take(state)?;
        }
        Ok(self.lock.is_none() || self.turn.is_some())
    }

    /// Waits for the turn, however long the other helper takes: it is of the same run, and its end
    /// is this one's beginning.
    pub(super) fn await_turn(&mut self, link: &mut Link, state: &Path) -> Result<(), ServeError> {
        let mut told: Option<Instant> = None;
        while !self.take_turn(state)? {
            if told.is_none_or(|told| told.elapsed() >= SIGN_OF_LIFE) {
                // This is also how it is noticed that nobody listens any more.
                link.send(&Event::AwaitsTurn)?;
                told = Some(Instant::now());
            }
            thread::sleep(LOCK_POLL);
        }
        Ok(())
    }

    /// The run that has the lock.
    pub(super) fn holder(&mut self) -> Option<Holder> {
        self.lock.as_mut().and_then(HostLock::holder)
    }
}

/// Takes the host's lock, if it is claimed and not `kept` from an earlier play, or looks who has it.
/// `None`: another run has it, and the controller has been told.
pub(super) fn gain_access(
    link: &mut Link,
    state: &Path,
    begin: &Begin,
    kept: Option<HostLock>,
) -> Result<Option<Access>, ServeError> {
    let with = |lock| Access {
        lock: Some(lock),
        ..Access::default()
    };
    let Some(claim) = &begin.claim else {
        return Ok(Some(Access {
            running: running_apply(state)?,
            ..Access::default()
        }));
    };
    if let Some(lock) = kept {
        return Ok(Some(with(lock)));
    }
    let until = Instant::now() + Duration::from_millis(claim.wait_ms);
    let mut told = false;
    loop {
        let holder = match HostLock::take(state, claim, &begin.run_id)? {
            Ok(lock) => return Ok(Some(with(lock))),
            Err(holder) => holder,
        };
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            link.send(&Event::Locked { holder })?;
            return Ok(None);
        }
        if !told {
            link.send(&Event::Waiting { holder })?;
            told = true;
        }
        thread::sleep(left.min(LOCK_POLL));
    }
}

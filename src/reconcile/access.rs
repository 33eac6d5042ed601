//! Whether this conversation may write to the host.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::ServeError;
use crate::host::{HostLock, Link, Turn, running_apply};
use crate::protocol::{Begin, Event, Holder};

/// How often a lock that another run holds is tried.
const LOCK_POLL: Duration = Duration::from_millis(100);

/// On which terms the host may be worked on, for one play.
#[derive(Default)]
pub(super) struct Access {
    /// The only run that writes, until it is dropped.
    lock: Option<HostLock>,
    /// The only helper of the run that does.
    _turn: Option<Turn>,
    /// Who else writes while this conversation only looks.
    pub running: Option<Holder>,
}

impl Access {
    /// What is kept until the next play.
    pub(super) fn pause(self) -> Option<HostLock> {
        self.lock
    }
}

/// Takes the host's lock, if it is claimed and not `kept` from an earlier play, and the turn; or
/// looks who has it. `None`: somebody else has it, and the controller has been told.
pub(super) fn gain_access(
    link: &mut Link,
    state: &Path,
    begin: &Begin,
    kept: Option<HostLock>,
) -> Result<Option<Access>, ServeError> {
    let Some(claim) = &begin.claim else {
        return Ok(Some(Access {
            running: running_apply(state)?,
            ..Access::default()
        }));
    };
    let until = Instant::now() + Duration::from_millis(claim.wait_ms);
    let mut lock = kept;
    let mut told = false;
    loop {
        let holder = match &mut lock {
            Some(held) => match Turn::take(state)? {
                Some(turn) => {
                    return Ok(Some(Access {
                        lock,
                        _turn: Some(turn),
                        running: None,
                    }));
                }
                None => held.holder(),
            },
            None => match HostLock::take(state, claim, &begin.run_id)? {
                Ok(taken) => {
                    lock = Some(taken);
                    continue;
                }
                Err(holder) => holder,
            },
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

//! Whether this conversation may write to the host.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::ServeError;
use crate::host::{HostLock, Link, running_apply};
use crate::protocol::{Begin, Event, Holder};

/// How often a lock that another run holds is tried.
const LOCK_POLL: Duration = Duration::from_millis(100);

/// On which terms the host may be worked on.
#[derive(Default)]
pub(super) struct Access {
    /// The only one who writes; until it is dropped.
    _lock: Option<HostLock>,
    /// Who else writes while this conversation only looks.
    pub running: Option<Holder>,
}

/// Takes the host's lock, if it is claimed, or looks who has it. `None`: somebody else has it,
/// and the controller has been told.
pub(super) fn gain_access(
    link: &mut Link,
    state: &Path,
    begin: &Begin,
) -> Result<Option<Access>, ServeError> {
    let Some(claim) = &begin.claim else {
        return Ok(Some(Access {
            running: running_apply(state)?,
            ..Access::default()
        }));
    };
    let until = Instant::now() + Duration::from_millis(claim.wait_ms);
    let mut told = false;
    loop {
        let holder = match HostLock::take(state, claim, &begin.run_id)? {
            Ok(lock) => {
                return Ok(Some(Access {
                    _lock: Some(lock),
                    running: None,
                }));
            }
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

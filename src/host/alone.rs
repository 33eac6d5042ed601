//! Ending when nobody listens any more, whatever the helper waits for: another run's lock, its turn,
//! a program that only looks, a file that is none.
//!
//! A helper that says something notices by itself, and keeps what nobody heard. This is for one that
//! says nothing. A change is never left in the middle.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// How long the helper may take to notice by itself.
const GRACE: Duration = Duration::from_secs(5);

/// How long it may, if it holds results that nobody heard.
const GRACE_OF_RESULTS: Duration = Duration::from_mins(15);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(250);

/// How many changes are under way.
static CHANGES: AtomicUsize = AtomicUsize::new(0);

/// Whether there are results that nobody heard yet, and that are to be kept.
static UNHEARD: AtomicBool = AtomicBool::new(false);

/// A change that is under way, until dropped.
pub(super) struct UnderWay;

impl UnderWay {
    pub(super) fn new() -> Self {
        CHANGES.fetch_add(1, Ordering::SeqCst);
        Self
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        CHANGES.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Says whether there are results that nobody heard yet.
pub(crate) fn hold_results(any: bool) {
    UNHEARD.store(any, Ordering::SeqCst);
}

/// Ends this process some time after the other end of `stdout` is closed, unless it ends by itself.
///
/// # Errors
/// When no thread can be started.
pub fn end_when_alone(stdout: OwnedFd) -> io::Result<()> {
    let watch = move || {
        while !is_closed(&stdout, Duration::from_mins(1)) {}
        let since = Instant::now();
        loop {
            thread::sleep(PAUSE);
            let grace = if UNHEARD.load(Ordering::SeqCst) {
                GRACE_OF_RESULTS
            } else {
                GRACE
            };
            if since.elapsed() >= grace && CHANGES.load(Ordering::SeqCst) == 0 {
                end();
            }
        }
    };
    thread::Builder::new().spawn(watch).map(drop)
}

#[expect(
    clippy::exit,
    reason = "what the helper waits for does not come to an end by itself"
)]
fn end() -> ! {
    std::process::exit(1)
}

/// Waits so long for nobody to read any more.
fn is_closed(stdout: &OwnedFd, patience: Duration) -> bool {
    // Errors and hang-ups are told unasked.
    let mut watched = [PollFd::new(stdout, PollFlags::empty())];
    let patience = Timespec::try_from(patience).ok();
    if poll(&mut watched, patience.as_ref()).is_err() {
        thread::sleep(PAUSE);
        return false;
    }
    let gone = PollFlags::ERR | PollFlags::HUP;
    watched[0].revents().intersects(gone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_that_nobody_reads_is_closed_and_a_file_is_not() {
        let (reader, writer) = std::io::pipe().unwrap();
        let writer = OwnedFd::from(writer);
        assert!(!is_closed(&writer, Duration::ZERO));
        drop(reader);
        assert!(is_closed(&writer, Duration::ZERO));
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let ours = OwnedFd::from(ours);
        theirs.shutdown(std::net::Shutdown::Write).unwrap();
        assert!(!is_closed(&ours, Duration::ZERO), "it may still listen");
        drop(theirs);
        assert!(is_closed(&ours, Duration::ZERO));
        let file = OwnedFd::from(tempfile::tempfile().unwrap());
        assert!(!is_closed(&file, Duration::ZERO));
    }
}

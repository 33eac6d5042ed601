//! What is going on while it is going on, on stderr. Never part of the report.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::DecimalBytes;

use super::HostStatus;
use crate::harmless::single_line;
use crate::protocol::{Advance, Step};

mod live;

pub use live::Live;

/// Between two signs of life in a log.
const SIGNS_OF_LIFE: Duration = Duration::from_secs(10);

/// Hears of everything that happens during a run, from many threads at once.
pub trait Progress: Send + Sync {
    /// The run will be over so many hosts. Called first, and when it goes on after an
    /// [`end`](Self::end).
    fn begin(&self, hosts: usize);
    /// Work on a host has begun: it is being connected to.
    fn host_started(&self, host: &str);
    /// A task has begun on a host.
    fn task_started(&self, host: &str, task: &str);
    /// A task on a host has come so far with the resource `id`. Called as often as a host likes.
    fn task_advanced(&self, host: &str, task: &str, id: &str, advance: Advance);
    /// A host is over, well or not.
    fn host_finished(&self, host: &str, status: HostStatus);
    /// Something worth saying that is about no task: a retry, the helper being sent.
    fn note(&self, text: &str);
    /// Takes away whatever is shown. The report may be printed when this returns, or a question
    /// be asked.
    fn end(&self);
}

/// Says nothing (`-q`, and tests).
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _: usize) {}
    fn host_started(&self, _: &str) {}
    fn task_started(&self, _: &str, _: &str) {}
    fn task_advanced(&self, _: &str, _: &str, _: &str, _: Advance) {}
    fn host_finished(&self, _: &str, _: HostStatus) {}
    fn note(&self, _: &str) {}
    fn end(&self) {}
}

/// One short line per finished host and note, and a sign of life now and then: for logs and pipes.
#[derive(Debug)]
pub struct Plain<W> {
    state: Mutex<(Totals, W)>,
    /// When one is due: of all hosts together, a log is to stay short.
    sign_of_life: Mutex<Instant>,
    pause: Duration,
}

impl<W: Write + Send> Plain<W> {
    /// Writes to `out`, usually stderr.
    pub fn new(out: W) -> Self {
        Self::every(SIGNS_OF_LIFE, out)
    }

    /// The same with another pause between two signs of life.
    fn every(pause: Duration, out: W) -> Self {
        Self {
            state: Mutex::new((Totals::default(), out)),
            sign_of_life: Mutex::new(Instant::now() + pause),
            pause,
        }
    }

    fn with(&self, act: impl FnOnce(&mut Totals, &mut W) -> std::io::Result<()>) {
        let mut state = lock(&self.state);
        let (totals, out) = &mut *state;
        // A log that cannot be written must not stop the work it tells of.
        let _ = act(totals, out);
    }
}

impl<W: Write + Send> Progress for Plain<W> {
    fn begin(&self, hosts: usize) {
        self.with(|totals, _| {
            totals.selected = hosts;
            Ok(())
        });
    }

    fn host_started(&self, _: &str) {}

    fn task_started(&self, _: &str, _: &str) {}

    fn task_advanced(&self, host: &str, task: &str, id: &str, advance: Advance) {
        let now = Instant::now();
        let mut due = lock(&self.sign_of_life);
        if now < *due {
            return;
        }
        *due = now + self.pause;
        let text = format!("{host}: {}", so_far(task, id, advance));
        self.with(|_, out| writeln!(out, "{}", single_line(&text)));
    }

    fn host_finished(&self, host: &str, status: HostStatus) {
        self.with(|totals, out| {
            if !totals.add(host, status) {
                return Ok(());
            }
            let (finished, selected) = (totals.finished.len(), totals.selected);
            let (host, status) = (single_line(host), word(status));
            writeln!(out, "[{finished}/{selected}] {host}: {status}")
        });
    }

    fn note(&self, text: &str) {
        self.with(|_, out| writeln!(out, "{}", single_line(text)));
    }

    fn end(&self) {}
}

/// The hosts so far, each with its latest status: one of several plays may finish before others.
#[derive(Debug, Default)]
struct Totals {
    selected: usize,
    finished: HashMap<String, HostStatus>,
    counts: HashMap<HostStatus, usize>,
}

impl Totals {
    /// Takes note of a host; says whether that is news.
    fn add(&mut self, host: &str, status: HostStatus) -> bool {
        let before = self.finished.insert(host.to_owned(), status);
        if before == Some(status) {
            return false;
        }
        if let Some(count) = before.and_then(|before| self.counts.get_mut(&before)) {
            *count -= 1;
        }
        *self.counts.entry(status).or_default() += 1;
        true
    }

    /// `12/40 hosts  3 drifted  1 unreachable`
    fn line(&self) -> String {
        let noun = if self.selected == 1 { "host" } else { "hosts" };
        let mut parts = vec![format!("{}/{} {noun}", self.finished.len(), self.selected)];
        for status in [
            HostStatus::Changed,
            HostStatus::Drifted,
            HostStatus::Unknown,
            HostStatus::Failed,
            HostStatus::Unreachable,
        ] {
            match self.counts.get(&status) {
                None | Some(0) => {}
                Some(count) => parts.push(format!("{count} {}", word(status))),
            }
        }
        parts.join("  ")
    }
}

const fn word(status: HostStatus) -> &'static str {
    match status {
        HostStatus::InSync => "in sync",
        HostStatus::Drifted => "drifted",
        HostStatus::Changed => "changed",
        HostStatus::Failed => "failed",
        HostStatus::Unknown => "unknown",
        HostStatus::Unreachable => "unreachable",
        HostStatus::Untouched => "untouched",
    }
}

/// `Base images: downloaded 3.40 MB of 120.00 MB: registry.example/jre@sha256:…`
fn so_far(task: &str, id: &str, advance: Advance) -> String {
    let did = match advance.step {
        Step::Send => "sent",
        Step::Download => "downloaded",
        Step::Unpack => "unpacked",
    };
    let (done, total) = (DecimalBytes(advance.done), DecimalBytes(advance.total));
    // What is short comes first: a line of a terminal may end before the name of an image.
    let what = if id == task { "" } else { id };
    let colon = if what.is_empty() { "" } else { ": " };
    format!("{task}: {did} {done} of {total}{colon}{what}")
}

/// Progress is worth showing even if another thread died while telling of it.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_progress_is_one_line_per_finished_host_and_note() {
        let mut log = Vec::new();
        let progress = Plain::new(&mut log);
        progress.begin(2);
        progress.host_started("web01");
        progress.task_started("web01", "install");
        progress.note("web01: connection dropped\x1b[31m, trying again");
        progress.host_finished("web01", HostStatus::Changed);
        progress.host_finished("web02", HostStatus::Unreachable);
        progress.end();
        insta::assert_snapshot!(String::from_utf8(log).unwrap(), @r"
        web01: connection dropped\x1b[31m, trying again
        [1/2] web01: changed
        [2/2] web02: unreachable
        ");
    }

    #[test]
    fn a_log_hears_now_and_then_how_far_a_long_task_has_come() {
        let told = |pause| {
            let mut log = Vec::new();
            let progress = Plain::every(pause, &mut log);
            for (step, done) in [(Step::Download, 0), (Step::Unpack, 3_400_000)] {
                let total = 120_000_000;
                progress.task_advanced(
                    "web\t01",
                    "Java",
                    "jre@sha256:1",
                    Advance { step, done, total },
                );
            }
            String::from_utf8(log).unwrap()
        };
        insta::assert_snapshot!(told(Duration::ZERO), @r"
        web\t01: Java: downloaded 0 B of 120.00 MB: jre@sha256:1
        web\t01: Java: unpacked 3.40 MB of 120.00 MB: jre@sha256:1
        ");
        assert_eq!(told(Duration::from_hours(1)), "");
    }

    #[test]
    fn the_totals_name_only_what_there_is() {
        let mut totals = Totals {
            selected: 40,
            ..Totals::default()
        };
        assert_eq!(totals.line(), "0/40 hosts");
        for (host, status) in [
            ("a", HostStatus::InSync),
            ("b", HostStatus::Unreachable),
            ("c", HostStatus::Drifted),
            ("d", HostStatus::Drifted),
        ] {
            assert!(totals.add(host, status));
        }
        assert_eq!(totals.line(), "4/40 hosts  2 drifted  1 unreachable");
    }

    #[test]
    fn a_host_that_finishes_play_after_play_counts_once_as_what_it_was_last() {
        let mut totals = Totals {
            selected: 2,
            ..Totals::default()
        };
        assert!(totals.add("a", HostStatus::Changed));
        assert!(!totals.add("a", HostStatus::Changed));
        assert!(totals.add("a", HostStatus::Failed));
        assert_eq!(totals.line(), "1/2 hosts  1 failed");
    }
}

//! What is going on while it is going on, on stderr. Never part of the report.

use std::io::Write;
use std::sync::Mutex;

use super::HostStatus;
use super::harmless::single_line;

mod live;

pub use live::Live;

/// Hears of everything that happens during a run, from many threads at once.
pub trait Progress: Send + Sync {
    /// The run will be over so many hosts. Called once, first.
    fn begin(&self, hosts: usize);
    /// Work on a host has begun: it is being connected to.
    fn host_started(&self, host: &str);
    /// A task has begun on a host.
    fn task_started(&self, host: &str, task: &str);
    /// A host is over, well or not.
    fn host_finished(&self, host: &str, status: HostStatus);
    /// Something worth saying that is about no task: a retry, the helper being sent.
    fn note(&self, text: &str);
    /// Takes away whatever is shown. The report may be printed when this returns.
    fn end(&self);
}

/// Says nothing (`-q`, and tests).
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _: usize) {}
    fn host_started(&self, _: &str) {}
    fn task_started(&self, _: &str, _: &str) {}
    fn host_finished(&self, _: &str, _: HostStatus) {}
    fn note(&self, _: &str) {}
    fn end(&self) {}
}

/// One short line per finished host and note: for logs and pipes.
#[derive(Debug)]
pub struct Plain<W> {
    state: Mutex<(Totals, W)>,
}

impl<W: Write + Send> Plain<W> {
    /// Writes to `out`, usually stderr.
    pub fn new(out: W) -> Self {
        Self {
            state: Mutex::new((Totals::default(), out)),
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

    fn host_finished(&self, host: &str, status: HostStatus) {
        self.with(|totals, out| {
            totals.add(status);
            let Totals {
                selected, finished, ..
            } = totals;
            writeln!(
                out,
                "[{finished}/{selected}] {}: {}",
                single_line(host),
                word(status)
            )
        });
    }

    fn note(&self, text: &str) {
        self.with(|_, out| writeln!(out, "{}", single_line(text)));
    }

    fn end(&self) {}
}

/// The hosts so far.
#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    selected: usize,
    finished: usize,
    drifted: usize,
    changed: usize,
    unknown: usize,
    failed: usize,
    unreachable: usize,
}

impl Totals {
    fn add(&mut self, status: HostStatus) {
        self.finished += 1;
        match status {
            HostStatus::InSync => {}
            HostStatus::Drifted => self.drifted += 1,
            HostStatus::Changed => self.changed += 1,
            HostStatus::Unknown => self.unknown += 1,
            HostStatus::Failed => self.failed += 1,
            HostStatus::Unreachable => self.unreachable += 1,
        }
    }

    /// `12/40 hosts  3 drifted  1 unreachable`
    fn line(&self) -> String {
        let noun = if self.selected == 1 { "host" } else { "hosts" };
        let mut line = format!("{}/{} {noun}", self.finished, self.selected);
        for (count, status) in [
            (self.changed, HostStatus::Changed),
            (self.drifted, HostStatus::Drifted),
            (self.unknown, HostStatus::Unknown),
            (self.failed, HostStatus::Failed),
            (self.unreachable, HostStatus::Unreachable),
        ] {
            if count > 0 {
                line.push_str("  ");
                line.push_str(&count.to_string());
                line.push(' ');
                line.push_str(word(status));
            }
        }
        line
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
    }
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
    fn the_totals_name_only_what_there_is() {
        let mut totals = Totals {
            selected: 40,
            ..Totals::default()
        };
        assert_eq!(totals.line(), "0/40 hosts");
        totals.add(HostStatus::InSync);
        totals.add(HostStatus::Unreachable);
        totals.add(HostStatus::Drifted);
        totals.add(HostStatus::Drifted);
        assert_eq!(totals.line(), "4/40 hosts  2 drifted  1 unreachable");
    }
}

//! Progress on a terminal: a line per running host, as many as fit, and the totals below.

use std::sync::Mutex;
use std::time::Duration;

use console::Term;
use indexmap::IndexMap;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{HostStatus, Progress, Totals, lock, single_line, so_far, word};
use crate::protocol::Advance;

/// More lines than this are read by nobody.
const MOST_LINES: usize = 16;

/// Live lines on stderr.
#[derive(Debug)]
pub struct Live {
    screen: MultiProgress,
    totals_line: ProgressBar,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    totals: Totals,
    running: IndexMap<String, Running>,
    free_lines: usize,
}

/// A host at work: its task, and its line if it has one.
#[derive(Debug)]
struct Running {
    task: String,
    line: Option<ProgressBar>,
}

impl Live {
    /// Shows progress on this process's stderr, which is a terminal.
    #[must_use]
    pub fn stderr() -> Self {
        let term = Term::stderr();
        let (rows, _) = term.size();
        // The totals, and the line the cursor is on.
        let lines = usize::from(rows).saturating_sub(2).min(MOST_LINES);
        Self::on(ProgressDrawTarget::term(term, 20), lines)
    }

    fn on(target: ProgressDrawTarget, free_lines: usize) -> Self {
        let screen = MultiProgress::with_draw_target(target);
        let totals_line = screen.add(ProgressBar::new_spinner().with_style(style("{wide_msg}")));
        let state = Mutex::new(State {
            totals: Totals::default(),
            running: IndexMap::new(),
            free_lines,
        });
        Self {
            screen,
            totals_line,
            state,
        }
    }

    fn show(&self, state: &mut State, host: &str) {
        let State {
            running,
            free_lines,
            ..
        } = state;
        let Some(entry) = running.get_mut(host) else {
            return;
        };
        if entry.line.is_none() && *free_lines > 0 {
            *free_lines -= 1;
            let line = ProgressBar::new_spinner()
                .with_style(style("{spinner:.cyan} {prefix} {wide_msg:.dim}"))
                .with_prefix(single_line(host).into_owned());
            let line = self.screen.insert_before(&self.totals_line, line);
            line.enable_steady_tick(Duration::from_millis(100));
            entry.line = Some(line);
        }
        if let Some(line) = &entry.line {
            line.set_message(entry.task.clone());
        }
    }

    /// Ends a host's line and gives its place to a host that waits for one.
    fn release(&self, state: &mut State, host: &str) {
        let Some(Running {
            line: Some(line), ..
        }) = state.running.shift_remove(host)
        else {
            return;
        };
        line.finish_and_clear();
        self.screen.remove(&line);
        state.free_lines += 1;
        let waiting = state.running.iter().find(|(_, entry)| entry.line.is_none());
        if let Some(next) = waiting.map(|(host, _)| host.clone()) {
            self.show(state, &next);
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is a constant and well formed")
}

impl Progress for Live {
    fn begin(&self, hosts: usize) {
        let mut state = lock(&self.state);
        state.totals.selected = hosts;
        self.totals_line.reset();
        self.totals_line.set_message(state.totals.line());
    }

    fn host_started(&self, host: &str) {
        let mut state = lock(&self.state);
        let running = Running {
            task: "connecting".to_owned(),
            line: None,
        };
        state.running.insert(host.to_owned(), running);
        self.show(&mut state, host);
    }

    fn task_started(&self, host: &str, task: &str) {
        let mut state = lock(&self.state);
        if let Some(entry) = state.running.get_mut(host) {
            entry.task = single_line(task).into_owned();
        }
        self.show(&mut state, host);
    }

    fn task_advanced(&self, host: &str, task: &str, id: &str, advance: Advance) {
        self.task_started(host, &so_far(task, id, advance));
    }

    fn host_finished(&self, host: &str, status: HostStatus) {
        let mut state = lock(&self.state);
        self.release(&mut state, host);
        let news = state.totals.add(host, status);
        self.totals_line.set_message(state.totals.line());
        // Bad news stays on the screen: a long run is watched to see it early.
        if news && matches!(status, HostStatus::Failed | HostStatus::Unreachable) {
            let line = format!("{}: {}", single_line(host), word(status));
            let _ = self.screen.println(line);
        }
    }

    fn note(&self, text: &str) {
        // A screen that cannot be drawn on must not stop the work.
        let _ = self.screen.println(single_line(text));
    }

    fn end(&self) {
        let mut state = lock(&self.state);
        for (_, entry) in std::mem::take(&mut state.running) {
            if let Some(line) = entry.line {
                line.finish_and_clear();
                self.screen.remove(&line);
                state.free_lines += 1;
            }
        }
        self.totals_line.finish_and_clear();
        let _ = self.screen.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Step;

    fn shown(live: &Live) -> Vec<String> {
        let state = lock(&live.state);
        let lines = state.running.iter().filter_map(|(host, entry)| {
            entry
                .line
                .as_ref()
                .map(|line| format!("{host}: {}", line.message()))
        });
        lines.collect()
    }

    #[test]
    fn a_host_that_ends_gives_its_line_to_one_that_waits() {
        let live = Live::on(ProgressDrawTarget::hidden(), 2);
        live.begin(3);
        for host in ["a", "b", "c"] {
            live.host_started(host);
        }
        assert_eq!(shown(&live), ["a: connecting", "b: connecting"]);
        live.task_started("c", "install");
        live.task_started("a", "reload\x07");
        assert_eq!(shown(&live), ["a: reload\\x07", "b: connecting"]);
        let (step, done, total) = (Step::Send, 1_000, 2_500);
        live.task_advanced("c", "install", "install", Advance { step, done, total });
        live.host_finished("a", HostStatus::InSync);
        assert_eq!(
            shown(&live),
            ["b: connecting", "c: install: sent 1.00 kB of 2.50 kB"]
        );
        live.host_finished("c", HostStatus::Failed);
        live.host_finished("b", HostStatus::InSync);
        assert_eq!(shown(&live), [""; 0]);
        assert_eq!(live.totals_line.message(), "3/3 hosts  1 failed");
        live.end();
        assert!(live.totals_line.is_finished());
    }

    #[test]
    fn a_host_never_started_may_finish() {
        let live = Live::on(ProgressDrawTarget::hidden(), 2);
        live.begin(1);
        live.host_finished("a", HostStatus::Unreachable);
        assert_eq!(live.totals_line.message(), "1/1 host  1 unreachable");
    }
}

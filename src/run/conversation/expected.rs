//! What a host may say about a task that it was sent.

use std::time::Duration;

use crate::protocol::{Mode, Sha256, Source, Task};

use super::patience::{Clock, Need};

/// How often a task fetches a content at most: to show it, to put it in place, and to show what
/// still differs.
const FETCHES: u8 = 3;

/// A task that was sent and is not over.
pub(super) struct Expected {
    pub(super) need: Need,
    /// What it may ask for, and how often.
    contents: Vec<(Sha256, u8)>,
    /// The most that it may wait for a new connection, if it may cut the host off.
    confirm_within: Option<Duration>,
    /// It would run again if nobody heard of its end.
    pub(super) may_keep: bool,
    pub(super) started: bool,
}

impl Expected {
    pub(super) fn of(task: &mut Task, mode: Mode, clock: &mut Clock<'_>) -> Self {
        let mut contents = Vec::new();
        let mut bytes = 0_u64;
        for source in task.resource.sources_mut() {
            if let Source::Content(content) = source {
                contents.push((content.sha256, FETCHES));
                bytes = bytes.saturating_add(content.size);
            }
        }
        let applies = mode == Mode::Apply;
        Self {
            need: clock.plan(task.resource.time_limit(), bytes),
            contents,
            confirm_within: task.resource.confirm_within().filter(|_| applies),
            may_keep: applies && task.resource.runs_every_time(),
            started: false,
        }
    }

    /// Whether this content may be asked for once more; then it was.
    pub(super) fn asks_for(&mut self, sha256: Sha256) -> bool {
        let mut contents = self.contents.iter_mut();
        match contents.find(|(wanted, left)| *wanted == sha256 && *left > 0) {
            Some((_, left)) => {
                *left -= 1;
                true
            }
            None => false,
        }
    }

    /// Whether a new connection may be asked for, within this time; then it was.
    pub(super) fn asks_to_confirm(&mut self, within: Duration) -> bool {
        self.started
            && self
                .confirm_within
                .take_if(|longest| within <= *longest)
                .is_some()
    }
}

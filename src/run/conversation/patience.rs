//! How long a host is waited for. Only time in which it is waited for counts, and nothing that it
//! says makes it more: what its plan may need is known before it is asked.

use std::time::Duration;

use tokio::time::Instant;

use super::Lost;

/// How long a task may take to end once its time is up.
pub(super) const MARGIN: Duration = Duration::from_mins(1);

/// The slowest connection that contents are sent over, in bytes per second.
const SLOWEST: u64 = 16 * 1024;

/// How often a helper may say that it is still there: for a start, and then in a second.
const SIGNS: u64 = 120;
const SIGNS_PER_SECOND: u64 = 2;

/// What is left of the time that a host has for the whole run.
#[derive(Clone, Copy, Debug)]
pub(in crate::run) struct Patience {
    left: Duration,
    /// All that was ever given.
    given: Duration,
}

impl Patience {
    pub(in crate::run) const fn new(given: Duration) -> Self {
        Self { left: given, given }
    }

    pub(in crate::run) const fn left(&self) -> Duration {
        self.left
    }

    pub(in crate::run) fn spend(&mut self, spent: Duration) {
        self.left = self.left.saturating_sub(spent);
    }

    /// The plan needs more.
    fn give(&mut self, more: Duration) {
        self.left = self.left.saturating_add(more);
        self.given = self.given.saturating_add(more);
    }
}

/// What one task may need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Need {
    /// How long nothing may be heard.
    pub(super) silence: Duration,
    /// How long it may take from the end of the one before.
    pub(super) all: Duration,
}

/// The clock of one conversation.
pub(in crate::run) struct Clock<'a> {
    /// How long nothing may be heard, unless a task may need more.
    silence: Duration,
    /// The most that any task so far may need.
    longest: Duration,
    /// What is left for the task at hand.
    step: Duration,
    patience: &'a mut Patience,
    begun: Instant,
    signs: u64,
}

impl<'a> Clock<'a> {
    pub(in crate::run) fn new(silence: Duration, patience: &'a mut Patience) -> Self {
        Self {
            silence,
            longest: silence,
            step: silence.saturating_add(MARGIN),
            patience,
            begun: Instant::now(),
            signs: 0,
        }
    }

    /// How long nothing may be heard where no task says otherwise.
    pub(super) const fn silence(&self) -> Duration {
        self.silence
    }

    /// How long the helper may read nothing: the task that it works on is any of those it was sent.
    pub(super) const fn deafness(&self) -> Duration {
        self.longest
    }

    /// How long it may take to send a content.
    pub(super) fn sending(&self, bytes: u64) -> Duration {
        self.silence.saturating_add(slowly(bytes))
    }

    /// What a task needs that may take so long and fetch so many bytes. The host is given what is
    /// more than a task usually needs.
    pub(super) fn plan(&mut self, limit: Option<Duration>, bytes: u64) -> Need {
        let limit = limit.map_or(self.silence, |limit| limit.saturating_add(MARGIN));
        let silence = limit.max(self.silence);
        let sending = slowly(bytes);
        self.longest = self.longest.max(silence);
        self.patience
            .give(silence.saturating_sub(self.silence).saturating_add(sending));
        Need {
            silence,
            // Contents may be fetched to be shown, and to be put in place.
            all: silence
                .saturating_add(sending.saturating_mul(2))
                .saturating_add(MARGIN),
        }
    }

    /// The next task is at hand, or none.
    pub(super) fn next(&mut self, need: Option<Need>) {
        self.step = need.map_or(self.silence.saturating_add(MARGIN), |need| need.all);
    }

    /// Waits for what the host does for the task at hand, at most so long.
    pub(super) async fn of_step<T>(
        &mut self,
        longest: Duration,
        over: impl FnOnce(Duration) -> Lost,
        act: impl Future<Output = T>,
    ) -> Result<T, Lost> {
        let step = self.step;
        let over = |limit| {
            if limit < longest {
                Lost::Slow
            } else {
                over(limit)
            }
        };
        let begin = Instant::now();
        let done = self.of_run(longest.min(step), over, act).await;
        self.step = step.saturating_sub(begin.elapsed());
        done
    }

    /// Waits for what the host does, at most so long.
    pub(super) async fn of_run<T>(
        &mut self,
        longest: Duration,
        over: impl FnOnce(Duration) -> Lost,
        act: impl Future<Output = T>,
    ) -> Result<T, Lost> {
        let limit = longest.min(self.patience.left);
        let begin = Instant::now();
        let done = tokio::time::timeout(limit, act).await;
        self.patience.spend(begin.elapsed());
        done.map_err(|_| {
            if limit < longest {
                Lost::OverTime(self.patience.given)
            } else {
                over(limit)
            }
        })
    }

    /// Whether the helper has said too often that it is still there.
    pub(super) fn is_too_often(&mut self) -> bool {
        self.signs += 1;
        self.signs > SIGNS + SIGNS_PER_SECOND * self.begun.elapsed().as_secs()
    }
}

fn slowly(bytes: u64) -> Duration {
    Duration::from_secs(bytes / SLOWEST)
}

//! How a conversation begins: the helper says what its host is, and waits for its turn.

use std::time::Duration;

use tokio::time::Instant;

use crate::protocol::{Begin, Event, Facts, Holder, cut};

use super::patience::MARGIN;
use super::{Conversation, Hello, Listener, Lost, Neighbours};

/// More than all that a host is, in bytes.
const FACTS_LIMIT: usize = 4 * 1024 * 1024;

/// The longest name of another run, in bytes.
const NAME_LIMIT: usize = 256;

impl<L: Listener> Conversation<'_, L> {
    /// Hears the helper out until the work can begin.
    pub(super) async fn greet(&mut self, begin: &Begin) -> Result<Hello, Lost> {
        let facts = match self.hear_sized().await? {
            (size, Event::Hello { .. }) if size > FACTS_LIMIT => {
                return Err(Lost::OutOfTurn("more than a host can be"));
            }
            (_, Event::Hello { facts }) => *facts,
            (_, Event::Fatal { message }) => return Err(Lost::fatal(message)),
            _ => return Err(Lost::OutOfTurn("no greeting")),
        };
        // Start files of a login shell that read stdin have taken what the helper waits for.
        let mut event = self.hear_within(MARGIN.min(self.clock.silence())).await?;
        if let Some(claim) = &begin.claim {
            if let Event::Waiting { holder } = event {
                self.listener.waiting(holder.map(named).as_ref());
                let limit = Duration::from_millis(claim.wait_ms).saturating_add(MARGIN);
                event = self.hear_ungrudgingly(limit).await?;
            }
            if matches!(event, Event::AwaitsTurn) {
                event = self.await_turn(&facts).await?;
            }
        }
        match event {
            Event::Begun { pending, running } => {
                self.listener.begun(&facts);
                Ok(Hello {
                    facts,
                    pending,
                    running: running.map(named),
                })
            }
            Event::Locked { holder } if begin.claim.is_some() => {
                Err(Lost::Locked(holder.map(named)))
            }
            Event::Fatal { message } => Err(Lost::fatal(message)),
            _ => Err(Lost::OutOfTurn("no beginning")),
        }
    }

    /// Waits while another host of the run has its turn on the same machine, which ends in its time.
    async fn await_turn(&mut self, facts: &Facts) -> Result<Event, Lost> {
        if self.listener.neighbours(facts) == Neighbours::None {
            return Err(Lost::OutOfTurn(
                "that it waits for another host of this run",
            ));
        }
        self.listener.awaits_turn();
        let mut idle_since: Option<Instant> = None;
        loop {
            let event = self.hear_ungrudgingly(MARGIN).await?;
            if !matches!(event, Event::AwaitsTurn) {
                return Ok(event);
            }
            if self.clock.is_too_often() {
                return Err(Lost::OutOfTurn("that it waits, again and again"));
            }
            if self.listener.neighbours(facts) == Neighbours::AtWork {
                idle_since = None;
            } else if idle_since.get_or_insert_with(Instant::now).elapsed() >= MARGIN {
                return Err(Lost::NoTurn);
            }
        }
    }

    /// Hears what may come sooner than usual.
    async fn hear_within(&mut self, limit: Duration) -> Result<Event, Lost> {
        let next = self.channel.next_event();
        let event = self.clock.of_step(limit, Lost::Silent, next).await?;
        event?.ok_or(Lost::Ended)
    }

    /// Hears what another run or another host lets come when it does: it takes none of the time
    /// that the host has.
    async fn hear_ungrudgingly(&mut self, limit: Duration) -> Result<Event, Lost> {
        let event = tokio::time::timeout(limit, self.channel.next_event()).await;
        event.map_err(|_| Lost::Silent(limit))??.ok_or(Lost::Ended)
    }
}

/// Whoever holds a lock, by a name of any length.
fn named(mut holder: Holder) -> Holder {
    cut(&mut holder.who, NAME_LIMIT);
    cut(&mut holder.run_id, NAME_LIMIT);
    holder
}

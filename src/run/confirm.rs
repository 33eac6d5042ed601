//! Confirming a change that may have cut a host off: by connecting anew.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use crate::protocol::{Event, Message};
use crate::transport::{Target, Transport};

/// Between two attempts.
const PAUSE: Duration = Duration::from_secs(2);

/// How to reach the host once more.
#[derive(Clone, Copy)]
pub(super) struct NewConnection<'n> {
    pub transport: &'n Transport,
    pub target: &'n Target,
}

impl NewConnection<'_> {
    /// Connects anew, tries until `within` is over, and says that this came about.
    ///
    /// # Errors
    /// Why it did not, the last time.
    pub(super) async fn confirm(self, within: Duration) -> Result<(), String> {
        let deadline = Instant::now() + within;
        let mut reason = "no connection came about in time".to_owned();
        loop {
            match timeout_at(deadline, self.attempt()).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(said)) => reason = said,
                Err(_) => return Err(reason),
            }
            if Instant::now() + PAUSE >= deadline {
                return Err(reason);
            }
            sleep(PAUSE).await;
        }
    }

    async fn attempt(self) -> Result<(), String> {
        let opened = self
            .transport
            .open(self.target, Some(&Message::Confirm))
            .await;
        let mut channel = opened.map_err(|unreachable| unreachable.message)?;
        loop {
            match channel.next_event().await {
                Ok(Some(Event::Hello { .. })) => {}
                Ok(Some(Event::Confirmed)) => {
                    channel.close().await;
                    return Ok(());
                }
                Ok(Some(Event::Fatal { message })) => return Err(message),
                Ok(Some(_)) => return Err("the helper said something out of turn".to_owned()),
                Ok(None) => return Err("the helper ended without a word".to_owned()),
                Err(error) => return Err(error.to_string()),
            }
        }
    }
}

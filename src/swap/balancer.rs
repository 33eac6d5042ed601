//! One load balancer: a conversation with the helper there, open for as long as the swap takes.

use std::time::Duration;

use tokio::time::timeout;

use super::journal::by;
use super::trouble::{Class, Trouble};
use crate::protocol::balancer::{Answer, Ask, Attend};
use crate::protocol::{Begin, Event, Message};
use crate::transport::{Channel, Target, Transport};

/// How long one answer may take: HAProxy's own patience, several times.
const PATIENCE: Duration = Duration::from_mins(1);

/// A load balancer and the conversation with it.
#[derive(Debug)]
pub struct Balancer {
    /// How it is reached.
    pub target: Target,
    /// HAProxy's runtime socket there.
    pub socket: String,
    /// Where a reload finds the state.
    pub state_file: String,
    channel: Option<Channel>,
}

impl Balancer {
    /// A load balancer nobody has talked to yet.
    #[must_use]
    pub fn new(target: Target, socket: String, state_file: String) -> Self {
        Self {
            target,
            socket,
            state_file,
            channel: None,
        }
    }

    /// Its name in the inventory.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.target.name
    }

    /// Asks, connecting first where necessary. A conversation that broke is begun again, once:
    /// everything that can be asked may be asked twice.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn ask(
        &mut self,
        transport: &Transport,
        begin: &Begin,
        ask: &Ask,
    ) -> Result<Answer, Trouble> {
        let again = self.channel.is_some();
        match self.try_ask(transport, begin, ask).await {
            Err(trouble) if again && trouble.class == Class::Unreachable => {
                self.try_ask(transport, begin, ask).await
            }
            answer => answer,
        }
    }

    async fn try_ask(
        &mut self,
        transport: &Transport,
        begin: &Begin,
        ask: &Ask,
    ) -> Result<Answer, Trouble> {
        let mut channel = match self.channel.take() {
            Some(channel) => channel,
            None => self.open(transport, begin).await?,
        };
        let sent = channel.send(&Message::Balancer(ask.clone())).await;
        sent.map_err(|error| unreachable(error.to_string()))?;
        match next(&mut channel).await? {
            Event::Balancer { said } => {
                self.channel = Some(channel);
                Ok(said)
            }
            Event::Fatal { message } => Err(unreachable(message)),
            _ => Err(unreachable("the helper said something out of turn")),
        }
    }

    async fn open(&self, transport: &Transport, begin: &Begin) -> Result<Channel, Trouble> {
        let attend = Message::Attend(Box::new(Attend {
            begin: begin.clone(),
            socket: self.socket.clone(),
            state_file: self.state_file.clone(),
        }));
        let opened = transport.open(&self.target, Some(&attend)).await;
        let mut channel = opened.map_err(|reason| {
            let hint = reason.hint.map(|hint| format!(" ({hint})"));
            unreachable(format!("{}{}", reason.message, hint.unwrap_or_default()))
        })?;
        let Event::Hello { .. } = next(&mut channel).await? else {
            return Err(unreachable("the helper does not say what the host is"));
        };
        loop {
            match next(&mut channel).await? {
                Event::Begun { .. } => return Ok(channel),
                Event::Waiting { .. } => {}
                Event::Locked { holder } => {
                    let message = format!(
                        "{}: another swap works on this HAProxy, {}",
                        self.name(),
                        by(holder)
                    );
                    return Err(Trouble::new(Class::Locked, message));
                }
                Event::Fatal { message } => return Err(unreachable(message)),
                _ => return Err(unreachable("the helper said something out of turn")),
            }
        }
    }

    /// Ends the conversation.
    pub async fn close(&mut self) {
        if let Some(mut channel) = self.channel.take() {
            // Whether it still listens or not, it ends.
            let _ = channel.send(&Message::End).await;
            channel.close().await;
        }
    }
}

async fn next(channel: &mut Channel) -> Result<Event, Trouble> {
    match timeout(PATIENCE, channel.next_event()).await {
        Ok(Ok(Some(event))) => Ok(event),
        Ok(Ok(None)) => Err(unreachable("the helper has ended")),
        Ok(Err(error)) => Err(unreachable(error.to_string())),
        Err(_) => {
            let seconds = PATIENCE.as_secs();
            Err(unreachable(format!("no answer within {seconds} seconds")))
        }
    }
}

fn unreachable(message: impl Into<String>) -> Trouble {
    Trouble::new(Class::Unreachable, message)
}

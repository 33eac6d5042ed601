//! Ctrl-C, and what a service manager sends in its place.
//!
//! Once means: begin nothing more, no host and no task, and end well what is under way. Twice means:
//! now. Whoever has something to put back in order before it ends does so after the first, and
//! before the second.

use std::future::poll_fn;
use std::task::Poll;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{oneshot, watch};

/// How soon the work under way is to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// When it is done.
    #[default]
    None,
    /// No other host is begun. Those that are under way go on to their end.
    Hosts,
    /// Nor is another task. Those that run go on to their end.
    Tasks,
    /// At once, whatever is under way.
    Now,
}

/// Being told to stop.
#[derive(Debug)]
pub struct Interrupt {
    signals: Vec<Signal>,
    urgency: Urgency,
}

impl Interrupt {
    /// Listens from here on. A signal that cannot be listened to ends fleet, as it always does.
    #[must_use]
    pub fn listen() -> Self {
        let kinds = [SignalKind::interrupt(), SignalKind::terminate()];
        Self {
            signals: kinds
                .into_iter()
                .filter_map(|kind| signal(kind).ok())
                .collect(),
            urgency: Urgency::None,
        }
    }

    /// Waits until one comes, and says how urgent it is by now.
    pub async fn wait(&mut self) -> Urgency {
        poll_fn(|context| {
            let mut signals = self.signals.iter_mut();
            if signals.any(|signal| signal.poll_recv(context).is_ready()) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
        self.urgency = match self.urgency {
            Urgency::None | Urgency::Hosts => Urgency::Tasks,
            Urgency::Tasks | Urgency::Now => Urgency::Now,
        };
        self.urgency
    }

    /// Waits for something that blocks, such as an answer of the user, unless a signal comes first.
    /// Then it is left to itself.
    pub async fn unless<T: Send + 'static>(
        &mut self,
        act: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (say, said) = oneshot::channel();
        let begun = std::thread::Builder::new().spawn(move || say.send(act()).ok());
        begun.ok()?;
        tokio::select! {
            said = said => said.ok(),
            _ = self.wait() => None,
        }
    }
}

/// Waits until the work is to end at least so soon.
pub(super) async fn reaches(urgency: &mut watch::Receiver<Urgency>, least: Urgency) {
    // Whoever could say so is gone.
    if urgency.wait_for(|soon| *soon >= least).await.is_err() {
        std::future::pending::<()>().await;
    }
}

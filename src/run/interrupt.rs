//! Ctrl-C, and what a service manager sends in its place.
//!
//! Once means: begin nothing more, no host and no task, and end well what is under way. Twice means:
//! now. Whoever has something to put back in order before it ends does so after the first, and
//! before the second.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep_until};

/// How long what is under way may take to end after SIGTERM: a service manager says it once, and
/// kills soon after. By then there is to be a report.
const GRACE: Duration = Duration::from_secs(20);

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
    signals: Vec<(SignalKind, Signal)>,
    urgency: Urgency,
    /// When a SIGTERM counts twice.
    ends: Option<Instant>,
}

impl Interrupt {
    /// Listens from here on. A signal that cannot be listened to ends fleet, as it always does.
    #[must_use]
    pub fn listen() -> Self {
        let kinds = [SignalKind::interrupt(), SignalKind::terminate()];
        Self {
            signals: kinds
                .into_iter()
                .filter_map(|kind| Some((kind, signal(kind).ok()?)))
                .collect(),
            urgency: Urgency::None,
            ends: None,
        }
    }

    /// Waits until one comes, and says how urgent it is by now.
    pub async fn wait(&mut self) -> Urgency {
        let came = poll_fn(|context| {
            let mut signals = self.signals.iter_mut();
            let came = signals
                .find_map(|(kind, signal)| signal.poll_recv(context).is_ready().then_some(*kind));
            came.map_or(Poll::Pending, Poll::Ready)
        })
        .await;
        if came == SignalKind::terminate() {
            self.ends.get_or_insert(Instant::now() + GRACE);
        }
        self.urgency = match self.urgency {
            Urgency::None | Urgency::Hosts => Urgency::Tasks,
            Urgency::Tasks | Urgency::Now => Urgency::Now,
        };
        self.urgency
    }

    /// The same for what leaves nothing to be put back in order: some time after a SIGTERM it comes
    /// as if it had come twice.
    pub(super) async fn wait_as_killed(&mut self) -> Urgency {
        let Some(ends) = self.ends.filter(|_| self.urgency < Urgency::Now) else {
            return self.wait().await;
        };
        tokio::select! {
            urgency = self.wait() => urgency,
            () = sleep_until(ends) => {
                self.urgency = Urgency::Now;
                Urgency::Now
            }
        }
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

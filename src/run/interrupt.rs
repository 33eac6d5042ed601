//! Ctrl-C, and what a service manager sends in its place.

use std::future::poll_fn;
use std::task::Poll;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Being told to stop.
#[derive(Debug)]
pub struct Interrupt(Vec<Signal>);

impl Interrupt {
    /// Listens from here on. A signal that cannot be listened to ends fleet, as it always does.
    #[must_use]
    pub fn listen() -> Self {
        let kinds = [SignalKind::interrupt(), SignalKind::terminate()];
        Self(
            kinds
                .into_iter()
                .filter_map(|kind| signal(kind).ok())
                .collect(),
        )
    }

    /// Waits until one comes.
    pub async fn wait(&mut self) {
        poll_fn(|context| {
            let mut signals = self.0.iter_mut();
            if signals.any(|signal| signal.poll_recv(context).is_ready()) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }
}

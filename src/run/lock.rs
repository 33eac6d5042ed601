//! The host's lock as the controller sees it: who we are, who has it, how many hosts wait.

use std::cell::Cell;

use tokio::sync::Notify;

use crate::protocol::Holder;
use crate::report;

/// Who starts the run, as other runs will name it: `user@controller`.
#[must_use]
pub fn who() -> String {
    let user = ["SUDO_USER", "USER", "LOGNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()))
        .unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()));
    let system = rustix::system::uname();
    format!("{user}@{}", system.nodename().to_string_lossy())
}

/// A run, for people.
pub(super) fn named(holder: Option<&Holder>) -> String {
    holder.map_or_else(
        || "a run that did not leave its name".to_owned(),
        report::apply_by,
    )
}

/// Why nothing was done on the host.
pub(super) fn in_words(holder: Option<&Holder>) -> String {
    let pid = holder.map_or_else(String::new, |holder| {
        format!(", process {} there", holder.pid)
    });
    format!(
        "{} changes this host{pid}; nothing was done here\n\
         hint: run it again later, or wait longer with `--lock-timeout`",
        named(holder)
    )
}

/// How many hosts of a stage wait for another run to end. All of them are driven by one thread.
#[derive(Default)]
pub(super) struct Waiting {
    count: Cell<usize>,
    grown: Notify,
}

impl Waiting {
    pub(super) fn count(&self) -> usize {
        self.count.get()
    }

    /// Comes back when one more host waits.
    pub(super) async fn more(&self) {
        self.grown.notified().await;
    }

    pub(super) fn take_place(&self) -> Place<'_> {
        self.count.set(self.count.get() + 1);
        self.grown.notify_one();
        Place(self)
    }
}

/// One host that waits, until dropped.
pub(super) struct Place<'w>(&'w Waiting);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.count.set(self.0.count.get() - 1);
    }
}

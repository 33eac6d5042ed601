//! The host's lock as the controller sees it: who we are, who has it, how many hosts wait.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use tokio::sync::Notify;

use crate::protocol::{Facts, Holder};
use crate::report;

use super::conversation::Neighbours;

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

/// The hosts of a run that are worked on, by the machines they say they are. Several names in the
/// inventory may be one machine; its helpers take turns.
#[derive(Debug, Default)]
pub(super) struct Machines {
    /// How many hosts the run has.
    pub hosts: usize,
    at_work: RefCell<BTreeMap<String, usize>>,
}

impl Machines {
    pub(super) fn new(hosts: usize) -> Self {
        Self {
            hosts,
            ..Self::default()
        }
    }

    /// Which hosts of the run may have their turn on the machine of another one.
    pub(super) fn neighbours(&self, facts: &Facts) -> Neighbours {
        match self.at_work.borrow().get(&facts.machine_id) {
            _ if self.hosts < 2 => Neighbours::None,
            Some(1..) => Neighbours::AtWork,
            _ => Neighbours::Idle,
        }
    }

    /// A host is worked on.
    pub(super) fn begin(&self, facts: &Facts) -> AtWork<'_> {
        let machine = facts.machine_id.clone();
        *self
            .at_work
            .borrow_mut()
            .entry(machine.clone())
            .or_default() += 1;
        AtWork {
            machines: self,
            machine,
        }
    }
}

/// One host that is worked on, until dropped.
pub(super) struct AtWork<'m> {
    machines: &'m Machines,
    machine: String,
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        if let Some(count) = self.machines.at_work.borrow_mut().get_mut(&self.machine) {
            *count -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_another_hosts_only_while_that_one_is_worked_on() {
        let facts = |machine: &str| Facts {
            machine_id: machine.to_owned(),
            ..Facts::default()
        };
        let machines = Machines::new(2);
        assert_eq!(machines.neighbours(&facts("a")), Neighbours::Idle);
        let at_work = machines.begin(&facts("a"));
        assert_eq!(machines.neighbours(&facts("a")), Neighbours::AtWork);
        assert_eq!(machines.neighbours(&facts("b")), Neighbours::Idle);
        drop(at_work);
        assert_eq!(machines.neighbours(&facts("a")), Neighbours::Idle);
        assert_eq!(Machines::new(1).neighbours(&facts("a")), Neighbours::None);
    }
}

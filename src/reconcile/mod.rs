//! Works through a plan on the host: observe, compare and, when applying, change and look again.
//!
//! This loop exists once, for every kind and both modes. Three answers, never two: in sync,
//! drifted, could not tell. A change that does not show in the read-back is a failure.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Instant;

use crate::host::{Failure, Host, Ledger, Pending, Place, census, require_confirmation};
use crate::protocol::wire::WireError;
use crate::protocol::{
    AFTER_FAILURE, AFTER_INTERRUPTION, Drift, Event, HIDDEN, HandlerName, Message, Mode, Outcome,
    Output, REFUSED, Status, Task,
};
use crate::resource::{AnyResource, Resource, dispatch};

mod access;
mod balancer;
mod conversation;
mod delivery;
mod orphan;

pub use conversation::{ServeError, serve};

use conversation::Next;
use delivery::Delivery;

/// Where fleet keeps what must outlive a run: `/var/lib/fleet` for root, `~/.cache/fleet` for
/// others, `$FLEET_STATE_DIR` where that is set. `None` for a user without a home directory.
#[must_use]
pub fn state_directory() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("FLEET_STATE_DIR") {
        return Some(path.into());
    }
    if rustix::process::geteuid().is_root() {
        return Some("/var/lib/fleet".into());
    }
    let home = PathBuf::from(std::env::var_os("HOME")?);
    home.is_absolute().then(|| home.join(".cache/fleet"))
}

/// One play, or all plays that only look, after the beginning.
struct Run<'r> {
    host: Host,
    pending: Pending,
    delivery: &'r mut Delivery,
    /// What fleet made here, when a playbook is run.
    ledger: Option<Ledger>,
    /// An earlier task differed: what is missing now may be there after apply.
    earlier_drift: bool,
    /// The paths at which check found something to change.
    foreseen: Vec<PathBuf>,
    /// Handlers that check foretells.
    foretold: BTreeSet<HandlerName>,
    /// Nothing more is begun on this host, and why.
    stopped: Option<&'static str>,
}

impl<'r> Run<'r> {
    fn new(
        host: Host,
        pending: Pending,
        ledger: Option<Ledger>,
        delivery: &'r mut Delivery,
    ) -> Self {
        Self {
            host,
            pending,
            delivery,
            ledger,
            earlier_drift: false,
            foreseen: Vec::new(),
            foretold: BTreeSet::new(),
            stopped: None,
        }
    }

    fn work_through(&mut self) -> Result<Next, ServeError> {
        if self.host.mode() == Mode::Apply {
            self.host.empty_staging();
        }
        let next = loop {
            match self.host.receive()? {
                Some(Message::Task(task)) => self.task(&task)?,
                Some(Message::Dismiss { handler }) => self.dismiss(handler)?,
                Some(Message::Heard { id }) => self.delivery.heard(id)?,
                Some(Message::Orphans(declared)) => self.orphans(&declared)?,
                Some(Message::Census) => {
                    let census = Box::new(census::take(&self.host));
                    self.host.send(&Event::Census { census })?;
                }
                Some(Message::End) => break Next::End,
                Some(Message::Pause) => break Next::Play,
                Some(_) => return Err(WireError::Unexpected("something out of turn").into()),
                None => return Err(WireError::CutOff("a plan").into()),
            }
        };
        self.host.send(&Event::Done {
            cpu_ms: self.host.cpu_ms(),
        })?;
        Ok(next)
    }

    fn task(&mut self, task: &Task) -> Result<(), ServeError> {
        self.look_up()?;
        self.host.send(&Event::Started { id: task.id })?;
        let begin = Instant::now();
        let place = self.delivery.place(task);
        let mut work = self.outcome(task, place.as_ref());
        let outcome = &mut work.outcome;
        outcome.duration_ms = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
        let ran = matches!(outcome.status, Status::Changed | Status::Failed);
        let keep = ran && self.host.mode() == Mode::Apply && place.is_some();
        if let Some(place) = place.filter(|_| keep) {
            self.delivery.hold(place, task, &work);
        }
        let outcome = &mut work.outcome;
        let would_change = outcome.would_change();
        if task.no_log && !task.needed {
            outcome.hide();
        } else if task.sensitive {
            outcome.drift.iter_mut().for_each(Drift::conceal);
        }
        outcome.fit();
        let status = outcome.status;
        self.host.send(&Event::Finished {
            id: task.id,
            outcome: work.outcome,
            keep,
        })?;

        let (mut changed, mut failed) = (status == Status::Changed, status == Status::Failed);
        let mut more = task.more;
        if task.judged && status != Status::Skipped {
            let judge = self.host.judge(task.id)?;
            (changed, failed) = (judge.changed, judge.failed);
            more |= judge.again;
            // What failed may have changed something before it did.
            if !changed && !failed {
                self.pending.remove(&work.notified)?;
            }
        }
        if self.host.mode() == Mode::Apply && changed {
            self.pending.add(&task.notify, self.host.run_id())?;
        }
        if would_change {
            self.earlier_drift = true;
            self.foretold.extend(task.notify.iter().cloned());
        }
        self.earlier_drift |= changed;
        let ran = !matches!(status, Status::Skipped | Status::Drift | Status::Unknown);
        if ran && !failed && !more {
            self.pending.remove(&task.answers)?;
        }
        if failed && !task.ignore_errors {
            self.stopped = Some(AFTER_FAILURE);
        }
        Ok(())
    }

    /// Looks whether anything more is to be begun, if there would be.
    fn look_up(&mut self) -> Result<(), WireError> {
        if self.stopped.is_none() && self.host.is_told_to_stop()? {
            self.stopped = Some(AFTER_INTERRUPTION);
            self.host.send(&Event::Stopped)?;
        }
        Ok(())
    }

    /// A host that was stopped keeps what is pending: the run did not get there.
    fn dismiss(&mut self, handler: HandlerName) -> Result<(), ServeError> {
        if self.host.mode() == Mode::Apply && self.stopped.is_none() {
            self.pending.remove(&[handler])?;
        }
        Ok(())
    }

    fn outcome(&mut self, task: &Task, place: Option<&Place>) -> Work {
        if let Some(why) = self.stopped {
            return Work::skipped(why);
        }
        if !task.answers.is_empty() {
            let pending = self.pending.any(&task.answers);
            let foretold = task.answers.iter().any(|name| self.foretold.contains(name));
            match self.host.mode() {
                Mode::Check if pending => return Outcome::pending_handler().into(),
                Mode::Check if foretold => return Work::would_run("would run: it was notified"),
                Mode::Apply if pending => {}
                Mode::Check | Mode::Apply => return Work::skipped("not notified"),
            }
        }
        let mode = self.host.mode();
        if let Some(work) = place.and_then(|place| self.delivery.recall(place, task, mode)) {
            return work;
        }
        dispatch!(&task.resource, resource => self.reconcile(task, resource))
    }

    fn reconcile<R: Resource>(&mut self, task: &Task, resource: &R) -> Work {
        let actual = match resource.observe(&self.host) {
            Ok(actual) => actual,
            Err(failure) => return self.failed(Vec::new(), &failure).into(),
        };
        let drift = resource.drift(&actual);
        let every_time = resource.runs_every_time();
        // Only commands say what they are; a restart is never harmless.
        let only_looks = every_time
            && task.read_only
            && matches!(
                task.resource,
                AnyResource::Command(_) | AnyResource::Shell(_)
            );
        if only_looks {
            // It says that it changes nothing; what it does all the same is seen by the next look.
            let looked = self.host.changing(|| resource.apply(&self.host, &actual));
            return match looked {
                Ok(output) => Outcome {
                    output,
                    ..Outcome::default()
                }
                .into(),
                Err(failure) => self.failed(drift, &failure).into(),
            };
        }
        if (every_time || !drift.iter().all(Drift::is_only_reported))
            && !self.is_foreseen(resource)
            && let Err(failure) = resource.obstacle(&self.host, &actual)
        {
            return self.refused(drift, &failure).into();
        }
        if self.host.mode() == Mode::Apply
            && let Err(failure) = self.own(task, &drift)
        {
            return self.failed(drift, &failure).into();
        }
        match (self.host.mode(), drift.is_empty()) {
            (_, true) if !every_time => Outcome::default().into(),
            (Mode::Check, true) => Work::would_run("runs every time; check does not run it"),
            (Mode::Check, false) => {
                self.foresee(resource);
                self.foretell(resource, &actual, drift).into()
            }
            (Mode::Apply, false) if drift.iter().all(Drift::is_only_reported) => {
                Outcome::drifted(drift).into()
            }
            (Mode::Apply, _) => self.change(task, resource, &actual, drift),
        }
    }

    /// Keeps in mind what will have been changed when the tasks that follow are applied.
    fn foresee<R: Resource>(&mut self, resource: &R) {
        if let Some(path) = resource.makes_directory() {
            self.host.foresee_directory(path);
        }
        if let Some(path) = resource.path() {
            self.foreseen.push(path.to_owned());
        }
    }

    /// Whether an earlier task, which has not been applied, changes what is at the path of this
    /// one or above it: what is in the way now may not be then.
    fn is_foreseen<R: Resource>(&self, resource: &R) -> bool {
        let path = resource.path();
        path.is_some_and(|path| {
            self.foreseen
                .iter()
                .any(|earlier| path.starts_with(earlier))
        })
    }

    /// What differs, and whether its change would have to be confirmed.
    fn foretell<R: Resource>(
        &self,
        resource: &R,
        actual: &R::Actual,
        drift: Vec<Drift>,
    ) -> Outcome {
        let mut outcome = Outcome::drifted(drift);
        // What keeps the way back from being known now keeps the apply from changing anything.
        if outcome.would_change() && matches!(resource.way_back(&self.host, actual), Ok(Some(_))) {
            outcome.message = Some(format!(
                "may cut the host off: taken back unless fleet can connect anew within {} s",
                resource.confirm_within().as_secs()
            ));
        }
        outcome
    }

    /// Notes who is to be notified, changes, and looks whether it came about.
    fn change<R: Resource>(
        &mut self,
        task: &Task,
        resource: &R,
        actual: &R::Actual,
        drift: Vec<Drift>,
    ) -> Work {
        let notified = match self.pending.add(&task.notify, self.host.run_id()) {
            Ok(notified) => notified,
            Err(failure) => return self.failed(drift, &failure).into(),
        };
        // From here on nothing holds that was heard before: the read-back asks the host anew.
        let applied = self.host.changing(|| self.apply(resource, actual));
        let left = resource
            .observe(&self.host)
            .map(|actual| resource.drift(&actual));
        let outcome = match (applied, left) {
            (Err(failure), left) => {
                // What surely changed nothing notifies nobody.
                let unchanged = !resource.runs_every_time() && left.is_ok_and(|left| left == drift);
                let mut outcome = self.failed(drift, &failure);
                if unchanged && let Err(failure) = self.pending.remove(&notified) {
                    outcome.message = Some(failure.to_string());
                }
                outcome
            }
            (Ok(output), Err(failure)) => Outcome {
                output,
                ..self.failed(drift, &failure)
            },
            (Ok(output), Ok(left)) if left.is_empty() => {
                let every_time = resource.runs_every_time() && drift.is_empty();
                let message = every_time.then(|| "runs every time".to_owned());
                Outcome {
                    status: Status::Changed,
                    drift,
                    message,
                    output,
                    ..Outcome::default()
                }
            }
            (Ok(output), Ok(mut left)) => {
                if task.sensitive {
                    left.iter_mut().for_each(Drift::conceal);
                }
                Outcome {
                    status: Status::Failed,
                    message: Some(format!("did not converge: {}", in_words(&left))),
                    drift: left,
                    output,
                    ..Outcome::default()
                }
            }
        };
        Work { outcome, notified }
    }

    /// Changes, and has the change confirmed if it may cut the host off.
    fn apply<R: Resource>(
        &self,
        resource: &R,
        actual: &R::Actual,
    ) -> Result<Option<Output>, Failure> {
        let way_back = if self.host.can_be_confirmed() {
            resource.way_back(&self.host, actual)?
        } else {
            None
        };
        let output = resource.apply(&self.host, actual)?;
        if let Some(way_back) = way_back {
            require_confirmation(&self.host, &way_back, resource.confirm_within())?;
        }
        Ok(output)
    }

    /// What an obstacle means: in check, that what differs is known, and stays.
    fn refused(&self, drift: Vec<Drift>, obstacle: &Failure) -> Outcome {
        match (self.host.mode(), obstacle) {
            (Mode::Check, Failure::Refused(why)) if !drift.is_empty() => Outcome {
                message: Some(format!("{REFUSED}{why}")),
                ..Outcome::drifted(drift)
            },
            _ => self.failed(drift, obstacle),
        }
    }

    /// What a failure means: in check that it could not be told, in apply that it failed.
    fn failed(&self, drift: Vec<Drift>, failure: &Failure) -> Outcome {
        let (status, message) = match (self.host.mode(), failure) {
            (Mode::Check, Failure::Missing(missing)) if self.earlier_drift => (
                Status::Unknown,
                format!("cannot be known before apply: {missing}"),
            ),
            (Mode::Check, Failure::Refused(why)) => (Status::Unknown, format!("{REFUSED}{why}")),
            (Mode::Check, failure) => (Status::Unknown, failure.to_string()),
            (Mode::Apply, failure) => (Status::Failed, failure.to_string()),
        };
        Outcome {
            status,
            drift,
            message: Some(message),
            output: output_of(failure),
            ..Outcome::default()
        }
    }
}

/// What came of a task, and the handlers that are pending because of it alone.
struct Work {
    outcome: Outcome,
    notified: Vec<HandlerName>,
}

impl Work {
    /// Skipped because this is a check: an apply would run it.
    fn would_run(message: &str) -> Self {
        let mut work = Self::skipped(message);
        work.outcome.would_run = true;
        work
    }

    fn skipped(message: &str) -> Self {
        let message = Some(message.to_owned());
        Outcome {
            status: Status::Skipped,
            message,
            ..Outcome::default()
        }
        .into()
    }
}

impl From<Outcome> for Work {
    fn from(outcome: Outcome) -> Self {
        Self {
            outcome,
            notified: Vec::new(),
        }
    }
}

fn output_of(failure: &Failure) -> Option<Output> {
    match failure {
        Failure::Command(failure) => Some(failure.output.clone()),
        _ => None,
    }
}

fn in_words(drift: &[Drift]) -> String {
    let words: Vec<_> = drift
        .iter()
        .map(|drift| {
            let (expected, actual) = if drift.sensitive {
                (HIDDEN, HIDDEN)
            } else {
                (&*drift.expected, &*drift.actual)
            };
            format!("{} is {actual}, expected {expected}", drift.attribute)
        })
        .collect();
    words.join("; ")
}

#[cfg(test)]
mod tests;

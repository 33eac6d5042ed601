//! What the helper says of each task, turned into the host's report.

use std::cell::Cell;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use crate::protocol::{
    AFTER_FAILURE, AFTER_INTERRUPTION, Advance, Declared, Facts, HandlerName, Holder, Orphan,
    Outcome, Status, TaskId,
};
use crate::report::{Difference, HostReport, Keep, Progress, ResourceReport};

use super::HostSoFar;
use super::confirm::NewConnection;
use super::conversation::{Listener, Neighbours, Patience};
use super::host::{Others, Paused};
use super::lock::{self, AtWork, Place};
use super::room::Room;

/// A task that was sent: what its report says before its outcome is known.
pub(super) struct Sent {
    pub report: ResourceReport,
    /// What becomes of its outcome.
    pub then: Then,
    /// A handler: that it was not notified is not worth a word.
    pub handler: bool,
    /// The task declares that it changes nothing.
    pub read_only: bool,
    /// Values of the task are not to be shown.
    pub no_log: bool,
}

/// What becomes of an outcome when it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// It is reported.
    Report,
    /// It is reported, and kept for what registers it.
    ReportAndKeep,
    /// It is kept, and reported when the controller has judged it.
    Keep,
}

impl Sent {
    pub(super) fn plain(report: ResourceReport) -> Self {
        Self {
            report,
            then: Then::Report,
            handler: false,
            read_only: false,
            no_log: false,
        }
    }
}

/// The report of one host while it is made.
pub(super) struct Record<'p> {
    pub report: HostReport,
    /// What the playbook declares on the host, as far as it was sent.
    pub declared: Declared,
    keep: Keep,
    progress: &'p dyn Progress,
    sent: HashMap<TaskId, Sent>,
    outcomes: HashMap<TaskId, Outcome>,
    /// How many tasks are over.
    over: TaskId,
    /// What the controller answered itself, each with how many tasks were sent before it.
    answered: VecDeque<(TaskId, ResourceReport)>,
    /// Handlers that what was changed so far notified.
    notified: BTreeSet<HandlerName>,
    stopped: bool,
    /// The last task that was done.
    last: Option<String>,
    /// How far it came, if the user did not want more.
    pub interrupted: Option<String>,
    others: Others<'p>,
    /// What is left of the host's time; the conversation has it while it lasts.
    pub patience: Patience,
    /// What is left of what is kept of this host.
    room: Room,
    /// While the host is worked on.
    at_work: Option<AtWork<'p>>,
    /// For what is to be confirmed.
    new_connection: NewConnection<'p>,
    /// Why that did not come about, the last time it was needed.
    pub unconfirmed: Option<String>,
    /// While another run is waited for.
    in_line: Option<Place<'p>>,
    /// The host has let us in: from now on it may be worked on.
    begun: &'p Cell<bool>,
}

impl<'p> Record<'p> {
    pub(super) fn new(
        so_far: HostSoFar,
        keep: Keep,
        progress: &'p dyn Progress,
        others: Others<'p>,
        begun: &'p Cell<bool>,
        new_connection: NewConnection<'p>,
    ) -> Self {
        Self {
            report: so_far.report,
            declared: so_far.declared,
            keep,
            progress,
            sent: HashMap::new(),
            outcomes: HashMap::new(),
            over: 0,
            answered: VecDeque::new(),
            notified: BTreeSet::new(),
            stopped: false,
            last: None,
            interrupted: None,
            others,
            patience: so_far.patience,
            room: so_far.room,
            at_work: None,
            new_connection,
            unconfirmed: None,
            in_line: None,
            begun,
        }
    }

    /// What is known of the host now.
    pub(super) fn end(self) -> HostSoFar {
        HostSoFar {
            report: self.report,
            declared: self.declared,
            paused: Paused::default(),
            room: self.room,
            patience: self.patience,
        }
    }

    /// Remembers a task that is about to be sent.
    pub(super) fn sent(&mut self, id: TaskId, sent: Sent) {
        self.sent.insert(id, sent);
    }

    /// Takes the outcome of a wanted task.
    pub(super) fn take(&mut self, id: TaskId) -> Option<Outcome> {
        self.outcomes.remove(&id)
    }

    /// Records a resource.
    pub(super) fn record(&mut self, mut report: ResourceReport) {
        self.stopped |= report.status == Status::Failed && !report.ignored;
        if matches!(report.status, Status::Changed | Status::Failed) {
            self.notified.extend(report.notifies.iter().cloned());
        }
        if report.status != Status::Skipped {
            self.last = Some(report.task.clone());
        }
        if report.is_kept(self.keep) {
            self.room.take(&mut report, self.others.room);
        }
        self.report.record(report, self.keep);
    }

    /// Records what needed no host, once the tasks sent before it are over: should one of them
    /// fail, the host never got here.
    pub(super) fn answered(&mut self, sent: TaskId, report: ResourceReport) {
        self.answered.push_back((sent, report));
        self.settle();
    }

    /// Records a task that the host did not get to.
    pub(super) fn not_run(&mut self, report: ResourceReport) {
        let why = self
            .interrupted
            .as_ref()
            .map_or(AFTER_FAILURE, |_| AFTER_INTERRUPTION);
        self.record(ResourceReport {
            status: Status::Skipped,
            ignored: false,
            message: Some(why.to_owned()),
            ..report
        });
    }

    fn settle(&mut self) {
        let over = self.over;
        while let Some((_, report)) = self.answered.pop_front_if(|(sent, _)| *sent <= over) {
            if self.stopped {
                self.not_run(report);
            } else {
                self.record(report);
            }
        }
    }

    /// Whether something that was changed notified this handler.
    pub(super) fn notified(&self, handler: &str) -> bool {
        self.notified.contains(handler)
    }

    /// Forgets a notification: the handler is over.
    pub(super) fn dismissed(&mut self, handler: &str) {
        self.notified.remove(handler);
    }

    /// Whether nothing more is done on this host: a task failed, or the user does not want more.
    pub(super) fn stopped(&self) -> bool {
        self.stopped
    }
}

impl Listener for Record<'_> {
    fn started(&mut self, id: TaskId) {
        if let Some(sent) = self.sent.get(&id) {
            self.progress
                .task_started(&self.report.host, &sent.report.task);
        }
    }

    fn advanced(&mut self, id: TaskId, advance: Advance) {
        if let Some(sent) = self.sent.get(&id) {
            let ResourceReport { task, id, .. } = &sent.report;
            self.progress
                .task_advanced(&self.report.host, task, id, advance);
        }
    }

    fn finished(&mut self, id: TaskId, outcome: Outcome) {
        let Some(sent) = self.sent.remove(&id) else {
            return;
        };
        let quiet = sent.handler && outcome.status == Status::Skipped;
        if sent.then != Then::Keep && !quiet {
            let mut shown = outcome.clone();
            if sent.no_log {
                shown.hide();
            }
            self.record(with(sent.report, &shown, sent.read_only));
        }
        if sent.then != Then::Report {
            self.outcomes.insert(id, outcome);
        }
        self.over = id + 1;
        self.settle();
    }

    fn orphan(&mut self, orphan: Orphan) {
        let Orphan {
            kind,
            id,
            origin,
            outcome,
        } = orphan;
        let report = ResourceReport {
            // After everything that has a place in the playbook.
            position: usize::MAX,
            role: origin.role,
            task: origin.task,
            kind,
            id,
            severity: origin.severity,
            ..ResourceReport::default()
        };
        self.record(with(report, &outcome, false));
    }

    async fn confirm(&mut self, within: Duration) {
        self.unconfirmed = self.new_connection.confirm(within).await.err();
    }

    fn waiting(&mut self, holder: Option<&Holder>) {
        let host = &self.report.host;
        let holder = lock::named(holder);
        self.progress
            .note(&format!("{host}: waits for the end of {holder}"));
        self.in_line = Some(self.others.waiting.take_place());
    }

    fn neighbours(&self, facts: &Facts) -> Neighbours {
        self.others.machines.neighbours(facts)
    }

    fn awaits_turn(&mut self) {
        let host = &self.report.host;
        self.progress.note(&format!(
            "{host}: waits for another host of this run that is the same machine"
        ));
        self.in_line = Some(self.others.waiting.take_place());
    }

    fn begun(&mut self, facts: &Facts) {
        self.in_line = None;
        self.at_work = Some(self.others.machines.begin(facts));
        self.begun.set(true);
    }

    fn interrupted(&mut self) {
        let done = match self.report.counts.looked_at() {
            0 => "none".to_owned(),
            1 => "1 task".to_owned(),
            count => format!("{count} tasks"),
        };
        let when = match &self.last {
            Some(last) => format!("after the task `{last}`"),
            None => "before the first task of a play".to_owned(),
        };
        self.interrupted = Some(format!(
            "interrupted {when}: {done} done, and nothing else begun"
        ));
        self.stopped = true;
    }
}

/// A resource's report with its outcome.
pub(super) fn with(report: ResourceReport, outcome: &Outcome, read_only: bool) -> ResourceReport {
    ResourceReport {
        status: match outcome.status {
            Status::Changed if read_only => Status::Ok,
            status => status,
        },
        ignored: report.ignored && outcome.status == Status::Failed,
        message: outcome.message.clone(),
        would_run: outcome.would_run,
        drift: outcome
            .drift
            .iter()
            .map(|drift| Difference::new(drift.clone(), report.severity))
            .collect(),
        output: outcome.output.clone(),
        ..report
    }
}

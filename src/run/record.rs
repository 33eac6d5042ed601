//! What the helper says of each task, turned into the host's report.

use std::collections::HashMap;

use crate::protocol::{Outcome, Status, TaskId};
use crate::report::{HostReport, Keep, Progress, ResourceReport};

use super::conversation::Listener;

/// A task that was sent: what its report says before its outcome is known.
pub(super) struct Sent {
    pub report: ResourceReport,
    /// What becomes of its outcome.
    pub then: Then,
    /// A handler: that it was not notified is not worth a word.
    pub handler: bool,
    /// The task declares that it changes nothing.
    pub read_only: bool,
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
        }
    }
}

/// The report of one host while it is made.
pub(super) struct Record<'p> {
    pub report: HostReport,
    keep: Keep,
    progress: &'p dyn Progress,
    sent: HashMap<TaskId, Sent>,
    outcomes: HashMap<TaskId, Outcome>,
    stopped: bool,
}

impl<'p> Record<'p> {
    pub(super) fn new(report: HostReport, keep: Keep, progress: &'p dyn Progress) -> Self {
        Self {
            report,
            keep,
            progress,
            sent: HashMap::new(),
            outcomes: HashMap::new(),
            stopped: false,
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
    pub(super) fn record(&mut self, report: ResourceReport) {
        self.stopped |= report.status == Status::Failed && !report.ignored;
        self.report.record(report, self.keep);
    }

    /// Whether a task failed, so that nothing more is done on this host.
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

    fn finished(&mut self, id: TaskId, outcome: Outcome) {
        let Some(sent) = self.sent.remove(&id) else {
            return;
        };
        let quiet = sent.handler && outcome.status == Status::Skipped;
        if sent.then != Then::Keep && !quiet {
            self.record(with(sent.report, &outcome, sent.read_only));
        }
        if sent.then != Then::Report {
            self.outcomes.insert(id, outcome);
        }
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
        drift: outcome.drift.clone(),
        output: outcome.output.clone(),
        ..report
    }
}

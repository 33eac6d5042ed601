//! What came of a run: one value, from which the text, the JSON and the exit code are made.
//!
//! Nothing here knows how hosts were reached or what a kind is; a driver records outcomes, the
//! renderers read them. In-sync resources are counted and, unless asked for, not kept: the
//! memory of a run grows with what was found, not with what was looked at.

use std::time::Duration;

use serde::Serialize;

use crate::protocol::{Facts, Holder, Output, Severity, Status, is_refusal};

mod batches;
mod comparison;
mod cut_short;
mod diff;
mod difference;
mod error;
mod exit;
mod html;
mod json;
mod jsonl;
mod junit;
mod lock;
mod nagios;
mod progress;
mod prometheus;
mod redact;
mod review;
mod text;

pub use crate::harmless::{lines, single_line};
pub use batches::Batches;
pub use comparison::{Comparison, Gathering};
pub use cut_short::CutShort;
pub use difference::{Difference, Waived, WaiverIssue, WaiverRemark};
pub use error::{ErrorClass, HostError};
pub use exit::ExitCode;
pub use html::to_html;
pub use json::to_json;
pub use jsonl::{host_line, summary_line};
pub use junit::to_junit;
pub use lock::apply_by;
pub use nagios::{State, to_nagios};
pub use progress::{Live, Plain, Progress, Silent};
pub use prometheus::to_prometheus;
pub use redact::Redacted;
use text::counted;
pub use text::{TextOptions, Verbosity, render};

/// Everything a run found out.
#[derive(Clone, Debug)]
pub struct RunReport {
    /// Names the run, as in backups and journals on the hosts.
    pub run_id: String,
    /// What was asked for.
    pub command: Command,
    /// The playbook as the user named it; the command line for `exec`.
    pub playbook: String,
    /// When the run began.
    pub started_at: jiff::Timestamp,
    /// Wall time.
    pub duration: Duration,
    /// Every selected host, in inventory order.
    pub hosts: Vec<HostReport>,
    /// Why it ended before every host was done, if it did.
    pub cut_short: Option<CutShort>,
    /// For a plan, how an apply would take the hosts of each play.
    pub batches: Vec<Batches>,
    /// Waivers that somebody should look at.
    pub waivers: Vec<WaiverRemark>,
}

/// The verb of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Bring about what is declared.
    Apply,
    /// Look for drift.
    Check,
    /// Say what `apply` would do.
    Plan,
    /// Run one command everywhere.
    Exec,
    /// Ask hosts what they are.
    Facts,
}

impl Command {
    /// All verbs.
    const ALL: [Self; 5] = [
        Self::Apply,
        Self::Check,
        Self::Plan,
        Self::Exec,
        Self::Facts,
    ];

    /// As it is typed.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Apply => "apply",
            Self::Check => "check",
            Self::Plan => "plan",
            Self::Exec => "exec",
            Self::Facts => "facts",
        }
    }

    /// The verb that is typed like this.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|command| command.as_str() == name)
    }

    /// Whether hosts may be changed.
    #[must_use]
    pub const fn changes(self) -> bool {
        matches!(self, Self::Apply | Self::Exec)
    }
}

/// What came of one host.
#[derive(Clone, Debug)]
pub struct HostReport {
    /// Its name in the inventory.
    pub host: String,
    /// Wall time from the first attempt to connect.
    pub duration: Duration,
    /// CPU time that the helper and what it started used on the host, as it said at its end.
    pub cpu: Option<Duration>,
    /// How many resources ended how.
    pub counts: Counts,
    /// Why the conversation with the host did not begin or broke off.
    pub error: Option<HostError>,
    /// The resources kept (see [`Keep`]), in the order they were worked on.
    pub resources: Vec<ResourceReport>,
    /// What the host is, for `facts`.
    pub facts: Option<Box<Facts>>,
    /// An apply of somebody else that ran on the host while this run looked at it.
    pub running: Option<Holder>,
}

/// Which resources a report keeps beyond counting them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// Those that are not plainly ok, and those with a remark.
    #[default]
    Findings,
    /// All of them (`-v`).
    All,
}

/// How many resources of one host ended how. Each is counted under exactly one name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Observed = declared.
    pub ok: usize,
    /// Observed ≠ declared, and left so.
    pub drift: usize,
    /// Brought about.
    pub changed: usize,
    /// Could not be brought about.
    pub failed: usize,
    /// Could not be told.
    pub unknown: usize,
    /// Not looked at.
    pub skipped: usize,
    /// Drift that a waiver covers.
    pub waived: usize,
    /// Failed, and declared not to matter.
    pub ignored: usize,
    /// Drift left out of the report as asked: too mild, or known before.
    pub hidden: usize,
}

/// What came of one resource on one host.
#[derive(Clone, Debug, Default)]
pub struct ResourceReport {
    /// The task's place in the playbook over all plays; findings are shown in this order.
    pub position: usize,
    /// The play's name.
    pub play: String,
    /// The role the task came from.
    pub role: Option<String>,
    /// The task's name.
    pub task: String,
    /// The kind's name.
    pub kind: String,
    /// Names the resource within its kind.
    pub id: String,
    /// The verdict.
    pub status: Status,
    /// A failure that is declared not to matter.
    pub ignored: bool,
    /// How bad drift is, as the task says; a difference may know better.
    pub severity: Severity,
    /// Why it failed, is unknown or was skipped; or a remark.
    pub message: Option<String>,
    /// What differed.
    pub drift: Vec<Difference>,
    /// Skipped only because nothing was to be changed: an apply would run it.
    pub would_run: bool,
    /// The handlers its change notifies, as `role : name`.
    pub notifies: Vec<String>,
    /// What a command printed.
    pub output: Option<Output>,
}

/// What a host's outcome comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HostStatus {
    /// Everything looked at is as declared.
    InSync,
    /// Something is not as declared.
    Drifted,
    /// Something was not as declared and now is.
    Changed,
    /// Something could not be brought about.
    Failed,
    /// Something could not be told.
    Unknown,
    /// The host gave no complete result.
    Unreachable,
    /// The run ended before all of the host's work was begun.
    Untouched,
}

impl HostReport {
    /// A host of which nothing is known yet.
    #[must_use]
    pub fn new(host: impl Into<String>) -> Self {
        Self {
            host: host.into(),
            duration: Duration::ZERO,
            cpu: None,
            counts: Counts::default(),
            error: None,
            resources: Vec::new(),
            facts: None,
            running: None,
        }
    }

    /// Counts a resource, and keeps it if it is worth showing.
    pub fn record(&mut self, resource: ResourceReport, keep: Keep) {
        self.counts.add(resource.status, resource.ignored);
        if resource.is_kept(keep) {
            self.resources.push(resource);
        }
    }

    /// The one verdict on this host: the worst of what was found.
    #[must_use]
    pub fn status(&self) -> HostStatus {
        match &self.error {
            Some(error) if error.class == ErrorClass::Untouched => HostStatus::Untouched,
            Some(error) if error.class.is_unreachable() => HostStatus::Unreachable,
            Some(_) => HostStatus::Failed,
            None => self.counts.status(),
        }
    }
}

impl ResourceReport {
    pub(crate) fn is_kept(&self, keep: Keep) -> bool {
        let plain = self.status == Status::Ok && self.message.is_none();
        keep == Keep::All || !plain
    }

    /// How many bytes it takes, about: its texts, and what holds them.
    #[must_use]
    pub(crate) fn size(&self) -> usize {
        let texts = [&self.play, &self.task, &self.kind, &self.id];
        let texts = texts.into_iter().chain(&self.role).chain(&self.message);
        let output = self.output.iter();
        let output = output.map(|output| output.stdout.len() + output.stderr.len());
        let drift = self.drift.iter();
        let drift = drift.map(|found| size_of::<Difference>() + found.drift.size());
        size_of::<Self>()
            + texts
                .map(String::len)
                .chain(output)
                .chain(drift)
                .sum::<usize>()
    }

    /// The differences that no waiver covers.
    pub fn open_drift(&self) -> impl Iterator<Item = &Difference> {
        self.drift.iter().filter(|found| found.waived.is_none())
    }

    /// Whether it drifted, and a waiver covers every difference. Then it is no drift to act on.
    #[must_use]
    pub fn is_waived(&self) -> bool {
        self.status == Status::Drift && !self.drift.is_empty() && self.open_drift().count() == 0
    }

    /// Whether an apply would change it.
    #[must_use]
    pub fn would_change(&self) -> bool {
        let only_reported = |found: &Difference| found.drift.is_only_reported();
        self.status == Status::Drift
            && (self.drift.is_empty() || !self.drift.iter().all(only_reported))
            && !self.is_refused()
    }

    /// Whether it differs and an apply would refuse to change it.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.status == Status::Drift && is_refusal(self.message.as_deref())
    }

    /// How bad it is: the worst of its open differences, else what the task says.
    #[must_use]
    pub fn worst(&self) -> Severity {
        let open = self.open_drift().map(|found| found.severity);
        open.max().unwrap_or(self.severity)
    }
}

impl Counts {
    /// How many were not skipped.
    #[must_use]
    pub const fn looked_at(&self) -> usize {
        let told = self.ok + self.drift + self.changed + self.waived + self.hidden;
        told + self.failed + self.unknown + self.ignored
    }

    fn add(&mut self, status: Status, ignored: bool) {
        let count = match status {
            Status::Failed if ignored => &mut self.ignored,
            Status::Ok => &mut self.ok,
            Status::Drift => &mut self.drift,
            Status::Changed => &mut self.changed,
            Status::Failed => &mut self.failed,
            Status::Unknown => &mut self.unknown,
            Status::Skipped => &mut self.skipped,
        };
        *count += 1;
    }

    /// Drift outranks unknown: it is certain. Unknown outranks changed: it is not yet right.
    const fn status(&self) -> HostStatus {
        match self {
            Self { failed: 1.., .. } => HostStatus::Failed,
            Self { drift: 1.., .. } => HostStatus::Drifted,
            Self { unknown: 1.., .. } => HostStatus::Unknown,
            Self { changed: 1.., .. } => HostStatus::Changed,
            _ => HostStatus::InSync,
        }
    }
}

impl RunReport {
    /// How many hosts ended as `status`.
    #[must_use]
    pub fn count(&self, status: HostStatus) -> usize {
        self.hosts
            .iter()
            .filter(|host| host.status() == status)
            .count()
    }

    /// What the process exits with.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        exit::of(self)
    }
}

#[cfg(test)]
pub(crate) mod fixture;

#[cfg(test)]
mod tests;

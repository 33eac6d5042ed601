//! What the controller and the helper say to each other.
//!
//! Both ends are always the same build (the helper is chosen by its sha256), so there is no
//! version negotiation and no compatibility shim: a field is added by adding it.
//!
//! The conversation, over one exec per host:
//!
//! ```text
//! helper      Hello { facts }
//! controller  Begin { mode, … }
//! helper      Begun { pending, … }                      (Waiting, Locked: another run writes;
//!                                                        AwaitsTurn: another host of this run does)
//! controller  Task … Task …  Judge …  End               (Pause: a next Begin will come)
//! helper      Started, Advanced, Need { sha256 }, Finished { … } …  Done
//! controller  Content { sha256, size } + raw bytes      (only when asked by Need)
//! controller  Heard                                     (only when asked by Finished)
//! controller  Stop                                      (at most once, at any time after Begun)
//! ```
//!
//! A stream that ends without [`Event::Done`] is a failure of that host, whatever came before.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::resource::AnyResource;

pub mod balancer;
mod census;
pub mod content;
mod drift;
pub mod facts;
mod fit;
mod hidden;
mod output;
mod ownership;
mod severity;
pub mod wire;

pub use census::{Census, Counted, Section};
pub use content::{Content, Sha256, Source};
pub use drift::{Change, Drift};
pub use facts::Facts;
pub use fit::cut;
pub use hidden::{HIDDEN, HIDDEN_REASON};
pub use output::Output;
pub use ownership::{Declared, Origin, Orphan};
pub use severity::{Severity, UnknownSeverity};

/// Why a task after a failed one has no result, whichever end left it out.
pub const AFTER_FAILURE: &str = "not run: an earlier task failed";

/// How the message of a difference begins that no apply would remove, for the reason that follows.
pub const REFUSED: &str = "apply refuses this: ";

/// Whether a message says that an apply would refuse the change.
#[must_use]
pub fn is_refusal(message: Option<&str>) -> bool {
    message.is_some_and(|message| message.starts_with(REFUSED))
}

/// Why a task has none that the user did not wait for, whichever end left it out.
pub const AFTER_INTERRUPTION: &str = "not run: the run was interrupted";

/// The longest that a change may wait to be confirmed.
pub const CONFIRM_LIMIT: Duration = Duration::from_mins(10);

/// Whether the helper only looks or also changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Observe and report drift; change nothing.
    Check,
    /// Observe, change what drifted, observe again.
    Apply,
}

/// Names a task within one conversation. The controller counts up from 0.
pub type TaskId = u32;

/// What the controller sends.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "message", rename_all = "snake_case")]
pub enum Message {
    /// Starts a play's work. Sent before the first task, and again after a [`Pause`](Message::Pause).
    Begin(Begin),
    /// Starts a conversation about a load balancer instead, which ends with `End`.
    Attend(Box<balancer::Attend>),
    /// Asks a load balancer; the answer is [`Event::Balancer`].
    Balancer(balancer::Ask),
    /// One more thing to observe and, in [`Mode::Apply`], to bring about.
    Task(Box<Task>),
    /// The controller's verdict on a task it sent with [`Task::judged`].
    Judge(Judge),
    /// Announces `size` raw bytes that follow this line, as asked by [`Event::Need`].
    Content {
        /// Names the bytes.
        sha256: Sha256,
        /// How many bytes follow.
        size: u64,
    },
    /// A handler was notified, but its condition is false: it is no longer pending.
    Dismiss {
        /// The handler.
        handler: HandlerName,
    },
    /// In place of [`Begin`](Message::Begin), over a new connection: the change that waits for it
    /// has not cut the host off.
    Confirm,
    /// The end of a task was heard, as asked by [`Event::Finished`]'s `keep`.
    Heard {
        /// The task.
        id: TaskId,
    },
    /// The bytes asked for cannot be sent (the file vanished or changed on the controller).
    ContentUnavailable {
        /// Names the bytes.
        sha256: Sha256,
        /// Why, for the host's report.
        reason: String,
    },
    /// All that the playbook declares was sent: what else it made has no owner any more.
    Orphans(Declared),
    /// The user wants no more: what is under way ends, and nothing that was not begun yet is begun.
    /// Tasks are still answered, as skipped, so that both ends stay in step.
    Stop,
    /// Count what is on the host, and answer with [`Event::Census`].
    Census,
    /// No more tasks: finish and say [`Event::Done`].
    End,
    /// The same, but another [`Begin`](Message::Begin) of the same run will come, to be answered
    /// with a new [`Event::Hello`]. Until then the host's lock is kept.
    Pause,
}

/// How a conversation is to be run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Begin {
    /// Look or change.
    pub mode: Mode,
    /// Whether to make unified diffs of file contents (`-D`).
    pub diff: bool,
    /// Names the run in backups and in the pending-handler journal.
    pub run_id: String,
    /// The host's lock is to be taken first. Without it, it is only looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
    /// Whose the declared things are: names the playbook, and the host as it knows it, in the
    /// host's memory of what was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub playbook: Option<String>,
}

/// A wish to be the only one who writes to the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Who wants it, as `user@controller`.
    pub who: String,
    /// How long to wait for another run to end, in milliseconds.
    pub wait_ms: u64,
}

/// The run that holds a host's lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Who started it, as `user@controller`.
    pub who: String,
    /// Names the run.
    pub run_id: String,
    /// Since when, by the host's clock, in seconds since 1970.
    pub since: u64,
    /// The helper's process on the host.
    pub pid: u32,
}

/// One task for one host: fully rendered, nothing left to look up.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "keywords of a task, each on or off by itself"
)]
pub struct Task {
    /// Names the task in events.
    pub id: TaskId,
    /// What is declared.
    pub resource: AnyResource,
    /// Handlers to remember, on the host's disk, before this task changes anything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notify: Vec<HandlerName>,
    /// Set on a handler: run only if one of these names is pending, and clear them after success.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<HandlerName>,
    /// More tasks of the same handler follow (`loop`): it stays pending until the last.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
    /// Go on with the next task even if this one fails (`ignore_errors`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ignore_errors: bool,
    /// Wait for a [`Judge`] message after reporting, before the next task
    /// (`changed_when`, `failed_when`). Nothing is to be judged, and no message is waited for,
    /// when the task was [`Skipped`](Status::Skipped).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub judged: bool,
    /// Report no value, diff or output of this task (`no_log`), unless they are
    /// [needed](Task::needed): then the controller is the one that keeps them to itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_log: bool,
    /// Something is decided by the values or the output of this task (`register`, a verdict).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub needed: bool,
    /// What is declared holds a secret: its differences are reported without their values, as
    /// what was there before is one too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sensitive: bool,
    /// The task declares that it changes nothing (`changed_when: false`), so a command
    /// without a guard may run in [`Mode::Check`] too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
    /// Where it is declared; what it brings into being is remembered then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Box<Origin>>,
}

impl Task {
    /// A task that only says what is declared.
    #[must_use]
    pub fn new(id: TaskId, resource: AnyResource) -> Self {
        Self {
            id,
            resource,
            notify: Vec::new(),
            answers: Vec::new(),
            more: false,
            ignore_errors: false,
            judged: false,
            no_log: false,
            needed: false,
            sensitive: false,
            read_only: false,
            origin: None,
        }
    }
}

/// A handler's name as it is kept on the host: `role : name`, or `name` for a play's own.
pub type HandlerName = String;

/// The controller's verdict on a judged task.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Judge {
    /// The task judged.
    pub id: TaskId,
    /// Whether it counts as changed; if not, its notifications are taken back.
    pub changed: bool,
    /// Whether it counts as failed; if so, the host stops unless errors are ignored.
    pub failed: bool,
    /// The same task follows once more (`until`): a handler stays pending.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
}

/// What the helper sends.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// First event: who and what this host is.
    Hello {
        /// What was found out about the host.
        facts: Box<Facts>,
    },
    /// Another run holds the host's lock; it is waited for.
    Waiting {
        /// Which, if it has said so.
        holder: Option<Holder>,
    },
    /// Another helper of this run writes to the same machine, which is several hosts of the
    /// inventory; it is waited for, however long that takes. Said again and again meanwhile.
    AwaitsTurn,
    /// Another run holds the host's lock and did not end in time. Ends the conversation;
    /// nothing was changed.
    Locked {
        /// Which, if it has said so.
        holder: Option<Holder>,
    },
    /// The answer to [`Message::Begin`]: tasks may come.
    Begun {
        /// Handlers that an earlier, interrupted run left pending.
        pending: Vec<HandlerName>,
        /// A run that changes the host meanwhile, when the lock was only looked at.
        running: Option<Holder>,
    },
    /// Work on a task has begun (for live progress).
    Started {
        /// The task.
        id: TaskId,
    },
    /// Something was left to do when [`Message::Stop`] was found: from here on nothing is begun.
    Stopped,
    /// How far the task that was started last has come; now and then, and never needed.
    Advanced(Advance),
    /// The task that was started last may have cut the host off: it is taken back unless a
    /// [`Message::Confirm`] comes over a new connection.
    Unconfirmed {
        /// In this time, in milliseconds; at most [`CONFIRM_LIMIT`].
        within_ms: u64,
    },
    /// The answer to [`Message::Confirm`].
    Confirmed,
    /// The host lacks these bytes; the controller answers with [`Message::Content`].
    Need {
        /// Names the bytes.
        sha256: Sha256,
    },
    /// A task is over.
    Finished {
        /// The task.
        id: TaskId,
        /// What came of it.
        outcome: Outcome,
        /// It would run again if nobody heard this: the host keeps it until it is told
        /// [`Message::Heard`], beyond the end of the connection.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        keep: bool,
    },
    /// Something without an owner was found; the answer to [`Message::Orphans`].
    Orphan(Box<Orphan>),
    /// What was counted, as asked by [`Message::Census`].
    Census {
        /// Packages, kernel parameters, modules, settings.
        census: Box<Census>,
    },
    /// What a load balancer says to [`Message::Balancer`].
    Balancer {
        /// What it says.
        said: balancer::Answer,
    },
    /// The helper itself cannot go on (full disk, unreadable plan). Ends the conversation.
    Fatal {
        /// What happened, in words for the report.
        message: String,
    },
    /// Last event: every task sent was worked through or skipped.
    Done {
        /// CPU time the helper and its children used, in milliseconds.
        cpu_ms: u64,
    },
}

/// How far a long task has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advance {
    /// What is being done.
    pub step: Step,
    /// How much of it, in bytes.
    pub done: u64,
    /// Of how much, in bytes, as far as is known by now: it may grow.
    pub total: u64,
}

/// What a task that takes long is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The controller sends a content to the host.
    Send,
    /// The host gets something from elsewhere.
    Download,
    /// The host unpacks what it got.
    Unpack,
}

/// What came of one task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The verdict.
    pub status: Status,
    /// What differed before the change (apply) or differs now (check).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drift: Vec<Drift>,
    /// Why it failed, is unknown or was skipped; or a remark such as "runs every time".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Check: nothing that can be observed differs, and yet an apply would run this: a command
    /// without a guard, a handler that was notified.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub would_run: bool,
    /// What a command printed, for `register`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Output>,
    /// Wall time on the host, in milliseconds.
    #[serde(default)]
    pub duration_ms: u64,
}

impl Outcome {
    /// What differs and was left so.
    #[must_use]
    pub fn drifted(drift: Vec<Drift>) -> Self {
        Self {
            status: Status::Drift,
            drift,
            ..Self::default()
        }
    }

    /// Whether it was left as it is, and an apply would change it.
    #[must_use]
    pub fn would_change(&self) -> bool {
        self.status == Status::Drift
            && !is_refusal(self.message.as_deref())
            && (self.drift.is_empty() || !self.drift.iter().all(Drift::is_only_reported))
    }

    /// What check finds of a handler that an earlier run left pending.
    #[must_use]
    pub fn pending_handler() -> Self {
        let since = "pending since an interrupted run";
        Self {
            status: Status::Drift,
            drift: vec![Drift::update("handler", "run", since)],
            message: Some(format!("handler {since}")),
            ..Self::default()
        }
    }
}

/// The verdict on one task on one host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Observed = declared; nothing was done.
    #[default]
    Ok,
    /// Check: observed ≠ declared. Apply: the same, of what is [only
    /// reported](Change::Nothing).
    Drift,
    /// Apply: it differed, was changed, and the read-back matches.
    Changed,
    /// It could not be brought about, or the read-back still differs.
    Failed,
    /// It could not be told (check: also what depends on an earlier change not yet made).
    Unknown,
    /// It was not looked at: a condition or guard was false, or the host had failed before.
    Skipped,
}

//! What the controller and the helper say to each other.
//!
//! Both ends are always the same build (the helper is chosen by its sha256), so there is no
//! version negotiation and no compatibility shim: a field is added by adding it.
//!
//! The conversation, over one exec per host:
//!
//! ```text
//! helper      Hello { facts }
//! controller  Begin { mode, … }  Task … Task …  Judge …  End
//! helper      Started, Need { sha256 }, Finished { … } …  Done
//! controller  Content { sha256, size } + raw bytes      (only when asked by Need)
//! ```
//!
//! A stream that ends without [`Event::Done`] is a failure of that host, whatever came before.

use serde::{Deserialize, Serialize};

use crate::resource::AnyResource;

pub mod content;
pub mod facts;
mod hidden;
pub mod wire;

pub use content::{Content, Sha256, Source};
pub use facts::Facts;
pub use hidden::{HIDDEN, HIDDEN_REASON};

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
    /// Starts a play's work. Sent once, before the first task.
    Begin(Begin),
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
    /// The bytes asked for cannot be sent (the file vanished or changed on the controller).
    ContentUnavailable {
        /// Names the bytes.
        sha256: Sha256,
        /// Why, for the host's report.
        reason: String,
    },
    /// No more tasks: finish and say [`Event::Done`].
    End,
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
    /// Report no value, diff or output of this task (`no_log`). Not set where the controller
    /// needs them: then it is the one that keeps them to itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_log: bool,
    /// The task declares that it changes nothing (`changed_when: false`), so a command
    /// without a guard may run in [`Mode::Check`] too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
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
            read_only: false,
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
        /// Handlers that an earlier, interrupted run left pending.
        pending: Vec<HandlerName>,
    },
    /// Work on a task has begun (for live progress).
    Started {
        /// The task.
        id: TaskId,
    },
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
    /// Check: observed ≠ declared.
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

/// One difference between declared and observed state, ready to show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// What differs: `mode`, `content`, `state`, …
    pub attribute: String,
    /// What is declared.
    pub expected: String,
    /// What was found; empty when it does not exist.
    pub actual: String,
    /// What kind of change removes the difference.
    #[serde(default)]
    pub change: Change,
    /// The values are secret and already replaced by a placeholder.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sensitive: bool,
    /// A unified diff, when asked for and both sides are text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff: Option<String>,
}

/// The kind of change that removes a difference; decides the symbol in a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// `+`: it does not exist and will be made.
    Create,
    /// `~`: it exists and will be changed in place.
    #[default]
    Update,
    /// `-`: it exists and will be removed.
    Remove,
    /// `-/+`: it must be removed and made again.
    Replace,
}

impl Drift {
    /// A difference that is removed by changing `attribute` in place.
    pub fn update(
        attribute: impl Into<String>,
        expected: impl Into<String>,
        actual: impl Into<String>,
    ) -> Self {
        Self::new(Change::Update, attribute, expected, actual)
    }

    /// Something declared that does not exist.
    pub fn create(attribute: impl Into<String>, expected: impl Into<String>) -> Self {
        Self::new(Change::Create, attribute, expected, "absent")
    }

    /// Something that exists and is declared absent.
    pub fn remove(attribute: impl Into<String>, actual: impl Into<String>) -> Self {
        Self::new(Change::Remove, attribute, "absent", actual)
    }

    /// A difference with an explicit kind of change.
    pub fn new(
        change: Change,
        attribute: impl Into<String>,
        expected: impl Into<String>,
        actual: impl Into<String>,
    ) -> Self {
        Self {
            attribute: attribute.into(),
            expected: expected.into(),
            actual: actual.into(),
            change,
            sensitive: false,
            diff: None,
        }
    }
}

/// What a command left behind, bounded in size.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Exit status; 128 + n when killed by signal n, as shells count.
    pub rc: i32,
    /// Standard output, lossy UTF-8, at most [`Output::LIMIT`] bytes.
    pub stdout: String,
    /// Standard error, lossy UTF-8, at most [`Output::LIMIT`] bytes.
    pub stderr: String,
    /// Whether either stream was longer and was cut.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
}

impl Output {
    /// How many bytes of each stream are kept.
    pub const LIMIT: usize = 256 * 1024;
}

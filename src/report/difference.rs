//! One difference in a report: what the host said, and what is known about it besides.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;

use crate::protocol::{Drift, Severity};

/// One way in which a resource differs from what is declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What the host found.
    pub drift: Drift,
    /// How bad it is: as the kind says of this difference, else as the task says.
    pub severity: Severity,
    /// Somebody accepted it for a time: it is shown, and sets no exit code.
    pub waived: Option<Arc<Waived>>,
    /// When a check first found it; `None` if nothing is remembered about it.
    pub first_seen: Option<Timestamp>,
}

impl Difference {
    /// A difference about which nothing else is known, in a task of this severity.
    #[must_use]
    pub fn new(drift: Drift, task: Severity) -> Self {
        Self {
            severity: drift.severity.unwrap_or(task),
            drift,
            waived: None,
            first_seen: None,
        }
    }
}

/// Why a difference is accepted, by whom, and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waived {
    /// The reason as written.
    pub reason: String,
    /// Who answers for it.
    pub owner: String,
    /// The last day on which it holds, in UTC.
    pub expires: Date,
    /// Where it is written: `waivers.yml:3`.
    pub place: String,
}

/// A waiver that somebody should look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaiverRemark {
    /// What it says.
    pub waiver: Arc<Waived>,
    /// What it is about, as written: its hosts and, if given, kind, id and attribute.
    pub subject: String,
    /// Why somebody should look at it.
    pub issue: WaiverIssue,
}

/// Why somebody should look at a waiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WaiverIssue {
    /// Its time is over: what it covered is drift again.
    Expired,
    /// All its hosts were looked at, and there was nothing to waive.
    Unused,
    /// The inventory has no host it is for.
    NoHost,
}

impl WaiverIssue {
    /// For people, after the waiver.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Expired => "expired: what it covered is drift again",
            Self::Unused => "unused: there was nothing to waive",
            Self::NoHost => "no host of the inventory matches",
        }
    }
}

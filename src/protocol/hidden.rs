//! `no_log`: taking out of an outcome everything that could hold a secret.

use super::{Drift, Outcome, Status};

/// What stands in place of a value that must not be shown.
pub const HIDDEN: &str = "(hidden)";

/// What stands in place of a reason that must not be shown.
pub const HIDDEN_REASON: &str = "the reason is hidden by `no_log`";

impl Outcome {
    /// Leaves the verdict and the names of what differed, and no value.
    pub fn hide(&mut self) {
        for drift in &mut self.drift {
            for value in [&mut drift.expected, &mut drift.actual] {
                HIDDEN.clone_into(value);
            }
            drift.sensitive = true;
            drift.diff = None;
        }
        if matches!(self.status, Status::Failed | Status::Unknown) {
            self.message = Some(HIDDEN_REASON.to_owned());
        }
        self.output = None;
    }
}

/// What may be shown of a resource that holds a secret: none of these can be one.
const OPEN: [&str; 6] = ["enabled", "group", "mode", "owner", "selinux", "state"];

impl Drift {
    /// Takes the values out, unless they cannot be secret.
    pub fn conceal(&mut self) {
        self.diff = None;
        if OPEN.contains(&self.attribute.as_str()) {
            return;
        }
        for value in [&mut self.expected, &mut self.actual] {
            HIDDEN.clone_into(value);
        }
        self.sensitive = true;
    }
}

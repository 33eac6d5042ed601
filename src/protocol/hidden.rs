//! `no_log`: taking out of an outcome everything that could hold a secret.

use super::{Outcome, Status};

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

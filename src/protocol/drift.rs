//! How a difference between what is declared and what is there is told.

use serde::{Deserialize, Serialize};

use super::Severity;

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
    /// How bad it is, where the kind knows better than the task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
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
    /// `*`: none. It is reported, by apply too, which leaves it as it is: the finding of an
    /// audit. The differences of one resource are all of this kind, or none is.
    Nothing,
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
            severity: None,
            sensitive: false,
            diff: None,
        }
    }

    /// Something found that is repaired elsewhere, or by nobody.
    pub fn reported(
        attribute: impl Into<String>,
        expected: impl Into<String>,
        actual: impl Into<String>,
    ) -> Self {
        Self::new(Change::Nothing, attribute, expected, actual)
    }

    /// Whether no change of fleet's removes it.
    #[must_use]
    pub fn is_only_reported(&self) -> bool {
        self.change == Change::Nothing
    }

    /// Says how bad it is, instead of what the task says.
    #[must_use]
    pub fn severity(mut self, severity: Severity) -> Self {
        self.severity = Some(severity);
        self
    }
}

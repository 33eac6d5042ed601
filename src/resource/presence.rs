//! `state: present` and `state: absent`, the same word for every kind that has nothing else.

use serde::{Deserialize, Serialize};

/// Whether something is to exist.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "control", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// It exists.
    #[default]
    Present,
    /// It does not exist.
    Absent,
}

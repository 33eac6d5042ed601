//! What fleet brought into being, and who still declares it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Outcome, Severity, Task};

/// Where in the playbook something is declared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The role, if it is not the play itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The task's name as it is written, before variables have their values; its kind if it
    /// has none.
    pub task: String,
    /// How much a difference matters, as the task says.
    pub severity: Severity,
    /// The task is `no_log`: what it declares is not to be named.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hidden: bool,
}

impl Origin {
    /// The same for all that one task declares, wherever the role is used.
    #[must_use]
    pub fn key(&self) -> String {
        let role = self.role.as_deref().unwrap_or_default();
        format!("{role} : {}", self.task)
    }
}

/// What a playbook declares on a host, told when all of it was sent: what the host remembers
/// beyond that has no owner any more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declared {
    /// Everything declared; see `AnyResource::owned`.
    pub keys: BTreeSet<String>,
    /// Tasks that are there and declared nothing, because their condition is false or cannot be
    /// known; see [`Origin::key`]. What they brought about before stays theirs.
    pub spared: BTreeSet<String>,
    /// Whether something without an owner is a difference, which an apply removes; if not, it
    /// is only told.
    pub counted: bool,
}

impl Declared {
    /// Takes note of what a task declares.
    pub fn add(&mut self, task: &Task) {
        self.keys.insert(task.resource.owned());
    }
}

/// Something that fleet made and that nothing declares any more.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Orphan {
    /// The kind it was declared as.
    pub kind: String,
    /// Its name within the kind.
    pub id: String,
    /// Where it was declared.
    pub origin: Origin,
    /// What came of it.
    pub outcome: Outcome,
}

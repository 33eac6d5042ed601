//! Variables from computed values.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Sets variables of the host for the tasks that follow in this run. Any name may be used.
///
/// The values are rendered once, here; they outrank everything but `-e`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct SetFact(pub serde_json::Map<String, serde_json::Value>);

impl SetFact {
    pub(in crate::playbook) const KIND: &'static str = "set_fact";
    pub(in crate::playbook) const EXAMPLE: &'static str = "\
- set_fact:
    heap_mb: \"{{ facts.memory_bytes // 1048576 // 2 }}\"
    data_root: /app/docker
";
}

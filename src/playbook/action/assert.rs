//! Conditions that must hold.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Conditions that must hold on the host, or it goes no further.
///
/// Like `when`, each is a bare expression: `facts.memory_bytes > 4000000000`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Assert {
    /// The conditions: one expression or a list of them; all must be true.
    pub that: OneOrMany,
    /// What to say when one is false; otherwise the condition itself is shown.
    #[serde(default)]
    pub fail_msg: Option<String>,
    /// What to say when all are true.
    #[serde(default)]
    pub success_msg: Option<String>,
}

/// One condition or several.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum OneOrMany {
    /// Decided already: `that: false`.
    Decided(bool),
    /// A lone one.
    One(String),
    /// All must hold.
    Many(Vec<Condition>),
}

/// One of several conditions.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum Condition {
    /// Decided already.
    Decided(bool),
    /// An expression.
    Expression(String),
}

impl Assert {
    pub(in crate::playbook) const KIND: &'static str = "assert";
    pub(in crate::playbook) const EXAMPLE: &'static str = "\
- name: Enough memory for the engine and one application
  assert:
    that:
      - facts.memory_bytes >= 2 * 1024 * 1024 * 1024
      - facts.architecture == 'x86_64'
    fail_msg: Docker hosts need an x86_64 machine with 2 GiB of memory
    success_msg: The machine is large enough
";
}

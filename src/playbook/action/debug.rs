//! Something to show.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Shows a message or the value of an expression in the report. Changes nothing.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Debug {
    /// The message: a text, or a value that is shown as JSON.
    #[serde(default)]
    pub msg: Option<serde_json::Value>,
    /// A bare expression, such as a variable's name, whose value is shown.
    #[serde(default)]
    pub var: Option<String>,
}

impl Debug {
    pub(in crate::playbook) const KIND: &'static str = "debug";
    pub(in crate::playbook) const EXAMPLE: &'static str = "\
- debug:
    msg: This is {{ inventory_hostname }} with kernel {{ facts.kernel }}

- debug:
    var: facts.mounts
";
}

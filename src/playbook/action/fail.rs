//! An end.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Ends the work on a host as failed; made for `when`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fail {
    /// Why.
    #[serde(default = "default_message")]
    pub msg: String,
}

fn default_message() -> String {
    "failed as requested by the task".to_owned()
}

impl Fail {
    pub(in crate::playbook) const KIND: &'static str = "fail";
    pub(in crate::playbook) const EXAMPLE: &'static str = "\
- fail:
    msg: devicemapper needs an engine older than 25
  when: facts.os.version_id == '9'
";
}

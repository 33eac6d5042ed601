//! A declared text that must travel to the host and appear nowhere else.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A text like a password: sent to the host, never shown. [`Secret`](crate::secret::Secret)
/// cannot be sent at all; this is its counterpart for fields of kinds.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "control", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "control", schemars(transparent, inline))]
#[serde(transparent)]
pub struct Hidden(String);

impl Hidden {
    /// The text itself, for the one place that hands it on.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Hidden {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_sent_as_a_text_and_printed_as_nothing() {
        let hidden: Hidden = serde_json::from_str("\"hunter2\"").unwrap();
        assert_eq!(serde_json::to_string(&hidden).unwrap(), "\"hunter2\"");
        assert_eq!(format!("{:?}", Some(&hidden)), "Some([redacted])");
    }
}

//! What breaks a rule.

use std::fmt;

use serde_json::Value;

use super::rule::Rule;
use crate::protocol::Drift;

/// One thing that breaks one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) rule: Rule,
    /// Its number in the benchmark; empty if it has none.
    pub(super) cis: &'static str,
    pub(super) subject: Subject,
    pub(super) expected: String,
    pub(super) actual: String,
}

/// What a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    Container(String),
    Image(String),
    Path(String),
    Engine,
}

impl Subject {
    /// What exceptions are for.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Container(name) | Self::Image(name) | Self::Path(name) => name,
            Self::Engine => "engine",
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Container(name) => write!(f, "container {name}"),
            Self::Image(name) => write!(f, "image {name}"),
            Self::Path(name) => f.write_str(name),
            Self::Engine => f.write_str("engine"),
        }
    }
}

impl Finding {
    pub(super) fn new(
        rule: Rule,
        subject: &Subject,
        expected: impl Into<String>,
        actual: impl Into<String>,
    ) -> Self {
        Self {
            rule,
            cis: rule.cis(),
            subject: subject.clone(),
            expected: expected.into(),
            actual: actual.into(),
        }
    }

    /// The same under another number of the benchmark.
    pub(super) fn cis(self, cis: &'static str) -> Self {
        Self { cis, ..self }
    }

    /// Ready to show: `container web privileged (CIS 5.5)`.
    pub(super) fn drift(self) -> Drift {
        let cis = match self.cis {
            "" => String::new(),
            cis => format!(" (CIS {cis})"),
        };
        let attribute = format!("{} {}{cis}", self.subject, self.rule);
        Drift::reported(attribute, self.expected, self.actual).severity(self.rule.severity())
    }
}

/// The texts of a list in JSON; what is no text is passed over.
pub(super) fn words(list: &Value) -> Vec<&str> {
    let items = list.as_array().into_iter().flatten();
    items.filter_map(Value::as_str).collect()
}

/// A text in JSON; empty if it is none.
pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

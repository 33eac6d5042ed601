//! From [`Node`]s to Rust types, by serde, keeping the place of what does not fit.
//!
//! Stricter than serde's habit: nothing is turned into a list, a boolean or a number that was
//! not written as one. The exceptions are text, where a plain scalar counts as written, and
//! integers, where digits that come out of a template count as a number.

use std::fmt::{self, Display};

use serde::de::{self, DeserializeOwned, Unexpected};

use super::{Node, Span};
mod parts;
mod value;

use crate::diagnostic::{Diagnostic, nearest};
use value::Value;

/// A value does not fit the type it is for.
#[derive(Clone, Debug)]
pub struct TypeError {
    /// What is wrong, in the manner of [`Diagnostic::message`].
    pub message: String,
    /// The offending key or value.
    pub span: Span,
    /// The ways out.
    pub help: Vec<String>,
}

impl From<TypeError> for Diagnostic {
    fn from(error: TypeError) -> Self {
        let diagnostic = Self::error(error.message).at(error.span);
        error.help.into_iter().fold(diagnostic, Self::help)
    }
}

/// Reads `node` as a `T`.
///
/// # Errors
/// The first thing that does not fit, with the innermost place it is at.
pub fn from_node<T: DeserializeOwned>(node: &Node) -> Result<T, TypeError> {
    T::deserialize(Value(node)).map_err(|error| TypeError {
        message: error.message,
        span: error.span.unwrap_or_else(|| node.span.clone()),
        help: error.help,
    })
}

/// A [`TypeError`] on its way out, before a place was found for it.
#[derive(Debug)]
struct Error {
    message: String,
    span: Option<Span>,
    help: Vec<String>,
}

impl Error {
    fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            span: None,
            help: Vec::new(),
        }
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// Keeps the innermost place.
    fn at(mut self, span: &Span) -> Self {
        self.span.get_or_insert_with(|| span.clone());
        self
    }

    fn unknown(what: &str, found: &str, expected: &[&str]) -> Self {
        let error = Self::new(format!("unknown {what} `{found}`"));
        match nearest(found, expected.iter().copied()) {
            Some(near) => error.help(format!("did you mean `{near}`?")),
            None if expected.is_empty() => error.help("nothing is allowed here"),
            None => error.help(format!("known are {}", list(expected))),
        }
    }
}

fn list(names: &[&str]) -> String {
    names
        .iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

impl Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::invalid_value(found, expected)
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let found = match found {
            Unexpected::Bool(value) => format!("the boolean `{value}`"),
            Unexpected::Unsigned(value) => format!("the number `{value}`"),
            Unexpected::Signed(value) => format!("the number `{value}`"),
            Unexpected::Float(value) => format!("the number `{value}`"),
            Unexpected::Char(value) => format!("the text `{value}`"),
            Unexpected::Str(value) => format!("the text `{value}`"),
            Unexpected::Unit | Unexpected::Option => "nothing".to_owned(),
            Unexpected::Seq => "a list".to_owned(),
            Unexpected::Map => "a mapping".to_owned(),
            other => other.to_string(),
        };
        Self::new(format!("expected {expected}, found {found}"))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::unknown("key", field, expected)
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::unknown("value", variant, expected)
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(format!("the key `{field}` is missing"))
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::new(format!("the key `{field}` is given twice"))
            .help("one of them is another name of the same key")
    }
}

#[cfg(test)]
mod tests;

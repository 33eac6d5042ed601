//! The one error type at the border: what kind it is decides the exit code, the rest is for people.

use std::error::Error as StdError;
use std::fmt;

use crate::diagnostic::Diagnostic;

/// Why a command could not do its work at all. What happens on one host is not an error but
/// that host's outcome.
#[derive(Debug)]
pub struct Error {
    /// Decides the exit code and the words before the message.
    pub kind: ErrorKind,
    /// What was attempted and did not work; one sentence without a period.
    pub message: String,
    /// What caused it.
    pub source: Option<Box<dyn StdError + Send + Sync>>,
    /// What the user can do.
    pub hints: Vec<String>,
    /// Everything wrong with the files, when that is the reason.
    pub diagnostics: Vec<Diagnostic>,
}

/// What kind of error it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The command line is wrong.
    Usage,
    /// Inventory, playbook, template, variable or secret is wrong. No host was touched.
    Config,
    /// Another run holds the lock.
    Locked,
    /// The user stopped it.
    Interrupted,
    /// The controller itself failed: disk, terminal, a bug.
    Internal,
}

impl Error {
    /// An error with a message only.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
            hints: Vec::new(),
            diagnostics: Vec::new(),
        }
    }

    /// A configuration error made of diagnostics, each with its place.
    #[must_use]
    pub fn config(diagnostics: Vec<Diagnostic>) -> Self {
        let message = match diagnostics.len() {
            1 => "1 error in the configuration; no host was contacted".to_owned(),
            count => format!("{count} errors in the configuration; no host was contacted"),
        };
        Self {
            diagnostics,
            ..Self::new(ErrorKind::Config, message)
        }
    }

    /// Adds the cause.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds something the user can do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

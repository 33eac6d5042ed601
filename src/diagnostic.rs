//! Errors in what the user wrote: file, line, column, the line with a caret, and the way out.
//!
//! Checks collect diagnostics instead of returning at the first, so that one run of
//! `fleet validate` shows everything there is to mend.

use crate::yaml::Span;

/// One thing to mend.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    /// How bad it is.
    pub level: Level,
    /// What is wrong, in one sentence without a period; literals in backticks.
    pub message: String,
    /// Where, when it was written in a file.
    pub span: Option<Span>,
    /// A few words under the caret.
    pub label: Option<String>,
    /// The ways out: "did you mean `service`?".
    pub help: Vec<String>,
}

/// How bad a diagnostic is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Nothing is contacted until this is mended.
    Error,
    /// Likely not what was meant, but the meaning is certain.
    Warning,
}

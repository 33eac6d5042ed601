//! Errors in what the user wrote: file, line, column, the line with a caret, and the way out.
//!
//! Checks collect diagnostics instead of returning at the first, so that one run of
//! `fleet validate` shows everything there is to mend.

mod render;

pub use render::render;

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

impl Diagnostic {
    fn new(level: Level, message: impl Into<String>) -> Self {
        Self {
            level,
            message: message.into(),
            span: None,
            label: None,
            help: Vec::new(),
        }
    }

    /// An error: nothing is contacted until it is mended.
    pub fn error(message: impl Into<String>) -> Self {
        Self::new(Level::Error, message)
    }

    /// A warning.
    pub fn warning(message: impl Into<String>) -> Self {
        Self::new(Level::Warning, message)
    }

    /// Says where.
    #[must_use]
    pub fn at(mut self, span: Span) -> Self {
        self.span = Some(span);
        self
    }

    /// Adds a few words under the caret.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Adds a way out.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }
}

/// Collects what is wrong while reading goes on.
#[derive(Debug, Default)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one.
    pub fn push(&mut self, diagnostic: impl Into<Diagnostic>) {
        self.0.push(diagnostic.into());
    }

    /// Adds many.
    pub fn extend(&mut self, diagnostics: impl IntoIterator<Item = Diagnostic>) {
        self.0.extend(diagnostics);
    }

    /// Takes the value of `result`, or collects its errors and gives `None`.
    pub fn check<T>(&mut self, result: Result<T, Vec<Diagnostic>>) -> Option<T> {
        result.map_err(|errors| self.extend(errors)).ok()
    }

    /// Whether anything but warnings was collected.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.0
            .iter()
            .any(|diagnostic| diagnostic.level == Level::Error)
    }

    /// All so far, in the order found.
    #[must_use]
    pub fn as_slice(&self) -> &[Diagnostic] {
        &self.0
    }

    /// All of them.
    #[must_use]
    pub fn into_vec(self) -> Vec<Diagnostic> {
        self.0
    }

    /// `value` with the warnings, if there was no error.
    ///
    /// # Errors
    /// Everything collected, warnings included, if there was one.
    pub fn into_result<T>(self, value: T) -> Result<(T, Vec<Diagnostic>), Vec<Diagnostic>> {
        if self.has_errors() {
            Err(self.0)
        } else {
            Ok((value, self.0))
        }
    }
}

/// The candidate that `name` is likely a misspelling of.
#[must_use]
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // One edit in three characters: `sevice` is near `service`, `web` is not near `db`.
    let allowed = (name.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .filter(|candidate| candidate.len().abs_diff(name.len()) <= allowed * 4)
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_forgives_a_slip_but_not_another_word() {
        let words = ["service", "user", "group", "file"];
        assert_eq!(nearest("sevice", words), Some("service"));
        assert_eq!(nearest("flie", words), Some("file"));
        assert_eq!(nearest("groups", words), Some("group"));
        assert_eq!(nearest("docker", words), None);
        assert_eq!(nearest("", words), None);
    }

    #[test]
    fn warnings_let_the_work_go_on() {
        let mut diagnostics = Diagnostics::new();
        diagnostics.push(Diagnostic::warning("odd"));
        assert!(!diagnostics.has_errors());
        diagnostics.push(Diagnostic::error("wrong"));
        assert_eq!(diagnostics.into_result(()).unwrap_err().len(), 2);
    }
}

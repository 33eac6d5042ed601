//! What is wrong in a template: Tera's errors in fleet's words, at places people can find.

use std::ops::Range;

use tera::ErrorKind;

use super::{filters, jinja, scan, secrets};
use crate::diagnostic::Diagnostic;
use crate::yaml::Span;

/// What is wrong in a template, by offsets in its text; [`Self::at`] gives it a place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateError {
    /// One sentence.
    pub message: String,
    /// Which bytes of the text.
    pub range: Range<usize>,
    /// The way out, where one is known.
    pub help: Option<String>,
    /// The variable or field that is not defined, when that is what is wrong.
    pub undefined: Option<String>,
}

impl TemplateError {
    pub(super) fn new(message: String, range: Range<usize>) -> Self {
        Self {
            message,
            range,
            help: None,
            undefined: None,
        }
    }

    pub(super) fn from_tera(error: &tera::Error, text: &str, strict: &scan::Strict) -> Self {
        match error.kind() {
            ErrorKind::SyntaxError(report) => {
                let range = strict.original(&report.span().range);
                Self::syntax(report.message(), text, range)
            }
            ErrorKind::RenderingError(report) => {
                Self::while_rendering(report.message(), &report.span().range, text, strict)
            }
            _ => Self::from_report(&error.to_string(), text, strict),
        }
    }

    pub(super) fn syntax(message: &str, text: &str, range: Range<usize>) -> Self {
        let code = text.get(range.clone()).unwrap_or_default();
        let before = text.get(..range.start).unwrap_or_default();
        let help = jinja::help(message, code, before);
        Self {
            help,
            ..Self::new(sentence(message), range)
        }
    }

    fn while_rendering(
        message: &str,
        range: &Range<usize>,
        text: &str,
        strict: &scan::Strict,
    ) -> Self {
        if let Some(failed) = message.strip_prefix(secrets::FAILED) {
            let (message, help) = match failed.split_once('\n') {
                Some((message, help)) => (message, Some(help.to_owned())),
                None => (failed, None),
            };
            let error = Self::new(message.to_owned(), strict.original(range));
            return Self { help, ..error };
        }
        let wrapped = message
            .strip_prefix(filters::UNDEFINED)
            .and_then(|number| number.parse::<usize>().ok())
            .and_then(|number| strict.paths.get(number).cloned());
        let field = ["Variable `", "Field `"]
            .iter()
            .any(|start| message.starts_with(start));
        let undefined = match wrapped {
            Some(range) => range,
            None if field => {
                // Tera points at the field; the whole variable up to it says more.
                let place = strict.original(range);
                let outer = strict
                    .paths
                    .iter()
                    .find(|path| path.start <= place.start && place.end <= path.end);
                outer.map_or(place.clone(), |path| path.start..place.end)
            }
            None => return Self::new(sentence(message), strict.original(range)),
        };
        let name = text[undefined.clone()].to_owned();
        Self {
            message: format!("`{name}` is not defined"),
            range: undefined,
            help: None,
            undefined: Some(name),
        }
    }

    /// A limit that was reached, as `work` says it.
    pub(super) fn limit(said: &str, range: Range<usize>) -> Self {
        let (message, help) = said.split_once('\n').unwrap_or((said, ""));
        let error = Self::new(message.to_owned(), range);
        let help = Some(help.to_owned()).filter(|help| !help.is_empty());
        Self { help, ..error }
    }

    /// Unknown filters and the like come as a finished report in words: `error: …`, then
    /// ` --> name:line:column`.
    fn from_report(report: &str, text: &str, strict: &scan::Strict) -> Self {
        let mut lines = report.lines();
        let message = lines
            .next()
            .unwrap_or_default()
            .trim_start_matches("error: ");
        let place = lines.next().and_then(|line| {
            let mut numbers = line.rsplit(':').map(str::parse::<usize>);
            let column = numbers.next()?.ok()?;
            let line = numbers.next()?.ok()?;
            let start: usize = strict
                .source
                .split_inclusive('\n')
                .take(line - 1)
                .map(str::len)
                .sum();
            let rest = strict.source.get(start..)?;
            let offset = rest.char_indices().nth(column - 1)?.0;
            let length = rest[offset..]
                .find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(rest.len() - offset);
            Some(strict.original(&(start + offset..start + offset + length)))
        });
        let range = place.unwrap_or(0..text.len());
        let help = jinja::help(message, &text[range.clone()], &text[..range.start]);
        Self {
            help,
            ..Self::new(sentence(message), range)
        }
    }

    /// Gives the error its place: `span` is where `text` was written.
    #[must_use]
    pub fn at(&self, text: &str, span: &Span) -> Diagnostic {
        let error = Diagnostic::error(self.message.clone()).at(place(text, &self.range, span));
        match &self.help {
            Some(help) => error.help(help.clone()),
            None => error,
        }
    }
}

/// Tera's messages begin in upper case and end with a period; ours do not. What the strict
/// rewriting added is nobody's business.
fn sentence(message: &str) -> String {
    let message = message
        .lines()
        .next()
        .unwrap_or_default()
        .trim_end_matches('.');
    let mut chars = message.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => "the template is invalid".to_owned(),
    }
}

/// Where in the file a stretch of a text is, when the text was written as it is (plain and quoted
/// scalars without escapes, template files) or line by line (block scalars); else the whole span.
fn place(text: &str, range: &Range<usize>, span: &Span) -> Span {
    let written = span.file.text.get(span.start..span.end).unwrap_or_default();
    let narrowed = |start: usize, length: usize| Span {
        file: span.file.clone(),
        start: span.start + start,
        end: span.start + start + length,
    };
    if let Some(start) = written.find(text) {
        return narrowed(start + range.start, range.len());
    }
    let line_start = text[..range.start].rfind('\n').map_or(0, |at| at + 1);
    let line = text[line_start..].lines().next().unwrap_or_default();
    let length = range
        .len()
        .min(line.len().saturating_sub(range.start - line_start));
    match written.find(line).filter(|_| !line.trim().is_empty()) {
        Some(start) => narrowed(start + range.start - line_start, length),
        None => span.clone(),
    }
}

//! Reading files and texts: what is let in at all.
//!
//! The text is hostile: its size, its depth and what its aliases expand to are bounded, and what
//! is refused is refused with its place. Everything wrong with one file is reported together,
//! as far as the syntax allows reading on.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::tree::Builder;
use super::{File, Node, Span};
use crate::diagnostic::Diagnostic;
use crate::trust;

/// How much one file may ask for.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Size of the text in bytes.
    pub bytes: usize,
    /// Values after aliases were expanded.
    pub nodes: usize,
    /// Levels of nesting after aliases were expanded.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 16 << 20,
            nodes: 1_000_000,
            depth: 64,
        }
    }
}

/// Reads a YAML file.
///
/// # Errors
/// Everything wrong with it; at least one.
pub fn load(path: &Path, limits: &Limits) -> Result<Node, Vec<Diagnostic>> {
    let text = read(path, limits).map_err(|diagnostic| vec![diagnostic])?;
    parse(path, text, limits)
}

/// Reads a text file that decides what happens on hosts: bounded, UTF-8, and nobody else's
/// to change (see [`trust`]).
pub(crate) fn read(path: &Path, limits: &Limits) -> Result<String, Diagnostic> {
    let refuse =
        |reason: String| Diagnostic::error(format!("cannot read `{}`: {reason}", path.display()));
    let broken = |error: std::io::Error| refuse(error.to_string());
    trust::check(path).map_err(|distrust| refuse(distrust.reason).help(distrust.help))?;
    let file = fs::File::open(path).map_err(broken)?;
    let mut bytes = Vec::new();
    file.take(limits.bytes as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(broken)?;
    if bytes.len() > limits.bytes {
        return Err(refuse(format!(
            "it is larger than {} MiB",
            limits.bytes >> 20
        )));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..at].split(|byte| *byte == b'\n').count();
        refuse(format!("line {line} is not UTF-8"))
    })
}

/// Parses YAML text; `name` is what errors call it.
///
/// # Errors
/// Everything wrong with it; at least one.
pub fn parse(
    name: impl Into<PathBuf>,
    text: impl Into<String>,
    limits: &Limits,
) -> Result<Node, Vec<Diagnostic>> {
    let mut text = text.into();
    if let Some(rest) = text.strip_prefix('\u{feff}') {
        text = String::from(rest);
    }
    if text.contains("\r\n") {
        text = text.replace("\r\n", "\n");
    }
    let file = Arc::new(File {
        path: name.into(),
        text,
    });
    if file.text.len() > limits.bytes {
        let message = format!(
            "`{}` is larger than {} bytes",
            file.path.display(),
            limits.bytes
        );
        return Err(vec![Diagnostic::error(message)]);
    }
    // The parser takes NUL for the end of the text; YAML allows no control characters at all.
    let control =
        |c: &(usize, char)| c.1.is_control() && !matches!(c.1, '\t' | '\n' | '\r' | '\u{85}');
    if let Some((start, c)) = file.text.char_indices().find(control) {
        let span = Span {
            file: Arc::clone(&file),
            start,
            end: start + c.len_utf8(),
        };
        let message = format!(
            "the control character U+{:04X} is not allowed",
            u32::from(c)
        );
        return Err(vec![
            Diagnostic::error(message)
                .at(span)
                .help("inside double quotes, write it as an escape"),
        ]);
    }
    Builder::new(&file, *limits).build()
}

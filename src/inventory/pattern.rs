//! Host patterns as Ansible has them: `web*:&dc1:!web03`, `group[0:9]`, `~regex`, `@file`.

use std::fmt;
use std::net::Ipv6Addr;
use std::path::Path;
use std::str::FromStr;

use regex_lite::Regex;

use super::Glob;
use crate::diagnostic::Diagnostic;
use crate::yaml::{self, Limits};

/// What is wrong with a pattern, or with what it selects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternError {
    /// What is wrong.
    pub message: String,
    /// The way out.
    pub help: Option<String>,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for PatternError {}

impl From<PatternError> for Diagnostic {
    fn from(error: PatternError) -> Self {
        error
            .help
            .into_iter()
            .fold(Self::error(error.message), Self::help)
    }
}

impl PatternError {
    pub(super) fn new(message: String, help: Option<String>) -> Self {
        Self { message, help }
    }
}

/// Which hosts are meant.
#[derive(Clone, Debug)]
pub struct Pattern {
    pub(super) parts: Vec<Part>,
}

/// One part between separators.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) effect: Effect,
    /// As written, without the effect's sign.
    pub(super) text: String,
    pub(super) term: Term,
    pub(super) slice: Slice,
}

/// What a part does to the selection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Add,
    /// `&`
    Keep,
    /// `!`
    Remove,
}

/// How a part names groups and hosts.
#[derive(Clone, Debug)]
pub(super) enum Term {
    Name(String),
    Glob(Glob),
    Regex(Regex),
}

/// Which of the hosts found; the end is included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slice {
    All,
    At(isize),
    Range(usize, Option<usize>),
}

impl Pattern {
    /// Every host.
    #[must_use]
    pub fn all() -> Self {
        Self {
            parts: vec![Part::name("all")],
        }
    }

    /// Reads a pattern; `@file` is read at once, relative to the current directory.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let mut parts = Vec::new();
        for item in split(text, ',') {
            match item.strip_prefix('@') {
                Some(path) => parts.extend(read(Path::new(path))?),
                None => parts.extend(parse_item(item)?),
            }
        }
        if parts.is_empty() {
            let help = "for every host write `all`".to_owned();
            return Err(PatternError::new(
                "the host pattern is empty".to_owned(),
                Some(help),
            ));
        }
        Ok(Self { parts })
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        Self::parse(text)
    }
}

/// The patterns of a file, one per line.
fn read(path: &Path) -> Result<Vec<Part>, PatternError> {
    let text = yaml::read(path, &Limits::default())
        .map_err(|error| PatternError::new(error.message, error.help.into_iter().next()))?;
    let mut parts = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if line.starts_with('@') {
            let message = format!("`{}` names another file: `{line}`", path.display());
            return Err(PatternError::new(message, None));
        }
        for item in split(line, ',') {
            parts.extend(parse_item(item)?);
        }
    }
    if parts.is_empty() {
        let message = format!("there is no host pattern in `{}`", path.display());
        return Err(PatternError::new(message, None));
    }
    Ok(parts)
}

/// The parts of what stands between commas.
fn parse_item(item: &str) -> Result<Vec<Part>, PatternError> {
    let (_, bare) = effect(item);
    if bare.parse::<Ipv6Addr>().is_ok() {
        return Ok(vec![Part::parse(item)?]);
    }
    split(item, ':').map(Part::parse).collect()
}

/// Splits at a separator outside brackets, dropping empty pieces and white space around them.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut depth = 0_usize;
    text.split(move |c| {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == separator && depth == 0
    })
    .map(str::trim)
    .filter(|piece| !piece.is_empty())
}

fn effect(text: &str) -> (Effect, &str) {
    if let Some(rest) = text.strip_prefix('!') {
        (Effect::Remove, rest)
    } else if let Some(rest) = text.strip_prefix('&') {
        (Effect::Keep, rest)
    } else {
        (Effect::Add, text)
    }
}

impl Part {
    fn name(name: &str) -> Self {
        Self {
            effect: Effect::Add,
            text: name.to_owned(),
            term: Term::Name(name.to_owned()),
            slice: Slice::All,
        }
    }

    fn parse(piece: &str) -> Result<Self, PatternError> {
        let (effect, text) = effect(piece);
        let refuse =
            |reason: String| PatternError::new(format!("the pattern `{piece}` {reason}"), None);
        if let Some(regex) = text.strip_prefix('~') {
            // Anchored at the start only, as Python's `re.match` is.
            let regex = Regex::new(&format!("^(?:{regex})"))
                .map_err(|error| refuse(format!("is no regular expression: {error}")))?;
            return Ok(Self {
                effect,
                text: text.to_owned(),
                term: Term::Regex(regex),
                slice: Slice::All,
            });
        }
        let address = text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(text);
        if let Ok(address) = address.parse::<Ipv6Addr>() {
            return Ok(Self {
                effect,
                ..Self::name(&address.to_string())
            });
        }
        let (name, slice) = slice(text);
        let wild = |c: char| matches!(c, '*' | '?' | '[');
        let term = if name.contains(wild) {
            Term::Glob(Glob::parse(name).map_err(|error| refuse(error.to_string()))?)
        } else {
            Term::Name(name.to_owned())
        };
        if name.is_empty() {
            return Err(refuse("names nothing".to_owned()));
        }
        Ok(Self {
            effect,
            text: text.to_owned(),
            term,
            slice,
        })
    }
}

/// Takes a subscript off the end: `[0]`, `[-1]`, `[0:9]`, `[0-9]`, `[5:]`. Anything else in
/// brackets belongs to the glob.
fn slice(text: &str) -> (&str, Slice) {
    let whole = (text, Slice::All);
    let Some((name, subscript)) = text
        .strip_suffix(']')
        .and_then(|text| text.rsplit_once('['))
    else {
        return whole;
    };
    if name.is_empty() {
        return whole;
    }
    if let Ok(at) = subscript.parse() {
        return (name, Slice::At(at));
    }
    let Some((first, last)) = subscript.split_once([':', '-']) else {
        return whole;
    };
    match (first.parse(), last.parse(), last) {
        (Ok(first), _, "") => (name, Slice::Range(first, None)),
        (Ok(first), Ok(last), _) => (name, Slice::Range(first, Some(last))),
        _ => whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fuzz_patterns() {
        let samples = [
            "web*:&staging:!web[01:20]",
            "~web\\d+",
            "all",
            "a,b:!c[0]",
            "db[a-c]?",
        ];
        crate::fuzz::feed("pattern", samples, |bytes| {
            let _ = Pattern::parse(&String::from_utf8_lossy(bytes));
        });
    }
}

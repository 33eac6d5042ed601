//! One line in a text file that others own too.
//!
//! - `state: present`: the last line that matches `regexp` becomes `line`. If none matches and
//!   `line` is not in the file yet, it is put after the last match of `insertafter` (or at its
//!   `EOF`, the default), or before the last match of `insertbefore` (or at its `BOF`).
//! - `state: absent`: every line that matches `regexp`, or else equals `line`, is removed.
//!
//! Lines end as they did; a new line ends as the one before it. Everything else in the file stays
//! byte for byte what it is, a byte order mark and what is no UTF-8 included. The file keeps its
//! owner unless one is declared, if that is root or the owner of the directory too. Where a whole
//! file is yours, prefer `template`: it says what the file is, not what it once was. Look-around
//! and back-references are not part of the regular expressions.

use std::path::Path;

use regex_lite::Regex;
use serde::{Deserialize, Serialize};

use super::content::{content_drift, put_in_place, validate_words};
use super::permissions::Declared;
use super::{Footprint, Removal, Resource};
use crate::host::{Draft, Failure, FileKind, FileMode, Host, HostPath, Metadata};
use crate::protocol::{Change, Drift, Output};

/// Longer files are refused, in bytes.
const LIMIT: u64 = 16 * 1024 * 1024;

/// One line in a text file that others own too.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "control", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Lineinfile {
    /// The file, absolute.
    pub path: HostPath,
    /// The line, without its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<String>,
    /// Which line it takes the place of, or which lines are removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regexp: Option<String>,
    /// Whether the line is there: `present` or `absent`.
    #[serde(default)]
    pub state: LineState,
    /// A new line goes after the last line that matches this, or at `EOF`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub insertafter: Option<String>,
    /// A new line goes before the last line that matches this, or at `BOF`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub insertbefore: Option<String>,
    /// Make the file if it is not there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub create: bool,
    /// The user the file belongs to, by name or number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The group the file belongs to, by name or number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Permission bits of the file in octal, with a leading zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<FileMode>,
    /// Keep the version that is replaced beside it, under its name, the run's and a `~`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub backup: bool,
    /// A command that must accept the new version before it is put in place; `%s` stands for
    /// its path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validate: Option<String>,
}

/// Whether the line of a [`Lineinfile`] is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "control", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum LineState {
    /// It is there.
    #[default]
    Present,
    /// It is not.
    Absent,
}

/// What was found at `path`.
#[derive(Clone, Debug)]
pub struct Found {
    metadata: Option<Metadata>,
    text: Vec<u8>,
    /// Whether to show how the text differs.
    diff: bool,
}

/// Where a line goes that takes nobody's place.
enum Place {
    Begin,
    End,
    After(Regex),
    Before(Regex),
}

impl Lineinfile {
    fn declared(&self) -> Declared<'_> {
        Declared {
            owner: self.owner.as_deref(),
            group: self.group.as_deref(),
            mode: self.mode,
        }
    }

    fn place(&self) -> Result<Place, String> {
        match (self.insertafter.as_deref(), self.insertbefore.as_deref()) {
            (Some(_), Some(_)) => {
                Err("`insertafter` and `insertbefore` exclude each other".to_owned())
            }
            (None | Some("EOF"), None) => Ok(Place::End),
            (Some("BOF"), None) | (None, Some("BOF")) => Ok(Place::Begin),
            (Some(pattern), None) => Ok(Place::After(regex("insertafter", pattern)?)),
            (None, Some(pattern)) => Ok(Place::Before(regex("insertbefore", pattern)?)),
        }
    }

    fn regexp(&self) -> Result<Option<Regex>, String> {
        self.regexp
            .as_deref()
            .map(|pattern| regex("regexp", pattern))
            .transpose()
    }

    /// The text as it is to be.
    fn edit(&self, text: &[u8]) -> Result<Vec<u8>, String> {
        let (mark, body) = split_mark(text);
        let lines: Vec<&[u8]> = body.split_inclusive(|byte| *byte == b'\n').collect();
        let matches = self.matches()?;
        if self.state == LineState::Absent {
            let kept: Vec<_> = lines.into_iter().filter(|line| !matches(line)).collect();
            return Ok([mark, &kept.concat()].concat());
        }
        let wanted = self
            .line
            .as_deref()
            .ok_or("`state: present` needs `line`")?;
        if let Some(last) = lines.iter().rposition(|line| matches(line)) {
            let end = ending(lines[last]);
            let edited = spliced(&lines[..last], wanted, end, &lines[last + 1..]);
            return Ok([mark, &edited].concat());
        }
        if lines.iter().any(|line| content(line) == wanted.as_bytes()) {
            return Ok(text.to_owned());
        }
        let last = |regex: &Regex| lines.iter().rposition(|line| is_match(regex, line));
        let at = match self.place()? {
            Place::Begin => 0,
            Place::End => lines.len(),
            Place::After(regex) => last(&regex).map_or(lines.len(), |at| at + 1),
            Place::Before(regex) => last(&regex).unwrap_or(lines.len()),
        };
        let (before, after) = lines.split_at(at);
        let edited = spliced(before, wanted, ending_around(before, after), after);
        Ok([mark, &edited].concat())
    }

    /// Which lines are meant that are there already.
    fn matches(&self) -> Result<impl Fn(&[u8]) -> bool, String> {
        let regexp = self.regexp()?;
        Ok(move |line: &[u8]| match &regexp {
            Some(regexp) => is_match(regexp, line),
            None => Some(content(line)) == self.line.as_deref().map(str::as_bytes),
        })
    }
}

/// What some editors put before the first line of a UTF-8 text; no part of that line.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

fn split_mark(text: &[u8]) -> (&[u8], &[u8]) {
    let length = text
        .strip_prefix(BYTE_ORDER_MARK)
        .map_or(0, |_| BYTE_ORDER_MARK.len());
    text.split_at(length)
}

/// Whether a line matches; bytes that are no UTF-8 match like any other character.
fn is_match(regex: &Regex, line: &[u8]) -> bool {
    regex.is_match(&String::from_utf8_lossy(content(line)))
}

fn regex(field: &str, pattern: &str) -> Result<Regex, String> {
    Regex::new(pattern).map_err(|error| format!("`{field}` is not a regular expression: {error}"))
}

/// The line without its end.
fn content(line: &[u8]) -> &[u8] {
    &line[..line.len() - ending(line).len()]
}

fn ending(line: &[u8]) -> &'static str {
    if line.ends_with(b"\r\n") {
        "\r\n"
    } else if line.ends_with(b"\n") {
        "\n"
    } else {
        ""
    }
}

/// How the lines end between which a new one goes: as the one before, or else the next.
fn ending_around(before: &[&[u8]], after: &[&[u8]]) -> &'static str {
    let mut around = before.iter().rev().chain(after);
    let found = around.find(|line| !ending(line).is_empty());
    found.map_or("\n", |line| ending(line))
}

fn spliced(before: &[&[u8]], line: &str, end: &str, after: &[&[u8]]) -> Vec<u8> {
    let mut text = before.concat();
    if !text.is_empty() && !text.ends_with(b"\n") {
        text.extend_from_slice(end.as_bytes());
    }
    text.extend_from_slice(line.as_bytes());
    text.extend_from_slice(end.as_bytes());
    text.extend(after.concat());
    text
}

impl Resource for Lineinfile {
    const KIND: &'static str = "lineinfile";

    const EXAMPLE: &'static str = "\
- name: nobody logs in as root
  lineinfile:
    path: /etc/ssh/sshd_config
    regexp: ^#?PermitRootLogin
    line: PermitRootLogin no
    insertbefore: ^Match
    owner: root
    group: root
    mode: 0600
    backup: yes
    validate: sshd -t -f %s

- name: no leftover mount
  lineinfile: { path: /etc/fstab, regexp: '\\s/mnt/old\\s', state: absent }

- name: the proxy for everybody
  lineinfile:
    path: /etc/environment
    line: http_proxy=http://proxy:3128
    insertafter: EOF
    create: yes
";

    type Actual = Found;

    fn id(&self) -> String {
        let line = self
            .regexp
            .as_deref()
            .or(self.line.as_deref())
            .unwrap_or_default();
        format!("{}: {line}", self.path)
    }

    fn validate(&self) -> Result<(), String> {
        self.regexp()?;
        self.place()?;
        match (self.state, &self.line, &self.regexp) {
            (LineState::Present, None, _) => {
                return Err("`state: present` needs `line`".to_owned());
            }
            (LineState::Absent, None, None) => {
                return Err("`state: absent` needs `regexp` or `line`".to_owned());
            }
            _ => {}
        }
        if self.line.as_deref().is_some_and(|line| line.contains('\n')) {
            return Err("`line` holds more than one line; one task per line".to_owned());
        }
        if self
            .line
            .as_deref()
            .is_some_and(|line| line.ends_with('\r'))
        {
            return Err(
                "`line` ends with a carriage return; leave it out, a new line ends as the others do"
                    .to_owned(),
            );
        }
        self.validate
            .as_deref()
            .map_or(Ok(()), |command| validate_words(command).map(drop))
    }

    /// The file is somebody's; that there is a line of ours in it keeps it from being removed.
    fn footprint(&self) -> Option<Footprint> {
        let footprint = Footprint::of_path(&self.path, "state")?;
        Some(Footprint {
            removal: Removal::Never,
            ..footprint
        })
    }

    fn path(&self) -> Option<&Path> {
        Some(&self.path)
    }

    fn observe(&self, host: &Host) -> Result<Found, Failure> {
        let diff = host.wants_diff();
        let Some(mut found) = host.look(&self.path)? else {
            // In a file that is not there, wherever it would be, there is no line.
            if self.state == LineState::Present {
                host.require_parent(&self.path)?;
                if !self.create {
                    return Err(Failure::Missing(format!(
                        "{} does not exist; say `create: yes` if it should be made",
                        self.path
                    )));
                }
            }
            return Ok(Found {
                metadata: None,
                text: Vec::new(),
                diff,
            });
        };
        Ok(Found {
            text: found.read(&self.path, LIMIT)?.unwrap_or_default(),
            metadata: Some(found.metadata),
            diff,
        })
    }

    fn drift(&self, actual: &Found) -> Vec<Drift> {
        let existing = actual.metadata.as_ref();
        if let Some(found) = existing.filter(|found| found.kind != FileKind::File) {
            return vec![Drift::new(
                Change::Replace,
                "state",
                "file",
                found.kind.name(),
            )];
        }
        // `validate` has refused what cannot be edited.
        let Ok(new) = self.edit(&actual.text) else {
            return Vec::new();
        };
        let mut drift = Vec::new();
        let makes_file = existing.is_none() && self.state == LineState::Present;
        if new != actual.text || makes_file {
            let found = self.found_lines(&actual.text);
            let difference = match (self.state, found.is_empty()) {
                (LineState::Absent, _) => Drift::remove("line", found),
                (LineState::Present, true) => {
                    Drift::create("line", self.line.as_deref().unwrap_or_default())
                }
                (LineState::Present, false) => {
                    Drift::update("line", self.line.as_deref().unwrap_or_default(), found)
                }
            };
            drift.push(if actual.diff {
                let old = existing.map(|_| &*actual.text);
                content_drift(difference, &self.path, old, &new)
            } else {
                difference
            });
            drift.extend(
                existing
                    .into_iter()
                    .flat_map(|found| self.declared_for_new(found).drift_of_new_version(found)),
            );
        }
        drift.extend(
            existing
                .into_iter()
                .flat_map(|found| self.declared().drift(found)),
        );
        drift
    }

    fn obstacle(&self, host: &Host, actual: &Found) -> Result<(), Failure> {
        if self.is_as_declared(actual)? {
            host.may_alter(&self.path)
        } else {
            host.may_write(&self.path)
        }
    }

    fn apply(&self, host: &Host, actual: &Found) -> Result<Option<Output>, Failure> {
        if self.is_as_declared(actual)? {
            host.set_permissions(&self.path, self.declared().resolve(host)?)?;
            return Ok(None);
        }
        let new = self.edit(&actual.text).map_err(Failure::Unexpected)?;
        let found = actual.metadata.as_ref();
        let declared = found.map_or(self.declared(), |found| self.declared_for_new(found));
        let draft = Draft::beside(&self.path, declared.resolve(host)?)?;
        let mut draft = draft.instead_of(found);
        std::io::Write::write_all(&mut draft, &new)
            .map_err(|source| Failure::io("write", &self.path, source))?;
        put_in_place(
            host,
            draft,
            &self.path,
            self.validate.as_deref(),
            self.backup,
        )?;
        Ok(None)
    }
}

impl Lineinfile {
    /// What is declared of a file that is edited. Unlike one that fleet writes whole, it stays
    /// its owner's, if nobody else can put files where it is.
    fn declared_for_new<'a>(&'a self, found: &'a Metadata) -> Declared<'a> {
        let own = found.at_home.then_some(&*found.owner);
        Declared {
            owner: self.owner.as_deref().or(own),
            ..self.declared()
        }
    }

    /// Whether the lines of a file that is there are as declared.
    fn is_as_declared(&self, actual: &Found) -> Result<bool, Failure> {
        let is_file = |found: &Metadata| found.kind == FileKind::File;
        let new = self.edit(&actual.text).map_err(Failure::Unexpected)?;
        Ok(actual.metadata.as_ref().is_some_and(is_file) && new == actual.text)
    }

    /// The line that is replaced, or the lines that are removed.
    fn found_lines(&self, text: &[u8]) -> String {
        let Ok(matches) = self.matches() else {
            return String::new();
        };
        let (_, body) = split_mark(text);
        let lines = body.split_inclusive(|byte| *byte == b'\n');
        let mut lines = lines
            .filter(|line| matches(line))
            .map(|line| String::from_utf8_lossy(content(line)).into_owned());
        match self.state {
            LineState::Present => lines.next_back().unwrap_or_default(),
            LineState::Absent => lines.collect::<Vec<_>>().join("\n"),
        }
    }
}

#[cfg(test)]
mod tests;

//! One line in a text file that others own too.
//!
//! - `state: present`: the last line that matches `regexp` becomes `line`. If none matches and
//!   `line` is not in the file yet, it is put after the last match of `insertafter` (or at its
//!   `EOF`, the default), or before the last match of `insertbefore` (or at its `BOF`).
//! - `state: absent`: every line that matches `regexp`, or else equals `line`, is removed.
//!
//! Lines end as they did; a new line ends with a line feed. Where a whole file is yours, prefer
//! `template`: it says what the file is, not what it once was. Look-around and back-references
//! are not part of the regular expressions.

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
    text: String,
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
    fn edit(&self, text: &str) -> Result<String, String> {
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let regexp = self.regexp()?;
        let declared = self.line.as_deref();
        let matches = |line: &&str| match &regexp {
            Some(regexp) => regexp.is_match(content(line)),
            None => Some(content(line)) == declared,
        };
        if self.state == LineState::Absent {
            return Ok(lines.into_iter().filter(|line| !matches(line)).collect());
        }
        let wanted = declared.ok_or("`state: present` needs `line`")?;
        if let Some(last) = lines.iter().rposition(matches) {
            let new = format!("{wanted}{}", ending(lines[last]));
            return Ok(spliced(&lines[..last], &new, &lines[last + 1..]));
        }
        if lines.iter().any(|line| content(line) == wanted) {
            return Ok(text.to_owned());
        }
        let last = |regex: &Regex| lines.iter().rposition(|line| regex.is_match(content(line)));
        let at = match self.place()? {
            Place::Begin => 0,
            Place::End => lines.len(),
            Place::After(regex) => last(&regex).map_or(lines.len(), |at| at + 1),
            Place::Before(regex) => last(&regex).unwrap_or(lines.len()),
        };
        Ok(spliced(&lines[..at], &format!("{wanted}\n"), &lines[at..]))
    }
}

fn regex(field: &str, pattern: &str) -> Result<Regex, String> {
    Regex::new(pattern).map_err(|error| format!("`{field}` is not a regular expression: {error}"))
}

/// The line without its end.
fn content(line: &str) -> &str {
    &line[..line.len() - ending(line).len()]
}

fn ending(line: &str) -> &'static str {
    if line.ends_with("\r\n") {
        "\r\n"
    } else if line.ends_with('\n') {
        "\n"
    } else {
        ""
    }
}

fn spliced(before: &[&str], line: &str, after: &[&str]) -> String {
    let mut text = before.concat();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(line);
    text.extend(after.iter().copied());
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

    fn observe(&self, host: &Host) -> Result<Found, Failure> {
        let metadata = host.metadata(&self.path)?;
        let diff = host.wants_diff();
        match &metadata {
            None if self.create || self.state == LineState::Absent => {
                host.require_parent(&self.path)?;
                Ok(Found {
                    metadata,
                    text: String::new(),
                    diff,
                })
            }
            None => Err(Failure::Missing(format!(
                "{} does not exist; say `create: yes` if it should be made",
                self.path
            ))),
            Some(found) if found.kind == FileKind::File => {
                let bytes = host.read(&self.path, LIMIT)?.unwrap_or_default();
                let text = String::from_utf8(bytes)
                    .map_err(|_| Failure::Unexpected(format!("{} is not UTF-8 text", self.path)))?;
                Ok(Found {
                    metadata,
                    text,
                    diff,
                })
            }
            Some(_) => Ok(Found {
                metadata,
                text: String::new(),
                diff,
            }),
        }
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
                let old = existing.map(|_| actual.text.as_bytes());
                content_drift(difference, &self.path, old, new.as_bytes())
            } else {
                difference
            });
        }
        drift.extend(
            existing
                .into_iter()
                .flat_map(|found| self.declared().drift(found)),
        );
        drift
    }

    fn apply(&self, host: &Host, actual: &Found) -> Result<Option<Output>, Failure> {
        let permissions = self.declared().resolve(host)?;
        let new = self.edit(&actual.text).map_err(Failure::Unexpected)?;
        let regular = actual
            .metadata
            .as_ref()
            .is_some_and(|found| found.kind == FileKind::File);
        if regular && new == actual.text {
            host.set_permissions(&self.path, permissions)?;
            return Ok(None);
        }
        let mut draft = Draft::beside(&self.path, permissions)?;
        std::io::Write::write_all(&mut draft, new.as_bytes())
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
    /// The line that is replaced, or the lines that are removed.
    fn found_lines(&self, text: &str) -> String {
        let regexp = self.regexp().ok().flatten();
        let mut lines = text.lines().filter(|line| match &regexp {
            Some(regexp) => regexp.is_match(line),
            None => Some(*line) == self.line.as_deref(),
        });
        match self.state {
            LineState::Present => lines.next_back().unwrap_or_default().to_owned(),
            LineState::Absent => lines.collect::<Vec<_>>().join("\n"),
        }
    }
}

#[cfg(test)]
mod tests;

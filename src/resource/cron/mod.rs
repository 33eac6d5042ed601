//! A job that cron runs: one file of its own in `/etc/cron.d`.
//!
//! The words are those of Ansible's `cron`, but the job is never put into a user's crontab: a
//! file of its own can be compared as a whole, taken away as a whole, and mixes with nobody's
//! lines. `name` is the file's name; cron reads no file whose name has a dot in it.
//!
//! The five times are read as cron reads them: what it would refuse, or never run, is refused before
//! a host is contacted. A `user` that the host does not have is reported as unknown.
//!
//! cron takes a `%` in a job for the end of the line, and what follows for the job's input: write
//! `\\%` for the sign itself.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::content::{SHOWN_LIMIT, content_drift};
use super::permissions::Declared;
use super::presence::Presence;
use super::{Footprint, Resource};
use crate::host::{Failure, FileKind, FileMode, Host, Metadata};
use crate::protocol::{Change, Drift, Output};

mod time;

use time::FIELDS;

/// A job that cron runs: one file of its own in `/etc/cron.d`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "control", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Cron {
    /// The job's name, and that of its file: letters, digits, `-` and `_`.
    pub name: String,
    /// The command line, for `/bin/sh`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// Who runs it; root unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// `0` to `59`, `*`, `*/5`, `1-5`, `0,30`; `*` unless given, as the next four.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minute: Option<String>,
    /// `0` to `23`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hour: Option<String>,
    /// Day of the month, `1` to `31`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day: Option<String>,
    /// `1` to `12`, or `jan` to `dec`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub month: Option<String>,
    /// `0` (Sunday) to `7` (Sunday), or `sun` to `sat`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weekday: Option<String>,
    /// In place of the five: `reboot`, `yearly`, `monthly`, `weekly`, `daily` or `hourly`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub special_time: Option<String>,
    /// Variables of the job's environment, `MAILTO` and `PATH` among them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// The job is there, but not run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disabled: bool,
    /// `present` (the default) or `absent`.
    #[serde(default)]
    pub state: Presence,
}

/// What was found of a [`Cron`].
#[derive(Clone, Debug)]
pub struct Found {
    metadata: Option<Metadata>,
    text: Vec<u8>,
    /// How many names the file has.
    names: u64,
}

/// What stands for five fields.
const SPECIAL: [&str; 8] = [
    "reboot", "yearly", "annually", "monthly", "weekly", "daily", "midnight", "hourly",
];

/// Debian's cron cuts off what is longer, in bytes, without a word.
const LONGEST_JOB: usize = 998;

/// cron runs nothing from a file that others may write.
const PERMISSIONS: Declared<'static> = Declared {
    owner: Some("root"),
    group: Some("root"),
    mode: Some(FileMode::FILE),
};

impl Cron {
    fn path(&self) -> PathBuf {
        Path::new("/etc/cron.d").join(&self.name)
    }

    /// The five fields, as far as they are declared, in the order of [`FIELDS`].
    fn times(&self) -> [Option<&str>; 5] {
        [
            self.minute.as_deref(),
            self.hour.as_deref(),
            self.day.as_deref(),
            self.month.as_deref(),
            self.weekday.as_deref(),
        ]
    }

    fn check_times(&self) -> Result<(), String> {
        let declared = || FIELDS.iter().zip(self.times());
        if let Some(special) = &self.special_time {
            if !SPECIAL.contains(&special.as_str()) {
                return Err(format!(
                    "`special_time` is `{special}`, expected one of {}",
                    SPECIAL.join(", ")
                ));
            }
            if let Some((field, _)) = declared().find(|(_, text)| text.is_some()) {
                let name = field.name;
                return Err(format!("`special_time` and `{name}` exclude each other"));
            }
        }
        let mistakes = declared().filter_map(|(field, text)| {
            let (name, text) = (field.name, text?);
            let why = field.numbers(text).err()?;
            Some(format!(
                "`{name}` is `{text}`: not a time that cron knows: {why}"
            ))
        });
        let mistakes: Vec<_> = mistakes.collect();
        if !mistakes.is_empty() {
            return Err(mistakes.join("\n"));
        }
        let [_, _, day, month, _] = &FIELDS;
        // With a weekday, the job runs on those days too.
        if let (Some(days), None | Some("*")) = (self.day.as_deref(), self.weekday.as_deref())
            && let (Ok(numbers), Ok(months)) = (
                day.numbers(days),
                month.numbers(self.month.as_deref().unwrap_or("*")),
            )
            && !time::has_a_day(&numbers, &months)
        {
            return Err(format!(
                "`day` is `{days}`, which no `month` of those declared has: the job would never run"
            ));
        }
        Ok(())
    }

    /// The line that cron reads.
    fn line(&self) -> String {
        let time = match &self.special_time {
            Some(special) => format!("@{special}"),
            None => self.times().map(|text| text.unwrap_or("*")).join(" "),
        };
        let off = if self.disabled { "#" } else { "" };
        let user = self.user.as_deref().unwrap_or("root");
        format!(
            "{off}{time} {user} {}",
            self.job.as_deref().unwrap_or_default()
        )
    }

    fn text(&self) -> String {
        let mut text = "# Written by fleet, which overwrites what is changed here.\n".to_owned();
        for (name, value) in &self.env {
            _ = writeln!(text, "{name}=\"{value}\"");
        }
        text + &self.line() + "\n"
    }
}

impl Resource for Cron {
    const KIND: &'static str = "cron";

    const EXAMPLE: &'static str = "\
- name: images nobody uses are removed at night
  cron:
    name: docker-prune
    minute: 20
    hour: 3
    day: \"*\"
    month: \"*\"
    weekday: sun
    user: root
    job: docker image prune --all --force --filter until=720h
    env: { MAILTO: ops@example.com, PATH: /usr/sbin:/usr/bin:/sbin:/bin }
    disabled: no

- name: a warm-up after each boot
  cron: { name: warm-up, special_time: reboot, job: /usr/local/bin/warm-up, user: app }

- name: its predecessor is gone
  cron: { name: old-prune, state: absent }
";

    type Actual = Found;

    fn id(&self) -> String {
        self.name.clone()
    }

    fn validate(&self) -> Result<(), String> {
        let word = |text: &str, more: &str| {
            !text.is_empty()
                && text.len() <= 200
                && text
                    .chars()
                    .all(|sign| sign.is_ascii_alphanumeric() || more.contains(sign))
        };
        if !word(&self.name, "-_") {
            return Err(format!(
                "`{}` is not the name of a job: cron reads only files named by letters, digits, \
                 `-` and `_`",
                self.name
            ));
        }
        if self.state == Presence::Absent {
            return Ok(());
        }
        match self.job.as_deref().map(str::trim) {
            None | Some("") => return Err("`job` is needed".to_owned()),
            Some(job) if job.chars().any(char::is_control) => {
                return Err("`job` is one line; put longer ones into a script".to_owned());
            }
            Some(job) if job.len() > LONGEST_JOB => {
                return Err(format!(
                    "`job` is {} bytes long, and cron reads {LONGEST_JOB} of them; put it into a \
                     script",
                    job.len()
                ));
            }
            Some(_) => {}
        }
        if let Some(user) = &self.user
            && (!word(user, "-_.$@") || user.bytes().all(|byte| byte.is_ascii_digit()))
        {
            return Err(format!(
                "`{user}` is not the name of a user, and cron takes no number for one"
            ));
        }
        self.check_times()?;
        for (name, value) in &self.env {
            if !word(name, "_") || value.chars().any(|sign| sign.is_control() || sign == '"') {
                return Err(format!(
                    "the variable `{name}` cannot be written into a crontab: it has a line break \
                     or a quote in it"
                ));
            }
        }
        Ok(())
    }

    fn footprint(&self) -> Option<Footprint> {
        Footprint::of_path(&self.path(), "state")
    }

    fn observe(&self, host: &Host) -> Result<Found, Failure> {
        if self.state == Presence::Present
            && !self.disabled
            && let Some(user) = &self.user
        {
            // cron runs nothing for a user it does not know, whatever the file says.
            host.user_id(user)?;
        }
        let path = self.path();
        let metadata = host.metadata(&path)?;
        if metadata.is_none() && self.state == Presence::Present {
            // Without the directory there is no cron that would read it.
            host.require_parent(&path)?;
        }
        let is_file = |found: &Metadata| found.kind == FileKind::File;
        let text = if metadata.as_ref().is_some_and(is_file) {
            host.read(&path, SHOWN_LIMIT)?.unwrap_or_default()
        } else {
            Vec::new()
        };
        // cron reads no file that has a second name: its owner could be someone else by that one.
        let names = fs::symlink_metadata(&path).map_or(1, |found| found.nlink());
        Ok(Found {
            metadata,
            text,
            names,
        })
    }

    fn drift(&self, actual: &Found) -> Vec<Drift> {
        let path = self.path();
        let text = self.text();
        let with_diff = |drift, old| content_drift(drift, &path, old, text.as_bytes());
        match (self.state, &actual.metadata) {
            (Presence::Absent, found) => found
                .iter()
                .map(|found| Drift::remove("state", found.kind.name()))
                .collect(),
            (Presence::Present, None) => {
                vec![with_diff(Drift::create("state", self.line()), None)]
            }
            (Presence::Present, Some(found)) if found.kind != FileKind::File => {
                let found = found.kind.name();
                vec![Drift::new(Change::Replace, "state", "file", found)]
            }
            (Presence::Present, Some(found)) => {
                let mut drift = Vec::new();
                if actual.text != text.as_bytes() {
                    let old = String::from_utf8_lossy(&actual.text);
                    let old = old.lines().last().unwrap_or_default();
                    // The same line under other variables says nothing; the diff shows them.
                    let found = if old == self.line() {
                        "other variables"
                    } else {
                        old
                    };
                    let changed = Drift::update("job", self.line(), found);
                    drift.push(with_diff(changed, Some(&actual.text)));
                }
                drift.extend(PERMISSIONS.drift(found));
                if actual.names > 1 {
                    let names = actual.names.to_string();
                    drift.push(Drift::update("hard links", "1", names));
                }
                drift
            }
        }
    }

    fn obstacle(&self, host: &Host, _: &Found) -> Result<(), Failure> {
        match self.state {
            Presence::Absent => host.may_remove(&self.path()),
            Presence::Present => host.may_write(&self.path()),
        }
    }

    fn apply(&self, host: &Host, _: &Found) -> Result<Option<Output>, Failure> {
        let path = self.path();
        match self.state {
            Presence::Absent => host.remove(&path)?,
            Presence::Present => {
                let permissions = PERMISSIONS.resolve(host)?;
                host.write(&path, self.text().as_bytes(), permissions)?;
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests;

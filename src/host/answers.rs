//! What the host has answered, kept for the next task that asks the same.
//!
//! Ten services are ten tasks and one question to systemd: what answers about one unit answers
//! about ten for little more than one start of `systemctl`. So whoever asks about a name also asks
//! about the names that [tasks ahead](Host::ahead) will ask for, and keeps what it hears.
//!
//! An answer holds until a task may have changed the host: every change happens inside of
//! [`Host::changing`]. A play has a [`Host`] of its own, so nothing outlives the play in an apply,
//! and the run in a check.

use std::collections::BTreeMap;
use std::ffi::OsString;

use serde_json::Value;

use super::alone::UnderWay;
use super::rpm::Nevra;
use super::systemctl::Unit;
use super::{Command, Failure, Host};
use crate::protocol::{Output, Task};

/// No command is given more names than this: there is a limit to what fits into argv.
const MOST_NAMES: usize = 200;

/// Answers, by what was asked.
#[derive(Default)]
pub(super) struct Answers {
    /// What programs that only look have printed, by their argv.
    pub(super) printed: BTreeMap<Vec<OsString>, Output>,
    /// Units as systemd knows them, by the name asked for.
    pub(super) units: BTreeMap<String, Unit>,
    /// What is enabled, as it is on the disk: the word of `systemctl is-enabled`.
    pub(super) unit_files: BTreeMap<String, String>,
    /// Installed packages by name; none for one that is not installed.
    pub(super) packages: BTreeMap<String, Vec<Nevra>>,
    /// What the Docker engine tells, by path; `None` for what it does not know.
    pub(super) engine: BTreeMap<&'static str, Option<Value>>,
}

impl Host {
    /// Does what may change the host. Nothing that was heard before holds during it or after, and
    /// nothing that is heard during it holds after: whoever looks then, looks anew.
    pub(crate) fn changing<T>(&self, change: impl FnOnce() -> T) -> T {
        self.answers.replace(None);
        let under_way = UnderWay::new();
        let done = change();
        drop(under_way);
        self.answers.replace(Some(Answers::default()));
        // A package or a command may have brought users, too.
        self.forget_accounts();
        done
    }

    /// What is known already; nothing while the host is being changed.
    pub(super) fn known<T>(&self, look: impl FnOnce(&Answers) -> Option<T>) -> Option<T> {
        self.answers.borrow().as_ref().and_then(look)
    }

    /// Keeps an answer, unless the host is being changed.
    pub(super) fn remember(&self, note: impl FnOnce(&mut Answers)) {
        if let Some(answers) = self.answers.borrow_mut().as_mut() {
            note(answers);
        }
    }

    /// Runs a program that only looks, once for all who run it with the same arguments.
    ///
    /// # Errors
    /// As [`Command::run`]; whoever asks next asks anew then.
    pub(super) fn ask_once(&self, command: &Command) -> Result<Output, Failure> {
        if let Some(output) = self.known(|answers| answers.printed.get(command.argv()).cloned()) {
            return Ok(output);
        }
        let output = command.run()?;
        self.remember(|answers| {
            answers
                .printed
                .insert(command.argv().to_vec(), output.clone());
        });
        Ok(output)
    }

    /// What `pick` finds in the tasks that have come and wait for their turn. Nothing while the
    /// host is being changed, when answers about them could not be kept; and nothing of handlers,
    /// which mostly do not run.
    pub(crate) fn ahead(&self, pick: impl Fn(&Task) -> Vec<String>) -> Vec<String> {
        if self.answers.borrow().is_none() {
            return Vec::new();
        }
        let link = self.link.borrow();
        link.tasks_ahead()
            .filter(|task| task.answers.is_empty())
            .flat_map(pick)
            .collect()
    }
}

/// Those asked for now, then those of `soon` that are not among them: what one command is asked.
pub(super) fn together(now: &[&str], soon: Vec<String>) -> Vec<String> {
    let mut names: Vec<String> = now.iter().map(|&name| name.to_owned()).collect();
    for name in soon {
        if names.len() >= MOST_NAMES {
            break;
        }
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// A program that only looks, and leaves a line where it can be counted.
    fn counted(directory: &Path) -> (Command, impl Fn() -> usize) {
        let log = directory.join("log");
        let words = format!("echo asked >> {}; echo answer", log.display());
        let count = move || fs::read_to_string(&log).map_or(0, |text| text.lines().count());
        (Command::new(["sh", "-c", &words]), count)
    }

    #[test]
    fn the_same_question_is_asked_once_until_something_changes() {
        let base = tempfile::tempdir().unwrap();
        let host = Host::offline(base.path());
        let (command, count) = counted(base.path());
        for _ in 0..3 {
            assert_eq!(host.ask_once(&command).unwrap().stdout, "answer\n");
        }
        assert_eq!(count(), 1);
        host.changing(|| {
            for _ in 0..2 {
                host.ask_once(&command).unwrap();
            }
        });
        assert_eq!(count(), 3, "a change sees what it has done");
        host.ask_once(&command).unwrap();
        host.ask_once(&command).unwrap();
        assert_eq!(count(), 4, "what was heard during a change is not kept");
    }

    #[test]
    fn a_failure_is_no_answer() {
        let base = tempfile::tempdir().unwrap();
        let host = Host::offline(base.path());
        let flag = base.path().join("flag");
        let command = Command::new(["test", "-e", flag.to_str().unwrap()]);
        host.ask_once(&command).unwrap_err();
        fs::write(&flag, "").unwrap();
        host.ask_once(&command).unwrap();
    }

    #[test]
    fn names_are_asked_for_once_and_never_too_many() {
        let soon = ["b", "a", "c", "b"].map(str::to_owned).to_vec();
        assert_eq!(together(&["a"], soon), ["a", "b", "c"]);
        let many = (0..1000).map(|number| number.to_string()).collect();
        assert_eq!(together(&["a"], many).len(), MOST_NAMES);
    }
}

//! Runs a program, without a shell: no pipes, no redirection, no expansion. For those: `shell`.
//!
//! A command cannot be observed, so it needs a guard that can: it runs if none of its guards
//! says that its work is done, and it has failed if afterwards none does.
//!
//! - `creates`: done when this path exists.
//! - `removes`: done when this path does not exist.
//! - `unless`: done when this other command succeeds; it must change nothing, for `check` runs
//!   it too.
//!
//! Without a guard it runs on every apply, is reported as "runs every time" and never counts as
//! drift. `check` does not run it, unless the task declares with `changed_when: false` that it
//! changes nothing.
//!
//! `register` gives `rc`, `stdout`, `stderr`, `stdout_lines`, `stderr_lines`, `changed`, `failed`,
//! `skipped`, `msg` and `truncated`. Of each stream 256 KiB are kept. What was longer is cut, and
//! `truncated` says so: whatever reads the output then fails, or is unknown in `check`, instead of
//! deciding by a gap.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Resource;
use crate::host::{Command as Program, Failure, Host, HostPath};
use crate::protocol::{Drift, Output};

/// Runs a program, without a shell.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "control", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// Program and arguments as one text, split into words as a shell would; nothing is expanded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cmd: Option<String>,
    /// Program and arguments as a list; instead of `cmd`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub argv: Option<Vec<String>>,
    /// The directory it runs in; `/` unless declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chdir: Option<HostPath>,
    /// Guard: done when this path exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creates: Option<HostPath>,
    /// Guard: done when this path does not exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removes: Option<HostPath>,
    /// Guard: done when this command succeeds. It must change nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unless: Option<String>,
    /// What it reads on standard input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdin: Option<String>,
    /// The user it runs as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_as: Option<String>,
    /// Seconds after which it is ended; 600 unless declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
}

/// What `command` and `shell` have in common: words to run and guards around them.
pub(super) struct Invocation<'a> {
    pub(super) argv: Vec<String>,
    pub(super) unless: Option<Vec<String>>,
    pub(super) creates: Option<&'a HostPath>,
    pub(super) removes: Option<&'a HostPath>,
    pub(super) chdir: Option<&'a HostPath>,
    pub(super) stdin: Option<&'a str>,
    pub(super) run_as: Option<&'a str>,
    pub(super) timeout: Option<u64>,
}

/// What the guards say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Guards {
    /// There are none.
    None,
    /// At least one says that the work is done.
    Done,
    /// None does; what each would have to see.
    Due(Vec<Drift>),
}

impl Guards {
    pub(super) fn drift(&self) -> Vec<Drift> {
        match self {
            Self::None | Self::Done => Vec::new(),
            Self::Due(drift) => drift.clone(),
        }
    }
}

impl Invocation<'_> {
    pub(super) fn is_guarded(&self) -> bool {
        self.creates.is_some() || self.removes.is_some() || self.unless.is_some()
    }

    pub(super) fn guards(&self, host: &Host) -> Result<Guards, Failure> {
        if !self.is_guarded() {
            return Ok(Guards::None);
        }
        let mut due = Vec::new();
        if let Some(path) = self.creates {
            if host.metadata(path)?.is_some() {
                return Ok(Guards::Done);
            }
            due.push(Drift::create("creates", path.to_string()));
        }
        if let Some(path) = self.removes {
            if host.metadata(path)?.is_none() {
                return Ok(Guards::Done);
            }
            due.push(Drift::remove("removes", path.to_string()));
        }
        if let Some(unless) = &self.unless {
            let output = self.program(host, unless)?.output()?;
            if output.rc == 0 {
                return Ok(Guards::Done);
            }
            due.push(Drift::update(
                "unless",
                "status 0",
                format!("status {}", output.rc),
            ));
        }
        Ok(Guards::Due(due))
    }

    pub(super) fn run(&self, host: &Host) -> Result<Option<Output>, Failure> {
        let mut program = self.program(host, &self.argv)?;
        if let Some(stdin) = self.stdin {
            program = program.stdin(stdin);
        }
        program.run().map(Some)
    }

    fn program(&self, host: &Host, argv: &[String]) -> Result<Program, Failure> {
        let mut program = match self.run_as {
            Some(user) => host.as_user(user, argv)?,
            None => Program::new(argv),
        };
        if let Some(directory) = self.chdir {
            if !directory.is_dir() {
                let missing = format!("the directory {directory} does not exist");
                return Err(Failure::Missing(missing));
            }
            program = program.directory(directory.to_path_buf());
        }
        if let Some(seconds) = self.timeout {
            program = program.timeout(Duration::from_secs(seconds));
        }
        Ok(program)
    }
}

/// Splits a text into words as a shell would.
pub(super) fn words(field: &str, text: &str) -> Result<Vec<String>, String> {
    match shlex::split(text) {
        Some(words) if !words.is_empty() => Ok(words),
        Some(_) => Err(format!("`{field}` is empty")),
        None => Err(format!(
            "`{field}` has a quote or backslash without an end: {text}"
        )),
    }
}

/// What both kinds refuse.
pub(super) fn validate_timeout(timeout: Option<u64>) -> Result<(), String> {
    match timeout {
        Some(0) => Err("`timeout: 0` leaves no time to run".to_owned()),
        _ => Ok(()),
    }
}

/// How long a declared timeout lets the task take: a guard is a program too, and is asked before
/// and after.
pub(super) fn time_limit(timeout: Option<u64>, guarded: bool) -> Option<Duration> {
    let limit = Program::longest(Duration::from_secs(timeout?));
    Some(if guarded { limit * 3 } else { limit })
}

impl Command {
    fn words(&self) -> Result<Vec<String>, String> {
        match (&self.cmd, &self.argv) {
            (Some(cmd), None) => words("cmd", cmd),
            (None, Some(argv)) if !argv.is_empty() => Ok(argv.clone()),
            (None, Some(_)) => Err("`argv` is empty".to_owned()),
            (None, None) => Err("one of `cmd` and `argv` is needed".to_owned()),
            (Some(_), Some(_)) => Err("`cmd` and `argv` exclude each other".to_owned()),
        }
    }

    fn invocation(&self) -> Result<Invocation<'_>, String> {
        Ok(Invocation {
            argv: self.words()?,
            unless: self
                .unless
                .as_deref()
                .map(|text| words("unless", text))
                .transpose()?,
            creates: self.creates.as_ref(),
            removes: self.removes.as_ref(),
            chdir: self.chdir.as_ref(),
            stdin: self.stdin.as_deref(),
            run_as: self.run_as.as_deref(),
            timeout: self.timeout,
        })
    }
}

impl Resource for Command {
    const KIND: &'static str = "command";

    const EXAMPLE: &'static str = "\
- name: the search index exists
  command:
    cmd: bin/index --build 'all documents'
    chdir: /srv/search
    creates: /srv/search/index.db
    run_as: search
    timeout: 1800

- name: no swap
  command: { argv: [swapoff, --all], unless: test ! -s /proc/swaps }

- name: which kernel runs
  command: { cmd: uname -r }
  changed_when: false
  register: kernel
";

    type Actual = Guards;

    fn id(&self) -> String {
        match (&self.cmd, &self.argv) {
            (Some(cmd), _) => cmd.clone(),
            (None, Some(argv)) => {
                shlex::try_join(argv.iter().map(String::as_str)).unwrap_or_else(|_| argv.join(" "))
            }
            (None, None) => String::new(),
        }
    }

    fn validate(&self) -> Result<(), String> {
        validate_timeout(self.timeout)?;
        self.invocation().map(drop)
    }

    fn time_limit(&self) -> Option<Duration> {
        time_limit(self.timeout, self.unless.is_some())
    }

    fn runs_every_time(&self) -> bool {
        self.creates.is_none() && self.removes.is_none() && self.unless.is_none()
    }

    fn observe(&self, host: &Host) -> Result<Guards, Failure> {
        self.invocation().map_err(Failure::Unexpected)?.guards(host)
    }

    fn drift(&self, actual: &Guards) -> Vec<Drift> {
        actual.drift()
    }

    fn apply(&self, host: &Host, _: &Guards) -> Result<Option<Output>, Failure> {
        self.invocation().map_err(Failure::Unexpected)?.run(host)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::host::CommandEnd;

    fn declared(fields: serde_json::Value) -> Command {
        serde_json::from_value(fields).unwrap()
    }

    #[test]
    fn splits_words_and_names_what_cannot_be_split() {
        let command = declared(json!({ "cmd": "a 'b c' \"d $HOME\" e\\ f" }));
        assert_eq!(command.words().unwrap(), ["a", "b c", "d $HOME", "e f"]);
        for (fields, expected) in [
            (json!({}), "one of `cmd` and `argv`"),
            (json!({ "cmd": "  " }), "`cmd` is empty"),
            (json!({ "cmd": "a 'b" }), "without an end: a 'b"),
            (json!({ "argv": [] }), "`argv` is empty"),
            (json!({ "cmd": "a", "argv": ["a"] }), "exclude each other"),
            (json!({ "cmd": "a", "unless": "" }), "`unless` is empty"),
            (json!({ "cmd": "a", "timeout": 0 }), "no time"),
        ] {
            let error = declared(fields.clone()).validate().unwrap_err();
            assert!(error.contains(expected), "{fields}: {error}");
        }
    }

    #[test]
    fn is_due_until_one_guard_says_done() {
        let base = tempfile::tempdir().unwrap();
        let host = Host::offline(base.path());
        let path = base.path().join("made");
        let command =
            declared(json!({ "argv": ["touch", path], "creates": path, "unless": "false" }));
        let before = command.observe(&host).unwrap();
        assert_eq!(
            command.drift(&before),
            [
                Drift::create("creates", path.to_str().unwrap()),
                Drift::update("unless", "status 0", "status 1")
            ]
        );
        command.apply(&host, &before).unwrap();
        assert_eq!(command.observe(&host).unwrap(), Guards::Done);
        let removal = declared(json!({ "argv": ["rm", path], "removes": path }));
        assert_eq!(removal.drift(&removal.observe(&host).unwrap()).len(), 1);
    }

    #[test]
    fn a_failed_command_keeps_its_output() {
        let command =
            declared(json!({ "argv": ["sh", "-c", "cat; echo no >&2; exit 7"], "stdin": "in" }));
        let host = Host::offline("/".as_ref());
        let Err(Failure::Command(failure)) = command.apply(&host, &Guards::None) else {
            panic!("it must fail");
        };
        assert!(matches!(failure.reason, CommandEnd::Status));
        let output = failure.output;
        assert_eq!(
            (output.rc, &*output.stdout, &*output.stderr),
            (7, "in", "no\n")
        );
    }

    #[test]
    fn a_missing_directory_is_missing() {
        let base = tempfile::tempdir().unwrap();
        let command = declared(json!({ "cmd": "true", "chdir": base.path().join("x") }));
        let failure = command
            .apply(&Host::offline(base.path()), &Guards::None)
            .unwrap_err();
        assert!(matches!(failure, Failure::Missing(_)), "{failure}");
    }
}

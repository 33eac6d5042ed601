//! Runs a command line with a shell: pipes, redirection, expansion.
//!
//! Guards, `check`, "runs every time" and what `register` gives are as for `command`; `unless` is a command line for
//! the same shell. Values put into `cmd` by a template are read by the shell: quote them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Resource;
use super::command::{Guards, Invocation, time_limit, validate_timeout};
use crate::host::{Failure, Host, HostPath};
use crate::protocol::{Drift, Output};

/// Runs a command line with a shell.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "control", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Shell {
    /// The command line.
    pub cmd: String,
    /// The shell, which must understand `-c`; `/bin/sh` unless declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executable: Option<HostPath>,
    /// The directory it runs in; `/` unless declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chdir: Option<HostPath>,
    /// Guard: done when this path exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creates: Option<HostPath>,
    /// Guard: done when this path does not exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removes: Option<HostPath>,
    /// Guard: done when this command line succeeds. It must change nothing.
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

impl Shell {
    fn argv(&self, line: &str) -> Vec<String> {
        let shell = self
            .executable
            .as_ref()
            .map_or_else(|| "/bin/sh".to_owned(), ToString::to_string);
        vec![shell, "-c".to_owned(), line.to_owned()]
    }

    fn invocation(&self) -> Invocation<'_> {
        Invocation {
            argv: self.argv(&self.cmd),
            unless: self.unless.as_deref().map(|line| self.argv(line)),
            creates: self.creates.as_ref(),
            removes: self.removes.as_ref(),
            chdir: self.chdir.as_ref(),
            stdin: self.stdin.as_deref(),
            run_as: self.run_as.as_deref(),
            timeout: self.timeout,
        }
    }
}

impl Resource for Shell {
    const KIND: &'static str = "shell";

    const EXAMPLE: &'static str = "\
- name: the dump is loaded
  shell:
    cmd: set -o pipefail; zcat dump.gz | loader --from -
    executable: /bin/bash
    chdir: /srv/db
    unless: loader --count | grep -qv '^0$'
    run_as: db
    timeout: 3600
";

    type Actual = Guards;

    fn id(&self) -> String {
        self.cmd.clone()
    }

    fn validate(&self) -> Result<(), String> {
        for (field, line) in [("cmd", Some(&self.cmd)), ("unless", self.unless.as_ref())] {
            match line {
                Some(line) if line.trim().is_empty() => return Err(format!("`{field}` is empty")),
                Some(line) if line.contains('\0') => {
                    return Err(format!("`{field}` contains a NUL byte"));
                }
                _ => {}
            }
        }
        validate_timeout(self.timeout)
    }

    fn time_limit(&self) -> Option<Duration> {
        time_limit(self.timeout, self.unless.is_some())
    }

    fn runs_every_time(&self) -> bool {
        !self.invocation().is_guarded()
    }

    fn observe(&self, host: &Host) -> Result<Guards, Failure> {
        self.invocation().guards(host)
    }

    fn drift(&self, actual: &Guards) -> Vec<Drift> {
        actual.drift()
    }

    fn apply(&self, host: &Host, _: &Guards) -> Result<Option<Output>, Failure> {
        self.invocation().run(host)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn runs_the_line_and_its_guard_with_the_shell() {
        let base = tempfile::tempdir().unwrap();
        let host = Host::offline(base.path());
        let shell: Shell = serde_json::from_value(json!({
            "cmd": "echo a b | tr a-z A-Z > out",
            "unless": "grep -q 'A B' out 2>/dev/null",
            "chdir": base.path(),
        }))
        .unwrap();
        let before = shell.observe(&host).unwrap();
        assert_eq!(shell.drift(&before).len(), 1);
        shell.apply(&host, &before).unwrap();
        assert_eq!(shell.observe(&host).unwrap(), Guards::Done);
    }

    #[test]
    fn refuses_an_empty_line() {
        let shell: Shell = serde_json::from_value(json!({ "cmd": " \n" })).unwrap();
        assert_eq!(shell.validate().unwrap_err(), "`cmd` is empty");
    }
}

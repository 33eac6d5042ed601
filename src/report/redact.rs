//! Secrets are taken out of a report before anything is made from it.

use super::{HostReport, HostStatus, Progress, ResourceReport, RunReport};
use crate::protocol::{Drift, Output};
use crate::secret::Redactor;

impl RunReport {
    /// Takes every secret that `redactor` knows out of every text. Facts are typed and hold no
    /// texts of ours; where they are printed, the printed text is redacted.
    pub fn redact(&mut self, redactor: &Redactor) {
        redactor.clean(&mut self.playbook);
        for HostReport {
            error, resources, ..
        } in &mut self.hosts
        {
            if let Some(error) = error {
                redactor.clean(&mut error.message);
            }
            for resource in resources {
                resource.redact(redactor);
            }
        }
    }
}

impl ResourceReport {
    /// All fields by name, so that a new one is not forgotten here.
    fn redact(&mut self, redactor: &Redactor) {
        let Self {
            position: _,
            play,
            role,
            task,
            kind: _,
            id,
            status: _,
            ignored: _,
            severity,
            message,
            drift,
            would_run: _,
            notifies,
            output,
        } = self;
        let optional = [role, severity, message].into_iter().flatten();
        for text in [play, task, id].into_iter().chain(optional).chain(notifies) {
            redactor.clean(text);
        }
        for Drift {
            attribute,
            expected,
            actual,
            change: _,
            sensitive: _,
            diff,
        } in drift
        {
            for text in [attribute, expected, actual].into_iter().chain(diff) {
                redactor.clean(text);
            }
        }
        if let Some(Output { stdout, stderr, .. }) = output {
            redactor.clean(stdout);
            redactor.clean(stderr);
        }
    }
}

/// Passes on what happens, without secrets.
pub struct Redacted {
    to: Box<dyn Progress>,
    redactor: Redactor,
}

impl Redacted {
    /// Stands before `to`.
    #[must_use]
    pub fn new(to: Box<dyn Progress>, redactor: Redactor) -> Self {
        Self { to, redactor }
    }
}

impl std::fmt::Debug for Redacted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redacted").finish_non_exhaustive()
    }
}

impl Progress for Redacted {
    fn begin(&self, hosts: usize) {
        self.to.begin(hosts);
    }

    fn host_started(&self, host: &str) {
        self.to.host_started(host);
    }

    fn task_started(&self, host: &str, task: &str) {
        self.to.task_started(host, &self.redactor.redact(task));
    }

    fn host_finished(&self, host: &str, status: HostStatus) {
        self.to.host_finished(host, status);
    }

    fn note(&self, text: &str) {
        self.to.note(&self.redactor.redact(text));
    }

    fn end(&self) {
        self.to.end();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::fixture::{host, resource, run};
    use super::super::{Command, ErrorClass, HostError, TextOptions, Verbosity, render, to_json};
    use super::*;
    use crate::protocol::Status;

    /// A report that has `text` everywhere a text can be.
    fn full_of(text: &str) -> RunReport {
        let all = || text.to_owned();
        let found = ResourceReport {
            play: all(),
            role: Some(all()),
            task: all(),
            id: all(),
            message: Some(all()),
            drift: vec![Drift {
                diff: Some(format!(
                    "--- a\n+++ b\n@@ -1 +1 @@\n-x\n+{}\n",
                    text.replace('\n', "\n+")
                )),
                ..Drift::update(all(), all(), all())
            }],
            notifies: vec![all()],
            output: Some(Output {
                rc: 1,
                stdout: all(),
                stderr: all(),
                truncated: false,
            }),
            ..resource(Status::Drift)
        };
        let failed = ResourceReport {
            status: Status::Failed,
            ..found.clone()
        };
        let mut host = host("node1", [found, failed]);
        host.error = Some(HostError {
            class: ErrorClass::Stopped,
            message: all(),
        });
        let mut report = run(Command::Check, vec![host]);
        report.playbook = all();
        report
    }

    fn outputs(report: &RunReport) -> String {
        let options = TextOptions {
            color: false,
            verbosity: Verbosity::Verbose,
            diff: true,
        };
        format!(
            "{}\n{}\n{report:?}",
            render(report, options),
            to_json(report)
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Neither text nor JSON nor debug output has a secret, wherever it stood in the report.
        #[test]
        fn no_output_has_a_secret(
            first in "[A-Z0-9#\"'\\\\$%é]{8,20}",
            second in prop::option::of("[A-Z0-9#\"'\\\\$%é]{8,20}"),
            around in "[a-z]{0,6}",
        ) {
            let secret = second.iter().fold(first.clone(), |all, line| format!("{all}\n{line}"));
            let redactor = Redactor::default();
            redactor.add(&secret);
            let mut report = full_of(&format!("{around}{secret}{around}"));
            prop_assert!(outputs(&report).contains(&first) || first.contains(['"', '\\', '\'', 'é']));
            report.redact(&redactor);
            let shown = outputs(&report);
            for line in secret.lines() {
                let json = serde_json::Value::from(line).to_string();
                prop_assert!(!shown.contains(line), "{line} is in {shown}");
                prop_assert!(!shown.contains(json.trim_matches('"')), "{json} is in {shown}");
            }
        }
    }
}

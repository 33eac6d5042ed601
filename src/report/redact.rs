//! Secrets are taken out of a report before anything is made from it.

use std::sync::Arc;

use super::{
    CutShort, Difference, HostReport, HostStatus, Progress, ResourceReport, RunReport, Waived,
};
use crate::protocol::{Advance, Drift, Holder, Output};
use crate::secret::Redactor;

impl RunReport {
    /// Takes every secret that `redactor` knows out of every text. Facts are typed and hold no
    /// texts of ours; where they are printed, the printed text is redacted.
    pub fn redact(&mut self, redactor: &Redactor) {
        redactor.clean(&mut self.playbook);
        // Other reasons hold names of hosts, which are shown beside it.
        if let Some(CutShort::NotJournaled { reason }) = &mut self.cut_short {
            redactor.clean(reason);
        }
        for play in &mut self.batches {
            redactor.clean(&mut play.play);
        }
        for remark in &mut self.waivers {
            redactor.clean(&mut remark.subject);
            waived_by(&mut remark.waiver, redactor);
        }
        for HostReport {
            error,
            resources,
            running,
            ..
        } in &mut self.hosts
        {
            if let Some(Holder { who, run_id, .. }) = running {
                redactor.clean(who);
                redactor.clean(run_id);
            }
            if let Some(error) = error {
                redactor.clean(&mut error.message);
            }
            for resource in resources {
                resource.redact(redactor);
            }
        }
    }
}

fn waived_by(waived: &mut Arc<Waived>, redactor: &Redactor) {
    let Waived {
        reason,
        owner,
        expires: _,
        place: _,
    } = Arc::make_mut(waived);
    redactor.clean(reason);
    redactor.clean(owner);
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
            severity: _,
            message,
            drift,
            would_run: _,
            notifies,
            output,
        } = self;
        let optional = [role, message].into_iter().flatten();
        for text in [play, task, id].into_iter().chain(optional).chain(notifies) {
            redactor.clean(text);
        }
        for Difference {
            drift,
            severity: _,
            waived,
            first_seen: _,
        } in drift
        {
            if let Some(waived) = waived {
                waived_by(waived, redactor);
            }
            let Drift {
                attribute,
                expected,
                actual,
                change: _,
                severity: _,
                sensitive: _,
                diff,
            } = drift;
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

    fn task_advanced(&self, host: &str, task: &str, id: &str, advance: Advance) {
        let (task, id) = (self.redactor.redact(task), self.redactor.redact(id));
        self.to.task_advanced(host, &task, &id, advance);
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

    use super::super::fixture::full_of;
    use super::super::{
        TextOptions, Verbosity, host_line, render, summary_line, to_html, to_json, to_junit,
        to_nagios, to_prometheus,
    };
    use super::*;

    fn outputs(report: &RunReport) -> String {
        let options = TextOptions {
            color: false,
            verbosity: Verbosity::Verbose,
            diff: true,
        };
        let mut outputs = vec![
            render(report, options),
            to_json(report),
            summary_line(report),
            to_junit(report),
            to_prometheus(report),
            to_nagios(report),
            to_html(report),
            format!("{report:?}"),
        ];
        let hosts = report.hosts.iter();
        outputs.extend(hosts.map(|host| host_line(&report.run_id, host)));
        outputs.join("\n")
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// No format and no debug output has a secret, wherever it stood in the report.
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

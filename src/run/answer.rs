//! What becomes of a task that no host is asked about: answered here, skipped, unknown or wrong.

use std::collections::BTreeSet;

use crate::diagnostic;
use crate::playbook::Answer;
use crate::protocol::{self, Mode, Status};
use crate::report::ResourceReport;
use crate::template::{Data, Errors};

use super::conversation::Lost;
use super::drive::{Drive, Part, Place};
use super::results;

impl Drive<'_, '_, '_> {
    pub(super) async fn answer(
        &mut self,
        place: Place<'_>,
        item: Option<&Data>,
        answer: Answer,
    ) -> Result<Part, Lost> {
        let (status, message) = match answer {
            Answer::Passed { message } => (Status::Ok, message),
            Answer::Failed { message } => {
                let report = self.report(place, item, "");
                return self.fail(place, report, Status::Failed, message).await;
            }
            Answer::Facts(facts) => {
                for (name, value) in facts {
                    self.know(name, &value);
                }
                (Status::Ok, None)
            }
        };
        let outcome = protocol::Outcome {
            status,
            message,
            ..protocol::Outcome::default()
        };
        let value = results::registered(&outcome, self.mode(), false);
        self.answered(ResourceReport {
            status,
            ignored: false,
            message: outcome.message.filter(|_| !place.task.no_log),
            ..self.report(place, item, "")
        });
        Ok(Part::Done(value))
    }

    pub(super) fn skip(&mut self, place: Place<'_>, item: Option<&Data>) {
        self.spare(place.task);
        let report = self.report(place, item, "");
        self.answered(ResourceReport {
            status: Status::Skipped,
            ignored: false,
            message: Some("the condition is false".to_owned()),
            ..report
        });
    }

    fn answered(&mut self, report: ResourceReport) {
        let sent = self.conversation.next_id();
        self.conversation.listener().answered(sent, report);
    }

    pub(super) fn stopped(&mut self) -> bool {
        self.conversation.listener().stopped()
    }

    pub(super) fn not_run(&mut self, place: Place<'_>, item: Option<&Data>) -> Part {
        let report = self.report(place, item, "");
        self.conversation.listener().not_run(report);
        Part::Done(Some(results::skipped()))
    }

    pub(super) fn unknown(
        &mut self,
        place: Place<'_>,
        item: Option<&Data>,
        on: &BTreeSet<String>,
    ) -> Part {
        self.spare(place.task);
        let names: Vec<_> = on.iter().map(|name| format!("`{name}`")).collect();
        let report = self.report(place, item, "");
        self.answered(ResourceReport {
            status: Status::Unknown,
            ignored: false,
            message: Some(format!(
                "cannot be known before apply: depends on {}, which a task gives",
                names.join(", ")
            )),
            ..report
        });
        Part::Done(None)
    }

    /// Something that could only be found out with the host's facts or results is wrong.
    pub(super) async fn wrong(
        &mut self,
        place: Place<'_>,
        item: Option<&Data>,
        errors: &Errors,
    ) -> Result<Part, Lost> {
        let report = self.report(place, item, "");
        let message = diagnostic::render(errors, false).trim_end().to_owned();
        let status = self.wrong_status();
        self.fail(place, report, status, message).await
    }

    pub(super) fn wrong_status(&self) -> Status {
        match self.mode() {
            Mode::Apply => Status::Failed,
            Mode::Check => Status::Unknown,
        }
    }

    /// Fails without asking the host, which must have come this far: nothing is sent after it.
    pub(super) async fn fail(
        &mut self,
        place: Place<'_>,
        report: ResourceReport,
        status: Status,
        message: String,
    ) -> Result<Part, Lost> {
        self.spare(place.task);
        self.conversation.catch_up().await?;
        if self.stopped() {
            self.conversation.listener().not_run(report);
            return Ok(Part::Done(Some(results::skipped())));
        }
        let mut outcome = protocol::Outcome {
            status,
            message: Some(message),
            ..protocol::Outcome::default()
        };
        let value = results::registered(&outcome, self.mode(), false);
        if place.task.no_log {
            outcome.hide();
        }
        let report = super::record::with(report, &outcome, false);
        self.conversation.listener().record(report);
        Ok(Part::Done(value))
    }
}

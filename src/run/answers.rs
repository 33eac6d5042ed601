//! Tasks that come to their end without the host: answered, skipped, or not to be known yet.

use std::collections::BTreeSet;

use crate::playbook::{Answer, Known};
use crate::protocol::{self, Status};
use crate::report::ResourceReport;
use crate::template::{Data, data};

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
                    self.open.remove(&name);
                    self.results.known.insert(name, Known::Value(data(&value)));
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
        let report = self.report(place, item, "");
        self.answered(ResourceReport {
            status: Status::Skipped,
            ignored: false,
            message: Some("the condition is false".to_owned()),
            ..report
        });
    }

    pub(super) fn answered(&mut self, report: ResourceReport) {
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
}

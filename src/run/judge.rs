//! Tasks on which the controller has the last word: `changed_when`, `failed_when`, `until`.

use crate::playbook::{Task, conditions};
use crate::protocol::{self, Judge, Mode, Outcome, Status};
use crate::report::ResourceReport;
use crate::template::Data;
use crate::yaml::Node;

use super::conversation::Lost;
use super::drive::{Drive, Part, Place, Settled};
use super::record::{Then, with};
use super::results;

/// Whether the task declares that it changes nothing: `changed_when: false`, literally.
pub(super) fn read_only(task: &Task) -> bool {
    matches!(&task.changed_when[..], [only] if only.as_bool() == Some(false))
}

/// Whether the host must wait for the controller's verdict.
pub(super) fn needed(task: &Task) -> bool {
    let changed = !task.changed_when.is_empty() && !read_only(task);
    changed || !task.failed_when.is_empty() || !task.until.is_empty()
}

fn attempts_in_words(count: u32) -> String {
    if count == 1 {
        return "1 attempt".to_owned();
    }
    format!("{count} attempts")
}

/// What the conditions come to.
struct Verdict {
    changed: bool,
    failed: Option<String>,
    done: bool,
}

impl Drive<'_, '_, '_> {
    /// Sends a task, judges its outcome, and sends it again while `until` says so.
    pub(super) async fn judged(
        &mut self,
        place: Place<'_>,
        item: Option<&Data>,
        report: ResourceReport,
        wire: protocol::Task,
    ) -> Result<Part, Lost> {
        let task = place.task;
        let read_only = wire.read_only;
        let wire = protocol::Task {
            judged: true,
            ..wire
        };
        let attempts = if task.until.is_empty() {
            1
        } else {
            task.retries.max(1)
        };
        let mut attempt = 1;
        loop {
            let id = self
                .send(wire.clone(), report.clone(), place, Then::Keep)
                .await?;
            self.conversation.wait_for(id).await?;
            let mut outcome = self.conversation.listener().take(id).unwrap_or_default();
            let runs_programs = matches!(task.kind.name, "command" | "shell");
            let value = results::registered(&outcome, self.mode(), runs_programs);

            // What was not done cannot be judged by what it gave. Check runs what declares that
            // it changes nothing, and then knows as much as apply.
            let looked = read_only && runs_programs && outcome.output.is_some();
            let done = match outcome.status {
                Status::Ok | Status::Changed | Status::Failed => true,
                Status::Unknown => looked && !task.failed_when.is_empty(),
                Status::Drift | Status::Skipped => false,
            };
            let Some(known) = value.as_ref().filter(|_| done) else {
                if outcome.status != Status::Skipped {
                    let judge = Judge {
                        id,
                        changed: false,
                        failed: false,
                        again: false,
                    };
                    self.conversation.judge(judge).await?;
                }
                if attempt > 1 && outcome.status == Status::Skipped {
                    // It ran, and the user did not wait for what it is repeated for.
                    outcome.status = Status::Unknown;
                    outcome.message = Some(format!(
                        "interrupted: `until` was not met in {} by then",
                        attempts_in_words(attempt - 1)
                    ));
                }
                let quiet = place.handler.is_some() && outcome.status == Status::Skipped;
                if !quiet {
                    self.judged_as(task, report, outcome, read_only);
                }
                return Ok(Part::Done(value));
            };
            if let Some(name) = &task.register {
                self.know(name.clone(), known);
            }
            let verdict = match self.verdict(place, item, &outcome).await? {
                Ok(verdict) => verdict,
                Err(part) => {
                    let judge = Judge {
                        id,
                        changed: false,
                        failed: !task.ignore_errors,
                        again: false,
                    };
                    self.conversation.judge(judge).await?;
                    return Ok(part);
                }
            };
            if !verdict.done && attempt < attempts && self.mode() == Mode::Apply {
                let judge = Judge {
                    id,
                    changed: verdict.changed,
                    failed: false,
                    again: true,
                };
                self.conversation.judge(judge).await?;
                self.conversation.rest(task.delay).await;
                attempt += 1;
                continue;
            }
            let failed = verdict.failed.or_else(|| {
                let never = format!("`until` was not met in {}", attempts_in_words(attempt));
                (!verdict.done && self.mode() == Mode::Apply).then_some(never)
            });
            let judge = Judge {
                id,
                changed: verdict.changed,
                failed: failed.is_some(),
                again: false,
            };
            self.conversation.judge(judge).await?;
            outcome.status = match (&failed, verdict.changed) {
                (Some(_), _) => Status::Failed,
                (None, true) => Status::Changed,
                (None, false) => Status::Ok,
            };
            outcome.message = failed;
            let value = results::registered(&outcome, self.mode(), runs_programs);
            self.judged_as(task, report, outcome, read_only);
            return Ok(Part::Done(value));
        }
    }

    fn judged_as(
        &mut self,
        task: &Task,
        report: ResourceReport,
        mut outcome: Outcome,
        read_only: bool,
    ) {
        if task.no_log {
            outcome.hide();
        }
        let report = with(report, &outcome, read_only);
        self.conversation.listener().record(report);
    }

    /// Evaluates the conditions; a condition that cannot be evaluated is the task's failure.
    async fn verdict(
        &mut self,
        place: Place<'_>,
        item: Option<&Data>,
        outcome: &Outcome,
    ) -> Result<Result<Verdict, Part>, Lost> {
        let task = place.task;
        let decide = async |drive: &mut Self, key: &'static str, list: &[Node]| {
            Ok::<_, Lost>(
                match drive
                    .settle(place, item, |names| conditions(key, list, &names.scope()))
                    .await?
                {
                    Settled::Value(decided) => Ok(decided),
                    Settled::Wrong(errors) => Err(drive.wrong(place, item, &errors).await?),
                    // Nothing a condition may name is unknown once its task was done; if it is all
                    // the same, the condition does not hold.
                    Settled::Unknown(_) => Ok(false),
                },
            )
        };
        let failed = if task.failed_when.is_empty() {
            let message = || {
                outcome
                    .message
                    .clone()
                    .unwrap_or_else(|| "failed".to_owned())
            };
            (outcome.status == Status::Failed).then(message)
        } else {
            match decide(self, "failed_when", &task.failed_when).await? {
                Ok(failed) => failed.then(|| "`failed_when` is true".to_owned()),
                Err(part) => return Ok(Err(part)),
            }
        };
        let changed = if task.changed_when.is_empty() {
            outcome.status == Status::Changed
        } else {
            match decide(self, "changed_when", &task.changed_when).await? {
                Ok(changed) => changed,
                Err(part) => return Ok(Err(part)),
            }
        };
        let done = if task.until.is_empty() {
            true
        } else {
            match decide(self, "until", &task.until).await? {
                Ok(done) => done,
                Err(part) => return Ok(Err(part)),
            }
        };
        Ok(Ok(Verdict {
            changed,
            failed,
            done,
        }))
    }
}

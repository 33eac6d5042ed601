//! Handlers of a play: which are sent, and when one that needs no host is over.

use crate::playbook::{Handler, Play};
use crate::protocol::{Drift, Mode, Outcome, Status};
use crate::report::ResourceReport;
use crate::template::Data;

use super::conversation::Lost;
use super::drive::{Drive, Part, Place};
use super::record::with;
use super::results;

impl Drive<'_, '_, '_> {
    /// Sends the handlers that may be pending; the host knows which are.
    ///
    /// A handler that notifies a later one finds it still to come; for earlier ones there are
    /// more rounds, as many as a chain of all handlers can need.
    pub(super) async fn handlers(&mut self, play: &Play, position: usize) -> Result<(), Lost> {
        let mut due = self.pending.clone();
        if self.mode() == Mode::Apply {
            due.extend(self.notified.iter().cloned());
        }
        for _ in &play.handlers {
            for handler in &play.handlers {
                if !due.remove(&handler.key) || self.conversation.listener().stopped() {
                    continue;
                }
                let task = &handler.task;
                if self.mode() == Mode::Apply {
                    due.extend(task.notify.iter().cloned());
                }
                self.task(Place {
                    play,
                    task,
                    position,
                    handler: Some(handler),
                })
                .await?;
            }
        }
        Ok(())
    }

    /// Tells of handlers that are pending on the host and that no play of the playbook has. An
    /// apply cannot run them, so for it they are only worth a word.
    pub(super) fn report_unanswered(&mut self) {
        let Some(handlers) = self.context.handlers else {
            return;
        };
        let unanswered: Vec<_> = self.pending.difference(handlers).cloned().collect();
        for name in unanswered {
            let mut outcome = Outcome::pending_handler();
            let what = "pending since an interrupted run, and no handler of this playbook";
            outcome.message = Some(format!(
                "{what}; run the playbook that has it, or do by hand what it does and remove it \
                 from pending.json in fleet's directory on the host"
            ));
            if self.mode() == Mode::Apply {
                outcome.status = Status::Ok;
            }
            outcome.drift = vec![Drift::update("handler", "run", what)];
            let report = ResourceReport {
                position: usize::MAX,
                task: name.clone(),
                kind: "handler".to_owned(),
                id: name,
                ..ResourceReport::default()
            };
            let report = with(report, &outcome, false);
            self.conversation.listener().record(report);
        }
    }

    /// Takes a handler's notification back if there is nothing for it to do.
    pub(super) async fn dismiss(&mut self, place: Place<'_>) -> Result<(), Lost> {
        let Some(handler) = place.handler else {
            return Ok(());
        };
        if self.mode() == Mode::Apply {
            self.pending.remove(&handler.key);
            self.conversation.listener().dismissed(&handler.key);
        }
        self.conversation.dismiss(handler.key.clone()).await
    }

    /// Whether a handler that the controller answers itself was notified; of others the host
    /// knows. Waits for the tasks that may have done so.
    pub(super) async fn is_notified(&mut self, handler: &Handler) -> Result<bool, Lost> {
        self.conversation.catch_up().await?;
        Ok(self.pending.contains(&handler.key)
            || self.conversation.listener().notified(&handler.key))
    }

    /// What the host says of a pending handler that it runs itself.
    pub(super) fn pending_handler(&mut self, place: Place<'_>, item: Option<&Data>) -> Part {
        let outcome = Outcome::pending_handler();
        let report = self.report(place, item, "");
        let value = results::registered(&outcome, self.mode(), false);
        self.conversation
            .listener()
            .record(with(report, &outcome, false));
        Part::Done(value)
    }
}

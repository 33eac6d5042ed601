//! Ownership: what a playbook made is written down before it is made, and found again when the
//! playbook no longer declares it.

use std::collections::BTreeSet;

use super::{Run, ServeError};
use crate::host::{Failure, Made};
use crate::protocol::{
    Change, Declared, Drift, Event, HIDDEN, Mode, Origin, Orphan, Outcome, Status, Task,
};
use crate::resource::{AnyResource, Removal, Resource, dispatch};

impl Run<'_> {
    /// Writes down that the playbook declares what fleet made, or is about to make.
    pub(super) fn own(&mut self, task: &Task, drift: &[Drift]) -> Result<(), Failure> {
        let (Some(ledger), Some(origin)) = (&mut self.ledger, &task.origin) else {
            return Ok(());
        };
        let (Some(playbook), Some(footprint)) = (self.host.playbook(), task.resource.footprint())
        else {
            return Ok(());
        };
        let key = task.resource.owned();
        if !footprint.is_made(drift) && ledger.find(&key).is_none() {
            return Ok(());
        }
        ledger.add(Made {
            playbooks: BTreeSet::from([playbook.to_owned()]),
            kind: task.resource.kind().to_owned(),
            id: task.resource.id(),
            key,
            origin: (**origin).clone(),
            run_id: self.host.run_id().to_owned(),
            absence: serde_json::to_value(&footprint.absence).expect("kinds have text keys"),
            prunable: footprint.removal == Removal::Prune,
        })
    }

    /// Tells of everything that the playbook made and does not declare, and takes it away if
    /// that is wanted. A host that was not worked through to the end has not shown what it is
    /// declared to be.
    pub(super) fn orphans(&mut self, declared: &Declared) -> Result<(), ServeError> {
        let (Some(ledger), Some(playbook)) = (&self.ledger, self.host.playbook()) else {
            return Ok(());
        };
        let playbook = playbook.to_owned();
        for made in ledger.declared_by(&playbook) {
            self.look_up()?;
            if self.stopped.is_some() {
                return Ok(());
            }
            if declared.keys.contains(&made.key) || declared.spared.contains(&made.origin.key()) {
                continue;
            }
            let outcome = if made.playbooks.len() > 1 {
                self.disown(&made, &playbook).err()
            } else {
                self.orphan(&made, declared.counted)
            };
            if let Some(mut outcome) = outcome {
                outcome.fit();
                let hidden = made.origin.hidden;
                self.host.send(&Event::Orphan(Box::new(Orphan {
                    kind: made.kind,
                    id: if hidden { HIDDEN.to_owned() } else { made.id },
                    origin: made.origin,
                    outcome,
                })))?;
            }
        }
        Ok(())
    }

    /// Another playbook declares it too.
    fn disown(&mut self, made: &Made, playbook: &str) -> Result<(), Outcome> {
        match (&mut self.ledger, self.host.mode()) {
            (Some(ledger), Mode::Apply) => ledger
                .disown(&made.key, playbook)
                .map_err(|failure| self.failed(Vec::new(), &failure)),
            _ => Ok(()),
        }
    }

    /// What comes of something without an owner; nothing if it is gone already.
    fn orphan(&mut self, made: &Made, counted: bool) -> Option<Outcome> {
        let absence = match readable(made) {
            Ok(absence) => absence,
            Err(failure) => return Some(self.failed(Vec::new(), &failure)),
        };
        let differs = dispatch!(&absence, resource => {
            let found = resource.observe(&self.host);
            found.map(|actual| !resource.drift(&actual).is_empty())
        });
        match differs {
            Err(failure) => return Some(self.failed(Vec::new(), &failure)),
            Ok(false) => return self.forget(made).err(),
            Ok(true) => {}
        }
        // It differs all the same: whoever remembers differences must not take it for gone.
        let stays = |why: &str| Outcome {
            drift: vec![Drift::remove("orphan", in_words(made))],
            message: Some(format!("{}; {why}", in_words(made))),
            ..Outcome::default()
        };
        match self.host.mode() {
            Mode::Check if counted => {
                let expected = if made.prunable {
                    "absent"
                } else {
                    "absent, removed by hand: it may hold what is not fleet's"
                };
                let drift = Drift::new(Change::Remove, "orphan", expected, in_words(made));
                Some(Outcome {
                    status: Status::Drift,
                    drift: vec![drift],
                    ..Outcome::default()
                })
            }
            _ if !made.prunable => Some(stays(BY_HAND)),
            Mode::Apply if counted => Some(self.prune(made, absence)),
            Mode::Check | Mode::Apply => Some(stays("`apply --prune` removes it")),
        }
    }

    fn prune(&mut self, made: &Made, absence: AnyResource) -> Outcome {
        let task = Task::new(0, absence);
        let mut outcome =
            dispatch!(&task.resource, resource => self.reconcile(&task, resource)).outcome;
        if matches!(outcome.status, Status::Changed | Status::Ok) {
            outcome.drift = vec![Drift::remove("orphan", in_words(made))];
            if let Err(failed) = self.forget(made) {
                return failed;
            }
        }
        outcome
    }

    fn forget(&mut self, made: &Made) -> Result<(), Outcome> {
        match (&mut self.ledger, self.host.mode()) {
            (Some(ledger), Mode::Apply) => ledger
                .forget(&made.key)
                .map_err(|failure| self.failed(Vec::new(), &failure)),
            _ => Ok(()),
        }
    }
}

const BY_HAND: &str = "fleet does not remove it: do so by hand";

fn in_words(made: &Made) -> String {
    // Nothing that differs from host to host: they are to share a line of the report.
    let Origin { role, task, .. } = &made.origin;
    let role = role.iter().map(|role| format!("{role} : "));
    format!(
        "made by `{}{task}`, no longer declared",
        role.collect::<String>()
    )
}

/// The declaration that it is gone, if this version of fleet knows what it says.
fn readable(made: &Made) -> Result<AnyResource, Failure> {
    let unknown = |reason: String| {
        Failure::Unexpected(format!(
            "it was made by another version of fleet ({reason}); remove it by hand"
        ))
    };
    let absence: AnyResource =
        serde_json::from_value(made.absence.clone()).map_err(|error| unknown(error.to_string()))?;
    absence.validate().map_err(unknown)?;
    Ok(absence)
}

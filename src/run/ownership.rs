//! What the playbook declares on a host, and what it must not be taken to have given up.

use crate::playbook::Task;
use crate::protocol::{Declared, Origin};
use crate::resource::AnyResource;

use super::conversation::Lost;
use super::drive::{Drive, Place};

impl Drive<'_, '_, '_> {
    /// Where a resource is declared. What a handler does is no declaration of its own, and what
    /// has a secret in its very name is not written down.
    pub(super) fn origin(&self, place: Place<'_>, resource: &AnyResource) -> Option<Box<Origin>> {
        let footprint = resource.footprint()?;
        let redactor = &self.context.options.redactor;
        let owned = self.context.begin.playbook.is_some()
            && place.handler.is_none()
            && !redactor.finds_in(&footprint.absence);
        owned.then(|| Box::new(origin(place.task)))
    }

    /// A task that declares nothing now and may do so again keeps what it brought about.
    pub(super) fn spare(&mut self, task: &Task) {
        if self.context.options.ownership.is_some() {
            let key = origin(task).key();
            self.conversation.listener().declared.spared.insert(key);
        }
    }

    /// Asks the host for what the playbook made and no longer declares, if all that it declares
    /// was sent.
    pub(super) async fn ask_for_orphans(&mut self) -> Result<(), Lost> {
        let counted = match &self.context.options.ownership {
            Some(ownership) if self.context.judges => ownership.counted,
            _ => return Ok(()),
        };
        let record = self.conversation.listener();
        if record.stopped() {
            return Ok(());
        }
        let declared = Declared {
            counted,
            ..std::mem::take(&mut record.declared)
        };
        self.conversation.ask_for_orphans(declared).await
    }
}

/// Variables stay names: what one task declares is the same task's under other values.
fn origin(task: &Task) -> Origin {
    let written = task.name.as_ref().and_then(|name| name.text());
    Origin {
        role: task.role.as_ref().map(|role| role.name.clone()),
        task: written.unwrap_or(task.kind.name).to_owned(),
        severity: task.severity,
        hidden: task.no_log,
    }
}

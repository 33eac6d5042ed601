//! What a run leaves behind for the next ones.
//!
//! A store that cannot be used is told on stderr and changes nothing else: the report is what
//! the user asked for, and the exit code is about hosts.

use std::path::Path;

use jiff::Timestamp;

use super::output;
use super::request::Request;
use super::session::Session;
use crate::error::{Error, ErrorKind};
use crate::memory::{
    Digest, Known, MemoryError, Project, Query, RunEntry, Scope, Sqlite, Store as _, digest,
};
use crate::report::{Keep, RunReport};

/// A run that is to be remembered.
pub(super) struct Remembering {
    /// The playbook's name in its project.
    playbook: String,
    scope: Scope,
    forget: Timestamp,
    /// Opened before any host is contacted, so that it is told early if nothing can be kept.
    store: Option<Sqlite>,
}

impl Remembering {
    /// Of a run of this playbook.
    ///
    /// # Errors
    /// When `fleet.yml` is wrong.
    pub(super) fn of(session: &Session, playbook: &Path) -> Result<Self, Error> {
        let project = Project::of_playbook(playbook);
        let forget = project
            .forget_before(Timestamp::now())
            .map_err(Error::config)?;
        let store = project.store().map_err(|error| forgetful(session, error));
        Ok(Self {
            playbook: project.name_of(playbook),
            scope: Scope::Whole,
            forget,
            store: store.ok(),
        })
    }

    /// The request as it must be made. What only some tags looked at closes only what it looked
    /// at, and so everything it looked at must be in the report.
    pub(super) fn wants(&mut self, request: Request) -> Request {
        if request.tags.is_empty() && request.skip_tags.is_empty() {
            return request;
        }
        self.scope = Scope::Tags;
        Request {
            keep: Keep::All,
            ..request
        }
    }

    /// Dates what was found, lets `arrange` take from the report what is not to be shown, and
    /// remembers the run and everything it found.
    pub(super) fn learn(
        mut self,
        session: &Session,
        report: &mut RunReport,
        arrange: impl FnOnce(&mut RunReport),
    ) {
        // Only now are all secrets known.
        self.playbook = session.redactor.redact(&self.playbook).into_owned();
        let past = self.past(session);
        let learned = past.as_ref().map_or_else(Digest::default, |known| {
            let learned = digest(report, &self.playbook, self.scope, known);
            known.date(report, &self.playbook);
            learned
        });
        arrange(report);
        let Some(store) = self.store.as_mut().filter(|_| past.is_some()) else {
            return;
        };
        let run = RunEntry::of(report, &self.playbook);
        if let Err(error) = store.record(&run, &learned, self.forget) {
            forgetful(session, error);
        }
    }

    /// Dates what was found on a host of which the report is wanted before the run is over.
    /// What is remembered is read now, if such reports are `wanted` at all.
    pub(super) fn dates(&self, session: &Session, wanted: bool) -> impl Fn(&mut RunReport) + use<> {
        let past = wanted.then(|| self.past(session)).flatten();
        let playbook = self.playbook.clone();
        move |report| {
            if let Some(known) = &past {
                known.date(report, &playbook);
            }
        }
    }

    fn past(&self, session: &Session) -> Option<Known> {
        let open = Query {
            playbook: Some(self.playbook.clone()),
            resolved: false,
        };
        let found = self.store.as_ref()?.findings(&open);
        found
            .map(Known::new)
            .map_err(|error| forgetful(session, error))
            .ok()
    }
}

/// Says that nothing will be remembered.
fn forgetful(session: &Session, error: MemoryError) {
    let text = output::warning(
        &as_error(error, "this run is not remembered"),
        session.settings.stderr_color,
    );
    output::say(&session.redactor.redact(&text));
}

/// An error of the memory, as a command ends with it.
pub(super) fn as_error(error: MemoryError, message: &str) -> Error {
    let hint = error.hint();
    let said = Error::new(ErrorKind::Internal, message).caused_by(error);
    hint.into_iter().fold(said, Error::hint)
}

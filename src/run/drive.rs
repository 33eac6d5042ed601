//! Drives one host through its plays: renders each task when its turn comes, streams it, and
//! waits only where something uses what an earlier task registers.

use std::collections::{BTreeSet, HashMap};

use crate::playbook::{
    Answer, Handler, Known, Play, Prepared, Results, Step, TagFilter, Task, TaskNames, conditions,
    items, selected, title,
};
use crate::protocol::{self, HandlerName, Mode, TaskId};
use crate::report::ResourceReport;
use crate::resource::AnyResource;
use crate::template::{Data, Errors, Rendered, data};

use super::conversation::{Conversation, Hello, Lost};
use super::host::Context;
use super::record::{Record, Sent, Then};
use super::results;

/// One host on its way through its plays.
pub(super) struct Drive<'d, 'a, 'p> {
    pub(super) context: &'d Context<'d>,
    pub(super) conversation: &'d mut Conversation<'a, Record<'p>>,
    results: Results,
    /// Names whose tasks were sent and are not over, or cannot be known.
    open: HashMap<String, Open>,
    /// Handlers left pending by an earlier run.
    pub(super) pending: BTreeSet<HandlerName>,
    /// Handlers that may have been notified in this run.
    pub(super) notified: BTreeSet<HandlerName>,
}

/// A registered name without a value.
enum Open {
    /// The value is made of these when they are over.
    Running(Registering),
    /// Check does not run what gives the value.
    Unknowable,
}

/// The parts of a registered value, one for each item of a loop.
#[derive(Default)]
pub(super) struct Registering {
    parts: Vec<Part>,
    looped: bool,
    runs_programs: bool,
}

pub(super) enum Part {
    Sent(TaskId),
    Done(Option<serde_json::Value>),
}

/// A task in its place.
#[derive(Clone, Copy)]
pub(super) struct Place<'t> {
    pub play: &'t Play,
    pub task: &'t Task,
    pub position: usize,
    pub handler: Option<&'t Handler>,
}

/// What came of looking at something that may have to be waited for.
pub(super) enum Settled<T> {
    Value(T),
    /// It depends on what check cannot know.
    Unknown(BTreeSet<String>),
    Wrong(Errors),
}

/// More tasks than any play has.
const PLAY_STRIDE: usize = 1_000_000;

impl<'d, 'a, 'p> Drive<'d, 'a, 'p> {
    pub(super) fn new(
        context: &'d Context<'d>,
        conversation: &'d mut Conversation<'a, Record<'p>>,
        hello: Hello,
    ) -> Self {
        // Facts that cannot be told to templates would be a bug of ours, not of the host.
        let facts = serde_json::to_value(&hello.facts).expect("facts are plain data");
        Self {
            context,
            conversation,
            results: Results {
                facts: Some(data(&facts)),
                known: HashMap::new(),
            },
            open: HashMap::new(),
            pending: hello.pending.into_iter().collect(),
            notified: BTreeSet::new(),
        }
    }

    /// Goes through the plays; after a task that failed, only to say what was not run.
    pub(super) async fn plays(
        mut self,
        plays: &[(usize, &Play)],
        tags: &TagFilter,
    ) -> Result<(), Lost> {
        for &(at, play) in plays {
            // As validation has it, and as it is when each play is a conversation of its own.
            self.results.known.clear();
            self.open.clear();
            for (index, step) in play.steps.iter().enumerate() {
                let position = at * PLAY_STRIDE + index;
                match step {
                    Step::Task(task) if selected(task, tags) => {
                        let handler = None;
                        self.task(Place {
                            play,
                            task,
                            position,
                            handler,
                        })
                        .await?;
                    }
                    Step::Task(task) => self.spare(task),
                    Step::FlushHandlers => self.handlers(play, position).await?,
                }
            }
        }
        self.report_unanswered();
        self.ask_for_orphans().await
    }

    pub(super) async fn task(&mut self, place: Place<'_>) -> Result<(), Lost> {
        let task = place.task;
        let mut registering = Registering {
            looped: task.loop_.is_some(),
            runs_programs: matches!(task.kind.name, "command" | "shell"),
            ..Registering::default()
        };
        match self
            .settle(place, None, |names| items(task, &names.scope()))
            .await?
        {
            Settled::Value(None) => {
                let part = self.once(place, None, false).await?;
                registering.parts.push(part);
            }
            Settled::Value(Some(items)) if items.is_empty() => self.dismiss(place).await?,
            Settled::Value(Some(items)) => {
                let last = items.len().saturating_sub(1);
                for (at, item) in items.into_iter().enumerate() {
                    let part = self.once(place, Some(item), at < last).await?;
                    registering.parts.push(part);
                }
            }
            // A list that is not known may hang on a condition that is: `when` decides first.
            Settled::Unknown(on) => match self.when(place, None).await? {
                Settled::Value(false) => {
                    self.skip(place, None);
                    self.dismiss(place).await?;
                }
                _ => registering.parts.push(self.unknown(place, None, &on)),
            },
            Settled::Wrong(errors) => match self.when(place, None).await? {
                Settled::Value(false) => {
                    self.skip(place, None);
                    self.dismiss(place).await?;
                }
                _ => registering
                    .parts
                    .push(self.wrong(place, None, &errors).await?),
            },
        }
        if let Some(name) = &task.register {
            self.results.known.insert(name.clone(), Known::Pending);
            self.open.insert(name.clone(), Open::Running(registering));
        }
        Ok(())
    }

    async fn when(&mut self, place: Place<'_>, item: Option<&Data>) -> Result<Settled<bool>, Lost> {
        self.settle(place, item, |names| {
            conditions("when", &place.task.when, &names.scope())
        })
        .await
    }

    /// Does a task for one item. `more` says that other items follow.
    async fn once(
        &mut self,
        place: Place<'_>,
        item: Option<Data>,
        more: bool,
    ) -> Result<Part, Lost> {
        let item = item.as_ref();
        if self.stopped() {
            return Ok(self.not_run(place, item));
        }
        match self.when(place, item).await? {
            Settled::Value(true) => {}
            Settled::Value(false) => {
                self.skip(place, item);
                if !more {
                    self.dismiss(place).await?;
                }
                return Ok(Part::Done(Some(results::skipped())));
            }
            Settled::Unknown(on) => return Ok(self.unknown(place, item, &on)),
            Settled::Wrong(errors) => return self.wrong(place, item, &errors).await,
        }
        let context = self.context;
        let prepared = self.settle(place, item, |names| {
            let contents = &context.globals.contents;
            context.shared.prepare(place.task, names, contents)
        });
        let prepared = match prepared.await? {
            Settled::Value(prepared) => prepared,
            Settled::Unknown(on) => return Ok(self.unknown(place, item, &on)),
            Settled::Wrong(errors) => return self.wrong(place, item, &errors).await,
        };
        match &*prepared {
            Prepared::Answer(answer) => {
                if let Some(handler) = place.handler {
                    if !self.is_notified(handler).await? {
                        return Ok(Part::Done(Some(results::skipped())));
                    }
                    if self.mode() == Mode::Check {
                        return Ok(self.pending_handler(place, item));
                    }
                }
                let failed = matches!(answer, Answer::Failed { .. });
                let part = self.answer(place, item, answer.clone()).await?;
                if !failed && !more {
                    self.dismiss(place).await?;
                }
                Ok(part)
            }
            Prepared::Resource(resource) => {
                // Boxed: some kinds have many fields, and every host's run is one future.
                Box::pin(self.resource(place, item, (**resource).clone(), more)).await
            }
        }
    }

    async fn resource(
        &mut self,
        place: Place<'_>,
        item: Option<&Data>,
        resource: AnyResource,
        more: bool,
    ) -> Result<Part, Lost> {
        let task = place.task;
        let report = self.report(place, item, &resource.id());
        let sensitive = self.context.options.redactor.finds_in(&resource);
        let (resource, bodies) = match self.context.globals.contents.lower(resource) {
            Ok(lowered) => lowered,
            Err(message) => {
                let status = self.wrong_status();
                return self.fail(place, report, status, message).await;
            }
        };
        for (content, body) in bodies {
            self.conversation.offer(&content, body);
        }
        let wire = protocol::Task {
            notify: task.notify.clone(),
            answers: place
                .handler
                .iter()
                .map(|handler| handler.key.clone())
                .collect(),
            more,
            ignore_errors: task.ignore_errors,
            no_log: task.no_log,
            needed: task.register.is_some() || super::judge::needed(task),
            sensitive,
            read_only: super::judge::read_only(task),
            origin: self.origin(place, &resource),
            ..protocol::Task::new(0, resource)
        };
        self.conversation.listener().declared.add(&wire);
        self.notified.extend(task.notify.iter().cloned());
        if super::judge::needed(task) {
            return self.judged(place, item, report, wire).await;
        }
        let then = match task.register {
            Some(_) => Then::ReportAndKeep,
            None => Then::Report,
        };
        let id = self.send(wire, report, place, then).await?;
        Ok(Part::Sent(id))
    }

    /// Sends a task and answers its number.
    pub(super) async fn send(
        &mut self,
        task: protocol::Task,
        report: ResourceReport,
        place: Place<'_>,
        then: Then,
    ) -> Result<TaskId, Lost> {
        let id = self.conversation.next_id();
        let handler = place.handler.is_some();
        let read_only = task.read_only;
        let sent = Sent {
            report,
            then,
            handler,
            read_only,
            no_log: place.task.no_log,
        };
        self.conversation.listener().sent(id, sent);
        self.conversation
            .send(protocol::Task { id, ..task })
            .await?;
        Ok(id)
    }

    /// Looks at something until it has a value, waiting for the tasks it depends on.
    pub(super) async fn settle<T>(
        &mut self,
        place: Place<'_>,
        item: Option<&Data>,
        look: impl Fn(&TaskNames<'_>) -> Result<Rendered<T>, Errors>,
    ) -> Result<Settled<T>, Lost> {
        loop {
            let on = match self.look(place, item, &look) {
                Ok(Rendered::Value(value)) => return Ok(Settled::Value(value)),
                Ok(Rendered::Deferred { on }) => on,
                Err(errors) => return Ok(Settled::Wrong(errors)),
            };
            let running = |name: &&String| matches!(self.open.get(*name), Some(Open::Running(_)));
            match on.iter().find(running).cloned() {
                Some(name) => self.close(name).await?,
                None => return Ok(Settled::Unknown(on)),
            }
        }
    }

    fn look<T>(
        &self,
        place: Place<'_>,
        item: Option<&Data>,
        look: impl Fn(&TaskNames<'_>) -> T,
    ) -> T {
        let context = self.context;
        let mut names = TaskNames::new(
            context.globals,
            context.names,
            &self.results,
            place.play,
            place.task,
        );
        if let Some(item) = item {
            names = names.with_item(Some(item.clone()));
        }
        look(&names)
    }

    /// Waits for the tasks behind a registered name, and gives it its value.
    async fn close(&mut self, name: String) -> Result<(), Lost> {
        let Some(Open::Running(registering)) = self.open.remove(&name) else {
            return Ok(());
        };
        let mut values = Vec::new();
        for part in registering.parts {
            values.push(match part {
                Part::Done(value) => value,
                Part::Sent(id) => {
                    self.conversation.wait_for(id).await?;
                    let outcome = self.conversation.listener().take(id).unwrap_or_default();
                    results::registered(&outcome, self.mode(), registering.runs_programs)
                }
            });
        }
        let known: Option<Vec<_>> = values.into_iter().collect();
        let value = known.and_then(|mut values| {
            if registering.looped {
                Some(results::of_loop(&values))
            } else {
                values.pop()
            }
        });
        match value {
            Some(value) => self.know(name, &value),
            None => _ = self.open.insert(name, Open::Unknowable),
        }
        Ok(())
    }

    /// Gives a name its value from here on.
    pub(super) fn know(&mut self, name: String, value: &serde_json::Value) {
        self.open.remove(&name);
        self.results.known.insert(name, Known::Value(data(value)));
    }

    pub(super) fn mode(&self) -> Mode {
        self.context.begin.mode
    }

    /// What is known about a task before it was done.
    pub(super) fn report(&self, place: Place<'_>, item: Option<&Data>, id: &str) -> ResourceReport {
        let task = place.task;
        // Names of tasks and resources are made of variables too.
        let (title, id) = if task.no_log {
            let written = task.name.as_ref().and_then(|name| name.text());
            (written.unwrap_or(task.kind.name).to_owned(), "")
        } else {
            (
                self.look(place, item, |names| title(task, &names.scope())),
                id,
            )
        };
        ResourceReport {
            position: place.position,
            play: place.play.name.clone(),
            role: task.role.as_ref().map(|role| role.name.clone()),
            kind: task.kind.name.to_owned(),
            id: if id.is_empty() {
                title.clone()
            } else {
                id.to_owned()
            },
            task: title,
            ignored: task.ignore_errors,
            severity: task.severity,
            notifies: task.notify.clone(),
            ..ResourceReport::default()
        }
    }
}

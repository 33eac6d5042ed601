//! The controller's end of the conversation with one helper: tasks go out without waiting,
//! outcomes come back in order, contents are sent when asked for.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::sync::watch;

use crate::playbook::Body;
use crate::protocol::wire::LINE_LIMIT;
use crate::protocol::{
    Advance, Begin, CONFIRM_LIMIT, Census, Content, Declared, Event, Facts, HandlerName, Holder,
    Judge, Message, Orphan, Outcome, Sha256, Task, TaskId,
};
use crate::transport::{Channel, Ending, TransportError};

use super::interrupt::{Urgency, reaches};
use super::lock;

mod supply;

/// How long a task may take to end once its time is up.
const MARGIN: Duration = Duration::from_mins(1);

/// How many bytes of events may wait while something is sent: as much as the helper lets wait.
const INBOX_LIMIT: usize = LINE_LIMIT;

/// How often a task may ask for contents: each is asked for once or twice, and none has so many.
const NEEDS_LIMIT: u32 = 10_000;

/// How often a helper may say how far a task is: it does so once a second, and none takes a day.
const ADVANCES_LIMIT: u32 = 24 * 60 * 60;

/// Why the conversation with a helper ended before its time.
#[derive(Debug, thiserror::Error)]
pub(super) enum Lost {
    /// The stream broke, or the helper said something that makes no sense.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The stream ended without `Done`: the helper was killed, or the host went down.
    #[error("the helper ended without finishing: it was killed, or the host went down")]
    Ended,
    /// Nothing was heard for too long.
    #[error("nothing was heard from the helper for {} s", .0.as_secs())]
    Silent(Duration),
    /// The host does not read what it is sent.
    #[error("the helper did not take what was sent to it for {} s", .0.as_secs())]
    Deaf(Duration),
    /// The helper spoke out of turn: what it says about its tasks cannot be relied on.
    #[error("the helper said something out of turn: {0}")]
    OutOfTurn(&'static str),
    /// The helper itself could not go on.
    #[error("{0}")]
    Fatal(String),
    /// Another run writes to the host, and did not end in time.
    #[error("{}", lock::in_words(.0.as_ref()))]
    Locked(Option<Holder>),
}

/// What a helper said about its host when it started.
pub(super) struct Hello {
    pub facts: Facts,
    /// Handlers that an earlier, interrupted run left pending.
    pub pending: Vec<HandlerName>,
    /// Another run that changes the host, when this one only looks.
    pub running: Option<Holder>,
}

/// Told about every task as the helper gets to it.
pub(super) trait Listener {
    /// Work on a task has begun.
    fn started(&mut self, id: TaskId);
    /// Work on a task has come so far.
    fn advanced(&mut self, id: TaskId, advance: Advance);
    /// A task is over.
    fn finished(&mut self, id: TaskId, outcome: Outcome);
    /// Something has no owner any more.
    fn orphan(&mut self, orphan: Orphan);
    /// What the host does now may have cut it off: connects anew, and says so there, in this time.
    async fn confirm(&mut self, within: Duration);
    /// Another run holds the host's lock: the host is waited for.
    fn waiting(&mut self, holder: Option<&Holder>);
    /// Another host of this run is the same machine and has its turn: the host is waited for.
    fn awaits_turn(&mut self);
    /// The wait is over.
    fn begun(&mut self);
    /// Something was left to do, and none of it is begun any more.
    fn interrupted(&mut self);
}

/// A running helper and what may still be asked of the controller.
pub(super) struct Conversation<'a, L> {
    channel: Channel,
    listener: &'a mut L,
    /// What the host may ask for.
    bodies: HashMap<Sha256, Body>,
    /// Events read while something was being sent, and the bytes of each.
    inbox: VecDeque<(usize, Event)>,
    waiting: usize,
    sent: TaskId,
    /// The task the helper is at, if it has said so.
    at: Option<TaskId>,
    /// How often contents were asked for since the last task was over.
    needs: u32,
    /// How often the helper said how far it is since then.
    advances: u32,
    /// Whether the task it is at was confirmed.
    confirmed: bool,
    /// How many tasks are over; the helper answers in order.
    finished: TaskId,
    silence: Duration,
    /// The host was asked what nothing declares any more.
    asked_for_orphans: bool,
    /// How soon the work is to end.
    urgency: watch::Receiver<Urgency>,
    stopping: Stopping,
}

/// Whether the helper still begins tasks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stopping {
    /// It does.
    No,
    /// It was told that nothing more is to be begun.
    Told,
    /// It has said that something was left, and is not begun any more.
    Heard,
}

impl<'a, L: Listener> Conversation<'a, L> {
    /// Hears the helper's first words; it has been told to `begin`.
    ///
    /// `silence` is how long the helper may say nothing before it is given up.
    pub(super) async fn begin(
        channel: Channel,
        listener: &'a mut L,
        silence: Duration,
        begin: &Begin,
        urgency: watch::Receiver<Urgency>,
    ) -> Result<(Self, Hello), (Lost, Ending)> {
        let mut conversation = Self {
            channel,
            listener,
            bodies: HashMap::new(),
            inbox: VecDeque::new(),
            waiting: 0,
            sent: 0,
            at: None,
            needs: 0,
            advances: 0,
            confirmed: false,
            finished: 0,
            silence,
            asked_for_orphans: false,
            urgency,
            stopping: Stopping::No,
        };
        match conversation.greet(begin).await {
            Ok(hello) => Ok((conversation, hello)),
            Err(lost) => Err((lost, conversation.abandon().await)),
        }
    }

    async fn greet(&mut self, begin: &Begin) -> Result<Hello, Lost> {
        let wait = begin.claim.as_ref().map_or(0, |claim| claim.wait_ms);
        let facts = match self.hear().await? {
            Event::Hello { facts } => *facts,
            Event::Fatal { message } => return Err(Lost::Fatal(message)),
            _ => return Err(Lost::OutOfTurn("no greeting")),
        };
        // Start files of a login shell that read stdin have taken what the helper waits for.
        let mut event = self.hear_within(MARGIN.min(self.silence)).await?;
        if let Event::Waiting { holder } = event {
            self.listener.waiting(holder.as_ref());
            let limit = Duration::from_millis(wait) + MARGIN;
            event = self.hear_within(limit).await?;
        }
        if matches!(event, Event::AwaitsTurn) {
            self.listener.awaits_turn();
        }
        while matches!(event, Event::AwaitsTurn) {
            event = self.hear_within(MARGIN).await?;
        }
        match event {
            Event::Begun { pending, running } => {
                self.listener.begun();
                Ok(Hello {
                    facts,
                    pending,
                    running,
                })
            }
            Event::Locked { holder } => Err(Lost::Locked(holder)),
            Event::Fatal { message } => Err(Lost::Fatal(message)),
            _ => Err(Lost::OutOfTurn("no beginning")),
        }
    }

    /// Hears what may come later than usual.
    async fn hear_within(&mut self, limit: Duration) -> Result<Event, Lost> {
        let usual = std::mem::replace(&mut self.silence, limit);
        let event = self.hear().await;
        self.silence = usual;
        event
    }

    /// Whoever is told about tasks.
    pub(super) fn listener(&mut self) -> &mut L {
        self.listener
    }

    /// Names the next task.
    pub(super) fn next_id(&self) -> TaskId {
        self.sent
    }

    /// Lets the host ask for these bytes.
    pub(super) fn offer(&mut self, content: &Content, body: Body) {
        self.bodies.insert(content.sha256, body);
    }

    /// Sends a task; its outcome comes to the listener when the host gets to it.
    pub(super) async fn send(&mut self, task: Task) -> Result<(), Lost> {
        debug_assert_eq!(task.id, self.sent, "tasks are numbered in order");
        self.sent += 1;
        // A task that says how long it may take is given that, and some time to end.
        if let Some(limit) = task.resource.time_limit() {
            self.silence = self.silence.max(limit + MARGIN);
        }
        if self.stopping == Stopping::No && *self.urgency.borrow() >= Urgency::Tasks {
            self.stop().await;
        }
        self.say(&Message::Task(Box::new(task))).await?;
        self.answer().await
    }

    /// Sends the verdict on a judged task.
    pub(super) async fn judge(&mut self, judge: Judge) -> Result<(), Lost> {
        self.say(&Message::Judge(judge)).await
    }

    /// Takes a handler's notification back: its condition is false.
    pub(super) async fn dismiss(&mut self, handler: HandlerName) -> Result<(), Lost> {
        self.say(&Message::Dismiss { handler }).await
    }

    /// Asks what the playbook made and does not declare; the answers come with the end.
    pub(super) async fn ask_for_orphans(&mut self, declared: Declared) -> Result<(), Lost> {
        self.asked_for_orphans = true;
        self.say(&Message::Orphans(declared)).await
    }

    /// Asks what is on the host.
    pub(super) async fn census(&mut self) -> Result<Census, Lost> {
        self.say(&Message::Census).await?;
        match self.hear().await? {
            Event::Census { census } => Ok(*census),
            Event::Fatal { message } => Err(Lost::Fatal(message)),
            _ => Err(Lost::OutOfTurn("no census")),
        }
    }

    /// Waits for so long, or until nothing more is to be begun.
    pub(super) async fn rest(&mut self, delay: Duration) {
        let stop = reaches(&mut self.urgency, Urgency::Tasks);
        let _ = tokio::time::timeout(delay, stop).await;
    }

    /// Waits until a task and all before it are over.
    pub(super) async fn wait_for(&mut self, id: TaskId) -> Result<(), Lost> {
        while self.finished <= id {
            let event = self.next().await?;
            self.handle(event).await?;
        }
        Ok(())
    }

    /// Waits until everything that was sent is over.
    pub(super) async fn catch_up(&mut self) -> Result<(), Lost> {
        match self.sent.checked_sub(1) {
            Some(last) => self.wait_for(last).await,
            None => Ok(()),
        }
    }

    /// Tells the helper that the next play will come, and hears it out. Until then the host is
    /// ours: the helper keeps its lock as long as the channel lives.
    pub(super) async fn pause(mut self) -> Result<Channel, (Lost, Ending)> {
        match self.hear_out(&Message::Pause).await {
            // It goes on using time; the end of the conversation tells of all of it.
            Ok(_) => Ok(self.channel),
            Err(lost) => Err((lost, self.abandon().await)),
        }
    }

    /// Tells the helper that nothing more comes, and hears it out. Answers how much CPU time it
    /// says it used.
    pub(super) async fn finish(mut self) -> Result<Duration, (Lost, Ending)> {
        let heard = self.hear_out(&Message::End).await;
        let ending = self.channel.close().await;
        heard.map_err(|lost| (lost, ending))
    }

    /// Ends the conversation after it broke; what the helper said last explains why.
    pub(super) async fn abandon(self) -> Ending {
        self.channel.close().await
    }

    async fn hear_out(&mut self, last: &Message) -> Result<Duration, Lost> {
        self.say(last).await?;
        loop {
            match self.next().await? {
                Event::Done { cpu_ms } if self.finished == self.sent => {
                    return Ok(Duration::from_millis(cpu_ms));
                }
                event => self.handle(event).await?,
            }
        }
    }

    /// Sends a message. Events that arrive meanwhile are kept: a helper that cannot get rid of
    /// its events would stop reading, and both ends would wait for ever.
    async fn say(&mut self, message: &Message) -> Result<(), Lost> {
        let (sender, receiver) = self.channel.split();
        let sending = tokio::time::timeout(self.silence, sender.send(message));
        tokio::pin!(sending);
        loop {
            tokio::select! {
                // Listening first would be by chance, and what was said too early be taken or
                // refused by chance.
                biased;
                sent = &mut sending => return Ok(sent.map_err(|_| Lost::Deaf(self.silence))??),
                event = receiver.next_sized_event() => match event? {
                    Some((size, _)) if self.waiting + size > INBOX_LIMIT => {
                        return Err(Lost::OutOfTurn("more than can be heard at once"));
                    }
                    Some((size, event)) => {
                        self.waiting += size;
                        self.inbox.push_back((size, event));
                    }
                    None => return Err(Lost::Ended),
                },
            }
        }
    }

    /// What the helper says next. It is told meanwhile if nothing more is to be begun.
    async fn next(&mut self) -> Result<Event, Lost> {
        if self.stopping == Stopping::No {
            let mut urgency = self.urgency.clone();
            tokio::select! {
                biased;
                () = reaches(&mut urgency, Urgency::Tasks) => {}
                event = self.hear() => return event,
            }
            self.stop().await;
        }
        self.hear().await
    }

    /// Tells the helper that nothing more is to be begun. It may have just ended; if it cannot be
    /// told for another reason, that shows when it is heard.
    async fn stop(&mut self) {
        self.stopping = Stopping::Told;
        let _ = self.say(&Message::Stop).await;
    }

    async fn hear(&mut self) -> Result<Event, Lost> {
        if let Some(event) = self.heard() {
            return Ok(event);
        }
        tokio::time::timeout(self.silence, self.channel.next_event())
            .await
            .map_err(|_| Lost::Silent(self.silence))??
            .ok_or(Lost::Ended)
    }

    /// What has arrived first.
    fn heard(&mut self) -> Option<Event> {
        let (size, event) = self.inbox.pop_front()?;
        self.waiting -= size;
        Some(event)
    }

    /// Deals with what has arrived, without waiting for more.
    async fn answer(&mut self) -> Result<(), Lost> {
        while let Some(event) = self.heard() {
            self.handle(event).await?;
        }
        Ok(())
    }

    async fn handle(&mut self, event: Event) -> Result<(), Lost> {
        match event {
            // Once each, and contents only so often: a host that always has something to say
            // would never be silent, and never done.
            Event::Started { id }
                if id != self.finished || id >= self.sent || self.at == Some(id) =>
            {
                return Err(Lost::OutOfTurn("the beginning of another task"));
            }
            Event::Started { id } => {
                self.at = Some(id);
                self.listener.started(id);
            }
            Event::Advanced(_) if self.advances >= ADVANCES_LIMIT => {
                return Err(Lost::OutOfTurn("that it comes on, again and again"));
            }
            Event::Advanced(advance) => {
                self.advances += 1;
                self.listener.advanced(self.finished, advance);
            }
            // In order and each once, or a task could pass for done that never was.
            Event::Finished { id, .. } if id != self.finished || id >= self.sent => {
                return Err(Lost::OutOfTurn("the end of another task"));
            }
            Event::Finished { id, outcome, keep } => {
                self.finished += 1;
                self.needs = 0;
                self.advances = 0;
                self.confirmed = false;
                self.listener.finished(id, outcome);
                if keep {
                    self.say(&Message::Heard { id }).await?;
                }
            }
            // Once for each task, or a host could keep us connecting for ever.
            Event::Unconfirmed { .. } if self.at != Some(self.finished) || self.confirmed => {
                return Err(Lost::OutOfTurn("a wish to be confirmed"));
            }
            Event::Unconfirmed { within_ms } => {
                self.confirmed = true;
                let within = Duration::from_millis(within_ms).min(CONFIRM_LIMIT);
                self.listener.confirm(within).await;
            }
            Event::Stopped if self.stopping == Stopping::Told => {
                self.stopping = Stopping::Heard;
                self.listener.interrupted();
            }
            Event::Stopped => return Err(Lost::OutOfTurn("that it stops")),
            Event::Confirmed => return Err(Lost::OutOfTurn("that something is confirmed")),
            Event::Orphan(orphan) if self.asked_for_orphans => self.listener.orphan(*orphan),
            Event::Orphan(_) => return Err(Lost::OutOfTurn("an orphan")),
            Event::Need { .. } if self.needs >= NEEDS_LIMIT => {
                return Err(Lost::OutOfTurn("a question for contents, again and again"));
            }
            Event::Need { sha256 } => {
                self.needs += 1;
                self.supply(sha256).await?;
            }
            Event::Fatal { message } => return Err(Lost::Fatal(message)),
            Event::Done { .. } => return Err(Lost::OutOfTurn("an end before its last task")),
            Event::Hello { .. } => return Err(Lost::OutOfTurn("a second greeting")),
            Event::Begun { .. }
            | Event::Waiting { .. }
            | Event::AwaitsTurn
            | Event::Locked { .. } => {
                return Err(Lost::OutOfTurn("a second beginning"));
            }
            Event::Census { .. } => return Err(Lost::OutOfTurn("a census nobody asked for")),
            Event::Balancer { .. } => {
                return Err(Lost::OutOfTurn("what a load balancer does"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

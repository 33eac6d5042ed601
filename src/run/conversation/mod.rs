//! The controller's end of the conversation with one helper: tasks go out without waiting,
//! outcomes come back in order, contents are sent when asked for.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::sync::watch;

use crate::playbook::Body;
use crate::protocol::wire::LINE_LIMIT;
use crate::protocol::{
    Advance, Begin, Census, Content, Declared, Event, Facts, HandlerName, Holder, Judge, Message,
    Mode, Orphan, Outcome, Sha256, Task, TaskId,
};
use crate::transport::{Channel, Ending};

use super::interrupt::{Urgency, reaches};

mod expected;
mod greeting;
mod lost;
mod patience;
mod supply;

use expected::Expected;
pub(super) use lost::Lost;
pub(super) use patience::{Clock, Patience};

/// How many bytes of events may wait while something is sent: as much as the helper lets wait.
const INBOX_LIMIT: usize = LINE_LIMIT;

/// What an event takes in memory beside its texts, at least.
const EVENT_SIZE: usize = size_of::<(usize, Event)>();

/// More than all that is counted on a host, in bytes.
const CENSUS_LIMIT: usize = 8 * 1024 * 1024;

/// More things without an owner than any host has.
const ORPHANS_LIMIT: usize = 50_000;

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
    /// Which hosts of this run may be the same machine.
    fn neighbours(&self, facts: &Facts) -> Neighbours;
    /// The wait is over.
    fn begun(&mut self, facts: &Facts);
    /// Something was left to do, and none of it is begun any more.
    fn interrupted(&mut self);
}

/// The other hosts of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Neighbours {
    /// There are none.
    None,
    /// None that may be the same machine is worked on.
    Idle,
    /// One is.
    AtWork,
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
    /// The tasks that were sent and are not over; the first is at hand.
    expected: VecDeque<Expected>,
    /// How many tasks are over; the helper answers in order.
    finished: TaskId,
    clock: Clock<'a>,
    mode: Mode,
    /// The host was asked what nothing declares any more.
    asked_for_orphans: bool,
    orphans: usize,
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
    pub(super) async fn begin(
        channel: Channel,
        listener: &'a mut L,
        clock: Clock<'a>,
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
            expected: VecDeque::new(),
            finished: 0,
            clock,
            mode: begin.mode,
            asked_for_orphans: false,
            orphans: 0,
            urgency,
            stopping: Stopping::No,
        };
        match conversation.greet(begin).await {
            Ok(hello) => Ok((conversation, hello)),
            Err(lost) => Err((lost, conversation.abandon().await)),
        }
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
    pub(super) async fn send(&mut self, mut task: Task) -> Result<(), Lost> {
        debug_assert_eq!(task.id, self.sent, "tasks are numbered in order");
        self.sent += 1;
        let expected = Expected::of(&mut task, self.mode, &mut self.clock);
        if self.expected.is_empty() {
            self.clock.next(Some(expected.need));
        }
        self.expected.push_back(expected);
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
        match self.hear_sized().await? {
            (size, Event::Census { .. }) if size > CENSUS_LIMIT => {
                Err(Lost::OutOfTurn("more than is counted on a host"))
            }
            (_, Event::Census { census }) => Ok(*census),
            (_, Event::Fatal { message }) => Err(Lost::fatal(message)),
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
                Event::Done { cpu_ms } if self.expected.is_empty() => {
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
        let sending = sender.send(message);
        let sending = self
            .clock
            .of_run(self.clock.deafness(), Lost::Deaf, sending);
        tokio::pin!(sending);
        loop {
            tokio::select! {
                // Listening first would be by chance, and what was said too early be taken or
                // refused by chance.
                biased;
                sent = &mut sending => return Ok(sent??),
                event = receiver.next_sized_event() => match event? {
                    Some((size, _)) if self.waiting + size + EVENT_SIZE > INBOX_LIMIT => {
                        return Err(Lost::OutOfTurn("more than can be heard at once"));
                    }
                    Some((size, event)) => {
                        self.waiting += size + EVENT_SIZE;
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
        Ok(self.hear_sized().await?.1)
    }

    async fn hear_sized(&mut self) -> Result<(usize, Event), Lost> {
        if let Some(heard) = self.heard() {
            return Ok(heard);
        }
        let at_hand = self.expected.front();
        let silence = at_hand.map_or(self.clock.silence(), |task| task.need.silence);
        let (_, receiver) = self.channel.split();
        let next = receiver.next_sized_event();
        let event = self.clock.of_step(silence, Lost::Silent, next).await?;
        event?.ok_or(Lost::Ended)
    }

    /// What has arrived first.
    fn heard(&mut self) -> Option<(usize, Event)> {
        let (size, event) = self.inbox.pop_front()?;
        self.waiting -= size + EVENT_SIZE;
        Some((size, event))
    }

    /// Deals with what has arrived, without waiting for more.
    async fn answer(&mut self) -> Result<(), Lost> {
        while let Some((_, event)) = self.heard() {
            self.handle(event).await?;
        }
        Ok(())
    }

    /// The task that the helper is at, if this is it.
    fn at_hand(&mut self, id: TaskId) -> Option<&mut Expected> {
        self.expected.front_mut().filter(|_| id == self.finished)
    }

    async fn handle(&mut self, event: Event) -> Result<(), Lost> {
        let at_hand = self.finished;
        match event {
            Event::Started { id } => match self.at_hand(id) {
                // Once each: a host that always has something to say would never be silent.
                Some(task) if !task.started => {
                    task.started = true;
                    self.listener.started(id);
                }
                _ => return Err(Lost::OutOfTurn("the beginning of another task")),
            },
            Event::Advanced(_) if self.clock.is_too_often() => {
                return Err(Lost::OutOfTurn("that it comes on, again and again"));
            }
            Event::Advanced(advance) => match self.at_hand(at_hand) {
                Some(task) if task.started => self.listener.advanced(at_hand, advance),
                _ => return Err(Lost::OutOfTurn("that it comes on with a task not begun")),
            },
            // In order and each once, or a task could pass for done that never was.
            Event::Finished {
                id,
                mut outcome,
                keep,
            } => {
                match self.at_hand(id) {
                    Some(task) if task.may_keep || !keep => {}
                    Some(_) => return Err(Lost::OutOfTurn("a wish to be heard")),
                    None => return Err(Lost::OutOfTurn("the end of another task")),
                }
                self.expected.pop_front();
                self.finished += 1;
                let next = self.expected.front().map(|task| task.need);
                self.clock.next(next);
                outcome.fit();
                self.listener.finished(id, outcome);
                if keep {
                    self.say(&Message::Heard { id }).await?;
                }
            }
            // Once for each task, or a host could keep us connecting for ever.
            Event::Unconfirmed { within_ms } => {
                let within = Duration::from_millis(within_ms);
                let asks = |task: &mut Expected| task.asks_to_confirm(within);
                if !self.at_hand(at_hand).is_some_and(asks) {
                    return Err(Lost::OutOfTurn("a wish to be confirmed"));
                }
                self.listener.confirm(within).await;
            }
            Event::Stopped if self.stopping == Stopping::Told => {
                self.stopping = Stopping::Heard;
                self.listener.interrupted();
            }
            Event::Stopped => return Err(Lost::OutOfTurn("that it stops")),
            Event::Confirmed => return Err(Lost::OutOfTurn("that something is confirmed")),
            Event::Orphan(_) if self.orphans >= ORPHANS_LIMIT => {
                return Err(Lost::OutOfTurn("orphans without end"));
            }
            Event::Orphan(mut orphan) if self.asked_for_orphans && self.expected.is_empty() => {
                self.orphans += 1;
                self.clock.next(None);
                orphan.outcome.fit();
                self.listener.orphan(*orphan);
            }
            Event::Orphan(_) => return Err(Lost::OutOfTurn("an orphan")),
            Event::Need { sha256 } => {
                let asks = |task: &mut Expected| task.asks_for(sha256);
                if !self.at_hand(at_hand).is_some_and(asks) {
                    return Err(Lost::OutOfTurn(
                        "a question for a content that is not its task's, or that it has",
                    ));
                }
                self.supply(sha256).await?;
            }
            Event::Fatal { message } => return Err(Lost::fatal(message)),
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

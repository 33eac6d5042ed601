//! The controller's end of the conversation with one helper: tasks go out without waiting,
//! outcomes come back in order, contents are sent when asked for.

use std::collections::{HashMap, VecDeque};
use std::io::Cursor;
use std::path::Path;
use std::time::Duration;

use tokio::io::AsyncRead;

use crate::playbook::Body;
use crate::protocol::{
    Begin, Content, Event, Facts, HandlerName, Judge, Message, Outcome, Sha256, Task, TaskId,
};
use crate::transport::{Channel, Ending, TransportError};

/// How long a task may take to end once its time is up.
const MARGIN: Duration = Duration::from_mins(1);

/// The slowest connection that contents are sent over, in bytes per second.
const SLOWEST: u64 = 16 * 1024;

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
}

/// What a helper said about its host when it started.
pub(super) struct Hello {
    pub facts: Facts,
    /// Handlers that an earlier, interrupted run left pending.
    pub pending: Vec<HandlerName>,
}

/// Told about every task as the helper gets to it.
pub(super) trait Listener {
    /// Work on a task has begun.
    fn started(&mut self, id: TaskId);
    /// A task is over.
    fn finished(&mut self, id: TaskId, outcome: Outcome);
}

/// A running helper and what may still be asked of the controller.
pub(super) struct Conversation<'a, L> {
    channel: Channel,
    listener: &'a mut L,
    /// What the host may ask for.
    bodies: HashMap<Sha256, Body>,
    /// Events read while something was being sent.
    inbox: VecDeque<Event>,
    sent: TaskId,
    /// How many tasks are over; the helper answers in order.
    finished: TaskId,
    silence: Duration,
}

impl<'a, L: Listener> Conversation<'a, L> {
    /// Hears the helper's first words.
    ///
    /// `silence` is how long the helper may say nothing before it is given up.
    pub(super) async fn begin(
        channel: Channel,
        listener: &'a mut L,
        silence: Duration,
        begin: Begin,
    ) -> Result<(Self, Hello), (Lost, Ending)> {
        let mut conversation = Self {
            channel,
            listener,
            bodies: HashMap::new(),
            inbox: VecDeque::new(),
            sent: 0,
            finished: 0,
            silence,
        };
        match conversation.greet(begin).await {
            Ok(hello) => Ok((conversation, hello)),
            Err(lost) => Err((lost, conversation.abandon().await)),
        }
    }

    async fn greet(&mut self, begin: Begin) -> Result<Hello, Lost> {
        // Said without waiting for the host's first words: one round trip less.
        self.say(&Message::Begin(begin)).await?;
        match self.hear().await? {
            Event::Hello { facts, pending } => Ok(Hello {
                facts: *facts,
                pending,
            }),
            Event::Fatal { message } => Err(Lost::Fatal(message)),
            _ => Err(Lost::OutOfTurn("no greeting")),
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
    pub(super) async fn send(&mut self, task: Task) -> Result<(), Lost> {
        debug_assert_eq!(task.id, self.sent, "tasks are numbered in order");
        self.sent += 1;
        // A task that says how long it may take is given that, and some time to end.
        if let Some(limit) = task.resource.time_limit() {
            self.silence = self.silence.max(limit + MARGIN);
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

    /// Waits until a task and all before it are over.
    pub(super) async fn wait_for(&mut self, id: TaskId) -> Result<(), Lost> {
        while self.finished <= id {
            let event = self.hear().await?;
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

    /// Tells the helper that nothing more comes, and hears it out.
    pub(super) async fn finish(mut self) -> Result<(), (Lost, Ending)> {
        let heard = self.hear_out().await;
        let ending = self.channel.close().await;
        heard.map_err(|lost| (lost, ending))
    }

    /// Ends the conversation after it broke; what the helper said last explains why.
    pub(super) async fn abandon(self) -> Ending {
        self.channel.close().await
    }

    async fn hear_out(&mut self) -> Result<(), Lost> {
        self.say(&Message::End).await?;
        loop {
            match self.hear().await? {
                Event::Done { .. } if self.finished == self.sent => return Ok(()),
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
                sent = &mut sending => return Ok(sent.map_err(|_| Lost::Deaf(self.silence))??),
                event = receiver.next_event() => match event? {
                    Some(event) => self.inbox.push_back(event),
                    None => return Err(Lost::Ended),
                },
            }
        }
    }

    async fn hear(&mut self) -> Result<Event, Lost> {
        if let Some(event) = self.inbox.pop_front() {
            return Ok(event);
        }
        tokio::time::timeout(self.silence, self.channel.next_event())
            .await
            .map_err(|_| Lost::Silent(self.silence))??
            .ok_or(Lost::Ended)
    }

    /// Deals with what has arrived, without waiting for more.
    async fn answer(&mut self) -> Result<(), Lost> {
        while let Some(event) = self.inbox.pop_front() {
            self.handle(event).await?;
        }
        Ok(())
    }

    async fn handle(&mut self, event: Event) -> Result<(), Lost> {
        match event {
            Event::Started { id } => self.listener.started(id),
            // In order and each once, or a task could pass for done that never was.
            Event::Finished { id, .. } if id != self.finished || id >= self.sent => {
                return Err(Lost::OutOfTurn("the end of another task"));
            }
            Event::Finished { id, outcome } => {
                self.finished += 1;
                self.listener.finished(id, outcome);
            }
            Event::Need { sha256 } => self.supply(sha256).await?,
            Event::Fatal { message } => return Err(Lost::Fatal(message)),
            Event::Done { .. } => return Err(Lost::OutOfTurn("an end before its last task")),
            Event::Hello { .. } => return Err(Lost::OutOfTurn("a second greeting")),
        }
        Ok(())
    }

    async fn supply(&mut self, sha256: Sha256) -> Result<(), Lost> {
        let unavailable = |reason: String| Message::ContentUnavailable { sha256, reason };
        match self.bodies.get(&sha256).cloned() {
            None => {
                let reason = "it is not part of this run".to_owned();
                self.say(&unavailable(reason)).await
            }
            Some(Body::Text(text)) => {
                let size = text.len() as u64;
                let reader = Cursor::new(text.as_bytes());
                self.send_content(sha256, size, reader).await
            }
            Some(Body::File(path)) => match open(&path).await {
                Ok((size, file)) => self.send_content(sha256, size, file).await,
                Err(error) => {
                    let reason = format!("cannot read {}: {error}", path.display());
                    self.say(&unavailable(reason)).await
                }
            },
        }
    }

    /// The helper says nothing while it takes a content, so there is nothing to listen to.
    async fn send_content(
        &mut self,
        sha256: Sha256,
        size: u64,
        reader: impl AsyncRead + Unpin,
    ) -> Result<(), Lost> {
        let limit = self.silence + Duration::from_secs(size / SLOWEST);
        let sending = self.channel.send_content(sha256, size, reader);
        let sent = tokio::time::timeout(limit, sending).await;
        Ok(sent.map_err(|_| Lost::Deaf(limit))??)
    }
}

async fn open(path: &Path) -> std::io::Result<(u64, tokio::fs::File)> {
    let file = tokio::fs::File::open(path).await?;
    Ok((file.metadata().await?.len(), file))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    use super::*;
    use crate::protocol::{Mode, wire};
    use crate::resource::AnyResource;

    struct Deaf;

    impl Listener for Deaf {
        fn started(&mut self, _: TaskId) {}
        fn finished(&mut self, _: TaskId, _: Outcome) {}
    }

    fn begin() -> Begin {
        Begin {
            mode: Mode::Check,
            diff: false,
            run_id: "test".to_owned(),
        }
    }

    fn hello() -> Event {
        Event::Hello {
            facts: Box::default(),
            pending: Vec::new(),
        }
    }

    fn task(id: TaskId) -> Task {
        let declared = serde_json::json!({ "kind": "command", "declared": { "cmd": "true" } });
        let resource: AnyResource = serde_json::from_value(declared).unwrap();
        Task::new(id, resource)
    }

    /// Two ends of a conversation; what is written to the second is heard by the controller.
    fn host(room: usize) -> (Channel, DuplexStream, DuplexStream) {
        let (stdin, far_stdin) = tokio::io::duplex(room);
        let (stdout, far_stdout) = tokio::io::duplex(1024 * 1024);
        (Channel::over(stdin, stdout), far_stdin, far_stdout)
    }

    /// What becomes of one task on a host that says this, and then nothing more.
    async fn told(events: &[Event]) -> Result<(), String> {
        let (channel, mut stdin, mut stdout) = host(64 * 1024);
        for event in events {
            stdout.write_all(&wire::encode(event)).await.unwrap();
        }
        tokio::spawn(async move { stdin.read_to_end(&mut Vec::new()).await });
        let mut listener = Deaf;
        let silence = Duration::from_secs(5);
        let begun = Conversation::begin(channel, &mut listener, silence, begin()).await;
        let (mut conversation, _) = begun.map_err(|(lost, _)| lost.to_string())?;
        let sent = conversation.send(task(0)).await;
        sent.map_err(|lost| lost.to_string())?;
        let finished = conversation.finish().await;
        finished.map_err(|(lost, _)| lost.to_string())
    }

    fn finished(id: TaskId) -> Event {
        Event::Finished {
            id,
            outcome: Outcome::default(),
        }
    }

    #[tokio::test]
    async fn a_host_that_says_what_it_was_not_asked_is_not_believed() {
        const DONE: Event = Event::Done { cpu_ms: 0 };
        let out_of_turn = |what| Err(format!("the helper said something out of turn: {what}"));
        for (events, expected) in [
            (vec![hello(), finished(0), DONE], Ok(())),
            (vec![DONE], out_of_turn("no greeting")),
            (vec![hello(), hello()], out_of_turn("a second greeting")),
            (
                vec![hello(), DONE],
                out_of_turn("an end before its last task"),
            ),
            (
                vec![hello(), finished(TaskId::MAX)],
                out_of_turn("the end of another task"),
            ),
            (
                vec![hello(), finished(0), finished(1), DONE],
                out_of_turn("the end of another task"),
            ),
        ] {
            assert_eq!(told(&events).await, expected, "{events:?}");
        }
    }

    #[tokio::test]
    async fn a_host_that_stops_reading_is_given_up() {
        let (channel, _stdin, mut stdout) = host(256);
        stdout.write_all(&wire::encode(&hello())).await.unwrap();
        let mut listener = Deaf;
        let silence = Duration::from_millis(50);
        let Ok((mut conversation, _)) =
            Conversation::begin(channel, &mut listener, silence, begin()).await
        else {
            panic!("it greeted")
        };
        let mut id = 0;
        let lost = loop {
            if let Err(lost) = conversation.send(task(id)).await {
                break lost;
            }
            id += 1;
        };
        assert_eq!(
            lost.to_string(),
            "the helper did not take what was sent to it for 0 s"
        );
    }
}

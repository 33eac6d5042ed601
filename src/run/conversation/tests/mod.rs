//! What is believed of a host, and what is not.

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream};

use super::*;
use crate::protocol::{Mode, Origin, Step, wire};
use crate::resource::AnyResource;

mod patience;

/// What was heard, on a host that may be the same machine as others.
struct Heard {
    advances: Vec<(TaskId, Advance)>,
    waits: u32,
    interruptions: u32,
    neighbours: Box<dyn Fn() -> Neighbours>,
}

impl Default for Heard {
    fn default() -> Self {
        Self {
            advances: Vec::new(),
            waits: 0,
            interruptions: 0,
            neighbours: Box::new(|| Neighbours::AtWork),
        }
    }
}

impl Listener for Heard {
    fn started(&mut self, _: TaskId) {}
    fn advanced(&mut self, id: TaskId, advance: Advance) {
        self.advances.push((id, advance));
    }
    fn finished(&mut self, _: TaskId, _: Outcome) {}
    fn orphan(&mut self, _: Orphan) {}
    async fn confirm(&mut self, _: Duration) {}
    fn waiting(&mut self, _: Option<&Holder>) {
        self.waits += 1;
    }
    fn awaits_turn(&mut self) {
        self.waits += 1;
    }
    fn neighbours(&self, _: &Facts) -> Neighbours {
        (self.neighbours)()
    }
    fn begun(&mut self, _: &Facts) {}
    fn interrupted(&mut self) {
        self.interruptions += 1;
    }
}

fn begin() -> Begin {
    Begin {
        mode: Mode::Check,
        diff: false,
        run_id: "test".to_owned(),
        claim: None,
        playbook: None,
    }
}

/// Nobody wants it to end.
fn calm() -> watch::Receiver<Urgency> {
    watch::channel(Urgency::None).1
}

fn hello() -> Event {
    Event::Hello {
        facts: Box::default(),
    }
}

fn begun() -> Event {
    Event::Begun {
        pending: Vec::new(),
        running: None,
    }
}

fn task(id: TaskId) -> Task {
    let declared = serde_json::json!({ "kind": "command", "declared": { "cmd": "true" } });
    let resource: AnyResource = serde_json::from_value(declared).unwrap();
    Task::new(id, resource)
}

fn clock(silence: Duration) -> Clock<'static> {
    let patience = Patience::new(Duration::from_hours(1));
    Clock::new(silence, Box::leak(Box::new(patience)))
}

/// Two ends of a conversation; what is written to the second is heard by the controller.
fn host(room: usize) -> (Channel, DuplexStream, DuplexStream) {
    let (stdin, far_stdin) = tokio::io::duplex(room);
    let (stdout, far_stdout) = tokio::io::duplex(16 * 1024 * 1024);
    (Channel::over(stdin, stdout), far_stdin, far_stdout)
}

/// The conversation of a check with a host that has greeted.
async fn greeted(
    channel: Channel,
    listener: &mut Heard,
    silence: Duration,
    urgency: watch::Receiver<Urgency>,
) -> Conversation<'_, Heard> {
    match Conversation::begin(channel, listener, clock(silence), &begin(), urgency).await {
        Ok((conversation, _)) => conversation,
        Err((lost, _)) => panic!("{lost}"),
    }
}

/// What becomes of one task on a host that says this and then nothing more, the last of it when
/// it was told that there is no more to do.
async fn told(events: &[Event]) -> Result<(), String> {
    told_of(task(0), &begin(), events).await
}

async fn told_of(task: Task, begin: &Begin, events: &[Event]) -> Result<(), String> {
    let (channel, stdin, mut stdout) = host(64 * 1024);
    // The greeting and the beginning answer what is said before that.
    let at_once = (events.len().max(3) - 1).min(events.len());
    for event in &events[..at_once] {
        stdout.write_all(&wire::encode(event)).await.unwrap();
    }
    let last: Vec<_> = events[at_once..].iter().map(wire::encode).collect();
    tokio::spawn(async move {
        let mut lines = BufReader::new(stdin).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if matches!(wire::decode(line.as_bytes()), Ok(Message::End)) {
                stdout.write_all(&last.concat()).await.unwrap();
            }
        }
    });
    let mut listener = Heard::default();
    let silence = Duration::from_secs(5);
    let greeted = Conversation::begin(channel, &mut listener, clock(silence), begin, calm()).await;
    let (mut conversation, _) = greeted.map_err(|(lost, _)| lost.to_string())?;
    let mut offered = task.clone();
    for source in offered.resource.sources_mut() {
        if let crate::protocol::Source::Content(content) = source {
            conversation.offer(content, Body::Text("ab".into()));
        }
    }
    let sent = conversation.send(task).await;
    sent.map_err(|lost| lost.to_string())?;
    let finished = conversation.finish().await;
    finished.map(drop).map_err(|(lost, _)| lost.to_string())
}

fn resource(kind: &str, declared: &serde_json::Value) -> Task {
    let declared = serde_json::json!({ "kind": kind, "declared": declared });
    Task::new(0, serde_json::from_value(declared).unwrap())
}

fn applying() -> Begin {
    Begin {
        mode: Mode::Apply,
        claim: Some(crate::protocol::Claim {
            who: "a@b".to_owned(),
            wait_ms: 0,
        }),
        ..begin()
    }
}

fn finished(id: TaskId) -> Event {
    Event::Finished {
        id,
        outcome: Outcome::default(),
        keep: false,
    }
}

#[tokio::test]
async fn a_host_that_says_what_it_was_not_asked_is_not_believed() {
    const DONE: Event = Event::Done { cpu_ms: 0 };
    const STARTED: Event = Event::Started { id: 0 };
    let out_of_turn = |what| Err(format!("the helper said something out of turn: {what}"));
    let advanced = Event::Advanced(Advance {
        step: Step::Unpack,
        done: u64::MAX,
        total: 0,
    });
    let orphan = Event::Orphan(Box::new(Orphan {
        kind: "file".to_owned(),
        id: "/x".to_owned(),
        origin: Origin::default(),
        outcome: Outcome::default(),
    }));
    for (events, expected) in [
        (vec![hello(), begun(), finished(0), DONE], Ok(())),
        (
            vec![advanced.clone(), hello(), DONE],
            out_of_turn("no greeting"),
        ),
        (
            vec![
                hello(),
                begun(),
                STARTED,
                advanced.clone(),
                finished(0),
                DONE,
            ],
            Ok(()),
        ),
        (
            vec![hello(), begun(), advanced.clone(), finished(0), DONE],
            out_of_turn("that it comes on with a task not begun"),
        ),
        (
            vec![hello(), begun(), finished(0), advanced, DONE],
            out_of_turn("that it comes on with a task not begun"),
        ),
        // Nobody else is waited for by who only looks.
        (
            vec![hello(), Event::AwaitsTurn],
            out_of_turn("no beginning"),
        ),
        (
            vec![hello(), Event::Waiting { holder: None }],
            out_of_turn("no beginning"),
        ),
        (
            vec![hello(), Event::Locked { holder: None }],
            out_of_turn("no beginning"),
        ),
        (
            vec![hello(), begun(), Event::Confirmed, DONE],
            out_of_turn("that something is confirmed"),
        ),
        (
            vec![hello(), begun(), Event::Stopped, finished(0), DONE],
            out_of_turn("that it stops"),
        ),
        (vec![DONE], out_of_turn("no greeting")),
        (vec![hello(), DONE], out_of_turn("no beginning")),
        (
            vec![hello(), begun(), hello()],
            out_of_turn("a second greeting"),
        ),
        (
            vec![hello(), begun(), begun()],
            out_of_turn("a second beginning"),
        ),
        (
            vec![hello(), begun(), DONE],
            out_of_turn("an end before its last task"),
        ),
        (
            vec![hello(), begun(), finished(TaskId::MAX)],
            out_of_turn("the end of another task"),
        ),
        (
            vec![hello(), begun(), finished(0), finished(1), DONE],
            out_of_turn("the end of another task"),
        ),
        (
            vec![hello(), begun(), Event::Started { id: 1 }],
            out_of_turn("the beginning of another task"),
        ),
        (
            vec![
                hello(),
                begun(),
                Event::Started { id: 0 },
                Event::Started { id: 0 },
            ],
            out_of_turn("the beginning of another task"),
        ),
        (vec![hello(), begun(), orphan], out_of_turn("an orphan")),
    ] {
        assert_eq!(told(&events).await, expected, "{events:?}");
    }
}

#[tokio::test]
async fn what_a_task_cannot_ask_for_is_out_of_turn() {
    const DONE: Event = Event::Done { cpu_ms: 0 };
    const STARTED: Event = Event::Started { id: 0 };
    let unconfirmed = |within_ms| Event::Unconfirmed { within_ms };
    let keep = Event::Finished {
        id: 0,
        outcome: Outcome::default(),
        keep: true,
    };
    let sysctl = |name: &str| resource("sysctl", &serde_json::json!({"name": name, "value": "1"}));
    let net = sysctl("net.ipv4.ip_forward");
    let guarded = resource(
        "command",
        &serde_json::json!({"cmd": "true", "creates": "/x"}),
    );
    let confirm = "a wish to be confirmed";
    for (task, begin, events, expected) in [
        (
            &net,
            applying(),
            vec![STARTED, unconfirmed(60_000), finished(0), DONE],
            None,
        ),
        // In its time, once, and not before it is begun.
        (
            &net,
            applying(),
            vec![STARTED, unconfirmed(60_001)],
            Some(confirm),
        ),
        (&net, applying(), vec![unconfirmed(9)], Some(confirm)),
        (
            &net,
            applying(),
            vec![STARTED, unconfirmed(9), unconfirmed(9)],
            Some(confirm),
        ),
        (
            &net,
            applying(),
            vec![STARTED, finished(0), unconfirmed(9)],
            Some(confirm),
        ),
        (&net, begin(), vec![STARTED, unconfirmed(9)], Some(confirm)),
        (
            &sysctl("vm.swappiness"),
            applying(),
            vec![STARTED, unconfirmed(9)],
            Some(confirm),
        ),
        (
            &task(0),
            applying(),
            vec![STARTED, unconfirmed(9)],
            Some(confirm),
        ),
        // Only what would run again is to be heard.
        (
            &task(0),
            applying(),
            vec![STARTED, keep.clone(), DONE],
            None,
        ),
        (
            &task(0),
            begin(),
            vec![STARTED, keep.clone()],
            Some("a wish to be heard"),
        ),
        (
            &net,
            applying(),
            vec![STARTED, keep.clone()],
            Some("a wish to be heard"),
        ),
        (
            &guarded,
            applying(),
            vec![STARTED, keep.clone()],
            Some("a wish to be heard"),
        ),
    ] {
        let events: Vec<_> = [hello(), begun()].into_iter().chain(events).collect();
        let told = told_of(task.clone(), &begin, &events).await;
        let expected = expected.map_or(Ok(()), |what| {
            Err(format!("the helper said something out of turn: {what}"))
        });
        assert_eq!(told, expected, "{task:?} {events:?}");
    }
}

#[tokio::test]
async fn a_host_is_given_what_its_task_needs_and_nothing_else() {
    const DONE: Event = Event::Done { cpu_ms: 0 };
    let (own, other) = (Sha256::of(b"ab"), Sha256::of(b"of another task"));
    let content = serde_json::json!({ "sha256": own, "size": 2 });
    let copy = serde_json::json!({ "dest": "/x", "src": content });
    let copy = resource("copy", &copy);
    let need = |sha256| Event::Need { sha256 };
    let started = || Event::Started { id: 0 };
    let question = Err("the helper said something out of turn: \
                        a question for a content that is not its task's, or that it has"
        .to_owned());
    for (events, expected) in [
        (
            vec![
                started(),
                need(own),
                need(own),
                need(own),
                finished(0),
                DONE,
            ],
            Ok(()),
        ),
        (vec![started(), need(other)], question.clone()),
        (
            vec![started(), need(own), need(own), need(own), need(own)],
            question.clone(),
        ),
        (vec![started(), finished(0), need(own)], question),
    ] {
        let events: Vec<_> = [hello(), begun()].into_iter().chain(events).collect();
        let told = told_of(copy.clone(), &begin(), &events).await;
        assert_eq!(told, expected, "{events:?}");
    }
}

#[tokio::test]
async fn what_a_host_asks_for_is_counted_while_it_is_sent() {
    let text: std::sync::Arc<str> = "x".repeat(150_000).into();
    let (sha256, total) = (Sha256::of(text.as_bytes()), text.len() as u64);
    let (channel, mut stdin, mut stdout) = host(64 * 1024);
    for event in [hello(), begun(), Event::Need { sha256 }, finished(0)] {
        stdout.write_all(&wire::encode(&event)).await.unwrap();
    }
    tokio::spawn(async move { stdin.read_to_end(&mut Vec::new()).await });
    let (mut listener, silence) = (Heard::default(), Duration::from_secs(5));
    let mut conversation = greeted(channel, &mut listener, silence, calm()).await;
    let content = Content {
        sha256,
        size: total,
    };
    let copy = serde_json::json!({ "dest": "/x", "src": content });
    conversation.offer(&content, Body::Text(text));
    conversation.send(resource("copy", &copy)).await.unwrap();
    conversation.catch_up().await.unwrap();
    let told = &listener.advances;
    assert!(told.is_sorted_by_key(|(_, advance)| advance.done));
    let step = Step::Send;
    let done = total;
    assert_eq!(told.last(), Some(&(0, Advance { step, done, total })));
    assert!(told.len() > 2, "{told:?}");
}

/// What the host was told, and how often it was heard to stop, when it answers the message to stop
/// with `events` and the user wants no more tasks.
async fn stopped(events: &[Event]) -> (Vec<Message>, Result<u32, String>) {
    let (channel, stdin, mut stdout) = host(64 * 1024);
    for event in [hello(), begun()] {
        stdout.write_all(&wire::encode(&event)).await.unwrap();
    }
    let events: Vec<_> = events.iter().map(wire::encode).collect();
    let heard = tokio::spawn(async move {
        let mut heard = Vec::new();
        let mut lines = BufReader::new(stdin).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let message = wire::decode(line.as_bytes()).unwrap();
            if matches!(message, Message::Stop) {
                stdout.write_all(&events.concat()).await.unwrap();
            }
            heard.push(message);
        }
        heard
    });
    let (urgency, receiver) = watch::channel(Urgency::Hosts);
    let (mut listener, silence) = (Heard::default(), Duration::from_mins(1));
    let mut conversation = greeted(channel, &mut listener, silence, receiver).await;
    conversation.send(task(0)).await.unwrap();
    let over = tokio::spawn(async move {
        urgency.send_replace(Urgency::Tasks);
        std::future::pending::<()>().await;
    });
    let finished = conversation.finish().await;
    over.abort();
    let told = finished.map_err(|(lost, _)| lost.to_string());
    (heard.await.unwrap(), told.map(|_| listener.interruptions))
}

#[tokio::test]
async fn a_helper_is_told_once_that_nothing_more_is_to_be_begun() {
    const DONE: Event = Event::Done { cpu_ms: 0 };
    let (heard, told) = stopped(&[Event::Stopped, finished(0), DONE]).await;
    assert_eq!(told, Ok(1));
    let stops = heard.iter().filter(|it| matches!(it, Message::Stop));
    assert_eq!(stops.count(), 1, "{heard:?}");
    // Nothing was left to do.
    let (_, told) = stopped(&[finished(0), DONE]).await;
    assert_eq!(told, Ok(0));
    let (_, told) = stopped(&[Event::Stopped, Event::Stopped]).await;
    let lost = "the helper said something out of turn: that it stops".to_owned();
    assert_eq!(told, Err(lost));
}

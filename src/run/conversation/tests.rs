//! What is believed of a host, and what is not.

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream};

use super::*;
use crate::protocol::{Mode, Origin, Step, wire};
use crate::resource::AnyResource;

struct Deaf;

impl Listener for Deaf {
    fn started(&mut self, _: TaskId) {}
    fn advanced(&mut self, _: TaskId, _: Advance) {}
    fn finished(&mut self, _: TaskId, _: Outcome) {}
    fn orphan(&mut self, _: Orphan) {}
    async fn confirm(&mut self, _: Duration) {}
    fn waiting(&mut self, _: Option<&Holder>) {}
    fn awaits_turn(&mut self) {}
    fn begun(&mut self) {}
    fn interrupted(&mut self) {}
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

/// Two ends of a conversation; what is written to the second is heard by the controller.
fn host(room: usize) -> (Channel, DuplexStream, DuplexStream) {
    let (stdin, far_stdin) = tokio::io::duplex(room);
    let (stdout, far_stdout) = tokio::io::duplex(16 * 1024 * 1024);
    (Channel::over(stdin, stdout), far_stdin, far_stdout)
}

/// What becomes of one task on a host that says this and then nothing more, the last of it when
/// it was told that there is no more to do.
async fn told(events: &[Event]) -> Result<(), String> {
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
    let mut listener = Deaf;
    let silence = Duration::from_secs(5);
    let begun = Conversation::begin(channel, &mut listener, silence, &begin(), calm()).await;
    let (mut conversation, _) = begun.map_err(|(lost, _)| lost.to_string())?;
    let sent = conversation.send(task(0)).await;
    sent.map_err(|lost| lost.to_string())?;
    let finished = conversation.finish().await;
    finished.map(drop).map_err(|(lost, _)| lost.to_string())
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
    const UNCONFIRMED: Event = Event::Unconfirmed { within_ms: 9 };
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
            vec![hello(), begun(), advanced.clone(), finished(0), DONE],
            Ok(()),
        ),
        (vec![hello(), begun(), finished(0), advanced, DONE], Ok(())),
        (
            vec![hello(), begun(), STARTED, UNCONFIRMED, finished(0), DONE],
            Ok(()),
        ),
        (
            vec![hello(), begun(), UNCONFIRMED, DONE],
            out_of_turn("a wish to be confirmed"),
        ),
        (
            vec![hello(), begun(), STARTED, UNCONFIRMED, UNCONFIRMED, DONE],
            out_of_turn("a wish to be confirmed"),
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
async fn a_host_that_asks_for_contents_without_end_is_given_up() {
    let need = Event::Need {
        sha256: Sha256::of(b""),
    };
    let events: Vec<_> = [hello(), begun()]
        .into_iter()
        .chain(vec![need; NEEDS_LIMIT as usize + 1])
        .collect();
    let lost = told(&events).await.unwrap_err();
    assert!(
        lost.ends_with("a question for contents, again and again"),
        "{lost}"
    );
}

#[tokio::test]
async fn a_host_that_comes_on_without_end_is_given_up() {
    let advanced = Event::Advanced(Advance {
        step: Step::Unpack,
        done: 0,
        total: 0,
    });
    let events: Vec<_> = [hello(), begun()]
        .into_iter()
        .chain(vec![advanced; ADVANCES_LIMIT as usize + 1])
        .collect();
    let lost = told(&events).await.unwrap_err();
    assert!(
        lost.ends_with("that it comes on, again and again"),
        "{lost}"
    );
}

#[tokio::test]
async fn a_host_that_talks_and_does_not_listen_fills_no_memory() {
    let (channel, _stdin, mut stdout) = host(256);
    let long = wire::encode(&Event::Fatal {
        message: "x".repeat(INBOX_LIMIT / 8),
    });
    tokio::spawn(async move {
        for event in [hello(), begun()] {
            stdout.write_all(&wire::encode(&event)).await.unwrap();
        }
        while stdout.write_all(&long).await.is_ok() {}
    });
    let mut listener = Deaf;
    let silence = Duration::from_mins(10);
    let Ok((mut conversation, _)) =
        Conversation::begin(channel, &mut listener, silence, &begin(), calm()).await
    else {
        panic!("it greeted")
    };
    // The host takes none of it, so that sending goes on until it has said too much.
    let text = "x".repeat(1024);
    let lost = conversation.dismiss(text).await.unwrap_err();
    assert_eq!(
        lost.to_string(),
        "the helper said something out of turn: more than can be heard at once"
    );
    assert!(conversation.waiting <= INBOX_LIMIT);
}

/// Hears how far things have come.
#[derive(Default)]
struct Curious(Vec<(TaskId, Advance)>);

impl Listener for Curious {
    fn started(&mut self, _: TaskId) {}
    fn advanced(&mut self, id: TaskId, advance: Advance) {
        self.0.push((id, advance));
    }
    fn finished(&mut self, _: TaskId, _: Outcome) {}
    fn orphan(&mut self, _: Orphan) {}
    async fn confirm(&mut self, _: Duration) {}
    fn waiting(&mut self, _: Option<&Holder>) {}
    fn awaits_turn(&mut self) {}
    fn begun(&mut self) {}
    fn interrupted(&mut self) {}
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
    let (mut listener, silence) = (Curious::default(), Duration::from_secs(5));
    let begun = Conversation::begin(channel, &mut listener, silence, &begin(), calm()).await;
    let Ok((mut conversation, _)) = begun else {
        panic!("it greeted")
    };
    let content = Content {
        sha256,
        size: total,
    };
    conversation.offer(&content, Body::Text(text));
    conversation.send(task(0)).await.unwrap();
    conversation.catch_up().await.unwrap();
    let told = &listener.0;
    assert!(told.is_sorted_by_key(|(_, advance)| advance.done));
    let step = Step::Send;
    let done = total;
    assert_eq!(told.last(), Some(&(0, Advance { step, done, total })));
    assert!(told.len() > 2, "{told:?}");
}

#[tokio::test]
async fn a_host_that_stops_reading_is_given_up() {
    let (channel, _stdin, mut stdout) = host(256);
    for event in [hello(), begun()] {
        stdout.write_all(&wire::encode(&event)).await.unwrap();
    }
    let mut listener = Deaf;
    let silence = Duration::from_millis(50);
    let Ok((mut conversation, _)) =
        Conversation::begin(channel, &mut listener, silence, &begin(), calm()).await
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

/// How often it was told what.
#[derive(Default)]
struct Told {
    waits: u32,
    interruptions: u32,
}

impl Listener for Told {
    fn started(&mut self, _: TaskId) {}
    fn advanced(&mut self, _: TaskId, _: Advance) {}
    fn finished(&mut self, _: TaskId, _: Outcome) {}
    fn orphan(&mut self, _: Orphan) {}
    async fn confirm(&mut self, _: Duration) {}
    fn waiting(&mut self, _: Option<&Holder>) {
        self.waits += 1;
    }
    fn awaits_turn(&mut self) {
        self.waits += 1;
    }
    fn begun(&mut self) {}
    fn interrupted(&mut self) {
        self.interruptions += 1;
    }
}

#[tokio::test]
async fn a_turn_is_waited_for_as_long_as_the_host_says_so() {
    let (channel, _stdin, mut stdout) = host(64 * 1024);
    let waiting = Event::Waiting { holder: None };
    let turns = || Event::AwaitsTurn;
    for event in [hello(), waiting, turns(), turns(), turns(), begun()] {
        stdout.write_all(&wire::encode(&event)).await.unwrap();
    }
    let (mut listener, silence) = (Told::default(), Duration::from_secs(5));
    let begun = Conversation::begin(channel, &mut listener, silence, &begin(), calm()).await;
    assert!(begun.is_ok());
    drop(begun);
    assert_eq!(
        listener.waits, 2,
        "once for the other run, once for its own"
    );
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
    let (mut listener, silence) = (Told::default(), Duration::from_mins(1));
    let begun = Conversation::begin(channel, &mut listener, silence, &begin(), receiver).await;
    let Ok((mut conversation, _)) = begun else {
        panic!("it greeted")
    };
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

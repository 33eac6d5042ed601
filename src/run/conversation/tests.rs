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
    fn neighbours(&self, _: &Facts) -> Neighbours {
        Neighbours::AtWork
    }
    fn begun(&mut self, _: &Facts) {}
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
    let mut listener = Deaf;
    let silence = Duration::from_secs(5);
    let begun = Conversation::begin(channel, &mut listener, clock(silence), begin, calm()).await;
    let (mut conversation, _) = begun.map_err(|(lost, _)| lost.to_string())?;
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
async fn a_host_that_comes_on_without_end_is_given_up() {
    let advanced = Event::Advanced(Advance {
        step: Step::Unpack,
        done: 0,
        total: 0,
    });
    let events: Vec<_> = [hello(), begun(), Event::Started { id: 0 }]
        .into_iter()
        .chain(vec![advanced; 1000])
        .collect();
    let lost = told(&events).await.unwrap_err();
    assert!(
        lost.ends_with("that it comes on, again and again"),
        "{lost}"
    );
}

/// What becomes of so many tasks on a host that says how far it comes every minute, and is done
/// with one after so many minutes.
async fn dawdling(tasks: u32, minutes: u32) -> (Result<(), String>, Duration) {
    let (channel, stdin, mut stdout) = host(1024 * 1024);
    tokio::spawn(async move {
        let _stdin = stdin;
        let advanced = Event::Advanced(Advance {
            step: Step::Unpack,
            done: 0,
            total: 0,
        });
        let mut said = vec![hello(), begun()];
        for id in 0..tasks {
            said.push(Event::Started { id });
            for _ in 0..minutes {
                for event in said.drain(..) {
                    stdout.write_all(&wire::encode(&event)).await.unwrap();
                }
                tokio::time::sleep(Duration::from_mins(1)).await;
                said.push(advanced.clone());
            }
            said = vec![finished(id)];
        }
        said.push(Event::Done { cpu_ms: 0 });
        for event in said {
            stdout.write_all(&wire::encode(&event)).await.unwrap();
        }
    });
    let (mut listener, silence) = (Deaf, Duration::from_mins(15));
    let (start, begin) = (Instant::now(), begin());
    let begun = Conversation::begin(channel, &mut listener, clock(silence), &begin, calm());
    let Ok((mut conversation, _)) = begun.await else {
        panic!("it greeted")
    };
    for id in 0..tasks {
        conversation.send(task(id)).await.unwrap();
    }
    let finished = conversation.finish().await;
    let told = finished.map(drop).map_err(|(lost, _)| lost.to_string());
    (told, start.elapsed())
}

#[tokio::test(start_paused = true)]
async fn nothing_that_a_host_says_gives_it_more_time() {
    let (told, _) = dawdling(3, 14).await;
    assert_eq!(told, Ok(()), "each is in its time");
    let (told, taken) = dawdling(1, 24 * 60).await;
    assert!(
        told.as_ref()
            .is_err_and(|lost| lost.starts_with("a task did not end")),
        "{told:?}"
    );
    assert!(taken < Duration::from_mins(20), "{taken:?}");
    let (told, taken) = dawdling(100, 14).await;
    let lost = "the host took longer than the 3600 s that it has for this run; \
                `--host-timeout` gives it more";
    assert_eq!(told, Err(lost.to_owned()));
    assert!(taken < Duration::from_mins(62), "{taken:?}");
}

#[tokio::test(start_paused = true)]
async fn what_a_plan_declares_to_take_longer_is_given() {
    let mut patience = Patience::new(Duration::from_hours(1));
    let mut clock = Clock::new(Duration::from_mins(15), &mut patience);
    let usual = clock.plan(Some(Duration::from_mins(5)), 0);
    assert_eq!(usual, clock.plan(None, 0));
    assert_eq!(usual.all, Duration::from_mins(16));
    let long = clock.plan(Some(Duration::from_hours(2)), 16 * 1024 * 3600);
    assert_eq!(long.silence, Duration::from_mins(121));
    assert_eq!(long.all, Duration::from_mins(122) + Duration::from_hours(2));
    // However absurd it is.
    clock.plan(Some(Duration::MAX), u64::MAX);
    let mut patience = Patience::new(Duration::from_hours(1));
    Clock::new(Duration::from_mins(15), &mut patience).plan(Some(Duration::from_hours(2)), 0);
    assert_eq!(patience.left(), Duration::from_mins(60 + 121 - 15));
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
        Conversation::begin(channel, &mut listener, clock(silence), &begin(), calm()).await
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
    fn neighbours(&self, _: &Facts) -> Neighbours {
        Neighbours::AtWork
    }
    fn begun(&mut self, _: &Facts) {}
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
    let begun = Conversation::begin(channel, &mut listener, clock(silence), &begin(), calm()).await;
    let Ok((mut conversation, _)) = begun else {
        panic!("it greeted")
    };
    let content = Content {
        sha256,
        size: total,
    };
    let copy = serde_json::json!({ "dest": "/x", "src": content });
    conversation.offer(&content, Body::Text(text));
    conversation.send(resource("copy", &copy)).await.unwrap();
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
        Conversation::begin(channel, &mut listener, clock(silence), &begin(), calm()).await
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
    fn neighbours(&self, _: &Facts) -> Neighbours {
        Neighbours::AtWork
    }
    fn begun(&mut self, _: &Facts) {}
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
    let begin = applying();
    let begun = Conversation::begin(channel, &mut listener, clock(silence), &begin, calm()).await;
    assert!(begun.is_ok());
    drop(begun);
    assert_eq!(
        listener.waits, 2,
        "once for the other run, once for its own"
    );
}

/// Is the same machine as another host for so long.
struct Beside(Option<Instant>);

impl Listener for Beside {
    fn started(&mut self, _: TaskId) {}
    fn advanced(&mut self, _: TaskId, _: Advance) {}
    fn finished(&mut self, _: TaskId, _: Outcome) {}
    fn orphan(&mut self, _: Orphan) {}
    async fn confirm(&mut self, _: Duration) {}
    fn waiting(&mut self, _: Option<&Holder>) {}
    fn awaits_turn(&mut self) {}
    fn neighbours(&self, _: &Facts) -> Neighbours {
        match self.0 {
            None => Neighbours::None,
            Some(until) if Instant::now() < until => Neighbours::AtWork,
            Some(_) => Neighbours::Idle,
        }
    }
    fn begun(&mut self, _: &Facts) {}
    fn interrupted(&mut self) {}
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_nobody_has_is_not_waited_for() {
    for (others, pause, words, longest) in [
        (None, 10, "out of turn: that it waits for another host", 0),
        (Some(0), 10, "there is none at work", 71),
        // As long as the other one works, and some more.
        (Some(7200), 10, "there is none at work", 7271),
        (
            Some(7200),
            0,
            "out of turn: that it waits, again and again",
            0,
        ),
        (
            Some(7200),
            90,
            "nothing was heard from the helper for 60 s",
            60,
        ),
    ] {
        let (channel, _stdin, mut stdout) = host(64 * 1024);
        tokio::spawn(async move {
            let hello = wire::encode(&hello());
            stdout.write_all(&hello).await.unwrap();
            let awaits = wire::encode(&Event::AwaitsTurn);
            while stdout.write_all(&awaits).await.is_ok() {
                tokio::time::sleep(Duration::from_secs(pause)).await;
            }
        });
        let begin = Instant::now();
        let mut listener = Beside(others.map(|others| begin + Duration::from_secs(others)));
        let silence = Duration::from_mins(15);
        let applying = applying();
        let clock = clock(silence);
        let begun = Conversation::begin(channel, &mut listener, clock, &applying, calm()).await;
        let lost = begun.err().unwrap().0.to_string();
        assert!(lost.contains(words), "{others:?}: {lost}");
        let taken = begin.elapsed().as_secs();
        assert!(taken <= longest, "{others:?}: {taken} s");
    }
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
    let begun =
        Conversation::begin(channel, &mut listener, clock(silence), &begin(), receiver).await;
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

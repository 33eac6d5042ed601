//! How long a host is waited for, and how much it is heard out.

use tokio::time::Instant;

use super::*;

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
/// with one after so many minutes. All of them pass at once, on a paused clock.
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
    let (mut listener, silence) = (Heard::default(), Duration::from_mins(15));
    let start = Instant::now();
    let mut conversation = greeted(channel, &mut listener, silence, calm()).await;
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
    let mut listener = Heard::default();
    let silence = Duration::from_mins(10);
    let mut conversation = greeted(channel, &mut listener, silence, calm()).await;
    // The host takes none of it, so that sending goes on until it has said too much.
    let text = "x".repeat(1024);
    let lost = conversation.dismiss(text).await.unwrap_err();
    assert_eq!(
        lost.to_string(),
        "the helper said something out of turn: more than can be heard at once"
    );
    assert!(conversation.waiting <= INBOX_LIMIT);
}

#[tokio::test]
async fn a_host_that_stops_reading_is_given_up() {
    let (channel, _stdin, mut stdout) = host(256);
    for event in [hello(), begun()] {
        stdout.write_all(&wire::encode(&event)).await.unwrap();
    }
    let mut listener = Heard::default();
    let silence = Duration::from_millis(50);
    let mut conversation = greeted(channel, &mut listener, silence, calm()).await;
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

#[tokio::test]
async fn a_turn_is_waited_for_as_long_as_the_host_says_so() {
    let (channel, _stdin, mut stdout) = host(64 * 1024);
    let waiting = Event::Waiting { holder: None };
    let turns = || Event::AwaitsTurn;
    for event in [hello(), waiting, turns(), turns(), turns(), begun()] {
        stdout.write_all(&wire::encode(&event)).await.unwrap();
    }
    let (mut listener, silence) = (Heard::default(), Duration::from_secs(5));
    let begin = applying();
    let greeted = Conversation::begin(channel, &mut listener, clock(silence), &begin, calm()).await;
    assert!(greeted.is_ok());
    drop(greeted);
    assert_eq!(
        listener.waits, 2,
        "once for the other run, once for its own"
    );
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
        let others = others.map(|others| begin + Duration::from_secs(others));
        let mut listener = Heard {
            neighbours: Box::new(move || match others {
                None => Neighbours::None,
                Some(until) if Instant::now() < until => Neighbours::AtWork,
                Some(_) => Neighbours::Idle,
            }),
            ..Heard::default()
        };
        let silence = Duration::from_mins(15);
        let applying = applying();
        let clock = clock(silence);
        let greeted = Conversation::begin(channel, &mut listener, clock, &applying, calm()).await;
        let lost = greeted.err().unwrap().0.to_string();
        assert!(lost.contains(words), "{others:?}: {lost}");
        let taken = begin.elapsed().as_secs();
        assert!(taken <= longest, "{others:?}: {taken} s");
    }
}

//! Contents are asked for when needed, and verified before they are used.

use fleet::protocol::{Content, Event, Message, Mode, Outcome, Sha256, Status, Task};
use serde_json::json;

use super::*;

fn declared(machine: &Machine, bytes: &[u8]) -> (Content, Task) {
    let content = Content {
        sha256: Sha256::of(bytes),
        size: bytes.len() as u64,
    };
    let copy = task(
        0,
        "copy",
        json!({ "dest": machine.path("x"), "src": content, "mode": "0640" }),
    );
    (content, copy)
}

fn frame(content: &Content, bytes: &[u8]) -> Vec<u8> {
    let mut frame = wire::encode(&Message::Content {
        sha256: content.sha256,
        size: bytes.len() as u64,
    });
    frame.extend(bytes);
    frame
}

/// What the controller sends back.
type Answer = fn(&Content) -> Vec<u8>;

/// Declares `bytes`, answers the question for them with `answer`, and sees what comes of it.
fn answered(machine: &Machine, bytes: &[u8], answer: impl Fn(&Content) -> Vec<u8>) -> Outcome {
    let mut helper = machine.helper(Mode::Apply);
    let (content, copy) = declared(machine, bytes);
    helper.send(&Message::Task(Box::new(copy)));
    // Tasks that are on their way before the answer.
    let later = task(
        1,
        "file",
        json!({ "path": machine.path("later"), "state": "touch" }),
    );
    helper.send(&Message::Task(Box::new(later)));
    let mut asked = false;
    let outcome = loop {
        match helper.next().expect("an outcome") {
            Event::Need { sha256 } => {
                assert_eq!(sha256, content.sha256);
                helper.send_bytes(&answer(&content));
                if !asked {
                    helper.send(&Message::End);
                }
                asked = true;
            }
            Event::Started { id: 0 } => {}
            Event::Finished { id: 0, outcome, .. } => break outcome,
            event => panic!("unexpected {event:?}"),
        }
    };
    assert!(asked);
    let later = helper.finished(1);
    let stopped = outcome.status == Status::Failed;
    assert_eq!(
        later.status,
        if stopped {
            Status::Skipped
        } else {
            Status::Changed
        }
    );
    assert!(matches!(helper.next(), Some(Event::Done { .. })));
    outcome
}

#[test]
fn a_large_content_arrives_whole_and_is_asked_for_once() {
    let machine = Machine::new();
    let bytes: Vec<u8> = (0..3_000_001_u32)
        .map(|n| (n % 251).to_le_bytes()[0])
        .collect();
    let outcome = answered(&machine, &bytes, |content| frame(content, &bytes));
    assert_eq!(outcome.status, Status::Changed, "{outcome:?}");
    assert_eq!(fs::read(machine.path("x")).unwrap(), bytes);

    let again = machine.run(Mode::Apply, &[declared(&machine, &bytes).1]);
    assert_eq!(
        again[0].status,
        Status::Ok,
        "no question, for `run` would not answer it"
    );
}

#[test]
fn a_content_that_is_another_one_is_not_used() {
    let bytes = vec![b'a'; 300_000];
    let answers: [(&str, Answer); 4] = [
        ("its sha256 is ", |content| {
            frame(content, &vec![b'b'; 300_000])
        }),
        ("its size is 5, expected 300000", |content| {
            frame(content, b"short")
        }),
        ("its size is 400000, expected 300000", |content| {
            frame(content, &vec![b'a'; 400_000])
        }),
        ("the controller cannot send it: it changed", |content| {
            let (sha256, reason) = (content.sha256, "it changed".to_owned());
            wire::encode(&Message::ContentUnavailable { sha256, reason })
        }),
    ];
    for (reason, answer) in answers {
        let machine = Machine::new();
        fs::write(machine.path("x"), "old").unwrap();
        let outcome = answered(&machine, &bytes, answer);
        assert_eq!(outcome.status, Status::Failed);
        assert!(message(&outcome).contains(reason), "{}", message(&outcome));
        assert_eq!(machine.read("x"), "old");
        assert_eq!(
            fs::read_dir(machine.root()).unwrap().count(),
            1,
            "leftovers"
        );
    }
}

#[test]
fn a_content_that_is_cut_off_leaves_nothing_behind() {
    let machine = Machine::new();
    let bytes = vec![b'a'; 300_000];
    let (content, copy) = declared(&machine, &bytes);
    let mut helper = machine.helper(Mode::Apply);
    helper.send(&Message::Task(Box::new(copy)));
    while !matches!(helper.next().expect("a question"), Event::Need { .. }) {}
    let cut = frame(&content, &bytes);
    helper.send_bytes(&cut[..cut.len() - 1]);
    helper.hang_up();
    let (events, status, _) = helper.rest();
    assert!(!status.success());
    assert!(
        !events
            .iter()
            .any(|event| matches!(event, Event::Done { .. })),
        "{events:?}"
    );
    assert_eq!(
        fs::read_dir(machine.root()).unwrap().count(),
        0,
        "leftovers"
    );
}

#[test]
fn check_without_a_diff_asks_for_nothing() {
    let machine = Machine::new();
    let (_, copy) = declared(&machine, &vec![b'a'; 300_000]);
    let outcomes = machine.run(Mode::Check, &[copy]);
    assert_eq!(outcomes[0].status, Status::Drift);
}

#[test]
fn contents_that_a_killed_helper_left_are_removed_by_the_next_that_changes() {
    let machine = Machine::new();
    let staging = machine.state().join("staging");
    // No process has the first number, this one the second.
    let left = staging.join(format!(".fleet-{}-0123456789abcdef", u32::MAX));
    let used = staging.join(format!(".fleet-{}-0123456789abcdef", std::process::id()));
    for directory in [&left, &used] {
        fs::create_dir_all(directory).unwrap();
        fs::write(directory.join("a.rpm"), "half").unwrap();
    }
    machine.run(Mode::Check, &[]);
    assert!(left.exists(), "a check changes nothing");
    machine.run(Mode::Apply, &[]);
    assert!(!left.exists());
    assert!(used.join("a.rpm").exists());
}

//! One writer per host.

use fleet::protocol::{Claim, Event, Holder, Message, Mode, Status};
use serde_json::json;

use super::*;

fn claim(who: &str, wait: Duration) -> Message {
    let wait_ms = u64::try_from(wait.as_millis()).unwrap();
    begin(
        Mode::Apply,
        Some(Claim {
            who: who.to_owned(),
            wait_ms,
        }),
    )
}

/// A helper that was told how to run, and what it said to that.
fn claiming(machine: &Machine, who: &str, wait: Duration) -> (Helper, Option<Event>) {
    let mut helper = Helper::start(&machine.state());
    helper.next();
    helper.send(&claim(who, wait));
    let answer = helper.next();
    (helper, answer)
}

fn begun(answer: Option<&Event>) -> bool {
    matches!(answer, Some(Event::Begun { .. }))
}

/// Who is named as the one who has the lock.
fn named(answer: Option<&Event>) -> &str {
    match answer {
        Some(
            Event::Locked {
                holder: Some(Holder { who, .. }),
            }
            | Event::Waiting {
                holder: Some(Holder { who, .. }),
            }
            | Event::Begun {
                running: Some(Holder { who, .. }),
                ..
            },
        ) => who,
        _ => "",
    }
}

#[test]
fn the_second_is_told_who_the_first_is_and_changes_nothing() {
    let machine = Machine::new();
    let (_first, answer) = claiming(&machine, "a@one", Duration::ZERO);
    assert!(begun(answer.as_ref()), "{answer:?}");

    let (mut second, answer) = claiming(&machine, "b@two", Duration::ZERO);
    assert!(matches!(answer, Some(Event::Locked { .. })), "{answer:?}");
    assert_eq!(named(answer.as_ref()), "a@one");
    // What was sent without waiting for the answer is not done.
    let touch = json!({ "path": machine.path("x"), "state": "touch" });
    let _ = second
        .stdin
        .as_mut()
        .unwrap()
        .write_all(&wire::encode(&Message::Task(Box::new(task(
            0, "file", touch,
        )))));
    let (events, _, _) = second.rest();
    assert!(events.is_empty(), "{events:?}");
    assert!(!machine.path("x").exists());
}

#[test]
fn who_waits_goes_on_when_the_first_ends_and_sees_what_it_left() {
    let machine = Machine::new();
    let (mut first, _) = claiming(&machine, "a@one", Duration::ZERO);
    let (mut second, answer) = claiming(&machine, "b@two", DEADLINE);
    assert!(matches!(answer, Some(Event::Waiting { .. })), "{answer:?}");
    assert_eq!(named(answer.as_ref()), "a@one");

    let touch = json!({ "path": machine.path("x"), "state": "touch" });
    let touch = Task {
        notify: vec!["restart".to_owned()],
        ..task(0, "file", touch)
    };
    first.send(&Message::Task(Box::new(touch)));
    assert_eq!(first.finished(0).status, Status::Changed);
    first.send(&Message::End);
    let answer = second.next();
    let Some(Event::Begun { pending, .. }) = &answer else {
        panic!("{answer:?}")
    };
    assert_eq!(*pending, ["restart"], "it was pending only after the wait");
}

#[test]
fn a_killed_holder_holds_nothing() {
    let machine = Machine::new();
    let (mut first, _) = claiming(&machine, "a@one", Duration::ZERO);
    first.kill();
    let (_, answer) = claiming(&machine, "b@two", Duration::ZERO);
    assert!(begun(answer.as_ref()), "{answer:?}");
}

#[test]
fn a_program_that_a_task_leaves_running_does_not_keep_the_lock() {
    let machine = Machine::new();
    let (mut first, _) = claiming(&machine, "a@one", Duration::ZERO);
    let cmd = "sleep 5 > /dev/null 2>&1 < /dev/null & echo $! > pid";
    let stays = task(0, "shell", json!({ "cmd": cmd, "chdir": machine.root() }));
    first.send(&Message::Task(Box::new(stays)));
    assert_eq!(first.finished(0).status, Status::Changed);
    first.kill();
    let (_, answer) = claiming(&machine, "b@two", Duration::ZERO);
    assert!(begun(answer.as_ref()), "{answer:?}");
    let stayed = Path::new("/proc").join(machine.read("pid").trim());
    assert!(stayed.exists(), "it was to outlive the helper");
}

#[test]
fn a_check_takes_no_lock_and_says_who_has_it() {
    let machine = Machine::new();
    let checks = |machine: &Machine| machine.helper(Mode::Check);
    let idle = checks(&machine);
    assert!(begun(idle.beginning.as_ref()) && named(idle.beginning.as_ref()).is_empty());
    assert!(!machine.state().exists());

    let (first, answer) = claiming(&machine, "a@one", Duration::ZERO);
    assert!(
        begun(answer.as_ref()),
        "a check keeps nobody out: {answer:?}"
    );
    assert_eq!(named(checks(&machine).beginning.as_ref()), "a@one");
    drop(first);
    assert_eq!(named(checks(&machine).beginning.as_ref()), "");
}

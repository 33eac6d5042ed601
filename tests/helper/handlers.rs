//! Handlers cannot be lost.

use fleet::protocol::{Event, Judge, Message, Mode, Status, Task};
use serde_json::json;

use super::*;

fn notifying(machine: &Machine, id: TaskId, content: &str) -> Task {
    let copy = json!({ "dest": machine.path("config"), "content": content });
    Task {
        notify: vec!["restart".to_owned()],
        ..task(id, "copy", copy)
    }
}

fn handler(machine: &Machine, id: TaskId) -> Task {
    let appends = json!({ "cmd": "echo ran >> log", "chdir": machine.root() });
    Task {
        answers: vec!["restart".to_owned()],
        ..task(id, "shell", appends)
    }
}

#[test]
fn a_handler_runs_once_and_only_after_a_change() {
    use Status::{Changed, Drift, Ok, Skipped};
    let machine = Machine::new();
    let tasks = [notifying(&machine, 0, "a"), handler(&machine, 1)];

    let check = machine.run(Mode::Check, &tasks);
    assert_eq!(statuses(&check), [Drift, Skipped]);
    assert_eq!(message(&check[1]), "would run: it was notified");
    assert!(!machine.state().exists());

    assert_eq!(
        statuses(&machine.run(Mode::Apply, &tasks)),
        [Changed, Changed]
    );
    assert_eq!(statuses(&machine.run(Mode::Apply, &tasks)), [Ok, Skipped]);
    assert_eq!(machine.read("log"), "ran\n");
}

#[test]
fn a_pending_handler_survives_a_kill_and_is_drift_until_it_ran() {
    let machine = Machine::new();
    let mut killed = machine.helper(Mode::Apply);
    killed.send(&Message::Task(Box::new(notifying(&machine, 0, "a"))));
    killed.send(&Message::Task(Box::new(task(
        1,
        "command",
        json!({ "cmd": "sleep 3" }),
    ))));
    assert_eq!(killed.finished(0).status, Status::Changed);
    assert!(matches!(killed.next(), Some(Event::Started { id: 1 })));
    killed.kill();
    let events: Vec<_> = std::iter::from_fn(|| killed.next()).collect();
    assert!(events.is_empty(), "no Done from the dead: {events:?}");

    let tasks = [notifying(&machine, 0, "a"), handler(&machine, 1)];
    assert_eq!(machine.helper(Mode::Check).pending(), ["restart"]);
    let check = machine.run(Mode::Check, &tasks);
    assert_eq!(statuses(&check), [Status::Ok, Status::Drift]);
    assert_eq!(
        message(&check[1]),
        "handler pending since an interrupted run"
    );

    assert_eq!(
        statuses(&machine.run(Mode::Apply, &tasks)),
        [Status::Ok, Status::Changed]
    );
    assert_eq!(machine.read("log"), "ran\n");
    assert!(machine.helper(Mode::Check).pending().is_empty());
}

#[test]
fn a_handler_that_fails_stays_pending() {
    let machine = Machine::new();
    let fails = Task {
        answers: vec!["restart".to_owned()],
        ..task(1, "command", json!({ "cmd": "false" }))
    };
    let outcomes = machine.run(Mode::Apply, &[notifying(&machine, 0, "a"), fails]);
    assert_eq!(statuses(&outcomes), [Status::Changed, Status::Failed]);
    assert_eq!(machine.helper(Mode::Check).pending(), ["restart"]);
}

#[test]
fn what_surely_changed_nothing_notifies_nobody() {
    let machine = Machine::new();
    let refused = json!({ "dest": machine.path("x"), "content": "", "validate": "false %s" });
    let refused = Task {
        notify: vec!["restart".to_owned()],
        ..task(0, "copy", refused)
    };
    assert_eq!(
        machine.run(Mode::Apply, &[refused])[0].status,
        Status::Failed
    );
    assert!(machine.helper(Mode::Check).pending().is_empty());
}

#[test]
fn what_may_have_changed_something_stays_pending() {
    let machine = Machine::new();
    let half = json!({ "cmd": "touch half; exit 1", "chdir": machine.root() });
    let half = Task {
        notify: vec!["restart".to_owned()],
        ..task(0, "shell", half)
    };
    assert_eq!(machine.run(Mode::Apply, &[half])[0].status, Status::Failed);
    assert_eq!(machine.helper(Mode::Check).pending(), ["restart"]);
}

#[test]
fn a_verdict_of_unchanged_takes_back_only_its_own_notification() {
    let machine = Machine::new();
    let judged = |id, name: &str| Task {
        notify: vec![name.to_owned()],
        judged: true,
        ..task(id, "command", json!({ "cmd": "true" }))
    };
    let mut helper = machine.helper(Mode::Apply);
    for (id, name, changed) in [(0, "kept", true), (1, "kept", false), (2, "gone", false)] {
        helper.send(&Message::Task(Box::new(judged(id, name))));
        helper.finished(id);
        helper.send(&Message::Judge(Judge {
            id,
            changed,
            failed: false,
            again: false,
        }));
    }
    helper.send(&Message::End);
    assert!(matches!(helper.next(), Some(Event::Done { .. })));
    assert_eq!(machine.helper(Mode::Check).pending(), ["kept"]);
}

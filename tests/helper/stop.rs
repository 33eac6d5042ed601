//! What becomes of a plan when the controller wants no more of it.

use std::time::Instant;

use fleet::protocol::{Event, Message, Mode, Task};

use super::*;

/// Says that it has begun, waits for the file `go`, and says that it is over.
fn waiting(machine: &Machine, id: TaskId) -> Task {
    let cmd = "echo begun >> log; while ! test -e go; do sleep 0.02; done; echo over >> log";
    task(id, "shell", json!({ "cmd": cmd, "chdir": machine.root() }))
}

fn eventually(what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !done() {
        assert!(Instant::now() < deadline, "{what}: not in time");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Sends tasks, says while the first runs that nothing more is to be begun, and then lets it end.
fn interrupted(machine: &Machine, tasks: &[Task], last: &[Message]) -> Helper {
    let mut helper = machine.helper(Mode::Apply);
    for task in tasks {
        helper.send(&Message::Task(Box::new(task.clone())));
    }
    for message in last {
        helper.send(message);
    }
    eventually("the first task begins", || machine.path("log").exists());
    helper.send(&Message::Stop);
    fs::write(machine.path("go"), "").unwrap();
    helper
}

/// What was said of each task, in the order in which it was said.
fn said(events: &[Event]) -> Vec<String> {
    let said = events.iter().filter_map(|event| match event {
        Event::Stopped => Some("stopped".to_owned()),
        Event::Finished { id, outcome, .. } => Some(format!("{id} {:?}", outcome.status)),
        Event::Done { .. } => Some("done".to_owned()),
        _ => None,
    });
    said.collect()
}

#[test]
fn the_task_that_runs_ends_and_no_other_is_begun() {
    let machine = Machine::new();
    let tasks: Vec<_> = (0..3).map(|id| waiting(&machine, id)).collect();
    // It comes last, after everything that was sent without waiting.
    let helper = interrupted(&machine, &tasks, &[Message::End]);
    let (events, status, _) = helper.rest();
    assert!(status.success());
    let expected = ["0 Changed", "stopped", "1 Skipped", "2 Skipped", "done"];
    assert_eq!(said(&events), expected);
    assert_eq!(machine.read("log"), "begun\nover\n");
    let skipped = events.iter().find_map(|event| match event {
        Event::Finished { id: 1, outcome, .. } => outcome.message.clone(),
        _ => None,
    });
    assert_eq!(skipped.as_deref(), Some("not run: the run was interrupted"));
}

#[test]
fn what_was_notified_stays_pending_and_the_lock_is_free() {
    let machine = Machine::new();
    let notify = vec!["restart".to_owned()];
    let first = Task {
        notify: notify.clone(),
        ..waiting(&machine, 0)
    };
    let handler = Task {
        answers: notify,
        ..waiting(&machine, 1)
    };
    // Its condition would be false, and yet the run did not get there.
    let dismissed = Message::Dismiss {
        handler: "restart".to_owned(),
    };
    let tasks = [first.clone(), handler.clone()];
    let helper = interrupted(&machine, &tasks, &[dismissed, Message::End]);
    let (events, _, _) = helper.rest();
    assert_eq!(said(&events), ["0 Changed", "stopped", "1 Skipped", "done"]);
    let mut next = machine.helper(Mode::Apply);
    assert_eq!(next.pending(), ["restart"]);
    next.send(&Message::Task(Box::new(Task { id: 0, ..handler })));
    next.send(&Message::End);
    assert_eq!(statuses(&next.outcomes()), [Status::Changed]);
    assert_eq!(machine.helper(Mode::Apply).pending(), [] as [&str; 0]);
}

/// The user may ask for it when there is nothing left to stop.
#[test]
fn a_plan_that_is_over_is_not_interrupted() {
    let machine = Machine::new();
    let helper = interrupted(&machine, &[waiting(&machine, 0)], &[Message::End]);
    let (events, status, _) = helper.rest();
    assert!(status.success());
    assert_eq!(said(&events), ["0 Changed", "done"]);

    let machine = Machine::new();
    let mut helper = interrupted(&machine, &[waiting(&machine, 0)], &[Message::Pause]);
    assert_eq!(helper.finished(0).status, Status::Changed);
    assert!(matches!(helper.next(), Some(Event::Done { .. })));
    helper.hang_up();
    let (events, status, said) = helper.rest();
    assert!(status.success() && events.is_empty(), "{events:?} {said}");
}

//! What becomes of a step when nobody is left to hear of its end.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use fleet::protocol::{Begin, Claim, Event, Message, Mode, Status, Task};
use serde_json::json;

use super::*;

/// A helper that works for a playbook.
fn playing(machine: &Machine, mode: Mode, playbook: &str) -> Helper {
    let mut helper = Helper::start(&machine.state());
    helper.next();
    helper.send(&Message::Begin(Begin {
        mode,
        diff: false,
        run_id: "test".to_owned(),
        claim: (mode == Mode::Apply).then(|| Claim {
            who: "a@one".to_owned(),
            wait_ms: 10_000,
        }),
        playbook: Some(playbook.to_owned()),
    }));
    helper.beginning = helper.next();
    assert!(matches!(helper.beginning, Some(Event::Begun { .. })));
    helper
}

/// Writes a line, takes its time, prints, and ends with a status.
fn slow(machine: &Machine, id: TaskId, status: i32) -> Task {
    let cmd = format!("echo ran >> log; sleep 0.7; echo said; echo end >> log; exit {status}");
    task(id, "shell", json!({ "cmd": cmd, "chdir": machine.root() }))
}

/// Sends tasks and is gone as soon as the first has begun; comes back when the helper has ended.
fn lose<'t>(mut helper: Helper, tasks: impl IntoIterator<Item = &'t Task>) {
    for task in tasks {
        helper.send(&Message::Task(Box::new(task.clone())));
    }
    assert!(matches!(helper.next(), Some(Event::Started { .. })));
    helper.stdin = None;
    helper.close_ears();
    assert!(!helper.child.wait().unwrap().success());
}

/// The outcome of the one task, and whether the helper wanted to know that it was heard.
fn ask(mut helper: Helper, task: &Task) -> (Outcome, bool) {
    helper.send(&Message::Task(Box::new(task.clone())));
    helper.send(&Message::End);
    let heard = loop {
        match helper.next().expect("an outcome") {
            Event::Finished { outcome, keep, .. } => break (outcome, keep),
            Event::Started { .. } => {}
            event => panic!("{event:?}"),
        }
    };
    assert!(matches!(helper.next(), Some(Event::Done { .. })));
    if heard.1 {
        helper.send(&Message::Heard { id: task.id });
    }
    assert!(helper.child.wait().unwrap().success());
    heard
}

fn apply(machine: &Machine, task: &Task) -> (Outcome, bool) {
    ask(playing(machine, Mode::Apply, "a.yml"), task)
}

#[test]
fn a_step_ends_and_the_next_apply_reads_its_result_once() {
    let machine = Machine::new();
    let step = slow(&machine, 0, 0);
    let never = task(
        1,
        "file",
        json!({ "path": machine.path("x"), "state": "touch" }),
    );
    lose(playing(&machine, Mode::Apply, "a.yml"), [&step, &never]);
    assert_eq!(machine.read("log"), "ran\nend\n", "to its end");
    assert!(!machine.path("x").exists(), "no further step is begun");
    let kept = fs::metadata(machine.state().join("unheard.json")).unwrap();
    assert_eq!(kept.permissions().mode() & 0o7777, 0o600);

    let before = machine.snapshot();
    let (foretold, _) = ask(playing(&machine, Mode::Check, "a.yml"), &step);
    assert_eq!(foretold.status, Status::Skipped);
    assert!(
        message(&foretold).contains("does not run it"),
        "{foretold:?}"
    );
    assert_eq!(machine.snapshot(), before);

    let (read, keep) = apply(&machine, &step);
    assert_eq!(read.status, Status::Changed);
    assert_eq!(read.output.as_ref().unwrap().stdout, "said\n");
    assert!(
        message(&read).contains("when the connection was lost; it was not run again"),
        "{read:?}"
    );
    assert!(keep, "it is as lost as before until it is heard");
    assert_eq!(machine.read("log"), "ran\nend\n");

    assert_eq!(apply(&machine, &step).0.status, Status::Changed);
    assert_eq!(machine.read("log"), "ran\nend\nran\nend\n");
}

#[test]
fn a_result_that_was_read_and_not_heard_is_read_again() {
    let machine = Machine::new();
    let step = slow(&machine, 0, 0);
    lose(playing(&machine, Mode::Apply, "a.yml"), [&step]);
    for _ in 0..2 {
        let mut helper = playing(&machine, Mode::Apply, "a.yml");
        helper.send(&Message::Task(Box::new(step.clone())));
        helper.send(&Message::End);
        helper.hang_up();
        let (events, status, _) = helper.rest();
        assert!(status.success() && events.len() == 3, "{events:?}");
    }
    assert_eq!(machine.read("log"), "ran\nend\n");
}

#[test]
fn what_was_heard_before_the_connection_was_lost_runs_again() {
    let machine = Machine::new();
    let quick = |id| {
        let cmd = json!({ "cmd": "echo quick >> log", "chdir": machine.root() });
        task(id, "shell", cmd)
    };
    let mut helper = playing(&machine, Mode::Apply, "a.yml");
    helper.send(&Message::Task(Box::new(quick(0))));
    assert_eq!(helper.finished(0).status, Status::Changed);
    helper.send(&Message::Heard { id: 0 });
    lose(helper, [&slow(&machine, 1, 0)]);

    let (outcome, _) = apply(&machine, &quick(0));
    assert_eq!(message(&outcome), "runs every time");
    let (outcome, _) = apply(&machine, &slow(&machine, 0, 0));
    assert!(
        message(&outcome).contains("was not run again"),
        "{outcome:?}"
    );
    assert_eq!(machine.read("log"), "quick\nran\nend\nquick\n");
}

#[test]
fn a_result_belongs_to_one_task_of_one_playbook() {
    let machine = Machine::new();
    let step = slow(&machine, 0, 0);
    lose(playing(&machine, Mode::Apply, "a.yml"), [&step]);
    let other = Task {
        notify: vec!["restart".to_owned()],
        ..step.clone()
    };
    assert_eq!(message(&apply(&machine, &other).0), "runs every time");
    let elsewhere = ask(playing(&machine, Mode::Apply, "b.yml"), &step);
    assert_eq!(message(&elsewhere.0), "runs every time");
    assert!(message(&apply(&machine, &step).0).contains("was not run again"));
}

#[test]
fn of_equal_tasks_it_is_the_one_that_was_lost() {
    let machine = Machine::new();
    let step = |id| slow(&machine, id, 0);
    let mut helper = playing(&machine, Mode::Apply, "a.yml");
    helper.send(&Message::Task(Box::new(step(0))));
    helper.finished(0);
    helper.send(&Message::Heard { id: 0 });
    lose(helper, [&step(1)]);

    let mut helper = playing(&machine, Mode::Apply, "a.yml");
    for id in 0..2 {
        helper.send(&Message::Task(Box::new(step(id))));
    }
    assert_eq!(message(&helper.finished(0)), "runs every time");
    let second = helper.finished(1);
    assert!(message(&second).contains("was not run again"), "{second:?}");
}

#[test]
fn a_failure_is_drift_in_check_and_fails_the_next_apply_alone() {
    let machine = Machine::new();
    let step = slow(&machine, 0, 3);
    lose(playing(&machine, Mode::Apply, "a.yml"), [&step]);
    let (found, _) = ask(playing(&machine, Mode::Check, "a.yml"), &step);
    assert_eq!(found.status, Status::Drift);
    assert_eq!(found.drift[0].attribute, "result");
    assert!(
        message(&found).contains("the next apply reads how"),
        "{found:?}"
    );

    let (read, _) = apply(&machine, &step);
    assert_eq!(read.status, Status::Failed);
    assert_eq!(read.output.as_ref().unwrap().rc, 3);
    assert!(message(&read).contains("ended with status 3"), "{read:?}");
    assert_eq!(machine.read("log"), "ran\nend\n");
    apply(&machine, &step);
    assert_eq!(machine.read("log"), "ran\nend\nran\nend\n");
}

#[test]
fn nothing_a_secret_task_prints_is_kept() {
    let keep = |hide: fn(&mut Task)| {
        let machine = Machine::new();
        let mut step = slow(&machine, 0, 0);
        hide(&mut step);
        lose(playing(&machine, Mode::Apply, "a.yml"), [&step]);
        let kept = fs::read_to_string(machine.state().join("unheard.json")).unwrap();
        assert!(!kept.contains("said"), "{kept}");
        let (read, _) = apply(&machine, &step);
        assert_eq!(machine.read("log"), "ran\nend\n");
        read
    };
    assert_eq!(keep(|step| step.no_log = true).status, Status::Changed);
    assert_eq!(keep(|step| step.sensitive = true).status, Status::Changed);
    let needed = keep(|step| {
        step.sensitive = true;
        step.needed = true;
    });
    assert_eq!(needed.status, Status::Failed, "nothing is decided by a gap");
    assert!(message(&needed).contains("was not kept"), "{needed:?}");
}

#[test]
fn pending_handlers_stay_pending_and_the_lock_is_free() {
    let machine = Machine::new();
    let step = Task {
        notify: vec!["restart".to_owned()],
        ..slow(&machine, 0, 0)
    };
    lose(playing(&machine, Mode::Apply, "a.yml"), [&step]);
    let next = playing(&machine, Mode::Apply, "a.yml");
    assert_eq!(next.pending(), ["restart"]);
    assert!(message(&ask(next, &step).0).contains("was not run again"));
    let handler = Task {
        answers: vec!["restart".to_owned()],
        ..slow(&machine, 0, 0)
    };
    lose(playing(&machine, Mode::Apply, "a.yml"), [&handler]);
    let next = playing(&machine, Mode::Apply, "a.yml");
    assert_eq!(next.pending(), ["restart"], "nobody heard that it ran");
    assert!(message(&ask(next, &handler).0).contains("was not run again"));
    let last = playing(&machine, Mode::Check, "a.yml");
    assert_eq!(last.pending(), [] as [&str; 0]);
    assert_eq!(machine.read("log"), "ran\nend\nran\nend\n");
}

/// Ends within some time, whatever it waits for.
fn ends(mut helper: Helper) {
    helper.hang_up();
    helper.close_ears();
    let until = Instant::now() + Duration::from_secs(15);
    while helper.child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < until, "it goes on");
        thread::sleep(Duration::from_millis(50));
    }
}

fn claiming(who: &str, wait_ms: u64) -> Message {
    let who = who.to_owned();
    begin(Mode::Apply, Some(Claim { who, wait_ms }))
}

fn greeted(machine: &Machine, message: &Message) -> Helper {
    let mut helper = Helper::start(&machine.state());
    assert!(matches!(helper.next(), Some(Event::Hello { .. })));
    helper.send(message);
    helper
}

#[test]
fn a_helper_that_waits_ends_with_its_controller() {
    thread::scope(|scope| {
        // For the lock of another run.
        scope.spawn(|| {
            let machine = Machine::new();
            let mut other = greeted(&machine, &claiming("a@x", 0));
            assert!(matches!(other.next(), Some(Event::Begun { .. })));
            let mut helper = greeted(&machine, &claiming("b@x", 3_600_000));
            assert!(matches!(helper.next(), Some(Event::Waiting { .. })));
            ends(helper);
        });
        // For its turn.
        scope.spawn(|| {
            let machine = Machine::new();
            let mut other = greeted(&machine, &claiming("a@x", 0));
            assert!(matches!(other.next(), Some(Event::Begun { .. })));
            let mut helper = greeted(&machine, &claiming("a@x", 0));
            assert!(matches!(helper.next(), Some(Event::AwaitsTurn)));
            ends(helper);
        });
        // For a program that only looks, and for what never comes out of a pipe.
        scope.spawn(|| {
            let machine = Machine::new();
            machine.program("waits", "mkfifo pipe; exec cat pipe");
            let mut helper = machine.helper(Mode::Check);
            let looks = task(0, "command", json!({"cmd": "true", "unless": "waits"}));
            helper.send(&Message::Task(Box::new(looks)));
            assert!(matches!(helper.next(), Some(Event::Started { .. })));
            ends(helper);
        });
        // A change is ended, however long it takes.
        scope.spawn(|| {
            let machine = Machine::new();
            machine.program("changes", "sleep 7; echo changed > log");
            let mut helper = machine.helper(Mode::Apply);
            let changes = task(0, "command", json!({"cmd": "changes"}));
            helper.send(&Message::Task(Box::new(changes)));
            assert!(matches!(helper.next(), Some(Event::Started { .. })));
            ends(helper);
            assert_eq!(machine.read("log"), "changed\n");
        });
    });
}

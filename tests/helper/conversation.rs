//! Check looks, apply changes once, and both say so.

use std::process::Command;

use fleet::protocol::{Event, Judge, Message, Mode, Status, Task};
use serde_json::json;

use super::*;

/// Something of everything, in an order in which one needs the other.
fn playbook(machine: &Machine) -> Vec<Task> {
    vec![
        task(
            0,
            "file",
            json!({ "path": machine.path("d/e"), "state": "directory", "mode": "0750" }),
        ),
        task(
            1,
            "copy",
            json!({ "dest": machine.path("d/e/c"), "content": "a\n", "mode": "0600" }),
        ),
        task(
            2,
            "lineinfile",
            json!({ "path": machine.path("d/e/c"), "line": "a" }),
        ),
        task(
            3,
            "file",
            json!({ "path": machine.path("l"), "state": "link", "src": "d" }),
        ),
        task(
            4,
            "shell",
            json!({ "cmd": "echo x > made", "chdir": machine.root(), "creates": machine.path("made") }),
        ),
        task(
            5,
            "file",
            json!({ "path": machine.path("old"), "state": "absent" }),
        ),
        task(
            6,
            "wait_for",
            json!({ "path": machine.path("made"), "timeout": 5 }),
        ),
    ]
}

#[test]
fn says_hello_and_goodbye_when_only_facts_are_wanted() {
    let machine = Machine::new();
    let mut helper = Helper::start(&machine.state());
    let Some(Event::Hello { facts }) = helper.next() else {
        panic!("no hello")
    };
    assert!(!facts.kernel.is_empty());
    helper.hang_up();
    let (events, status, said) = helper.rest();
    assert!(matches!(events[..], [Event::Done { .. }]), "{events:?}");
    assert!(status.success() && said.is_empty(), "{said}");
}

#[test]
fn is_nothing_to_be_started_by_hand() {
    for words in [&[][..], &["--help"], &["serve", "more"]] {
        #[expect(clippy::disallowed_methods, reason = "the process under test")]
        let output = Command::new(env!("CARGO_BIN_EXE_fleet-helper"))
            .args(words)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(output.stdout.is_empty());
        assert_eq!(String::from_utf8(output.stderr).unwrap().lines().count(), 1);
    }
}

#[test]
fn check_tells_what_differs_and_changes_nothing() {
    use Status::{Drift, Ok, Unknown};
    let machine = Machine::new();
    let before = machine.snapshot();
    let outcomes = machine.run(Mode::Check, &playbook(&machine));
    assert_eq!(
        statuses(&outcomes),
        [Drift, Drift, Unknown, Drift, Drift, Ok, Drift]
    );
    // The directory it is in will have been made by the task before it.
    assert!(
        outcomes[1].drift[0]
            .diff
            .as_deref()
            .unwrap()
            .ends_with("+a\n")
    );
    assert!(
        message(&outcomes[2]).starts_with("cannot be known before apply: "),
        "{outcomes:?}"
    );
    assert_eq!(machine.snapshot(), before);
}

#[test]
fn apply_changes_once_and_check_agrees() {
    use Status::{Changed, Ok};
    let machine = Machine::new();
    let tasks = playbook(&machine);
    let first = machine.run(Mode::Apply, &tasks);
    assert_eq!(
        statuses(&first),
        [Changed, Changed, Ok, Changed, Changed, Ok, Ok],
        "{first:?}"
    );
    assert!(first[1].drift[0].diff.as_deref().unwrap().ends_with("+a\n"));

    let before = machine.snapshot();
    for mode in [Mode::Check, Mode::Apply] {
        let again = machine.run(mode, &tasks);
        assert_eq!(statuses(&again), [Ok; 7], "{mode:?}: {again:?}");
        assert_eq!(machine.snapshot(), before, "{mode:?}");
    }
}

#[test]
fn a_change_that_does_not_show_is_a_failure() {
    let machine = Machine::new();
    let never = task(
        0,
        "command",
        json!({ "cmd": "true", "creates": machine.path("x") }),
    );
    let outcomes = machine.run(Mode::Apply, &[never]);
    assert_eq!(outcomes[0].status, Status::Failed);
    let expected = format!(
        "did not converge: creates is absent, expected {}",
        machine.path("x").display()
    );
    assert_eq!(message(&outcomes[0]), expected);
}

#[test]
fn a_failed_task_stops_the_host_unless_errors_are_ignored() {
    use Status::{Changed, Failed, Skipped};
    let machine = Machine::new();
    let fails = |id| {
        task(
            id,
            "shell",
            json!({ "cmd": "echo out; echo no >&2; exit 3" }),
        )
    };
    let ignored = Task {
        ignore_errors: true,
        ..fails(0)
    };
    let makes = |id, name| {
        task(
            id,
            "file",
            json!({ "path": machine.path(name), "state": "touch" }),
        )
    };
    let tasks = [ignored, makes(1, "before"), fails(2), makes(3, "after")];
    let outcomes = machine.run(Mode::Apply, &tasks);
    assert_eq!(statuses(&outcomes), [Failed, Changed, Failed, Skipped]);
    assert!(
        message(&outcomes[2]).contains("ended with status 3\n    no"),
        "{outcomes:?}"
    );
    let output = outcomes[2].output.as_ref().unwrap();
    assert_eq!(
        (output.rc, &*output.stdout),
        (3, "out\n"),
        "a failed command is registered too"
    );
    assert_eq!(message(&outcomes[3]), "not run: an earlier task failed");
    assert!(machine.path("before").exists() && !machine.path("after").exists());
}

#[test]
fn a_command_without_a_guard_runs_in_check_only_if_it_changes_nothing() {
    let machine = Machine::new();
    let touch = task(
        0,
        "command",
        json!({ "argv": ["touch", machine.path("x")] }),
    );
    let looks = Task {
        read_only: true,
        ..task(1, "shell", json!({ "cmd": "echo seen" }))
    };
    let outcomes = machine.run(Mode::Check, &[touch.clone(), looks.clone()]);
    assert_eq!(statuses(&outcomes), [Status::Skipped, Status::Ok]);
    assert!(message(&outcomes[0]).starts_with("runs every time"));
    assert_eq!(outcomes[1].output.as_ref().unwrap().stdout, "seen\n");
    assert!(!machine.path("x").exists());

    let outcomes = machine.run(Mode::Apply, &[touch, looks]);
    assert_eq!(statuses(&outcomes), [Status::Changed, Status::Ok]);
    assert_eq!(message(&outcomes[0]), "runs every time");
}

#[test]
fn the_controller_judges_and_later_tasks_keep_their_turn() {
    let machine = Machine::new();
    let mut helper = machine.helper(Mode::Apply);
    let judged = |id| Task {
        judged: true,
        ..task(id, "shell", json!({ "cmd": "exit 1" }))
    };
    let touch = |id, name| {
        task(
            id,
            "file",
            json!({ "path": machine.path(name), "state": "touch" }),
        )
    };
    for task in [
        judged(0),
        touch(1, "a"),
        judged(2),
        judged(3),
        touch(4, "b"),
    ] {
        helper.send(&Message::Task(Box::new(task)));
    }
    helper.send(&Message::End);
    assert_eq!(helper.finished(0).status, Status::Failed);
    helper.send(&Message::Judge(Judge {
        id: 0,
        changed: false,
        failed: false,
        again: false,
    }));
    assert_eq!(helper.finished(1).status, Status::Changed);
    assert_eq!(helper.finished(2).status, Status::Failed);
    helper.send(&Message::Judge(Judge {
        id: 2,
        changed: true,
        failed: true,
        again: false,
    }));
    assert_eq!(
        helper.finished(3).status,
        Status::Skipped,
        "and nobody waits for its verdict"
    );
    assert_eq!(helper.finished(4).status, Status::Skipped);
    assert!(matches!(helper.next(), Some(Event::Done { .. })));
}

#[test]
fn no_log_hides_every_value() {
    let machine = Machine::new();
    let secret = |task| Task {
        no_log: true,
        ignore_errors: true,
        ..task
    };
    let dest = machine.path("x");
    let tasks = [
        secret(task(
            0,
            "lineinfile",
            json!({ "path": dest, "line": "hunter2", "create": true }),
        )),
        secret(task(
            1,
            "shell",
            json!({ "cmd": "echo hunter2; echo hunter2 >&2; exit 1" }),
        )),
        secret(task(
            2,
            "copy",
            json!({ "dest": dest, "content": "hunter2", "validate": "grep hunter3 %s" }),
        )),
    ];
    for mode in [Mode::Check, Mode::Apply] {
        let mut helper = machine.helper(mode);
        for task in &tasks {
            helper.send(&Message::Task(Box::new(task.clone())));
        }
        helper.send(&Message::End);
        let outcomes = helper.outcomes();
        let shown = format!("{outcomes:?}");
        assert!(!shown.contains("hunter"), "{shown}");
        let drift = &outcomes[0].drift[0];
        assert!(drift.sensitive && drift.expected == "(hidden)" && drift.diff.is_none());
    }
}

#[test]
fn a_command_runs_as_another_user() {
    assert!(
        rustix::process::geteuid().is_root(),
        "only root can become another user"
    );
    let machine = Machine::new();
    let who = json!({ "cmd": "id -un; echo $HOME; umask", "run_as": "nobody" });
    let outcomes = machine.run(Mode::Apply, &[task(0, "shell", who)]);
    let stdout = &outcomes[0].output.as_ref().unwrap().stdout;
    assert_eq!(stdout.lines().next(), Some("nobody"), "{outcomes:?}");
    assert_ne!(stdout.lines().nth(1), Some("/root"));
    assert_eq!(stdout.lines().nth(2), Some("0022"));
}

//! Broken streams, full disks, noisy programs: no harm, and an honest answer.

use std::time::Instant;

use fleet::protocol::{Event, Message, Mode, Output, Status, Task};
use serde_json::json;

use super::*;

/// What is sent after the beginning, and what the helper says to it.
#[test]
fn a_stream_that_makes_no_sense_ends_without_done() {
    let machine = Machine::new();
    let touch = task(
        0,
        "file",
        json!({ "path": machine.path("x"), "state": "touch" }),
    );
    let line = wire::encode(&Message::Task(Box::new(touch)));
    let deep = [vec![b'['; 100_000], vec![b'\n']].concat();
    let cases: [(&str, &[u8]); 6] = [
        ("the stream ended in the middle of a plan", b""),
        (
            "the stream ended in the middle of a line",
            &line[..line.len() - 3],
        ),
        ("a line cannot be understood", b"GET / HTTP/1.1\r\n\r\n"),
        ("a line cannot be understood", &deep),
        (
            "a line cannot be understood",
            b"{\"message\":\"task\",\"id\":0,\"resource\":{\"kind\":\"no_such\"}}\n",
        ),
        (
            "out of turn",
            b"{\"message\":\"judge\",\"id\":9,\"changed\":true,\"failed\":false}\n",
        ),
    ];
    for (expected, bytes) in cases {
        let mut helper = machine.helper(Mode::Apply);
        helper.send_bytes(bytes);
        helper.hang_up();
        let (events, status, said) = helper.rest();
        let [Event::Fatal { message }] = &events[..] else {
            panic!("{expected}: {events:?}")
        };
        assert!(message.contains(expected), "{message}");
        assert_eq!(status.code(), Some(1), "{said}");
        assert!(!machine.path("x").exists());
    }
}

#[test]
fn a_controller_that_is_gone_stops_the_work() {
    let machine = Machine::new();
    let mut helper = machine.helper(Mode::Apply);
    let wait = task(0, "command", json!({ "cmd": "sleep 0.3" }));
    let touch = task(
        1,
        "file",
        json!({ "path": machine.path("x"), "state": "touch" }),
    );
    helper.send(&Message::Task(Box::new(wait)));
    helper.send(&Message::Task(Box::new(touch)));
    while !matches!(helper.next(), Some(Event::Started { id: 0 })) {}
    helper.close_ears();
    assert!(!helper.child.wait().unwrap().success());
    assert!(!machine.path("x").exists(), "a task was begun for nobody");
}

#[test]
fn programs_that_print_cannot_speak_for_the_helper() {
    let machine = Machine::new();
    let cmd = "echo '{\"event\":\"done\",\"cpu_ms\":1}'; printf '\\377\\0\\n' >&2; \
        echo '{\"event\":\"done\",\"cpu_ms\":2}' > /proc/$PPID/fd/1";
    let outcomes = machine.run(Mode::Apply, &[task(0, "shell", json!({ "cmd": cmd }))]);
    assert_eq!(outcomes[0].status, Status::Changed, "{outcomes:?}");
    assert!(outcomes[0].output.as_ref().unwrap().stdout.contains("done"));
}

#[test]
fn huge_output_is_cut_and_said_to_be() {
    let machine = Machine::new();
    let cmd = "head -c 20000000 /dev/zero | tr '\\0' x; head -c 20000000 /dev/zero >&2";
    let outcomes = machine.run(Mode::Apply, &[task(0, "shell", json!({ "cmd": cmd }))]);
    let output = outcomes[0].output.as_ref().unwrap();
    assert_eq!(
        (output.stdout.len(), output.stderr.len()),
        (Output::LIMIT, Output::LIMIT)
    );
    assert!(output.truncated);
}

#[test]
fn a_command_that_never_ends_is_ended() {
    let machine = Machine::new();
    let begin = Instant::now();
    let hangs = json!({ "cmd": "trap '' TERM; sleep 300 & wait; sleep 300", "timeout": 1 });
    let outcomes = machine.run(Mode::Apply, &[task(0, "shell", hangs)]);
    assert_eq!(outcomes[0].status, Status::Failed);
    assert!(
        message(&outcomes[0]).contains("was stopped after 1 s"),
        "{outcomes:?}"
    );
    assert!(begin.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_damaged_journal_is_fatal_and_named() {
    let machine = Machine::new();
    fs::create_dir(machine.state()).unwrap();
    fs::write(machine.state().join("pending.json"), "\0").unwrap();
    let mut helper = Helper::start(&machine.state());
    helper.send(&begin(Mode::Check, None));
    let (events, status, _) = helper.rest();
    let [Event::Hello { .. }, Event::Fatal { message }] = &events[..] else {
        panic!("{events:?}")
    };
    assert!(
        message.contains("pending.json cannot be understood"),
        "{message}"
    );
    assert!(!status.success());
}

#[test]
fn a_full_disk_fails_the_task_and_leaves_the_old_version() {
    let machine = Machine::new();
    let full = machine.path("full");
    fs::create_dir(&full).unwrap();
    let _mounted = Mounted::at(&full, &["-t", "tmpfs", "-o", "size=128k", "tmpfs"]);
    fs::write(full.join("x"), "old").unwrap();
    let large = json!({ "dest": full.join("x"), "content": "a".repeat(1_000_000) });
    let outcomes = machine.run(Mode::Apply, &[task(0, "copy", large)]);
    assert_eq!(outcomes[0].status, Status::Failed);
    assert!(
        message(&outcomes[0]).contains("No space left on device"),
        "{outcomes:?}"
    );
    assert!(message(&outcomes[0]).contains(full.join("x").to_str().unwrap()));
    assert_eq!(fs::read_to_string(full.join("x")).unwrap(), "old");
    assert_eq!(fs::read_dir(&full).unwrap().count(), 1, "leftovers");
}

#[test]
fn a_journal_that_cannot_be_written_prevents_the_change() {
    let machine = Machine::new();
    // A file where the state directory would be: nothing can be written below it, even by root.
    let state = machine.base.path().join("file");
    fs::create_dir(&state).unwrap();
    let mut helper = Helper::start(&state.join("state"));
    helper.next();
    helper.send(&begin(Mode::Apply, None));
    assert!(matches!(helper.next(), Some(Event::Begun { .. })));
    fs::remove_dir(&state).unwrap();
    fs::write(&state, "").unwrap();
    let touch = json!({ "path": machine.path("x"), "state": "touch" });
    let touch = Task {
        notify: vec!["restart".to_owned()],
        ..task(0, "file", touch)
    };
    helper.send(&Message::Task(Box::new(touch)));
    helper.send(&Message::End);
    let outcome = helper.finished(0);
    assert_eq!(outcome.status, Status::Failed);
    assert!(
        message(&outcome).contains("make the directory"),
        "{outcome:?}"
    );
    assert!(!machine.path("x").exists());
}

#[test]
fn a_file_bound_from_elsewhere_is_refused_and_not_written_in_place() {
    let machine = Machine::new();
    fs::write(machine.path("elsewhere"), "old").unwrap();
    fs::write(machine.path("x"), "").unwrap();
    let elsewhere = machine.path("elsewhere");
    let _mounted = Mounted::at(&machine.path("x"), &["--bind", elsewhere.to_str().unwrap()]);
    let copy = task(
        0,
        "copy",
        json!({ "dest": machine.path("x"), "content": "new" }),
    );
    let outcomes = machine.run(Mode::Apply, &[copy]);
    assert_eq!(outcomes[0].status, Status::Failed);
    assert!(
        message(&outcomes[0]).contains("x is a mount point"),
        "{outcomes:?}"
    );
    assert_eq!(machine.read("elsewhere"), "old");
    assert_eq!(
        fs::read_dir(machine.root()).unwrap().count(),
        2,
        "leftovers"
    );
}

/// Something mounted, for as long as it lives.
struct Mounted(PathBuf);

impl Mounted {
    #[expect(clippy::disallowed_methods, reason = "mount(8) is not under test")]
    fn at(path: &Path, arguments: &[&str]) -> Self {
        let mounted = Command::new("mount").args(arguments).arg(path).status();
        assert!(mounted.unwrap().success(), "this test needs root");
        Self(path.to_owned())
    }
}

impl Drop for Mounted {
    #[expect(clippy::disallowed_methods, reason = "umount(8) is not under test")]
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

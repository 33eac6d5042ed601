//! A controller that is killed, or told to stop, at any moment.

use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{Fleet, id_of, outcomes, parsed};
use crate::run::eventually;

fn signal(child: &Child, signal: Signal) {
    let id = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(id, signal).unwrap();
}

/// Each host says when it begins and when it is done.
fn slow(names: &[&str], keys: &str) -> Fleet {
    Fleet::new(
        names,
        &format!(
            r#"{keys}  tasks:
    - shell: "echo begun {{{{ inventory_hostname }}}} >> {{{{ here }}}}/log; sleep 0.3"
    - shell: "echo done {{{{ inventory_hostname }}}} >> {{{{ here }}}}/log"
"#
        ),
    )
}

#[test]
fn a_killed_controller_leaves_a_journal_to_go_on_with() {
    let names = ["a", "b", "c", "d"];
    // From before anything is begun to somewhere in the middle.
    for millis in [20, 200, 450, 700, 1_000, 1_400] {
        let fleet = slow(&names, "  serial: [1, 2]\n");
        let child = fleet.start_apply(&[]);
        std::thread::sleep(Duration::from_millis(millis));
        signal(&child, Signal::KILL);
        let killed = child.wait_with_output().unwrap();
        let shown = fleet.bare(&["runs", "show", "--format", "json"]);
        if shown.code != 0 {
            assert!(shown.stderr.contains("has a journal"), "{}", shown.all());
            assert_eq!(
                fleet.site.read("log"),
                "",
                "nothing is done that is not journaled"
            );
            continue;
        }
        let document = parsed(&shown);
        let log = fleet.site.read("log");
        for line in outcomes(&document) {
            let (host, outcome) = line.split_once(": ").unwrap();
            let begun = log.contains(&format!("begun {host}"));
            let done = log.contains(&format!("done {host}"));
            match outcome {
                "done" => assert!(done, "{line} after {millis} ms: {log}"),
                "untouched" => assert!(!begun, "{line} after {millis} ms: {log}"),
                "unknown" => {}
                _ => panic!("{line} after {millis} ms: {log}"),
            }
        }
        if killed.status.code() == Some(0) {
            continue;
        }
        let was_done: Vec<_> = outcomes(&document);
        let ended = fleet.run(&["apply", "--resume", &id_of(&document), "--yes"]);
        assert_eq!(ended.code, 0, "after {millis} ms: {}", ended.all());
        let all: Vec<_> = names.iter().map(|name| format!("{name}: done")).collect();
        assert_eq!(fleet.outcomes(), all);
        let resumed = fleet.site.read("log");
        for line in was_done.iter().filter(|line| line.ends_with(": done")) {
            let host = line.trim_end_matches(": done");
            let times = resumed.matches(&format!("begun {host}\n")).count();
            assert_eq!(times, 1, "{host} was done: {resumed}");
        }
    }
}

/// The first of two tasks on each host does not end before there is a file `go`.
fn held(names: &[&str]) -> Fleet {
    Fleet::new(
        names,
        r#"  serial: 1
  tasks:
    - name: hold
      shell: "echo begun {{ inventory_hostname }} >> {{ here }}/log; while ! test -e {{ here }}/go; do sleep 0.05; done"
    - shell: "echo done {{ inventory_hostname }} >> {{ here }}/log"
"#,
    )
}

#[test]
fn interrupted_once_the_task_under_way_is_finished_and_nothing_else_is_begun() {
    for sign in [Signal::INT, Signal::TERM] {
        let fleet = held(&["a", "b", "c"]);
        let mut child = fleet.start_apply(&["--format", "json"]);
        eventually("a begins", || fleet.site.read("log").contains("begun a"));
        signal(&child, sign);
        let mut said = String::new();
        let mut stderr = std::io::BufReader::new(child.stderr.take().unwrap());
        std::io::BufRead::read_line(&mut stderr, &mut said).unwrap();
        assert!(
            said.contains("once more, and fleet stops at once"),
            "{said}"
        );
        // The host hears of it a moment later.
        std::thread::sleep(Duration::from_secs(1));
        std::fs::write(fleet.site.path("go"), "").unwrap();
        let ended = fleet.site.end_of(child);
        assert_eq!(ended.code, 130, "{}", ended.all());
        let document = parsed(&ended);
        assert_eq!(document["interrupted"], true);
        assert_eq!(
            document["cut_short"]["interrupted"],
            serde_json::json!(["a"])
        );
        assert_eq!(
            document["cut_short"]["untouched"],
            serde_json::json!(["b", "c"])
        );
        let error = &document["hosts"][0]["error"];
        assert_eq!(error["class"], "interrupted");
        assert_eq!(
            error["message"],
            "interrupted after the task `hold`: 1 task done, and nothing else begun"
        );
        assert_eq!(document["hosts"][1]["status"], "untouched");
        assert_eq!(fleet.site.read("log"), "begun a\n");
        assert_eq!(
            fleet.outcomes(),
            ["a: interrupted", "b: untouched", "c: untouched"]
        );
        let ended = fleet.run(&["apply", "--resume", &id_of(&document), "--yes"]);
        assert_eq!(ended.code, 0, "{}", ended.all());
        assert_eq!(fleet.outcomes(), ["a: done", "b: done", "c: done"]);
        assert_eq!(fleet.log().len(), 7, "{:?}", fleet.log());
    }
}

/// Nobody waits for a task that would be repeated for an hour.
#[test]
fn interrupted_between_two_attempts_there_is_no_other() {
    let fleet = Fleet::new(
        &["a"],
        r#"  tasks:
    - name: wait
      shell: "echo attempt >> {{ here }}/log; exit 1"
      register: result
      until: result.rc == 0
      retries: 9
      delay: 3600
"#,
    );
    let child = fleet.start_apply(&["--format", "json"]);
    eventually("a begins", || fleet.site.read("log").contains("attempt"));
    std::thread::sleep(Duration::from_millis(300));
    signal(&child, Signal::INT);
    let ended = fleet.site.end_of(child);
    assert_eq!(ended.code, 130, "{}", ended.all());
    let document = parsed(&ended);
    assert_eq!(
        document["hosts"][0]["resources"][0]["message"],
        "interrupted: `until` was not met in 1 attempt by then",
        "{document:#}"
    );
    assert_eq!(fleet.log(), ["attempt"]);
    assert_eq!(fleet.outcomes(), ["a: interrupted"]);
}

#[test]
fn interrupted_twice_it_stops_at_once_and_the_journal_says_so() {
    let fleet = Fleet::new(
        &["a", "b"],
        "  serial: 1\n  tasks:\n    - shell: \"touch {{ here }}/begun; exec sleep 20\"\n",
    );
    let child = fleet.start_apply(&["--format", "json"]);
    eventually("a begins", || fleet.site.path("begun").exists());
    let begin = Instant::now();
    signal(&child, Signal::INT);
    std::thread::sleep(Duration::from_millis(300));
    signal(&child, Signal::INT);
    let ended = fleet.site.end_of(child);
    assert!(
        begin.elapsed() < Duration::from_secs(5),
        "{:?}",
        begin.elapsed()
    );
    assert_eq!(ended.code, 130, "{}", ended.all());
    let document = parsed(&ended);
    assert_eq!(document["hosts"][0]["error"]["class"], "abandoned");
    assert_eq!(fleet.outcomes(), ["a: unknown", "b: untouched"]);
    let shown = fleet.show(&id_of(&document));
    assert_eq!(
        (&shown["exit_code"], &shown["cut_short"]),
        (&130.into(), &"interrupted".into())
    );
}

/// What was asked for first is not to begin because it had to wait for its turn.
#[test]
fn a_host_that_waits_for_another_run_is_untouched_by_an_interrupted_one() {
    let fleet = Fleet::new(
        &["a"],
        "  tasks:\n    - shell: \"touch {{ here }}/begun; while ! test -e {{ here }}/enough; do sleep 0.05; done\"\n",
    );
    // One machine, and so one lock.
    let fleet = Fleet {
        site: fleet.site.file(
            "bin/sudo",
            "#!/bin/sh\nwhile [ \"$1\" != -- ]; do shift; done; shift\nexec \"$@\"\n",
        ),
    };
    let first = fleet.start_apply(&[]);
    eventually("a begins", || fleet.site.path("begun").exists());
    let mut second = fleet.start_apply(&["--lock-timeout", "1m"]);
    let mut said = std::io::BufReader::new(second.stderr.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut said, &mut line).unwrap();
    assert!(line.contains("waits for the end of"), "{line}");
    signal(&second, Signal::INT);
    let second = fleet.site.end_of(second);
    assert_eq!(second.code, 130, "{}", second.all());
    assert_eq!(fleet.outcomes(), ["a: untouched"]);
    std::fs::write(fleet.site.path("enough"), "").unwrap();
    assert_eq!(fleet.site.end_of(first).code, 0);
}

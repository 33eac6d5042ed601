//! What is journaled, and that nothing is done without it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::{Fleet, LOG, id_of};

fn play() -> String {
    format!("  tasks:\n{LOG}")
}

#[test]
fn nothing_is_changed_that_cannot_be_journaled() {
    for in_the_way in [".fleet", ".fleet/runs"] {
        let fleet = Fleet::new(&["a"], &play());
        let site = fleet.site.file(in_the_way, "not a directory");
        let fleet = Fleet { site };
        let ended = fleet.apply(&[]);
        assert_eq!(ended.code, 1, "{}", ended.all());
        assert!(
            ended
                .stderr
                .contains("nothing was begun: what is done could not be journaled"),
            "{}",
            ended.all()
        );
        assert!(fleet.log().is_empty());
        // What only looks needs no journal.
        assert_eq!(fleet.run(&["plan", "play.yml"]).code, 0);
    }
}

#[test]
fn a_journal_keeps_no_value_of_a_variable_and_is_its_owners() {
    let fleet = Fleet::new(&["a"], &play());
    let (document, code) =
        fleet.json(&["-e", "password=hunter2", "-e", "{\"token\": \"letmein\"}"]);
    assert_eq!(code, 0, "{document:#}");
    let path = format!(".fleet/runs/{}.jsonl", id_of(&document));
    let text = fleet.site.read(&path);
    assert!(
        text.contains("password") && text.contains("token"),
        "{text}"
    );
    assert!(
        !text.contains("hunter2") && !text.contains("letmein"),
        "{text}"
    );
    let mode = |path: &str| {
        fs::metadata(fleet.site.path(path))
            .unwrap()
            .permissions()
            .mode()
    };
    assert_eq!(mode(&path) & 0o777, 0o600);
    assert_eq!(mode(".fleet/runs") & 0o777, 0o700);
}

#[test]
fn what_only_looks_has_no_journal() {
    let fleet = Fleet::new(&["a"], &play());
    for verb in ["check", "plan"] {
        assert_eq!(fleet.run(&[verb, "play.yml"]).code, 0);
    }
    assert!(!fleet.site.path(".fleet/runs").exists());
    let ended = fleet.bare(&["runs", "show"]);
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("has a journal"), "{}", ended.all());
}

#[test]
fn a_run_is_shown_by_its_name_or_the_latest() {
    let fleet = Fleet::new(&["a", "gone"], &play());
    let (first, _) = fleet.json(&["-l", "a"]);
    let (second, _) = fleet.json(&[]);
    assert_eq!(id_of(&fleet.show(&id_of(&first))), id_of(&first));
    assert_eq!(fleet.outcomes(), ["a: done", "gone: unreachable"]);
    let document = fleet.show(&id_of(&second));
    assert_eq!(document["exit_code"], 4);
    assert_eq!(document["running"], false);
    let ended = fleet.bare(&["runs", "show", "20200101T000000Z-0000"]);
    assert_eq!(ended.code, 1, "{}", ended.all());
    assert!(
        ended.stderr.contains("there is no journal of a run"),
        "{}",
        ended.all()
    );
    let ended = fleet.bare(&["runs", "show", "../../etc/passwd"]);
    assert_eq!(ended.code, 1, "{}", ended.all());
}

//! Changes that are taken back unless somebody comes over a new connection.

use super::*;

/// A file that a change has made, and what to do without a confirmation in this time.
fn changed(machine: &Machine, within: Duration) {
    fs::write(machine.path("settings"), "new").unwrap();
    fs::create_dir_all(machine.state()).unwrap();
    let old = json!({ "bytes": b"old", "mode": 0o640 });
    let unconfirmed = json!({
        "within_ms": within.as_millis(),
        "back": {
            "parameters": [],
            "files": { machine.path("settings").to_str().unwrap(): old },
            "restart": null,
        }
    });
    let path = machine.state().join("unconfirmed.json");
    fs::write(path, unconfirmed.to_string()).unwrap();
}

#[expect(clippy::disallowed_methods, reason = "the process under test")]
fn watch(machine: &Machine) -> Child {
    Command::new(env!("CARGO_BIN_EXE_fleet-helper"))
        .arg("watch")
        .env("FLEET_STATE_DIR", machine.state())
        .spawn()
        .unwrap()
}

/// What a new helper answers to a confirmation.
fn confirm(machine: &Machine) -> Option<Event> {
    let mut helper = Helper::start(&machine.state());
    helper.next();
    helper.send(&Message::Confirm);
    helper.next()
}

#[test]
fn what_a_new_connection_confirms_stays() {
    let machine = Machine::new();
    changed(&machine, DEADLINE);
    let mut watch = watch(&machine);
    assert!(matches!(confirm(&machine), Some(Event::Confirmed)));
    assert_eq!(watch.wait().unwrap().code(), Some(0));
    assert_eq!(machine.read("settings"), "new");
    let Some(Event::Fatal { message }) = confirm(&machine) else {
        panic!("it is confirmed already")
    };
    assert!(message.contains("no change waits"), "{message}");
}

#[test]
fn what_nobody_confirms_is_taken_back_without_its_helper() {
    let machine = Machine::new();
    changed(&machine, Duration::from_millis(200));
    assert_eq!(watch(&machine).wait().unwrap().code(), Some(3));
    assert_eq!(machine.read("settings"), "old");
    let mode = fs::metadata(machine.path("settings")).unwrap().mode();
    assert_eq!(mode & 0o7777, 0o640);
    assert!(matches!(confirm(&machine), Some(Event::Fatal { .. })));
}

#[test]
fn a_check_confirms_nothing_and_the_next_apply_does() {
    let machine = Machine::new();
    changed(&machine, DEADLINE);
    let mut watch = watch(&machine);
    machine.run(Mode::Check, &[]);
    assert!(machine.state().join("unconfirmed.json").exists());
    let mut helper = Helper::start(&machine.state());
    helper.next();
    helper.send(&begin(
        Mode::Apply,
        Some(Claim {
            who: "a@one".to_owned(),
            wait_ms: 0,
        }),
    ));
    assert!(matches!(helper.next(), Some(Event::Begun { .. })));
    assert_eq!(watch.wait().unwrap().code(), Some(0));
    assert_eq!(machine.read("settings"), "new");
}

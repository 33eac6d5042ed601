//! The host is asked once for all who want to know the same, and anew after every change.

use fleet::protocol::{Message, Mode, Status, Task};
use serde_json::json;

use super::*;

/// A host whose systemctl and rpm are counted: each question is a line of `asked`. A unit's state
/// is in `units/NAME`, `active` unless written; a package is installed if `packages/NAME` exists.
fn counted() -> Machine {
    let machine = Machine::new();
    for directory in ["units", "packages"] {
        fs::create_dir(machine.path(directory)).unwrap();
    }
    machine.program(
        "systemctl",
        r#"
        verb=$1; shift
        [ "$verb" != --no-ask-password ] || { verb=$1; shift; }
        echo "systemctl $verb" >> asked
        between=
        for unit; do
            [ "$unit" != -p ] || break
            # As systemctl does: it stops at what it cannot tell.
            [ ! -e "units/$unit.refused" ] || exit 1
            state=active
            [ ! -e "units/$unit" ] || read -r state < "units/$unit"
            case $verb in
                show)
                    printf "$between"; between='\n'
                    echo "Names=$unit"
                    echo LoadState=loaded
                    echo "ActiveState=$state"
                    echo SubState=x
                    echo UnitFileState=enabled ;;
                is-enabled) echo enabled ;;
                start) echo active > "units/$unit" ;;
            esac
        done"#,
    );
    machine.program(
        "rpm",
        r#"
        echo "rpm $1" >> asked
        case $1 in
            --eval) pwd; exit ;;
            -e) rm packages/*; exit ;;
        esac
        while [ "$1" != -- ]; do shift; done
        shift
        for name; do
            if [ -e "packages/$name" ]
            then printf '=\t%s\t0\t1\t1\tnoarch\n' "$name"
            else echo "package $name is not installed"
            fi
        done"#,
    );
    machine
}

/// What was asked since this was asked last.
fn asked(machine: &Machine) -> Vec<String> {
    let lines = machine.read("asked").lines().map(str::to_owned).collect();
    fs::remove_file(machine.path("asked")).unwrap();
    lines
}

fn started(id: TaskId, name: &str) -> Task {
    let declared = json!({ "name": name, "state": "started", "enabled": true });
    task(id, "service", declared)
}

fn absent(id: TaskId, name: &str) -> Task {
    let declared =
        json!({ "packages": [{ "name": name }], "state": "absent", "versionlock": false });
    task(id, "rpm", declared)
}

fn shell(machine: &Machine, id: TaskId, words: &str) -> Task {
    task(
        id,
        "shell",
        json!({ "cmd": words, "chdir": machine.root() }),
    )
}

/// Runs tasks that come at once, as over a connection that is faster than the host.
fn run(machine: &Machine, mode: Mode, tasks: &[Task]) -> Vec<Outcome> {
    let mut helper = machine.helper(mode);
    let messages = tasks
        .iter()
        .map(|task| Message::Task(Box::new(task.clone())));
    let bytes: Vec<_> = messages
        .chain([Message::End])
        .flat_map(|message| wire::encode(&message))
        .collect();
    helper.send_bytes(&bytes);
    helper.outcomes()
}

#[test]
fn ten_services_and_ten_packages_are_one_question_each() {
    let machine = counted();
    let services = (0..10).map(|id| started(id, &format!("unit{id}")));
    let packages = (10..20).map(|id| absent(id, &format!("package{id}")));
    let tasks: Vec<_> = services.chain(packages).collect();
    for mode in [Mode::Check, Mode::Apply] {
        let outcomes = run(&machine, mode, &tasks);
        assert_eq!(statuses(&outcomes), [Status::Ok; 20]);
        assert_eq!(
            asked(&machine),
            ["systemctl show", "systemctl is-enabled", "rpm -q"]
        );
    }
}

#[test]
fn what_was_heard_of_several_is_told_of_each() {
    use Status::{Drift, Ok};
    let machine = counted();
    fs::write(machine.path("units/b.service"), "failed\n").unwrap();
    fs::write(machine.path("packages/y"), "").unwrap();
    let tasks = [
        started(0, "a"),
        started(1, "b"),
        started(2, "c"),
        absent(3, "x"),
        absent(4, "y"),
        absent(5, "z"),
    ];
    assert_eq!(
        statuses(&run(&machine, Mode::Check, &tasks)),
        [Ok, Drift, Ok, Ok, Drift, Ok]
    );
}

#[test]
fn after_every_change_the_host_is_asked_anew() {
    use Status::{Changed, Ok};
    let machine = counted();
    let tasks = [
        started(0, "a"),
        absent(1, "x"),
        // Both were asked about together with those before.
        shell(
            &machine,
            2,
            "echo failed > units/b.service; touch packages/y",
        ),
        started(3, "b"),
        absent(4, "y"),
        started(5, "a"),
    ];
    let outcomes = run(&machine, Mode::Apply, &tasks);
    assert_eq!(
        statuses(&outcomes),
        [Ok, Ok, Changed, Changed, Changed, Ok],
        "{outcomes:?}"
    );
    assert_eq!(machine.read("units/b.service"), "active\n");
    assert!(!machine.path("packages/y").exists());
}

#[test]
fn a_command_that_says_it_only_looks_is_not_believed_in_a_check_either() {
    use Status::{Drift, Ok};
    let machine = counted();
    let looks = Task {
        read_only: true,
        ..shell(&machine, 1, "echo failed > units/b.service")
    };
    let tasks = [started(0, "a"), looks, started(2, "b")];
    assert_eq!(
        statuses(&run(&machine, Mode::Check, &tasks)),
        [Ok, Ok, Drift]
    );
}

#[test]
fn what_cannot_be_told_of_one_unit_is_told_of_the_others() {
    use Status::{Ok, Unknown};
    let machine = counted();
    fs::write(machine.path("units/b.service.refused"), "").unwrap();
    let tasks = [started(0, "a"), started(1, "b"), started(2, "c")];
    assert_eq!(
        statuses(&run(&machine, Mode::Check, &tasks)),
        [Ok, Unknown, Ok]
    );
}

//! `check` and `plan` change nothing on a host but fleet's own cache; of a host that is standard
//! and drifted, `host_init` and `drift` show the same.

use crate::host_state::{quiet, same, state};
use crate::machine::Machine;

/// Together they have every kind.
const PLAYBOOKS: [&str; 3] = [
    "playbooks/host-init.yml",
    "tests/lab/drift/host.yml",
    "tests/lab/drift/docker.yml",
];

#[test]
fn check_and_plan_leave_an_empty_host_as_it_was() {
    let machine = Machine::pristine();
    quiet(&machine);
    let before = state(&machine);
    for playbook in PLAYBOOKS {
        let _ = machine.fleet(&["plan", playbook, "-D"]);
        let check = machine.fleet(&["check", playbook, "--format", "json"]);
        assert_eq!(check.json()["summary"]["failed"], 0, "{}", check.stdout());
        assert_ne!(check.findings(), Vec::<String>::new(), "{playbook}");
    }
    same(&before, &state(&machine));
    assert_eq!(
        machine.sh("ls -A /tmp /var/tmp | grep -i fleet || true"),
        ""
    );
}

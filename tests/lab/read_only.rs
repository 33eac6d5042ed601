//! `check` and `plan` change nothing on a host but fleet's own cache; of a host that is standard
//! and drifted, `host_init` shows the same.

use crate::host_state::{quiet, same, state};
use crate::machine::Machine;

const PLAYBOOK: &str = "playbooks/host-init.yml";

#[test]
fn check_and_plan_leave_an_empty_host_as_it_was() {
    let machine = Machine::pristine();
    quiet(&machine);
    let before = state(&machine);
    let _ = machine.fleet(&["plan", PLAYBOOK, "-D"]).exits(2);
    let _ = machine.fleet(&["check", PLAYBOOK]).exits(2);
    same(&before, &state(&machine));
    assert_eq!(
        machine.sh("ls -A /tmp /var/tmp | grep -i fleet || true"),
        ""
    );
}

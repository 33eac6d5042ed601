//! Limits of memory under the version of control groups that this computer does not have: 1 is that
//! of EL7, 2 that of later systems.

use crate::limits::{self, Version};
use crate::machine::Machine;
use crate::on_container::containers::ENGINE;

/// As on a real EL7.
const VERSION_1: &str =
    "systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller";

#[test]
fn the_limit_that_counts_is_the_kernels_with_the_other_control_groups() {
    let (arguments, other) = match Version::here() {
        Version::One => ("", Version::Two),
        Version::Two => (VERSION_1, Version::One),
    };
    let machine = Machine::pristine_vm_with(arguments);
    assert_eq!(Version::of(&machine), other);
    let playbook = machine.playbook(ENGINE);
    let _ = machine.fleet(&["apply", &playbook, "-y"]).exits(0);
    limits::the_limit_that_counts_is_the_kernels(&machine);
}

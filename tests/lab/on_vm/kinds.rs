//! The kinds that change what the kernel is for all of the computer.

use crate::kinds::{self, Case};
use crate::machine::Machine;

const CASES: &[Case] = &[
    Case {
        tasks: "- name: Parameter\n  sysctl:\n    name: vm.swappiness\n    value: 7",
        proof: "test $(sysctl -n vm.swappiness) = 7",
        drift: "sysctl -qw vm.swappiness=60",
        findings: &["sysctl vm.swappiness: live 7 ← 60"],
    },
    Case {
        tasks: "- name: Module\n  kernel_module:\n    name: dummy",
        proof: "grep -q '^dummy ' /proc/modules && grep -qx dummy /etc/modules-load.d/dummy.conf",
        drift: "modprobe -r dummy",
        findings: &["kernel_module dummy: live loaded ← absent"],
    },
    Case {
        tasks: "- name: Module not wanted\n  kernel_module:\n    name: loop\n    state: absent",
        proof: "! grep -q '^loop ' /proc/modules",
        drift: "modprobe loop; echo loop > /etc/modules-load.d/loop.conf",
        findings: &[
            "kernel_module loop: live absent ← loaded",
            "kernel_module loop: persisted absent ← /etc/modules-load.d/loop.conf",
        ],
    },
];

#[test]
fn every_kind_converges_and_tells_the_truth_about_drift() {
    kinds::every_kind_converges_and_tells_the_truth_about_drift(&Machine::pristine_vm(), CASES);
}

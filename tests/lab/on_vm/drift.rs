//! Drifts of what the kernel is for all of a host: parameters, modules, a disk. Those of the thin
//! pool are planted by `standard_host`.

use crate::drift::play;
use crate::machine::Machine;

#[test]
fn of_the_kernel() {
    let machine = Machine::pristine_vm();
    play(&machine, "kernel", "tests/lab/drift/kernel.yml", &[]);
}

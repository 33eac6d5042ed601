//! Limits of memory under this computer's version of control groups; `on_vm` has the other one.

use super::containers::with_engine;
use crate::limits;

#[test]
fn the_limit_that_counts_is_the_kernels() {
    limits::the_limit_that_counts_is_the_kernels(&with_engine());
}

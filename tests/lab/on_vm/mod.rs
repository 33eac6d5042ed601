//! Tests that need a kernel of their own: device mapper and LVM, block devices, kernel modules,
//! kernel parameters outside `net.`, the other version of control groups.

mod drift;
mod kinds;
mod limits;
mod lost_connection;
mod lvm;
mod standard_host;

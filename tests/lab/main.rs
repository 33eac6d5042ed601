//! Tests on real machines: their own kernel, systemd, sshd, rpm, Docker. Run by `make test-lab`,
//! one after the other; every test begins on a pristine host.

mod become_root;
mod containers;
mod controller_killed;
mod daemon;
mod faults;
mod handlers;
mod host_init;
mod host_state;
mod kinds;
mod lvm;
mod machine;
mod read_only;
mod rpm;
mod services;

//! Tests on real machines: their own kernel, systemd, sshd, rpm, Docker. Run by `make test-lab`,
//! one after the other; every test begins on a pristine host.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![allow(clippy::disallowed_methods, reason = "tests start what they test")]
#![allow(
    clippy::unused_self,
    reason = "only whoever holds the machine may use it"
)]

mod become_root;
mod containers;
mod controller_killed;
mod daemon;
mod drift;
mod faults;
mod handlers;
mod haproxy;
mod host_init;
mod host_state;
mod kinds;
mod logins;
mod lost_connection;
mod lvm;
mod machine;
mod policy;
mod read_only;
mod refusals;
mod rpm;
mod secrecy;
mod services;
#[path = "../sshd/mod.rs"]
#[allow(
    dead_code,
    reason = "shared with the loopback tests, which use all of it"
)]
mod sshd;
mod standard_host;
mod swap;

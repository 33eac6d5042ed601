//! Tests on real machines: systemd, sshd, rpm, Docker. Run by `make test-lab`, two at a time; every
//! test begins on a pristine host. The folder says which machine a test needs: `on_container` those
//! that share this computer's kernel, `on_vm` those with a kernel of their own.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![allow(clippy::disallowed_methods, reason = "tests start what they test")]
#![allow(
    clippy::unused_self,
    reason = "only whoever holds the machine may use it"
)]

mod drift;
mod host_state;
mod kinds;
mod limits;
mod machine;
mod on_container;
mod on_vm;
mod secrecy;
#[path = "../sshd/mod.rs"]
#[allow(
    dead_code,
    reason = "shared with the loopback tests, which use all of it"
)]
mod sshd;

//! Tests that need a host with systemd, sshd, rpm and Docker, but no kernel of its own. They hold on
//! virtual machines too, where this computer cannot run containers.

mod become_root;
mod container_fields;
pub(crate) mod containers;
mod controller_killed;
mod daemon;
mod drift;
mod faults;
mod handlers;
mod haproxy;
mod host_init;
mod kinds;
mod limits;
mod logins;
mod lost_connection;
mod policy;
mod read_only;
mod refusals;
mod rpm;
mod services;
mod swap;

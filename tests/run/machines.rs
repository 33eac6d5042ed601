//! Machines of their own, over ssh, each with its state and so its lock.

use std::fs;

use crate::sshd::Sshd;

/// An inventory entry for a loopback host.
pub(super) fn host(name: &str, address: &str, port: u16, key: &str) -> String {
    format!(
        "    {name}: {{ansible_host: {address}, ansible_port: {port}, \
         ansible_ssh_private_key_file: {key}}}\n"
    )
}

pub(super) struct Machines {
    sshds: Vec<Sshd>,
    _states: tempfile::TempDir,
}

impl Machines {
    /// So many, of which the first knows the keys of all.
    pub(super) fn start(count: usize) -> Self {
        let states = tempfile::tempdir().unwrap();
        let sshds: Vec<_> = (0..count)
            .map(|number| {
                let state = states.path().join(number.to_string());
                Sshd::with(&format!("SetEnv FLEET_STATE_DIR={}", state.display()))
            })
            .collect();
        let known = sshds
            .iter()
            .map(|sshd| fs::read_to_string(sshd.path("known_hosts")).unwrap());
        let known: Vec<_> = known.collect();
        fs::write(sshds[0].path("known_hosts"), known.join("\n")).unwrap();
        Self {
            sshds,
            _states: states,
        }
    }

    /// They are `node0`, `node1` and so on.
    pub(super) fn inventory(&self) -> String {
        let node = |(number, sshd): (usize, &Sshd)| {
            let key = sshd.path("user_key").display().to_string();
            host(&format!("node{number}"), "127.0.0.1", sshd.port(), &key)
        };
        let hosts: String = self.sshds.iter().enumerate().map(node).collect();
        format!("all:\n  hosts:\n{hosts}")
    }

    /// The configuration that trusts all of them.
    pub(super) fn ssh_config(&self) -> String {
        self.sshds[0].path("ssh_config").display().to_string()
    }
}

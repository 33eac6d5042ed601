//! The rules over Docker's files: whom they belong to, who may read and write them.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::Path;

use serde::Deserialize;

use super::finding::{Finding, Subject};
use super::rule::Rule;
use super::settings::Settings;
use crate::host::FileMode;

/// Whom a file belongs to and who may use it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Access {
    pub(super) owner: String,
    pub(super) group: String,
    pub(super) mode: FileMode,
}

/// What a file should be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Guard {
    pub(super) path: String,
    /// Of root unless said otherwise.
    group: String,
    /// The most that may be allowed.
    mode: u32,
    /// The numbers in the benchmark, of owner and mode.
    pub(super) cis: (&'static str, &'static str),
}

/// Files whose paths the host tells.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Told {
    /// docker.service and its drop-ins.
    pub(super) service: Vec<String>,
    /// docker.socket and its drop-ins.
    pub(super) socket: Vec<String>,
    /// In /etc/docker/certs.d.
    pub(super) certificates: Vec<String>,
    /// The daemon's configuration, where that is not the usual file.
    pub(super) configuration: Option<String>,
    /// The socket of containerd.
    pub(super) containerd: Option<String>,
}

/// Everything that should be guarded; not all of it exists.
pub(super) fn guards(settings: &Settings, told: &Told) -> Vec<Guard> {
    let guard = |path: &str, mode, cis| Guard {
        path: path.to_owned(),
        group: "root".to_owned(),
        mode,
        cis,
    };
    let mut guards: Vec<Guard> = Vec::new();
    guards.extend(
        told.service
            .iter()
            .map(|path| guard(path, 0o644, ("3.1", "3.2"))),
    );
    guards.extend(
        told.socket
            .iter()
            .map(|path| guard(path, 0o644, ("3.3", "3.4"))),
    );
    guards.push(guard("/etc/docker", 0o755, ("3.5", "3.6")));
    guards.extend(told.certificates.iter().map(|path| {
        // The benchmark has nothing about the keys of clients.
        let mode = if is_key(path) { 0o400 } else { 0o444 };
        guard(path, mode, ("3.7", "3.8"))
    }));
    for (key, mode, cis) in [
        ("tlscacert", 0o444, ("3.9", "3.10")),
        ("tlscert", 0o444, ("3.11", "3.12")),
        ("tlskey", 0o400, ("3.13", "3.14")),
    ] {
        let path = settings.text(key);
        if !path.is_empty() {
            guards.push(guard(path, mode, cis));
        }
    }
    guards.push(Guard {
        group: settings.text("group").to_owned(),
        ..guard("/var/run/docker.sock", 0o660, ("3.15", "3.16"))
    });
    let configuration = told.configuration.as_deref();
    guards.push(guard(
        configuration.unwrap_or(super::DAEMON_JSON),
        0o644,
        ("3.17", "3.18"),
    ));
    guards.push(guard("/etc/default/docker", 0o644, ("3.19", "3.20")));
    guards.push(guard("/etc/sysconfig/docker", 0o644, ("3.22", "3.21")));
    let containerd = told.containerd.as_deref();
    guards.push(guard(
        containerd.unwrap_or("/run/containerd/containerd.sock"),
        0o660,
        ("3.23", "3.24"),
    ));
    let mut seen = BTreeSet::new();
    guards.retain(|guard| seen.insert(guard.path.clone()));
    guards
}

/// Everything that breaks a rule. What does not exist breaks none.
pub(super) fn findings(guards: &[Guard], files: &BTreeMap<String, Access>) -> Vec<Finding> {
    let mut found = Vec::new();
    for guard in guards {
        let Some(access) = files.get(&guard.path) else {
            continue;
        };
        let subject = Subject::Path(guard.path.clone());
        let expected = format!("root:{}", guard.group);
        let actual = format!("{}:{}", access.owner, access.group);
        if expected != actual {
            found.push(Finding::new(Rule::FileOwner, &subject, expected, actual).cis(guard.cis.0));
        }
        let allowed = FileMode::from_bits(guard.mode);
        if access.mode.bits() & !guard.mode != 0 {
            let expected = format!("at most {allowed}");
            let actual = access.mode.to_string();
            found.push(Finding::new(Rule::FileMode, &subject, expected, actual).cis(guard.cis.1));
        }
    }
    found
}

fn is_key(path: &str) -> bool {
    Path::new(path).extension() == Some(OsStr::new("key"))
}

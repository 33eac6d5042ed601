//! What auditd watches: now (`auditctl -l`), and after the next boot (its files of rules).
//!
//! Both are looked at, because each is wrong alone: a file that was never loaded watches
//! nothing, and a watch that is in no file is gone after a boot.

use std::path::Path;

use serde::Deserialize;

use super::finding::{Finding, Subject};
use super::rule::Rule;
use crate::host::{Command, Failure, Host};

/// What is to be watched, by its number in the benchmark; the first path of each that exists.
pub(super) const WATCHED: [(&str, &[&str]); 16] = [
    ("1.1.3", &["/usr/bin/dockerd", "/usr/sbin/dockerd"]),
    ("1.1.4", &["/run/containerd"]),
    ("1.1.5", &["/var/lib/docker"]),
    ("1.1.6", &["/etc/docker"]),
    (
        "1.1.7",
        &[
            "/etc/systemd/system/docker.service",
            "/usr/lib/systemd/system/docker.service",
            "/lib/systemd/system/docker.service",
        ],
    ),
    ("1.1.8", &["/run/containerd/containerd.sock"]),
    (
        "1.1.9",
        &[
            "/etc/systemd/system/docker.socket",
            "/usr/lib/systemd/system/docker.socket",
            "/lib/systemd/system/docker.socket",
        ],
    ),
    ("1.1.10", &["/etc/default/docker"]),
    ("1.1.11", &["/etc/docker/daemon.json"]),
    ("1.1.12", &["/etc/containerd/config.toml"]),
    ("1.1.13", &["/etc/sysconfig/docker"]),
    ("1.1.14", &["/usr/bin/containerd"]),
    ("1.1.15", &["/usr/bin/containerd-shim"]),
    ("1.1.16", &["/usr/bin/containerd-shim-runc-v1"]),
    ("1.1.17", &["/usr/bin/containerd-shim-runc-v2"]),
    ("1.1.18", &["/usr/bin/runc", "/usr/sbin/runc"]),
];

const RULES: &str = "/etc/audit/rules.d";
const COMPILED_RULES: &str = "/etc/audit/audit.rules";

/// Files of rules that are longer are none.
const LIMIT: u64 = 1 << 20;

/// What is watched, and what there is to watch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Audit {
    /// The rules in force; `None` without auditd.
    loaded: Option<Vec<String>>,
    /// The rules in its files.
    kept: Vec<String>,
    /// Which of the paths exist.
    existing: Vec<String>,
}

impl Audit {
    pub(super) fn look(host: &Host) -> Result<Self, Failure> {
        let loaded = match Command::new(["auditctl", "-l"]).run() {
            Ok(output) => Some(rules(&output.stdout)),
            Err(Failure::Missing(_)) => None,
            Err(failure) => return Err(failure),
        };
        let mut files = vec![COMPILED_RULES.into()];
        match std::fs::read_dir(RULES) {
            Ok(entries) => files.extend(entries.flatten().map(|entry| entry.path())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => return Err(Failure::io("list", Path::new(RULES), source)),
        }
        let mut kept = Vec::new();
        for file in files {
            if file.extension().is_some_and(|end| end == "rules")
                && let Some(bytes) = host.read(&file, LIMIT)?
            {
                kept.extend(rules(&String::from_utf8_lossy(&bytes)));
            }
        }
        let paths = WATCHED.iter().flat_map(|(_, paths)| *paths);
        let existing = paths.filter(|path| Path::new(path).exists());
        Ok(Self {
            loaded,
            kept,
            existing: existing.map(|&path| path.to_owned()).collect(),
        })
    }

    /// Everything that exists and is not watched for good.
    pub(super) fn findings(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        for (cis, paths) in WATCHED {
            let existing = paths
                .iter()
                .find(|path| self.existing.iter().any(|existing| existing == *path));
            let Some(path) = existing else { continue };
            let covers = |rules: &[String]| rules.iter().any(|rule| watches(rule, path));
            let actual = match (&self.loaded, covers(&self.kept)) {
                (None, _) => "auditd is not installed",
                (Some(loaded), true) if covers(loaded) => continue,
                (Some(loaded), false) if covers(loaded) => "watched until the next boot",
                (Some(_), true) => "in the files of auditd, but not loaded",
                (Some(_), false) => "not watched",
            };
            let subject = Subject::Path((*path).to_owned());
            let expected = "watched by auditd";
            found.push(Finding::new(Rule::AuditWatches, &subject, expected, actual).cis(cis));
        }
        found
    }
}

/// The rules in a text, without its comments.
fn rules(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim);
    let rules = lines.filter(|line| !line.starts_with('#'));
    rules.map(str::to_owned).collect()
}

/// Whether a rule watches `path` for writing, itself or with everything in a directory.
fn watches(rule: &str, path: &str) -> bool {
    let words: Vec<_> = rule.split_whitespace().collect();
    let after = |flag: &str| {
        let place = words.iter().position(|word| *word == flag)?;
        words.get(place + 1).copied()
    };
    let field = |name: &str| words.iter().find_map(|word| word.strip_prefix(name));
    let watched = after("-w")
        .or_else(|| field("path="))
        .or_else(|| field("dir="));
    let permissions = after("-p").or_else(|| field("perm=")).unwrap_or("rwxa");
    permissions.contains('w') && watched.is_some_and(|watched| Path::new(path).starts_with(watched))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_covers_its_path_and_what_is_in_it() {
        for (rule, path, covered) in [
            ("-w /usr/bin/dockerd -k docker", "/usr/bin/dockerd", true),
            (
                "-w /usr/bin/dockerd -p wa -k docker",
                "/usr/bin/dockerd",
                true,
            ),
            ("-w /usr/bin/dockerd -p x", "/usr/bin/dockerd", false),
            ("-w /etc/docker/ -p rwxa", "/etc/docker/daemon.json", true),
            ("-w /etc/dock -p rwxa", "/etc/docker", false),
            (
                "-a always,exit -F path=/usr/bin/runc -F perm=wa",
                "/usr/bin/runc",
                true,
            ),
            (" # -w /usr/bin/runc", "/usr/bin/runc", false),
            ("-w", "/usr/bin/runc", false),
            ("", "/usr/bin/runc", false),
        ] {
            let found = rules(rule).iter().any(|rule| watches(rule, path));
            assert_eq!(found, covered, "{rule}");
        }
    }

    #[test]
    fn only_what_is_loaded_and_kept_is_watched() {
        let rule = vec!["-w /usr/bin/runc -p rwxa".to_owned()];
        let audit = |loaded: Option<&Vec<String>>, kept: &[String]| Audit {
            loaded: loaded.cloned(),
            kept: kept.to_vec(),
            existing: vec!["/usr/bin/runc".to_owned()],
        };
        for (audit, actual) in [
            (audit(Some(&rule), &rule), None),
            (audit(Some(&rule), &[]), Some("watched until the next boot")),
            (
                audit(Some(&Vec::new()), &rule),
                Some("in the files of auditd, but not loaded"),
            ),
            (audit(Some(&Vec::new()), &[]), Some("not watched")),
            (audit(None, &rule), Some("auditd is not installed")),
        ] {
            let found = audit.findings();
            let found = found.first();
            assert_eq!(found.map(|found| found.actual.as_str()), actual);
            assert!(found.is_none_or(|found| found.cis == "1.1.18"));
        }
    }
}

//! Counts what is on a host: packages, kernel parameters, modules, the Docker engine's settings.
//!
//! Only what stays the same while nobody changes the host: hosts are compared by it, and a
//! counter would differ between any two. What cannot be told is told as such, section by section.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::docker_api::get_once;
use super::{Command, Failure, Host, docker_unit};
use crate::protocol::{Census, Counted, Section};

mod sysctls;

type Counts = BTreeMap<String, String>;

/// Counts one section.
type Count = fn(&Host) -> Result<Counts, Failure>;

/// Counts everything. Changes nothing, starts no service.
#[must_use]
pub(crate) fn take(host: &Host) -> Census {
    let sections: [(Section, Count); 4] = [
        (Section::Package, |_| packages()),
        (Section::Sysctl, |_| sysctls::read(Path::new("/proc/sys"))),
        (Section::Module, |_| modules()),
        (Section::Docker, docker),
    ];
    sections
        .into_iter()
        .map(|(section, count)| {
            let counted = match count(host) {
                Ok(counts) => Counted::Told(counts),
                Err(failure) => Counted::Untold(failure.to_string()),
            };
            (section, counted)
        })
        .collect()
}

/// Installed packages with all their versions, of whichever data base there is.
fn packages() -> Result<Counts, Failure> {
    let queries: [&[&str]; 2] = [
        &[
            "rpm",
            "-qa",
            "--qf",
            "%{NAME}.%{ARCH}\t%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}\n",
        ],
        &[
            "dpkg-query",
            "-W",
            "-f",
            "${Package}:${Architecture}\t${Version}\n",
        ],
    ];
    let mut packages: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut found = false;
    for query in queries {
        let output = match Command::new(query).run() {
            Ok(output) => output,
            Err(Failure::Missing(_)) => continue,
            Err(failure) => return Err(failure),
        };
        if output.truncated {
            return Err(Failure::Unexpected(format!(
                "`{}` lists more packages than can be told",
                query[0]
            )));
        }
        found = true;
        for (name, version) in output
            .stdout
            .lines()
            .filter_map(|line| line.split_once('\t'))
        {
            packages
                .entry(name.to_owned())
                .or_default()
                .push(version.to_owned());
        }
    }
    if !found {
        return Err(Failure::Missing(
            "there is neither rpm nor dpkg on this host".to_owned(),
        ));
    }
    let in_words = |(name, mut versions): (String, Vec<String>)| {
        versions.sort();
        (name, versions.join(", "))
    };
    Ok(packages.into_iter().map(in_words).collect())
}

fn modules() -> Result<Counts, Failure> {
    let path = Path::new("/proc/modules");
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        // A kernel without modules.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(source) => return Err(Failure::io("read", path, source)),
    };
    let names = text.lines().filter_map(|line| line.split(' ').next());
    Ok(names
        .map(|name| (name.to_owned(), "loaded".to_owned()))
        .collect())
}

/// What the engine says of itself, and `daemon.json`. A host without an engine has none, which
/// is an answer; one whose engine is stopped gives none.
fn docker(host: &Host) -> Result<Counts, Failure> {
    let mut counts = Counts::new();
    let path = Path::new("/etc/docker/daemon.json");
    match fs::read(path) {
        Ok(bytes) => daemon_json(&bytes, &mut counts),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(source) => return Err(Failure::io("read", path, source)),
    }
    if let Err(failure) = docker_unit::running(host) {
        return missing(counts, failure);
    }
    match get_once(host, "/info") {
        Ok(info) => settings(&info.unwrap_or_default(), &mut counts),
        Err(failure) => return missing(counts, failure),
    }
    Ok(counts)
}

fn missing(mut counts: Counts, failure: Failure) -> Result<Counts, Failure> {
    match failure {
        Failure::Missing(_) => {
            counts.insert("engine".to_owned(), "does not run".to_owned());
            Ok(counts)
        }
        failure => Err(failure),
    }
}

fn daemon_json(bytes: &[u8], counts: &mut Counts) {
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(settings)) => {
            // The addresses of proxies have passwords in them.
            let settings = settings.iter().filter(|(key, _)| !key.contains("prox"));
            counts
                .extend(settings.map(|(key, value)| (format!("daemon.json {key}"), shown(value))));
        }
        _ => {
            counts.insert("daemon.json".to_owned(), "no mapping in JSON".to_owned());
        }
    }
}

/// The settings that the engine tells.
fn settings(info: &Value, counts: &mut Counts) {
    counts.insert("engine".to_owned(), "runs".to_owned());
    for (name, value) in [
        ("version", &info["ServerVersion"]),
        ("storage driver", &info["Driver"]),
        ("data root", &info["DockerRootDir"]),
        ("log driver", &info["LoggingDriver"]),
        ("cgroup driver", &info["CgroupDriver"]),
        ("default runtime", &info["DefaultRuntime"]),
        ("live restore", &info["LiveRestoreEnabled"]),
        ("debug", &info["Debug"]),
        ("experimental", &info["ExperimentalBuild"]),
        ("security options", &info["SecurityOptions"]),
        ("labels", &info["Labels"]),
        ("mirrors", &info["RegistryConfig"]["Mirrors"]),
        (
            "insecure networks",
            &info["RegistryConfig"]["InsecureRegistryCIDRs"],
        ),
        ("swarm", &info["Swarm"]["LocalNodeState"]),
        ("memory limit", &info["MemoryLimit"]),
        ("swap limit", &info["SwapLimit"]),
        ("containerd", &info["ContainerdCommit"]["ID"]),
        ("runc", &info["RuncCommit"]["ID"]),
    ] {
        if !value.is_null() {
            counts.insert(name.to_owned(), shown(value));
        }
    }
}

/// A value on one line.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let mut items: Vec<_> = items.iter().map(shown).collect();
            items.sort();
            items.join(", ")
        }
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_are_told_by_name_and_proxies_are_not() {
        let mut counts = Counts::new();
        let text = br#"{"live-restore": true, "proxies": {"http-proxy": "http://u:secret@p"},
            "http-proxy": "http://u:secret@p", "log-opts": {"max-size": "1m"}}"#;
        daemon_json(text, &mut counts);
        settings(
            &json!({ "ServerVersion": "20.10.24", "Labels": ["b", "a"], "Debug": false }),
            &mut counts,
        );
        let told: Vec<_> = counts
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(
            told,
            [
                "daemon.json live-restore=true",
                "daemon.json log-opts={\"max-size\":\"1m\"}",
                "debug=false",
                "engine=runs",
                "labels=a, b",
                "version=20.10.24",
            ]
        );
    }

    #[test]
    fn a_broken_file_is_one_value() {
        let mut counts = Counts::new();
        daemon_json(b"[]", &mut counts);
        assert_eq!(counts["daemon.json"], "no mapping in JSON");
    }

    #[test]
    fn two_counts_of_one_host_are_the_same() {
        // Somebody may change the machine in between; a counter would differ every time.
        let base = tempfile::tempdir().unwrap();
        let take = || take(&Host::offline(base.path()));
        assert!((0..3).any(|_| take() == take()));
    }
}

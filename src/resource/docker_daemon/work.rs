//! What a running daemon needs to be as declared: nothing, a reload or a restart; and what that
//! does to the containers.

use serde_json::{Map, Value};

use super::found::{Found, Running};
use super::{DAEMON_JSON, DockerDaemon, keys, running};

/// Settings after whose change containers are not taken over, even with live-restore.
const DISRUPTIVE: [&str; 12] = [
    "bip",
    "bridge",
    "containerd",
    "data-root",
    "default-gateway",
    "exec-root",
    "fixed-cidr",
    "graph",
    "ipv6",
    "storage-driver",
    "storage-opts",
    "userns-remap",
];

/// How many containers are named; the rest is counted.
const NAMED: usize = 10;

/// What a running daemon needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Work {
    pub(super) means: Means,
    /// Why, each in a few words.
    pub(super) reasons: Vec<String>,
}

/// How a running daemon is made to take a change over. The larger includes the smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Means {
    /// SIGHUP; containers do not notice.
    Reload,
    Restart,
}

impl DockerDaemon {
    /// The configuration that is to be in effect.
    pub(super) fn target(&self, found: &Found) -> Option<Map<String, Value>> {
        self.config.clone().or_else(|| found.daemon_json.settings())
    }

    /// What the daemon that runs needs; `None` if nothing, or if none runs.
    pub(super) fn work(&self, found: &Found) -> Option<Work> {
        let daemon = found.running.as_ref()?;
        let mut work = Work {
            means: Means::Reload,
            reasons: Vec::new(),
        };
        let mut needs = |means: Means, reason: String| {
            work.means = work.means.max(means);
            work.reasons.push(reason);
        };
        match &found.installed {
            Some(installed) if *installed != daemon.version => needs(
                Means::Restart,
                format!("runs {}, installed is {installed}", daemon.version),
            ),
            _ if daemon.replaced => needs(Means::Restart, "older than its program".to_owned()),
            _ => {}
        }
        if self.unit_files_differ(found) {
            needs(Means::Restart, "runs with other unit files".to_owned());
        } else if let Some(newer) = daemon.newer.first() {
            needs(Means::Restart, format!("older than {}", newer.display()));
        } else if found.unit.as_ref().is_some_and(|unit| unit.stale) {
            needs(
                Means::Restart,
                "systemd has not read its unit files".to_owned(),
            );
        }
        if let Some(target) = self.target(found) {
            match &daemon.read {
                None => needs(Means::Restart, format!("older than {DAEMON_JSON}")),
                Some(read) => {
                    let mut changed = differing_keys(read, &target);
                    for (key, _, _) in running::differing(&target, &daemon.info) {
                        if !changed.contains(&key) {
                            changed.push(key);
                        }
                    }
                    if !changed.is_empty() {
                        let means = changed.iter().map(|key| means_of(key, &target, daemon));
                        let means = means.max().unwrap_or(Means::Restart);
                        let keys = changed.join(", ");
                        needs(means, format!("runs with other settings ({keys})"));
                    }
                }
            }
        }
        (!work.reasons.is_empty()).then_some(work)
    }

    /// What becomes of the running containers when the daemon ends and comes back, in words.
    pub(super) fn toll(&self, found: &Found) -> String {
        let containers = found.running.as_ref().map(|daemon| &*daemon.containers);
        let containers = containers.unwrap_or_default();
        let plural = if containers.len() == 1 { "" } else { "s" };
        let count = format!("{} running container{plural}", containers.len());
        if containers.is_empty() {
            "no container runs".to_owned()
        } else if self.survives(found) {
            format!("live-restore keeps {count}")
        } else {
            let mut names = containers[..containers.len().min(NAMED)].join(", ");
            if containers.len() > NAMED {
                names = format!("{names} and {} more", containers.len() - NAMED);
            }
            format!("stops {count}: {names}")
        }
    }

    /// Containers live on only if both the daemon that goes and the one that comes say so, and
    /// nothing they stand on changes.
    fn survives(&self, found: &Found) -> bool {
        let Some(daemon) = &found.running else {
            return true;
        };
        let target = self.target(found).unwrap_or_default();
        let restores = target.get("live-restore") == Some(&Value::Bool(true))
            || found
                .effective
                .argv
                .iter()
                .any(|word| word == "--live-restore");
        let same_release = found
            .installed
            .as_ref()
            .is_none_or(|installed| installed.release() == daemon.version.release());
        let undisturbed = daemon.read.as_ref().is_some_and(|read| {
            let changed = differing_keys(read, &target);
            !changed.iter().any(|key| DISRUPTIVE.contains(&key.as_str()))
        });
        daemon.info["LiveRestoreEnabled"] == true && restores && same_release && undisturbed
    }

    /// Whether files other than `daemon.json` are to change.
    fn unit_files_differ(&self, found: &Found) -> bool {
        self.drop_ins
            .as_ref()
            .is_some_and(|declared| *declared != found.drop_ins)
            || self.sysconfig != found.sysconfig
    }
}

/// A setting that is gone from the file keeps its value over a reload: the daemon looks only at
/// those that are there.
fn means_of(key: &str, target: &Map<String, Value>, daemon: &Running) -> Means {
    let release = daemon.version.release();
    match keys::find(key) {
        Some(known) if known.is_reloadable(release) && target.contains_key(key) => Means::Reload,
        _ => Means::Restart,
    }
}

/// The keys in which two configurations differ, sorted.
pub(super) fn differing_keys(one: &Map<String, Value>, other: &Map<String, Value>) -> Vec<String> {
    let mut keys: Vec<_> = one
        .keys()
        .chain(other.keys().filter(|key| !one.contains_key(*key)))
        .filter(|key| one.get(*key) != other.get(*key))
        .cloned()
        .collect();
    keys.sort();
    keys
}

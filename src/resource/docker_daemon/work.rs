//! What a running daemon needs to be as declared: nothing, a reload or a restart; and what that
//! does to the containers.

use serde_json::{Map, Value};

use super::found::{Found, Running};
use super::{DAEMON_JSON, DaemonState, DockerDaemon, flags, keys, running};
use crate::host::docker_containers::{self, counted, listed, named};

/// Settings after whose change a daemon does not find its containers again, although live-restore
/// has kept them running.
const LOSING: [&str; 7] = [
    "containerd",
    "data-root",
    "exec-root",
    "graph",
    "storage-driver",
    "storage-opts",
    "userns-remap",
];

/// Settings of the network that containers are on. A daemon that takes containers over takes the
/// network over with them, and passes these by: "There are old running containers, the network
/// config will not take affect".
const OF_NETWORK: [&str; 12] = [
    "bip",
    "bip6",
    "bridge",
    "default-gateway",
    "default-gateway-v6",
    "fixed-cidr",
    "fixed-cidr-v6",
    "icc",
    "ip",
    "ip-masq",
    "ipv6",
    "mtu",
];

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

/// What becomes of the running containers when the daemon ends and comes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// None runs.
    Nobody,
    /// They run on, and the new daemon has them.
    Kept,
    /// The same, and so these settings would not take effect.
    KeptInTheWay(Vec<String>),
    /// They run on, and the new daemon knows nothing of them.
    Lost,
    Stopped,
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
        } else if let Some(difference) = other_flags(daemon, found) {
            needs(
                Means::Restart,
                format!("runs {difference}, unlike its unit"),
            );
        }
        if let Some(target) = self.target(found) {
            let changed = changed_keys(daemon, &target, found);
            let means = changed.iter().map(|key| means_of(key, &target, daemon));
            if daemon.read.is_none() {
                needs(Means::Restart, format!("older than {DAEMON_JSON}"));
            } else if let Some(means) = means.max() {
                let keys = changed.join(", ");
                needs(means, format!("runs with other settings ({keys})"));
            }
        }
        (!work.reasons.is_empty()).then_some(work)
    }

    /// The same as [`fate`](Self::fate), in words.
    pub(super) fn toll(&self, found: &Found) -> String {
        let containers = found.running.as_ref().map(|daemon| &*daemon.containers);
        let containers = containers.unwrap_or_default();
        let count = counted(containers.len());
        match self.fate(found) {
            Fate::Nobody => "no container runs".to_owned(),
            Fate::Kept => format!("live-restore keeps {count}"),
            Fate::KeptInTheWay(_) => {
                format!(
                    "refused while live-restore keeps {count}: {}",
                    named(containers)
                )
            }
            Fate::Lost => format!("loses {}", listed(containers)),
            Fate::Stopped if self.state == Some(DaemonState::Stopped) => {
                format!("stops {}", listed(containers))
            }
            Fate::Stopped => docker_containers::restarted(containers),
        }
    }

    /// Whether the daemon is to keep containers while it is away.
    pub(super) fn wants_live_restore(&self, found: &Found) -> bool {
        let target = self.target(found).unwrap_or_default();
        let key = keys::find("live-restore");
        let by_flag = key.and_then(|key| flags::setting(&found.effective.flags(), key));
        let wanted = target.get("live-restore").or(by_flag.as_ref());
        wanted == Some(&Value::Bool(true))
    }

    /// What becomes of the running containers. They live on only if both the daemon that goes and
    /// the one that comes say so.
    pub(super) fn fate(&self, found: &Found) -> Fate {
        let Some(daemon) = &found.running else {
            return Fate::Nobody;
        };
        if daemon.containers.is_empty() {
            return Fate::Nobody;
        }
        let target = self.target(found).unwrap_or_default();
        let restores = self.wants_live_restore(found);
        let same_release = found
            .installed
            .as_ref()
            .is_none_or(|installed| installed.release() == daemon.version.release());
        if daemon.told.info["LiveRestoreEnabled"] != true || !restores || !same_release {
            return Fate::Stopped;
        }
        let mut changed = changed_keys(daemon, &target, found);
        if changed.iter().any(|key| LOSING.contains(&key.as_str())) {
            return Fate::Lost;
        }
        changed.retain(|key| OF_NETWORK.contains(&key.as_str()));
        if changed.is_empty() {
            Fate::Kept
        } else {
            Fate::KeptInTheWay(changed)
        }
    }

    /// Whether files other than `daemon.json` are to change.
    fn unit_files_differ(&self, found: &Found) -> bool {
        self.drop_ins
            .as_ref()
            .is_some_and(|declared| *declared != found.drop_ins)
            || self.sysconfig != found.sysconfig
    }
}

/// How the flags of the daemon that runs differ from those of its unit. A unit that starts it by
/// another program, or whose words only systemd can fill in, tells nothing about them.
fn other_flags(daemon: &Running, found: &Found) -> Option<String> {
    let wanted = &found.effective.argv;
    let is_plain = |word: &String| !word.contains(['%', '$', '\\']);
    let (program, running) = daemon.argv.split_first()?;
    let (wanted_program, wanted) = wanted.split_first()?;
    if program != wanted_program || !wanted.iter().all(is_plain) {
        return None;
    }
    flags::difference(running, wanted)
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

/// The settings that the daemon runs with and that `target` has otherwise, as far as can be known:
/// what it has read may be forgotten, what it tells is not.
fn changed_keys(daemon: &Running, target: &Map<String, Value>, found: &Found) -> Vec<String> {
    let read = daemon.read.as_ref();
    let mut changed = read.map_or_else(Vec::new, |read| differing_keys(read, target));
    for differing in running::differing(target, &found.effective, &daemon.told) {
        if !changed.iter().any(|key| key == differing.key) {
            changed.push(differing.key.to_owned());
        }
    }
    changed
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

//! What a container has of the host's files, and which of them it must not have.
//!
//! Docker says it in three places: `Mounts` (what it made of it), `HostConfig.Binds` (`-v`) and
//! `HostConfig.Mounts` (`--mount`). All three are read, because a volume with options of its own
//! (`volume-opt=device=/etc`) is another directory of the host and shows only in the last one.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use super::finding::text;
use super::rule::Rule;
use super::settings::Settings;

/// Sockets that make whoever reaches them root of the host.
const SOCKETS: [&str; 6] = [
    "/run/docker.sock",
    "/run/docker/containerd/containerd.sock",
    "/run/containerd/containerd.sock",
    "/run/crio/crio.sock",
    "/run/cri-dockerd.sock",
    "/run/podman/podman.sock",
];

/// The names of such sockets, wherever they are: `-H unix:///srv/docker.sock`.
const SOCKET_NAMES: [&str; 5] = [
    "docker.sock",
    "containerd.sock",
    "docker-containerd.sock",
    "crio.sock",
    "podman.sock",
];

/// Directories of the host's system whose contents are each a matter of their own: they, and what
/// they are in, must not be writable.
const DIRECTORIES: [&str; 11] = [
    "/",
    "/dev",
    "/etc",
    "/home",
    "/root",
    "/run",
    "/run/containerd",
    "/run/docker",
    "/run/systemd",
    "/usr",
    "/var",
];

/// Directories and files of the host's system in which nothing at all must be writable: whoever
/// changes them runs something on the host, or logs in there.
const TREES: [&str; 45] = [
    "/bin",
    "/boot",
    "/etc/containerd",
    "/etc/cron.d",
    "/etc/cron.daily",
    "/etc/cron.hourly",
    "/etc/cron.monthly",
    "/etc/cron.weekly",
    "/etc/crontab",
    "/etc/default",
    "/etc/docker",
    "/etc/group",
    "/etc/gshadow",
    "/etc/init.d",
    "/etc/ld.so.conf.d",
    "/etc/ld.so.preload",
    "/etc/modprobe.d",
    "/etc/pam.d",
    "/etc/passwd",
    "/etc/profile",
    "/etc/profile.d",
    "/etc/rc.d",
    "/etc/security",
    "/etc/selinux",
    "/etc/shadow",
    "/etc/ssh",
    "/etc/sudoers",
    "/etc/sudoers.d",
    "/etc/sysconfig",
    "/etc/systemd",
    "/etc/udev",
    "/lib",
    "/lib64",
    "/proc",
    "/root/.ssh",
    "/sbin",
    "/sys",
    "/usr/bin",
    "/usr/lib",
    "/usr/lib64",
    "/usr/libexec",
    "/usr/local/bin",
    "/usr/local/sbin",
    "/usr/sbin",
    "/var/spool/cron",
];

/// Where engines keep images and containers, if nobody says otherwise.
const DATA: [&str; 2] = ["/var/lib/docker", "/var/lib/containerd"];

/// One path of the host in a container.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Mount {
    source: String,
    access: Access,
    propagation: String,
}

/// What the container may do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Access {
    ReadOnly,
    Writable,
}

impl Access {
    fn of(read_only: bool) -> Self {
        if read_only {
            Self::ReadOnly
        } else {
            Self::Writable
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::ReadOnly => "read-only",
            Self::Writable => "writable",
        }
    }
}

impl Mount {
    /// `None` if that is no path of the host: a volume's name, a tmpfs.
    fn new(source: &str, access: Access, propagation: &str) -> Option<Self> {
        let propagation = if propagation.is_empty() {
            "rprivate"
        } else {
            propagation
        };
        source.starts_with('/').then(|| Self {
            source: clean(source),
            access,
            propagation: propagation.to_owned(),
        })
    }

    /// What Docker made of all that was asked for.
    fn made(mount: &Value) -> Option<Self> {
        if mount["Type"] == "volume" {
            return None;
        }
        let access = Access::of(mount["RW"] == false);
        Self::new(text(&mount["Source"]), access, text(&mount["Propagation"]))
    }

    /// `-v SOURCE:TARGET:OPTIONS`.
    fn bound(bind: &Value) -> Option<Self> {
        let mut parts = text(bind).splitn(3, ':');
        let source = parts.next()?;
        let options: Vec<_> = parts.nth(1).unwrap_or_default().split(',').collect();
        let propagation = options
            .iter()
            .find(|option| matches!(**option, "shared" | "rshared" | "slave" | "rslave"));
        let access = Access::of(options.contains(&"ro"));
        Self::new(source, access, propagation.copied().unwrap_or_default())
    }

    /// `--mount`, and the directory of the host that a volume's own options name.
    fn asked_for(mount: &Value) -> Option<Self> {
        let read_only = mount["ReadOnly"] == true;
        if mount["Type"] == "volume" {
            let options = &mount["VolumeOptions"]["DriverConfig"]["Options"];
            let read_only = read_only || text(&options["o"]).split(',').any(|word| word == "ro");
            return Self::new(text(&options["device"]), Access::of(read_only), "");
        }
        let propagation = text(&mount["BindOptions"]["Propagation"]);
        Self::new(text(&mount["Source"]), Access::of(read_only), propagation)
    }
}

/// All that a container has of the host, each once, in the order of their paths.
fn all(container: &Value) -> BTreeSet<Mount> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let host = &container["HostConfig"];
    let made = list(&container["Mounts"]);
    let binds = list(&host["Binds"]);
    let mounts = list(&host["Mounts"]);
    let made = made.iter().filter_map(Mount::made);
    let binds = binds.iter().filter_map(Mount::bound);
    let mounts = mounts.iter().filter_map(Mount::asked_for);
    made.chain(binds).chain(mounts).collect()
}

/// Adds what is mounted and must not be.
pub(super) fn findings(
    settings: &Settings,
    info: &Value,
    container: &Value,
    add: &mut impl FnMut(Rule, String, String),
) {
    let mut told = BTreeSet::new();
    let mut add = |rule, expected: &str, actual: String| {
        if told.insert((rule, actual.clone())) {
            add(rule, expected.to_owned(), actual);
        }
    };
    for mount in all(container) {
        let shown = format!("{} ({})", mount.source, mount.access.word());
        // Read-only does not help: connecting to a socket writes no file.
        if reaches_a_socket(settings, &mount.source) {
            add(Rule::DockerSocket, "not mounted", shown.clone());
        }
        if mount.access == Access::Writable && is_sensitive(info, &mount.source) {
            add(Rule::SensitiveMounts, "not mounted", shown);
        }
        if matches!(mount.propagation.as_str(), "shared" | "rshared") {
            let shown = format!("{} ({})", mount.source, mount.propagation);
            add(Rule::SharedMounts, "private", shown);
        }
    }
}

/// Whether a mounted path is one of the sockets or a directory above one.
fn reaches_a_socket(settings: &Settings, source: &str) -> bool {
    let source = on_the_host(source);
    let named = source.file_name().and_then(|name| name.to_str());
    let hosts = settings.texts("hosts").iter();
    let own = hosts.filter_map(|host| host.strip_prefix("unix://"));
    named.is_some_and(|name| SOCKET_NAMES.contains(&name))
        || SOCKETS
            .into_iter()
            .chain(own)
            .any(|socket| on_the_host(&clean(socket)).starts_with(&source))
}

/// Whether a path is part of the host's system, or above such a part.
fn is_sensitive(info: &Value, source: &str) -> bool {
    let source = on_the_host(source);
    let data_root = text(&info["DockerRootDir"]);
    let trees = TREES.into_iter().chain(DATA).chain([data_root]);
    let mut trees = trees.filter(|tree| tree.starts_with('/'));
    // What a user may log in with, whoever that is: `/home/NAME/.ssh`.
    let is_of_a_home = source.starts_with("/home") && source.iter().nth(3) == Some(".ssh".as_ref());
    is_of_a_home
        || DIRECTORIES
            .iter()
            .any(|directory| Path::new(directory).starts_with(&source))
        || trees.any(|tree| source.starts_with(tree) || Path::new(tree).starts_with(&source))
}

/// A path without `.`, `..` and doubled slashes.
fn clean(path: &str) -> String {
    let mut whole = PathBuf::from("/");
    for part in Path::new(path).components() {
        match part {
            Component::Normal(name) => whole.push(name),
            Component::ParentDir => {
                whole.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    whole.display().to_string()
}

/// Where a path leads to: `/var/run` is a link to `/run`. What the link leads to is not mounted
/// with `/var`.
fn on_the_host(path: &str) -> PathBuf {
    match Path::new(path).strip_prefix("/var/run") {
        Ok(rest) => Path::new("/run").join(rest).components().collect(),
        Err(_) => path.into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_mounted_is_read_wherever_docker_says_it() {
        for (host, shown) in [
            (
                json!({ "Binds": ["/etc/../etc//:/h"] }),
                "/etc Writable rprivate",
            ),
            (
                json!({ "Binds": ["/etc:/h:ro,rshared"] }),
                "/etc ReadOnly rshared",
            ),
            (
                json!({ "Mounts": [{ "Type": "bind", "Source": "/etc", "Target": "/h" }] }),
                "/etc Writable rprivate",
            ),
            (
                json!({ "Mounts": [{ "Type": "volume", "Target": "/h", "VolumeOptions":
                    { "DriverConfig": { "Options":
                        { "type": "none", "o": "bind,ro", "device": "/etc" } } } }] }),
                "/etc ReadOnly rprivate",
            ),
        ] {
            let found = all(&json!({ "HostConfig": host }));
            let [mount] = found.iter().collect::<Vec<_>>()[..] else {
                panic!("{host}: {found:?}");
            };
            let Mount {
                source,
                access,
                propagation,
            } = mount;
            assert_eq!(
                format!("{source} {access:?} {propagation}"),
                shown,
                "{host}"
            );
        }
        let volumes = json!({ "HostConfig": { "Binds": ["data:/d"], "Mounts":
            [{ "Type": "volume", "Source": "data", "Target": "/d" }, { "Type": "tmpfs" }] } });
        assert!(all(&volumes).is_empty());
    }

    #[test]
    fn what_is_the_systems_is_told_from_what_is_an_applications() {
        let info = json!({ "DockerRootDir": "/srv/docker" });
        for (path, sensitive) in [
            ("/", true),
            ("/var/lib", true),
            ("/srv", true),
            ("/srv/docker/overlay2", true),
            ("/var/run", true),
            ("/home/ops/.ssh", true),
            ("/etc/ssh/sshd_config", true),
            ("/srv/app", false),
            ("/etc/app", false),
            ("/etc/localtime", false),
            ("/home/app", false),
            ("/run/app", false),
            ("/var/lib/app", false),
            ("/usr/share/app", false),
            ("/etc/dockerised", false),
        ] {
            assert_eq!(is_sensitive(&info, path), sensitive, "{path}");
        }
    }
}

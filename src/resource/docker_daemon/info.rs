//! Every field of `docker info`, and what this kind makes of it.
//!
//! The names are those of the type `Info` (`SystemInfo`) of the engine's API, 1.40 (engine 19.03)
//! to 1.53 (29). A field that is not here is one that nobody has looked at: a test fails on it.

use serde_json::Value;

/// What a field is to this kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Shows these settings: compared with what is declared, with the daemon's flags, or else with
    /// this default.
    Settings(&'static [&'static str], &'static str),
    /// Compared with `engine_version` and with the program that is installed.
    Version,
    /// What the packages bring; they are declared by `rpm`.
    Packages,
    /// What the kernel and the machine are; `sysctl` and others declare what can be declared.
    Machine,
    /// What is there at the moment: counts, names and times.
    Momentary,
    /// Part of a swarm; `docker_policy` looks at it.
    Swarm,
    /// The same on every Linux host, or no more than a remark on other fields.
    Constant,
}

use Meaning::{Constant, Machine, Momentary, Packages, Settings, Swarm, Version};

/// All fields there are, sorted.
pub(super) const FIELDS: &[(&str, Meaning)] = &[
    ("Architecture", Machine),
    ("BridgeNfIp6tables", Machine),
    ("BridgeNfIptables", Machine),
    (
        "CDISpecDirs",
        Settings(
            &["cdi-spec-dirs"],
            "not compared: it depends on the release",
        ),
    ),
    ("CPUSet", Machine),
    ("CPUShares", Machine),
    (
        "CgroupDriver",
        Settings(
            &["exec-opts"],
            "`systemd` with cgroups of version 2, else `cgroupfs`",
        ),
    ),
    ("CgroupVersion", Machine),
    ("ClusterAdvertise", Settings(&["cluster-advertise"], "none")),
    ("ClusterStore", Settings(&["cluster-store"], "none")),
    (
        "Containerd",
        Settings(&["containerd"], "not compared: the packages choose"),
    ),
    ("ContainerdCommit", Packages),
    ("Containers", Momentary),
    ("ContainersPaused", Momentary),
    ("ContainersRunning", Momentary),
    ("ContainersStopped", Momentary),
    ("CpuCfsPeriod", Machine),
    ("CpuCfsQuota", Machine),
    ("Debug", Settings(&["debug"], "`false`")),
    (
        "DefaultAddressPools",
        Settings(&["default-address-pools"], "none"),
    ),
    ("DefaultRuntime", Settings(&["default-runtime"], "`runc`")),
    ("DiscoveredDevices", Machine),
    (
        "DockerRootDir",
        Settings(&["data-root", "graph"], "`/var/lib/docker`"),
    ),
    (
        "Driver",
        Settings(&["storage-driver"], "not compared: the engine chooses"),
    ),
    (
        "DriverStatus",
        Settings(
            &["storage-opts"],
            "not compared; of what is declared, the thin pool is",
        ),
    ),
    ("ExperimentalBuild", Settings(&["experimental"], "`false`")),
    (
        "FirewallBackend",
        Settings(&["firewall-backend"], "`iptables`"),
    ),
    (
        "GenericResources",
        Settings(&["node-generic-resources"], "none"),
    ),
    (
        "HttpProxy",
        Settings(&["proxies"], "not compared: systemd may bring it"),
    ),
    (
        "HttpsProxy",
        Settings(&["proxies"], "not compared: systemd may bring it"),
    ),
    ("ID", Momentary),
    ("IPv4Forwarding", Machine),
    ("Images", Momentary),
    ("IndexServerAddress", Constant),
    ("InitBinary", Packages),
    ("InitCommit", Packages),
    ("Isolation", Constant),
    ("KernelMemory", Machine),
    ("KernelMemoryTCP", Machine),
    ("KernelVersion", Machine),
    ("Labels", Settings(&["labels"], "none")),
    ("LiveRestoreEnabled", Settings(&["live-restore"], "`false`")),
    ("LoggingDriver", Settings(&["log-driver"], "`json-file`")),
    ("MemTotal", Machine),
    ("MemoryLimit", Machine),
    ("NCPU", Machine),
    ("NEventsListener", Momentary),
    ("NFd", Momentary),
    ("NGoroutines", Momentary),
    ("NRI", Packages),
    ("Name", Machine),
    (
        "NoProxy",
        Settings(&["proxies"], "not compared: systemd may bring it"),
    ),
    ("OSType", Machine),
    ("OSVersion", Machine),
    ("OomKillDisable", Machine),
    ("OperatingSystem", Machine),
    ("PidsLimit", Machine),
    (
        "Plugins",
        Settings(
            &["authorization-plugins", "log-driver"],
            "no authorization plugins; the log driver in effect is among those it has",
        ),
    ),
    ("ProductLicense", Constant),
    (
        "RegistryConfig",
        Settings(
            &[
                "allow-nondistributable-artifacts",
                "insecure-registries",
                "registry-mirrors",
            ],
            "none but the host itself",
        ),
    ),
    ("RuncCommit", Packages),
    (
        "Runtimes",
        Settings(&["runtimes"], "`runc` and those of containerd"),
    ),
    (
        "SecurityOptions",
        Settings(
            &[
                "default-cgroupns-mode",
                "no-new-privileges",
                "seccomp-profile",
                "selinux-enabled",
                "userns-remap",
            ],
            "seccomp by its default profile; without SELinux, mapped users and `no-new-privileges`; cgroups of their own with version 2",
        ),
    ),
    ("ServerVersion", Version),
    ("SwapLimit", Machine),
    ("Swarm", Swarm),
    ("SystemStatus", Constant),
    ("SystemTime", Momentary),
    ("Warnings", Constant),
];

/// Whether a setting shows in a field.
pub(super) fn shows(setting: &str) -> bool {
    FIELDS.iter().any(|(_, meaning)| match meaning {
        Settings(names, _) => names.contains(&setting),
        _ => false,
    })
}

/// The directory of images and containers; with `userns-remap` it is one below that which is set.
pub(super) fn root_directory(info: &Value) -> Option<String> {
    let path = info["DockerRootDir"].as_str()?.trim_end_matches('/');
    let is_mapped = |name: &str| {
        let numbers =
            |text: &str| !text.is_empty() && text.bytes().all(|sign| sign.is_ascii_digit());
        name.split_once('.')
            .is_some_and(|(user, group)| numbers(user) && numbers(group))
    };
    Some(match path.rsplit_once('/') {
        Some((root, name)) if is_mapped(name) => root.to_owned(),
        _ => path.to_owned(),
    })
}

/// Whether a runtime is one that every engine has.
pub(super) fn stock_runtime(name: &str) -> bool {
    name == "runc" || name.starts_with("io.containerd.")
}

/// The networks and registries that need no TLS, without those that are always among them.
pub(super) fn insecure(registries: &Value) -> Option<Vec<String>> {
    let networks = texts(registries.get("InsecureRegistryCIDRs")?);
    let indexes = registries["IndexConfigs"].as_object().into_iter().flatten();
    let names = indexes
        .filter(|(_, index)| index["Secure"] == false)
        .map(|(name, _)| name.clone());
    let always = ["127.0.0.0/8", "::1/128"];
    let networks = networks
        .into_iter()
        .filter(|network| !always.contains(&network.as_str()));
    Some(networks.chain(names).collect())
}

/// The texts in a list; none where there is no list.
pub(super) fn texts(list: &Value) -> Vec<String> {
    let items = list.as_array().into_iter().flatten();
    items.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Several texts as one, in whatever order they came.
pub(super) fn sorted(mut texts: Vec<String>) -> String {
    texts.sort();
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::super::keys;
    use super::*;

    /// The fields of each engine, a line each: the version of the API, and the names.
    const ENGINES: &str = include_str!("info_fields.txt");

    #[test]
    fn the_table_is_sorted_and_names_settings_that_there_are() {
        assert!(FIELDS.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for (field, meaning) in FIELDS {
            if let Settings(names, _) = meaning {
                for name in *names {
                    assert!(keys::find(name).is_some(), "{field}: {name}");
                }
            }
        }
    }

    #[test]
    fn every_field_of_every_engine_is_known_and_no_other() {
        let known: BTreeSet<_> = FIELDS.iter().map(|(name, _)| *name).collect();
        let mut told = BTreeSet::new();
        let engines = ENGINES.lines().filter(|line| !line.starts_with('#'));
        for line in engines {
            let (version, fields) = line.split_once(": ").unwrap();
            for field in fields.split(' ') {
                assert!(known.contains(field), "{version}: {field}");
                told.insert(field);
            }
        }
        assert_eq!(known, told);
    }

    /// A line of the table in docs/docker-info.md.
    fn line(field: &str, meaning: Meaning) -> String {
        let (what, default) = match meaning {
            Settings(names, default) => {
                let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
                (format!("setting: {}", names.join(", ")), default)
            }
            Version => ("`engine_version`".to_owned(), "that which is installed"),
            Packages => ("what packages bring: `rpm`".to_owned(), "not compared"),
            Machine => (
                "kernel and machine: `sysctl` and others".to_owned(),
                "not compared",
            ),
            Momentary => ("what is there at the moment".to_owned(), "not compared"),
            Swarm => ("a swarm: `docker_policy`".to_owned(), "not compared"),
            Constant => (
                "the same everywhere, or said by others".to_owned(),
                "not compared",
            ),
        };
        format!("| `{field}` | {what} | {default} |")
    }

    #[test]
    fn the_documentation_has_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/docker-info.md");
        let documented = std::fs::read_to_string(path).unwrap();
        let documented: Vec<_> = documented
            .lines()
            .filter(|line| line.starts_with("| `"))
            .collect();
        let lines: Vec<_> = FIELDS
            .iter()
            .map(|(field, meaning)| line(field, *meaning))
            .collect();
        assert_eq!(documented, lines, "{}", lines.join("\n"));
    }

    #[test]
    fn a_directory_of_mapped_users_is_below_the_one_that_is_set() {
        let root = |path: &str| root_directory(&json!({ "DockerRootDir": path })).unwrap();
        assert_eq!(root("/var/lib/docker/165536.165536"), "/var/lib/docker");
        assert_eq!(root("/srv/docker-1.2/"), "/srv/docker-1.2");
    }
}

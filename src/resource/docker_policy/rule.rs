//! The rules: their names, what the benchmark calls them, how much they matter.

use serde::{Deserialize, Serialize};

use crate::protocol::Severity;

/// Whether a rule is looked at when nothing is said about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Default {
    /// Part of the standard set.
    On,
    /// Only if it is named in `rules` or `extra`.
    Off,
    /// Only if the field that says what is allowed is there.
    ByField,
}

/// Declares the rules: the enum, the names and the table.
macro_rules! rules {
    ($($(#[$doc:meta])* $Rule:ident = $name:literal, $cis:literal, $default:ident, $severity:ident;)*) => {
        /// Something that holds of every container, every image, the engine or its files.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Rule {
            $($(#[$doc])* #[serde(rename = $name)] $Rule,)*
        }

        impl Rule {
            /// All there are.
            pub(super) const ALL: &[Self] = &[$(Self::$Rule,)*];

            /// As it is written.
            pub(super) const fn name(self) -> &'static str {
                match self { $(Self::$Rule => $name,)* }
            }

            /// Its number in the CIS Docker Benchmark 1.6; empty where that has none, or where
            /// it has one for each thing looked at.
            pub(super) const fn cis(self) -> &'static str {
                match self { $(Self::$Rule => $cis,)* }
            }

            /// How bad it is when something breaks it.
            pub(super) const fn severity(self) -> Severity {
                match self { $(Self::$Rule => Severity::$severity,)* }
            }

            pub(super) const fn default(self) -> Default {
                match self { $(Self::$Rule => Default::$default,)* }
            }
        }
    };
}

rules! {
    // Images.
    /// Images come from the registries in `registries`.
    Registries = "registries", "", ByField, High;
    /// Images are at most `image_max_days` old.
    ImageAge = "image_age", "", ByField, Low;

    // Containers.
    /// Containers are made from an image by digest, not by a tag that can be moved.
    DigestPinned = "digest_pinned", "", On, Medium;
    /// Containers have a memory limit (of at most `memory_max`), and the kernel enforces it.
    Memory = "memory", "5.11", On, High;
    /// Containers with a memory limit do not swap without one (`--memory-swap -1`).
    Swap = "swap", "", On, Medium;
    /// The heap of a JVM fits into the memory limit of its container.
    JvmHeap = "jvm_heap", "", On, High;
    /// Containers are not privileged.
    Privileged = "privileged", "5.5", On, Critical;
    /// Containers have no capabilities beyond Docker's defaults.
    Capabilities = "capabilities", "5.4", On, High;
    /// Containers do not use the host's network.
    HostNetwork = "host_network", "5.10", On, High;
    /// Containers do not see the host's processes.
    HostPid = "host_pid", "5.16", On, High;
    /// Containers do not share memory with the host.
    HostIpc = "host_ipc", "5.17", On, High;
    /// Containers cannot change the host's name.
    HostUts = "host_uts", "5.21", On, Medium;
    /// Containers do not opt out of user namespaces.
    HostUserns = "host_userns", "5.31", On, Medium;
    /// Containers do not enter the network, processes or memory of another container.
    JoinedNamespaces = "joined_namespaces", "", On, Medium;
    /// Containers cannot reach the socket of Docker or containerd: it makes them root of the host.
    DockerSocket = "docker_socket", "5.32", On, Critical;
    /// Containers cannot write to directories of the host's system.
    SensitiveMounts = "sensitive_mounts", "5.6", On, High;
    /// Containers do not mount into the host's name space.
    SharedMounts = "shared_mounts", "5.20", On, Medium;
    /// Containers use no devices of the host.
    Devices = "devices", "5.18", On, Medium;
    /// `AppArmor` (5.2), SELinux (5.3) and seccomp (5.22) are not switched off for a container.
    Confinement = "confinement", "", On, High;
    /// Containers publish only ports in `published_ports`.
    PublishedPorts = "published_ports", "5.9", ByField, Medium;
    /// Containers log to the drivers in `log_drivers`.
    LogDriver = "log_driver", "", ByField, Low;
    /// The log files of containers are limited (to `log_max_size`): json-file has no limit.
    LogLimits = "log_limits", "", On, Medium;
    /// Containers are restarted as in `restart`.
    Restart = "restart", "5.15", ByField, Low;
    /// Containers have a limit of processes.
    Pids = "pids", "5.29", On, Medium;
    /// Containers have a CPU limit or share.
    Cpus = "cpus", "5.12", Off, Low;
    /// The root file system of containers is read-only.
    ReadOnlyRoot = "read_only_root", "5.13", Off, Low;
    /// Containers cannot gain privileges (by setuid programs).
    NewPrivileges = "new_privileges", "5.26", Off, Medium;
    /// Containers have a health check.
    Healthcheck = "healthcheck", "5.27", Off, Low;
    /// Containers do not run as root.
    RootUser = "root_user", "4.1", Off, Medium;

    // The engine.
    /// daemon.json is a mapping in JSON.
    DaemonJson = "daemon_json", "", On, High;
    /// Containers on the default bridge cannot talk to each other.
    Icc = "icc", "2.2", On, Medium;
    /// The daemon logs at level `info`.
    LogLevel = "log_level", "2.3", On, Low;
    /// Docker keeps its rules in iptables.
    Iptables = "iptables", "2.4", On, Medium;
    /// No registry is used without TLS.
    InsecureRegistries = "insecure_registries", "2.5", On, High;
    /// The storage driver is not aufs.
    StorageDriver = "storage_driver", "2.6", On, Low;
    /// The API is on the network only behind TLS with client certificates.
    ApiTls = "api_tls", "2.7", On, Critical;
    /// There are default limits of open files and processes.
    DefaultUlimits = "default_ulimits", "2.8", Off, Low;
    /// Users in containers are mapped to other users of the host.
    Userns = "userns", "2.9", Off, Low;
    /// Containers are in Docker's own control group.
    CgroupParent = "cgroup_parent", "2.10", On, Low;
    /// The base device of devicemapper has its default size.
    BaseSize = "base_size", "2.11", On, Low;
    /// A plugin authorizes what clients ask for.
    Authorization = "authorization", "2.12", Off, Low;
    /// The daemon's default for logs has a limit, or sends them elsewhere.
    LogRotation = "log_rotation", "2.13", On, Medium;
    /// Containers cannot gain privileges unless they ask for it.
    NoNewPrivileges = "no_new_privileges", "2.14", On, Medium;
    /// Containers survive the daemon.
    LiveRestore = "live_restore", "2.15", On, Medium;
    /// Published ports are forwarded by the kernel, not by a process each.
    UserlandProxy = "userland_proxy", "2.16", On, Low;
    /// The daemon confines containers with seccomp.
    Seccomp = "seccomp", "2.17", On, High;
    /// Experimental features are off.
    Experimental = "experimental", "2.18", On, Low;
    /// The engine is in no swarm.
    Swarm = "swarm", "5.1", On, Medium;

    // The host.
    /// Only those in `docker_group` are in the group `docker`: it makes them root.
    DockerGroup = "docker_group", "1.1.2", ByField, High;
    /// Docker's directory is a file system of its own.
    DataRoot = "data_root", "1.1.1", Off, Low;
    /// auditd watches Docker's programs and files (1.1.3 to 1.1.18), now and after a boot.
    AuditWatches = "audit_watches", "", Off, Low;
    /// Docker's files belong to root (3.1 to 3.23, odd numbers).
    FileOwner = "file_owner", "", On, High;
    /// Docker's files are closed to others (3.2 to 3.24, even numbers).
    FileMode = "file_mode", "", On, High;
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A text: fifty names in the type of three fields would hide the fields.
#[cfg(feature = "control")]
impl schemars::JsonSchema for Rule {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "rule".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_in_the_manual_and_in_the_table_of_the_role() {
        let manual = include_str!("mod.rs");
        let table = include_str!("../../../roles/docker_audit/README.md");
        for rule in Rule::ALL {
            let name = format!("`{rule}`");
            assert!(manual.contains(&name), "{name} is not in the manual");
            let row = table
                .lines()
                .find(|line| line.starts_with("| ") && line.contains(&name));
            let row = row.unwrap_or_else(|| panic!("{name} is not in the table"));
            assert_eq!(
                row.starts_with("| extra"),
                rule.default() == Default::Off,
                "{name}"
            );
        }
    }

    #[test]
    fn no_two_rules_share_a_name_or_a_number() {
        for (place, rule) in Rule::ALL.iter().enumerate() {
            for other in &Rule::ALL[place + 1..] {
                assert_ne!(rule.name(), other.name());
                assert!(
                    rule.cis().is_empty() || rule.cis() != other.cis(),
                    "{rule} {other}"
                );
            }
        }
    }
}

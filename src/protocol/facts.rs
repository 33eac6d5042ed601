//! What the helper finds out about a host before the first task, without forking.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Facts of one host. Templates see them as `facts`; they are data and never rendered again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// The kernel's node name.
    pub hostname: String,
    /// `uname -m`: `x86_64`, `aarch64`, …
    pub architecture: String,
    /// `uname -r`.
    pub kernel: String,
    /// From `/etc/os-release`.
    pub os: OsRelease,
    /// `/etc/machine-id`, empty if there is none.
    pub machine_id: String,
    /// Online processors.
    pub processors: u32,
    /// Physical memory in bytes.
    pub memory_bytes: u64,
    /// Swap in bytes.
    pub swap_bytes: u64,
    /// Seconds since boot.
    pub uptime_seconds: u64,
    /// The host's clock at the start of the run, in seconds since 1970 (UTC).
    pub clock_unix_seconds: u64,
    /// `enforcing`, `permissive` or `disabled`.
    pub selinux: String,
    /// `1` or `2`: the cgroup hierarchy in use.
    pub cgroup_version: u32,
    /// What pid 1 is: `systemd`, `init`, …
    pub init: String,
    /// IPv4 and IPv6 addresses by interface, loopback included.
    pub addresses: BTreeMap<String, Vec<String>>,
    /// Mounted file systems of block devices and network shares by mount point.
    pub mounts: BTreeMap<String, Mount>,
    /// Block devices by kernel name (`sda`, `vdb`), partitions and device mapper left out.
    pub disks: BTreeMap<String, Disk>,
    /// The user the helper runs as.
    pub user: String,
}

/// The parts of `/etc/os-release` that playbooks use.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OsRelease {
    /// `centos`, `debian`, …
    pub id: String,
    /// `rhel fedora`, …
    pub id_like: String,
    /// `7`, `12`, …
    pub version_id: String,
    /// For people.
    pub pretty_name: String,
}

/// One mounted file system.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Mount {
    /// What is mounted.
    pub device: String,
    /// `ext4`, `xfs`, …
    pub fstype: String,
    /// Mount options.
    pub options: String,
}

/// One block device.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Disk {
    /// Size in bytes.
    pub size_bytes: u64,
    /// The serial number, empty if it has none.
    pub serial: String,
}

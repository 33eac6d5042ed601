//! Every field of Docker's description of a container, and how it is judged.
//!
//! The description is that of `GET /containers/NAME/json`. A field is declared, or it must be what
//! the image or the engine give to a container that was told nothing, or it says what became of the
//! container and not what it was asked to be. A field that is not in this table is unknown, and so
//! is then whether the container is as declared.
//!
//! The fields are those of moby's API from version 1.24 (engine 1.12) to 1.51 (engine 28); the
//! defaults are what these engines put there for `docker run -d IMAGE`.

use super::words::{self, NONE, Words, plain, set};

/// One field.
#[derive(Debug)]
pub(super) struct Field {
    /// Where it is: `HostConfig.CapAdd`.
    pub(super) path: &'static str,
    pub(super) judged: Judged,
}

/// How a field is judged.
#[derive(Debug)]
pub(super) enum Judged {
    /// Against the field of the declaration with this name, or its default where that is not there.
    By(&'static str, Words, Otherwise),
    /// Nothing declares it: it must be the default.
    Never(Words, Otherwise),
    /// In `compare.rs`, together with others, under this name.
    Apart(
        #[cfg_attr(not(test), expect(dead_code, reason = "for docs/docker-fields.md"))]
        &'static str,
    ),
    /// Not at all, for this reason.
    Not(
        #[cfg_attr(not(test), expect(dead_code, reason = "for docs/docker-fields.md"))]
        &'static str,
    ),
}

/// What a field is where nothing is declared.
#[derive(Clone, Copy, Debug)]
pub(super) enum Otherwise {
    /// One of these, in words.
    Engine(&'static [&'static str]),
    /// One of these, or what the daemon's configuration says under this key.
    Daemon(&'static str, &'static [&'static str]),
    /// What the image says.
    Image,
}

use Judged::{Apart, By, Never, Not};
use Otherwise::{Daemon, Engine, Image};

const NOTHING: Otherwise = Engine(&[NONE]);
const NOT_LIMITED: Otherwise = Engine(&["not limited"]);

const BECAME: &str = "says what became of it";
const BUILD: &str = "only for building images";
const WINDOWS: &str = "only on Windows";
const ATTACHED: &str = "says who was attached when it was made";

const fn field(path: &'static str, judged: Judged) -> Field {
    Field { path, judged }
}

const fn never(path: &'static str) -> Field {
    field(path, Never(plain, NOTHING))
}

const fn became(path: &'static str) -> Field {
    field(path, Not(BECAME))
}

/// The table.
pub(super) const FIELDS: &[Field] = &[
    field("Config.ArgsEscaped", Not(WINDOWS)),
    field("Config.AttachStderr", Not(ATTACHED)),
    field("Config.AttachStdin", Not(ATTACHED)),
    field("Config.AttachStdout", Not(ATTACHED)),
    field("Config.Cmd", Apart("command")),
    never("Config.Domainname"),
    field("Config.Entrypoint", Apart("entrypoint")),
    field("Config.Env", Apart("env, java")),
    field("Config.ExposedPorts", Apart("ports")),
    field("Config.Healthcheck", Apart("healthcheck")),
    // Its own id unless declared: see `compare::described`.
    field("Config.Hostname", By("hostname", plain, NOTHING)),
    field("Config.Image", Apart("image")),
    field("Config.Labels", Apart("labels")),
    never("Config.MacAddress"),
    never("Config.NetworkDisabled"),
    field("Config.OnBuild", Not(BUILD)),
    never("Config.OpenStdin"),
    field("Config.Shell", Not(BUILD)),
    never("Config.StdinOnce"),
    field("Config.StopSignal", By("stop_signal", words::signal, Image)),
    field(
        "Config.StopTimeout",
        By("stop_timeout", words::number, NOTHING),
    ),
    never("Config.Tty"),
    field("Config.User", By("user", plain, Image)),
    field("Config.Volumes", Never(words::keys, Image)),
    field(
        "Config.WorkingDir",
        By("working_dir", words::directory, Image),
    ),
    never("HostConfig.Annotations"),
    never("HostConfig.AutoRemove"),
    field("HostConfig.Binds", By("volumes", set, NOTHING)),
    never("HostConfig.BlkioDeviceReadBps"),
    never("HostConfig.BlkioDeviceReadIOps"),
    never("HostConfig.BlkioDeviceWriteBps"),
    never("HostConfig.BlkioDeviceWriteIOps"),
    never("HostConfig.BlkioWeight"),
    never("HostConfig.BlkioWeightDevice"),
    field(
        "HostConfig.CapAdd",
        By("cap_add", words::capabilities, NOTHING),
    ),
    field(
        "HostConfig.CapDrop",
        By("cap_drop", words::capabilities, NOTHING),
    ),
    // Of API 1.40, which no engine kept.
    never("HostConfig.Capabilities"),
    never("HostConfig.Cgroup"),
    never("HostConfig.CgroupParent"),
    // `private` with version 2 of control groups, `host` with version 1.
    field(
        "HostConfig.CgroupnsMode",
        Never(plain, Daemon("default-cgroupns-mode", &[NONE])),
    ),
    field("HostConfig.ConsoleSize", Not(ATTACHED)),
    never("HostConfig.ContainerIDFile"),
    never("HostConfig.CpuCount"),
    never("HostConfig.CpuPercent"),
    never("HostConfig.CpuPeriod"),
    never("HostConfig.CpuQuota"),
    never("HostConfig.CpuRealtimePeriod"),
    never("HostConfig.CpuRealtimeRuntime"),
    never("HostConfig.CpuShares"),
    never("HostConfig.CpusetCpus"),
    never("HostConfig.CpusetMems"),
    never("HostConfig.DeviceCgroupRules"),
    never("HostConfig.DeviceRequests"),
    field("HostConfig.Devices", By("devices", words::devices, NOTHING)),
    never("HostConfig.DiskQuota"),
    field("HostConfig.Dns", By("dns", plain, NOTHING)),
    never("HostConfig.DnsOptions"),
    never("HostConfig.DnsSearch"),
    field("HostConfig.ExtraHosts", By("extra_hosts", set, NOTHING)),
    field("HostConfig.GroupAdd", By("group_add", set, NOTHING)),
    never("HostConfig.IOMaximumBandwidth"),
    never("HostConfig.IOMaximumIOps"),
    field("HostConfig.Init", By("init", plain, NOTHING)),
    // `shareable` before 20.10: others may join it, it joins nobody.
    field(
        "HostConfig.IpcMode",
        By(
            "ipc",
            words::ipc,
            Daemon("default-ipc-mode", &["private", "shareable", "not said"]),
        ),
    ),
    field("HostConfig.Isolation", Not(WINDOWS)),
    never("HostConfig.KernelMemory"),
    never("HostConfig.KernelMemoryTCP"),
    never("HostConfig.Links"),
    field("HostConfig.LogConfig", Apart("log")),
    field("HostConfig.MaskedPaths", Apart("masked paths")),
    field("HostConfig.Memory", By("memory", words::limit, NOT_LIMITED)),
    never("HostConfig.MemoryReservation"),
    field(
        "HostConfig.MemorySwap",
        By("memory_swap", words::limit, NOT_LIMITED),
    ),
    field(
        "HostConfig.MemorySwappiness",
        Never(words::swappiness, NOTHING),
    ),
    never("HostConfig.Mounts"),
    field("HostConfig.NanoCpus", By("cpus", words::cpus, NOT_LIMITED)),
    field(
        "HostConfig.NetworkMode",
        By("network", words::network, Engine(&["bridge"])),
    ),
    never("HostConfig.OomKillDisable"),
    never("HostConfig.OomScoreAdj"),
    field("HostConfig.PidMode", By("pid", plain, NOTHING)),
    field("HostConfig.PidsLimit", By("pids", words::pids, NOT_LIMITED)),
    field(
        "HostConfig.PortBindings",
        By("ports", words::ports, NOTHING),
    ),
    never("HostConfig.Privileged"),
    never("HostConfig.PublishAllPorts"),
    field("HostConfig.ReadonlyPaths", Apart("read-only paths")),
    field("HostConfig.ReadonlyRootfs", By("read_only", plain, NOTHING)),
    field(
        "HostConfig.RestartPolicy",
        By("restart", words::restart, Engine(&["no"])),
    ),
    field(
        "HostConfig.Runtime",
        Never(plain, Daemon("default-runtime", &["runc", NONE])),
    ),
    field(
        "HostConfig.SecurityOpt",
        By("security_opt", words::confinement, NOTHING),
    ),
    field(
        "HostConfig.ShmSize",
        By(
            "shm_size",
            words::limit,
            Daemon("default-shm-size", &["64m"]),
        ),
    ),
    never("HostConfig.StorageOpt"),
    field("HostConfig.Sysctls", By("sysctls", plain, NOTHING)),
    field("HostConfig.Tmpfs", By("tmpfs", plain, NOTHING)),
    never("HostConfig.UTSMode"),
    // Without those of the daemon: see `compare::described`.
    field("HostConfig.Ulimits", By("ulimits", words::ulimits, NOTHING)),
    field("HostConfig.UsernsMode", By("userns", plain, NOTHING)),
    never("HostConfig.VolumeDriver"),
    never("HostConfig.VolumesFrom"),
    // Before 18.06.
    field("HostConfig.CredentialSpec", Not(WINDOWS)),
    became("AppArmorProfile"),
    became("Args"),
    became("Created"),
    became("Driver"),
    became("ExecIDs"),
    became("GraphDriver"),
    became("HostnamePath"),
    became("HostsPath"),
    became("Id"),
    field("Image", Apart("image")),
    became("ImageManifestDescriptor"),
    became("LogPath"),
    became("MountLabel"),
    field("Mounts", Not("follows from volumes, Mounts and Tmpfs")),
    became("Name"),
    became("Node"),
    became("Path"),
    became("Platform"),
    became("ProcessLabel"),
    became("ResolvConfPath"),
    field("RestartCount", Apart("state")),
    became("SizeRootFs"),
    became("SizeRw"),
    field("State", Apart("state")),
    became("Storage"),
    became("NetworkSettings.Bridge"),
    became("NetworkSettings.EndpointID"),
    became("NetworkSettings.Gateway"),
    became("NetworkSettings.GlobalIPv6Address"),
    became("NetworkSettings.GlobalIPv6PrefixLen"),
    became("NetworkSettings.HairpinMode"),
    became("NetworkSettings.IPAddress"),
    became("NetworkSettings.IPPrefixLen"),
    became("NetworkSettings.IPv6Gateway"),
    became("NetworkSettings.LinkLocalIPv6Address"),
    became("NetworkSettings.LinkLocalIPv6PrefixLen"),
    became("NetworkSettings.MacAddress"),
    field("NetworkSettings.Networks", Apart("network, networks")),
    became("NetworkSettings.Ports"),
    became("NetworkSettings.SandboxID"),
    became("NetworkSettings.SandboxKey"),
    became("NetworkSettings.SecondaryIPAddresses"),
    became("NetworkSettings.SecondaryIPv6Addresses"),
];

/// The fields of a container's place in one network, `NetworkSettings.Networks.NAME`.
pub(super) const ENDPOINT: &[Field] = &[
    field("Aliases", Apart("networks")),
    became("DNSNames"),
    never("DriverOpts"),
    became("EndpointID"),
    became("Gateway"),
    became("GlobalIPv6Address"),
    became("GlobalIPv6PrefixLen"),
    never("GwPriority"),
    never("IPAMConfig"),
    became("IPAddress"),
    became("IPPrefixLen"),
    became("IPv6Gateway"),
    never("Links"),
    became("MacAddress"),
    became("NetworkID"),
];

/// The parts of the description that have fields of their own in the table.
pub(super) const PARTS: &[&str] = &["Config", "HostConfig", "NetworkSettings"];

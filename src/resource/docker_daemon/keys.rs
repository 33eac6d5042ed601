//! The settings of `daemon.json`: since and until which engine each is known, what it takes, the
//! flag of the same meaning, and whether a running daemon takes it over when told to reload.
//!
//! From the struct tags of the engine's source, release by release. The reload column is what
//! `Daemon.Reload` of that source asks `IsValueSet` about, and the reference manual.

use super::version::{EngineVersion, Release, shown};

/// One setting.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    /// What it takes.
    pub(super) takes: Takes,
    /// The first engine that knows it.
    pub(super) first: Release,
    /// The first patch of that engine that does.
    pub(super) patch: u16,
    /// The first engine that does not start with it any more, and what to do instead.
    pub(super) gone: Option<(Release, &'static str)>,
    /// The first engine that takes it over on SIGHUP.
    pub(super) reload: Option<Release>,
    /// The flag of the same meaning, without dashes.
    pub(super) flag: &'static str,
    /// The flag's one-letter form.
    pub(super) letter: Option<char>,
}

/// What a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    Bool,
    Integer,
    /// A whole number, 0 or more.
    Count,
    Text,
    /// One of these.
    Word(&'static [&'static str]),
    /// An IP address.
    Address,
    /// An IPv4 address with the length of its network.
    Network4,
    /// An IPv6 address with the length of its network.
    Network6,
    /// A list of texts.
    Texts,
    /// A list of IP addresses.
    Addresses,
    /// A list of `name=value`.
    Pairs,
    /// A list of mirrors' addresses.
    Mirrors,
    /// A list of registries and networks.
    Registries,
    /// A list of addresses to listen on.
    Listeners,
    /// A size.
    Size,
    /// A host with a port.
    HostAndPort,
    /// A mapping to texts.
    TextMap,
    /// A mapping to true or false.
    Switches,
    /// See [`nested`](super::nested), here and below.
    Ulimits,
    Pools,
    Runtimes,
    Proxies,
    NetworkOptions,
    Builder,
}

use Takes::{
    Address, Addresses, Bool, Builder, Count, HostAndPort, Integer, Listeners, Mirrors, Network4,
    Network6, NetworkOptions, Pairs, Pools, Proxies, Registries, Runtimes, Size, Switches, Text,
    TextMap, Texts, Ulimits, Word,
};

/// All that logrus and its successor know.
const LOG_LEVELS: &[&str] = &[
    "debug", "info", "warn", "error", "fatal", "panic", "trace", "warning",
];

impl Key {
    const fn new(name: &'static str, takes: Takes, first: Release) -> Self {
        Self {
            name,
            takes,
            first,
            patch: 0,
            gone: None,
            reload: None,
            flag: name,
            letter: None,
        }
    }

    const fn gone(mut self, since: Release, instead: &'static str) -> Self {
        self.gone = Some((since, instead));
        self
    }

    const fn patch(mut self, first: u16) -> Self {
        self.patch = first;
        self
    }

    const fn reload(mut self, since: Release) -> Self {
        self.reload = Some(since);
        self
    }

    const fn flag(mut self, flag: &'static str) -> Self {
        self.flag = flag;
        self
    }

    const fn letter(mut self, letter: char) -> Self {
        self.letter = Some(letter);
        self
    }

    /// Whether this engine knows it.
    pub(super) fn is_known(&self, version: &EngineVersion) -> bool {
        let gone = self.gone.is_some_and(|(gone, _)| gone <= version.release());
        !gone && !self.is_later(version)
    }

    /// Whether it came with a later engine.
    pub(super) fn is_later(&self, version: &EngineVersion) -> bool {
        let first = (self.first.0, self.first.1, self.patch);
        version.number() < first
    }

    /// The engine that it came with, as it is written.
    pub(super) fn since(&self) -> String {
        match self.patch {
            0 => shown(self.first),
            patch => format!("{}.{patch}", shown(self.first)),
        }
    }

    /// Whether a running daemon of `release` takes it over on SIGHUP.
    pub(super) fn is_reloadable(&self, release: Release) -> bool {
        self.reload.is_some_and(|since| since <= release)
    }
}

/// The setting of this name, known to whatever engine.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

const DISCOVERY: &str = "overlay networks without swarm mode are gone";

/// All settings there ever were.
pub(super) const KEYS: &[Key] = &[
    Key::new("allow-direct-routing", Bool, (29, 0)),
    Key::new("allow-nondistributable-artifacts", Registries, (17, 6))
        .gone((29, 0), "leave it out: they are always pushed")
        .reload((17, 6)),
    Key::new("api-cors-header", Text, (1, 12))
        .gone((29, 0), "set headers in a proxy before the API"),
    Key::new("api-cors-headers", Text, (1, 10)).gone((1, 12), "use `api-cors-header`"),
    Key::new("api-enable-cors", Bool, (1, 10)).gone((17, 9), "use `api-cors-header`"),
    Key::new("authorization-plugins", Texts, (1, 10))
        .flag("authorization-plugin")
        .reload((17, 6)),
    Key::new("bip", Network4, (1, 10)),
    Key::new("bip6", Network6, (28, 0)),
    Key::new("bridge", Text, (1, 10)).letter('b'),
    Key::new("bridge-accept-fwmark", Text, (29, 0)),
    Key::new("builder", Builder, (18, 9)),
    Key::new("cdi-spec-dirs", Texts, (25, 0)).flag("cdi-spec-dir"),
    Key::new("cgroup-parent", Text, (1, 10)),
    Key::new("cluster-advertise", Text, (1, 10))
        .gone((23, 0), DISCOVERY)
        .reload((1, 12)),
    Key::new("cluster-store", Text, (1, 10))
        .gone((23, 0), DISCOVERY)
        .reload((1, 12)),
    Key::new("cluster-store-opts", TextMap, (1, 10))
        .gone((23, 0), DISCOVERY)
        .flag("cluster-store-opt")
        .reload((1, 12)),
    Key::new("containerd", Text, (1, 11)),
    Key::new("containerd-namespace", Text, (19, 3)).patch(4),
    Key::new("containerd-plugin-namespace", Text, (19, 3))
        .patch(4)
        .flag("containerd-plugins-namespace"),
    Key::new("cpu-rt-period", Integer, (1, 13)),
    Key::new("cpu-rt-runtime", Integer, (1, 13)),
    Key::new("cri-containerd", Bool, (18, 9)),
    Key::new("data-root", Text, (17, 5)),
    Key::new("debug", Bool, (1, 10)).letter('D').reload((1, 10)),
    Key::new("default-address-pools", Pools, (18, 6)).flag("default-address-pool"),
    Key::new(
        "default-cgroupns-mode",
        Word(&["host", "private"]),
        (20, 10),
    ),
    Key::new("default-gateway", Address, (1, 10)),
    Key::new("default-gateway-v6", Address, (1, 10)),
    Key::new("default-ipc-mode", Word(&["private", "shareable"]), (17, 9)),
    Key::new("default-network-opts", NetworkOptions, (24, 0)).flag("default-network-opt"),
    Key::new("default-runtime", Text, (1, 12)).reload((17, 6)),
    Key::new("default-shm-size", Size, (17, 4)).reload((17, 4)),
    Key::new("default-ulimits", Ulimits, (1, 10)).flag("default-ulimit"),
    Key::new("deprecated-key-path", Text, (17, 6)).gone((24, 0), "leave it out"),
    Key::new("disable-legacy-registry", Bool, (1, 11)).gone(
        (19, 3),
        "leave it out: there are no such registries any more",
    ),
    Key::new("dns", Addresses, (1, 10)),
    Key::new("dns-opts", Texts, (1, 10)).flag("dns-opt"),
    Key::new("dns-search", Texts, (1, 10)),
    Key::new("exec-opts", Pairs, (1, 10)).flag("exec-opt"),
    Key::new("exec-root", Text, (1, 10)),
    Key::new("experimental", Bool, (1, 13)),
    Key::new("features", Switches, (18, 9)).reload((18, 9)),
    Key::new("firewall-backend", Word(&["iptables", "nftables"]), (29, 0)),
    Key::new("fixed-cidr", Network4, (1, 10)),
    Key::new("fixed-cidr-v6", Network6, (1, 10)),
    Key::new("graph", Text, (1, 10))
        .gone((23, 0), "use `data-root`")
        .letter('g'),
    Key::new("group", Text, (1, 10)).letter('G'),
    Key::new("host-gateway-ip", Address, (20, 10)),
    Key::new("host-gateway-ips", Texts, (28, 0)).flag("host-gateway-ip"),
    Key::new("hosts", Listeners, (1, 10))
        .flag("host")
        .letter('H'),
    Key::new("icc", Bool, (1, 10)),
    Key::new("init", Bool, (1, 13)),
    Key::new("init-path", Text, (1, 13)),
    Key::new("insecure-registries", Registries, (1, 11))
        .flag("insecure-registry")
        .reload((1, 13)),
    Key::new("ip", Address, (1, 10)),
    Key::new("ip-forward", Bool, (1, 10)),
    Key::new("ip-forward-no-drop", Bool, (28, 0)),
    Key::new("ip-mask", Bool, (1, 10)).gone((1, 12), "use `ip-masq`"),
    Key::new("ip-masq", Bool, (1, 12)),
    Key::new("ip6tables", Bool, (20, 10)),
    Key::new("iptables", Bool, (1, 10)),
    Key::new("ipv6", Bool, (1, 10)),
    Key::new("labels", Pairs, (1, 10))
        .flag("label")
        .reload((1, 10)),
    Key::new("live-restore", Bool, (1, 12)).reload((1, 12)),
    Key::new("log-driver", Text, (1, 10)),
    Key::new("log-format", Word(&["text", "json"]), (25, 0)),
    Key::new("log-level", Word(LOG_LEVELS), (1, 10)).letter('l'),
    Key::new("log-opts", TextMap, (1, 10)).flag("log-opt"),
    Key::new("max-concurrent-downloads", Count, (1, 12)).reload((1, 12)),
    Key::new("max-concurrent-uploads", Count, (1, 12)).reload((1, 12)),
    Key::new("max-download-attempts", Count, (20, 10)).reload((20, 10)),
    Key::new("metrics-addr", HostAndPort, (1, 13)),
    Key::new("min-api-version", Text, (29, 0)),
    Key::new("mtu", Count, (1, 10)),
    Key::new("network-control-plane-mtu", Count, (17, 9)),
    Key::new("network-diagnostic-port", Count, (17, 12)).reload((17, 12)),
    Key::new("no-new-privileges", Bool, (17, 4)),
    Key::new("node-generic-resources", Texts, (17, 9)).flag("node-generic-resource"),
    Key::new("oom-score-adjust", Integer, (1, 12))
        .gone((25, 0), "set `OOMScoreAdjust=` in `drop_ins`"),
    Key::new("pidfile", Text, (1, 10)).letter('p'),
    Key::new("proxies", Proxies, (23, 0)),
    Key::new("raw-logs", Bool, (1, 11)),
    Key::new("registry-mirrors", Mirrors, (1, 11))
        .flag("registry-mirror")
        .reload((17, 4)),
    Key::new("runtimes", Runtimes, (1, 12))
        .flag("add-runtime")
        .reload((1, 13)),
    Key::new("seccomp-profile", Text, (1, 13)),
    Key::new("selinux-enabled", Bool, (1, 10)),
    Key::new("shutdown-timeout", Integer, (1, 13)).reload((1, 13)),
    Key::new("storage-driver", Text, (1, 10)).letter('s'),
    Key::new("storage-opts", Pairs, (1, 10)).flag("storage-opt"),
    Key::new("swarm-default-advertise-addr", Text, (1, 12)),
    Key::new("swarm-raft-election-tick", Count, (18, 6)),
    Key::new("swarm-raft-heartbeat-tick", Count, (18, 6)),
    Key::new("tls", Bool, (1, 10)),
    Key::new("tlscacert", Text, (1, 10)),
    Key::new("tlscert", Text, (1, 10)),
    Key::new("tlskey", Text, (1, 10)),
    Key::new("tlsverify", Bool, (1, 10)),
    Key::new("userland-proxy", Bool, (1, 10)),
    Key::new("userland-proxy-path", Text, (1, 13)),
    Key::new("userns-remap", Text, (1, 10)),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_each_setting_is_there_once() {
        assert!(KEYS.windows(2).all(|pair| pair[0].name < pair[1].name));
    }

    #[test]
    fn no_setting_ends_before_it_begins_or_reloads_before_it_is_known() {
        for key in KEYS {
            assert!(key.gone.is_none_or(|(gone, _)| key.first < gone), "{key:?}");
            assert!(
                key.reload.is_none_or(|reload| key.first <= reload),
                "{key:?}"
            );
        }
    }

    #[test]
    fn knows_from_when_to_when() {
        for (name, release, known) in [
            ("data-root", "17.04.0", false),
            ("data-root", "17.05.0", true),
            ("graph", "20.10.24", true),
            ("graph", "23.0.0", false),
            ("live-restore", "29.0.0", true),
            ("max-download-attempts", "19.03.15", false),
            ("cri-containerd", "18.06.3", false),
            ("cri-containerd", "18.09.0", true),
            ("containerd-namespace", "19.03.3", false),
            ("containerd-namespace", "19.03.4", true),
            ("deprecated-key-path", "23.0.6", true),
            ("deprecated-key-path", "24.0.0", false),
        ] {
            assert_eq!(
                find(name).unwrap().is_known(&release.parse().unwrap()),
                known,
                "{name} {release:?}"
            );
        }
        assert!(find("registry-mirrors").unwrap().is_reloadable((20, 10)));
        assert!(!find("registry-mirrors").unwrap().is_reloadable((1, 13)));
        assert!(find("registry-mirrors").unwrap().is_reloadable((17, 4)));
        assert!(find("runtimes").unwrap().is_reloadable((17, 3)));
        assert!(find("default-shm-size").unwrap().is_reloadable((18, 9)));
        assert!(!find("log-opts").unwrap().is_reloadable((29, 0)));
    }
}

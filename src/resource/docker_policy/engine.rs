//! The rules over the engine and its settings.

use super::DockerPolicy;
use super::container::size;
use super::finding::{Finding, Subject, text};
use super::observe::Observed;
use super::rule::Rule;
use super::settings::Settings;

/// devicemapper's own size of a base device.
const BASE_SIZE: &str = "10G";

/// Log drivers that keep files on the host without a limit of their own.
const UNLIMITED_LOGS: &str = "json-file";

/// A rule over one setting: its name, what is wanted, whether it is so.
type OnSetting = (Rule, &'static str, &'static str, fn(&Settings) -> bool);

const ON_SETTINGS: &[OnSetting] = &[
    (Rule::Icc, "icc", "false", |it| !it.is_on("icc")),
    (Rule::LogLevel, "log-level", "info", |it| {
        it.text("log-level") == "info"
    }),
    (Rule::LogLevel, "debug", "false", |it| {
        // One finding is enough.
        !it.is_on("debug") || it.text("log-level") != "info"
    }),
    (Rule::Iptables, "iptables", "true", |it| {
        it.is_on("iptables")
    }),
    (
        Rule::InsecureRegistries,
        "insecure-registries",
        "none",
        |it| it.texts("insecure-registries").is_empty(),
    ),
    (
        Rule::StorageDriver,
        "storage-driver",
        "another driver",
        |it| it.text("storage-driver") != "aufs",
    ),
    (Rule::DefaultUlimits, "default-ulimits", "limits", |it| {
        !it.pairs("default-ulimits").is_empty()
    }),
    (Rule::Userns, "userns-remap", "users are mapped", |it| {
        !it.text("userns-remap").is_empty()
    }),
    (Rule::CgroupParent, "cgroup-parent", "none", |it| {
        it.text("cgroup-parent").is_empty()
    }),
    (
        Rule::Authorization,
        "authorization-plugins",
        "a plugin",
        |it| !it.texts("authorization-plugins").is_empty(),
    ),
    (Rule::NoNewPrivileges, "no-new-privileges", "true", |it| {
        it.is_on("no-new-privileges")
    }),
    (Rule::LiveRestore, "live-restore", "true", |it| {
        it.is_on("live-restore")
    }),
    (Rule::UserlandProxy, "userland-proxy", "false", |it| {
        !it.is_on("userland-proxy")
    }),
    (Rule::Seccomp, "seccomp-profile", "a profile", |it| {
        it.text("seccomp-profile") != "unconfined"
    }),
    (Rule::Experimental, "experimental", "false", |it| {
        !it.is_on("experimental")
    }),
];

/// Everything that breaks a rule.
pub(super) fn findings(
    policy: &DockerPolicy,
    observed: &Observed,
    settings: &Settings,
) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut add = |rule, expected: &str, actual: String| {
        found.push(Finding::new(rule, &Subject::Engine, expected, actual));
    };
    let info = &observed.info;
    // Docker takes a limit, warns once, and runs the container without it.
    if info["MemoryLimit"] == false {
        let actual = "the kernel enforces no limit of any container";
        add(
            Rule::Memory,
            "memory limits are enforced",
            actual.to_owned(),
        );
    }
    if let Some(why) = &observed.broken_daemon_json {
        add(Rule::DaemonJson, "a mapping in JSON", why.clone());
    }
    for (rule, key, expected, is_kept) in ON_SETTINGS {
        // An engine in a swarm cannot have live-restore; being in one is a finding itself.
        let impossible = *rule == Rule::LiveRestore && in_swarm(observed);
        if !is_kept(settings)
            && !impossible
            && let Some(setting) = settings.get(key)
        {
            add(*rule, expected, setting.to_string());
        }
    }
    let open = open_to_the_network(settings);
    if !open.is_empty() {
        let actual = format!("{} without tlsverify", open.join(", "));
        add(Rule::ApiTls, "TLS with client certificates", actual);
    }
    let base_size = settings.texts("storage-opts").iter().find_map(|option| {
        option
            .strip_prefix("dm.basesize=")
            .filter(|size| !size.eq_ignore_ascii_case(BASE_SIZE))
    });
    if let Some(size) = base_size {
        add(Rule::BaseSize, BASE_SIZE, size.to_owned());
    }
    let logs_grow = settings.text("log-driver") == UNLIMITED_LOGS
        && settings
            .pairs("log-opts")
            .get("max-size")
            .and_then(|text| size(text))
            .is_none();
    if logs_grow {
        let actual = "json-file, not limited".to_owned();
        add(
            Rule::LogRotation,
            "a max-size, or a driver that limits itself",
            actual,
        );
    }
    if in_swarm(observed) {
        let state = text(&info["Swarm"]["LocalNodeState"]);
        add(Rule::Swarm, "inactive", state.to_owned());
    }
    if let Some(allowed) = &policy.docker_group {
        let others: Vec<_> = observed
            .docker_group
            .iter()
            .filter(|member| !allowed.contains(member))
            .cloned()
            .collect();
        if !others.is_empty() {
            let expected = match allowed.as_slice() {
                [] => "nobody".to_owned(),
                allowed => format!("only {}", allowed.join(", ")),
            };
            add(Rule::DockerGroup, &expected, others.join(", "));
        }
    }
    if observed.data_root_is_mounted == Some(false) {
        let actual = format!("{} is part of another", text(&info["DockerRootDir"]));
        add(Rule::DataRoot, "a file system of its own", actual);
    }
    found
}

fn in_swarm(observed: &Observed) -> bool {
    !matches!(
        text(&observed.info["Swarm"]["LocalNodeState"]),
        "" | "inactive"
    )
}

/// The addresses of the network at which anybody may tell the engine what to do.
fn open_to_the_network(settings: &Settings) -> Vec<&str> {
    if settings.is_on("tlsverify") {
        return Vec::new();
    }
    let hosts = settings.texts("hosts").iter().map(String::as_str);
    // Without a scheme it is TCP.
    hosts
        .filter(|host| {
            !["unix://", "fd://", "npipe://"]
                .iter()
                .any(|local| host.starts_with(local))
        })
        .collect()
}

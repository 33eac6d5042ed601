//! The rules over containers, on Docker's descriptions of them.

use std::collections::BTreeSet;

use serde_json::Value;

use super::finding::{Finding, Subject, text, words};
use super::rule::Rule;
use super::settings::Settings;
use super::{DockerPolicy, heap, mounts};
use crate::resource::docker_container::size::Size;

/// The capabilities that a container has anyway.
const DEFAULT_CAPABILITIES: [&str; 14] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// Log drivers that write files without a limit of their own.
const UNLIMITED_LOGS: &str = "json-file";

/// What switches off `AppArmor`, SELinux and seccomp, with their numbers in the benchmark.
pub(super) const CONFINEMENT: [(&str, &str); 4] = [
    ("apparmor=unconfined", "5.2"),
    ("label=disable", "5.3"),
    ("label=type:spc_t", "5.3"),
    ("seccomp=unconfined", "5.22"),
];

/// A container's name as `docker ps` shows it.
pub(super) fn name(container: &Value) -> String {
    let name = text(&container["Name"]).trim_start_matches('/');
    if name.is_empty() {
        return text(&container["Id"]).chars().take(12).collect();
    }
    name.to_owned()
}

/// Everything that breaks a rule, in the order of the rules.
pub(super) fn findings(
    policy: &DockerPolicy,
    settings: &Settings,
    info: &Value,
    container: &Value,
) -> Vec<Finding> {
    let subject = Subject::Container(name(container));
    let host = &container["HostConfig"];
    let mut found = Vec::new();
    let mut add = |rule, expected: String, actual: String| {
        found.push(Finding::new(rule, &subject, expected, actual));
    };
    if let Some(actual) = tag(container) {
        add(Rule::DigestPinned, "an image by digest".to_owned(), actual);
    }
    if let Some((expected, actual)) = memory(policy, host) {
        add(Rule::Memory, expected, actual);
    }
    if swaps_without_limit(info, host) {
        add(Rule::Swap, "a limit".to_owned(), "not limited".to_owned());
    }
    if let Some((expected, actual)) = heap::too_large(container, info["MemTotal"].as_u64()) {
        add(Rule::JvmHeap, expected, actual);
    }
    if host["Privileged"] == true {
        add(Rule::Privileged, "false".to_owned(), "true".to_owned());
    }
    let mut added = words(&host["CapAdd"]);
    added.retain(|name| !DEFAULT_CAPABILITIES.contains(&name.trim_start_matches("CAP_")));
    if !added.is_empty() {
        add(
            Rule::Capabilities,
            "Docker's defaults".to_owned(),
            added.join(", "),
        );
    }
    for (rule, key) in [
        (Rule::HostNetwork, "NetworkMode"),
        (Rule::HostPid, "PidMode"),
        (Rule::HostIpc, "IpcMode"),
        (Rule::HostUts, "UTSMode"),
        (Rule::HostUserns, "UsernsMode"),
    ] {
        if host[key] == "host" {
            add(rule, "its own".to_owned(), "the host's".to_owned());
        }
    }
    for (key, what) in [
        ("NetworkMode", "network"),
        ("PidMode", "processes"),
        ("IpcMode", "memory"),
    ] {
        if let Some(other) = text(&host[key]).strip_prefix("container:") {
            add(
                Rule::JoinedNamespaces,
                format!("its own {what}"),
                format!("the {what} of {}", short(other)),
            );
        }
    }
    mounts::findings(settings, info, container, &mut add);
    let devices = devices(host);
    if !devices.is_empty() {
        add(Rule::Devices, "none".to_owned(), devices.join(", "));
    }
    ports(policy, container, &mut add);
    logs(policy, host, &mut add);
    let restart = restart(&host["RestartPolicy"]);
    if !policy.restart.contains(&restart) {
        add(Rule::Restart, policy.restart.join(" or "), restart);
    }
    if host["PidsLimit"].as_i64().is_none_or(|limit| limit <= 0) {
        add(Rule::Pids, "a limit".to_owned(), "not limited".to_owned());
    }
    let cpu = ["NanoCpus", "CpuQuota", "CpuShares"];
    // 1024 shares are the default said aloud.
    if cpu
        .iter()
        .all(|key| matches!(host[key].as_i64(), None | Some(..=0 | 1024)))
    {
        add(
            Rule::Cpus,
            "a limit or a share".to_owned(),
            "not limited".to_owned(),
        );
    }
    if host["ReadonlyRootfs"] != true {
        add(
            Rule::ReadOnlyRoot,
            "read-only".to_owned(),
            "writable".to_owned(),
        );
    }
    process(settings, container, &mut add);
    found.extend(unconfined(&subject, host));
    found
}

/// What a container was made from, unless that is one image for good.
fn tag(container: &Value) -> Option<String> {
    let image = text(&container["Config"]["Image"]);
    let by_id = image.starts_with("sha256:")
        || (image.len() >= 12 && image.bytes().all(|byte| byte.is_ascii_hexdigit()));
    (!image.contains("@sha256:") && !by_id).then(|| image.to_owned())
}

fn memory(policy: &DockerPolicy, host: &Value) -> Option<(String, String)> {
    let limit = host["Memory"].as_u64().filter(|bytes| *bytes > 0);
    match (limit, policy.memory_max) {
        (None, None) => Some(("a limit".to_owned(), "not limited".to_owned())),
        (None, Some(most)) => Some((format!("at most {most}"), "not limited".to_owned())),
        (Some(limit), Some(most)) if Size(limit) > most => {
            Some((format!("at most {most}"), Size(limit).to_string()))
        }
        (Some(_), _) => None,
    }
}

/// Whether somebody lifted the limit of swap. Where the kernel has none, Docker itself writes this
/// into every container with a memory limit.
fn swaps_without_limit(info: &Value, host: &Value) -> bool {
    let limited = host["Memory"].as_u64().is_some_and(|limit| limit > 0);
    limited && host["MemorySwap"] == -1 && info["SwapLimit"] != false
}

/// The devices of the host that it may use: named, by number, or whatever a driver gives it.
fn devices(host: &Value) -> Vec<&str> {
    let mut devices: Vec<_> = list(&host["Devices"])
        .map(|device| text(&device["PathOnHost"]))
        .collect();
    devices.extend(words(&host["DeviceCgroupRules"]));
    let asked_for = list(&host["DeviceRequests"]).map(|request| match text(&request["Driver"]) {
        "" => "a device by its capabilities",
        driver => driver,
    });
    devices.extend(asked_for);
    devices
}

/// A container's name as it is, its id as Docker shows it.
fn short(container: &str) -> String {
    let is_id = container.len() == 64 && container.bytes().all(|byte| byte.is_ascii_hexdigit());
    container
        .chars()
        .take(if is_id { 12 } else { usize::MAX })
        .collect()
}

fn ports(policy: &DockerPolicy, container: &Value, add: &mut impl FnMut(Rule, String, String)) {
    let Some(ranges) = &policy.published_ports else {
        return;
    };
    let mut outside = BTreeSet::new();
    // What it asked for, and what it got while it runs: a port may be left to the engine.
    for ports in [
        &container["HostConfig"]["PortBindings"],
        &container["NetworkSettings"]["Ports"],
    ] {
        for (inner, bindings) in ports.as_object().into_iter().flatten() {
            for binding in list(bindings) {
                // Of a range that it may choose from, the ends are looked at.
                let port = text(&binding["HostPort"]);
                for number in port.split('-').filter_map(|end| end.parse::<u16>().ok()) {
                    if number > 0 && !ranges.iter().any(|range| range.contains(number)) {
                        outside.insert((number, inner.clone()));
                    }
                }
            }
        }
    }
    let all = container["HostConfig"]["PublishAllPorts"] == true;
    if all || !outside.is_empty() {
        let expected: Vec<_> = ranges.iter().map(ToString::to_string).collect();
        let mut actual: Vec<_> = outside
            .iter()
            .map(|(port, inner)| format!("{port} (for {inner})"))
            .collect();
        if all {
            actual.insert(0, "whatever the image exposes (-P)".to_owned());
        }
        let expected = if expected.is_empty() {
            "none".to_owned()
        } else {
            expected.join(", ")
        };
        add(Rule::PublishedPorts, expected, actual.join(", "));
    }
}

fn logs(policy: &DockerPolicy, host: &Value, add: &mut impl FnMut(Rule, String, String)) {
    let log = &host["LogConfig"];
    let driver = text(&log["Type"]);
    if !policy.log_drivers.iter().any(|allowed| allowed == driver) {
        add(
            Rule::LogDriver,
            policy.log_drivers.join(" or "),
            driver.to_owned(),
        );
    }
    if driver != UNLIMITED_LOGS {
        return;
    }
    let said = text(&log["Config"]["max-size"]);
    let size = size(said);
    let too_large = match (size, policy.log_max_size) {
        (None, _) => true,
        (Some(size), most) => most.is_some_and(|most| size > most),
    };
    if too_large {
        let expected = policy.log_max_size.map_or_else(
            || "a max-size".to_owned(),
            |most| format!("a max-size of at most {most}"),
        );
        let actual = if said.is_empty() { "not limited" } else { said };
        add(Rule::LogLimits, expected, actual.to_owned());
    }
}

/// The size of a log file, if it is one; −1 means no limit.
pub(super) fn size(text: &str) -> Option<Size> {
    text.parse().ok().filter(|size| *size > Size(0))
}

/// How a container is restarted, as it is written in `docker run`.
fn restart(policy: &Value) -> String {
    match (text(&policy["Name"]), &policy["MaximumRetryCount"]) {
        ("", _) => "no".to_owned(),
        ("on-failure", tries) if tries.as_u64().is_some_and(|tries| tries > 0) => {
            format!("on-failure:{tries}")
        }
        (name, _) => name.to_owned(),
    }
}

/// What the process in the container may do, and whether it is looked after.
fn process(settings: &Settings, container: &Value, add: &mut impl FnMut(Rule, String, String)) {
    let config = &container["Config"];
    let kept_down = words(&container["HostConfig"]["SecurityOpt"])
        .iter()
        .any(|option| {
            matches!(
                *option,
                "no-new-privileges" | "no-new-privileges:true" | "no-new-privileges=true"
            )
        });
    if !kept_down && !settings.is_on("no-new-privileges") {
        add(
            Rule::NewPrivileges,
            "no-new-privileges".to_owned(),
            "not set".to_owned(),
        );
    }
    let test = words(&config["Healthcheck"]["Test"]);
    if matches!(test.first(), None | Some(&"NONE")) {
        add(
            Rule::Healthcheck,
            "a health check".to_owned(),
            "none".to_owned(),
        );
    }
    let user = text(&config["User"]);
    let name = user.split(':').next().unwrap_or_default();
    if matches!(name, "" | "root") || name.parse::<u32>() == Ok(0) {
        let actual = if user.is_empty() { "root" } else { user };
        add(Rule::RootUser, "another user".to_owned(), actual.to_owned());
    }
}

/// Which of the ways to confine it are switched off.
fn unconfined(subject: &Subject, host: &Value) -> Vec<Finding> {
    // Docker itself adds `label=disable` then; the cause is a finding of its own.
    let implied =
        host["Privileged"] == true || host["PidMode"] == "host" || host["IpcMode"] == "host";
    let off = |option: &&str| {
        // Engines took a colon in its place once.
        let option = if option.contains('=') {
            (*option).to_owned()
        } else {
            option.replacen(':', "=", 1)
        };
        let (_, cis) = CONFINEMENT.iter().find(|(off, _)| *off == option)?;
        (option != "label=disable" || !implied).then_some(*cis)
    };
    let finding =
        |cis, option| Finding::new(Rule::Confinement, subject, "confined", option).cis(cis);
    let mut found: Vec<_> = words(&host["SecurityOpt"])
        .iter()
        .filter_map(|option| Some(finding(off(option)?, *option)))
        .collect();
    // Docker keeps this option as what it does: nothing of /proc is hidden. Privileged says `null`.
    if host["MaskedPaths"].as_array().is_some_and(Vec::is_empty) && host["Privileged"] != true {
        found.push(finding("", "systempaths=unconfined"));
    }
    found
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_kernel_without_a_limit_of_swap_is_no_fault_of_a_container() {
        let host = json!({ "Memory": 1024, "MemorySwap": -1 });
        for (info, found) in [
            (json!({ "SwapLimit": true }), true),
            (json!({}), true),
            (json!({ "SwapLimit": false }), false),
        ] {
            assert_eq!(swaps_without_limit(&info, &host), found, "{info}");
        }
        let unlimited = json!({ "Memory": 0, "MemorySwap": -1 });
        assert!(!swaps_without_limit(&json!({}), &unlimited));
    }
}

//! What the types of a declaration cannot say.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use super::request::{JAVA_OPTIONS, port, restart};
use super::{DockerContainer, State};

/// The smallest limit that every engine accepts, in bytes.
const LEAST_MEMORY: u64 = 6 << 20;

/// The longest that may be waited for a container.
const LONGEST_SETTLE: Duration = Duration::from_hours(1);

/// Those of signal(7) that a program can be asked to end with.
const SIGNALS: &[&str] = &[
    "ABRT", "ALRM", "CONT", "HUP", "INT", "IO", "KILL", "POLL", "PROF", "PWR", "QUIT", "RTMAX",
    "RTMIN", "TERM", "TRAP", "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ",
];

/// Those of capabilities(7) up to Linux 6.6.
const CAPABILITIES: &[&str] = &[
    "ALL",
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "PERFMON",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];

/// Kernel parameters of an IPC namespace, beside `kernel.shm*` and `kernel.msg*`.
const NAMESPACED: &[&str] = &["kernel.sem"];

/// Limits of a process, as github.com/docker/go-units reads their names.
pub(in crate::resource) const ULIMITS: &[&str] = &[
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// Checks what the types cannot.
pub(super) fn validate(declared: &DockerContainer) -> Result<(), String> {
    if !is_name(&declared.name) {
        return Err(format!(
            "`{}` is no name for a container: letters, digits and `_.-`, a letter or digit first",
            declared.name
        ));
    }
    if declared.state == State::Absent {
        return Ok(());
    }
    if declared.image.is_none() {
        return Err("`image` is needed".to_owned());
    }
    let problems: Vec<_> = [
        ports(declared),
        volumes(declared),
        networks(declared),
        limits(declared),
        environment(declared),
        process(declared),
        confinement(declared),
    ]
    .into_iter()
    .filter_map(Result::err)
    .collect();
    if problems.is_empty() {
        return Ok(());
    }
    Err(problems.join("\n"))
}

fn ports(declared: &DockerContainer) -> Result<(), String> {
    let mut published = BTreeSet::new();
    for text in &declared.ports {
        let port = port(text)?;
        let container = port.container.rsplit('/').next().map(str::to_owned);
        if !published.insert((port.address.to_owned(), port.host, container)) {
            return Err(format!(
                "the port {} of the host is published twice",
                port.host
            ));
        }
    }
    if declared.network.as_deref() == Some("host") && !declared.ports.is_empty() {
        return Err("`network: host` publishes every port by itself; leave `ports` out".to_owned());
    }
    Ok(())
}

fn volumes(declared: &DockerContainer) -> Result<(), String> {
    declared.volumes.iter().try_for_each(|text| volume(text))?;
    for text in &declared.devices {
        let parts: Vec<_> = text.split(':').collect();
        let (paths, rights) = match parts[..] {
            [_, _, rights] => (&parts[..2], rights),
            _ => (&parts[..], "rwm"),
        };
        let known = !rights.is_empty() && rights.chars().all(|sign| "rwm".contains(sign));
        if parts.len() > 3 || !known || !paths.iter().all(|path| is_path(path)) {
            return Err(format!(
                "`{text}` is no device; `/dev/ttyS0`, `/dev/ttyS0:/dev/modem` or \
                 `/dev/ttyS0:/dev/modem:rw` is expected"
            ));
        }
    }
    match declared.tmpfs.keys().find(|path| !is_path(path)) {
        Some(path) => Err(format!(
            "`{path}` is no path for `tmpfs`; `/run: size=64m` is expected, from the root on"
        )),
        None => Ok(()),
    }
}

fn networks(declared: &DockerContainer) -> Result<(), String> {
    let named = declared.network.iter().chain(declared.networks.keys());
    if let Some(network) = named.clone().find(|name| !is_name(name)) {
        return Err(format!("`{network}` is no name of a network"));
    }
    let alone = |name: &&String| ["host", "none"].contains(&name.as_str());
    if let Some(name) = named.clone().find(alone)
        && (!declared.networks.is_empty())
    {
        return Err(format!(
            "a container in the network `{name}` can be in no other; leave `networks` out"
        ));
    }
    for (name, network) in &declared.networks {
        if name == "bridge" && !network.aliases.is_empty() {
            return Err(
                "the network `bridge` has no `aliases`: only networks that were made do".to_owned(),
            );
        }
        if let Some(alias) = network.aliases.iter().find(|alias| !is_name(alias)) {
            return Err(format!("`{alias}` is no name for `aliases`"));
        }
    }
    if let Some(address) = declared
        .dns
        .iter()
        .find(|text| text.parse::<IpAddr>().is_err())
    {
        return Err(format!("`{address}` in `dns` is no address"));
    }
    let known = |text: &&String| {
        text.split_once(':').is_some_and(|(name, address)| {
            is_name(name) && (address == "host-gateway" || address.parse::<IpAddr>().is_ok())
        })
    };
    if let Some(text) = declared.extra_hosts.iter().find(|text| !known(text)) {
        return Err(format!(
            "`{text}` in `extra_hosts` is no name with its address; `db:10.0.0.5` is expected"
        ));
    }
    match &declared.hostname {
        Some(name) if !is_name(name) || name.len() > 63 => {
            Err(format!("`hostname: {name}` is no name for a host"))
        }
        Some(_) if declared.network.as_deref() == Some("host") => Err(
            "with `network: host` a container has the name of its host; leave `hostname` out"
                .to_owned(),
        ),
        _ => Ok(()),
    }
}

fn environment(declared: &DockerContainer) -> Result<(), String> {
    for name in declared.env.keys() {
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(format!("`{name}` is no name for an environment variable"));
        }
    }
    if declared.java.is_some() && declared.env.contains_key(JAVA_OPTIONS) {
        return Err(format!(
            "`java` sets {JAVA_OPTIONS} itself; give further options as `java.options`"
        ));
    }
    let java = declared.java.as_ref();
    java.map_or(Ok(()), |java| java.validate(declared.memory))
}

/// How it is started, found healthy and ended.
fn process(declared: &DockerContainer) -> Result<(), String> {
    if let Some(text) = &declared.restart {
        restart(text)?;
    }
    let blank = |text: &str| text.is_empty() || text.contains(char::is_whitespace);
    if let Some(user) = declared.user.as_ref().filter(|user| blank(user)) {
        return Err(format!(
            "`user: {user}` is no user; `app`, `1000` or `1000:1000` is expected"
        ));
    }
    if let Some(group) = declared.group_add.iter().find(|group| blank(group)) {
        return Err(format!("`{group}` in `group_add` is no group"));
    }
    if let Some(path) = declared.working_dir.as_ref().filter(|path| !is_path(path)) {
        return Err(format!("`working_dir: {path}` does not begin at the root"));
    }
    if let Some(name) = &declared.stop_signal
        && !is_signal(name)
    {
        return Err(format!(
            "`stop_signal: {name}` is no signal; `SIGTERM`, `SIGQUIT` or `SIGRTMIN+3` is expected"
        ));
    }
    if let Some(check) = &declared.healthcheck {
        let spans = [check.interval, check.timeout, check.start_period];
        // Docker takes 0 for its own default, and refuses less than a millisecond.
        if let Some(span) = spans
            .into_iter()
            .flatten()
            .find(|span| span.0.as_millis() == 0)
        {
            return Err(format!(
                "`{span}` in `healthcheck` is less than 1ms, the least Docker accepts"
            ));
        }
        if check.command.as_ref().is_some_and(Vec::is_empty) && spans.iter().any(Option::is_some) {
            return Err("a `healthcheck` that is switched off has nothing else".to_owned());
        }
    }
    let settle = declared.settle.unwrap_or_default();
    if settle.deadline.0 > LONGEST_SETTLE {
        return Err(format!(
            "`deadline: {}` is more than an hour",
            settle.deadline
        ));
    }
    if settle.time > settle.deadline {
        return Err(format!(
            "`settle` ends after {}, before the {} that it must stay up",
            settle.deadline, settle.time
        ));
    }
    Ok(())
}

/// What it may do beyond or below what Docker allows every container.
fn confinement(declared: &DockerContainer) -> Result<(), String> {
    for name in declared.cap_add.iter().chain(&declared.cap_drop) {
        let upper = name.to_ascii_uppercase();
        let short = upper.strip_prefix("CAP_").unwrap_or(&upper);
        if !CAPABILITIES.contains(&short) {
            return Err(format!(
                "`{name}` is no capability; `ALL` or one of capabilities(7) is expected: \
                 `NET_ADMIN`, `SYS_TIME`, …"
            ));
        }
    }
    for option in &declared.security_opt {
        let (key, value) = option.split_once(['=', ':']).unwrap_or((option, ""));
        let known = match key {
            "no-new-privileges" => ["", "true", "false"].contains(&value),
            "label" | "apparmor" => !value.is_empty(),
            // The profile itself would have to be here, and `docker` reads it from a file.
            "seccomp" => ["unconfined", "builtin"].contains(&value),
            "systempaths" => value == "unconfined",
            _ => false,
        };
        if !known {
            return Err(format!(
                "`{option}` in `security_opt` is none that is known; `no-new-privileges`, \
                 `label=…`, `apparmor=PROFILE`, `seccomp=unconfined` or \
                 `systempaths=unconfined` is expected"
            ));
        }
    }
    for (field, mode, known) in [
        (
            "ipc",
            &declared.ipc,
            &["private", "shareable", "host", "none"][..],
        ),
        ("pid", &declared.pid, &["host"]),
        ("userns", &declared.userns, &["host"]),
    ] {
        if let Some(mode) = mode.as_ref().filter(|mode| !known.contains(&mode.as_str())) {
            return Err(format!(
                "`{field}: {mode}` is none that is known; `{}` is expected",
                known.join("`, `")
            ));
        }
    }
    let namespaced = |name: &String| {
        NAMESPACED.contains(&name.as_str())
            || ["net.", "fs.mqueue.", "kernel.shm", "kernel.msg"]
                .iter()
                .any(|start| name.starts_with(start))
    };
    if let Some(name) = declared.sysctls.keys().find(|name| !namespaced(name)) {
        return Err(format!(
            "`{name}` in `sysctls` is one of the whole host; a container has its own `net.*`, \
             `fs.mqueue.*`, `kernel.shm*`, `kernel.msg*` and `kernel.sem`"
        ));
    }
    if declared.network.as_deref() == Some("host")
        && let Some(name) = declared
            .sysctls
            .keys()
            .find(|name| name.starts_with("net."))
    {
        return Err(format!(
            "`{name}` in `sysctls` would be the host's with `network: host`"
        ));
    }
    for (name, limit) in &declared.ulimits {
        if !ULIMITS.contains(&name.as_str()) {
            return Err(format!(
                "`{name}` in `ulimits` is none that is known; one of `{}` is expected",
                ULIMITS.join("`, `")
            ));
        }
        let (soft, hard) = (limit.soft, limit.hard);
        if soft < -1 || hard < -1 || (hard != -1 && (soft == -1 || soft > hard)) {
            return Err(format!(
                "`{name}: {{ soft: {soft}, hard: {hard} }}` in `ulimits`: the soft limit is not \
                 more than the hard one, and -1 is no limit"
            ));
        }
    }
    Ok(())
}

fn limits(declared: &DockerContainer) -> Result<(), String> {
    if let Some(memory) = declared.memory
        && memory.0 < LEAST_MEMORY
    {
        return Err(format!(
            "`memory: {memory}` is less than 6m, the least Docker accepts"
        ));
    }
    match (declared.memory, declared.memory_swap) {
        (None, Some(_)) => return Err("`memory_swap` needs `memory`".to_owned()),
        (Some(memory), Some(both)) if both < memory => {
            return Err(format!(
                "`memory_swap: {both}` is memory and swap together, so it cannot be less than \
                 `memory: {memory}`"
            ));
        }
        _ => {}
    }
    if let Some(cpus) = declared.cpus
        && !(0.01..=4096.0).contains(&cpus)
    {
        return Err(format!("`cpus: {cpus}` is not between 0.01 and 4096"));
    }
    if let Some(size) = declared.shm_size.filter(|size| size.0 == 0) {
        return Err(format!("`shm_size: {size}` would let nothing be shared"));
    }
    if declared.pids == Some(0) {
        return Err("`pids: 0` would let nothing run".to_owned());
    }
    Ok(())
}

fn is_path(text: &str) -> bool {
    text.starts_with('/') && !text.split('/').any(|part| part == "..")
}

/// A name of signal(7), with or without `SIG`, or a number.
fn is_signal(text: &str) -> bool {
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let real_time = |start: &str| {
        let rest = name.strip_prefix(start)?.strip_prefix(['+', '-'])?;
        rest.parse::<u8>().ok().filter(|number| *number <= 15)
    };
    SIGNALS.contains(&name)
        || text
            .parse::<u8>()
            .is_ok_and(|number| (1..=64).contains(&number))
        || real_time("RTMIN").or_else(|| real_time("RTMAX")).is_some()
}

fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.len() <= 128
        && text
            .chars()
            .all(|sign| sign.is_ascii_alphanumeric() || "_.-".contains(sign))
}

fn volume(text: &str) -> Result<(), String> {
    let parts: Vec<_> = text.split(':').collect();
    let (source, target) = match parts[..] {
        [source, target] => (source, target),
        [source, target, options] if !options.is_empty() => (source, target),
        _ => ("", ""),
    };
    if is_path(target) && target != "/" && (is_path(source) || is_name(source)) {
        return Ok(());
    }
    Err(format!(
        "`{text}` is no volume; `/on/the/host:/inside`, with `:ro` at the end if it is only read, \
         or `name:/inside` is expected"
    ))
}

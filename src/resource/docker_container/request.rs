//! A declaration in the words of the Engine API.

use serde_json::{Map, Value, json};

use super::DockerContainer;
use super::java::Java;
use super::options::{Healthcheck, Network, Span, Ulimit};
use crate::resource::hidden::Hidden;

/// The variable that every JVM reads.
pub(super) const JAVA_OPTIONS: &str = "JAVA_TOOL_OPTIONS";

/// A published port in parts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Port<'a> {
    pub(super) address: &'a str,
    pub(super) host: u16,
    /// `80/tcp`.
    pub(super) container: String,
}

pub(super) fn port(text: &str) -> Result<Port<'_>, String> {
    let invalid = || {
        format!("`{text}` is no port; `8080:80`, `127.0.0.1:8080:80` or `53:53/udp` is expected")
    };
    let number = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let (rest, inside) = ports.rsplit_once(':').ok_or_else(invalid)?;
    let (address, outside) = rest.rsplit_once(':').unwrap_or(("", rest));
    // Docker keeps IPv6 addresses without their brackets.
    let address = address.trim_start_matches('[').trim_end_matches(']');
    let known = address.is_empty() || address.parse::<std::net::IpAddr>().is_ok();
    match (number(outside), number(inside)) {
        (Some(host), Some(inside)) if known && ["tcp", "udp", "sctp"].contains(&protocol) => {
            Ok(Port {
                address,
                host,
                container: format!("{inside}/{protocol}"),
            })
        }
        _ => Err(invalid()),
    }
}

/// A policy's name and how often it tries.
pub(super) fn restart(text: &str) -> Result<(&str, u32), String> {
    match text
        .split_once(':')
        .map(|(name, tries)| (name, tries.parse()))
    {
        None if ["no", "always", "unless-stopped", "on-failure"].contains(&text) => Ok((text, 0)),
        Some(("on-failure", Ok(tries))) => Ok(("on-failure", tries)),
        _ => Err(format!(
            "`{text}` is no restart policy; `no`, `always`, `unless-stopped`, `on-failure` or \
             `on-failure:5` is expected"
        )),
    }
}

/// The environment as declared, with what `java` adds.
pub(super) fn environment(declared: &DockerContainer) -> Vec<(&str, String)> {
    let mut all: Vec<_> = declared
        .env
        .iter()
        .map(|(name, value)| (name.as_str(), Hidden::expose(value).to_owned()))
        .collect();
    all.extend(java_options(declared).map(|options| (JAVA_OPTIONS, options)));
    all
}

fn java_options(declared: &DockerContainer) -> Option<String> {
    let java: &Java = declared.java.as_ref()?;
    declared.memory.map(|memory| java.tool_options(memory))
}

/// What `POST /containers/create` takes. Only what is declared is in it.
pub(super) fn create(declared: &DockerContainer) -> Value {
    let mut body = Map::new();
    body.insert(
        "Image".to_owned(),
        json!(declared.image.as_ref().map(ToString::to_string)),
    );
    if let Some(command) = &declared.command {
        body.insert("Cmd".to_owned(), json!(command));
    }
    if let Some(entrypoint) = &declared.entrypoint {
        body.insert("Entrypoint".to_owned(), json!(entrypoint));
    }
    let environment: Vec<_> = environment(declared)
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    body.insert("Env".to_owned(), json!(environment));
    body.insert("Labels".to_owned(), json!(declared.labels));

    let mut bindings = Map::new();
    // A text that is no port was refused by `validate`.
    for port in declared.ports.iter().filter_map(|text| port(text).ok()) {
        let published = json!({ "HostIp": port.address, "HostPort": port.host.to_string() });
        if let Some(all) = bindings
            .entry(port.container)
            .or_insert_with(|| json!([]))
            .as_array_mut()
        {
            all.push(published);
        }
    }
    let exposed: Map<_, _> = bindings
        .keys()
        .map(|port| (port.clone(), json!({})))
        .collect();
    body.insert("ExposedPorts".to_owned(), exposed.into());
    body.extend(given([
        ("User", declared.user.as_ref().map(|user| json!(user))),
        (
            "Hostname",
            declared.hostname.as_ref().map(|name| json!(name)),
        ),
        (
            "WorkingDir",
            declared.working_dir.as_ref().map(|path| json!(path)),
        ),
        (
            "StopSignal",
            declared.stop_signal.as_ref().map(|name| json!(name)),
        ),
        (
            "StopTimeout",
            declared.stop_timeout.map(|seconds| json!(seconds)),
        ),
        (
            "Healthcheck",
            declared.healthcheck.as_ref().map(healthcheck),
        ),
    ]));
    let mut host = host_config(declared);
    host.insert("PortBindings".to_owned(), bindings.into());
    body.insert("HostConfig".to_owned(), host.into());
    if let Some((name, network)) =
        first_network(declared).and_then(|name| declared.networks.get_key_value(name))
    {
        body.insert(
            "NetworkingConfig".to_owned(),
            json!({ "EndpointsConfig": { name.as_str(): endpoint(network) } }),
        );
    }
    body.into()
}

fn host_config(declared: &DockerContainer) -> Map<String, Value> {
    let words = |list: &[String]| (!list.is_empty()).then(|| json!(list));
    let policy = declared.restart.as_deref().map(restart);
    let policy = policy
        .and_then(Result::ok)
        .map(|(name, tries)| json!({ "Name": name, "MaximumRetryCount": tries }));
    #[expect(
        clippy::cast_possible_truncation,
        reason = "`validate` keeps it between 0.01 and 4096"
    )]
    let nano = |cpus: f64| json!((cpus * 1e9).round() as i64);
    let log = declared.log.as_ref();
    let mut host = given([
        ("Binds", Some(json!(declared.volumes))),
        (
            "NetworkMode",
            first_network(declared).map(|name| json!(name)),
        ),
        ("RestartPolicy", policy),
        ("NanoCpus", declared.cpus.map(nano)),
        ("PidsLimit", declared.pids.map(|pids| json!(pids))),
        (
            "LogConfig",
            log.map(|log| json!({ "Type": log.driver, "Config": log.options })),
        ),
        ("GroupAdd", words(&declared.group_add)),
        ("CapAdd", words(&declared.cap_add)),
        ("CapDrop", words(&declared.cap_drop)),
        ("SecurityOpt", words(&declared.security_opt)),
        ("Dns", words(&declared.dns)),
        ("ExtraHosts", words(&declared.extra_hosts)),
        ("ReadonlyRootfs", declared.read_only.map(|only| json!(only))),
        ("Init", declared.init.map(|init| json!(init))),
        ("IpcMode", declared.ipc.as_ref().map(|mode| json!(mode))),
        ("PidMode", declared.pid.as_ref().map(|mode| json!(mode))),
        (
            "UsernsMode",
            declared.userns.as_ref().map(|mode| json!(mode)),
        ),
        ("ShmSize", declared.shm_size.map(|size| json!(size.0))),
        (
            "Sysctls",
            (!declared.sysctls.is_empty()).then(|| json!(declared.sysctls)),
        ),
        (
            "Tmpfs",
            (!declared.tmpfs.is_empty()).then(|| json!(declared.tmpfs)),
        ),
        ("Devices", devices(declared)),
        ("Ulimits", ulimits(declared)),
    ]);
    host.extend(memory(declared));
    host
}

fn given<const N: usize>(fields: [(&str, Option<Value>); N]) -> Map<String, Value> {
    let declared = fields.into_iter();
    declared
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
}

/// The network a container is made in, if one is declared.
pub(super) fn first_network(declared: &DockerContainer) -> Option<&str> {
    let further = || declared.networks.keys().next();
    declared
        .network
        .as_ref()
        .or_else(further)
        .map(String::as_str)
}

/// What a container is told of its place in a network.
pub(super) fn endpoint(network: &Network) -> Value {
    json!({ "Aliases": network.aliases })
}

fn healthcheck(check: &Healthcheck) -> Value {
    let test = check.command.as_ref().map(|command| {
        let kind = if command.is_empty() { "NONE" } else { "CMD" };
        let words = std::iter::once(kind).chain(command.iter().map(String::as_str));
        words.collect::<Vec<_>>()
    });
    let time = |span: Option<Span>| span.map(|span| json!(span.nanoseconds()));
    given([
        ("Test", test.map(|words| json!(words))),
        ("Interval", time(check.interval)),
        ("Timeout", time(check.timeout)),
        ("StartPeriod", time(check.start_period)),
        ("Retries", check.retries.map(|tries| json!(tries))),
    ])
    .into()
}

/// `/dev/ttyS0`, `/dev/ttyS0:/dev/modem` or `/dev/ttyS0:/dev/modem:r`.
fn devices(declared: &DockerContainer) -> Option<Value> {
    let one = |text: &String| {
        let mut parts = text.splitn(3, ':');
        let outside = parts.next().unwrap_or_default();
        let inside = parts.next().unwrap_or(outside);
        json!({
            "PathOnHost": outside,
            "PathInContainer": inside,
            "CgroupPermissions": parts.next().unwrap_or("rwm"),
        })
    };
    let all = &declared.devices;
    (!all.is_empty()).then(|| all.iter().map(one).collect())
}

fn ulimits(declared: &DockerContainer) -> Option<Value> {
    let one = |(name, limit): (&String, &Ulimit)| json!({ "Name": name, "Soft": limit.soft, "Hard": limit.hard });
    let all = &declared.ulimits;
    (!all.is_empty()).then(|| all.iter().map(one).collect())
}

/// The memory limits alone, as for a container that is there.
pub(super) fn memory(declared: &DockerContainer) -> Map<String, Value> {
    let limits = declared.memory.map(|memory| {
        let both = declared.memory_swap.unwrap_or(memory);
        [("Memory", memory.0), ("MemorySwap", both.0)]
    });
    let entry = |(name, bytes): (&str, u64)| (name.to_owned(), json!(bytes));
    limits.into_iter().flatten().map(entry).collect()
}

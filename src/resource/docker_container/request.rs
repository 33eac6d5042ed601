//! A declaration in the words of the Engine API.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::java::Java;
use super::{DockerContainer, State};
use crate::resource::hidden::Hidden;

/// The smallest limit that every engine accepts, in bytes.
const LEAST_MEMORY: u64 = 6 << 20;

/// The variable that every JVM reads.
pub(super) const JAVA_OPTIONS: &str = "JAVA_TOOL_OPTIONS";

/// A published port in parts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Port<'a> {
    address: &'a str,
    host: u16,
    /// `80/tcp`.
    container: String,
}

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
    declared.volumes.iter().try_for_each(|text| volume(text))?;
    if let Some(network) = &declared.network
        && !is_name(network)
    {
        return Err(format!("`{network}` is no name of a network"));
    }
    if let Some(text) = &declared.restart {
        restart(text)?;
    }
    limits(declared)?;
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
    declared
        .java
        .as_ref()
        .map_or(Ok(()), |java| java.validate(declared.memory))
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
    if declared.pids == Some(0) {
        return Err("`pids: 0` would let nothing run".to_owned());
    }
    Ok(())
}

fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.len() <= 128
        && text
            .chars()
            .all(|sign| sign.is_ascii_alphanumeric() || "_.-".contains(sign))
}

fn port(text: &str) -> Result<Port<'_>, String> {
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

fn volume(text: &str) -> Result<(), String> {
    let parts: Vec<_> = text.split(':').collect();
    let (source, target) = match parts[..] {
        [source, target] => (source, target),
        [source, target, options] if !options.is_empty() => (source, target),
        _ => ("", ""),
    };
    let clean = |path: &str| path.starts_with('/') && !path.split('/').any(|part| part == "..");
    if clean(target) && target != "/" && (clean(source) || is_name(source)) {
        return Ok(());
    }
    Err(format!(
        "`{text}` is no volume; `/on/the/host:/inside`, with `:ro` at the end if it is only read, \
         or `name:/inside` is expected"
    ))
}

/// A policy's name and how often it tries.
fn restart(text: &str) -> Result<(&str, u32), String> {
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

    let mut host = Map::new();
    host.insert("PortBindings".to_owned(), bindings.into());
    host.insert("Binds".to_owned(), json!(declared.volumes));
    if let Some(network) = &declared.network {
        host.insert("NetworkMode".to_owned(), json!(network));
    }
    if let Some(Ok((name, tries))) = declared.restart.as_deref().map(restart) {
        host.insert(
            "RestartPolicy".to_owned(),
            json!({ "Name": name, "MaximumRetryCount": tries }),
        );
    }
    host.extend(memory(declared));
    if let Some(cpus) = declared.cpus {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "`validate` keeps it between 0.01 and 4096"
        )]
        host.insert("NanoCpus".to_owned(), json!((cpus * 1e9).round() as i64));
    }
    if let Some(pids) = declared.pids {
        host.insert("PidsLimit".to_owned(), json!(pids));
    }
    if let Some(log) = &declared.log {
        host.insert(
            "LogConfig".to_owned(),
            json!({ "Type": log.driver, "Config": log.options }),
        );
    }
    body.insert("HostConfig".to_owned(), host.into());
    body.into()
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

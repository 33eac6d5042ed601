//! Values of the Engine API in words that can be compared and shown.
//!
//! What means the same becomes the same words, whichever engine says it and however it was asked
//! for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;

use super::options::Span;
use super::size::Size;

/// How a value is put into words.
pub(super) type Words = fn(&Value) -> String;

/// What is said where nothing is.
pub(super) const NONE: &str = "none";

/// Any value. What is empty is none, and so are 0 and `false`.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::Number(number) if number.as_f64() == Some(0.0) => NONE.to_owned(),
        Value::Null | Value::Bool(false) => NONE.to_owned(),
        value => or_none(text(value)),
    }
}

/// A number in which 0 is not the same as nothing.
pub(super) fn number(value: &Value) -> String {
    or_none(text(value))
}

/// As [`number`], with -1 for nothing, as engines before 18.09 say.
pub(super) fn swappiness(value: &Value) -> String {
    match value.as_i64() {
        Some(-1) => NONE.to_owned(),
        _ => number(value),
    }
}

/// A list whose order says nothing.
pub(super) fn set(value: &Value) -> String {
    or_none(sorted(list(value)))
}

/// The keys of a mapping.
pub(super) fn keys(value: &Value) -> String {
    let keys = value.as_object().into_iter().flatten();
    or_none(sorted(keys.map(|(key, _)| key.clone()).collect()))
}

/// Capabilities; engines since 20.10 say `CAP_` before each.
pub(super) fn capabilities(value: &Value) -> String {
    let short = |name: String| {
        let name = name.to_ascii_uppercase();
        name.strip_prefix("CAP_")
            .map_or(name.clone(), str::to_owned)
    };
    or_none(sorted(list(value).into_iter().map(short).collect()))
}

/// Options of confinement; `no-new-privileges` alone means that it is so.
pub(super) fn confinement(value: &Value) -> String {
    let long = |option: String| match option.as_str() {
        "no-new-privileges:true" | "no-new-privileges=true" => "no-new-privileges".to_owned(),
        _ => option,
    };
    or_none(sorted(list(value).into_iter().map(long).collect()))
}

/// Published ports as they are declared.
pub(super) fn ports(bindings: &Value) -> String {
    let mut all = Vec::new();
    for (inside, published) in bindings.as_object().into_iter().flatten() {
        for one in published.as_array().into_iter().flatten() {
            let outside = one["HostPort"].as_str().unwrap_or_default();
            all.push(match one["HostIp"].as_str().unwrap_or_default() {
                "" => format!("{outside}:{inside}"),
                address => format!("{address}:{outside}:{inside}"),
            });
        }
    }
    or_none(sorted(all))
}

/// The network; before 26 Docker said `default` for the one that is taken unless told otherwise.
pub(super) fn network(mode: &Value) -> String {
    match mode.as_str().unwrap_or_default() {
        "" | "default" => "bridge".to_owned(),
        name => name.to_owned(),
    }
}

/// Whose shared memory is seen, where `none` says something else than nothing.
pub(super) fn ipc(mode: &Value) -> String {
    match mode.as_str().unwrap_or_default() {
        "" => "not said".to_owned(),
        mode => mode.to_owned(),
    }
}

/// The restart policy as it is declared.
pub(super) fn restart(policy: &Value) -> String {
    match (
        policy["Name"].as_str().unwrap_or_default(),
        &policy["MaximumRetryCount"],
    ) {
        ("" | "no", _) => "no".to_owned(),
        ("on-failure", tries) if tries.as_u64().is_some_and(|tries| tries > 0) => {
            format!("on-failure:{tries}")
        }
        (name, _) => name.to_owned(),
    }
}

/// A limit of memory.
pub(super) fn limit(bytes: &Value) -> String {
    match bytes.as_i64() {
        None | Some(0) => "not limited".to_owned(),
        Some(bytes) => u64::try_from(bytes).map_or_else(
            |_| "swap not limited".to_owned(),
            |bytes| Size(bytes).to_string(),
        ),
    }
}

/// A limit of CPU time, in CPUs.
pub(super) fn cpus(nano: &Value) -> String {
    match nano.as_i64() {
        None | Some(0) => "not limited".to_owned(),
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        Some(nano) => (nano as f64 / 1e9).to_string(),
    }
}

/// A limit of processes.
pub(super) fn pids(limit: &Value) -> String {
    match limit.as_i64() {
        None | Some(0 | -1) => "not limited".to_owned(),
        Some(limit) => limit.to_string(),
    }
}

/// Limits of a container's processes: `nofile 1024:2048`, soft before hard.
pub(super) fn ulimits(limits: &Value) -> String {
    let one = |limit: &Value| {
        let name = limit["Name"].as_str().unwrap_or_default();
        format!("{name} {}:{}", text(&limit["Soft"]), text(&limit["Hard"]))
    };
    let all = limits.as_array().into_iter().flatten();
    or_none(sorted(all.map(one).collect()))
}

/// Devices as they are declared.
pub(super) fn devices(devices: &Value) -> String {
    let one = |device: &Value| {
        let part = |key: &str| device[key].as_str().unwrap_or_default();
        format!(
            "{}:{}:{}",
            part("PathOnHost"),
            part("PathInContainer"),
            part("CgroupPermissions")
        )
    };
    let all = devices.as_array().into_iter().flatten();
    or_none(sorted(all.map(one).collect()))
}

/// A directory; `/` is where a container is unless told otherwise.
pub(super) fn directory(path: &Value) -> String {
    match path.as_str().unwrap_or_default() {
        "" => "/".to_owned(),
        path => path.to_owned(),
    }
}

/// The signal that asks a container to end, by name. `docker` before 20.10 says the default itself.
pub(super) fn signal(name: &Value) -> String {
    match name.as_str().unwrap_or_default() {
        "" | "15" => "SIGTERM".to_owned(),
        name if name.starts_with("SIG") || name.starts_with(|sign: char| sign.is_ascii_digit()) => {
            name.to_owned()
        }
        name => format!("SIG{name}"),
    }
}

/// A health check in one line.
pub(super) fn healthcheck(check: &Value) -> String {
    let words = list(&check["Test"]);
    let mut parts = match words.first().map(String::as_str) {
        None => Vec::new(),
        Some("NONE") => return "switched off".to_owned(),
        Some("CMD") => vec![line(&words[1..])],
        Some(_) => vec![line(&words)],
    };
    for (key, name) in [
        ("Interval", "every"),
        ("Timeout", "within"),
        ("StartPeriod", "after"),
        ("StartInterval", "at first every"),
    ] {
        if let Some(nanoseconds @ 1..) = check[key].as_u64() {
            parts.push(format!(
                "{name} {}",
                Span(Duration::from_nanos(nanoseconds))
            ));
        }
    }
    if let Some(tries @ 1..) = check["Retries"].as_u64() {
        parts.push(format!("{tries} tries"));
    }
    or_none(parts.join(", "))
}

/// A command line for people.
pub(super) fn line(words: &[String]) -> String {
    // A word with a NUL byte cannot be quoted, and Docker cannot have it.
    shlex::try_join(words.iter().map(String::as_str)).unwrap_or_else(|_| words.join(" "))
}

/// The texts of a list.
pub(super) fn list(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(text).collect()
}

/// The entries of a mapping whose values are texts.
pub(super) fn mapping(value: &Value) -> BTreeMap<String, String> {
    let entries = value.as_object().into_iter().flatten();
    entries
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// One value, on one line.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(all) => all.iter().map(text).collect::<Vec<_>>().join(", "),
        Value::Object(entries) => {
            let entry = |(key, value): (&String, &Value)| match value {
                Value::Object(_) => format!("{key}=({})", text(value)),
                _ => format!("{key}={}", text(value)),
            };
            sorted(entries.iter().map(entry).collect()).replace(", ", " ")
        }
        value => value.to_string(),
    }
}

fn sorted(words: Vec<String>) -> String {
    let set: BTreeSet<_> = words.into_iter().collect();
    set.into_iter().collect::<Vec<_>>().join(", ")
}

fn or_none(words: String) -> String {
    if words.is_empty() {
        return NONE.to_owned();
    }
    words
}

//! A declaration against Docker's description of a container.
//!
//! Both sides are brought into the same words by the same functions: what is sent to make a
//! container has the shape of what Docker says about it. `fields.rs` says for every field of that
//! how it is judged; what needs more than one of them is here.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::defaults::Defaults;
use super::fields::{ENDPOINT, FIELDS, Field, Judged, Otherwise, PARTS};
use super::request::{self, JAVA_OPTIONS};
use super::words::{self, NONE, line, list, mapping};
use super::{DockerContainer, Found};
use crate::protocol::{Change, Drift};

/// What every engine since 18.09 hides from containers: it lets them learn about the host.
const MASKED: &[&str] = &[
    "/proc/kcore",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/sched_debug",
    "/sys/firmware",
];

/// What they cannot change, since the same.
const READ_ONLY: &[&str] = &[
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// What differs and needs the container to be made again.
pub(super) fn differences(declared: &DockerContainer, actual: &Found) -> Vec<Drift> {
    let Some(container) = &actual.container else {
        return Vec::new();
    };
    let wanted = as_described(request::create(declared));
    let container = &described(declared, container, &actual.defaults);
    let found = &container["Config"];
    let mut drift = Vec::new();

    // By id, not by name: a container that was made by tag from the same image is the same.
    let wanted_id = actual.image.as_ref().and_then(|image| image["Id"].as_str());
    let found_id = container["Image"].as_str().unwrap_or_default();
    let same_image = wanted_id == Some(found_id);
    if !same_image {
        let name = found["Image"]
            .as_str()
            .filter(|name| *name != declared.image_name());
        let found = name.unwrap_or(found_id);
        drift.extend(replace("image", declared.image_name(), found.to_owned()));
    }
    // Without the image it cannot be told what the container has from it.
    let image = actual.image.as_ref().filter(|_| same_image);
    let image = image.map(|image| &image["Config"]);

    drift.extend(command(declared, found, image).into_iter().flatten());
    drift.extend(environment(declared, found, image));
    drift.extend(labels(declared, found, image));
    let sides = Sides {
        wanted: &wanted,
        found: container,
        image,
        defaults: &actual.defaults,
    };
    drift.extend(FIELDS.iter().filter_map(|field| sides.field(field)));
    drift.extend(healthcheck(&wanted, container, image));
    drift.extend(exposed(&wanted, container, image));
    drift.extend(networks(declared, container));
    drift.extend(paths(declared, &container["HostConfig"]));
    drift.extend(log(
        declared,
        &container["HostConfig"]["LogConfig"],
        &actual.defaults,
    ));
    drift
}

/// The fields of a description that say something and are not in the table, with what they say.
pub(super) fn unknown(container: &Value) -> Vec<String> {
    let known: BTreeSet<_> = FIELDS.iter().map(|field| field.path).collect();
    let mut unknown = Vec::new();
    let mut note = |path: String, value: &Value| {
        let said = words::plain(value);
        if said != NONE {
            unknown.push(format!("{path}: {said}"));
        }
    };
    for (name, value) in entries(container) {
        if PARTS.contains(&name.as_str()) {
            for (inner, value) in entries(value) {
                let path = format!("{name}.{inner}");
                if !known.contains(path.as_str()) {
                    note(path, value);
                }
            }
        } else if !known.contains(name.as_str()) {
            note(name.clone(), value);
        }
    }
    for (network, place) in entries(&container["NetworkSettings"]["Networks"]) {
        for (name, value) in entries(place) {
            if !ENDPOINT.iter().any(|field| field.path == name) {
                note(format!("NetworkSettings.Networks.{network}.{name}"), value);
            }
        }
    }
    unknown
}

/// What one field is judged by.
struct Sides<'a> {
    wanted: &'a Value,
    found: &'a Value,
    /// What the image gives, if it is known.
    image: Option<&'a Value>,
    defaults: &'a Defaults,
}

impl Sides<'_> {
    fn field(&self, field: &Field) -> Option<Drift> {
        let (part, name) = field.path.split_once('.')?;
        let (attribute, words, otherwise) = match field.judged {
            Judged::By(attribute, words, otherwise) => (attribute, words, otherwise),
            Judged::Never(words, otherwise) => (name, words, otherwise),
            Judged::Apart(_) | Judged::Not(_) => return None,
        };
        let wanted = &self.wanted[part][name];
        let found = words(&self.found[part][name]);
        if !wanted.is_null() {
            return replace(attribute, words(wanted), found);
        }
        let expected = match otherwise {
            Otherwise::Image => words(&self.image?[name]),
            Otherwise::Engine(usual) | Otherwise::Daemon(_, usual)
                if usual.contains(&found.as_str()) =>
            {
                return None;
            }
            Otherwise::Engine(usual) => (*usual.first()?).to_owned(),
            Otherwise::Daemon(key, usual) => match self.defaults.get(key) {
                Some(told) => words(told),
                None => (*usual.first()?).to_owned(),
            },
        };
        replace(attribute, expected, found)
    }
}

fn replace(attribute: &str, expected: String, actual: String) -> Option<Drift> {
    (expected != actual).then(|| Drift::new(Change::Replace, attribute, expected, actual))
}

/// A request in the shape of a description: what stands beside `HostConfig` there is in `Config`
/// here.
fn as_described(mut request: Value) -> Value {
    let host = request["HostConfig"].take();
    json!({ "Config": request, "HostConfig": host })
}

/// A description without what the engine adds by itself, as far as that is not declared: the name
/// that is the beginning of the id, the limits that every container of the daemon gets, what follows
/// from sharing the host's processes or memory.
fn described(declared: &DockerContainer, container: &Value, defaults: &Defaults) -> Value {
    let mut container = container.clone();
    let id = container["Id"].as_str().unwrap_or_default().to_owned();
    let in_the_hosts = container["HostConfig"]["NetworkMode"] == "host";
    let hostname = &mut container["Config"]["Hostname"];
    let own = hostname.as_str().is_some_and(|name| id.starts_with(name));
    if declared.hostname.is_none() && (own || in_the_hosts) {
        hostname.take();
    }
    let given = defaults.get("default-ulimits").map(words::ulimits);
    let given: BTreeSet<_> = given.iter().flat_map(|all| all.split(", ")).collect();
    if let Some(limits) = container["HostConfig"]["Ulimits"].as_array_mut() {
        limits.retain(|limit| {
            let name = limit["Name"].as_str().unwrap_or_default();
            declared.ulimits.contains_key(name)
                || !given.contains(words::ulimits(&json!([limit])).as_str())
        });
    }
    // Who shares processes or memory with the host cannot be kept apart from it by SELinux.
    let shares = [&declared.pid, &declared.ipc];
    if shares.iter().any(|mode| mode.as_deref() == Some("host"))
        && let Some(options) = container["HostConfig"]["SecurityOpt"].as_array_mut()
    {
        let given = |option: &Value| option == "label=disable";
        let wanted = declared
            .security_opt
            .iter()
            .any(|option| option == "label=disable");
        options.retain(|option| wanted || !given(option));
    }
    container
}

/// Command and entrypoint; where they are not declared, the image's.
fn command(declared: &DockerContainer, found: &Value, image: Option<&Value>) -> [Option<Drift>; 2] {
    let of_image = |key: &str| image.map(|image| list(&image[key]));
    let compare = |attribute, key, wanted: Option<Vec<String>>| {
        let (wanted, found) = (wanted?, list(&found[key]));
        (wanted != found)
            .then(|| Drift::new(Change::Replace, attribute, line(&wanted), line(&found)))
    };
    // An entrypoint of one's own is not followed by the image's command.
    let command = match (&declared.command, &declared.entrypoint) {
        (Some(command), _) => Some(command.clone()),
        (None, Some(_)) => Some(Vec::new()),
        (None, None) => of_image("Cmd"),
    };
    let entrypoint = declared
        .entrypoint
        .clone()
        .or_else(|| of_image("Entrypoint"));
    [
        compare("entrypoint", "Entrypoint", entrypoint),
        compare("command", "Cmd", command),
    ]
}

fn environment(declared: &DockerContainer, found: &Value, image: Option<&Value>) -> Vec<Drift> {
    let pairs = |side: &Value| -> BTreeMap<String, String> {
        let split = |text: String| {
            let (name, value) = text.split_once('=').unwrap_or((&text, ""));
            (name.to_owned(), value.to_owned())
        };
        list(&side["Env"]).into_iter().map(split).collect()
    };
    let (found, given) = (pairs(found), image.map(&pairs));
    let wanted: BTreeMap<_, _> = request::environment(declared).into_iter().collect();
    let mut drift = Vec::new();
    for (name, value) in &wanted {
        let attribute = format!("env {name}");
        let actual = found.get(*name);
        if actual == Some(value) {
            continue;
        }
        drift.push(if *name == JAVA_OPTIONS && declared.java.is_some() {
            // Made from the limit and the version: nothing in it is secret.
            let actual = actual.map_or("absent", String::as_str);
            Drift::new(Change::Replace, attribute, value, actual)
        } else {
            let actual = actual.map_or("absent", |_| "(secret changed)");
            Drift {
                sensitive: true,
                ..Drift::new(Change::Replace, attribute, "(secret)", actual)
            }
        });
    }
    // What is neither declared nor the image's was declared once.
    for name in found
        .keys()
        .filter(|name| !wanted.contains_key(name.as_str()))
    {
        if given
            .as_ref()
            .is_some_and(|given| found.get(name) != given.get(name))
        {
            let expected = match given.as_ref().and_then(|given| given.get(name)) {
                Some(_) => "the image's",
                None => "absent",
            };
            drift.push(Drift {
                sensitive: true,
                ..Drift::new(Change::Replace, format!("env {name}"), expected, "(secret)")
            });
        }
    }
    drift
}

fn labels(declared: &DockerContainer, found: &Value, image: Option<&Value>) -> Vec<Drift> {
    let (found, given) = (
        mapping(&found["Labels"]),
        image.map(|image| mapping(&image["Labels"])),
    );
    let mut wanted = declared.labels.clone();
    for (name, value) in given.iter().flatten() {
        wanted.entry(name.clone()).or_insert_with(|| value.clone());
    }
    let mut drift = Vec::new();
    for (name, value) in &wanted {
        if found.get(name) != Some(value) {
            let actual = found.get(name).map_or("absent", String::as_str);
            drift.push(Drift::new(
                Change::Replace,
                format!("label {name}"),
                value,
                actual,
            ));
        }
    }
    for (name, value) in found.iter().filter(|(name, _)| !wanted.contains_key(*name)) {
        if given.is_some() {
            drift.push(Drift::new(
                Change::Replace,
                format!("label {name}"),
                "absent",
                value,
            ));
        }
    }
    drift
}

/// The health check: what is not declared of it is the image's.
fn healthcheck(wanted: &Value, found: &Value, image: Option<&Value>) -> Option<Drift> {
    let (wanted, found) = (
        &wanted["Config"]["Healthcheck"],
        &found["Config"]["Healthcheck"],
    );
    let given = &image?["Healthcheck"];
    let mut whole: Map<_, _> = entries(given)
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    whole.extend(entries(wanted).map(|(key, value)| (key.clone(), value.clone())));
    replace(
        "healthcheck",
        words::healthcheck(&whole.into()),
        words::healthcheck(found),
    )
}

/// The ports that are told to be open: the image's and the published ones.
fn exposed(wanted: &Value, found: &Value, image: Option<&Value>) -> Option<Drift> {
    let ports = |side: &Value| {
        entries(&side["ExposedPorts"])
            .map(|(port, _)| (port.clone(), json!({})))
            .collect::<Map<_, _>>()
    };
    let mut whole = ports(image?);
    whole.extend(ports(&wanted["Config"]));
    replace(
        "exposed ports",
        words::keys(&whole.into()),
        words::keys(&ports(&found["Config"]).into()),
    )
}

/// The networks it is in, and its names and settings there.
fn networks(declared: &DockerContainer, container: &Value) -> Vec<Drift> {
    let mode = words::network(&container["HostConfig"]["NetworkMode"]);
    let first = declared.network.as_deref().unwrap_or("bridge");
    let Some(found) = container["NetworkSettings"]["Networks"].as_object() else {
        return Vec::new();
    };
    // It is made again for another one anyway.
    if mode != first {
        return Vec::new();
    }
    let none = Vec::new();
    let further = declared.networks.iter();
    let mut wanted: BTreeMap<_, _> = further
        .map(|(name, network)| (name.as_str(), &network.aliases))
        .collect();
    wanted.entry(first).or_insert(&none);
    let mut drift = Vec::new();
    for (name, aliases) in &wanted {
        let attribute = format!("network {name}");
        let Some(place) = found.get(*name) else {
            drift.push(Drift::new(
                Change::Replace,
                attribute,
                "joined",
                "not joined",
            ));
            continue;
        };
        let own = |alias: &String| {
            let id = container["Id"].as_str().unwrap_or_default();
            let named = container["Name"].as_str().unwrap_or_default();
            id.starts_with(alias.as_str())
                || named.strip_prefix('/') == Some(alias)
                || container["Config"]["Hostname"] == alias.as_str()
        };
        let mut found_aliases = list(&place["Aliases"]);
        found_aliases.retain(|alias| aliases.contains(alias) || !own(alias));
        drift.extend(replace(
            &format!("{attribute} aliases"),
            words::set(&json!(aliases)),
            words::set(&json!(found_aliases)),
        ));
        for field in ENDPOINT {
            if let Judged::Never(words, Otherwise::Engine([usual, ..])) = field.judged {
                drift.extend(replace(
                    &format!("{attribute} {}", field.path),
                    (*usual).to_owned(),
                    words(&place[field.path]),
                ));
            }
        }
    }
    for name in found
        .keys()
        .filter(|name| !wanted.contains_key(name.as_str()))
    {
        let attribute = format!("network {name}");
        drift.push(Drift::new(
            Change::Replace,
            attribute,
            "not joined",
            "joined",
        ));
    }
    drift
}

/// What is hidden from it or cannot be changed by it, where the engine says that.
fn paths(declared: &DockerContainer, host: &Value) -> Vec<Drift> {
    let bare = |option: &String| option == "systempaths=unconfined";
    if declared.security_opt.iter().any(bare) {
        return Vec::new();
    }
    let one = |key: &str, attribute: &str, usual: &[&str]| {
        // Not at all: an engine before 18.09, or a privileged container.
        let found: Vec<_> = host[key]
            .as_array()?
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let missing: Vec<_> = usual
            .iter()
            .filter(|path| !found.contains(path))
            .copied()
            .collect();
        let actual = format!("without {}", missing.join(", "));
        (!missing.is_empty())
            .then(|| Drift::new(Change::Replace, attribute, "the engine's", actual))
    };
    [
        one("MaskedPaths", "masked paths", MASKED),
        one("ReadonlyPaths", "read-only paths", READ_ONLY),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Where nothing is declared, the daemon's driver or its own usual one, with whatever options the
/// daemon had when the container was made.
fn log(declared: &DockerContainer, found: &Value, defaults: &Defaults) -> Vec<Drift> {
    let driver = found["Type"].as_str().unwrap_or_default();
    let Some(log) = &declared.log else {
        let usual = defaults.get("log-driver").and_then(Value::as_str);
        let accepted = [Some("json-file"), Some(""), usual];
        if accepted.contains(&Some(driver)) {
            return Vec::new();
        }
        let expected = usual.unwrap_or("json-file");
        return vec![Drift::new(Change::Replace, "log driver", expected, driver)];
    };
    let mut drift = Vec::new();
    if driver != log.driver {
        drift.push(Drift::new(
            Change::Replace,
            "log driver",
            &log.driver,
            driver,
        ));
    }
    let options = mapping(&found["Config"]);
    for (name, value) in &log.options {
        if options.get(name) != Some(value) {
            let actual = options.get(name).map_or("absent", String::as_str);
            drift.push(Drift::new(
                Change::Replace,
                format!("log {name}"),
                value,
                actual,
            ));
        }
    }
    drift
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

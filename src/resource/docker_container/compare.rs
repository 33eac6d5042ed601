//! A declaration against Docker's description of a container.
//!
//! Both sides are brought into the same words by the same functions: what is sent to make a
//! container has the shape of what Docker says about it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::DockerContainer;
use super::request::{self, JAVA_OPTIONS};
use super::size::Size;
use crate::protocol::{Change, Drift};

/// One thing that both sides say, in words that can be compared and shown.
type Rule = (&'static str, fn(&Value) -> String);

/// What is the engine's own default where nothing is declared.
const RULES: &[Rule] = &[
    ("ports", |side| ports(&side["HostConfig"]["PortBindings"])),
    ("volumes", |side| set(words(&side["HostConfig"]["Binds"]))),
    ("network", |side| {
        network(&side["HostConfig"]["NetworkMode"])
    }),
    ("restart", |side| {
        restart(&side["HostConfig"]["RestartPolicy"])
    }),
    ("memory", |side| limit(&side["HostConfig"]["Memory"])),
    ("memory_swap", |side| {
        limit(&side["HostConfig"]["MemorySwap"])
    }),
    ("cpus", |side| cpus(&side["HostConfig"]["NanoCpus"])),
    ("pids", |side| pids(&side["HostConfig"]["PidsLimit"])),
    ("privileges", |side| privileges(&side["HostConfig"])),
];

/// What differs and needs the container to be made again.
pub(super) fn differences(
    declared: &DockerContainer,
    container: &Value,
    image: Option<&Value>,
) -> Vec<Drift> {
    let replace = |attribute: &str, expected: String, actual: String| {
        (expected != actual).then(|| Drift::new(Change::Replace, attribute, expected, actual))
    };
    let wanted = request::create(declared);
    let found = &container["Config"];
    let mut drift = Vec::new();

    // By id, not by name: a container that was made by tag from the same image is the same.
    let wanted_id = image.and_then(|image| image["Id"].as_str());
    let found_id = container["Image"].as_str().unwrap_or_default();
    let same_image = wanted_id == Some(found_id);
    if !same_image {
        let name = found["Image"]
            .as_str()
            .filter(|name| *name != declared.image_name());
        let actual = name.unwrap_or(found_id).to_owned();
        drift.extend(replace("image", declared.image_name(), actual));
    }
    // Without the image it cannot be told what the container has from it.
    let image = image.filter(|_| same_image).map(|image| &image["Config"]);

    drift.extend(command(declared, found, image).into_iter().flatten());
    drift.extend(environment(declared, found, image));
    drift.extend(labels(declared, found, image));
    let same = |rule: &Rule| {
        let (attribute, in_words) = rule;
        replace(attribute, in_words(&wanted), in_words(container))
    };
    drift.extend(RULES.iter().filter_map(same));
    drift.extend(log(declared, &container["HostConfig"]["LogConfig"]));
    drift
}

/// Command and entrypoint; where they are not declared, the image's.
fn command(declared: &DockerContainer, found: &Value, image: Option<&Value>) -> [Option<Drift>; 2] {
    let of_image = |key: &str| image.map(|image| words(&image[key]));
    let compare = |attribute, key, wanted: Option<Vec<String>>| {
        let (wanted, found) = (wanted?, words(&found[key]));
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
        words(&side["Env"]).into_iter().map(split).collect()
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
        texts(&found["Labels"]),
        image.map(|image| texts(&image["Labels"])),
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

/// Only what is declared: the daemon adds its own defaults.
fn log(declared: &DockerContainer, found: &Value) -> Vec<Drift> {
    let Some(log) = &declared.log else {
        return Vec::new();
    };
    let mut drift = Vec::new();
    let driver = found["Type"].as_str().unwrap_or_default();
    if driver != log.driver {
        drift.push(Drift::new(
            Change::Replace,
            "log driver",
            &log.driver,
            driver,
        ));
    }
    let options = texts(&found["Config"]);
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

fn words(list: &Value) -> Vec<String> {
    let texts = list.as_array().into_iter().flatten();
    texts
        .filter_map(|word| word.as_str().map(str::to_owned))
        .collect()
}

fn texts(mapping: &Value) -> BTreeMap<String, String> {
    let entries = mapping.as_object().into_iter().flatten();
    entries
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// A command line for people.
fn line(words: &[String]) -> String {
    // A word with a NUL byte cannot be quoted, and Docker cannot have it.
    shlex::try_join(words.iter().map(String::as_str)).unwrap_or_else(|_| words.join(" "))
}

fn set(words: Vec<String>) -> String {
    let set: BTreeSet<_> = words.into_iter().collect();
    set.into_iter().collect::<Vec<_>>().join(", ")
}

fn ports(bindings: &Value) -> String {
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
    set(all)
}

fn network(mode: &Value) -> String {
    // Before 26 Docker said `default`.
    match mode.as_str().unwrap_or_default() {
        "" | "default" => "bridge".to_owned(),
        name => name.to_owned(),
    }
}

fn restart(policy: &Value) -> String {
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

fn limit(bytes: &Value) -> String {
    match bytes.as_i64() {
        None | Some(0) => "not limited".to_owned(),
        Some(bytes) => u64::try_from(bytes).map_or_else(
            |_| "swap not limited".to_owned(),
            |bytes| Size(bytes).to_string(),
        ),
    }
}

fn cpus(nano: &Value) -> String {
    match nano.as_i64() {
        None | Some(0) => "not limited".to_owned(),
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        Some(nano) => (nano as f64 / 1e9).to_string(),
    }
}

/// What a container can be given beyond what any declaration gives.
fn privileges(host: &Value) -> String {
    let mut given = words(&host["CapAdd"]);
    if host["Privileged"] == true {
        given.push("privileged".to_owned());
    }
    for (key, of_host) in [
        ("PidMode", "the host's processes"),
        ("IpcMode", "the host's shared memory"),
        ("UTSMode", "the host's name"),
    ] {
        if host[key] == "host" {
            given.push(of_host.to_owned());
        }
    }
    let devices = host["Devices"].as_array().into_iter().flatten();
    given.extend(devices.filter_map(|device| device["PathOnHost"].as_str().map(str::to_owned)));
    let confinement = words(&host["SecurityOpt"]).into_iter();
    given.extend(confinement.filter(|option| option.contains("unconfined")));
    if given.is_empty() {
        return "none".to_owned();
    }
    set(given)
}

fn pids(limit: &Value) -> String {
    match limit.as_i64() {
        None | Some(0 | -1) => "not limited".to_owned(),
        Some(limit) => limit.to_string(),
    }
}

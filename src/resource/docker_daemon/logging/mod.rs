//! Log drivers and their options: what dockerd starts with, and every new container then fails of.

use serde_json::{Map, Value};

use super::check::nearest;
use super::measures::{is_duration, is_size, is_switch};
use super::version::{EngineVersion, shown};
use drivers::Is::{self, Address, Duration, Number, Size, Switch, Text, Word};
use drivers::{ANY, COMMON, DRIVERS, LABELS, SINCE};

mod drivers;
#[cfg(test)]
mod tests;

/// What is wrong with driver and options, each a sentence. `elsewhere` is what is declared besides
/// `daemon.json`: a flag there may name the driver.
pub(super) fn problems(
    config: &Map<String, Value>,
    version: &EngineVersion,
    elsewhere: &str,
) -> Vec<String> {
    let mut problems = Vec::new();
    let declared = config.get("log-driver").and_then(Value::as_str);
    let declared = declared.filter(|driver| !driver.is_empty());
    if declared == Some("local") && version.release() < (18, 9) {
        problems.push(format!(
            "the engine {version} does not know the log driver `local` yet: it came with 18.09"
        ));
    }
    if declared.is_none() && elsewhere.contains("log-driver") {
        return problems;
    }
    let driver = declared.unwrap_or("json-file");
    let Some((_, has_labels, own)) = DRIVERS.iter().find(|(name, ..)| *name == driver) else {
        // What else there is are plugins; the host knows which.
        let names = DRIVERS.iter().map(|(name, ..)| *name).chain(["none"]);
        if driver != "none"
            && let Some(near) = nearest(driver, names)
        {
            problems.push(format!(
                "no engine has a log driver `{driver}`; did you mean `{near}`?"
            ));
        }
        return problems;
    };
    let Some(options) = config.get("log-opts").and_then(Value::as_object) else {
        return problems;
    };
    // The file of its own got more to say much later.
    let has_labels = *has_labels && (driver != "local" || version.release() >= (28, 0));
    let labels = if has_labels { LABELS } else { &[] };
    let known = || own.iter().chain(labels).chain(COMMON);
    for (name, value) in options {
        let Some((_, is)) = known().find(|(option, _)| option == name) else {
            let hint = match nearest(name, known().map(|(option, _)| *option)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!(
                    "it takes {}",
                    own.iter()
                        .chain(labels)
                        .map(|(option, _)| format!("`{option}`"))
                        .collect::<Vec<_>>()
                        .join(", ")
                ),
            };
            problems.push(format!(
                "the log driver `{driver}` has no option `{name}`, and containers would not start \
                 with it; {hint}"
            ));
            continue;
        };
        let since = SINCE.iter().find(|(option, _)| option == name);
        if let Some((_, since)) = since.filter(|(_, since)| version.release() < *since) {
            problems.push(format!(
                "the engine {version} does not know `log-opts.{name}` yet: it came with {}",
                shown(*since)
            ));
        } else if let Some(text) = value.as_str() {
            problems.extend(value_problem(name, *is, text));
        }
    }
    problems.extend(combination(driver, options));
    problems
}

fn value_problem(name: &str, is: Is, text: &str) -> Option<String> {
    let listed = |words: &[&str]| {
        let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
        words.join(", ")
    };
    let (fits, what) = match is {
        Text => return None,
        Size => (is_size(text), "a size, as in `10m`".to_owned()),
        Duration => (is_duration(text), "a duration, as in `1s`".to_owned()),
        Switch => (is_switch(text), "`\"true\"` or `\"false\"`".to_owned()),
        Number(least, most) => (
            text.parse::<i64>()
                .is_ok_and(|number| (least..=most).contains(&number)),
            match most {
                ANY => format!("a whole number, {least} or more"),
                most => format!("a whole number from {least} to {most}"),
            },
        ),
        Word(words) => (words.contains(&text), format!("one of {}", listed(words))),
        Address(schemes) => (
            text.split_once("://")
                .is_some_and(|(scheme, rest)| schemes.contains(&scheme) && !rest.is_empty()),
            format!("an address that begins with one of {}", listed(schemes)),
        ),
    };
    (!fits).then(|| {
        format!("`log-opts.{name}` takes {what}, not `{text}`: containers would not start with it")
    })
}

/// Options that need others.
fn combination(driver: &str, options: &Map<String, Value>) -> Option<String> {
    let text = |name: &str| options.get(name).and_then(Value::as_str);
    if text("max-buffer-size").is_some() && text("mode") != Some("non-blocking") {
        return Some("`log-opts.max-buffer-size` needs `mode: non-blocking` beside it".to_owned());
    }
    let one_file = || text("max-file").is_none_or(|count| count == "1");
    let compresses = matches!(
        text("compress"),
        Some("true" | "1" | "t" | "T" | "TRUE" | "True")
    );
    if driver == "json-file" && compresses && (one_file() || text("max-size").is_none()) {
        return Some(
            "`log-opts.compress` needs `max-size` and a `max-file` of 2 or more beside it: \
             containers would not start with it"
                .to_owned(),
        );
    }
    None
}

/// Why a log driver that is to be in effect is none of the engine's that runs; `None` if it is, or
/// if the engine does not tell.
pub(super) fn unknown_driver(driver: &str, info: &Value) -> Option<String> {
    let told = info["Plugins"]["Log"].as_array()?;
    let has = |name: &str| told.iter().any(|driver| *driver == name);
    // Plugins are told with their tag.
    if driver.is_empty() || driver == "none" || has(driver) || has(&format!("{driver}:latest")) {
        return None;
    }
    let names: Vec<_> = told.iter().filter_map(Value::as_str).collect();
    Some(names.join(", "))
}

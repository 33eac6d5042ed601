//! The heap of a JVM in a container, as its options say: nothing is asked inside.
//!
//! A container runs a JVM if a word of its command is `java`, or its environment has a variable
//! that only a JVM reads or that images of JREs set. Options count in the order in which the JVM
//! takes them, the last wins; `-Xmx` wins over a percentage wherever that stands.

use serde_json::Value;

use super::finding::words;
use crate::resource::docker_container::java::{BESIDE_THE_HEAP, JavaVersion};
use crate::resource::docker_container::size::Size;

/// Variables that a JVM reads itself, before and after its command line.
const BEFORE: [&str; 2] = ["JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS"];
const AFTER: &str = "_JAVA_OPTIONS";

/// Variables that start scripts put on its command line.
const BY_SCRIPTS: [&str; 4] = ["JAVA_OPTS", "JAVA_OPTIONS", "JVM_OPTS", "CATALINA_OPTS"];

/// The largest heap, and what says so.
#[derive(Debug, PartialEq)]
struct Heap {
    bytes: u64,
    /// The option, and where it stands.
    said: String,
}

/// What the heap may be and what it is, where it does not fit into the memory limit.
///
/// Without a limit there is nothing to fit into: that is a finding of its own.
pub(super) fn too_large(container: &Value, host_memory: Option<u64>) -> Option<(String, String)> {
    let limit = container["HostConfig"]["Memory"]
        .as_u64()
        .filter(|bytes| *bytes > 0)?;
    let config = &container["Config"];
    if !runs_a_jvm(config) {
        return None;
    }
    let heap = largest(config, limit, host_memory)?;
    let most = limit.saturating_sub(BESIDE_THE_HEAP);
    (heap.bytes > most).then(|| {
        (
            format!(
                "at most {} ({} without what a JVM needs beside its heap)",
                rounded(most),
                rounded(limit)
            ),
            format!("{} ({})", rounded(heap.bytes), heap.said),
        )
    })
}

fn runs_a_jvm(config: &Value) -> bool {
    let is_java = |word: &&str| {
        let name = word.rsplit('/').next().unwrap_or_default();
        name == "java" || word.starts_with("java ") || word.contains("/java ")
    };
    command(config).iter().any(is_java)
        || ["JAVA_VERSION", "JAVA_HOME", AFTER]
            .iter()
            .chain(&BEFORE)
            .any(|name| variable(config, name).is_some())
}

/// The largest heap in a container of this memory, if it can be told.
fn largest(config: &Value, limit: u64, host_memory: Option<u64>) -> Option<Heap> {
    let options = options(config);
    let last = |read: fn(&str) -> Option<f64>| {
        let mut found = options.iter().rev();
        found.find_map(|(option, place)| Some((read(option)?, format!("{option} in {place}"))))
    };
    if let Some((bytes, said)) = last(|option| absolute(option).map(as_float)) {
        return Some(Heap {
            bytes: as_bytes(bytes),
            said,
        });
    }
    // A JVM that does not see the limit takes a share of all the memory of the host.
    let version = variable(config, "JAVA_VERSION").and_then(version);
    let blind = version.is_some_and(|version| !version.sees_limits());
    let sees = if blind { host_memory? } else { limit };
    let (share, said) = last(share).unwrap_or((0.25, "a quarter, by default".to_owned()));
    let said = match (blind, version) {
        (true, Some(version)) => {
            format!("{said}, of the host's memory: JRE {version} may not see the limit")
        }
        _ => said,
    };
    Some(Heap {
        bytes: as_bytes(as_float(sees) * share),
        said,
    })
}

/// All options with the place they stand in, in the order in which the JVM takes them.
fn options(config: &Value) -> Vec<(&str, &'static str)> {
    fn split(text: &str) -> impl Iterator<Item = &str> {
        text.split_whitespace()
            .map(|word| word.trim_matches(['\'', '"']))
    }
    let of_variable = |name: &&'static str| {
        let place: &'static str = name;
        let value = variable(config, name).unwrap_or_default();
        split(value).map(move |word| (word, place))
    };
    let mut options: Vec<_> = BEFORE.iter().flat_map(of_variable).collect();
    options.extend(BY_SCRIPTS.iter().flat_map(of_variable));
    let command = command(config);
    options.extend(
        command
            .into_iter()
            .flat_map(split)
            .map(|word| (word, "the command")),
    );
    options.extend(of_variable(&AFTER));
    options
}

/// The words of entrypoint and command.
fn command(config: &Value) -> Vec<&str> {
    let mut command = words(&config["Entrypoint"]);
    command.extend(words(&config["Cmd"]));
    command
}

fn variable<'a>(config: &'a Value, name: &str) -> Option<&'a str> {
    words(&config["Env"])
        .into_iter()
        .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

/// The bytes of `-Xmx512m`.
fn absolute(option: &str) -> Option<u64> {
    let size = ["-Xmx", "-XX:MaxHeapSize="]
        .iter()
        .find_map(|name| option.strip_prefix(name))?;
    // Only one letter, and `t` as well.
    match size.strip_suffix(['t', 'T']) {
        Some(number) => number.parse::<u64>().ok()?.checked_mul(1 << 40),
        None => size.parse::<Size>().ok().map(|size| size.0),
    }
}

/// The part of the memory in `-XX:MaxRAMPercentage=75.0`.
fn share(option: &str) -> Option<f64> {
    let number = |text: &str| text.parse::<f64>().ok().filter(|number| *number > 0.0);
    if let Some(percent) = option.strip_prefix("-XX:MaxRAMPercentage=") {
        return Some(number(percent)? / 100.0);
    }
    option
        .strip_prefix("-XX:MaxRAMFraction=")
        .and_then(number)
        .map(|fraction| 1.0 / fraction)
}

/// As images say it: `8u212`, `jdk-17.0.9+9`, `1.8.0_372`.
fn version(text: &str) -> Option<JavaVersion> {
    let text = text.trim_start_matches(|sign: char| !sign.is_ascii_digit());
    text.parse().ok()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a heap is compared with a margin"
)]
fn as_float(bytes: u64) -> f64 {
    bytes as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is positive, and what is too large becomes the largest"
)]
fn as_bytes(bytes: f64) -> u64 {
    bytes as u64
}

/// In whole MiB.
fn rounded(bytes: u64) -> String {
    Size(bytes.div_ceil(1 << 20) << 20).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const LIMIT: u64 = 512 << 20;
    const HOST: u64 = 64 << 30;

    fn heap(env: &[&str], command: &[&str]) -> Option<u64> {
        let config = json!({ "Env": env, "Cmd": command });
        largest(&config, LIMIT, Some(HOST)).map(|heap| heap.bytes >> 20)
    }

    #[test]
    fn the_heap_is_what_the_jvm_makes_of_all_options() {
        let java = ["java", "-jar", "a.jar"];
        for (env, command, mebibytes) in [
            (&[][..], &java[..], 128),
            (&["JAVA_TOOL_OPTIONS=-Xmx300m"], &java, 300),
            (&["JAVA_TOOL_OPTIONS=-Xmx300m -Xmx200m"], &java, 200),
            (&["JAVA_TOOL_OPTIONS=-Xmx300m"], &["java", "-Xmx1g"], 1024),
            (&["_JAVA_OPTIONS=-Xmx100m"], &["java", "-Xmx1g"], 100),
            (&["JAVA_OPTS=-XX:MaxHeapSize=64m"], &["sh", "run.sh"], 64),
            (&[], &["sh", "-c", "exec java -Xmx2T -jar a.jar"], 2 << 20),
            (&["JAVA_TOOL_OPTIONS=-XX:MaxRAMPercentage=75.0"], &java, 384),
            (&["JAVA_TOOL_OPTIONS=-XX:MaxRAMFraction=2"], &java, 256),
            // -Xmx wins wherever it stands.
            (
                &[
                    "JAVA_TOOL_OPTIONS=-Xmx100m",
                    "_JAVA_OPTIONS=-XX:MaxRAMPercentage=90",
                ],
                &java,
                100,
            ),
            // It does not see the limit.
            (&["JAVA_VERSION=8u121"], &java, 16 << 10),
            (&["JAVA_VERSION=jdk-17.0.9+9"], &java, 128),
        ] {
            assert_eq!(heap(env, command), Some(mebibytes), "{env:?} {command:?}");
        }
    }

    #[test]
    fn only_a_jvm_has_a_heap() {
        let container = |env: &[&str], command: &[&str]| {
            json!({
                "HostConfig": { "Memory": LIMIT },
                "Config": { "Env": env, "Cmd": command }
            })
        };
        for (env, command, is_one) in [
            (&["JAVA_OPTS=-Xmx2g"][..], &["nginx"][..], false),
            (
                &["JAVA_OPTS=-Xmx2g", "JAVA_HOME=/opt/jre"],
                &["run.sh"],
                true,
            ),
            (&[], &["/usr/bin/java", "-Xmx2g"], true),
            (&[], &["javascript", "-Xmx2g"], false),
        ] {
            let found = too_large(&container(env, command), Some(HOST));
            assert_eq!(found.is_some(), is_one, "{env:?} {command:?}");
        }
    }

    proptest! {
        #[test]
        fn no_option_is_too_odd(options in "\\PC{0,60}", memory in any::<u64>()) {
            let config = json!({
                "HostConfig": { "Memory": memory },
                "Config": {
                    "Env": [format!("JAVA_TOOL_OPTIONS={options}"), format!("JAVA_VERSION={options}")],
                    "Cmd": ["java", options]
                }
            });
            let _ = too_large(&config, Some(memory));
        }
    }
}

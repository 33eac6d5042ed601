//! The heap of a JVM in a container.
//!
//! What a JVM makes of the memory it sees depends on its version:
//!
//! | JRE | sees the container's limit | fleet says |
//! |---|---|---|
//! | before 8u191, 9 | no | `-Xmx`, computed from the limit |
//! | 8u191–8u371, 10–14, 11 before 11.0.16 | with control groups version 1 only | the same |
//! | 8u372 and later, 11.0.16 and later, 15 and later | yes | `-XX:MaxRAMPercentage` |
//!
//! The middle row gets `-Xmx` too: it is right under both versions of control groups, and so
//! needs no look at the host. Options that a JVM does not know stop it from starting, therefore
//! `UseCGroupMemoryLimitForHeap` (8u131 to 10) is never used: it can only say 1/2, 1/3, 1/4.
//!
//! The options are handed over in `JAVA_TOOL_OPTIONS`, which every JVM since 5 reads, whatever
//! starts it: a script in the image need not pass anything on.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::size::Size;

/// A JVM's share of its container's memory.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "control", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Java {
    /// The version of the JRE in the image: `8u372`, `11.0.16`, `17`. A number alone is taken
    /// as the first of its line.
    pub version: JavaVersion,
    /// The largest heap in percent of `memory`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heap_percent: Option<u8>,
    /// The largest heap: `384m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub xmx: Option<Size>,
    /// Further options, as on the command line of `java`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
}

/// Feature release and update: 8u372 is (8, 372), 11.0.16 is (11, 16).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct JavaVersion {
    feature: u16,
    update: u16,
}

/// A text that is no version of a JRE.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is no version of a JRE; `8u372`, `11.0.16` or `17` is expected")]
pub struct InvalidVersion(String);

/// What a JVM needs beside its heap at the very least: classes, compiled code, thread stacks.
pub(in crate::resource) const BESIDE_THE_HEAP: u64 = 64 << 20;

impl JavaVersion {
    /// Whether it takes the limit of its container for the memory there is, under both versions
    /// of control groups.
    pub(in crate::resource) fn sees_limits(self) -> bool {
        match self.feature {
            ..=7 | 9 | 10 | 12..=14 => false,
            8 => self.update >= 372,
            11 => self.update >= 16,
            15.. => true,
        }
    }
}

impl Java {
    /// The largest heap within `memory`, in bytes.
    pub(super) fn heap(&self, memory: Size) -> u64 {
        match (self.xmx, self.heap_percent) {
            (Some(xmx), _) => xmx.0,
            // Not `/ 100` first: that would lose bytes. No limit is large enough to overflow.
            (None, percent) => memory.0.saturating_mul(percent.unwrap_or_default().into()) / 100,
        }
    }

    /// # Errors
    /// What is missing, or why the heap cannot fit into `memory`, with the arithmetic.
    pub(super) fn validate(&self, memory: Option<Size>) -> Result<(), String> {
        let Some(memory) = memory else {
            return Err("`java` needs `memory`: the heap is a part of it".to_owned());
        };
        let said = match (self.heap_percent, self.xmx) {
            (Some(_), Some(_)) | (None, None) => {
                return Err("`java` needs one of `heap_percent` and `xmx`".to_owned());
            }
            (Some(percent), None) if !(1..=99).contains(&percent) => {
                return Err(format!("`heap_percent: {percent}` is not between 1 and 99"));
            }
            (Some(percent), None) => format!("`heap_percent: {percent}` of {memory}"),
            (None, Some(xmx)) => format!("`xmx: {xmx}`"),
        };
        if let Some(word) = self.options.iter().find(|word| !is_option(word)) {
            return Err(format!(
                "`{word}` is not an option for `java.options`: they begin with `-`, have no white \
                 space or quotes in them, and leave the heap to `heap_percent` and `xmx`"
            ));
        }
        let heap = self.heap(memory);
        let needed = heap.saturating_add(BESIDE_THE_HEAP);
        if needed <= memory.0 {
            return Ok(());
        }
        Err(format!(
            "the heap does not fit: {said} is {} MiB, and a JVM needs at least {} MiB beside it \
             (classes, compiled code, thread stacks): {} MiB, but `memory` is {} MiB",
            mebibytes(heap),
            mebibytes(BESIDE_THE_HEAP),
            mebibytes(needed),
            memory.0 >> 20,
        ))
    }

    /// The value of `JAVA_TOOL_OPTIONS`.
    pub(super) fn tool_options(&self, memory: Size) -> String {
        let heap = match self.heap_percent {
            // The first is for large memories, the second for small ones (about 250 MiB);
            // 8u191 wants the decimal point.
            Some(percent) if self.version.sees_limits() => {
                format!("-XX:MaxRAMPercentage={percent}.0 -XX:MinRAMPercentage={percent}.0")
            }
            // Rounded down to whole KiB: the JVM wants multiples of that.
            _ => format!("-Xmx{}k", self.heap(memory) >> 10),
        };
        let words = [heap].into_iter().chain(self.options.iter().cloned());
        words.collect::<Vec<_>>().join(" ")
    }

    /// Whether `found`, the JVM's own `MaxHeapSize`, is the declared heap. Collectors round up
    /// to whole regions, of up to 32 MiB on large heaps.
    pub(super) fn accepts(&self, memory: Size, found: u64) -> bool {
        let wanted = self.heap(memory);
        found.abs_diff(wanted) <= (wanted / 50).clamp(4 << 20, 64 << 20)
    }
}

/// One word, for the JVM as for whoever reads the environment, that does not undo the heap.
fn is_option(word: &str) -> bool {
    let heap = [
        "-Xmx",
        "-XX:MaxHeapSize",
        "-XX:MaxRAM",
        "-XX:MinRAMPercentage",
    ];
    word.starts_with('-')
        && word
            .chars()
            .all(|sign| sign.is_ascii_graphic() && !"'\"".contains(sign))
        && !heap.iter().any(|start| word.starts_with(start))
}

/// Rounded up, so that a sum that does not fit never looks as if it did.
fn mebibytes(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}

/// `MaxHeapSize` in the output of `-XX:+PrintFlagsFinal`.
pub(super) fn max_heap_size(flags: &str) -> Option<u64> {
    flags.lines().find_map(|line| {
        let mut words = line
            .split_whitespace()
            .skip_while(|word| *word != "MaxHeapSize");
        words.next()?;
        words
            .find(|word| *word != "=" && *word != ":=")?
            .parse()
            .ok()
    })
}

impl FromStr for JavaVersion {
    type Err = InvalidVersion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidVersion(text.to_owned());
        // 1.8.0_372 is 8u372; what follows `+` or `-` is a build.
        let text = text.split(['+', '-']).next().unwrap_or_default();
        let (text, old) = match text.strip_prefix("1.") {
            Some(text) => (text, true),
            None => (text, false),
        };
        let (feature, rest) = text.split_at(
            text.find(|sign: char| !sign.is_ascii_digit())
                .unwrap_or(text.len()),
        );
        let feature = feature.parse().map_err(|_| invalid())?;
        let update = match rest {
            "" => "0",
            _ if old => rest
                .strip_prefix(".0")
                .map(|rest| rest.trim_start_matches('_'))
                .ok_or_else(invalid)?,
            _ => match rest.strip_prefix('u') {
                Some(update) => update,
                None => rest
                    .strip_prefix(".0")
                    .ok_or_else(invalid)?
                    .trim_start_matches('.'),
            },
        };
        let update = update.split('.').next().unwrap_or_default();
        let update = match update {
            "" => 0,
            update => update.parse().map_err(|_| invalid())?,
        };
        Ok(Self { feature, update })
    }
}

impl fmt::Display for JavaVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.feature, self.update) {
            (feature, 0) => write!(f, "{feature}"),
            (feature @ ..=8, update) => write!(f, "{feature}u{update}"),
            (feature, update) => write!(f, "{feature}.0.{update}"),
        }
    }
}

impl Serialize for JavaVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for JavaVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

#[cfg(feature = "control")]
impl schemars::JsonSchema for JavaVersion {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "version".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn java(version: &str, heap_percent: Option<u8>, xmx: Option<&str>) -> Java {
        Java {
            version: version.parse().unwrap(),
            heap_percent,
            xmx: xmx.map(|text| text.parse().unwrap()),
            options: Vec::new(),
        }
    }

    const MEMORY: Size = Size(512 << 20);

    #[test]
    fn options_follow_from_version_and_limit() {
        let xmx = "-Xmx393216k";
        let percent = "-XX:MaxRAMPercentage=75.0 -XX:MinRAMPercentage=75.0";
        for (version, expected) in [
            ("7", xmx),
            ("8u121", xmx),
            ("1.8.0_121", xmx),
            ("8u191", xmx),
            ("8u371", xmx),
            ("8u372", percent),
            ("1.8.0_372", percent),
            ("9", xmx),
            ("10", xmx),
            ("11", xmx),
            ("11.0.15", xmx),
            ("11.0.16", percent),
            ("11.0.16.1+1", percent),
            ("14", xmx),
            ("15", percent),
            ("17.0.9+9", percent),
            ("21", percent),
        ] {
            assert_eq!(
                java(version, Some(75), None).tool_options(MEMORY),
                expected,
                "{version}"
            );
            let absolute = java(version, None, Some("256m"));
            assert_eq!(absolute.tool_options(MEMORY), "-Xmx262144k", "{version}");
        }
    }

    #[test]
    fn what_is_no_version_is_refused() {
        for text in ["", "latest", "8x1", "11.1", "17.0.x", "1."] {
            assert!(text.parse::<JavaVersion>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_heap_that_cannot_fit_is_refused_with_the_arithmetic() {
        let problem = java("17", None, Some("480m"))
            .validate(Some(MEMORY))
            .unwrap_err();
        assert_eq!(
            problem,
            "the heap does not fit: `xmx: 480m` is 480 MiB, and a JVM needs at least 64 MiB beside \
             it (classes, compiled code, thread stacks): 544 MiB, but `memory` is 512 MiB"
        );
        let problem = java("17", Some(90), None)
            .validate(Some(MEMORY))
            .unwrap_err();
        assert!(
            problem.contains("`heap_percent: 90` of 512m is 461 MiB"),
            "{problem}"
        );
        for (java, memory, expected) in [
            (java("17", Some(75), None), Some(MEMORY), None),
            (java("17", None, Some("448m")), Some(MEMORY), None),
            (java("17", None, Some("2g")), Some(MEMORY), Some("2048 MiB")),
            (java("17", Some(75), None), None, Some("needs `memory`")),
            (
                java("17", Some(75), Some("1m")),
                Some(MEMORY),
                Some("one of"),
            ),
            (java("17", None, None), Some(MEMORY), Some("one of")),
            (
                java("17", Some(100), None),
                Some(MEMORY),
                Some("between 1 and 99"),
            ),
        ] {
            match (java.validate(memory), expected) {
                (Ok(()), None) => {}
                (Err(problem), Some(expected)) => assert!(problem.contains(expected), "{problem}"),
                (found, _) => panic!("{java:?}: {found:?}"),
            }
        }
    }

    #[test]
    fn further_options_may_not_undo_the_heap() {
        for (word, fits) in [
            ("-XX:+UseSerialGC", true),
            ("-Dapp.mode=blue", true),
            ("-Xmx2g", false),
            ("-XX:MaxRAMPercentage=90", false),
            ("two words", false),
            ("-Da='b'", false),
        ] {
            assert_eq!(is_option(word), fits, "{word}");
        }
    }

    #[test]
    fn the_jvms_own_view_is_found_in_what_it_prints() {
        let flags = "   size_t MarkStackSize    = 4194304   {product} {ergonomic}\n   \
                     size_t MaxHeapSize      = 402653184 {product} {ergonomic}\n";
        assert_eq!(max_heap_size(flags), Some(402_653_184));
        let java_8 = "    uintx MaxHeapSize       := 262144000  {product}\n";
        assert_eq!(max_heap_size(java_8), Some(262_144_000));
        assert_eq!(max_heap_size("Unrecognized VM option"), None);
        let declared = java("17", Some(75), None);
        assert!(declared.accepts(MEMORY, 402_653_184));
        assert!(!declared.accepts(MEMORY, 512 << 20));
    }
}

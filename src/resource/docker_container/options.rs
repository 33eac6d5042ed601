//! The parts of a declaration that have parts of their own.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A span of time, written as Docker and people write it: `500ms`, `30s`, `1m 30s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl Span {
    /// In nanoseconds, the unit of the Engine API.
    pub(super) fn nanoseconds(self) -> i64 {
        // More than 292 years are more than anybody waits.
        i64::try_from(self.0.as_nanos()).unwrap_or(i64::MAX)
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        humantime::parse_duration(text).map(Self).map_err(|_| {
            format!("`{text}` is no span of time; `500ms`, `30s` or `1m 30s` is expected")
        })
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

#[cfg(feature = "control")]
impl schemars::JsonSchema for Span {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "span of time".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string" })
    }
}

/// Where a container's output goes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "control", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// `json-file`, `journald`, `none`, …
    pub driver: String,
    /// The driver's options: `max-size: 50m`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}

/// How Docker finds out whether what runs in a container works. What is left out is the image's, or
/// else Docker's own.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "control", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Healthcheck {
    /// The words of the command that is run in the container; it works if they end with 0. None at
    /// all (`[]`) switches the image's own check off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// How long after one check the next begins: `30s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Span>,
    /// How long one check may take: `5s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// How many checks in a row must fail until it is unhealthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// How long failed checks do not count after a start: `1m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_period: Option<Span>,
}

/// How much of something a process in a container may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "control", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Ulimit {
    /// What it gets; -1 is no limit.
    pub soft: i64,
    /// How far it may raise that by itself; -1 is no limit.
    pub hard: i64,
}

/// A further network a container is in.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "control", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// Further names the container has in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
}

/// When a container that was started is believed to be up.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "control", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Settle {
    /// How long it must have stayed up without being started again; 5 s unless declared.
    #[serde(default = "default_time")]
    pub time: Span,
    /// How long it may take until it is healthy, where there is a health check; 2 minutes unless
    /// declared.
    #[serde(default = "default_deadline")]
    pub deadline: Span,
}

const fn default_time() -> Span {
    Span(Duration::from_secs(5))
}

const fn default_deadline() -> Span {
    Span(Duration::from_mins(2))
}

impl Default for Settle {
    fn default() -> Self {
        Self {
            time: default_time(),
            deadline: default_deadline(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_of_time_is_read_and_written_as_docker_does() {
        for (text, milliseconds, shown) in [
            ("500ms", 500, "500ms"),
            ("1m30s", 90_000, "1m 30s"),
            ("1m 30s", 90_000, "1m 30s"),
            ("2h", 7_200_000, "2h"),
            ("0s", 0, "0s"),
        ] {
            let span: Span = text.parse().unwrap();
            assert_eq!(
                (span.0.as_millis(), span.to_string().as_str()),
                (milliseconds, shown)
            );
        }
        for text in ["", "30", "-1s", "1 fortnight", "s"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }
}

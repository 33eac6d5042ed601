//! Versions of the Docker engine.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Major and minor: what decides which settings an engine knows.
pub(super) type Release = (u16, u16);

/// A release as it is written: `18.09`, but `23.0`.
pub(super) fn shown((major, minor): Release) -> String {
    if (17..20).contains(&major) {
        format!("{major}.{minor:02}")
    } else {
        format!("{major}.{minor}")
    }
}

/// A version of the engine: `20.10.24`. What is added behind it (`+dfsg1`, `-ce`, and in the RPMs of
/// 17.06 to 18.06 `.ce`) is no part of it.
#[derive(Clone, Debug)]
pub struct EngineVersion {
    text: String,
    number: (u16, u16, u16),
}

impl EngineVersion {
    /// Its three numbers.
    pub(super) fn number(&self) -> (u16, u16, u16) {
        self.number
    }

    /// Its major and minor number.
    pub(super) fn release(&self) -> Release {
        (self.number.0, self.number.1)
    }
}

impl PartialEq for EngineVersion {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for EngineVersion {}

impl FromStr for EngineVersion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let end = text
            .find(|sign: char| sign != '.' && !sign.is_ascii_digit())
            .unwrap_or(text.len());
        let (numbers, suffix) = text.split_at(end);
        let (numbers, suffix) = match (numbers.strip_suffix('.'), suffix) {
            (Some(numbers), "ce" | "ee") => (numbers, ""),
            _ => (numbers, suffix),
        };
        let parts: Option<Vec<u16>> = numbers.split('.').map(|part| part.parse().ok()).collect();
        match parts.as_deref() {
            Some(&[major, minor, patch])
                if suffix.is_empty() || suffix.starts_with(['+', '-', '~']) =>
            {
                Ok(Self {
                    text: numbers.to_owned(),
                    number: (major, minor, patch),
                })
            }
            _ => Err(format!(
                "`{text}` is not the version of an engine; write all three numbers, as in `20.10.24`"
            )),
        }
    }
}

impl fmt::Display for EngineVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for EngineVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for EngineVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

#[cfg(feature = "control")]
impl schemars::JsonSchema for EngineVersion {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "engine version".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": r"^[0-9]+\.[0-9]+\.[0-9]+" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packager_s_suffix_is_no_part_of_the_version() {
        let version = |text: &str| text.parse::<EngineVersion>().unwrap();
        assert_eq!(version("20.10.24+dfsg1"), version("20.10.24"));
        assert_eq!(version("17.03.2-ce").to_string(), "17.03.2");
        assert_eq!(version("18.06.3.ce"), version("18.06.3"));
        assert_ne!(version("20.10.24"), version("20.10.2"));
        assert!(version("1.13.1").release() < version("17.03.0").release());
    }

    #[test]
    fn half_a_version_is_none() {
        for text in [
            "20.10",
            "20.10.24.1",
            "20.10.24.",
            "20.10.ce",
            "20.10.24.cee",
            "latest",
            "",
            "20.10.x",
            "20.10.99999",
            "20.10.24rc",
        ] {
            assert!(text.parse::<EngineVersion>().is_err(), "{text}");
        }
    }
}

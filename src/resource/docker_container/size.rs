//! Amounts of memory.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Bytes, written as Docker and the JVM write them: `512m`, `2g`, or a plain number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// A text that is no amount of memory.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is no amount of memory; `512m`, `2g` or a number of bytes is expected")]
pub struct InvalidSize(String);

/// Units, small to large, with how many bits each shifts.
const UNITS: [(char, u32); 4] = [('b', 0), ('k', 10), ('m', 20), ('g', 30)];

impl FromStr for Size {
    type Err = InvalidSize;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidSize(text.to_owned());
        let lower = text.to_ascii_lowercase();
        let digits = lower.trim_end_matches(|sign: char| !sign.is_ascii_digit());
        let unit = lower[digits.len()..].trim_end_matches("ib");
        let shift = match unit {
            "" => 0,
            unit => UNITS
                .iter()
                .find(|(name, _)| unit.strip_prefix(*name) == Some(""))
                .map(|(_, shift)| *shift)
                .ok_or_else(invalid)?,
        };
        let number: u64 = digits.parse().map_err(|_| invalid())?;
        let bytes = number.checked_mul(1 << shift).ok_or_else(invalid)?;
        // What the kernel and the Engine API can say.
        i64::try_from(bytes).map_err(|_| invalid())?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for Size {
    /// In the largest unit that needs no fraction.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, shift) in UNITS.iter().skip(1).rev() {
            if self.0 != 0 && self.0.is_multiple_of(1 << shift) {
                return write!(f, "{}{unit}", self.0 >> shift);
            }
        }
        write!(f, "{}", self.0)
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

#[cfg(feature = "control")]
impl schemars::JsonSchema for Size {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "size".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_what_docker_does() {
        for (text, bytes, shown) in [
            ("512m", 512 << 20, "512m"),
            ("2G", 2 << 30, "2g"),
            ("1024MiB", 1 << 30, "1g"),
            ("300000001", 300_000_001, "300000001"),
            ("0", 0, "0"),
        ] {
            let size: Size = text.parse().unwrap();
            assert_eq!((size.0, size.to_string().as_str()), (bytes, shown));
        }
        for text in [
            "",
            "m",
            "1.5g",
            "-1",
            "512 m",
            "1t",
            "99999999999g",
            "512mm",
            "ib",
        ] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }
}

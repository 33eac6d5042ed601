//! Permission bits, as declared and as found.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Permission bits of a file with setuid, setgid and sticky: `0644`, `1777`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileMode(u32);

impl FileMode {
    /// For files of which nothing else is known or declared.
    pub const FILE: Self = Self(0o644);
    /// For directories of which nothing else is known or declared.
    pub const DIRECTORY: Self = Self(0o755);
    /// For what only its owner may read.
    pub const PRIVATE: Self = Self(0o600);

    /// The permission bits of a `st_mode`.
    #[must_use]
    pub const fn from_bits(mode: u32) -> Self {
        Self(mode & 0o7777)
    }

    /// The bits, as `chmod` takes them.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }
}

/// A text that is no mode.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidMode {
    /// Three octal digits: may be meant octal or decimal.
    #[error("write the mode in octal with a leading zero: 0{0}")]
    NoLeadingZero(String),
    /// `u=rw,g=r` and the like.
    #[error(
        "`{0}` is not a mode; symbolic modes depend on what is there before, \
         so write all bits in octal with a leading zero: 0644"
    )]
    NotOctal(String),
}

impl FromStr for FileMode {
    type Err = InvalidMode;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let octal = text.bytes().all(|digit| matches!(digit, b'0'..=b'7'));
        let padded = text.starts_with('0');
        match text.len() {
            3 if octal && !padded => Err(InvalidMode::NoLeadingZero(text.to_owned())),
            4 if octal => Ok(text),
            3 | 5 if octal && padded => Ok(text),
            _ => Err(InvalidMode::NotOctal(text.to_owned())),
        }
        .map(|text| Self(u32::from_str_radix(text, 8).expect("at most five octal digits")))
    }
}

impl fmt::Display for FileMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl Serialize for FileMode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FileMode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

#[cfg(feature = "control")]
impl schemars::JsonSchema for FileMode {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "octal mode".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^0?[0-7]{4}$|^0[0-7]{2}$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_octal_with_a_leading_zero_or_four_digits() {
        for (text, shown) in [
            ("0644", "0644"),
            ("1777", "1777"),
            ("02755", "2755"),
            ("0000", "0000"),
            ("007", "0007"),
        ] {
            assert_eq!(
                text.parse::<FileMode>().unwrap().to_string(),
                shown,
                "{text}"
            );
        }
    }

    #[test]
    fn names_the_way_out() {
        let error = |text: &str| text.parse::<FileMode>().unwrap_err().to_string();
        assert_eq!(
            error("644"),
            "write the mode in octal with a leading zero: 0644"
        );
        for text in [
            "",
            "0",
            "u=rw",
            "0888",
            "420000",
            "0o644",
            "+644",
            "12345",
            "０６４４",
        ] {
            assert!(error(text).contains("is not a mode"), "{text}");
        }
    }
}

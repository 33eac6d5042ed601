//! Sizes as LVM's users write them: `40G`, `512K`, `95%`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A number of bytes, written with a unit of 1024 as in LVM: `512K`, `40G`, `40GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

/// A share of the volume group (`70%`, `0.5%`) or a number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Hundredths of a percent of the volume group.
    Share(u16),
    /// Exactly that much.
    Bytes(Bytes),
}

/// A text that is no size.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidSize {
    /// Not a number with a unit.
    #[error("`{0}` is not a size; write it with a unit of 1024, like `512K` or `40G`")]
    NotBytes(String),
    /// `KB`, `GB`: 1000 or 1024, depending on who is asked.
    #[error("`{0}` could mean 1000 or 1024; write `{1}`, which is a unit of 1024")]
    Ambiguous(String, String),
    /// Not a percentage between 0 and 100.
    #[error("`{0}` is not a share of the volume group, like `70%` or `0.5%`")]
    NotShare(String),
}

const UNITS: [(char, u64); 5] = [
    ('B', 1),
    ('K', 1 << 10),
    ('M', 1 << 20),
    ('G', 1 << 30),
    ('T', 1 << 40),
];

impl FromStr for Bytes {
    type Err = InvalidSize;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidSize::NotBytes(text.to_owned());
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let unit = unit.trim_start().to_ascii_uppercase();
        let mut letters = unit.chars();
        let letter = letters.next().ok_or_else(invalid)?;
        let (_, factor) = UNITS
            .into_iter()
            .find(|(name, _)| *name == letter)
            .ok_or_else(invalid)?;
        match letters.as_str() {
            "" => {}
            "IB" if letter != 'B' => {}
            "B" if letter != 'B' => {
                return Err(InvalidSize::Ambiguous(
                    text.to_owned(),
                    format!("{number}{letter}iB"),
                ));
            }
            _ => return Err(invalid()),
        }
        let number: u64 = number.parse().map_err(|_| invalid())?;
        number.checked_mul(factor).map(Self).ok_or_else(invalid)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (letter, factor) = UNITS
            .into_iter()
            .rev()
            .find(|(_, factor)| self.0 >= *factor)
            .unwrap_or(UNITS[0]);
        let unit = if letter == 'B' {
            "B".to_owned()
        } else {
            format!("{letter}iB")
        };
        if self.0.is_multiple_of(factor) {
            return write!(f, "{} {unit}", self.0 / factor);
        }
        let hundredths = u128::from(self.0) * 100 / u128::from(factor);
        write!(f, "{}.{:02} {unit}", hundredths / 100, hundredths % 100)
    }
}

impl FromStr for Size {
    type Err = InvalidSize;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some(share) = text.strip_suffix('%') else {
            return text.parse().map(Self::Bytes);
        };
        let invalid = || InvalidSize::NotShare(text.to_owned());
        let (whole, fraction) = share
            .trim_end()
            .split_once('.')
            .unwrap_or((share.trim_end(), "0"));
        let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(whole) || !is_number(fraction) || !(1..=2).contains(&fraction.len()) {
            return Err(invalid());
        }
        let whole: u16 = whole.parse().map_err(|_| invalid())?;
        let hundredths: u16 = format!("{fraction:0<2}").parse().map_err(|_| invalid())?;
        match whole
            .checked_mul(100)
            .and_then(|whole| whole.checked_add(hundredths))
        {
            Some(share @ 1..=10_000) => Ok(Self::Share(share)),
            _ => Err(invalid()),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => bytes.fmt(f),
            Self::Share(share) if share % 100 == 0 => write!(f, "{}%", share / 100),
            Self::Share(share) => write!(f, "{}.{:02}%", share / 100, share % 100),
        }
    }
}

/// Both travel as the text they are read from, in a form that reads back exactly.
macro_rules! as_text {
    ($Type:ident, $name:literal, $pattern:literal, $exact:expr) => {
        impl Serialize for $Type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let exact: fn(&Self) -> String = $exact;
                serializer.serialize_str(&exact(self))
            }
        }

        impl<'de> Deserialize<'de> for $Type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }

        #[cfg(feature = "control")]
        impl schemars::JsonSchema for $Type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "pattern": $pattern })
            }
        }
    };
}

as_text!(
    Bytes,
    "size",
    "^[0-9]+ *[bBkKmMgGtT](i[bB])?$",
    |bytes| format!("{}B", bytes.0)
);
as_text!(
    Size,
    "size or percentage",
    "^[0-9]+([.][0-9]{1,2})? *%$|^[0-9]+ *[bBkKmMgGtT](i[bB])?$",
    |size| match size {
        Size::Bytes(bytes) => format!("{}B", bytes.0),
        share @ Size::Share(_) => share.to_string(),
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_lvm_reads() {
        for (text, bytes, shown) in [
            ("512K", 512 << 10, "512 KiB"),
            ("64k", 64 << 10, "64 KiB"),
            ("40G", 40 << 30, "40 GiB"),
            ("40 GiB", 40 << 30, "40 GiB"),
            ("1536m", 1536 << 20, "1.50 GiB"),
            ("2T", 2 << 40, "2 TiB"),
            ("4096b", 4096, "4 KiB"),
            ("0B", 0, "0 B"),
        ] {
            let size: Bytes = text.parse().unwrap();
            assert_eq!(
                (size.0, size.to_string().as_str()),
                (bytes, shown),
                "{text}"
            );
        }
        for (text, share, shown) in [
            ("95%", 9500, "95%"),
            ("0.1%", 10, "0.10%"),
            ("100 %", 10_000, "100%"),
            ("1.25%", 125, "1.25%"),
        ] {
            let size: Size = text.parse().unwrap();
            assert_eq!(
                (size, size.to_string().as_str()),
                (Size::Share(share), shown),
                "{text}"
            );
        }
    }

    #[test]
    fn refuses_what_it_would_have_to_guess() {
        let error = |text: &str| text.parse::<Size>().unwrap_err().to_string();
        assert_eq!(
            error("40GB"),
            "`40GB` could mean 1000 or 1024; write `40GiB`, which is a unit of 1024"
        );
        for text in [
            "40",
            "",
            "G",
            "-1G",
            "1.5G",
            "40X",
            "40Gi",
            "99999999999T",
            "40B B",
            "1BiB",
        ] {
            assert!(
                error(text).contains("is not a size"),
                "{text}: {}",
                error(text)
            );
        }
        for text in [
            "%", "0%", "101%", "100.01%", "-5%", "1.%", "1.234%", "1e1%", "70000%",
        ] {
            assert!(
                error(text).contains("is not a share"),
                "{text}: {}",
                error(text)
            );
        }
    }

    #[test]
    fn travels_exactly() {
        for text in ["1537K", "0.01%", "33.33%", "5000000001b"] {
            let size: Size = text.parse().unwrap();
            let wire = serde_json::to_string(&size).unwrap();
            assert_eq!(serde_json::from_str::<Size>(&wire).unwrap(), size, "{wire}");
        }
    }
}

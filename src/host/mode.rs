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

    /// Without the bits that let a program run as the file's owner or group.
    #[must_use]
    pub const fn without_setid(self) -> Self {
        Self(self.0 & !0o6000)
    }

    /// Without the right to write for anybody but the owner.
    #[must_use]
    pub const fn without_writing_by_others(self) -> Self {
        Self(self.0 & !0o022)
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
    /// `0o644`: octal, in the notation of YAML 1.2 and of programming languages.
    #[error("`{0}` has another prefix than `chmod` takes; write {1}")]
    Prefix(String, String),
    /// `0888`.
    #[error("`{0}` is not octal: there is no digit {1} in a mode; write each digit from 0 to 7")]
    NotOctal(String, char),
    /// `0`, `64` or `420000`.
    #[error("`{0}` is not a mode; write three or four octal digits with a leading zero: 0644")]
    Digits(String),
    /// `rw-r--r--`, as `ls` shows it.
    #[error("`{0}` is not a mode; write it in octal with a leading zero: {1}")]
    AsListed(String, String),
    /// `u=rw,g=r` and the like.
    #[error(
        "`{0}` is not a mode; symbolic modes depend on what is there before, \
         so write all bits in octal with a leading zero: 0644"
    )]
    Symbolic(String),
    /// `preserve`, as Ansible has it.
    #[error(
        "`preserve` is not a mode: the file on this machine may have any; write the bits in octal \
         with a leading zero: 0644"
    )]
    Preserve,
    /// Anything else.
    #[error("`{0}` is not a mode; write all bits in octal with a leading zero: 0644")]
    Other(String),
}

impl InvalidMode {
    /// Why a text is none that [`FileMode`] takes.
    fn of(text: &str) -> Self {
        let whole = text.to_owned();
        let digits = text.trim_start_matches(['0', 'o', 'O']);
        let is_octal = |digits: &str| digits.bytes().all(|digit| matches!(digit, b'0'..=b'7'));
        if text == "preserve" {
            return Self::Preserve;
        }
        if (text.starts_with("0o") || text.starts_with("0O"))
            && digits.len() <= 4
            && is_octal(digits)
        {
            return Self::Prefix(whole, format!("0{digits:0>3}"));
        }
        if !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit()) {
            return match text.chars().find(|digit| *digit > '7') {
                Some(digit) => Self::NotOctal(whole, digit),
                None if text.len() == 3 => Self::NoLeadingZero(whole),
                None => Self::Digits(whole),
            };
        }
        if let Some(bits) = as_listed(text) {
            return Self::AsListed(whole, format!("{bits:04o}"));
        }
        let symbolic = |letter: char| "ugoarwxXst+-=,".contains(letter);
        if text.contains(['+', '-', '=']) && text.chars().all(symbolic) {
            return Self::Symbolic(whole);
        }
        Self::Other(whole)
    }
}

/// The bits of `rw-r--r--`, with or without the letter for the kind of file before it.
fn as_listed(text: &str) -> Option<u32> {
    let bits = match text.len() {
        10 => text.strip_prefix(['-', 'd'])?,
        _ => text,
    };
    let fits = bits.len() == 9
        && bits
            .bytes()
            .zip(b"rwxrwxrwx".iter())
            .all(|(found, letter)| found == b'-' || found == *letter);
    fits.then(|| {
        bits.bytes()
            .fold(0, |mode, found| mode << 1 | u32::from(found != b'-'))
    })
}

impl FromStr for FileMode {
    type Err = InvalidMode;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let octal = text.bytes().all(|digit| matches!(digit, b'0'..=b'7'));
        let padded = text.starts_with('0');
        let is_mode = octal && (text.len() == 4 || padded && matches!(text.len(), 3 | 5));
        let bits = is_mode.then(|| u32::from_str_radix(text, 8).ok()).flatten();
        bits.map(Self).ok_or_else(|| InvalidMode::of(text))
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
        for (text, expected) in [
            ("644", "write the mode in octal with a leading zero: 0644"),
            ("0o644", "write 0644"),
            ("0O1777", "write 01777"),
            ("0o7", "write 0007"),
            ("0888", "there is no digit 8 in a mode"),
            ("649", "there is no digit 9 in a mode"),
            ("0", "write three or four octal digits"),
            ("64", "write three or four octal digits"),
            ("420000", "write three or four octal digits"),
            ("12345", "write three or four octal digits"),
            ("rw-r--r--", "write it in octal with a leading zero: 0644"),
            ("drwxr-x---", "write it in octal with a leading zero: 0750"),
            ("u=rw,g=r,o=", "symbolic modes depend on"),
            ("a+X", "symbolic modes depend on"),
            ("preserve", "may have any"),
            ("+644", "`+644` is not a mode; write all bits"),
            ("-0644", "`-0644` is not a mode; write all bits"),
            ("", "`` is not a mode; write all bits"),
            ("0x1a4", "`0x1a4` is not a mode; write all bits"),
            ("０６４４", "is not a mode; write all bits"),
        ] {
            let error = text.parse::<FileMode>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}

//! What an unquoted scalar means.
//!
//! YAML 1.1 as Ansible reads it, without its traps: octal (`0644`), hexadecimal, base 60
//! (`12:30`), `1_000` and dates stay text. Whatever is guessed here, the text as written is kept
//! beside it in [`Node::raw`](super::Node::raw).

use super::Yaml;

/// Resolves a plain scalar.
pub(super) fn resolve(text: &str) -> Yaml {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Yaml::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Yaml::Bool(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => {
            Yaml::Bool(false)
        }
        _ => number(text).unwrap_or_else(|| Yaml::String(text.to_owned())),
    }
}

/// Reads a decimal number that loses nothing by being one.
fn number(text: &str) -> Option<Yaml> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, rest) = digits.split_at(
        digits
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(digits.len()),
    );
    if whole.len() > 1 && whole.starts_with('0') {
        return None;
    }
    if rest.is_empty() {
        return text.parse().ok().map(Yaml::Integer);
    }
    let (fraction, exponent) = match rest.strip_prefix('.')?.split_once(['e', 'E']) {
        Some((fraction, exponent)) => (fraction, Some(exponent)),
        None => (&rest[1..], None),
    };
    let all_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let exponent_ok =
        exponent.is_none_or(|text| all_digits(text.strip_prefix(['+', '-']).unwrap_or(text)));
    if !all_digits(fraction) || !exponent_ok {
        return None;
    }
    text.parse()
        .ok()
        .filter(|float: &f64| float.is_finite())
        .map(Yaml::Float)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_null() {
        for text in ["", "~", "null", "Null", "NULL"] {
            assert_eq!(resolve(text), Yaml::Null, "{text}");
        }
    }

    #[test]
    fn booleans_as_in_ansible() {
        for text in [
            "true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON",
        ] {
            assert_eq!(resolve(text), Yaml::Bool(true), "{text}");
        }
        for text in [
            "false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF",
        ] {
            assert_eq!(resolve(text), Yaml::Bool(false), "{text}");
        }
    }

    #[test]
    fn decimal_numbers() {
        assert_eq!(resolve("0"), Yaml::Integer(0));
        assert_eq!(resolve("-17"), Yaml::Integer(-17));
        assert_eq!(resolve("9223372036854775807"), Yaml::Integer(i64::MAX));
        assert_eq!(resolve("20.10"), Yaml::Float(20.10));
        assert_eq!(resolve("-0.5"), Yaml::Float(-0.5));
        assert_eq!(resolve(".5"), Yaml::Float(0.5));
        assert_eq!(resolve("1.5e-3"), Yaml::Float(0.0015));
    }

    #[test]
    fn everything_else_is_text() {
        for text in [
            "0644",
            "-01",
            "0x1f",
            "0o17",
            "1_000",
            "12:30",
            "2024-01-31",
            "y",
            "n",
            "tRue",
            "+5",
            "1.",
            ".",
            "-",
            "-.",
            "1e5",
            "1.0e",
            "1.0e999",
            "1.2.3",
            "00.5",
            ".inf",
            ".nan",
            "9223372036854775808",
            "١",
        ] {
            assert_eq!(resolve(text), Yaml::String(text.to_owned()), "{text}");
        }
    }
}

//! The shapes a secret can take on its way into an output.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Shorter texts are not looked for: what is left of a report without every `a` helps nobody.
pub(super) const SHORTEST: usize = 4;

/// All texts that give `secret` away: itself, its lines, and each of them as JSON, URLs, shell
/// words and base64 write it.
pub(super) fn forms(secret: &str) -> BTreeSet<String> {
    let lines = secret.lines().map(str::trim);
    let pieces: BTreeSet<&str> = [secret, secret.trim()].into_iter().chain(lines).collect();
    let mut forms = BTreeSet::new();
    for piece in pieces.into_iter().filter(|piece| piece.len() >= SHORTEST) {
        forms.insert(piece.to_owned());
        forms.insert(json(piece));
        forms.insert(piece.escape_debug().to_string());
        forms.insert(piece.escape_default().to_string());
        forms.insert(piece.replace('\'', r"'\''"));
        for unreserved in ["-._~", "-._~/", "-._~!*'()"] {
            let upper = percent(piece, unreserved);
            forms.insert(upper.replace("%20", "+"));
            forms.insert(lower_escapes(&upper));
            forms.insert(upper);
        }
        for before in 0..3 {
            forms.insert(encoded(&STANDARD_NO_PAD, piece.as_bytes(), before));
            forms.insert(encoded(&URL_SAFE_NO_PAD, piece.as_bytes(), before));
        }
    }
    forms.retain(|form| form.len() >= SHORTEST);
    forms
}

fn json(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

fn percent(text: &str, unreserved: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        let c = char::from(byte);
        if c.is_ascii_alphanumeric() || c.is_ascii() && unreserved.contains(c) {
            out.push(c);
        } else {
            write!(out, "%{byte:02X}").expect("a String takes everything");
        }
    }
    out
}

fn lower_escapes(text: &str) -> String {
    let mut parts = text.split('%');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (digits, rest) = part.split_at(2);
        out.push('%');
        out.push_str(&digits.to_ascii_lowercase());
        out.push_str(rest);
    }
    out
}

/// The characters of base64 that depend on `bytes` alone when `before` bytes (modulo three)
/// stand before it: `user:password` hides in the login of a registry that way.
fn encoded(engine: &impl base64::Engine, bytes: &[u8], before: usize) -> String {
    let mut padded = vec![0; before];
    padded.extend_from_slice(bytes);
    let encoded = engine.encode(&padded);
    // Each character holds six bits: the first and the last may share theirs with a neighbour.
    let first = (before * 8).div_ceil(6);
    let last = padded.len() * 8 / 6;
    encoded[first.min(last)..last].to_owned()
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;

    use super::*;

    #[test]
    fn base64_is_found_wherever_it_begins() {
        let forms = forms("hunter2!");
        for before in ["", "u", "us", "use", "user:"] {
            for after in ["", "x", "xy"] {
                let text = STANDARD_NO_PAD.encode(format!("{before}hunter2!{after}"));
                assert!(
                    forms.iter().any(|form| text.contains(form.as_str())),
                    "{before}…{after}: {text}"
                );
            }
        }
    }

    #[test]
    fn escapes_and_lines_are_forms_too() {
        let forms = forms("a\"b c/d'é\nsecond line\n");
        for form in [
            r#"a\"b c/d'é\nsecond line\n"#,
            "second line",
            "second%20line",
            "second+line",
            "a%22b%20c%2fd%27%c3%a9",
            "a%22b%20c%2Fd%27%C3%A9",
            r#"a"b c/d'\''é"#,
        ] {
            assert!(forms.contains(form), "{form}: {forms:#?}");
        }
    }

    #[test]
    fn nothing_short_is_looked_for() {
        assert!(forms("abc").is_empty());
        assert!(forms("").is_empty());
        assert!(forms("a\nb\nlong\n").contains("long"));
    }
}

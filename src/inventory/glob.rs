//! Shell wildcards: `*`, `?`, `[a-c]`, `[!a]`.

use regex_lite::Regex;

/// A name with wildcards. `*` matches `/` too: what is named here are hosts and resources, and a
/// path is one name.
#[derive(Clone, Debug)]
pub struct Glob(Regex);

/// A text that is no glob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    /// A set of characters does not end.
    #[error("has `[` without `]`")]
    OpenSet,
    /// A set of characters is none: `[z-a]`.
    #[error("has `[…]` that is no set of characters")]
    NoSet,
}

impl Glob {
    /// Reads a glob; a text without wildcards matches itself.
    ///
    /// # Errors
    /// When a set in brackets has no end or is none.
    pub fn parse(pattern: &str) -> Result<Self, GlobError> {
        // An id may have several lines.
        let mut regex = String::from("(?s)^");
        let mut chars = pattern.chars();
        while let Some(c) = chars.next() {
            match c {
                '*' => regex.push_str(".*"),
                '?' => regex.push('.'),
                '[' => {
                    let (set, _) = chars.as_str().split_once(']').ok_or(GlobError::OpenSet)?;
                    chars.nth(set.chars().count());
                    let (negated, set) = match set.strip_prefix('!') {
                        Some(set) => ("^", set),
                        None => ("", set),
                    };
                    let set = set
                        .replace('\\', "\\\\")
                        .replace('^', "\\^")
                        .replace('[', "\\[");
                    regex.extend(["[", negated, &set, "]"]);
                }
                c => regex.push_str(&regex_lite::escape(c.encode_utf8(&mut [0; 4]))),
            }
        }
        regex.push('$');
        Regex::new(&regex).map(Self).map_err(|_| GlobError::NoSet)
    }

    /// Whether the whole of `name` matches.
    #[must_use]
    pub fn is_match(&self, name: &str) -> bool {
        self.0.is_match(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_the_whole_name() {
        for (pattern, name, expected) in [
            ("/etc/docker/*", "/etc/docker/certs.d/a/ca.crt", true),
            ("/etc/docker/*", "/data/etc/docker/x", false),
            ("web0[1-3]", "web02", true),
            ("web0[!1-3]", "web02", false),
            ("a?c", "abc", true),
            ("a.c", "abc", false),
            ("*", "two\nlines", true),
            ("", "", true),
        ] {
            let glob = Glob::parse(pattern).unwrap();
            assert_eq!(glob.is_match(name), expected, "{pattern} {name:?}");
        }
        assert_eq!(Glob::parse("web[01").unwrap_err(), GlobError::OpenSet);
        assert_eq!(Glob::parse("web[9-0]").unwrap_err(), GlobError::NoSet);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused_and_matches_itself_without_wildcards(text: String) {
            if let Ok(glob) = Glob::parse(&text) {
                let plain = !text.contains(['*', '?', '[']);
                proptest::prop_assert!(!plain || glob.is_match(&text));
            }
        }
    }
}

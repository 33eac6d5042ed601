//! Text from hosts, made safe to print: no escape sequence, no invisible reordering.
//!
//! A file name or a command's output may hold whatever an attacker on a host put there; on an
//! operator's terminal it must stay text.

use std::borrow::Cow;
use std::fmt::Write;

/// Longest value shown inside a line; JSON has the whole of it.
const LONGEST: usize = 200;

/// One line: control characters and line breaks are shown as escapes, long text is cut.
#[must_use]
pub fn single_line(text: &str) -> Cow<'_, str> {
    one_line(text, LONGEST)
}

/// One line of at most so many characters.
pub(super) fn one_line(text: &str, longest: usize) -> Cow<'_, str> {
    let cut = text.char_indices().nth(longest).map(|(at, _)| &text[..at]);
    let shown = escape(cut.unwrap_or(text));
    match cut {
        Some(_) => Cow::Owned(format!("{shown}…")),
        None => shown,
    }
}

/// Several lines, each without control characters; tabs stay. Blank lines at the end are dropped.
pub fn lines(text: &str) -> impl Iterator<Item = Cow<'_, str>> {
    text.trim_end().lines().map(|line| {
        if line.contains('\t') {
            Cow::Owned(line.split('\t').map(escape).collect::<Vec<_>>().join("\t"))
        } else {
            escape(line)
        }
    })
}

fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for char in text.chars() {
        match char {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..='\x7f' if is_harmful(char) => {
                write!(out, "\\x{:02x}", u32::from(char)).expect("a String takes everything");
            }
            _ if is_harmful(char) => {
                write!(out, "\\u{{{:x}}}", u32::from(char)).expect("a String takes everything");
            }
            _ => out.push(char),
        }
    }
    Cow::Owned(out)
}

/// Controls (C0, DEL, C1), and the characters that hide or reorder their neighbours.
fn is_harmful(char: char) -> bool {
    char.is_control()
        || matches!(char,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}'
            | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_steer_a_terminal_is_shown_and_not_sent() {
        for (text, shown) in [
            ("plain – text ✓", "plain – text ✓"),
            ("\x1b[2J\x1b]0;title\x07", "\\x1b[2J\\x1b]0;title\\x07"),
            ("two\nlines\r\n", "two\\nlines\\r\\n"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("evil\u{202e}txt.exe", "evil\\u{202e}txt.exe"),
        ] {
            assert_eq!(single_line(text), shown);
        }
    }

    #[test]
    fn a_long_value_is_cut_between_characters() {
        let shown = single_line(&"ä".repeat(LONGEST + 1)).into_owned();
        assert_eq!(shown, format!("{}…", "ä".repeat(LONGEST)));
        assert_eq!(single_line(&"ä".repeat(LONGEST)), "ä".repeat(LONGEST));
    }

    #[test]
    fn lines_keep_their_tabs_and_lose_the_rest() {
        let shown: Vec<_> = lines("a\tb\x1b[0m\r\n\nc\n\n").collect();
        assert_eq!(shown, ["a\tb\\x1b[0m", "", "c"]);
    }

    proptest::proptest! {
        #[test]
        fn nothing_harmful_is_left_in_any_text(text: String) {
            proptest::prop_assert!(!single_line(&text).contains(is_harmful));
            for line in lines(&text) {
                proptest::prop_assert!(!line.replace('\t', "").contains(is_harmful));
            }
        }
    }
}

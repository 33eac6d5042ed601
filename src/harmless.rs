//! Text from hosts, made safe to print: no escape sequence, no invisible reordering. The one place
//! that knows what is harmful, for every output.
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
#[must_use]
pub fn one_line(text: &str, longest: usize) -> Cow<'_, str> {
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

/// Everything harmful as an escape, line breaks and tabs among it.
#[must_use]
pub fn escape(text: &str) -> Cow<'_, str> {
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

/// A line of what another program said: at most so much of it as fits on a screen.
#[must_use]
pub fn printable(line: &str) -> String {
    one_line(line.trim(), 2 * LONGEST).into_owned()
}

/// What is written to a terminal at last: line breaks, tabs and colours stay. Whoever puts text of a
/// host into what is written has made it harmless before; what was forgotten is caught here.
#[must_use]
pub fn written(text: &str) -> Cow<'_, str> {
    if !text.contains(|char| is_harmful(char) && char != '\n' && char != '\t') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    let mut rest = text;
    while let Some(at) = rest.find(|char| is_harmful(char) && char != '\n' && char != '\t') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let length = colour(rest);
        if length > 0 {
            out.push_str(&rest[..length]);
        } else {
            let char = rest.chars().next().map_or(1, char::len_utf8);
            out.push_str(&escape(&rest[..char]));
            rest = &rest[char..];
            continue;
        }
        rest = &rest[length..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// How many bytes of `text` are a sequence that sets a colour; 0 if it begins otherwise.
fn colour(text: &str) -> usize {
    let Some(parameters) = text.strip_prefix("\x1b[") else {
        return 0;
    };
    let end = parameters.find(|char: char| !char.is_ascii_digit() && char != ';');
    match end {
        Some(end) if parameters[end..].starts_with('m') => "\x1b[".len() + end + "m".len(),
        _ => 0,
    }
}

/// JSON that says the same and is harmless on a terminal: outside of texts it is ASCII, and within
/// them every character may be an escape.
#[must_use]
pub fn json(document: String) -> String {
    if !document.contains(|char| is_harmful(char) && char >= '\x7f') {
        return document;
    }
    let mut out = String::with_capacity(document.len() + 16);
    for char in document.chars() {
        if is_harmful(char) && char >= '\x7f' {
            for unit in char.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}").expect("a String takes everything");
            }
        } else {
            out.push(char);
        }
    }
    out
}

/// Replaces what is harmful by something visible, one for one, so that columns stay; line breaks
/// and tabs pass.
#[must_use]
pub fn visible(text: &str) -> String {
    text.chars()
        .map(|char| match char {
            '\n' | '\t' => char,
            '\0'..='\x1f' => char::from_u32(0x2400 + u32::from(char)).unwrap_or('\u{fffd}'),
            '\x7f' => '␡',
            _ if is_harmful(char) => '\u{fffd}',
            _ => char,
        })
        .collect()
}

/// Controls (C0, DEL, C1), and the characters that hide, end a line or reorder their neighbours:
/// those with `Bidi_Control` or `Default_Ignorable_Code_Point` but for variation selectors, and the
/// separators of lines and paragraphs.
#[must_use]
pub fn is_harmful(char: char) -> bool {
    char.is_control()
        || matches!(char,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
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

    #[test]
    fn what_is_written_keeps_its_colours_and_nothing_else() {
        for (text, shown) in [
            (
                "\x1b[1;31mred\x1b[0m\tplain\n",
                "\x1b[1;31mred\x1b[0m\tplain\n",
            ),
            ("\x1b[2J\x1b[", "\\x1b[2J\\x1b["),
            ("\x1b[31\x1b[0m", "\\x1b[31\x1b[0m"),
            ("\u{9b}31m\x7f\r\u{61c}", "\\u{9b}31m\\x7f\\r\\u{61c}"),
        ] {
            assert_eq!(written(text), shown);
        }
    }

    #[test]
    fn json_says_the_same() {
        let value = serde_json::json!({"\u{202e}": ["\x1b\u{9b}\x7f\u{e0041}ä", 1]});
        let text = json(value.to_string());
        assert_eq!(text, r#"{"\u202e":["\u001b\u009b\u007f\udb40\udc41ä",1]}"#);
        let back: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(back, value);
    }

    #[test]
    fn every_character_that_turns_text_round_is_harmful_and_letters_are_not() {
        let harmful = "\0\x1b\x7f\u{80}\u{9b}\u{9f}\u{ad}\u{61c}\u{180e}\u{200b}\u{200e}\u{200f}\
                       \u{2028}\u{2029}\u{202a}\u{202e}\u{2060}\u{2066}\u{2069}\u{feff}\u{e0041}";
        for char in harmful.chars() {
            assert!(is_harmful(char), "{:x}", u32::from(char));
        }
        for char in "aäß€–✓日本语עבריתالعربية✔\u{fe0f}🙂".chars() {
            assert!(!is_harmful(char), "{char}");
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_harmful_is_left_in_any_text(text: String) {
            proptest::prop_assert!(!single_line(&text).contains(is_harmful));
            proptest::prop_assert!(!printable(&text).contains(is_harmful));
            let plain = |char| is_harmful(char) && char != '\n' && char != '\t';
            proptest::prop_assert!(!visible(&text).contains(plain));
            proptest::prop_assert!(!console::strip_ansi_codes(&written(&text)).contains(plain));
            proptest::prop_assert!(!json(text.clone()).contains(|c| is_harmful(c) && c >= '\x7f'));
            for line in lines(&text) {
                proptest::prop_assert!(!line.replace('\t', "").contains(is_harmful));
            }
        }
    }
}

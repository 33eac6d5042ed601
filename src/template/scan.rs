//! Reads a template's code just far enough to make Tera strict.
//!
//! Tera lets an undefined value through wherever it is not printed: `facts.os.idd == "centos"`
//! is quietly false. So every variable in the code is wrapped in a filter that refuses what is
//! undefined, unless the author guarded it: `x is defined`, `x | default(value=…)`, `x or …`,
//! `x?.y`. Short-circuits stay lazy, since the filter runs only where the variable is read.

use std::collections::BTreeSet;
use std::ops::Range;

use super::line_feeds::{self, Ending};
use super::token::{Kind, Token, next_marker, tokenize};

/// The filter that refuses an undefined value; its argument counts the places wrapped.
pub(super) const DEFINED: &str = "__fleet_defined";
/// The function that asks the store of secrets; its one argument may go without its name.
pub(super) const SECRET: &str = "secret";
/// The filter that hands a value out of Tera, which can only print, with its type.
pub(super) const JSON: &str = "__fleet_json";

const KEYWORDS: [&str; 17] = [
    "true", "True", "false", "False", "loop", "self", "and", "or", "not", "is", "in", "if", "else",
    "for", "none", "None", "null",
];

/// What a text becomes before Tera sees it, and the way back for error messages.
#[derive(Debug, Default)]
pub(super) struct Strict {
    /// The text for Tera.
    pub(super) source: String,
    /// What was inserted: offset in the original text and length, in order.
    inserted: Vec<(usize, usize)>,
    /// The variables wrapped, by the number given to [`DEFINED`]: their place in the original.
    pub(super) paths: Vec<Range<usize>>,
    /// Every variable with its fields, guarded or not: its place in the original.
    pub(super) uses: Vec<Range<usize>>,
    /// First names of variables that are guarded at least once.
    pub(super) guarded: BTreeSet<String>,
    /// Every name and literal text in the code: what can be asked for by name.
    pub(super) words: BTreeSet<String>,
    /// The tags used, with their place.
    pub(super) tags: Vec<(String, Range<usize>)>,
    /// The result is one value instead of a text.
    pub(super) typed: bool,
    /// It calls [`SECRET`].
    pub(super) asks: bool,
    /// How the text that it gives is to end.
    pub(super) ending: Ending,
}

/// What becomes of a text that is one whole `{{ expression }}`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Whole {
    /// It keeps the expression's type.
    Typed,
    /// It gives text.
    Text,
    /// It gives text, and is a template file.
    File,
}

impl Strict {
    /// A text that may hold any number of `{{ … }}` and `{% … %}`.
    pub(super) fn text(text: &str, alone: Whole) -> Self {
        let mut strict = Self::default();
        let mut insertions = Vec::new();
        let mut at = 0;
        let mut raw = false;
        while let Some((open, marker)) = next_marker(text, at) {
            let close = match marker {
                "{{" => "}}",
                "{%" => "%}",
                _ => "#}",
            };
            if raw {
                let tag = text[open + 2..].trim_start_matches(['-', ' ', '\t', '\r', '\n']);
                raw = !(marker == "{%" && tag.starts_with("endraw"));
                at = open + 2;
                if !raw {
                    at = text[at..].find("%}").map_or(at, |length| at + length + 2);
                    at = leave_out(text, at, alone, &mut insertions);
                }
                continue;
            }
            if marker == "{#" {
                at = text[open..]
                    .find(close)
                    .map_or(text.len(), |length| open + length + 2);
                at = leave_out(text, at, alone, &mut insertions);
                continue;
            }
            let (tokens, end) = tokenize(text, open + 2, Some(close));
            at = end;
            let tokens = match tokens.as_slice() {
                // `{{-` and `{%-` trim the text before them.
                [minus, rest @ ..] if minus.text == "-" && minus.start == open + 2 => rest,
                all => all,
            };
            if marker == "{{" {
                strict.wrap(text, tokens, &mut insertions);
                // Not one space more: a line feed after it is meant, and makes it a text.
                let alone = alone == Whole::Typed && open == 0 && end == text.len();
                let whole = tokens.first().zip(tokens.last());
                let whole = whole.filter(|_| alone && text[..end].ends_with("}}"));
                if let Some((first, last)) = whole {
                    strict.typed = true;
                    insertions.push((first.start, "(".to_owned(), 0));
                    let last = if last.text == "-" {
                        last.start
                    } else {
                        last.end()
                    };
                    insertions.push((last, format!(") | {JSON} "), 2));
                }
                continue;
            }
            let Some(tag) = tokens.first() else { continue };
            raw = tag.text == "raw";
            if !raw {
                at = leave_out(text, at, alone, &mut insertions);
            }
            strict
                .tags
                .push((tag.text.to_owned(), tag.start..tag.end()));
            let skip = match tag.text {
                "if" | "elif" => 1,
                "for" => tokens
                    .iter()
                    .position(|token| token.text == "in")
                    .map_or(0, |at| at + 1),
                "set" | "set_global" => 3,
                _ => tokens.len(),
            };
            strict.wrap(
                text,
                tokens.get(skip..).unwrap_or_default(),
                &mut insertions,
            );
        }
        if alone == Whole::File {
            strict.ending = Ending::of(text);
            if let Some(last) = strict.ending.last(text).filter(|last| last.start >= at) {
                hide(last, &mut insertions);
            }
        }
        strict.finish(text, insertions);
        strict
    }

    /// A bare expression, as in `when`.
    pub(super) fn expression(text: &str) -> Self {
        let mut strict = Self {
            typed: true,
            ..Self::default()
        };
        let (tokens, _) = tokenize(text, 0, None);
        let mut insertions = vec![(0, "{{ (".to_owned(), 0)];
        strict.wrap(text, &tokens, &mut insertions);
        insertions.push((text.len(), format!(") | {JSON} }}}}"), 2));
        strict.finish(text, insertions);
        strict
    }

    /// The place in the original text of a place in [`Self::source`].
    pub(super) fn original(&self, place: &Range<usize>) -> Range<usize> {
        let back = |offset: usize| {
            let mut shift = 0;
            for &(at, length) in &self.inserted {
                if at + shift + length > offset {
                    return if at + shift <= offset {
                        at
                    } else {
                        offset - shift
                    };
                }
                shift += length;
            }
            offset - shift
        };
        let start = back(place.start);
        start..back(place.end).max(start)
    }

    fn wrap(
        &mut self,
        text: &str,
        tokens: &[Token<'_>],
        insertions: &mut Vec<(usize, String, u8)>,
    ) {
        for token in tokens {
            match token.kind {
                Kind::Name => _ = self.words.insert(token.text.to_owned()),
                Kind::Text => {
                    _ = self
                        .words
                        .insert(token.text.trim_matches(['"', '\'', '`']).to_owned());
                }
                Kind::Number | Kind::Sign => {}
            }
        }
        let mut targets = false;
        for (index, token) in tokens.iter().enumerate() {
            let at = |offset: isize| {
                index
                    .checked_add_signed(offset)
                    .and_then(|at| tokens.get(at))
                    .map_or("", |t| t.text)
            };
            let called = at(1) == "(" && !matches!(at(-1), "." | "?." | "|" | "is");
            if called && token.kind == Kind::Name && token.text == SECRET {
                self.asks = true;
                if let Some(argument) = tokens.get(index + 2)
                    && argument.text != ")"
                    && at(3) != "="
                {
                    insertions.push((argument.start, "name=".to_owned(), 0));
                }
            }
            if token.text == "for" || token.text == "in" {
                targets = token.text == "for";
            }
            let variable = token.kind == Kind::Name
                && !targets
                && !KEYWORDS.contains(&token.text)
                && !matches!(at(-1), "." | "?." | "|" | "is")
                && (at(-1) != "not" || at(-2) != "is")
                && at(1) != "("
                && (at(1) != "=" || !matches!(at(-1), "(" | ","));
            if !variable {
                continue;
            }
            let (length, optional) = chain(&tokens[index..]);
            let end = tokens[index + length - 1].end();
            self.uses.push(token.start..end);
            let after = |offset: usize| tokens.get(index + length + offset).map_or("", |t| t.text);
            let operand = matches!(
                at(-1),
                "" | "(" | "[" | "," | "=" | ":" | "or" | "if" | "elif" | "else" | "in"
            );
            let tested = if after(1) == "not" {
                after(2)
            } else {
                after(1)
            };
            let guarded = optional
                || (after(0) == "is" && matches!(tested, "defined" | "undefined"))
                || (after(0) == "|" && after(1) == "default")
                || (after(0) == "or" && operand);
            if guarded {
                self.guarded.insert(token.text.to_owned());
                continue;
            }
            debug_assert!(text.get(token.start..end).is_some());
            insertions.push((token.start, "(".to_owned(), 1));
            insertions.push((end, format!("|{DEFINED}(n={}))", self.paths.len()), 1));
            self.paths.push(token.start..end);
        }
    }

    fn finish(&mut self, text: &str, mut insertions: Vec<(usize, String, u8)>) {
        // Where places meet: what encloses more opens first and closes last. An inner variable
        // that ends where an outer one does cannot be: the outer one ends with `]`.
        insertions.sort_by_key(|(at, _, rank)| (*at, *rank));
        let mut from = 0;
        for (at, inserted, _) in insertions {
            self.source.push_str(&text[from..at]);
            self.source.push_str(&inserted);
            self.inserted.push((at, inserted.len()));
            from = at;
        }
        self.source.push_str(&text[from..]);
    }
}

/// Leaves out the line feed after a tag of a file that ends at `end`; answers where the rest
/// begins.
fn leave_out(
    text: &str,
    end: usize,
    alone: Whole,
    insertions: &mut Vec<(usize, String, u8)>,
) -> usize {
    let line_feed = line_feeds::after_tag(text, end).filter(|_| alone == Whole::File);
    let Some(line_feed) = line_feed else {
        return end;
    };
    let rest = line_feed.end;
    hide(line_feed, insertions);
    rest
}

/// Makes a comment of a stretch: nothing is taken out, so every place keeps its line.
fn hide(stretch: Range<usize>, insertions: &mut Vec<(usize, String, u8)>) {
    insertions.push((stretch.start, "{#".to_owned(), 0));
    insertions.push((stretch.end, "#}".to_owned(), 0));
}

/// How many tokens the variable at the start takes with its fields and subscripts, and whether
/// a step is optional (`?.`).
fn chain(tokens: &[Token<'_>]) -> (usize, bool) {
    let mut length = 1;
    let mut optional = false;
    while let Some(token) = tokens.get(length) {
        match token.text {
            "." | "?." => length += 2,
            "[" | "?[" => {
                let mut depth = 0usize;
                for token in &tokens[length..] {
                    length += 1;
                    match token.text {
                        "[" | "?[" => depth += 1,
                        "]" => depth -= 1,
                        _ => {}
                    }
                    if depth == 0 {
                        break;
                    }
                }
            }
            _ => break,
        }
        optional |= token.text.starts_with('?');
    }
    (length.min(tokens.len()), optional)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> String {
        let source = Strict::expression(text).source;
        let source = source.strip_prefix("{{ (").unwrap();
        let source = source
            .strip_suffix(&format!(") | {JSON} }}}}"))
            .unwrap()
            .to_owned();
        (0..9)
            .fold(source, |text, n| {
                text.replace(&format!("|{DEFINED}(n={n}))"), ">")
            })
            .replace('(', "<")
    }

    #[test]
    fn wraps_what_must_be_defined_and_nothing_else() {
        let cases = [
            ("a", "<a>"),
            ("a.b == 'c.d'", "<a.b> == 'c.d'"),
            ("a[b.c].d", "<a[<b.c>].d>"),
            ("a is defined and a.b", "a is defined and <a.b>"),
            ("a is not defined", "a is not defined"),
            ("a | default(value=b)", "a | default<value=<b>)"),
            ("a or b", "a or <b>"),
            ("x == a or b", "<x> == <a> or <b>"),
            ("a?.b == 1", "a?.b == 1"),
            ("not a", "not <a>"),
            ("a is string", "<a> is string"),
            ("a | upper", "<a> | upper"),
            (
                "[x.y for x in list if x.z]",
                "[<x.y> for x in <list> if <x.z>]",
            ),
            ("range(end=n)", "range<end=<n>)"),
            ("secret('a')", "secret<name='a')"),
            ("secret(a ~ '/b')", "secret<name=<a> ~ '/b')"),
            ("secret(name=a)", "secret<name=<a>)"),
            ("secret()", "secret<)"),
            ("secret.x", "<secret.x>"),
            ("1 in [a, true]", "1 in [<a>, true]"),
        ];
        for (text, expected) in cases {
            assert_eq!(plain(text), expected, "{text}");
        }
    }

    #[test]
    fn finds_the_way_back_to_the_original_text() {
        let text = "x {{ a.b == c }}";
        let strict = Strict::text(text, Whole::Typed);
        let at = strict.source.find("a.b").unwrap();
        assert_eq!(&text[strict.original(&(at..at + 3))], "a.b");
        let at = strict.source.find("== ").unwrap();
        assert_eq!(&text[strict.original(&(at..at + 2))], "==");
    }

    #[test]
    fn leaves_raw_text_and_comments_alone() {
        for text in [
            "{% raw %}{{ a }}{% endraw %}",
            "{# {{ a }} #}b",
            "{{ 'a }} b",
        ] {
            let strict = Strict::text(text, Whole::Typed);
            assert!(strict.paths.is_empty(), "{text}: {strict:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics_and_loses_no_text(text in "[a-c{}%#.'\\[\\]|() ?é\n-]{0,40}") {
            for strict in [Strict::text(&text, Whole::Typed), Strict::expression(&text)] {
                let mut kept = strict.source.clone();
                for (at, length) in &strict.inserted {
                    kept.drain(*at..at + length);
                }
                assert_eq!(kept, text);
                let all = strict.original(&(0..strict.source.len()));
                assert!(all.end <= text.len());
            }
        }
    }
}

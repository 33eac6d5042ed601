//! Reads a template's code just far enough to make Tera strict.
//!
//! Tera lets an undefined value through wherever it is not printed: `facts.os.idd == "centos"`
//! is quietly false. So every variable in the code is wrapped in a filter that refuses what is
//! undefined, unless the author guarded it: `x is defined`, `x | default(value=…)`, `x or …`,
//! `x?.y`. Short-circuits stay lazy, since the filter runs only where the variable is read.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::ops::Range;

use self::shape::{chain, deciding, is_plain, slice};
use super::line_feeds::{self, Ending};
use super::token::{Kind, Token, next_marker, tokenize};

mod depth;
mod shape;

/// The filter that refuses an undefined value; its argument counts the places wrapped.
pub(super) const DEFINED: &str = "__fleet_defined";
/// The filter that takes note of a value that may be undefined.
pub(super) const READ: &str = "__fleet_read";
/// The filter that takes note of what is printed or kept.
pub(super) const SHOWN: &str = "__fleet_shown";
/// The filter that takes note of what is looped over.
pub(super) const LOOP: &str = "__fleet_loop";
/// The argument that says in which expression a secret is asked for.
pub(super) const EXPRESSION: &str = "__fleet_e";
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
    /// The expressions, by the number given to [`SHOWN`] and [`LOOP`]: their place in the original.
    pub(super) expressions: Vec<Range<usize>>,
    /// The names that the template makes itself, by the number of each.
    made: HashMap<String, usize>,
    /// The expressions that the blocks around are, whose texts are kept or go through filters.
    blocks: Vec<usize>,
    /// The loops that were not ended yet: where their text begins, and what was inserted for them.
    loops: Vec<(usize, usize)>,
    /// The tags used, with their place.
    pub(super) tags: Vec<(String, Range<usize>)>,
    /// The result is one value instead of a text.
    pub(super) typed: bool,
    /// The first expression with too many operators.
    endless: Option<Range<usize>>,
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
    pub(super) fn text(text: &str, form: Whole) -> Self {
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
                    at = leave_out(text, at, form, &mut insertions);
                }
                continue;
            }
            if marker == "{#" {
                at = text[open..]
                    .find(close)
                    .map_or(text.len(), |length| open + length + 2);
                at = leave_out(text, at, form, &mut insertions);
                continue;
            }
            let (tokens, end) = tokenize(text, open + 2, Some(close));
            at = end;
            let tokens = match tokens.as_slice() {
                // `{{-` and `{%-` trim the text before them.
                [minus, rest @ ..] if minus.text == "-" && minus.start == open + 2 => rest,
                all => all,
            };
            // `-}}` and `-%}` trim the text after them.
            let tokens = match tokens {
                [rest @ .., minus] if minus.text == "-" && minus.end() + 2 == end => rest,
                all => all,
            };
            let ended = text[..end].ends_with(close);
            if marker == "{{" {
                let Some((first, last)) = tokens.first().zip(tokens.last()) else {
                    continue;
                };
                let mut after = strict.shown(text, tokens, None, &mut insertions);
                // Not one space more: a line feed after it is meant, and makes it a text.
                let alone = form == Whole::Typed && open == 0 && end == text.len();
                if alone && ended {
                    strict.typed = true;
                    _ = write!(after, " | {JSON}");
                }
                insertions.push((first.start, "(".to_owned(), 0));
                insertions.push((last.end(), format!("){after} "), 2));
                continue;
            }
            let Some(tag) = tokens.first() else { continue };
            raw = tag.text == "raw";
            if !raw {
                at = leave_out(text, at, form, &mut insertions);
            }
            strict
                .tags
                .push((tag.text.to_owned(), tag.start..tag.end()));
            strict.tag(text, tokens, end, &mut insertions);
        }
        if form == Whole::File {
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
        let after = strict.shown(text, &tokens, None, &mut insertions);
        insertions.push((text.len(), format!("){after} | {JSON} }}}}"), 2));
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

    /// One `{% … %}` that ends at `end`.
    fn tag(&mut self, text: &str, tokens: &[Token<'_>], end: usize, insertions: &mut Insertions) {
        let word = |at: usize| tokens.get(at).map_or("", |token| token.text);
        match word(0) {
            "if" | "elif" => self.wrap(text, &tokens[1..], None, insertions),
            "for" => {
                let start = tokens.iter().position(|token| token.text == "in");
                let over = start
                    .and_then(|at| tokens.get(at + 1..))
                    .unwrap_or_default();
                let Some((first, last)) = over.first().zip(over.last()) else {
                    return;
                };
                let expression = self.expression_at(first.start..last.end());
                self.wrap(text, over, Some(expression), insertions);
                // Key and value are told apart by nobody.
                let names = tokens[1..start.unwrap_or(1)].iter();
                let names = names.filter(|token| token.kind == Kind::Name);
                let target = self.makes(names.map(|token| token.text));
                let mut after = format!("|{LOOP}(e={expression}, t={target}");
                if is_plain(over) {
                    after += ", x=1";
                }
                insertions.push((first.start, "(".to_owned(), 0));
                self.loops.push((end, insertions.len()));
                insertions.push((last.end(), format!("){after}, n=0)"), 2));
            }
            "endfor" => {
                let Some((start, insertion)) = self.loops.pop() else {
                    return;
                };
                let length = tokens[0].start.saturating_sub(start);
                let after = &mut insertions[insertion].1;
                *after = after.replace(", n=0)", &format!(", n={length})"));
            }
            "set" | "set_global" if word(2) == "=" => {
                let value = tokens.get(3..).unwrap_or_default();
                let Some((first, last)) = value.first().zip(value.last()) else {
                    return;
                };
                let target = self.makes([word(1)].into_iter());
                let after = self.shown(text, value, Some(target), insertions);
                insertions.push((first.start, "(".to_owned(), 0));
                insertions.push((last.end(), format!("){after}"), 2));
            }
            opening @ ("set" | "set_global" | "filter") => {
                let last = tokens.last().expect("the tag's own word is one of them");
                let target = (opening != "filter").then(|| self.makes([word(1)].into_iter()));
                let plain = opening != "filter" && tokens.len() == 2;
                let expression = self.expression_at(tokens[0].start..last.end());
                let arguments = tokens.get(2..).unwrap_or_default();
                self.wrap(text, arguments, Some(expression), insertions);
                let after = self.noted(expression, target, plain);
                insertions.push((last.end(), after, 2));
                self.blocks.push(expression);
            }
            "endset" | "endset_global" | "endfilter" => _ = self.blocks.pop(),
            _ => {}
        }
    }

    /// An expression that is printed, or kept as `target`; gives what has to stand after it.
    fn shown(
        &mut self,
        text: &str,
        tokens: &[Token<'_>],
        target: Option<usize>,
        insertions: &mut Insertions,
    ) -> String {
        let Some((first, last)) = tokens.first().zip(tokens.last()) else {
            return String::new();
        };
        let expression = self.expression_at(first.start..last.end());
        self.wrap(text, tokens, Some(expression), insertions);
        self.noted(expression, target, is_plain(tokens))
    }

    fn noted(&self, expression: usize, target: Option<usize>, plain: bool) -> String {
        let mut after = format!("|{SHOWN}(e={expression}");
        if let Some(target) = target {
            _ = write!(after, ", t={target}");
        }
        if let Some(around) = self.blocks.last() {
            _ = write!(after, ", p={around}");
        }
        if plain {
            after += ", x=1";
        }
        after + ")"
    }

    fn expression_at(&mut self, place: Range<usize>) -> usize {
        self.expressions.push(place);
        self.expressions.len() - 1
    }

    /// The number of names that the template makes at once.
    fn makes<'t>(&mut self, names: impl Iterator<Item = &'t str>) -> usize {
        let mut number = None;
        for name in names {
            let next = self.made.len();
            let known = *number.get_or_insert_with(|| *self.made.get(name).unwrap_or(&next));
            self.made.insert(name.to_owned(), known);
        }
        number.unwrap_or(self.made.len())
    }

    fn wrap(
        &mut self,
        text: &str,
        tokens: &[Token<'_>],
        expression: Option<usize>,
        insertions: &mut Insertions,
    ) {
        self.count_operators(tokens);
        self.comprehensions(text, tokens, insertions);
        let decides = deciding(tokens);
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
                {
                    let mut before = String::new();
                    if let Some(expression) = expression.filter(|_| !decides[index]) {
                        before = format!("{EXPRESSION}={expression}, ");
                    }
                    if at(3) != "=" {
                        before += "name=";
                    }
                    insertions.push((argument.start, before, 0));
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
            let mut noted = String::new();
            if let Some(expression) = expression.filter(|_| !decides[index]) {
                noted = format!("e={expression}");
                if let Some(name) = self.made.get(token.text) {
                    _ = write!(noted, ", s={name}");
                }
                // A part of a secret does not show that it is one.
                if let Some(slice) = slice(&tokens[index..index + length]) {
                    let whole = &text[token.start..tokens[index + slice - 1].end()];
                    _ = write!(noted, ", o={whole}");
                }
            }
            debug_assert!(text.get(token.start..end).is_some());
            if guarded {
                self.guarded.insert(token.text.to_owned());
                // Whether it is there is no secret, and Tera wants to see the name for that.
                if after(0) != "is" && !noted.is_empty() {
                    insertions.push((token.start, "(".to_owned(), 1));
                    insertions.push((end, format!("|{READ}({noted}))"), 1));
                }
                continue;
            }
            if !noted.is_empty() {
                noted.insert_str(0, ", ");
            }
            insertions.push((token.start, "(".to_owned(), 1));
            let number = self.paths.len();
            insertions.push((end, format!("|{DEFINED}(n={number}{noted}))"), 1));
            self.paths.push(token.start..end);
        }
    }

    /// What the comprehensions in an expression go over: `[… for x in THIS if …]`.
    fn comprehensions(&mut self, text: &str, tokens: &[Token<'_>], insertions: &mut Insertions) {
        let mut from = None;
        for (index, token) in tokens.iter().enumerate() {
            match token.text {
                "for" if token.kind == Kind::Name && index > 0 => from = Some(index),
                "in" => {
                    let Some(start) = from.take() else { continue };
                    let over = &tokens[index + 1..];
                    let mut depth = 0_usize;
                    let ends = over.iter().position(|token| match token.text {
                        "(" | "[" | "{" => {
                            depth += 1;
                            false
                        }
                        ")" | "]" | "}" if depth == 0 => true,
                        ")" | "]" | "}" => {
                            depth -= 1;
                            false
                        }
                        "if" => depth == 0,
                        _ => false,
                    });
                    let over = &over[..ends.unwrap_or(over.len())];
                    let Some((first, last)) = over.first().zip(over.last()) else {
                        continue;
                    };
                    debug_assert!(text.get(first.start..last.end()).is_some());
                    let names = tokens[start + 1..index].iter();
                    let names = names.filter(|token| token.kind == Kind::Name);
                    let target = self.makes(names.map(|token| token.text));
                    let expression = self.expression_at(first.start..last.end());
                    insertions.push((first.start, "(".to_owned(), 0));
                    let after = format!(")|{LOOP}(e={expression}, t={target})");
                    insertions.push((last.end(), after, 2));
                }
                _ => {}
            }
        }
    }

    fn finish(&mut self, text: &str, mut insertions: Insertions) {
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
    form: Whole,
    insertions: &mut Vec<(usize, String, u8)>,
) -> usize {
    let line_feed = line_feeds::after_tag(text, end).filter(|_| form == Whole::File);
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

/// What is put into a text: where, what, and in which order at one place.
type Insertions = Vec<(usize, String, u8)>;

#[cfg(test)]
mod tests;

//! What would end fleet by its depth.

use std::ops::Range;

use super::Strict;
use crate::template::token::Token;

/// How many `elif` and `else` may be open at once.
pub(in crate::template) const CHOICES: usize = 200;

/// How many operators one expression may have: each makes Tera go one call deeper.
pub(in crate::template) const OPERATORS: usize = 100;

impl Strict {
    /// Notes an expression that has too many of them.
    pub(super) fn count_operators(&mut self, tokens: &[Token<'_>]) {
        let is_operator = |token: &&Token<'_>| {
            matches!(
                token.text,
                "+" | "-"
                    | "*"
                    | "/"
                    | "//"
                    | "%"
                    | "**"
                    | "~"
                    | "|"
                    | "and"
                    | "or"
                    | "not"
                    | "is"
                    | "in"
                    | "if"
                    | "=="
                    | "!="
                    | "<"
                    | ">"
                    | "<="
                    | ">="
            )
        };
        let operators = tokens.iter().filter(is_operator);
        if let Some(one_too_many) = operators.into_iter().nth(OPERATORS) {
            let place = one_too_many.start..one_too_many.end();
            self.endless.get_or_insert(place);
        }
    }

    /// The first operator that is one too many.
    pub(in crate::template) fn endless_expression(&self) -> Option<Range<usize>> {
        self.endless.clone()
    }

    /// The first `elif` or `else` that is one too many: Tera goes deeper for each that is open, and
    /// unlike other nesting does not count them.
    pub(in crate::template) fn endless_choice(&self) -> Option<Range<usize>> {
        let mut open = Vec::new();
        for (tag, place) in &self.tags {
            match (tag.as_str(), open.last_mut()) {
                ("if" | "for", _) => open.push(0),
                ("elif" | "else", Some(choices)) => *choices += 1,
                ("endif" | "endfor", _) => _ = open.pop(),
                _ => {}
            }
            if open.iter().sum::<usize>() > CHOICES {
                return Some(place.clone());
            }
        }
        None
    }
}

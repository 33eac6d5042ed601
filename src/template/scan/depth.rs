//! What would end fleet by its depth.

use std::ops::Range;

use super::Strict;
use crate::template::error::TemplateError;
use crate::template::token::Token;

/// How many `elif` and `else` may be open at once.
const CHOICES: usize = 200;

/// How many operators one expression may have: each makes Tera go one call deeper.
const OPERATORS: usize = 100;

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

    /// What goes deeper than Tera can follow.
    pub(in crate::template) fn too_deep(&self) -> Option<TemplateError> {
        let (place, said, instead) = if let Some(place) = &self.endless {
            let said = format!("more than {OPERATORS} operators in one expression");
            let instead = "give parts of it names with `set` or as variables";
            (place, said, instead)
        } else {
            let said = format!("more than {CHOICES} `elif` and `else` in one another");
            (
                self.endless_choice()?,
                said,
                "look the value up in a mapping instead",
            )
        };
        let error = TemplateError::new(said, place.clone());
        let help = Some(instead.to_owned());
        Some(TemplateError { help, ..error })
    }

    /// The first `elif` or `else` that is one too many: Tera goes deeper for each that is open, and
    /// unlike other nesting does not count them.
    fn endless_choice(&self) -> Option<&Range<usize>> {
        let (mut open, mut all) = (Vec::new(), 0);
        for (tag, place) in &self.tags {
            match (tag.as_str(), open.last_mut()) {
                ("if" | "for", _) => open.push(0),
                ("elif" | "else", Some(choices)) => {
                    *choices += 1;
                    all += 1;
                }
                ("endif" | "endfor", _) => all -= open.pop().unwrap_or(0),
                _ => {}
            }
            if all > CHOICES {
                return Some(place);
            }
        }
        None
    }
}

//! What would end fleet by its depth.

use std::ops::Range;

use super::Strict;

/// How many `elif` and `else` may be open at once.
pub(in crate::template) const CHOICES: usize = 200;

impl Strict {
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

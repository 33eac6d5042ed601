//! Keeps secrets out of texts.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, MatchKind};

use super::REDACTED;
use super::forms::{SHORTEST, forms};

/// Knows every secret of this process and replaces them in texts. Cheap to clone; clones share
/// what they know.
#[derive(Clone, Default)]
pub struct Redactor(Arc<RwLock<Known>>);

#[derive(Default)]
struct Known {
    forms: BTreeSet<String>,
    /// The forms that no searcher looks for yet.
    fresh: Vec<String>,
    /// Each looks for twice as many forms as the next, or more: what is made of secrets on every
    /// host comes one by one, and not all is to be built anew each time.
    searchers: Vec<(Vec<String>, Arc<AhoCorasick>)>,
}

/// The longest text that is looked for as one.
const LONGEST: usize = 1024;

impl Redactor {
    /// Remembers a secret in all its forms. False if it is too short to be looked for.
    pub fn add(&self, secret: &str) -> bool {
        let forms = forms(secret);
        if forms.is_empty() {
            return false;
        }
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for form in forms {
            if known.forms.insert(form.clone()) {
                known.fresh.push(form);
            }
        }
        true
    }

    /// Remembers what was made of a secret: as [`add`](Self::add), and in pieces if it is long.
    pub fn add_made(&self, text: &str) -> bool {
        if self.knows(text) {
            return true;
        }
        if text.len() <= LONGEST {
            return self.add(text);
        }
        let pieces = text.lines().flat_map(pieces);
        pieces.filter(|piece| self.add(piece)).count() > 0
    }

    /// Remembers a text of which some part is secret, so that it is found in a declaration.
    pub fn add_whole(&self, text: &str) {
        if let Some(beginning) = pieces(text).next() {
            let json = serde_json::Value::from(beginning).to_string();
            let json = &json[1..json.len() - 1];
            let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
            for form in [beginning, json]
                .into_iter()
                .filter(|it| it.len() >= SHORTEST)
            {
                if known.forms.insert(form.to_owned()) {
                    known.fresh.push(form.to_owned());
                }
            }
        }
    }

    fn knows(&self, form: &str) -> bool {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.forms.contains(form)
    }

    /// The fewest bytes a secret needs to be looked for.
    pub const SHORTEST: usize = SHORTEST;

    /// Whether no secret is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.forms.is_empty()
    }

    /// Whether there is a secret in `text`, in any form.
    #[must_use]
    pub fn finds(&self, text: &str) -> bool {
        let finds = |searcher: &Arc<AhoCorasick>| searcher.find_overlapping_iter(text).next();
        self.searchers().iter().any(|it| finds(it).is_some())
    }

    /// Whether a secret is part of a value. What cannot be looked into counts as one.
    #[must_use]
    pub fn finds_in(&self, value: &impl serde::Serialize) -> bool {
        !self.is_empty() && serde_json::to_string(value).map_or(true, |json| self.finds(&json))
    }

    /// `text` without secrets.
    #[must_use]
    pub fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        // Overlapping finds are one: hiding only the first would leave the end of the second.
        let mut hidden: Vec<(usize, usize)> = Vec::new();
        let searchers = self.searchers();
        let found = searchers
            .iter()
            .flat_map(|it| it.find_overlapping_iter(text));
        let mut found: Vec<_> = found.map(|found| (found.start(), found.end())).collect();
        found.sort_unstable();
        for (start, end) in found {
            match hidden.last_mut() {
                Some((_, last)) if start <= *last => *last = end.max(*last),
                _ => hidden.push((start, end)),
            }
        }
        if hidden.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut out = String::with_capacity(text.len());
        let mut at = 0;
        for (start, end) in hidden {
            out.push_str(&text[at..start]);
            out.push_str(REDACTED);
            at = end;
        }
        out.push_str(&text[at..]);
        Cow::Owned(out)
    }

    /// Redacts in place.
    pub fn clean(&self, text: &mut String) {
        if let Cow::Owned(redacted) = self.redact(text) {
            *text = redacted;
        }
    }

    fn searchers(&self) -> Vec<Arc<AhoCorasick>> {
        let all = |known: &Known| {
            known
                .searchers
                .iter()
                .map(|(_, it)| Arc::clone(it))
                .collect()
        };
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if known.fresh.is_empty() {
            return all(&known);
        }
        drop(known);
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut forms = std::mem::take(&mut known.fresh);
        while let Some((smaller, _)) = known
            .searchers
            .pop_if(|(last, _)| last.len() < 2 * forms.len())
        {
            forms.extend(smaller);
        }
        if !forms.is_empty() {
            let searcher = AhoCorasickBuilder::new()
                .match_kind(MatchKind::Standard)
                .build(&forms)
                .expect("what fits into files of bounded size fits into an automaton");
            known.searchers.push((forms, Arc::new(searcher)));
        }
        all(&known)
    }
}

/// A text in pieces that are looked for each by itself.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut left = text;
    std::iter::from_fn(move || {
        let end = left.floor_char_boundary(LONGEST);
        let (piece, rest) = left.split_at(end);
        left = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

/// Says nothing of what it knows.
impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redactor").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};
    use proptest::prelude::*;

    use super::*;

    fn knowing(secrets: &[&str]) -> Redactor {
        let redactor = Redactor::default();
        for secret in secrets {
            redactor.add(secret);
        }
        redactor
    }

    #[test]
    fn without_secrets_nothing_is_touched() {
        let redactor = Redactor::default();
        assert!(matches!(redactor.redact("text"), Cow::Borrowed("text")));
        assert!(!redactor.finds("text"));
    }

    #[test]
    fn secrets_that_overlap_leave_no_end_behind() {
        let redactor = knowing(&["abcd1", "cd123456"]);
        assert_eq!(redactor.redact("x abcd123456 y"), "x [redacted] y");
        assert_eq!(redactor.redact("abcd1"), "[redacted]");
    }

    #[test]
    fn a_common_word_is_hidden_all_the_same() {
        assert_eq!(
            knowing(&["root"]).redact("/root is owned by root"),
            "/[redacted] is owned by [redacted]"
        );
    }

    #[test]
    fn what_is_added_later_is_hidden_from_then_on() {
        let redactor = knowing(&["first"]);
        let clone = redactor.clone();
        assert_eq!(redactor.redact("first second"), "[redacted] second");
        clone.add("second");
        assert_eq!(redactor.redact("first second"), "[redacted] [redacted]");
    }

    /// Every way a text is written somewhere, said apart from the code under test.
    fn written(secret: &str) -> Vec<String> {
        let percent = |escape: fn(u8) -> String| -> String {
            let written = secret.bytes().map(|byte| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
                _ => escape(byte),
            });
            written.collect()
        };
        let plain = !secret.contains(['-', '.', '_', '~', '/', '!', '*', '\'', '(', ')']);
        let mut all = vec![
            secret.to_owned(),
            serde_json::json!({ "k": secret }).to_string(),
            format!("{secret:?}"),
            format!("--password={secret}\n"),
            format!("+ {secret}\n- other"),
        ];
        for around in ["", "u:", "us:", "use:"] {
            all.push(STANDARD.encode(format!("{around}{secret}")));
            all.push(URL_SAFE.encode(format!("{around}{secret}{around}")));
        }
        if plain {
            let upper = percent(|byte| format!("%{byte:02X}"));
            all.push(format!("https://h/?p={upper}&x"));
            all.push(upper.replace("%20", "+"));
            all.push(percent(|byte| format!("%{byte:02x}")));
        }
        all
    }

    proptest! {
        /// Whatever the secret is and however it is written, nothing of it is left.
        #[test]
        fn no_form_of_a_secret_is_left(
            secrets in prop::collection::vec("[ -~é✓]{4,24}(\n[ -~]{4,12})?", 1..4),
            noise in "[a-z ]{0,8}",
        ) {
            let secrets: Vec<_> = secrets.iter().map(|secret| secret.trim()).filter(|s| s.len() >= 4).collect();
            let redactor = knowing(&secrets);
            for secret in &secrets {
                for text in written(secret) {
                    let text = format!("{noise}{text}{noise}");
                    let clean = redactor.redact(&text).replace(REDACTED, "\u{1}");
                    prop_assert!(!clean.contains(*secret), "{clean:?}");
                    for line in secret.lines().map(str::trim).filter(|line| line.len() >= 4) {
                        prop_assert!(!clean.contains(line), "{clean:?}");
                    }
                    prop_assert!(clean.contains('\u{1}'), "{secret:?} is left in {text:?}");
                }
            }
        }
    }
}

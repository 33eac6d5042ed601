//! How much one result may hold. The helper cuts what is over and says so; the controller does the
//! same, as a host may send whatever it likes.

use std::fmt::Write as _;

use super::{Drift, Outcome, Output};

/// How many differences of one resource are told.
const DRIFTS: usize = 10_000;

/// How many bytes all texts of one result have, what a command printed aside.
const TEXTS: usize = 2 * 1024 * 1024;

/// How many bytes a single value or message has.
const TEXT: usize = 64 * 1024;

/// How many bytes one unified diff has.
const DIFF: usize = 1024 * 1024;

impl Outcome {
    /// Cuts what is too much to be told, and says how much that is.
    pub fn fit(&mut self) {
        if let Some(output) = &mut self.output {
            output.fit();
        }
        if let Some(message) = &mut self.message {
            cut(message, TEXT);
        }
        let (mut left, mut told) = (TEXTS, 0);
        for drift in self.drift.iter_mut().take(DRIFTS) {
            drift.fit();
            let Some(rest) = left.checked_sub(drift.size()) else {
                break;
            };
            left = rest;
            told += 1;
        }
        let more = self.drift.len() - told;
        if more > 0 {
            self.drift.truncate(told);
            self.drift.shrink_to_fit();
            let remark = format!("{more} more differences are not shown");
            self.message = Some(match self.message.take() {
                Some(message) => format!("{message}; {remark}"),
                None => remark,
            });
        }
    }
}

impl Drift {
    fn fit(&mut self) {
        for text in [&mut self.attribute, &mut self.expected, &mut self.actual] {
            cut(text, TEXT);
        }
        if let Some(diff) = &mut self.diff {
            cut(diff, DIFF);
        }
    }

    /// How many bytes its texts have.
    #[must_use]
    pub fn size(&self) -> usize {
        let diff = self.diff.as_ref().map_or(0, String::len);
        self.attribute.len() + self.expected.len() + self.actual.len() + diff
    }
}

impl Output {
    fn fit(&mut self) {
        for text in [&mut self.stdout, &mut self.stderr] {
            // Bytes that are no text have become longer where they were replaced.
            self.truncated |= cut(text, Self::LIMIT * 3);
        }
    }
}

/// Cuts a text between two characters, and says how many bytes are gone; whether anything is.
pub fn cut(text: &mut String, longest: usize) -> bool {
    if text.len() <= longest {
        return false;
    }
    let end = text.floor_char_boundary(longest);
    let gone = text.len() - end;
    text.truncate(end);
    text.shrink_to_fit();
    write!(text, "… ({gone} more bytes)").expect("a String takes everything");
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::wire::{self, EVENT_LIMIT};
    use crate::protocol::{Event, Status};

    fn outcome(drift: Vec<Drift>) -> Outcome {
        let mut outcome = Outcome {
            message: Some("\0".repeat(10 * TEXT)),
            output: Some(Output {
                stdout: "\0".repeat(10 * Output::LIMIT),
                stderr: "ä".repeat(10 * Output::LIMIT),
                ..Output::default()
            }),
            ..Outcome::drifted(drift)
        };
        outcome.fit();
        outcome
    }

    /// The controller gives up whoever sends a longer line, so what is honest must be shorter.
    #[test]
    fn the_longest_result_is_a_line_that_is_heard() {
        let long = || "\0".repeat(2 * TEXT);
        let mut drift = Drift::update(long(), long(), long());
        drift.diff = Some("\0".repeat(2 * DIFF));
        for drift in [
            vec![drift; 10],
            vec![Drift::update(long(), "", ""); 50],
            vec![Drift::update("", "", ""); 3 * DRIFTS],
        ] {
            let outcome = outcome(drift);
            let event = Event::Finished {
                id: 0,
                outcome,
                keep: false,
            };
            let line = wire::encode(&event);
            assert!(line.len() < EVENT_LIMIT, "{}", line.len());
            assert!(wire::decode::<Event>(&line).is_ok());
        }
    }

    #[test]
    fn what_is_cut_is_counted() {
        let mut outcome = Outcome::drifted(vec![Drift::update("a", "b", "c"); DRIFTS + 7]);
        outcome.fit();
        assert_eq!(outcome.drift.len(), DRIFTS);
        let said = "7 more differences are not shown";
        assert_eq!(outcome.message.as_deref(), Some(said));

        let mut outcome = Outcome::drifted(vec![Drift::update("a", "x".repeat(TEXT + 3), "c")]);
        outcome.fit();
        assert!(outcome.drift[0].expected.ends_with("x… (3 more bytes)"));
        assert_eq!(outcome.message, None);
    }

    #[test]
    fn what_is_little_is_left_alone() {
        let mut outcome = Outcome {
            status: Status::Failed,
            message: Some("why".to_owned()),
            ..Outcome::drifted(vec![Drift::update("a", "b", "c")])
        };
        let before = outcome.clone();
        outcome.fit();
        assert_eq!(outcome, before);
    }
}

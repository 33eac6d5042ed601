//! How messages and events look as bytes: one JSON value per line.
//!
//! After the line of a [`Message::Content`](super::Message::Content) its raw bytes follow. Both
//! ends share [`encode`] and [`decode`]; the helper reads with [`read_line`] (blocking), the
//! controller with tokio.

use std::io::{self, BufRead, Read};

use serde::{Serialize, de::DeserializeOwned};

/// The longest line either end accepts, in bytes without the line feed. Larger contents go as
/// raw bytes, so a longer line is a mistake or an attack.
pub const LINE_LIMIT: usize = 64 * 1024 * 1024;

/// The longest line of a host, in bytes without the line feed: the longest outcome that a helper
/// does not cut (see [`Outcome::fit`](super::Outcome::fit)), with each byte written as an escape.
pub const EVENT_LIMIT: usize = 24 * 1024 * 1024;

/// The most values in one line, whatever they are: a short line of many costs more memory than a
/// long one of few.
pub const VALUES_LIMIT: usize = 250_000;

/// Raw bytes are moved in pieces of this size, whatever the size of a content.
pub const PIECE: usize = 64 * 1024;

/// Why the stream can no longer be followed.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// Reading or writing failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The stream ended inside a line or inside a content.
    #[error("the stream ended in the middle of {0}")]
    CutOff(&'static str),
    /// A line is longer than allowed: [`LINE_LIMIT`], or [`EVENT_LIMIT`] for what a host says.
    #[error("a line is longer than {0} bytes")]
    TooLong(usize),
    /// A line has more than [`VALUES_LIMIT`] values.
    #[error("a line has more than {VALUES_LIMIT} values")]
    TooMany,
    /// The other end said something out of turn.
    #[error("the other end sent {0}")]
    Unexpected(&'static str),
    /// A line is no JSON, or not what this end understands.
    #[error("a line cannot be understood: {0}")]
    Malformed(#[from] serde_json::Error),
}

/// One message or event as a line, line feed included.
#[must_use]
#[expect(
    clippy::missing_panics_doc,
    reason = "only maps with keys that are no text cannot be JSON"
)]
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let mut line = serde_json::to_vec(value).expect("protocol types have text keys only");
    line.push(b'\n');
    line
}

/// Reads back what [`encode`] wrote; the line feed may be there or not.
pub fn decode<T: DeserializeOwned>(line: &[u8]) -> Result<T, WireError> {
    if has_too_many_values(line) {
        return Err(WireError::TooMany);
    }
    Ok(serde_json::from_slice(line)?)
}

/// Looks before anything is made of it. Every value but the first of a list or map comes after a
/// comma, and every list or map begins with a bracket.
fn has_too_many_values(line: &[u8]) -> bool {
    // Most lines are shorter than that.
    if line.len() <= VALUES_LIMIT {
        return false;
    }
    let (mut values, mut in_text, mut escaped) = (0, false, false);
    for byte in line {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b',' | b'[' | b'{' if !in_text => values += 1,
            _ => {}
        }
    }
    values > VALUES_LIMIT
}

/// The next line without its line feed; `None` if the stream ends before it begins.
pub fn read_line(reader: &mut impl BufRead) -> Result<Option<Vec<u8>>, WireError> {
    let mut line = Vec::new();
    reader
        .take(LINE_LIMIT as u64 + 1)
        .read_until(b'\n', &mut line)?;
    match line.pop() {
        None => Ok(None),
        Some(b'\n') => Ok(Some(line)),
        Some(_) if line.len() >= LINE_LIMIT => Err(WireError::TooLong(LINE_LIMIT)),
        Some(_) => Err(WireError::CutOff("a line")),
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use proptest::prelude::*;

    use super::*;
    use crate::protocol::{Drift, Event, Message, Outcome, Status};

    fn lines(bytes: &[u8]) -> Vec<Result<Option<Vec<u8>>, String>> {
        let mut reader = BufReader::with_capacity(3, bytes);
        let mut lines = Vec::new();
        loop {
            let line = read_line(&mut reader).map_err(|error| error.to_string());
            let last = !matches!(line, Ok(Some(_)));
            lines.push(line);
            if last {
                return lines;
            }
        }
    }

    #[test]
    fn tells_the_end_from_a_cut() {
        assert_eq!(lines(b""), [Ok(None)]);
        assert_eq!(
            lines(b"ab\n\n"),
            [Ok(Some(b"ab".to_vec())), Ok(Some(vec![])), Ok(None)]
        );
        let cut = Err("the stream ended in the middle of a line".to_owned());
        assert_eq!(lines(b"ab\ncd"), [Ok(Some(b"ab".to_vec())), cut]);
    }

    #[test]
    fn refuses_an_endless_line_without_reading_it_all() {
        let mut endless = BufReader::new(io::repeat(b'x'));
        assert!(matches!(
            read_line(&mut endless),
            Err(WireError::TooLong(LINE_LIMIT))
        ));
    }

    #[test]
    fn a_short_line_of_many_values_is_refused_before_anything_is_made_of_it() {
        for value in ["\"\"", "{}", "[]", "0"] {
            let values = vec![value; VALUES_LIMIT + 1].join(",");
            let line = format!(r#"{{"event":"begun","pending":[{values}],"running":null}}"#);
            let refused = decode::<Event>(line.as_bytes());
            assert!(matches!(refused, Err(WireError::TooMany)), "{value}");
        }
        // Text is text, whatever is in it.
        let text = r#"[{,\\\"[{,"#.repeat(VALUES_LIMIT / 4);
        let line = format!(r#"{{"event":"fatal","message":"{text}"}}"#);
        assert!(decode::<Event>(line.as_bytes()).is_ok());
    }

    proptest! {
        #[test]
        fn any_text_survives_and_stays_on_one_line(text in ".*", more in "\\PC*\n?\r?") {
            let event = Event::Finished {
                id: 7,
                outcome: Outcome {
                    status: Status::Drift,
                    drift: vec![Drift::update(text.clone(), more.clone(), "")],
                    message: Some(text),
                    ..Outcome::default()
                },
                keep: false,
            };
            let line = encode(&event);
            prop_assert_eq!(line.iter().position(|byte| *byte == b'\n'), Some(line.len() - 1));
            let back: Event = decode(&line).unwrap();
            prop_assert_eq!(encode(&back), line);
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode::<Event>(&bytes);
            let _ = decode::<crate::protocol::Message>(&bytes);
        }
    }

    #[test]
    fn fuzz_protocol() {
        let outcome = Outcome::drifted(vec![Drift::update("mode", "0644", "0600")]);
        let finished = Event::Finished {
            id: 0,
            outcome,
            keep: false,
        };
        let hello = Event::Hello {
            facts: Box::default(),
        };
        let task =
            r#"{"message":"task","id":0,"resource":{"kind":"command","declared":{"cmd":"true"}}}"#;
        let samples = [encode(&finished), encode(&hello), task.as_bytes().to_vec()];
        crate::fuzz::feed("protocol", samples, |bytes| {
            let mut reader = BufReader::with_capacity(7, bytes);
            while let Ok(Some(line)) = read_line(&mut reader) {
                if let Ok(event) = decode::<Event>(&line) {
                    assert!(decode::<Event>(&encode(&event)).is_ok());
                }
                let _ = decode::<Message>(&line);
            }
        });
    }
}

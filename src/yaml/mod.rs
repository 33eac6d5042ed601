//! YAML with places: every value knows the file, line and column it was written at.
//!
//! The tree keeps what a plain scalar looked like, so `0644`, `no` and `20.10` never change
//! meaning silently: a field that wants text gets the text as written, whatever type YAML would
//! have guessed.

use std::path::PathBuf;
use std::sync::Arc;

mod de;
mod load;
mod node;
mod scalar;
mod syntax;
mod tree;

pub use de::{TypeError, from_node};
pub(crate) use load::read;
pub use load::{Limits, load, parse};

/// One file (or command-line value) that was read, kept for error messages.
#[derive(Debug)]
pub struct File {
    /// As the user would name it: relative to where fleet was started, or `-e`.
    pub path: PathBuf,
    /// The whole text.
    pub text: String,
}

/// A stretch of one file. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Span {
    /// The file.
    pub file: Arc<File>,
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// A value and where it was written.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where.
    pub span: Span,
    /// What.
    pub value: Yaml,
    /// The text of a plain (unquoted) scalar, as written.
    pub raw: Option<Arc<str>>,
}

/// What a node holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Yaml {
    /// `~`, `null` or nothing at all.
    Null,
    /// `true`, `false` and, as in Ansible, `yes`, `no`, `on`, `off` when unquoted.
    Bool(bool),
    /// A decimal integer without a leading zero.
    Integer(i64),
    /// A number with a decimal point.
    Float(f64),
    /// Everything else.
    String(String),
    /// A list.
    Sequence(Vec<Node>),
    /// Key and value, in the order written; keys are unique.
    Mapping(Vec<(Key, Node)>),
}

/// A mapping's key and where it was written.
#[derive(Clone, Debug)]
pub struct Key {
    /// Where.
    pub span: Span,
    /// The key; YAML's other key types are read as the text they are written as.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> serde_json::Value {
        parse("t.yml", text, &Limits::default()).unwrap().to_json()
    }

    /// The messages, each with line and column.
    fn errors(text: &str) -> Vec<String> {
        let errors = parse("t.yml", text, &Limits::default()).unwrap_err();
        let place = |span: Span| span.line_column();
        errors
            .into_iter()
            .map(|error| match error.span.map(place) {
                Some((line, column)) => format!("{line}:{column}: {}", error.message),
                None => error.message,
            })
            .collect()
    }

    #[test]
    fn scalars_keep_their_text() {
        let node = parse(
            "t.yml",
            "mode: 0644\nflag: no\nversion: 20.10\n",
            &Limits::default(),
        );
        let node = node.unwrap();
        assert_eq!(
            node.to_json(),
            json!({"mode": "0644", "flag": false, "version": 20.1})
        );
        assert_eq!(node.get("flag").and_then(Node::text), Some("no"));
        assert_eq!(node.get("version").and_then(Node::text), Some("20.10"));
    }

    #[test]
    fn byte_order_mark_and_crlf_do_not_show() {
        assert_eq!(
            read("\u{feff}a: |\r\n  x\r\n  y\r\nb: 1\r\n"),
            json!({"a": "x\ny\n", "b": 1})
        );
    }

    #[test]
    fn an_empty_document_is_null() {
        for text in ["", "---\n", "# nothing\n", "--- \n...\n"] {
            assert_eq!(read(text), json!(null), "{text:?}");
        }
    }

    #[test]
    fn merge_keys_yield_to_explicit_ones() {
        let text = "base: &b {x: 1, y: 2}\nother: &o {x: 3, z: 4}\nhost:\n  y: 5\n  <<: [*b, *o]\n";
        assert_eq!(read(text)["host"], json!({"x": 1, "z": 4, "y": 5}));
    }

    #[test]
    fn every_duplicate_key_is_reported() {
        assert_eq!(
            errors("a: 1\nb: {c: 1, c: 2}\na: 2\n"),
            [
                "2:11: the key `c` is written twice",
                "3:1: the key `a` is written twice"
            ]
        );
    }

    #[test]
    fn spans_cover_what_was_written() {
        let node = parse(
            "t.yml",
            "a:\n  - 'x y'\n  - {k: v}\nb: |\n  text\n\n",
            &Limits::default(),
        );
        let node = node.unwrap();
        let items = node.get("a").and_then(Node::as_sequence).unwrap();
        assert_eq!(items[0].span.text(), "'x y'");
        assert_eq!(items[1].span.text(), "{k: v}");
        assert_eq!(items[1].span.line_column(), (3, 5));
    }

    #[test]
    fn fuzz_yaml() {
        let samples = [
            "a: &x [1, 2.5, yes, ~]\nb: {<<: {c: *x}, d: 'e'}\n",
            "%YAML 1.1\n---\n- |\n  text\n- >-\n  folded\n- \"\\x41\\n\"\n- !vault x\n...\n",
            "? [a]\n: 0o17\nd: 2020-01-01\n'e': 1_000\n",
        ];
        crate::fuzz::feed("yaml", samples, |bytes| {
            if let Ok(node) = parse("t.yml", String::from_utf8_lossy(bytes), &Limits::default()) {
                let _ = node.to_json();
            }
        });
    }
}

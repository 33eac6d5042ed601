//! YAML with places: every value knows the file, line and column it was written at.
//!
//! The tree keeps what a plain scalar looked like, so `0644`, `no` and `20.10` never change
//! meaning silently: a field that wants text gets the text as written, whatever type YAML would
//! have guessed.

use std::path::PathBuf;
use std::sync::Arc;

mod de;
mod load;
mod scalar;

pub use de::{TypeError, from_node};
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

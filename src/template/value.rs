//! Values on their way into templates and out of them.

use std::collections::BTreeSet;

use super::Template;
use crate::diagnostic::Diagnostic;
use crate::yaml::{Node, Yaml};

/// A value as templates see it; cheap to clone. Made with [`data`].
pub type Data = tera::Value;

/// Turns plain data into what templates see. Do it once, not once per task.
#[must_use]
pub fn data(value: &serde_json::Value) -> Data {
    Data::from_serializable(value)
}

/// What a name stands for.
#[derive(Debug)]
pub enum Binding<'s> {
    /// As written in a file or on the command line: may hold templates.
    Configured(&'s Node),
    /// Data, never rendered.
    Data(Data),
    /// Will be known later.
    Deferred,
}

/// Where names come from.
pub trait Source {
    /// What `name` stands for, `None` if it is not defined. The `reader` is there when a text asks.
    fn binding(&self, name: &str, reader: Option<&Template>) -> Option<Binding<'_>>;

    /// What fields a deferred name will have, where that is known before: a map without entries may
    /// come to have any.
    fn outline(&self, _name: &str) -> Option<Data> {
        None
    }

    /// All names there are, for "did you mean".
    fn names(&self) -> BTreeSet<String>;
}

/// What came of rendering.
#[derive(Clone, Debug, PartialEq)]
pub enum Rendered<T> {
    /// The value.
    Value(T),
    /// Not yet: it depends on these names.
    Deferred {
        /// `facts`, or names that tasks register.
        on: BTreeSet<String>,
    },
}

impl<T> Rendered<T> {
    /// The value, if it is there.
    pub fn value(self) -> Option<T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Deferred { .. } => None,
        }
    }

    /// Changes the value, if it is there.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Rendered<U> {
        match self {
            Self::Value(value) => Rendered::Value(change(value)),
            Self::Deferred { on } => Rendered::Deferred { on },
        }
    }
}

/// Everything wrong with one value.
pub type Errors = Vec<Diagnostic>;

/// A node's value without its places. A number that would print otherwise than it was written
/// stays text: `20.10` is a version, not the number 20.1.
#[must_use]
pub fn plain(node: &Node) -> serde_json::Value {
    use serde_json::Value;
    let differs = |canonical: &str| node.raw.as_deref().is_some_and(|raw| raw != canonical);
    match &node.value {
        Yaml::Integer(integer) if differs(&integer.to_string()) => node.text().into(),
        Yaml::Float(float) if differs(&format!("{float:?}")) => node.text().into(),
        Yaml::Sequence(items) => items.iter().map(plain).collect(),
        Yaml::Mapping(entries) => {
            let entries = entries
                .iter()
                .map(|(key, value)| (key.text.clone(), plain(value)));
            Value::Object(entries.collect())
        }
        _ => node.to_json(),
    }
}

/// All values, or all errors, or all that is waited for.
pub(super) fn all<T>(
    results: impl Iterator<Item = Result<Rendered<T>, Errors>>,
) -> Result<Rendered<Vec<T>>, Errors> {
    let mut values = Vec::new();
    let mut waits: Option<BTreeSet<String>> = None;
    let mut errors = Vec::new();
    for result in results {
        match result {
            Ok(Rendered::Value(value)) => values.push(value),
            Ok(Rendered::Deferred { on }) => waits.get_or_insert_default().extend(on),
            Err(found) => errors.extend(found),
        }
    }
    match waits {
        _ if !errors.is_empty() => Err(errors),
        Some(on) => Ok(Rendered::Deferred { on }),
        None => Ok(Rendered::Value(values)),
    }
}

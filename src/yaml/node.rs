//! Looking into nodes and spans.

use std::borrow::Cow;

use serde_json::Value;

use super::{Key, Node, Span, Yaml};

impl Span {
    /// The line and the column where it begins, both counted from 1; columns are characters.
    #[must_use]
    pub fn line_column(&self) -> (usize, usize) {
        let before = self.file.text.get(..self.start).unwrap_or(&self.file.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        (line, before[line_start..].chars().count() + 1)
    }

    /// The line where it begins, without the line break.
    #[must_use]
    pub fn line_text(&self) -> &str {
        let text = &self.file.text;
        let start = self.start.min(text.len());
        let from = text
            .get(..start)
            .and_then(|before| before.rfind('\n'))
            .map_or(0, |at| at + 1);
        text.get(from..)
            .and_then(|rest| rest.lines().next())
            .unwrap_or_default()
    }

    /// The text it covers.
    #[must_use]
    pub fn text(&self) -> &str {
        self.file.text.get(self.start..self.end).unwrap_or_default()
    }
}

impl Node {
    /// A value that was computed (rendered, read from the command line) and stands for what is
    /// written at `span`.
    #[must_use]
    pub fn from_json(value: Value, span: &Span) -> Self {
        let value = match value {
            Value::Null => Yaml::Null,
            Value::Bool(bool) => Yaml::Bool(bool),
            Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(integer), _) => Yaml::Integer(integer),
                (None, Some(float)) if !number.is_u64() => Yaml::Float(float),
                // Between i64::MAX and u64::MAX: the text loses nothing.
                _ => Yaml::String(number.to_string()),
            },
            Value::String(text) => Yaml::String(text),
            Value::Array(items) => Yaml::Sequence(
                items
                    .into_iter()
                    .map(|item| Self::from_json(item, span))
                    .collect(),
            ),
            Value::Object(entries) => Yaml::Mapping(
                entries
                    .into_iter()
                    .map(|(text, value)| {
                        (
                            Key {
                                span: span.clone(),
                                text,
                            },
                            Self::from_json(value, span),
                        )
                    })
                    .collect(),
            ),
        };
        Self {
            span: span.clone(),
            value,
            raw: None,
        }
    }

    /// The value without its places; text where YAML has text, as [`Yaml`] says.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match &self.value {
            Yaml::Null => Value::Null,
            Yaml::Bool(bool) => Value::Bool(*bool),
            Yaml::Integer(integer) => Value::from(*integer),
            Yaml::Float(float) => Value::from(*float),
            Yaml::String(text) => Value::String(text.clone()),
            Yaml::Sequence(items) => items.iter().map(Self::to_json).collect(),
            Yaml::Mapping(entries) => entries
                .iter()
                .map(|(key, value)| (key.text.clone(), value.to_json()))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }

    /// The text, if the value is text (`"no"`, `web01`), not if it merely could be (`no`, `5`).
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Yaml::String(text) => Some(text),
            _ => None,
        }
    }

    /// The text of a scalar where text is wanted: an unquoted one as it was written.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match (&self.value, &self.raw) {
            (Yaml::Null, _) => None,
            (Yaml::String(text), _) => Some(text),
            (_, Some(raw)) => Some(raw),
            _ => None,
        }
    }

    /// The entries, if the value is a mapping.
    #[must_use]
    pub fn as_mapping(&self) -> Option<&[(Key, Node)]> {
        match &self.value {
            Yaml::Mapping(entries) => Some(entries),
            _ => None,
        }
    }

    /// The items, if the value is a list.
    #[must_use]
    pub fn as_sequence(&self) -> Option<&[Node]> {
        match &self.value {
            Yaml::Sequence(items) => Some(items),
            _ => None,
        }
    }

    /// The truth value, if it is one.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self.value {
            Yaml::Bool(bool) => Some(bool),
            _ => None,
        }
    }

    /// Whether there is no value.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.value == Yaml::Null
    }

    /// The value of `key`, if this is a mapping that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        let entries = self.as_mapping()?;
        entries
            .iter()
            .find(|(candidate, _)| candidate.text == key)
            .map(|(_, value)| value)
    }

    /// What the value is, for "expected …, found …": "the text `abc`", "a list".
    #[must_use]
    pub fn describe(&self) -> Cow<'static, str> {
        match &self.value {
            Yaml::Null => "nothing".into(),
            Yaml::Bool(bool) => match &self.raw {
                Some(raw) => format!("the boolean `{raw}`").into(),
                None => format!("the boolean `{bool}`").into(),
            },
            Yaml::Integer(integer) => format!("the number `{integer}`").into(),
            Yaml::Float(float) => match &self.raw {
                Some(raw) => format!("the number `{raw}`").into(),
                None => format!("the number `{float}`").into(),
            },
            Yaml::String(text) => format!("the text `{}`", shorten(text)).into(),
            Yaml::Sequence(_) => "a list".into(),
            Yaml::Mapping(_) => "a mapping".into(),
        }
    }
}

/// A node equals another by what it holds; places do not count.
impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

/// A key equals another by its text.
impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// The first line of a text, cut to what fits into a message.
fn shorten(text: &str) -> String {
    const MOST: usize = 60;
    let line = text.lines().next().unwrap_or_default();
    if line.len() == text.trim_end().len() && line.chars().count() <= MOST {
        return line.to_owned();
    }
    line.chars().take(MOST).chain(['…']).collect()
}

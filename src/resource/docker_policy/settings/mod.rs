//! The daemon's settings as they are in effect: its defaults, under `daemon.json`, under its
//! flags, under what the running daemon says of itself.
//!
//! Each value keeps where it comes from, so that a finding says where to look. What cannot be
//! read as the type a setting has (the daemon would not have started with it) counts as not set.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

mod flags;
mod known;
#[cfg(test)]
mod tests;

pub(super) use flags::configuration_file;
use flags::flags;
use known::{KNOWN, Known, Live};

/// All settings that rules look at.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Settings(BTreeMap<&'static str, Setting>);

/// One setting in effect.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Setting {
    pub(super) value: Typed,
    pub(super) source: Layer,
}

/// Who says what a setting is; the later one wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Layer {
    /// Nobody: what the daemon does by itself.
    Default,
    /// `daemon.json`.
    File,
    /// The command line of the daemon that runs.
    Flag,
    /// The running daemon.
    Live,
}

/// A value of the type its setting has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Typed {
    Bool(bool),
    Text(String),
    Texts(Vec<String>),
    /// `name=value`, in the order of the names.
    Pairs(BTreeMap<String, String>),
}

impl Settings {
    /// Lays what is said about the daemon over each other. `arguments` are those of the process
    /// that runs, without its own name.
    pub(super) fn merge(
        file: &Map<String, Value>,
        arguments: &[String],
        info: &Value,
        bridge: &Value,
    ) -> Self {
        let flags = flags(arguments);
        let live = Live { info, bridge };
        let setting = |known: &Known| {
            let default = (known.default)();
            let layers = [
                (Layer::Live, (known.live)(&live)),
                (
                    Layer::Flag,
                    flags
                        .get(known.flag)
                        .and_then(|words| from_words(&default, words)),
                ),
                (
                    Layer::File,
                    file.get(known.key)
                        .and_then(|value| from_json(&default, value)),
                ),
            ];
            let said = layers
                .into_iter()
                .find_map(|(source, value)| Some((source, value?)));
            let (source, value) = said.unwrap_or((Layer::Default, default));
            (known.key, Setting { value, source })
        };
        Self(KNOWN.iter().map(setting).collect())
    }

    /// A setting that rules look at.
    pub(super) fn get(&self, key: &str) -> Option<&Setting> {
        self.0.get(key)
    }

    /// Whether a setting is on.
    pub(super) fn is_on(&self, key: &str) -> bool {
        self.get(key)
            .is_some_and(|setting| setting.value == Typed::Bool(true))
    }

    /// The text of a setting; empty where it has none.
    pub(super) fn text(&self, key: &str) -> &str {
        match self.get(key).map(|setting| &setting.value) {
            Some(Typed::Text(text)) => text,
            _ => "",
        }
    }

    /// The texts of a setting.
    pub(super) fn texts(&self, key: &str) -> &[String] {
        match self.get(key).map(|setting| &setting.value) {
            Some(Typed::Texts(texts)) => texts,
            _ => &[],
        }
    }

    /// The pairs of a setting.
    pub(super) fn pairs(&self, key: &str) -> &BTreeMap<String, String> {
        static NONE: BTreeMap<String, String> = BTreeMap::new();
        match self.get(key).map(|setting| &setting.value) {
            Some(Typed::Pairs(pairs)) => pairs,
            _ => &NONE,
        }
    }
}

/// The words of a flag as a value of the type of `default`.
fn from_words(default: &Typed, words: &[String]) -> Option<Typed> {
    let last = words.last()?;
    Some(match default {
        Typed::Bool(_) => Typed::Bool(match last.as_str() {
            "true" | "1" | "t" | "T" | "TRUE" | "True" => true,
            "false" | "0" | "f" | "F" | "FALSE" | "False" => false,
            _ => return None,
        }),
        Typed::Text(_) => Typed::Text(last.clone()),
        Typed::Texts(_) => Typed::Texts(words.to_vec()),
        Typed::Pairs(_) => {
            let pairs = words.iter().filter_map(|word| word.split_once('='));
            Typed::Pairs(
                pairs
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .collect(),
            )
        }
    })
}

/// A value of daemon.json as one of the type of `default`.
fn from_json(default: &Typed, value: &Value) -> Option<Typed> {
    Some(match default {
        Typed::Bool(_) => Typed::Bool(value.as_bool()?),
        Typed::Text(_) => Typed::Text(value.as_str()?.to_owned()),
        Typed::Texts(_) => Typed::Texts(
            value
                .as_array()?
                .iter()
                .filter_map(|word| word.as_str().map(str::to_owned))
                .collect(),
        ),
        Typed::Pairs(_) => {
            let in_words = |value: &Value| match value {
                Value::String(text) => text.clone(),
                value => value.to_string(),
            };
            let pairs = value.as_object()?.iter();
            Typed::Pairs(
                pairs
                    .map(|(name, value)| (name.clone(), in_words(value)))
                    .collect(),
            )
        }
    })
}

impl fmt::Display for Setting {
    /// The value and where it comes from: `true (by default)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match self.source {
            Layer::Default => "by default",
            Layer::File => "daemon.json",
            Layer::Flag => "a flag of dockerd",
            Layer::Live => "the running daemon",
        };
        write!(f, "{} ({source})", self.value)
    }
}

impl fmt::Display for Typed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, words: &[String]| match words {
            [] => f.write_str("none"),
            words => f.write_str(&words.join(", ")),
        };
        match self {
            Self::Bool(value) => value.fmt(f),
            Self::Text(text) if text.is_empty() => f.write_str("none"),
            Self::Text(text) => f.write_str(text),
            Self::Texts(texts) => list(f, texts),
            Self::Pairs(pairs) => {
                let words: Vec<_> = pairs
                    .iter()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect();
                list(f, &words)
            }
        }
    }
}

//! Reads the keys of a mapping one by one and reports those nobody asked for.

use crate::diagnostic::{Diagnostic, Diagnostics, nearest};
use crate::yaml::{Key, Node, Yaml};

/// The keys of one mapping that were not read yet.
pub(super) struct Fields<'n> {
    entries: Vec<&'n (Key, Node)>,
}

impl<'n> Fields<'n> {
    /// `what` the mapping is ("a play"), for the error if it is none.
    pub(super) fn of(node: &'n Node, what: &str, errors: &mut Diagnostics) -> Option<Self> {
        let Some(entries) = node.as_mapping() else {
            let message = format!("{what} is a mapping, got {}", node.describe());
            errors.push(Diagnostic::error(message).at(node.span.clone()));
            return None;
        };
        Some(Self {
            entries: entries.iter().collect(),
        })
    }

    /// Takes the value of a key, if it is there and not empty.
    pub(super) fn take(&mut self, name: &str) -> Option<&'n Node> {
        self.take_entry(name)
            .map(|(_, value)| value)
            .filter(|value| !value.is_null())
    }

    /// Takes a key with its value.
    pub(super) fn take_entry(&mut self, name: &str) -> Option<&'n (Key, Node)> {
        let at = self.entries.iter().position(|(key, _)| key.text == name)?;
        Some(self.entries.remove(at))
    }

    /// What is left, in the order written.
    pub(super) fn rest(self) -> Vec<&'n (Key, Node)> {
        self.entries
    }

    /// Reports what is left as unknown; `advice` gives the way out for keys known elsewhere.
    pub(super) fn refuse_rest(
        self,
        known: &[&str],
        advice: &[(&str, &str)],
        errors: &mut Diagnostics,
    ) {
        for (key, _) in self.entries {
            errors.push(unknown("key", key, known, advice));
        }
    }
}

/// "unknown key `ntoify`; did you mean `notify`?", or why a word of Ansible is none of fleet.
pub(super) fn unknown(
    what: &str,
    key: &Key,
    known: &[&str],
    advice: &[(&str, &str)],
) -> Diagnostic {
    if let Some((_, help)) = advice.iter().find(|(name, _)| *name == key.text) {
        return Diagnostic::error(format!("`{}` is not supported", key.text))
            .at(key.span.clone())
            .help(*help);
    }
    let error = Diagnostic::error(format!("unknown {what} `{}`", key.text)).at(key.span.clone());
    match nearest(&key.text, known.iter().copied()) {
        Some(near) => error.help(format!("did you mean `{near}`?")),
        None => error.help(format!("expected one of `{}`", known.join("`, `"))),
    }
}

/// The text of a scalar, as written.
pub(super) fn text(name: &str, node: &Node, errors: &mut Diagnostics) -> Option<String> {
    let found = node.text().map(str::to_owned);
    if found.is_none() {
        errors.push(expected(name, "text", node));
    }
    found
}

/// The text of a scalar that is read before any variable is known.
pub(super) fn plain_text(name: &str, node: &Node, errors: &mut Diagnostics) -> Option<String> {
    let found = text(name, node, errors)?;
    if crate::template::Engine::is_template(&found) {
        let message = format!("`{name}` cannot hold a template: it is read before variables are");
        errors.push(Diagnostic::error(message).at(node.span.clone()));
        return None;
    }
    Some(found)
}

/// A boolean.
pub(super) fn boolean(name: &str, node: &Node, errors: &mut Diagnostics) -> Option<bool> {
    let found = node.as_bool();
    if found.is_none() {
        errors.push(expected(name, "true or false", node));
    }
    found
}

/// A whole number that is not negative.
pub(super) fn number(name: &str, node: &Node, errors: &mut Diagnostics) -> Option<u32> {
    let found = match node.value {
        Yaml::Integer(integer) => u32::try_from(integer).ok(),
        _ => None,
    };
    if found.is_none() {
        errors.push(expected(name, "a whole number", node));
    }
    found
}

/// A list of texts, or one text alone.
pub(super) fn texts<'n>(
    name: &str,
    node: &'n Node,
    errors: &mut Diagnostics,
) -> Vec<(String, &'n Node)> {
    let items = node.as_sequence().unwrap_or(std::slice::from_ref(node));
    let read = |item: &'n Node| Some((plain_text(name, item, errors)?, item));
    items.iter().filter_map(read).collect()
}

/// A list.
pub(super) fn list<'n>(name: &str, node: &'n Node, errors: &mut Diagnostics) -> &'n [Node] {
    if let Some(items) = node.as_sequence() {
        return items;
    }
    errors.push(expected(name, "a list", node));
    &[]
}

/// Whether a name can be used in templates; reports it if not.
pub(super) fn variable_name(key: &Key, errors: &mut Diagnostics) -> bool {
    let name = &key.text;
    let valid = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let problem = if !valid {
        "is no name for a variable: letters, digits and `_`, not beginning with a digit"
    } else if super::names::RESERVED.contains(&name.as_str()) {
        "is always set by fleet and cannot be set otherwise"
    } else {
        return true;
    };
    errors.push(Diagnostic::error(format!("`{name}` {problem}")).at(key.span.clone()));
    false
}

pub(super) fn expected(name: &str, what: &str, node: &Node) -> Diagnostic {
    Diagnostic::error(format!("`{name}` must be {what}, got {}", node.describe()))
        .at(node.span.clone())
}

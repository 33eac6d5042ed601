//! Where in a task's arguments a message of its kind belongs.

use crate::yaml::{Key, Node, Span, Yaml};

/// The field or value that a kind's message is about: the first of its literals (in backticks)
/// that is part of the arguments, a field's name before a value. `state: absent` is the field
/// `state`.
pub(super) fn named<'n>(arguments: &'n Node, message: &str) -> Option<&'n Span> {
    let mut literals = message.split('`').skip(1).step_by(2);
    literals.find_map(|literal| {
        let field = literal.split_once(": ").map_or(literal, |(field, _)| field);
        field_named(arguments, field).or_else(|| place_of(arguments, literal))
    })
}

/// The value of a field, or its name where the value is more than one line can show.
fn field_named<'n>(node: &'n Node, name: &str) -> Option<&'n Span> {
    match &node.value {
        Yaml::Mapping(entries) => {
            let own = entries.iter().find(|(key, _)| key.text == name);
            let below = || {
                entries
                    .iter()
                    .find_map(|(_, value)| field_named(value, name))
            };
            own.map(shown).or_else(below)
        }
        Yaml::Sequence(items) => items.iter().find_map(|item| field_named(item, name)),
        _ => None,
    }
}

fn shown((key, value): &(Key, Node)) -> &Span {
    match &value.value {
        Yaml::Mapping(_) | Yaml::Sequence(_) | Yaml::Null => &key.span,
        _ => &value.span,
    }
}

/// Where in the arguments a text stands.
pub(super) fn place_of<'n>(node: &'n Node, text: &str) -> Option<&'n Span> {
    match &node.value {
        Yaml::Sequence(items) => items.iter().find_map(|item| place_of(item, text)),
        Yaml::Mapping(entries) => entries.iter().find_map(|(_, value)| place_of(value, text)),
        _ => (node.text() == Some(text)).then_some(&node.span),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::{Limits, parse};

    #[test]
    fn a_message_is_shown_at_the_first_literal_that_was_written() {
        let text = "{name: web, state: absent, port: 0, devices: [/dev/sdb, /dev/sdc],
            config: {log-opts: {max-file: 3}}, empty: }";
        let arguments = parse("task.yml", text.to_owned(), &Limits::default()).unwrap();
        for (message, marked) in [
            ("`port` is 0", Some("0")),
            ("`timeout` goes with `port`", Some("0")),
            ("`state: absent` takes no `port`", Some("absent")),
            ("`devices` is empty", Some("devices")),
            ("the device `/dev/sdc` is declared twice", Some("/dev/sdc")),
            ("`max-file` is text: write `max-file: \"3\"`", Some("3")),
            ("`empty` is empty", Some("empty")),
            ("`web` is no name", Some("web")),
            ("write it like `other`", None),
            ("nothing is named: state", None),
            ("an odd ` alone", None),
            ("", None),
        ] {
            let found = named(&arguments, message).map(Span::text);
            assert_eq!(found, marked, "{message}");
        }
    }
}

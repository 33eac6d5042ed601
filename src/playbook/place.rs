//! Where in a task's arguments a message of its kind belongs.

use crate::yaml::{Key, Node, Span, Yaml};

/// The field or value that a kind's message is about: the first of its literals (in backticks)
/// that is part of the arguments, a field's name before a value. `state: absent` is the field
/// `state`, `java.heap_percent` the field of a field, `ports[0]` one of a list.
///
/// Several fields may have one value. The message is about none without which it would be said
/// all the same: `persists` tells that of the rest of the arguments.
pub(super) fn named<'n>(
    arguments: &'n Node,
    message: &str,
    persists: impl Fn(&Node) -> bool,
) -> Option<&'n Span> {
    let literals = message.split('`').skip(1).step_by(2);
    let candidates: Vec<_> = literals
        .flat_map(|literal| places(arguments, literal))
        .collect();
    let is_about = |span: &&&Span| !persists(&without(arguments, span));
    let about = candidates.iter().find(is_about).or(candidates.first());
    about.copied()
}

/// Where a literal of a message may stand, the most likely place first.
fn places<'n>(arguments: &'n Node, literal: &str) -> Vec<&'n Span> {
    let field = literal.split_once(": ").map_or(literal, |(field, _)| field);
    let mut found: Vec<_> = at_path(arguments, field).into_iter().collect();
    fields_named(arguments, field, &mut found);
    places_of(arguments, literal, &mut found);
    found
}

/// The place of `java.heap_percent` or `ports[0]`.
fn at_path<'n>(arguments: &'n Node, path: &str) -> Option<&'n Span> {
    let (mut node, mut span) = (arguments, None);
    for step in path.split(['.', '[']) {
        let index = step.strip_suffix(']').map(str::parse::<usize>);
        if let Some(index) = index {
            node = node.as_sequence()?.get(index.ok()?)?;
            span = Some(&node.span);
        } else {
            let entries = node.as_mapping()?;
            let entry = entries.iter().find(|(key, _)| key.text == step)?;
            node = &entry.1;
            span = Some(shown(entry));
        }
    }
    span
}

/// The value of each field of this name, or the name where the value is more than one line can
/// show; those that are not inside others first.
fn fields_named<'n>(node: &'n Node, name: &str, found: &mut Vec<&'n Span>) {
    match &node.value {
        Yaml::Mapping(entries) => {
            let own = entries.iter().filter(|(key, _)| key.text == name);
            found.extend(own.map(shown));
            for (_, value) in entries {
                fields_named(value, name, found);
            }
        }
        Yaml::Sequence(items) => items
            .iter()
            .for_each(|item| fields_named(item, name, found)),
        _ => {}
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
    let mut found = Vec::new();
    places_of(node, text, &mut found);
    found.first().copied()
}

fn places_of<'n>(node: &'n Node, text: &str, found: &mut Vec<&'n Span>) {
    match &node.value {
        Yaml::Sequence(items) => items.iter().for_each(|item| places_of(item, text, found)),
        Yaml::Mapping(entries) => {
            for (_, value) in entries {
                places_of(value, text, found);
            }
        }
        _ if node.text() == Some(text) => found.push(&node.span),
        _ => {}
    }
}

/// The arguments without what stands at a place.
fn without(node: &Node, span: &Span) -> Node {
    let is_there = |other: &Span| (other.start, other.end) == (span.start, span.end);
    let value = match &node.value {
        Yaml::Sequence(items) => {
            let rest = items.iter().filter(|item| !is_there(&item.span));
            Yaml::Sequence(rest.map(|item| without(item, span)).collect())
        }
        Yaml::Mapping(entries) => {
            let rest = entries
                .iter()
                .filter(|(key, value)| !is_there(&key.span) && !is_there(&value.span));
            let rest = rest.map(|(key, value)| (key.clone(), without(value, span)));
            Yaml::Mapping(rest.collect())
        }
        other => other.clone(),
    };
    Node {
        value,
        ..node.clone()
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
            let found = named(&arguments, message, |_| false).map(Span::text);
            assert_eq!(found, marked, "{message}");
        }
    }

    #[test]
    fn a_path_names_its_field_and_no_other() {
        let text =
            "{heap_percent: 1, java: {heap_percent: 2}, ports: ['a', 'b'], b: [{x: 3}, {x: 4}]}";
        let arguments = parse("task.yml", text.to_owned(), &Limits::default()).unwrap();
        for (message, marked) in [
            ("`java.heap_percent` is low", Some("2")),
            ("`heap_percent` is low", Some("1")),
            ("`ports[1]` is no port", Some("'b'")),
            ("`b[1].x` is wrong", Some("4")),
            ("`ports[7]` is no port", None),
        ] {
            let found = named(&arguments, message, |_| false).map(Span::text);
            assert_eq!(found, marked, "{message}");
        }
    }

    #[test]
    fn of_fields_with_one_value_the_one_that_matters_is_marked() {
        let text = "{uid: 6100, group: '6100', groups: [a, '6100']}";
        let arguments = parse("task.yml", text.to_owned(), &Limits::default()).unwrap();
        for (field, marked) in [("uid", "6100"), ("group", "'6100'"), ("none", "6100")] {
            let persists = |rest: &Node| rest.get(field).is_some() || field == "none";
            let found = named(&arguments, "`6100` is wrong", persists).unwrap();
            let (_, value) = arguments
                .as_mapping()
                .unwrap()
                .iter()
                .find(|(key, _)| key.text == field)
                .unwrap_or(&arguments.as_mapping().unwrap()[0]);
            assert_eq!(
                (found.text(), found.start),
                (marked, value.span.start),
                "{field}"
            );
        }
        let in_the_list = |rest: &Node| {
            rest.get("groups")
                .and_then(Node::as_sequence)
                .is_some_and(|list| list.len() == 2)
        };
        let found = named(&arguments, "`6100` is wrong", in_the_list).unwrap();
        assert_eq!(found.start, text.rfind("'6100'").unwrap());
    }
}

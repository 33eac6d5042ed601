use std::collections::BTreeMap;

use serde::Deserialize;

use super::super::{Limits, parse};
use super::*;

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct File {
    path: String,
    owner: Option<String>,
    #[serde(default)]
    follow: bool,
    #[serde(default)]
    state: State,
    #[serde(default)]
    ports: Vec<u16>,
    #[serde(default)]
    nested: BTreeMap<String, Nested>,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum State {
    #[default]
    File,
    Absent,
    On,
    Link {
        target: String,
    },
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Nested {
    size: i32,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(untagged)]
enum Loose {
    Number(u32),
    Text(String),
    Many(Vec<String>),
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(try_from = "String")]
struct Name(String);

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.starts_with('-') {
            Err(format!("`{text}` begins with `-`"))
        } else {
            Ok(Self(text))
        }
    }
}

fn read<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let node = parse("t.yml", text, &Limits::default()).expect("valid YAML");
    from_node(&node).map_err(|error| {
        let (line, column) = error.span.line_column();
        let help = [vec![String::new()], error.help].concat().join(" | ");
        format!(
            "{line}:{column} `{}` {}{help}",
            error.span.text(),
            error.message
        )
    })
}

fn refused(text: &str) -> String {
    read::<File>(text).unwrap_err()
}

#[test]
fn a_struct_with_everything() {
    let file: File = read(concat!(
        "path: /etc/x\nowner: ~\nfollow: yes\nstate: {link: {target: /y}}\n",
        "ports: [80, \"443\"]\nnested: {a: {size: -1}}\n",
    ))
    .unwrap();
    assert_eq!(file.owner, None);
    assert!(file.follow);
    assert_eq!(
        file.state,
        State::Link {
            target: "/y".to_owned()
        }
    );
    assert_eq!(file.ports, [80, 443]);
    assert_eq!(file.nested["a"], Nested { size: -1 });
}

#[test]
fn where_text_is_wanted_a_plain_scalar_is_as_written() {
    for text in ["0644", "no", "20.10", "5", "~x"] {
        assert_eq!(read::<String>(text), Ok(text.to_owned()));
        assert_eq!(read::<Option<String>>(text), Ok(Some(text.to_owned())));
    }
    // An enum's variants are text, too: `on` is not `true` there.
    assert_eq!(read::<State>("on"), Ok(State::On));
}

#[test]
fn rendered_values_become_text_and_text_becomes_numbers_and_booleans() {
    let at = parse("t.yml", "'{{ x }}'", &Limits::default())
        .unwrap()
        .span;
    let rendered = |value: serde_json::Value| Node::from_json(value, &at);
    assert_eq!(from_node::<String>(&rendered(8080.into())).unwrap(), "8080");
    assert_eq!(from_node::<String>(&rendered(true.into())).unwrap(), "true");
    assert_eq!(from_node::<u16>(&rendered("8080".into())).unwrap(), 8080);
    for (text, expected) in [("true", Some(true)), ("no", Some(false)), ("maybe", None)] {
        assert_eq!(from_node::<bool>(&rendered(text.into())).ok(), expected);
    }
}

#[test]
fn untagged_enums_and_newtypes_work() {
    assert_eq!(read("5"), Ok(Loose::Number(5)));
    assert_eq!(read("five"), Ok(Loose::Text("five".to_owned())));
    assert_eq!(
        read("[a, b]"),
        Ok(Loose::Many(vec!["a".to_owned(), "b".to_owned()]))
    );
    assert_eq!(
        read::<Vec<Name>>("[a, -b]"),
        Err("1:5 `-b` `-b` begins with `-`".to_owned()),
        "a custom error keeps the place of its value",
    );
    assert_eq!(
        read("{80: web}"),
        Ok(BTreeMap::from([(80_u16, "web".to_owned())]))
    );
}

#[test]
fn errors_point_at_the_innermost_place() {
    let cases = [
        (
            "path: x\nownr: y\n",
            "2:1 `ownr` unknown key `ownr` | did you mean `owner`?",
        ),
        (
            "path: x\nzzz: y\n",
            "2:1 `zzz` unknown key `zzz` | known are `path`, `owner`, `follow`, `state`, `ports`, `nested`",
        ),
        ("owner: y\n", "1:1 `owner: y` the key `path` is missing"),
        (
            "path:\n",
            "1:5 `` expected text, found nothing | `\"\"` is the empty text",
        ),
        ("path: [x]\n", "1:7 `[x]` expected text, found a list"),
        (
            "path: x\nfollow: 'yes'\n",
            "2:9 `'yes'` expected a boolean, found the text `yes` | remove the quotes: `yes`",
        ),
        (
            "path: x\nfollow: 1\n",
            "2:9 `1` expected a boolean, found the number `1` | write `true` or `false`",
        ),
        (
            "path: x\nstate: absnt\n",
            "2:8 `absnt` unknown value `absnt` | did you mean `absent`?",
        ),
        (
            "path: x\nports: 80\n",
            "2:8 `80` expected a list, found the number `80` | write a list: `[80]`",
        ),
        (
            "path: x\nports: [80, abc]\n",
            "2:13 `abc` expected a whole number, found the text `abc`",
        ),
        (
            "path: x\nports: [0080]\n",
            "2:9 `0080` expected a whole number, found the text `0080`",
        ),
        (
            "path: x\nports: [70000]\n",
            "2:9 `70000` expected a whole number from 0 to 65535, found `70000`",
        ),
        (
            "path: x\nnested:\n  a:\n    size: 1\n    sise: 2\n",
            "5:5 `sise` unknown key `sise` | did you mean `size`?",
        ),
        (
            "path: x\nnested:\n  a:\n    size: 1.5\n",
            "4:11 `1.5` expected a whole number, found the number `1.5`",
        ),
        (
            "just text\n",
            "1:1 `just text` expected a mapping, found the text `just text` | write `key: value`",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(refused(text), expected, "{text}");
    }
}

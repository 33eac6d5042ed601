//! Reading YAML: what is refused, with which words.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use fleet::diagnostic::render;
use fleet::inventory::Pattern;
use fleet::yaml::{Limits, Node, Yaml, load, parse};
use proptest::prelude::*;

use crate::cases::check_all;

#[test]
fn valid_files_mean_what_ansible_reads() {
    check_all("yaml/valid", |path| match load(path, &Limits::default()) {
        Ok(node) => format!("{:#}\n", node.to_json()),
        Err(errors) => render(&errors, false),
    });
}

#[test]
fn invalid_files_are_refused_with_place_and_way_out() {
    check_all("yaml/invalid", |path| {
        match load(path, &Limits::default()) {
            Ok(node) => format!("accepted: {:#}\n", node.to_json()),
            Err(errors) => render(&errors, false),
        }
    });
}

#[test]
fn a_file_anybody_may_write_is_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::set_permissions(file.path(), fs::Permissions::from_mode(0o666)).unwrap();
    let errors = load(file.path(), &Limits::default()).unwrap_err();
    let path = file.path().display();
    assert_eq!(
        errors[0].message,
        format!("cannot read `{path}`: everybody may write to it")
    );
    assert_eq!(
        errors[0].help,
        [format!("take that away: `chmod o-w {path}`")]
    );
}

#[test]
fn what_cannot_be_read_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let message = |name: &str| {
        let path = directory.path().join(name);
        let errors = load(&path, &Limits::default()).unwrap_err();
        errors[0]
            .message
            .replace(directory.path().to_str().unwrap(), "DIR")
    };
    fs::create_dir(directory.path().join("sub")).unwrap();
    fs::write(directory.path().join("latin1"), b"a: b\nc: \xe9\n").unwrap();
    assert_eq!(
        message("none"),
        "cannot read `DIR/none`: No such file or directory (os error 2)"
    );
    assert_eq!(
        message("sub"),
        "cannot read `DIR/sub`: Is a directory (os error 21)"
    );
    assert_eq!(
        message("latin1"),
        "cannot read `DIR/latin1`: line 2 is not UTF-8"
    );
}

#[test]
fn size_depth_and_number_are_bounded() {
    let limits = Limits {
        bytes: 200,
        nodes: 20,
        depth: 4,
    };
    let message = |text: &str| {
        parse("t.yml", text, &limits).unwrap_err()[0]
            .message
            .clone()
    };
    assert_eq!(
        message(&"# x\n".repeat(100)),
        "`t.yml` is larger than 200 bytes"
    );
    assert_eq!(message("[[[[[1]]]]]"), "nested deeper than 4 levels");
    assert_eq!(
        message("a:\n b:\n  c:\n   d:\n    e: 1\n"),
        "nested deeper than 4 levels"
    );
    assert_eq!(
        message("x: &x [[1]]\ny: [*x]\nz: [[*x]]\n"),
        "nested deeper than 4 levels"
    );
    let many = format!("[{}]", "1, ".repeat(30));
    assert_eq!(
        message(&many),
        "more than 20 values after expanding aliases"
    );
    assert_eq!(
        message(&format!("{}1{}", "[".repeat(90), "]".repeat(90))),
        "nested deeper than 4 levels"
    );
}

/// Whether every place lies in the text, at character boundaries.
fn places_hold(node: &Node) -> bool {
    let text = &node.span.file.text;
    text.get(node.span.start..node.span.end).is_some()
        && match &node.value {
            Yaml::Sequence(items) => items.iter().all(places_hold),
            Yaml::Mapping(entries) => entries.iter().all(|(key, value)| {
                text.get(key.span.start..key.span.end).is_some() && places_hold(value)
            }),
            _ => true,
        }
}

proptest! {
    /// Whatever stands in a file, it is read or refused; errors can be shown and steer nothing.
    #[test]
    fn no_text_does_harm(text in r#"([a-z&*<~!|>\-?:,\[\]{}#'"%@`0-9 \n\t\r\\é\x1b]|\PC){0,60}"#) {
        match parse("t.yml", text.clone(), &Limits::default()) {
            Ok(node) => prop_assert!(places_hold(&node)),
            Err(errors) => {
                let shown = render(&errors, false);
                prop_assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
            }
        }
        // Not a file of patterns: that would be read.
        let _ = Pattern::parse(&text.replace('@', "a"));
    }

    /// JSON is read as what it says.
    #[test]
    fn json_is_yaml(entries in prop::collection::btree_map("\\PC{0,20}", ("\\PC{0,20}", any::<i64>(), any::<bool>()), 0..5)) {
        let value = serde_json::json!(entries);
        for text in [value.to_string(), format!("{value:#}")] {
            let node = parse("t.json", text, &Limits::default()).map_err(|errors| render(&errors, false));
            prop_assert_eq!(node.map(|node| node.to_json()), Ok(value.clone()));
        }
    }
}

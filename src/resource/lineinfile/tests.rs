use std::fs;

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn declared(mut fields: serde_json::Value) -> Lineinfile {
    fields["path"] = "/x".into();
    serde_json::from_value(fields).unwrap()
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn edits_as_ansible_does() {
    let cases = [
        ("appended", json!({ "line": "c" }), "a\nb\n", "a\nb\nc\n"),
        (
            "appended to an unfinished line",
            json!({ "line": "c" }),
            "a\nb",
            "a\nb\nc\n",
        ),
        ("already there", json!({ "line": "a" }), "a\nb", "a\nb"),
        (
            "first line of an empty file",
            json!({ "line": "a" }),
            "",
            "a\n",
        ),
        (
            "last match replaced",
            json!({ "line": "X=2", "regexp": "^#?X=" }),
            "#X=1\nX=1\ny\n",
            "#X=1\nX=2\ny\n",
        ),
        (
            "no match, line there",
            json!({ "line": "new", "regexp": "^old" }),
            "new\n",
            "new\n",
        ),
        (
            "no match",
            json!({ "line": "new", "regexp": "^old" }),
            "a\n",
            "a\nnew\n",
        ),
        (
            "line end kept",
            json!({ "line": "b", "regexp": "a" }),
            "a\r\nc\r\n",
            "b\r\nc\r\n",
        ),
        (
            "unfinished line replaced",
            json!({ "line": "b", "regexp": "a" }),
            "a",
            "b",
        ),
        (
            "after",
            json!({ "line": "n", "insertafter": "^a" }),
            "a1\na2\nb\n",
            "a1\na2\nn\nb\n",
        ),
        (
            "after nothing",
            json!({ "line": "n", "insertafter": "^z" }),
            "a\n",
            "a\nn\n",
        ),
        (
            "after the unfinished",
            json!({ "line": "n", "insertafter": "^a" }),
            "a",
            "a\nn\n",
        ),
        (
            "before",
            json!({ "line": "n", "insertbefore": "^a" }),
            "a1\na2\nb\n",
            "a1\nn\na2\nb\n",
        ),
        (
            "before nothing",
            json!({ "line": "n", "insertbefore": "^z" }),
            "a\n",
            "a\nn\n",
        ),
        (
            "at the beginning",
            json!({ "line": "n", "insertbefore": "BOF" }),
            "a\n",
            "n\na\n",
        ),
        (
            "at the end",
            json!({ "line": "n", "insertafter": "EOF" }),
            "a\n",
            "a\nn\n",
        ),
        (
            "all matches removed",
            json!({ "regexp": "^a", "state": "absent" }),
            "a1\nb\na2\n",
            "b\n",
        ),
        (
            "equal lines removed",
            json!({ "line": "a", "state": "absent" }),
            "a\nab\na",
            "ab\n",
        ),
        (
            "nothing to remove",
            json!({ "line": "z", "state": "absent" }),
            "a",
            "a",
        ),
        (
            "appended to lines of Windows",
            json!({ "line": "c" }),
            "a\r\nb\r\n",
            "a\r\nb\r\nc\r\n",
        ),
        (
            "appended to an unfinished line of Windows",
            json!({ "line": "c" }),
            "a\r\nb",
            "a\r\nb\r\nc\r\n",
        ),
        (
            "at the beginning, before lines of Windows",
            json!({ "line": "n", "insertbefore": "BOF" }),
            "a\r\n",
            "n\r\na\r\n",
        ),
        (
            "between lines that end differently",
            json!({ "line": "n", "insertafter": "^a" }),
            "a\nb\r\n",
            "a\nn\nb\r\n",
        ),
        (
            "after a byte order mark",
            json!({ "line": "n", "insertbefore": "BOF" }),
            "\u{feff}a\n",
            "\u{feff}n\na\n",
        ),
        (
            "the first line, behind a byte order mark",
            json!({ "line": "b", "regexp": "^a$" }),
            "\u{feff}a\nc\n",
            "\u{feff}b\nc\n",
        ),
        (
            "removed behind a byte order mark",
            json!({ "line": "a", "state": "absent" }),
            "\u{feff}a\nc",
            "\u{feff}c",
        ),
    ];
    for (name, fields, text, expected) in cases {
        let edited = declared(fields).edit(text.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(edited).unwrap(), expected, "{name}");
    }
}

#[test]
fn bytes_that_are_no_text_stay_as_they_are() {
    let task = declared(json!({ "line": "b", "regexp": "^a.c$" }));
    let edited = task.edit(b"\xff\xfe\na\xe4c\nx\0y").unwrap();
    assert_eq!(edited, b"\xff\xfe\nb\nx\0y");
}

#[test]
fn there_is_no_line_in_what_is_not_there() {
    let base = tempfile::tempdir().unwrap();
    let host = Host::offline(base.path());
    fs::write(base.path().join("file"), "").unwrap();
    for path in ["none", "no/such/file", "file/below"] {
        let mut task = declared(json!({ "regexp": "^x", "state": "absent" }));
        let path = base.path().join(path);
        task.path = path.to_str().unwrap().parse().unwrap();
        assert_eq!(task.drift(&task.observe(&host).unwrap()), []);
        let mut task = declared(json!({ "line": "x", "create": true }));
        task.path = path.to_str().unwrap().parse().unwrap();
        assert_eq!(task.observe(&host).is_err(), !path.ends_with("none"));
    }
}

proptest! {
    #[test]
    fn an_edited_text_needs_no_other_edit(
        text in "([abX=]{0,3}\r?\n){0,5}[ab]{0,2}",
        line in "[abX=]{0,3}",
        state in prop_oneof![Just("present"), Just("absent")],
        place in prop_oneof![Just(json!({})), Just(json!({ "insertafter": "a" })), Just(json!({ "insertbefore": "BOF" }))],
    ) {
        let mut fields = place;
        fields["line"] = line.into();
        fields["state"] = state.into();
        let task = declared(fields);
        let once = task.edit(text.as_bytes()).unwrap();
        prop_assert_eq!(task.edit(&once).unwrap(), once);
    }
}

#[test]
fn drift_shows_the_line_that_differs() {
    let task = declared(json!({ "line": "X=2", "regexp": "^X=" }));
    let found = |text: &str| Found {
        metadata: None,
        text: text.as_bytes().to_owned(),
        diff: false,
    };
    assert_eq!(
        task.drift(&found("X=1\n")),
        [Drift::update("line", "X=2", "X=1")]
    );
    assert_eq!(task.drift(&found("")), [Drift::create("line", "X=2")]);
    let absent = declared(json!({ "regexp": "^X=", "state": "absent" }));
    assert_eq!(
        absent.drift(&found("X=1\ny\nX=3\n")),
        [Drift::remove("line", "X=1\nX=3")]
    );
    assert_eq!(absent.drift(&found("")), []);
}

#[test]
fn validate_names_what_does_not_go_together() {
    for (fields, expected) in [
        (json!({}), "needs `line`"),
        (json!({ "state": "absent" }), "needs `regexp` or `line`"),
        (
            json!({ "line": "a", "regexp": "(" }),
            "`regexp` is not a regular expression",
        ),
        (
            json!({ "line": "a", "insertafter": "[" }),
            "`insertafter` is not",
        ),
        (
            json!({ "line": "a", "insertafter": "x", "insertbefore": "y" }),
            "exclude",
        ),
        (json!({ "line": "a\nb" }), "more than one line"),
        (json!({ "line": "a\r" }), "carriage return"),
    ] {
        let error = declared(fields.clone()).validate().unwrap_err();
        assert!(error.contains(expected), "{fields}: {error}");
    }
}

#[test]
fn makes_a_file_only_when_told_to() {
    let base = tempfile::tempdir().unwrap();
    let host = Host::offline(base.path());
    let path = base.path().join("x");
    let mut task = declared(json!({ "line": "a" }));
    task.path = path.to_str().unwrap().parse().unwrap();
    assert!(matches!(task.observe(&host), Err(Failure::Missing(_))));

    task.create = true;
    let actual = task.observe(&host).unwrap();
    assert_eq!(task.drift(&actual).len(), 1);
    task.apply(&host, &actual).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "a\n");
    assert_eq!(task.drift(&task.observe(&host).unwrap()), []);
}

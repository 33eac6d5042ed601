use super::*;

/// What is wrapped as `<…>`; what only takes note is left out.
fn plain(text: &str) -> String {
    let strict = Strict::expression(text);
    let (mut pieces, mut open) = (Vec::new(), Vec::new());
    let (mut from, mut shift) = (0, 0);
    for &(at, length) in &strict.inserted {
        pieces.push(text[from..at].replace('(', "<"));
        let inserted = &strict.source[at + shift..at + shift + length];
        (from, shift) = (at, shift + length);
        if inserted.ends_with('(') {
            open.push(pieces.len());
            pieces.push(String::new());
        } else if inserted.starts_with(&format!("|{DEFINED}(")) {
            pieces[open.pop().unwrap()] = "<".to_owned();
            pieces.push(">".to_owned());
        } else if inserted.contains('|') {
            open.pop().unwrap();
        } else {
            pieces.push(inserted.replace(&format!("{EXPRESSION}=0, "), ""));
        }
    }
    assert!(open.is_empty(), "{}", strict.source);
    pieces.push(text[from..].to_owned());
    pieces.concat()
}

#[test]
fn wraps_what_must_be_defined_and_nothing_else() {
    let cases = [
        ("a", "<a>"),
        ("a.b == 'c.d'", "<a.b> == 'c.d'"),
        ("a[b.c].d", "<a[<b.c>].d>"),
        ("a is defined and a.b", "a is defined and <a.b>"),
        ("a is not defined", "a is not defined"),
        ("a | default(value=b)", "a | default<value=<b>)"),
        ("a or b", "a or <b>"),
        ("x == a or b", "<x> == <a> or <b>"),
        ("a?.b == 1", "a?.b == 1"),
        ("not a", "not <a>"),
        ("a is string", "<a> is string"),
        ("a | upper", "<a> | upper"),
        (
            "[x.y for x in list if x.z]",
            "[<x.y> for x in <list> if <x.z>]",
        ),
        ("range(end=n)", "range<end=<n>)"),
        ("secret('a')", "secret<name='a')"),
        ("secret(a ~ '/b')", "secret<name=<a> ~ '/b')"),
        ("secret(name=a)", "secret<name=<a>)"),
        ("secret()", "secret<)"),
        ("secret.x", "<secret.x>"),
        ("1 in [a, true]", "1 in [<a>, true]"),
    ];
    for (text, expected) in cases {
        assert_eq!(plain(text), expected, "{text}");
    }
}

#[test]
fn finds_the_way_back_to_the_original_text() {
    let text = "x {{ a.b == c }}";
    let strict = Strict::text(text, Whole::Typed);
    let at = strict.source.find("a.b").unwrap();
    assert_eq!(&text[strict.original(&(at..at + 3))], "a.b");
    let at = strict.source.find("== ").unwrap();
    assert_eq!(&text[strict.original(&(at..at + 2))], "==");
}

#[test]
fn leaves_raw_text_and_comments_alone() {
    for text in [
        "{% raw %}{{ a }}{% endraw %}",
        "{# {{ a }} #}b",
        "{{ 'a }} b",
    ] {
        let strict = Strict::text(text, Whole::Typed);
        assert!(strict.paths.is_empty(), "{text}: {strict:?}");
    }
}

proptest::proptest! {
    #[test]
    fn never_panics_and_loses_no_text(text in "[a-c{}%#.'\\[\\]|() ?é\n-]{0,40}") {
        for strict in [Strict::text(&text, Whole::Typed), Strict::expression(&text)] {
            let mut kept = strict.source.clone();
            for (at, length) in &strict.inserted {
                kept.drain(*at..at + length);
            }
            assert_eq!(kept, text);
            let all = strict.original(&(0..strict.source.len()));
            assert!(all.end <= text.len());
        }
    }
}

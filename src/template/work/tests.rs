use std::fmt::Write as _;

use proptest::prelude::*;

use super::super::tests::{describe, names, text_node};
use super::super::{Engine, Rendered, Scope, Secrets};
use crate::secret::{REDACTED, Redactor};

const VARIABLES: &str = r#"
user: alice
on: yes
empty: []
pw: corr3ct<horse>
registry: {host: registry.example, password: corr3ct<horse>}
users: [{name: alice, password: corr3ct<horse>}, {name: robert, password: battery-st4ple}]
hash: "{{ pw | sha256 }}"
dsn: "postgres://app:{{ pw }}@db"
"#;

/// Renders a text, and gives what knows the secrets by then.
fn render(text: &str) -> (Result<String, String>, Redactor) {
    let redactor = Redactor::default();
    redactor.add("corr3ct<horse>");
    redactor.add("battery-st4ple");
    let engine = Engine::new(Secrets::Later).telling(redactor.clone());
    let names = names(VARIABLES);
    let scope = Scope::new(&engine, &names);
    let rendered = match scope.render(&text_node(text)) {
        Ok(Rendered::Value(node)) => Ok(match node.text() {
            Some(text) => text.to_owned(),
            None => node.to_json().to_string(),
        }),
        Ok(deferred) => Err(format!("{deferred:?}")),
        Err(errors) => Err(describe(&errors[0])),
    };
    (rendered, redactor)
}

#[test]
fn what_is_made_of_a_secret_is_one() {
    for text in [
        "{{ pw | upper }}",
        "{{ pw | escape_xml }}",
        "{{ pw | sha256 }}",
        "{{ pw | to_json | to_json }}",
        "{{ pw | to_yaml | upper }}",
        "{{ pw | truncate(length=6) }}",
        "{{ pw | replace(from='r', to='-') }}",
        "{{ pw[2:9] }}",
        "{{ pw[::2] }}",
        "{{ 'x' ~ (pw | upper) ~ 'y' }}",
        "{{ pw | split(pat='<') | join(sep='--') }}",
        "{{ pw | upper if on else 'off' }}",
        "{{ missing?.x or pw | lower | capitalize }}",
        "{{ missing | default(value=pw) | title }}",
        "{{ hash }}",
        "{{ hash[:12] }}",
        "{{ dsn | b64encode }}",
        "{{ registry | to_json | sha256 }}",
        "{{ [u.password | upper for u in users] | join(sep=' ') }}",
        "{% set x = pw | upper %}{{ x }}",
        "{% set x %}{{ pw }}{% endset %}{{ x | upper }}",
        "{% set x | upper %}{{ pw }}{% endset %}{{ x }}",
        "{% filter upper %}{{ pw }}{% endfilter %}",
        "{% filter upper | b64encode %}a {{ registry.password }}{% endfilter %}",
        "{% for letter in pw %}{{ letter }} {% endfor %}",
        "{% for letter in pw %}{{ letter | upper }}{% endfor %}",
        "{% for part in pw | split(pat='r') %}{{ part }},{% endfor %}",
        "{% for u in users %}{{ u.password | upper }} {% endfor %}",
        "{% set first = pw[:3] %}a{{ first }}b{{ first }}c",
        "{% set x %}{% for letter in pw %}{{ letter }}.{% endfor %}{% endset %}{{ x }}",
    ] {
        let (rendered, redactor) = render(text);
        let rendered = rendered.unwrap();
        let shown = redactor.redact(&rendered);
        assert!(
            shown.contains(REDACTED),
            "{text}: {rendered} is shown as {shown}"
        );
        let declared = serde_json::json!({ "content": rendered });
        assert!(redactor.finds_in(&declared), "{text}");
    }
}

#[test]
fn what_is_not_made_of_a_secret_stays_readable() {
    for (text, public) in [
        (
            "user={{ user | upper }} pw={{ pw | upper }}",
            "user=ALICE pw=",
        ),
        (
            "{{ 'enabled' if pw else 'disabled' }} {{ pw | upper }}",
            "enabled",
        ),
        ("{% if pw %}{{ user }}{% endif %} {{ pw }}", "alice"),
        (
            "{{ registry.host }} {{ registry.password }}",
            "registry.example",
        ),
        ("{{ registry | to_json }}", "registry.example"),
        (
            "{% for u in users %}{{ u.name }}: {{ u.password | upper }}\n{% endfor %}",
            "robert: ",
        ),
        (
            "{{ pw | length }} {{ pw is defined }} {{ user }}",
            "14 true alice",
        ),
        (
            "{% set x = pw | upper %}{% set x = user %}{{ x }} {{ x }}",
            "alice alice",
        ),
    ] {
        let (rendered, redactor) = render(text);
        let rendered = rendered.unwrap();
        let shown = redactor.redact(&rendered);
        assert!(
            shown.contains(public),
            "{text}: {rendered} is shown as {shown}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever filters a secret goes through, and in whichever block: what comes out is hidden.
    #[test]
    fn nothing_made_of_a_secret_is_shown(
        filters in prop::collection::vec(prop::sample::select(vec![
            "upper", "lower", "title", "capitalize", "escape_xml", "escape_html", "sha256",
            "to_json", "b64encode", "quote", "trim", "truncate(length=7)", "indent(first=true)",
            "replace(from='e', to='33')", "reverse | str", "split(pat='r') | join(sep='+')", "str",
        ]), 1..5),
        block in 0..5_usize,
    ) {
        let chain = filters.join(" | ");
        let text = match block {
            0 => format!("{{{{ pw | {chain} }}}}"),
            1 => format!("a {{% set x = pw | {chain} %}}{{{{ x }}}}"),
            2 => format!("{{% filter {chain} %}}{{{{ pw }}}}{{% endfilter %}}"),
            3 => format!("{{% set x %}}{{{{ pw }}}}{{% endset %}}{{{{ x | {chain} }}}}"),
            _ => format!("{{% for p in [pw] %}}{{{{ p | {chain} }}}}{{% endfor %}}"),
        };
        let (rendered, redactor) = render(&text);
        let rendered = rendered.map_err(TestCaseError::fail)?;
        let made = rendered.strip_prefix("a ").unwrap_or(&rendered);
        let shown = redactor.redact(&rendered);
        prop_assert!(!shown.contains(made), "{text}: {made} is shown in {shown}");
    }
}

#[test]
fn what_has_no_end_is_ended_at_its_place() {
    let doubled = |times: usize| {
        format!(
            "{{% set x = 'aaaaaaaa' %}}{{% for i in range(end={times}) %}}\
             {{% set_global x = x ~ x %}}{{% endfor %}}"
        )
    };
    let letters = (0..12).fold(String::new(), |mut text, at| {
        write!(text, "{{% for a{at} in '0123456789' %}}").unwrap();
        text
    });
    let long = "0123456789".repeat(20);
    for (text, place, message) in [
        (
            doubled(40) + "{{ x }}",
            "x ~ x",
            "a value comes to more than 16 MiB",
        ),
        (
            doubled(15) + "{{ x | replace(from='a', to=x) }}",
            "",
            "this filter gives more than 16 MiB",
        ),
        (
            doubled(12) + "{% set y = [x for i in range(end=100000)] | join %}",
            "",
            "the template does not come to an end",
        ),
        (
            format!("{{{{ '\"' {}}}}}", "| to_json ".repeat(40)),
            "",
            "this filter gives more than 16 MiB",
        ),
        (
            "{% for a in range(end=100000) %}{% for b in range(end=100000) %}{% endfor %}\
             {% endfor %}"
                .to_owned(),
            "range(end=100000)",
            "the template does not come to an end",
        ),
        (
            letters + &"{% endfor %}".repeat(12),
            "'0123456789'",
            "the template does not come to an end",
        ),
        (
            "{{ [[1 for a in range(end=100000)] for b in range(end=100000)] | length }}".to_owned(),
            "",
            "the template does not come to an end",
        ),
        (
            format!("{{% for a in range(end=100000) %}}{long}{{% endfor %}}"),
            "range(end=100000)",
            "the template gives more than 16 MiB",
        ),
        (
            format!(
                "{{% set x %}}{{% for a in range(end=1000) %}}{{% for b in range(end=1000) %}}{long}\
                 {{% endfor %}}{{% endfor %}}{{% endset %}}"
            ),
            "range(end=1000)",
            "the template does not come to an end",
        ),
    ] {
        let error = render(&text).0.unwrap_err();
        assert!(error.contains(message), "{text:.80}: {error}");
        assert!(error.contains("loop over fewer items"), "{error}");
        if !place.is_empty() {
            assert!(error.starts_with(&format!("[{place}] ")), "{error}");
        }
    }
}

#[test]
fn what_has_an_end_is_not_ended() {
    for (text, length) in [
        (
            "{% for a in range(end=20000) %}server {{ a }} on port {{ a + 1 }}\n{% endfor %}",
            400_000,
        ),
        (
            "{% for a in range(end=300) %}{% for b in range(end=300) %}{{ b }},{% endfor %}{% endfor %}",
            300_000,
        ),
        ("{{ range(end=100000) | join(sep=' ') }}", 500_000),
    ] {
        let rendered = render(text).0.unwrap();
        assert!(rendered.len() > length, "{}", rendered.len());
    }
}

#[test]
fn fuzz_template() {
    let samples = [
        "{% for u in users %}{{ loop.index }}: {{ u.name | upper }}{% if not loop.last %}, {% endif %}{% endfor %}",
        "{% set x = 1 %}{{ x + 2 * 3 // 1 % 2 ** 2 }} {{ registry['host'] | default(value='y') }}",
        "{% raw %}{{ a }}{% endraw %}{# c #}{{- pw[1:] -}} {{ 'a' in user and on or not empty }}",
        "{{ users | map(attribute='name') | join(sep=',') }} {{ missing?.x or 1.5e3 }}",
    ];
    crate::fuzz::feed("template", samples, |bytes| {
        let _ = render(&String::from_utf8_lossy(bytes));
    });
}

/// What nests or goes on without end is refused or worked off, and never ends fleet.
#[test]
fn no_depth_overflows_the_stack() {
    let n = 3000;
    let nested = |open: &str, close: &str| format!("{}1{}", open.repeat(n), close.repeat(n));
    let expressions = [
        nested("(", ")"),
        nested("[", "]"),
        nested("{'a':", "}"),
        nested("range(end=", ")"),
        nested("not ", ""),
        nested("- ", ""),
        nested("", "+ 1"),
        nested("", "~ 'b'"),
        nested("", "| upper"),
        nested("", "** 1"),
        nested("", "[0]"),
        nested("", ".a"),
        nested("", " if on else 1"),
        nested("", " and on"),
        nested("", " or on"),
    ];
    for expression in expressions {
        let _ = render(&format!("{{{{ {expression} }}}}"));
    }
    for (open, close) in [
        ("{% if on %}", "{% endif %}"),
        ("{% for a in [1] %}", "{% endfor %}"),
        ("{% filter upper %}", "{% endfilter %}"),
        ("{% if on %}{% else %}", "{% endif %}"),
        ("{% if on %}{% elif on %}", "{% endif %}"),
        ("{% for a in [] %}{% else %}", "{% endfor %}"),
    ] {
        let _ = render(&nested(open, close));
    }
    let sum =
        |operators: usize| render(&format!("{{{{ 1{} }}}}", " * 1 // 1".repeat(operators / 2))).0;
    assert_eq!(sum(100), Ok("1".to_owned()));
    let refused = "[*] more than 100 operators in one expression (give parts of it names with `set` or as variables)";
    assert_eq!(sum(102), Err(refused.to_owned()));
    let _ = sum(6000);
    let choice = |elifs: usize| {
        let elifs = "{% elif not on %}".repeat(elifs);
        render(&format!(
            "{{% if not on %}}{elifs}{{% else %}}x{{% endif %}}"
        ))
        .0
    };
    assert_eq!(choice(199), Ok("x".to_owned()));
    let refused = "[elif] more than 200 `elif` and `else` in one another (look the value up in a mapping instead)";
    assert_eq!(choice(n), Err(refused.to_owned()));
}

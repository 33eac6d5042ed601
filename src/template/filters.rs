//! What templates can do to a value beyond Tera's own filters.
//!
//! None of them reads a file, the environment or the clock: the same variables always give the
//! same text.

#![expect(
    clippy::needless_pass_by_value,
    reason = "Tera gives filters owned values"
)]

use std::borrow::Cow;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use sha2::{Digest, Sha256};
use tera::{Error, Kwargs, State, Tera, TeraResult, Value};

use super::{scan, work};

/// Names of all filters, Tera's own included: for "did you mean".
pub(super) const NAMES: [&str; 46] = [
    "abs",
    "b64decode",
    "b64encode",
    "basename",
    "capitalize",
    "default",
    "dirname",
    "escape",
    "escape_html",
    "escape_xml",
    "first",
    "float",
    "get",
    "group_by",
    "indent",
    "int",
    "join",
    "keys",
    "last",
    "length",
    "lower",
    "newlines_to_br",
    "nth",
    "pairs",
    "pluralize",
    "quote",
    "replace",
    "reverse",
    "round",
    "safe",
    "sha256",
    "sort",
    "split",
    "str",
    "title",
    "to_json",
    "to_nice_json",
    "to_yaml",
    "trim",
    "trim_end",
    "trim_start",
    "truncate",
    "unique",
    "upper",
    "values",
    "wordcount",
];

pub(super) fn register(tera: &mut Tera) {
    tera.register_filter(scan::DEFINED, defined);
    tera.register_filter(scan::JSON, to_json);
    tera.register_filter("to_json", to_json);
    tera.register_filter("to_nice_json", to_nice_json);
    tera.register_filter("to_yaml", to_yaml);
    tera.register_filter("b64encode", |text: Cow<'_, str>, _: Kwargs, _: &State| {
        STANDARD.encode(text.as_bytes())
    });
    tera.register_filter("b64decode", b64decode);
    tera.register_filter("sha256", |text: Cow<'_, str>, _: Kwargs, _: &State| {
        Sha256::digest(text.as_bytes())
            .iter()
            .fold(String::with_capacity(64), |mut hex, byte| {
                write!(hex, "{byte:02x}").expect("writing to a String cannot fail");
                hex
            })
    });
    tera.register_filter("basename", |path: Cow<'_, str>, _: Kwargs, _: &State| {
        path.rsplit('/').next().unwrap_or_default().to_owned()
    });
    tera.register_filter("dirname", |path: Cow<'_, str>, _: Kwargs, _: &State| {
        dirname(&path)
    });
    tera.register_filter("replace", replace);
    tera.register_filter("join", join);
    tera.register_filter("indent", indent);
    tera.register_filter("quote", |text: Cow<'_, str>, _: Kwargs, _: &State| {
        quote(&text)
    });
}

/// Begins the message of [`defined`]; the number of the place follows.
pub(super) const UNDEFINED: &str = "undefined:";

fn defined(value: Value, arguments: Kwargs, _: &State) -> TeraResult<Value> {
    work::read(&value, &arguments)?;
    if value.is_undefined() {
        return Err(Error::message(format!(
            "{UNDEFINED}{}",
            arguments.must_get::<u64>("n")?
        )));
    }
    Ok(value)
}

fn to_json(value: Value, _: Kwargs, _: &State) -> TeraResult<String> {
    let json = serde_json::to_string(refuse_undefined(&value)?).map_err(Error::message)?;
    affordable(json.len())?;
    Ok(json)
}

fn to_nice_json(value: Value, arguments: Kwargs, _: &State) -> TeraResult<String> {
    let indent = arguments.get::<u64>("indent")?.unwrap_or(4).min(16);
    let indent = " ".repeat(usize::try_from(indent).unwrap_or(4));
    let mut json = Vec::new();
    let format = serde_json::ser::PrettyFormatter::with_indent(indent.as_bytes());
    let mut writer = serde_json::Serializer::with_formatter(&mut json, format);
    refuse_undefined(&value)?
        .serialize(&mut writer)
        .map_err(Error::message)?;
    affordable(json.len())?;
    String::from_utf8(json).map_err(Error::message)
}

fn to_yaml(value: Value, _: Kwargs, _: &State) -> TeraResult<String> {
    let yaml = serde_saphyr::to_string(refuse_undefined(&value)?).map_err(Error::message)?;
    affordable(yaml.len())?;
    Ok(yaml)
}

fn refuse_undefined(value: &Value) -> TeraResult<&Value> {
    if value.is_undefined() {
        return Err(Error::message("the value is undefined"));
    }
    Ok(value)
}

/// Refuses a result of so many bytes before it is made.
fn affordable(bytes: usize) -> TeraResult<()> {
    if bytes > work::LARGEST {
        return Err(work::refuse(&work::too_large("this filter gives")));
    }
    Ok(())
}

/// As Tera's own, which has no limit.
fn replace(text: Cow<'_, str>, arguments: Kwargs, _: &State) -> TeraResult<String> {
    let from: &str = arguments.must_get("from")?;
    let to: Cow<'_, str> = arguments.must_get("to")?;
    let grown = text.matches(from).count().saturating_mul(to.len());
    affordable(grown.saturating_add(text.len()))?;
    Ok(text.replace(from, &to))
}

/// As Tera's own, which has no limit.
fn join(items: &[Value], arguments: Kwargs, _: &State) -> TeraResult<String> {
    let separator: Option<Cow<'_, str>> = arguments.get("sep")?;
    let separator = separator.unwrap_or_default();
    let mut joined = String::new();
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            joined.push_str(&separator);
        }
        write!(joined, "{item}").map_err(Error::message)?;
        affordable(joined.len())?;
    }
    Ok(joined)
}

/// As Tera's own, which has no limit.
fn indent(text: &str, arguments: Kwargs, _: &State) -> TeraResult<String> {
    let width = arguments.get::<usize>("width")?.unwrap_or(4).min(1000);
    let letter: Option<&str> = arguments.get("indentation")?;
    let letter = letter.unwrap_or(" ");
    if letter.chars().count() != 1 {
        return Err(Error::message(
            "The `indentation` argument must contain exactly one character",
        ));
    }
    let first = arguments.get::<bool>("first")?.unwrap_or(false);
    let blank = arguments.get::<bool>("blank")?.unwrap_or(false);
    let before = letter.repeat(width);
    let mut indented = String::with_capacity(text.len());
    for (at, line) in text.lines().enumerate() {
        if at > 0 {
            indented.push('\n');
        }
        let wanted = if at == 0 {
            first
        } else {
            blank || !line.is_empty()
        };
        if wanted {
            indented.push_str(&before);
        }
        indented.push_str(line);
        affordable(indented.len())?;
    }
    if text.ends_with('\n') {
        indented.push('\n');
    }
    Ok(indented)
}

fn b64decode(text: Cow<'_, str>, _: Kwargs, _: &State) -> TeraResult<String> {
    let bytes = STANDARD
        .decode(text.trim())
        .map_err(|error| Error::message(format!("`b64decode` was given no base64: {error}")))?;
    String::from_utf8(bytes)
        .map_err(|_| Error::message("`b64decode` gives bytes that are no UTF-8 text"))
}

/// As dirname(3) for absolute paths; as Ansible for `a`, whose folder is the empty text.
fn dirname(path: &str) -> String {
    match path.rsplit_once('/') {
        Some(("", _)) => "/".to_owned(),
        Some((folder, _)) => folder.to_owned(),
        None => String::new(),
    }
}

/// One word for a POSIX shell, whatever the text holds.
fn quote(text: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    if !text.is_empty() && text.chars().all(safe) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r#"'"'"'"#))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(text: &str) -> Result<String, String> {
        let mut tera = Tera::default();
        tera.autoescape_on(Vec::<&str>::new());
        register(&mut tera);
        let mut context = tera::Context::new();
        context.insert("map", &serde_json::json!({"b": [1, "x"], "a": null}));
        tera.render_str(text, &context, false)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn does_what_the_manual_says() {
        let cases = [
            ("{{ map | to_json }}", r#"{"b":[1,"x"],"a":null}"#),
            ("{{ [1] | to_nice_json }}", "[\n    1\n]"),
            ("{{ map | to_yaml }}", "b:\n- 1\n- x\na: null\n"),
            ("{{ 'a&b' | b64encode }}", "YSZi"),
            ("{{ 'YSZi' | b64decode }}", "a&b"),
            (
                "{{ 'abc' | sha256 }}",
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            ),
            ("{{ '/etc/docker/daemon.json' | basename }}", "daemon.json"),
            ("{{ '/etc/docker/daemon.json' | dirname }}", "/etc/docker"),
            ("{{ '/etc' | dirname }}", "/"),
            ("{{ 'a b' | quote }}", "'a b'"),
            ("{{ \"it's\" | quote }}", r#"'it'"'"'s'"#),
            ("{{ '' | quote }}", "''"),
            ("{{ '/a-b_c.d' | quote }}", "/a-b_c.d"),
        ];
        for (text, expected) in cases {
            assert_eq!(render(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn lists_only_filters_that_exist() {
        for name in NAMES {
            let error = render(&format!("{{{{ map | {name} }}}}"))
                .err()
                .unwrap_or_default();
            assert!(!error.contains("Unknown filter"), "{error}");
        }
    }

    #[test]
    fn refuses_what_is_no_base64() {
        assert!(
            render("{{ '*' | b64decode }}")
                .unwrap_err()
                .contains("was given no base64")
        );
        assert!(
            render("{{ '/w==' | b64decode }}")
                .unwrap_err()
                .contains("no UTF-8")
        );
    }
}

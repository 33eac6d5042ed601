//! Where Tera is not Jinja: the words that turn its errors into a way out for an Ansible user.

use crate::diagnostic::nearest;

/// Filters of Ansible and Jinja that Tera has under another name, or not at all.
const FILTERS: [(&str, &str); 22] = [
    (
        "bool",
        "a value of type boolean needs no filter; compare a text: `x == 'yes'`",
    ),
    ("count", "write `x | length`"),
    ("d", "write `x | default(value='y')` or `x or 'y'`"),
    ("dict2items", "write `x | pairs`: a list of [key, value]"),
    ("e", "write `x | escape_html`"),
    (
        "from_json",
        "values keep their type; only texts from hosts would need it",
    ),
    ("hash", "write `x | sha256`"),
    ("ipaddr", "not available in fleet"),
    ("items", "write `x | pairs`, or `{% for key, value in x %}`"),
    (
        "list",
        "lists need no conversion; for the keys of a map write `x | keys`",
    ),
    (
        "lookup",
        "there are no lookups: templates read no files and run no commands",
    ),
    (
        "mandatory",
        "undefined variables are always errors; drop the filter",
    ),
    ("map", "write `[x.name for x in list]`"),
    ("max", "write `x | sort | last`"),
    ("min", "write `x | sort | first`"),
    (
        "regex_replace",
        "not available; `replace(from=…, to=…)` replaces plain text",
    ),
    ("reject", "write `[x for x in list if not …]`"),
    ("rejectattr", "write `[x for x in list if not x.name]`"),
    ("select", "write `[x for x in list if …]`"),
    ("selectattr", "write `[x for x in list if x.name == 'y']`"),
    ("string", "write `x | str`"),
    ("to_nice_yaml", "write `x | to_yaml`"),
];

/// Tests of Ansible on registered results: they are plain fields here.
const TESTS: [(&str, &str); 9] = [
    ("changed", "write `x.changed`"),
    ("failed", "write `x.failed`"),
    ("skipped", "write `x.skipped`"),
    ("succeeded", "write `not x.failed`"),
    ("success", "write `not x.failed`"),
    ("mapping", "write `x is map`"),
    ("sequence", "write `x is array`"),
    ("search", "write `x is containing(pat='…')`"),
    ("match", "write `x is starting_with(pat='…')`"),
];

/// The help for an error of Tera's, from its message and the code at its place.
pub(super) fn help(message: &str, code: &str, before: &str) -> Option<String> {
    let quoted = message.split('`').nth(1).unwrap_or_default();
    if message.starts_with("Unknown filter") {
        return from(&FILTERS, quoted).or_else(|| {
            nearest(quoted, super::filters::NAMES).map(|name| format!("did you mean `{name}`?"))
        });
    }
    if message.starts_with("Unknown test") {
        return from(&TESTS, quoted);
    }
    if message.starts_with("Unknown function") {
        return from(&FILTERS, quoted);
    }
    if message.starts_with("Function calls are only allowed") {
        return Some("values have no methods; use filters: `x | split(pat=',')`".to_owned());
    }
    if message.contains("expected identifier") || message.contains("expected =") {
        let call = before.trim_end().strip_suffix('(').unwrap_or(before);
        let name = call
            .rsplit(|c: char| !c.is_alphanumeric() && c != '_')
            .next();
        return Some(match name {
            Some("default") => {
                format!("arguments have names: write `default(value={code})`, or `x or {code}`")
            }
            Some("join") => format!("arguments have names: write `join(sep={code})`"),
            Some("split") => format!("arguments have names: write `split(pat={code})`"),
            Some("replace") => "arguments have names: write `replace(from=…, to=…)`".to_owned(),
            Some("round") => format!("arguments have names: write `round(precision={code})`"),
            _ => "arguments of filters and tests have names: `x | join(sep=',')`".to_owned(),
        });
    }
    None
}

fn from(table: &[(&str, &str)], name: &str) -> Option<String> {
    table
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, help)| (*help).to_owned())
}

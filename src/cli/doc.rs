//! `fleet doc`: the reference of kinds, made from the very types that tasks are read into.

use std::fmt::Write;

use clap::Args;
use serde_json::Value;

use super::session::Session;
use crate::error::{Error, ErrorKind};
use crate::playbook::{KindEntry, kinds};
use crate::report::ExitCode;

/// Arguments of `fleet doc`.
#[derive(Args, Clone, Debug)]
pub(super) struct DocArgs {
    /// The kind to explain; all are listed without it
    #[arg(value_name = "KIND")]
    kind: Option<String>,
}

/// One kind, as far as it explains itself.
#[derive(Clone, Debug)]
struct Page {
    name: &'static str,
    /// Its manual, in lines as they are to be printed.
    manual: &'static str,
    example: &'static str,
    /// Its JSON schema.
    schema: Value,
}

/// One field of a kind.
struct Field<'a> {
    name: &'a str,
    r#type: String,
    required: bool,
    /// What it is without being given, where that is anything.
    default: Option<String>,
    about: String,
    /// The fields of the mapping it is, or is a list of.
    fields: Vec<Field<'a>>,
}

pub(super) fn run(session: &mut Session, args: &DocArgs) -> Result<ExitCode, Error> {
    let pages = pages();
    let text = match &args.kind {
        None => list(&pages),
        Some(name) => match pages.iter().find(|page| page.name == name) {
            Some(page) => page.render(),
            None => return Err(unknown(name, &pages)),
        },
    };
    session.output.write(&text)?;
    Ok(ExitCode::AsDeclared)
}

fn unknown(name: &str, pages: &[Page]) -> Error {
    let error = Error::new(ErrorKind::Usage, format!("there is no kind `{name}`"));
    match crate::diagnostic::nearest(name, pages.iter().map(|page| page.name)) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error.hint("`fleet doc` lists all kinds"),
    }
}

/// Every kind with the first sentence about it.
fn list(pages: &[Page]) -> String {
    let width = pages
        .iter()
        .map(|page| page.name.len())
        .max()
        .unwrap_or_default();
    pages.iter().fold(String::new(), |mut out, page| {
        let about = page.about();
        let first = about.split_once(". ").map_or(&*about, |(first, _)| first);
        let line = format!("{:width$}  {}", page.name, first.trim_end_matches('.'));
        writeln!(out, "{}", line.trim_end()).expect("a String takes everything");
        out
    })
}

impl Page {
    fn about(&self) -> String {
        paragraphs(&self.schema).join(" ")
    }

    /// The whole page: what it is, its fields, an example.
    fn render(&self) -> String {
        let mut blocks = vec![self.name.to_owned()];
        if self.manual.is_empty() {
            blocks.extend(paragraphs(&self.schema));
        } else {
            blocks.push(self.manual.to_owned());
        }
        let fields = self.fields();
        if !fields.is_empty() {
            let fields: Vec<_> = fields.iter().map(|field| field.render(2)).collect();
            blocks.push(format!("FIELDS\n{}", fields.join("\n")));
        }
        let example: Vec<_> = self
            .example
            .trim()
            .lines()
            .map(|line| indented(2, line))
            .collect();
        blocks.push(format!("EXAMPLE\n{}", example.join("\n")));
        blocks.join("\n\n") + "\n"
    }

    /// The fields, required ones first, else in the order of the type.
    fn fields(&self) -> Vec<Field<'_>> {
        self.fields_of(&self.schema)
    }

    fn fields_of<'a>(&'a self, schema: &'a Value) -> Vec<Field<'a>> {
        let schema = self.resolve(schema);
        let schema = schema
            .get("items")
            .map_or(schema, |items| self.resolve(items));
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
            return Vec::new();
        };
        let required = schema.get("required").and_then(Value::as_array);
        let required = |name: &str| required.is_some_and(|all| all.iter().any(|one| one == name));
        let mut fields: Vec<_> = properties
            .iter()
            .map(|(name, schema)| {
                let mut about = paragraphs(self.resolve(schema)).join(" ");
                let own = paragraphs(schema).join(" ");
                if !own.is_empty() {
                    about = own;
                }
                let r#type = self.type_of(schema);
                let required = required(name);
                let default = match schema.get("default") {
                    // What `no` says is left out of what is sent, and so of the schema.
                    None if !required && r#type == "yes or no" => self.unless_optional(schema),
                    None => None,
                    Some(value) => default(value),
                };
                Field {
                    name,
                    r#type,
                    required,
                    default,
                    about,
                    fields: self.fields_of(schema),
                }
            })
            .collect();
        fields.sort_by_key(|field| !field.required);
        fields
    }

    /// `no` for a truth that is always one way or the other.
    fn unless_optional(&self, schema: &Value) -> Option<String> {
        let always = self.resolve(schema).get("type")? == "boolean";
        always.then(|| "no".to_owned())
    }

    /// Follows a `$ref` into the schema's own definitions.
    fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        let name = schema.get("$ref").and_then(Value::as_str);
        name.and_then(|name| self.schema.pointer(name.strip_prefix('#')?))
            .unwrap_or(schema)
    }

    /// The type in words, as it is written in YAML.
    fn type_of(&self, schema: &Value) -> String {
        let schema = self.resolve(schema);
        if let Some(choices) = schema.get("anyOf").or_else(|| schema.get("oneOf")) {
            return self.choices(choices);
        }
        if let Some(values) = schema.get("enum").and_then(Value::as_array) {
            return values.iter().map(literal).collect::<Vec<_>>().join(" | ");
        }
        if let Some(value) = schema.get("const") {
            return literal(value);
        }
        match schema.get("type") {
            Some(Value::String(name)) => self.named(name, schema),
            // `["string", "null"]`: what may be left out is not worth the word.
            Some(Value::Array(names)) => {
                let names = names
                    .iter()
                    .filter_map(Value::as_str)
                    .filter(|name| *name != "null");
                names
                    .map(|name| self.named(name, schema))
                    .collect::<Vec<_>>()
                    .join(" or ")
            }
            _ => "anything".to_owned(),
        }
    }

    fn choices(&self, choices: &Value) -> String {
        let choices = choices.as_array().map(Vec::as_slice).unwrap_or_default();
        let mut names: Vec<_> = choices
            .iter()
            .filter(|choice| choice.get("type").is_none_or(|name| name != "null"))
            .map(|choice| self.type_of(choice))
            .collect();
        names.dedup();
        let all_literal = choices
            .iter()
            .all(|one| one.get("const").or(one.get("enum")).is_some());
        names.join(if all_literal { " | " } else { " or " })
    }

    fn named(&self, name: &str, schema: &Value) -> String {
        match name {
            "string" => "text".to_owned(),
            "boolean" => "yes or no".to_owned(),
            "array" => match schema.get("items") {
                Some(items) => format!("list of {}", self.type_of(items)),
                None => "list".to_owned(),
            },
            "object" => "mapping".to_owned(),
            other => other.to_owned(),
        }
    }
}

impl Field<'_> {
    fn render(&self, indent: usize) -> String {
        let given = match &self.default {
            _ if self.required => ", required".to_owned(),
            Some(default) => format!(", default {default}"),
            None => String::new(),
        };
        let head = format!("{:indent$}{} ({}{given})", "", self.name, self.r#type);
        let about = (!self.about.is_empty()).then(|| format!("{:indent$}    {}", "", self.about));
        let fields = self.fields.iter().map(|field| field.render(indent + 4));
        let lines: Vec<_> = std::iter::once(head).chain(about).chain(fields).collect();
        lines.join("\n")
    }
}

fn literal(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// A default as it would be written; nothing and empty are none.
fn default(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::Bool(true) => Some("yes".to_owned()),
        Value::Bool(false) => Some("no".to_owned()),
        Value::Array(items) if items.is_empty() => None,
        Value::Object(entries) if entries.is_empty() => None,
        Value::String(text) if text.is_empty() => None,
        value => Some(literal(value)),
    }
}

fn indented(by: usize, line: &str) -> String {
    format!("{:by$}{line}", "").trim_end().to_owned()
}

/// The description of a schema: rustdoc's line breaks are not the reader's.
fn paragraphs(schema: &Value) -> Vec<String> {
    let about = schema
        .get("description")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let paragraphs = about.split("\n\n").filter(|text| !text.trim().is_empty());
    paragraphs
        .map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

/// All kinds, in alphabetical order.
fn pages() -> Vec<Page> {
    let page = |kind: &KindEntry| Page {
        name: kind.name,
        manual: kind.manual,
        example: kind.example,
        schema: kind.schema.clone().to_value(),
    };
    kinds().values().map(page).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> Page {
        let schema = serde_json::json!({
            "description": "A unit of systemd.\nSecond line.\n\nMore about it.",
            "required": ["name"],
            "properties": {
                "state": { "$ref": "#/$defs/State", "description": "Whether it runs." },
                "name": { "type": "string", "description": "The unit." },
                "enabled": { "type": ["boolean", "null"] },
                "reload": { "type": "boolean", "default": true },
                "wait": { "type": "boolean" },
                "timeout": { "type": "integer", "default": 30 },
                "note": { "type": ["string", "null"], "default": null },
                "ports": { "type": "array", "items": { "type": "integer" } },
                "mask": { "anyOf": [{ "$ref": "#/$defs/State" }, { "type": "null" }] },
                "extra": true,
            },
            "$defs": { "State": {
                "description": "Not shown where the field says more.",
                "oneOf": [{ "const": "started", "type": "string" }, { "const": "stopped" }],
            } },
        });
        Page {
            name: "unit",
            manual: "",
            example: "- unit:\n    name: sshd\n",
            schema,
        }
    }

    #[test]
    fn a_page_explains_every_field_in_the_words_of_yaml() {
        insta::assert_snapshot!(page().render(), @"
        unit

        A unit of systemd. Second line.

        More about it.

        FIELDS
          name (text, required)
              The unit.
          state (started | stopped)
              Whether it runs.
          enabled (yes or no)
          reload (yes or no, default yes)
          wait (yes or no, default no)
          timeout (integer, default 30)
          note (text)
          ports (list of integer)
          mask (started | stopped)
          extra (anything)

        EXAMPLE
          - unit:
              name: sshd
        ");
    }

    #[test]
    fn a_manual_is_printed_in_its_own_lines() {
        let page = Page {
            manual: "A unit.\n\n- `started`: it\n  runs.",
            schema: serde_json::json!({}),
            ..page()
        };
        insta::assert_snapshot!(page.render(), @"
        unit

        A unit.

        - `started`: it
          runs.

        EXAMPLE
          - unit:
              name: sshd
        ");
    }

    #[test]
    fn the_list_has_the_first_sentence_of_each() {
        let other = Page {
            name: "x",
            schema: serde_json::json!({}),
            ..page()
        };
        insta::assert_snapshot!(list(&[page(), other]), @"
        unit  A unit of systemd
        x
        ");
    }

    #[test]
    fn an_unknown_kind_is_answered_with_the_nearest() {
        let error = unknown("unti", &[page()]);
        assert_eq!(error.message, "there is no kind `unti`");
        assert_eq!(error.hints, ["did you mean `unit`?"]);
        assert_eq!(
            unknown("database", &[page()]).hints,
            ["`fleet doc` lists all kinds"]
        );
    }

    #[test]
    fn every_kind_has_a_sentence_an_example_and_typed_fields() {
        for page in pages() {
            assert!(
                !page.about().is_empty(),
                "{} does not say what it is",
                page.name
            );
            assert!(
                !page.example.trim().is_empty(),
                "{} has no example",
                page.name
            );
            for field in page.fields() {
                assert!(!field.about.is_empty(), "{}.{}", page.name, field.name);
                assert!(!field.r#type.is_empty(), "{}.{}", page.name, field.name);
            }
        }
    }
}

//! The table of kinds: every key a task may be about, on the host or on the controller.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use super::action::{Action, Assert, Debug, Fail, SetFact, Template};
use crate::resource::{AnyResource, KindVisitor, Resource, visit_kinds};
use crate::yaml::{Node, Span, TypeError, Yaml, from_node};

/// Where a kind does its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// It is sent to the host.
    Host,
    /// The controller does it all, or turns it into a kind of the host.
    Controller,
}

/// What a task declares, read from its rendered arguments.
#[derive(Clone, Debug)]
pub enum Declared {
    /// Something about the host.
    Resource(Box<AnyResource>),
    /// Something the controller does.
    Action(Action),
}

type Parse = dyn Fn(&Node) -> Result<Declared, TypeError> + Send + Sync;

/// The manual of every kind of the host by its name, as `build.rs` finds them.
const MANUALS: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/manuals.rs"));

/// One kind: its name, its fields, and the way from YAML to it.
pub struct KindEntry {
    /// The task key.
    pub name: &'static str,
    /// What it is and does, in paragraphs of lines; empty if the type's own words are all.
    pub manual: &'static str,
    /// Tasks that show every field.
    pub example: &'static str,
    /// The fields with their types and docs.
    pub schema: schemars::Schema,
    /// Where it works.
    pub side: Side,
    parse: Box<Parse>,
}

impl fmt::Debug for KindEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KindEntry").field(&self.name).finish()
    }
}

impl KindEntry {
    /// Reads rendered arguments.
    ///
    /// # Errors
    /// One for every field that is wrong: what is wrong is taken out, and the rest read again.
    pub fn parse(&self, arguments: &Node) -> Result<Declared, Vec<TypeError>> {
        let mut errors = Vec::new();
        let mut rest = arguments.clone();
        loop {
            let error = match (self.parse)(&rest) {
                Ok(declared) if errors.is_empty() => return Ok(declared),
                Ok(_) => return Err(errors),
                Err(error) => error,
            };
            let Yaml::Mapping(entries) = &mut rest.value else {
                return Err(vec![error]);
            };
            let inside = |span: &Span| span.start <= error.span.start && error.span.end <= span.end;
            let before = entries.len();
            entries.retain(|(key, value)| !inside(&key.span) && !inside(&value.span));
            // What is wrong with the whole, such as a missing field, may be so only for what was
            // taken out.
            if entries.len() == before {
                if errors.is_empty() {
                    errors.push(error);
                }
                return Err(errors);
            }
            errors.push(error);
        }
    }

    /// Reads those arguments that are known: what other fields are is not known yet, so that one
    /// is missing is no mistake.
    #[must_use]
    pub fn check_known(&self, arguments: &Node) -> Vec<TypeError> {
        let is_whole =
            |span: &Span| (span.start, span.end) == (arguments.span.start, arguments.span.end);
        let mut errors = self.parse(arguments).err().unwrap_or_default();
        errors.retain(|error| !is_whole(&error.span));
        errors
    }

    /// The names of its fields; `None` when any name will do (`set_fact`).
    #[must_use]
    pub fn fields(&self) -> Option<Vec<&str>> {
        if self.name == SetFact::KIND {
            return None;
        }
        let properties = self
            .schema
            .get("properties")
            .and_then(|value| value.as_object());
        Some(
            properties
                .map(|map| map.keys().map(String::as_str).collect())
                .unwrap_or_default(),
        )
    }

    /// The field a lone text is for: `command: echo hi`, as Ansible allows for two kinds.
    #[must_use]
    pub fn free_form(&self) -> Option<&'static str> {
        matches!(self.name, "command" | "shell").then_some("cmd")
    }

    /// Checks the names of the fields, for arguments whose values are not known yet.
    pub fn check_fields(&self, arguments: &Node) -> Result<(), TypeError> {
        let (Some(fields), Yaml::Mapping(entries)) = (self.fields(), &arguments.value) else {
            return Ok(());
        };
        let Some((key, _)) = entries
            .iter()
            .find(|(key, _)| !fields.contains(&key.text.as_str()))
        else {
            return Ok(());
        };
        let help = match crate::diagnostic::nearest(&key.text, fields.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("expected one of `{}`", fields.join("`, `")),
        };
        let message = format!("unknown key `{}`", key.text);
        Err(TypeError {
            message,
            span: key.span.clone(),
            help: vec![help],
        })
    }
}

static KINDS: LazyLock<BTreeMap<&'static str, KindEntry>> = LazyLock::new(|| {
    let mut table = Table(BTreeMap::new());
    visit_kinds(&mut table);
    table.action::<Assert>(Assert::KIND, Assert::EXAMPLE, Action::Assert);
    table.action::<Debug>(Debug::KIND, Debug::EXAMPLE, Action::Debug);
    table.action::<Fail>(Fail::KIND, Fail::EXAMPLE, Action::Fail);
    table.action::<SetFact>(SetFact::KIND, SetFact::EXAMPLE, Action::SetFact);
    table.action::<Template>(Template::KIND, Template::EXAMPLE, Action::Template);
    table.0
});

/// All kinds by name, in alphabetical order.
#[must_use]
pub fn kinds() -> &'static BTreeMap<&'static str, KindEntry> {
    &KINDS
}

struct Table(BTreeMap<&'static str, KindEntry>);

impl Table {
    fn add<T: JsonSchema>(
        &mut self,
        name: &'static str,
        example: &'static str,
        side: Side,
        parse: Box<Parse>,
    ) {
        let schema = schemars::schema_for!(T);
        let manual = MANUALS.iter().find(|(kind, _)| *kind == name);
        self.0.insert(
            name,
            KindEntry {
                name,
                manual: manual.map_or("", |(_, manual)| manual),
                example,
                schema,
                side,
                parse,
            },
        );
    }

    fn action<T: DeserializeOwned + JsonSchema + 'static>(
        &mut self,
        name: &'static str,
        example: &'static str,
        wrap: fn(T) -> Action,
    ) {
        let parse = move |node: &Node| from_node(node).map(wrap).map(Declared::Action);
        self.add::<T>(name, example, Side::Controller, Box::new(parse));
    }
}

impl KindVisitor for Table {
    fn visit<R: Resource + JsonSchema + 'static>(&mut self, wrap: fn(R) -> AnyResource) {
        let parse = move |node: &Node| {
            from_node(node)
                .map(wrap)
                .map(|resource| Declared::Resource(Box::new(resource)))
        };
        self.add::<R>(R::KIND, R::EXAMPLE, Side::Host, Box::new(parse));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::{self, Limits};

    #[test]
    fn every_example_is_a_list_of_tasks_that_parse() {
        for kind in kinds().values() {
            let example = yaml::parse(kind.name, kind.example, &Limits::default()).unwrap();
            let mut tasks = 0;
            for task in example
                .as_sequence()
                .expect("an example is a list of tasks")
            {
                let Some(arguments) = task.get(kind.name) else {
                    continue;
                };
                tasks += 1;
                let free = arguments.as_str().is_some() && kind.free_form().is_some();
                if !free && let Err(error) = kind.parse(arguments) {
                    panic!("{}: {}", kind.name, error[0].message);
                }
            }
            assert!(
                tasks > 0,
                "the example of `{}` shows no task of it",
                kind.name
            );
        }
    }

    #[test]
    fn every_wrong_field_is_reported() {
        let text = "{ path: relative, state: directroy, mode: 644, onwer: root, group: app }";
        let arguments = yaml::parse("test", text.to_owned(), &Limits::default()).unwrap();
        let errors = kinds()["file"].parse(&arguments).unwrap_err();
        let mut places: Vec<_> = errors.iter().map(|error| error.span.text()).collect();
        places.sort_unstable();
        assert_eq!(places, ["644", "directroy", "onwer", "relative"]);
    }

    #[test]
    fn every_kind_of_the_host_has_a_manual() {
        for kind in kinds().values().filter(|kind| kind.side == Side::Host) {
            let first = kind.manual.lines().next().unwrap_or_default();
            assert!(!first.is_empty(), "{} begins with no `//!`", kind.name);
        }
    }

    #[test]
    fn every_field_has_a_doc() {
        for kind in kinds().values() {
            let fields = kind
                .schema
                .get("properties")
                .and_then(|value| value.as_object());
            for (name, field) in fields.into_iter().flatten() {
                assert!(field.get("description").is_some(), "{}.{name}", kind.name);
            }
        }
    }
}

//! Resolves names for one task on one host.
//!
//! Configuration variables may hold templates and are rendered when first used, each at most once
//! per scope. Data (facts, registered results) is never rendered: a fact `{{ x }}` stays that
//! text. What depends on something not yet known (facts before contact, a task still running) is
//! [`Rendered::Deferred`] and names what it waits for.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use tera::Context;

use super::value::all;
use super::{
    Binding, Data, Engine, Errors, Rendered, Secrets, Source, Template, TemplateError, data, plain,
    truncated,
};
use crate::diagnostic::{Diagnostic, nearest};
use crate::yaml::{Node, Span, Yaml};

/// How many variables may be defined by one another in a row.
const DEEPEST: usize = 64;

/// The names one task sees on one host, and what they were found to be.
pub struct Scope<'s> {
    engine: &'s Engine,
    source: &'s dyn Source,
    excused: BTreeSet<String>,
    secrets: Secrets,
    known: RefCell<HashMap<String, Result<Rendered<Data>, Errors>>>,
    resolving: RefCell<Vec<(String, Span)>>,
}

impl std::fmt::Debug for Scope<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scope")
            .field("known", &self.known)
            .finish_non_exhaustive()
    }
}

impl<'s> Scope<'s> {
    /// A scope that has resolved nothing yet.
    #[must_use]
    pub fn new(engine: &'s Engine, source: &'s dyn Source) -> Self {
        Self {
            engine,
            source,
            excused: BTreeSet::new(),
            secrets: engine.secrets.clone(),
            known: RefCell::default(),
            resolving: RefCell::default(),
        }
    }

    /// Defers what asks for secrets.
    #[must_use]
    pub fn without_secrets(mut self) -> Self {
        self.secrets = Secrets::Later;
        self
    }

    /// Defers what reads these names where they are not defined: the task's `when`, which could
    /// not be decided yet, asks whether they are.
    #[must_use]
    pub fn excuse(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.excused.extend(names);
        self
    }

    /// A fresh scope over the same names, which [excuses](Self::excuse) these.
    #[must_use]
    pub fn excusing(&self, names: impl IntoIterator<Item = String>) -> Self {
        let fresh = Self::new(self.engine, self.source).excuse(names);
        Self {
            secrets: self.secrets.clone(),
            ..fresh
        }
    }

    /// The engine that compiles for this scope.
    #[must_use]
    pub fn engine(&self) -> &'s Engine {
        self.engine
    }

    /// Renders every text inside a node; keys stay as written.
    ///
    /// # Errors
    /// Everything wrong in it, each at its place.
    pub fn render(&self, node: &Node) -> Result<Rendered<Node>, Errors> {
        let value = match &node.value {
            Yaml::String(text) if Engine::is_template(text) => {
                let template = self
                    .engine
                    .compile(text, &node.span)
                    .map_err(|error| vec![error])?;
                let rendered = self.evaluate(&template, text, &node.span)?;
                return Ok(rendered.map(|value| Node::from_json(value, &node.span)));
            }
            Yaml::Sequence(items) => {
                all(items.iter().map(|item| self.render(item)))?.map(Yaml::Sequence)
            }
            Yaml::Mapping(entries) => all(entries
                .iter()
                .map(|(key, value)| Ok(self.render(value)?.map(|value| (key.clone(), value)))))?
            .map(Yaml::Mapping),
            _ => return Ok(Rendered::Value(node.clone())),
        };
        Ok(value.map(|value| Node {
            span: node.span.clone(),
            value,
            raw: node.raw.clone(),
        }))
    }

    /// Renders a whole text; always gives text.
    ///
    /// # Errors
    /// As [`render`](Self::render).
    pub fn render_text(&self, text: &str, span: &Span) -> Result<Rendered<String>, Errors> {
        self.written(self.engine.compile_text(text, span), text, span)
    }

    /// Renders a template file; `span` is all of it.
    ///
    /// # Errors
    /// As [`render`](Self::render).
    pub fn render_file(&self, span: &Span) -> Result<Rendered<String>, Errors> {
        let text = span.text();
        self.written(self.engine.compile_file(text, span), text, span)
    }

    fn written(
        &self,
        template: Result<Arc<Template>, Diagnostic>,
        text: &str,
        span: &Span,
    ) -> Result<Rendered<String>, Errors> {
        let template = template.map_err(|error| vec![error])?;
        let rendered = self.evaluate(&template, text, span)?;
        Ok(rendered.map(|value| match value {
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        }))
    }

    /// Decides a condition; `key` is the task key it stands under.
    ///
    /// # Errors
    /// Also when it gives anything but true or false.
    pub fn condition(&self, key: &str, node: &Node) -> Result<Rendered<bool>, Errors> {
        let text = match (&node.value, node.text()) {
            (Yaml::Bool(decided), _) => return Ok(Rendered::Value(*decided)),
            (Yaml::Sequence(_) | Yaml::Mapping(_), _) | (_, None) => {
                return Err(vec![not_a_bool(key, &node.describe(), &node.span)]);
            }
            (_, Some(text)) => text,
        };
        let template = self
            .engine
            .expression(text, &node.span)
            .map_err(|error| vec![error])?;
        match self.evaluate(&template, text, &node.span)? {
            Rendered::Value(serde_json::Value::Bool(decided)) => Ok(Rendered::Value(decided)),
            Rendered::Value(other) => {
                let found = Node::from_json(other, &node.span);
                Err(vec![not_a_bool(key, &found.describe(), &node.span)])
            }
            Rendered::Deferred { on } => Ok(Rendered::Deferred { on }),
        }
    }

    /// Computes a bare expression.
    ///
    /// # Errors
    /// As [`render`](Self::render).
    pub fn expression(
        &self,
        text: &str,
        span: &Span,
    ) -> Result<Rendered<serde_json::Value>, Errors> {
        let template = self
            .engine
            .expression(text, span)
            .map_err(|error| vec![error])?;
        self.evaluate(&template, text, span)
    }

    /// The value of one variable, `None` if it is not defined.
    ///
    /// # Errors
    /// As [`render`](Self::render).
    pub fn variable(&self, name: &str) -> Result<Option<Rendered<Data>>, Errors> {
        self.resolve(name, None)
    }

    /// Computes the value of a compiled text that was written at `span`.
    ///
    /// # Errors
    /// As [`render`](Self::render).
    pub fn evaluate(
        &self,
        template: &Template,
        text: &str,
        span: &Span,
    ) -> Result<Rendered<serde_json::Value>, Errors> {
        let mut context = Context::new();
        let mut waits = BTreeSet::new();
        let mut errors = Vec::new();
        let mut broken = HashMap::new();
        if template.asks() && matches!(self.secrets, Secrets::Later) {
            waits.insert(Secrets::NAME.to_owned());
        }
        for name in template.variables() {
            match self.resolve(name, Some(template)) {
                Ok(Some(Rendered::Value(value))) => {
                    if let Some(error) = truncated::read(template, name, &value) {
                        return Err(self.used_at(vec![error.at(text, span)], span));
                    }
                    context.insert_value(name.clone(), value);
                }
                Ok(Some(Rendered::Deferred { on })) => {
                    if let Some(outline) = self.source.outline(name) {
                        let misnamed = self.misnamed(template, name, outline);
                        errors.extend(misnamed.iter().map(|error| error.at(text, span)));
                    }
                    waits.extend(on);
                }
                Ok(None) if template.guards(name) => {}
                Ok(None) if self.excused.contains(name) => _ = waits.insert(name.clone()),
                // Without deferral, evaluation finds out whether it is read at all.
                Ok(None) => errors.push(self.undefined(template, name).at(text, span)),
                Err(found) => {
                    errors.extend(found.iter().cloned());
                    broken.insert(name.as_str(), found);
                }
            }
        }
        if !waits.is_empty() {
            return if errors.is_empty() {
                Ok(Rendered::Deferred { on: waits })
            } else {
                Err(errors)
            };
        }
        // A guard asks whether a variable is there, not whether its definition works.
        if let Some((_, found)) = broken.iter().find(|(name, _)| template.guards(name)) {
            return Err(self.used_at(found.clone(), span));
        }
        // Anything else may stand where it is never read: `{{ broken if false else 1 }}`.
        template
            .evaluate(&context)
            .map(Rendered::Value)
            .map_err(|error| {
                let head = error.undefined.as_deref().map(head);
                match head.and_then(|name| broken.remove(name)) {
                    Some(found) => self.used_at(found, span),
                    None => vec![self.suggest(error, &context).at(text, span)],
                }
            })
    }

    /// What `name` is, `None` if it is not defined.
    fn resolve(
        &self,
        name: &str,
        reader: Option<&Template>,
    ) -> Result<Option<Rendered<Data>>, Errors> {
        if let Some(known) = self.known.borrow().get(name) {
            return known.clone().map(Some);
        }
        let value = match self.source.binding(name, reader) {
            None => return Ok(None),
            // Not kept: what `hostvars` holds depends on the reader.
            Some(Binding::Data(value)) => return Ok(Some(Rendered::Value(value))),
            Some(Binding::Deferred) => Ok(Rendered::Deferred {
                on: [name.to_owned()].into(),
            }),
            Some(Binding::Configured(node)) => {
                self.enter(name, &node.span)?;
                let value = self.configured(node);
                self.resolving.borrow_mut().pop();
                value
            }
        };
        self.known
            .borrow_mut()
            .insert(name.to_owned(), value.clone());
        value.map(Some)
    }

    fn enter(&self, name: &str, span: &Span) -> Result<(), Errors> {
        let mut resolving = self.resolving.borrow_mut();
        let again = resolving.iter().position(|(known, _)| known == name);
        let problem = match again {
            Some(_) => "is defined by itself",
            None if resolving.len() >= DEEPEST => "is defined by too many other variables in a row",
            None => {
                resolving.push((name.to_owned(), span.clone()));
                return Ok(());
            }
        };
        let cycle = &resolving[again.unwrap_or(0)..];
        let names: Vec<_> = cycle
            .iter()
            .map(|(name, _)| name.as_str())
            .chain([name])
            .collect();
        let message = format!("`{name}` {problem}: {}", names.join(" → "));
        let mut error = Diagnostic::error(message).at(span.clone());
        for (name, span) in cycle.iter().skip(1).take(8) {
            error = error.help(format!("`{name}` is defined at {}", shown(span)));
        }
        Err(vec![error])
    }

    /// The value of a variable as configured, its templates rendered.
    fn configured(&self, node: &Node) -> Result<Rendered<Data>, Errors> {
        Ok(match &node.value {
            Yaml::String(text) if Engine::is_template(text) => {
                let template = self
                    .engine
                    .compile(text, &node.span)
                    .map_err(|error| vec![error])?;
                self.evaluate(&template, text, &node.span)?
                    .map(|value| data(&value))
            }
            Yaml::Sequence(items) => {
                all(items.iter().map(|item| self.configured(item)))?.map(Data::from)
            }
            Yaml::Mapping(entries) => all(entries.iter().map(|(key, value)| {
                let key = tera::value::Key::from(key.text.clone());
                Ok(self.configured(value)?.map(|value| (key, value)))
            }))?
            .map(|entries: Vec<_>| Data::from(entries.into_iter().collect::<tera::Map>())),
            _ => Rendered::Value(data(&plain(node))),
        })
    }

    /// The fields of a name that it is never going to have.
    fn misnamed(&self, template: &Template, name: &str, outline: Data) -> Vec<TemplateError> {
        let paths = template.strict.paths.iter();
        let fields = paths.filter_map(|range| {
            let fields = template.text[range.clone()].strip_prefix(name)?;
            let mut known = &outline;
            let mut length = name.len();
            for field in fields
                .split_inclusive(['[', '?', ' '])
                .next()?
                .split('.')
                .skip(1)
            {
                let field = field.trim_end_matches(['[', '?', ' ']);
                let fields = known.as_map().filter(|map| !map.is_empty())?;
                length += 1 + field.len();
                match fields.get(&tera::value::Key::from(field.to_owned())) {
                    Some(next) => known = next,
                    None => return Some(range.start..range.start + length),
                }
            }
            None
        });
        let fields: Vec<_> = fields.collect();
        let mut context = Context::new();
        context.insert_value(name.to_owned(), outline);
        let errors = fields.into_iter().map(|range| {
            let path = template.text[range.clone()].to_owned();
            let error = TemplateError {
                message: format!("`{path}` is not defined"),
                range,
                help: None,
                undefined: Some(path),
            };
            self.suggest(error, &context)
        });
        errors.collect()
    }

    fn undefined(&self, template: &Template, name: &str) -> TemplateError {
        let range = template.first_use(name);
        let error = TemplateError {
            message: format!("`{name}` is not defined"),
            range,
            help: None,
            undefined: Some(name.to_owned()),
        };
        self.suggest(error, &Context::new())
    }

    /// Adds what was probably meant to an error about an undefined name.
    fn suggest(&self, mut error: TemplateError, context: &Context) -> TemplateError {
        let Some(path) = &error.undefined else {
            return error;
        };
        let head = head(path);
        let Some(mut parent) = context.get(head) else {
            let names = self.source.names();
            error.help = match nearest(head, names.iter().map(String::as_str)) {
                Some(near) => Some(format!("did you mean `{near}`?")),
                None if head == "item" => {
                    Some("`item` exists only in a task with `loop`".to_owned())
                }
                None if head.starts_with("ansible_") => {
                    Some("facts are fields of `facts`; `fleet facts HOST` lists them".to_owned())
                }
                None => Some(format!("a default can be given: `{path} or 'value'`")),
            };
            return error;
        };
        for step in path[head.len()..]
            .split(['.', '?', '[', ']', '"', '\''])
            .filter(|s| !s.is_empty())
        {
            let Some(map) = parent.as_map() else {
                return error;
            };
            let Some(next) = map.get(&tera::value::Key::from(step.to_owned())) else {
                let near = nearest(step, map.keys().filter_map(tera::value::Key::as_str));
                error.help = Some(match near {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("a default can be given: `{path} or 'value'`"),
                });
                return error;
            };
            parent = next;
        }
        error
    }

    /// Says where the variable that is wrong was needed, once, by the outermost user.
    fn used_at(&self, errors: Errors, span: &Span) -> Errors {
        if !self.resolving.borrow().is_empty() {
            return errors;
        }
        errors
            .into_iter()
            .map(|error| error.help(format!("needed at {}", shown(span))))
            .collect()
    }
}

/// The first name of a path such as `facts.os.id`.
fn head(path: &str) -> &str {
    path.split(['.', '?', '[', ' ']).next().unwrap_or(path)
}

fn shown(span: &Span) -> String {
    format!("{}:{}", span.file.path.display(), span.line_column().0)
}

fn not_a_bool(key: &str, found: &str, span: &Span) -> Diagnostic {
    Diagnostic::error(format!("`{key}` must be true or false, got {found}")).at(span.clone())
}

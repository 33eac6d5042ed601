//! Templates: Tera 2, strict, on variables that may be templates themselves.
//!
//! - [`Engine`] compiles each distinct text once, for all hosts.
//! - [`Template`] is one compiled text. A text that is one whole `{{ expression }}` keeps the
//!   expression's type; every other text gives text.
//! - [`Scope`] resolves names for one task on one host, lazily, and tells what cannot be known
//!   before the host was contacted.
//!
//! Undefined is an error wherever it is read, not only where it is printed; see `scan`.
//! What a template may cost is bounded, and what it makes of a secret is a secret; see `work`.
//! Deliberately absent: `include` and `extends` (a template is one file), and any access to
//! files, environment, time or chance.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use serde_json::Value;
use tera::{Context, ErrorKind, Tera};

use crate::diagnostic::Diagnostic;
use crate::secret::Redactor;
use crate::yaml::{self, File, Limits, Span};

mod error;
mod filters;
mod jinja;
mod line_feeds;
mod scan;
mod scope;
mod secrets;
mod token;
mod truncated;
mod value;
mod work;

pub use error::TemplateError;
pub use scope::Scope;
pub use secrets::{Ask, Secrets};
pub use value::{Binding, Data, Errors, Rendered, Source, data, plain};

/// Compiles texts and keeps them; shared by all hosts.
#[derive(Debug)]
pub struct Engine {
    base: Tera,
    secrets: Secrets,
    redactor: Redactor,
    compiled: RwLock<HashMap<(Form, Arc<str>), Compiled>>,
    files: Mutex<HashMap<PathBuf, Result<Arc<File>, Diagnostic>>>,
}

type Compiled = Result<Arc<Template>, TemplateError>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Form {
    Typed,
    Text,
    File,
    Expression,
}

/// One compiled text.
#[derive(Debug)]
pub struct Template {
    text: Arc<str>,
    redactor: Redactor,
    tera: Tera,
    strict: scan::Strict,
    variables: BTreeSet<String>,
}

/// The name Tera knows a text by; each has a `Tera` of its own, since adding one to a shared
/// `Tera` checks all others again.
const NAME: &str = "text";

impl Engine {
    /// An engine that has compiled nothing yet.
    #[must_use]
    pub fn new(secrets: Secrets) -> Self {
        let mut base = Tera::default();
        base.autoescape_on(Vec::<&str>::new());
        filters::register(&mut base);
        work::register(&mut base);
        secrets.register(&mut base);
        Self {
            base,
            secrets,
            redactor: Redactor::default(),
            compiled: RwLock::default(),
            files: Mutex::default(),
        }
    }

    /// Tells this of everything that is made of a secret it knows.
    #[must_use]
    pub fn telling(mut self, redactor: Redactor) -> Self {
        self.redactor = redactor;
        self
    }

    /// Whether a text holds anything to render.
    #[must_use]
    pub fn is_template(text: &str) -> bool {
        text.as_bytes()
            .windows(2)
            .any(|pair| matches!(pair, b"{{" | b"{%" | b"{#"))
    }

    /// Compiles a text in which `{{ … }}` and `{% … %}` are replaced.
    pub fn compile(&self, text: &str, span: &Span) -> Result<Arc<Template>, Diagnostic> {
        self.get(Form::Typed, text)
            .map_err(|error| error.at(text, span))
    }

    /// Compiles a text that gives text even if it is one whole `{{ … }}`.
    pub fn compile_text(&self, text: &str, span: &Span) -> Result<Arc<Template>, Diagnostic> {
        self.get(Form::Text, text)
            .map_err(|error| error.at(text, span))
    }

    /// Compiles a template file, of which Ansible leaves out the line feed after a tag.
    pub fn compile_file(&self, text: &str, span: &Span) -> Result<Arc<Template>, Diagnostic> {
        self.get(Form::File, text)
            .map_err(|error| error.at(text, span))
    }

    /// Compiles a bare expression, as in `when`.
    pub fn expression(&self, text: &str, span: &Span) -> Result<Arc<Template>, Diagnostic> {
        self.get(Form::Expression, text)
            .map_err(|error| error.at(text, span))
    }

    /// A template file, read once.
    ///
    /// # Errors
    /// When it cannot be read, is no UTF-8 text, is too large, or is somebody else's to change.
    pub fn file(&self, path: &Path) -> Result<Arc<File>, Diagnostic> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(read) = files.get(path) {
            return read.clone();
        }
        let read = yaml::read(path, &Limits::default()).map(|text| {
            Arc::new(File {
                path: path.to_owned(),
                text,
            })
        });
        files.insert(path.to_owned(), read.clone());
        read
    }

    fn get(&self, form: Form, text: &str) -> Compiled {
        let key = (form, Arc::from(text));
        // A poisoned lock only means that another thread panicked; the map is whole.
        let read = self.compiled.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(compiled) = read.get(&key) {
            return compiled.clone();
        }
        drop(read);
        let compiled = self.build(form, &key.1).map(Arc::new);
        let mut write = self
            .compiled
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        write.entry(key).or_insert(compiled).clone()
    }

    fn build(&self, form: Form, text: &Arc<str>) -> Result<Template, TemplateError> {
        let strict = match form {
            Form::Typed => scan::Strict::text(text, scan::Whole::Typed),
            Form::Text => scan::Strict::text(text, scan::Whole::Text),
            Form::File => scan::Strict::text(text, scan::Whole::File),
            Form::Expression => {
                refuse_braces(text)?;
                scan::Strict::expression(text)
            }
        };
        if let Some((tag, range)) = strict.tags.iter().find(|(tag, _)| {
            let tag = tag.as_str();
            matches!(tag, "include" | "extends" | "import" | "from" | "component")
        }) {
            let mut error = TemplateError::new(format!("`{tag}` is not supported"), range.clone());
            error.help = Some("a template is one file; pass the parts as variables".to_owned());
            return Err(error);
        }
        if let Some(error) = strict.too_deep() {
            return Err(error);
        }
        let mut tera = self.base.clone();
        if let Err(error) = tera.add_raw_template(NAME, &strict.source) {
            return Err(self
                .as_written(form, text)
                .unwrap_or_else(|| TemplateError::from_tera(&error, text, &strict)));
        }
        let variables = tera
            .get_template_variables(NAME)
            .map_err(|error| TemplateError::from_tera(&error, text, &strict))?
            .into_iter()
            .map(str::to_owned)
            .collect();
        Ok(Template {
            text: text.clone(),
            redactor: self.redactor.clone(),
            tera,
            strict,
            variables,
        })
    }
}

impl Engine {
    /// The syntax error in a text as it was written: what the strict rewriting put around it
    /// would only confuse.
    fn as_written(&self, form: Form, text: &str) -> Option<TemplateError> {
        let (source, shift) = match form {
            Form::Typed | Form::Text | Form::File => (text.to_owned(), 0),
            Form::Expression => (format!("{{{{ {text} }}}}"), 3),
        };
        let error = self.base.clone().add_raw_template(NAME, &source).err()?;
        let ErrorKind::SyntaxError(report) = error.kind() else {
            return None;
        };
        let back = |offset: usize| offset.saturating_sub(shift).min(text.len());
        let range = back(report.span().range.start)..back(report.span().range.end);
        let message = match form {
            Form::Expression => report.message().replace("}}", "the end of the condition"),
            Form::Typed | Form::Text | Form::File => report.message().to_owned(),
        };
        Some(TemplateError::syntax(&message, text, range))
    }
}

fn refuse_braces(text: &str) -> Result<(), TemplateError> {
    let Some(open) = text.find("{{").or_else(|| text.find("{%")) else {
        return Ok(());
    };
    let mut error = TemplateError::new(
        "a condition is a bare expression, without `{{ }}`".to_owned(),
        open..open + 2,
    );
    let inner = text
        .trim()
        .strip_prefix("{{")
        .and_then(|rest| rest.strip_suffix("}}"));
    error.help = inner.map(|inner| format!("write `{}`", inner.trim()));
    Err(error)
}

impl Template {
    /// The names it uses from outside itself.
    #[must_use]
    pub fn variables(&self) -> &BTreeSet<String> {
        &self.variables
    }

    /// Whether it asks somewhere if `name` is defined, or gives a default for it.
    #[must_use]
    pub fn guards(&self, name: &str) -> bool {
        self.strict.guarded.contains(name)
    }

    /// The names it guards; see [`Self::guards`].
    #[must_use]
    pub fn guarded(&self) -> &BTreeSet<String> {
        &self.strict.guarded
    }

    /// Whether it asks the store of secrets.
    #[must_use]
    pub fn asks(&self) -> bool {
        self.strict.asks
    }

    /// Every name and literal text in its code: what it can ask another host's variables for.
    #[must_use]
    pub fn words(&self) -> &BTreeSet<String> {
        &self.strict.words
    }

    /// Computes the value. Only the [variables](Self::variables) it uses need to be in `context`.
    pub fn evaluate(&self, context: &Context) -> Result<Value, TemplateError> {
        let mut printed = work::Bounded::default();
        let (rendered, done) = work::within(&self.redactor, || {
            self.tera.render_to(NAME, context, &mut printed)
        });
        let limit = match &rendered {
            Err(_) if printed.is_full => Some(work::too_large("the template gives")),
            Err(error) => work::limit(error),
            Ok(()) => None,
        };
        if let Some(limit) = limit {
            let place = done.last.and_then(|at| self.strict.expressions.get(at));
            let place = place.cloned().unwrap_or(0..self.text.len());
            return Err(TemplateError::limit(&limit, place));
        }
        rendered.map_err(|error| TemplateError::from_tera(&error, &self.text, &self.strict))?;
        let mut text = String::from_utf8(printed.bytes).map_err(|error| {
            TemplateError::new(
                format!("the text is not UTF-8: {error}"),
                0..self.text.len(),
            )
        })?;
        if done.short {
            self.redactor.add_whole(&text);
        }
        if !self.strict.typed {
            self.strict.ending.complete(&mut text);
            return Ok(Value::String(text));
        }
        serde_json::from_str(&text).map_err(|error| {
            TemplateError::new(
                format!("the value is not plain data: {error}"),
                0..self.text.len(),
            )
        })
    }

    /// The text of the variable that holds a place, and where it is.
    fn first_use(&self, name: &str) -> Range<usize> {
        let starts = |range: &&Range<usize>| {
            self.text[(*range).clone()]
                .strip_prefix(name)
                .is_some_and(|rest| {
                    !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
                })
        };
        self.strict
            .paths
            .iter()
            .find(starts)
            .map_or(0..self.text.len(), |range| {
                range.start..range.start + name.len()
            })
    }
}

#[cfg(test)]
mod tests;

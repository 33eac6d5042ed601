//! Templates: Tera 2, strict, on variables that may be templates themselves.
//!
//! - [`Engine`] compiles each distinct text once, for all hosts.
//! - [`Template`] is one compiled text. A text that is one whole `{{ expression }}` keeps the
//!   expression's type; every other text gives text.
//! - [`Scope`] resolves names for one task on one host, lazily, and tells what cannot be known
//!   before the host was contacted.
//!
//! Undefined is an error wherever it is read, not only where it is printed; see `scan.rs`.
//! Deliberately absent: `include` and `extends` (a template is one file), and any access to
//! files, environment, time or chance.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use serde_json::Value;
use tera::{Context, ErrorKind, Tera};

use crate::diagnostic::Diagnostic;
use crate::yaml::{self, File, Limits, Span};

mod filters;
mod jinja;
mod scan;
mod scope;

pub use scope::{Binding, Data, Errors, Rendered, Scope, Source, data, plain};

/// Compiles texts and keeps them; shared by all hosts.
#[derive(Debug)]
pub struct Engine {
    base: Tera,
    compiled: RwLock<HashMap<(Form, Arc<str>), Compiled>>,
    files: Mutex<HashMap<PathBuf, Result<Arc<File>, Diagnostic>>>,
}

type Compiled = Result<Arc<Template>, TemplateError>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Form {
    Text,
    File,
    Expression,
}

/// One compiled text.
#[derive(Debug)]
pub struct Template {
    text: Arc<str>,
    tera: Tera,
    strict: scan::Strict,
    variables: BTreeSet<String>,
}

/// What is wrong in a template, by offsets in its text; [`Self::at`] gives it a place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateError {
    /// One sentence.
    pub message: String,
    /// Which bytes of the text.
    pub range: Range<usize>,
    /// The way out, where one is known.
    pub help: Option<String>,
    /// The variable or field that is not defined, when that is what is wrong.
    pub undefined: Option<String>,
}

/// The name Tera knows a text by; each has a `Tera` of its own, since adding one to a shared
/// `Tera` checks all others again.
const NAME: &str = "text";

impl Default for Engine {
    fn default() -> Self {
        let mut base = Tera::default();
        base.autoescape_on(Vec::<&str>::new());
        filters::register(&mut base);
        Self {
            base,
            compiled: RwLock::default(),
            files: Mutex::default(),
        }
    }
}

impl Engine {
    /// An engine that has compiled nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
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
        self.get(Form::Text, text)
            .map_err(|error| error.at(text, span))
    }

    /// Compiles a text that gives text even if it is one whole `{{ … }}`: a template file.
    pub fn compile_text(&self, text: &str, span: &Span) -> Result<Arc<Template>, Diagnostic> {
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
    /// When it cannot be read, is no UTF-8 text, is too large, or is anybody's to change.
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
            Form::Text => scan::Strict::text(text, scan::Whole::Typed),
            Form::File => scan::Strict::text(text, scan::Whole::Text),
            Form::Expression => {
                refuse_braces(text)?;
                scan::Strict::expression(text)
            }
        };
        if let Some((tag, range)) = strict
            .tags
            .iter()
            .find(|(tag, _)| matches!(tag.as_str(), "include" | "extends" | "import" | "from"))
        {
            let mut error = TemplateError::new(format!("`{tag}` is not supported"), range.clone());
            error.help = Some("a template is one file; pass the parts as variables".to_owned());
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
            Form::Text | Form::File => (text.to_owned(), 0),
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
            Form::Text | Form::File => report.message().to_owned(),
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

    /// Every name and literal text in its code: what it can ask another host's variables for.
    #[must_use]
    pub fn words(&self) -> &BTreeSet<String> {
        &self.strict.words
    }

    /// Computes the value. Only the [variables](Self::variables) it uses need to be in `context`.
    pub fn evaluate(&self, context: &Context) -> Result<Value, TemplateError> {
        let text = self
            .tera
            .render(NAME, context)
            .map_err(|error| TemplateError::from_tera(&error, &self.text, &self.strict))?;
        if !self.strict.typed {
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

impl TemplateError {
    fn new(message: String, range: Range<usize>) -> Self {
        Self {
            message,
            range,
            help: None,
            undefined: None,
        }
    }

    fn from_tera(error: &tera::Error, text: &str, strict: &scan::Strict) -> Self {
        match error.kind() {
            ErrorKind::SyntaxError(report) => {
                let range = strict.original(&report.span().range);
                Self::syntax(report.message(), text, range)
            }
            ErrorKind::RenderingError(report) => {
                Self::while_rendering(report.message(), &report.span().range, text, strict)
            }
            _ => Self::from_report(&error.to_string(), text, strict),
        }
    }

    fn syntax(message: &str, text: &str, range: Range<usize>) -> Self {
        let code = text.get(range.clone()).unwrap_or_default();
        let before = text.get(..range.start).unwrap_or_default();
        let help = jinja::help(message, code, before);
        Self {
            help,
            ..Self::new(sentence(message), range)
        }
    }

    fn while_rendering(
        message: &str,
        range: &Range<usize>,
        text: &str,
        strict: &scan::Strict,
    ) -> Self {
        let wrapped = message
            .strip_prefix(filters::UNDEFINED)
            .and_then(|number| number.parse::<usize>().ok())
            .and_then(|number| strict.paths.get(number).cloned());
        let field = ["Variable `", "Field `"]
            .iter()
            .any(|start| message.starts_with(start));
        let undefined = match wrapped {
            Some(range) => range,
            None if field => {
                // Tera points at the field; the whole variable up to it says more.
                let place = strict.original(range);
                let outer = strict
                    .paths
                    .iter()
                    .find(|path| path.start <= place.start && place.end <= path.end);
                outer.map_or(place.clone(), |path| path.start..place.end)
            }
            None => return Self::new(sentence(message), strict.original(range)),
        };
        let name = text[undefined.clone()].to_owned();
        Self {
            message: format!("`{name}` is not defined"),
            range: undefined,
            help: None,
            undefined: Some(name),
        }
    }

    /// Unknown filters and the like come as a finished report in words: `error: …`, then
    /// ` --> name:line:column`.
    fn from_report(report: &str, text: &str, strict: &scan::Strict) -> Self {
        let mut lines = report.lines();
        let message = lines
            .next()
            .unwrap_or_default()
            .trim_start_matches("error: ");
        let place = lines.next().and_then(|line| {
            let mut numbers = line.rsplit(':').map(str::parse::<usize>);
            let column = numbers.next()?.ok()?;
            let line = numbers.next()?.ok()?;
            let start: usize = strict
                .source
                .split_inclusive('\n')
                .take(line - 1)
                .map(str::len)
                .sum();
            let rest = strict.source.get(start..)?;
            let offset = rest.char_indices().nth(column - 1)?.0;
            let length = rest[offset..]
                .find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(rest.len() - offset);
            Some(strict.original(&(start + offset..start + offset + length)))
        });
        let range = place.unwrap_or(0..text.len());
        let help = jinja::help(message, &text[range.clone()], &text[..range.start]);
        Self {
            help,
            ..Self::new(sentence(message), range)
        }
    }

    /// Gives the error its place: `span` is where `text` was written.
    #[must_use]
    pub fn at(&self, text: &str, span: &Span) -> Diagnostic {
        let error = Diagnostic::error(self.message.clone()).at(place(text, &self.range, span));
        match &self.help {
            Some(help) => error.help(help.clone()),
            None => error,
        }
    }
}

/// Tera's messages begin in upper case and end with a period; ours do not. What the strict
/// rewriting added is nobody's business.
fn sentence(message: &str) -> String {
    let message = message
        .lines()
        .next()
        .unwrap_or_default()
        .trim_end_matches('.');
    let mut chars = message.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => "the template is invalid".to_owned(),
    }
}

/// Where in the file a stretch of a text is, when the text was written as it is (plain and quoted
/// scalars without escapes, template files) or line by line (block scalars); else the whole span.
fn place(text: &str, range: &Range<usize>, span: &Span) -> Span {
    let written = span.file.text.get(span.start..span.end).unwrap_or_default();
    let narrowed = |start: usize, length: usize| Span {
        file: span.file.clone(),
        start: span.start + start,
        end: span.start + start + length,
    };
    if let Some(start) = written.find(text) {
        return narrowed(start + range.start, range.len());
    }
    let line_start = text[..range.start].rfind('\n').map_or(0, |at| at + 1);
    let line = text[line_start..].lines().next().unwrap_or_default();
    let length = range
        .len()
        .min(line.len().saturating_sub(range.start - line_start));
    match written.find(line).filter(|_| !line.trim().is_empty()) {
        Some(start) => narrowed(start + range.start - line_start, length),
        None => span.clone(),
    }
}

#[cfg(test)]
mod tests;

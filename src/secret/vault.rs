//! Reads files that may be encrypted, and remembers what must not be shown.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use age::x25519::Identity;

use super::{KeySource, Redactor, SecretError, Store, decrypt, is_encrypted};
use crate::diagnostic::Diagnostic;
use crate::yaml::{self, Limits, Node, Yaml};

/// Reads YAML files, encrypted ones too. Cheap to clone; clones share keys and secrets.
#[derive(Clone, Debug, Default)]
pub struct Vault(Arc<Inner>);

#[derive(Default)]
struct Inner {
    source: KeySource,
    /// Read when the first encrypted file is met: without one, no key is needed.
    keys: OnceLock<Result<Vec<Identity>, SecretError>>,
    store: Store,
    redactor: Redactor,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault")
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

impl Vault {
    /// A vault with the keys of `source`, which is not read yet, beside a store. It tells
    /// `redactor` what it finds.
    #[must_use]
    pub fn new(source: KeySource, store: Store, redactor: Redactor) -> Self {
        Self(Arc::new(Inner {
            source,
            store,
            redactor,
            ..Inner::default()
        }))
    }

    /// What knows the secrets that are in no file.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// What keeps the secrets of this vault out of texts.
    #[must_use]
    pub fn redactor(&self) -> &Redactor {
        &self.0.redactor
    }

    /// Reads a YAML file. If it is encrypted, every value in it is a secret from now on.
    ///
    /// # Errors
    /// Everything wrong with it; at least one. What is wrong inside an encrypted file is told
    /// by its place, and nothing of it is shown.
    pub fn load(&self, path: &Path, limits: &Limits) -> Result<Node, Vec<Diagnostic>> {
        let text = yaml::read(path, limits).map_err(|diagnostic| vec![diagnostic])?;
        if !is_encrypted(&text) {
            return yaml::parse(path, text, limits);
        }
        let secret = self
            .keys()
            .and_then(|keys| decrypt(path, &text, keys))
            .map_err(|error| {
                let error = if error.message.contains(&*path.to_string_lossy()) {
                    error
                } else {
                    let message = format!("cannot decrypt `{}`: {error}", path.display());
                    SecretError { message, ..error }
                };
                vec![error.into()]
            })?;
        let node = yaml::parse(path, secret.expose(), limits).map_err(|errors| {
            errors
                .into_iter()
                .map(|error| hidden(path, &error))
                .collect::<Vec<_>>()
        })?;
        let mut short = Vec::new();
        self.remember(&node, &mut short);
        if short.is_empty() {
            Ok(node)
        } else {
            Err(short)
        }
    }

    fn keys(&self) -> Result<&[Identity], SecretError> {
        let keys = self.0.keys.get_or_init(|| self.0.source.read());
        keys.as_deref().map_err(Clone::clone)
    }

    /// Takes every scalar below `node` for a secret. Booleans and numbers of a few digits have
    /// nothing to hide: there are too few of them.
    fn remember(&self, node: &Node, short: &mut Vec<Diagnostic>) {
        match &node.value {
            Yaml::Null | Yaml::Bool(_) => {}
            Yaml::Sequence(items) => items.iter().for_each(|item| self.remember(item, short)),
            Yaml::Mapping(entries) => {
                for (_, value) in entries {
                    self.remember(value, short);
                }
            }
            Yaml::Integer(_) | Yaml::Float(_) => {
                // Where it is used as a number it is written in its own way: 1e3 as 1000.0.
                self.redactor().add(&node.to_json().to_string());
                self.redactor().add(node.text().unwrap_or_default());
            }
            Yaml::String(text) if text.contains("{{") => {
                let parts = text.split("{{").flat_map(|part| part.split("}}"));
                parts.for_each(|part| _ = self.redactor().add(part));
            }
            Yaml::String(text) => {
                if text.is_empty() || self.redactor().add(text) {
                    return;
                }
                let (line, column) = node.span.line_column();
                let message = format!(
                    "`{}` holds a secret too short to be kept out of reports, in line {line}, column {column}",
                    node.span.file.path.display()
                );
                short.push(Diagnostic::error(message).help(format!(
                    "make it {} characters or longer, or put it into a file that is not encrypted",
                    Redactor::SHORTEST
                )));
            }
        }
    }
}

/// What is wrong, without a word of what is in the file.
fn hidden(path: &Path, error: &Diagnostic) -> Diagnostic {
    let place = error.span.as_ref().map(yaml::Span::line_column);
    let place = place.map_or_else(String::new, |(line, column)| {
        format!(", in line {line}, column {column}")
    });
    let path = path.display();
    Diagnostic::error(format!(
        "what is encrypted in `{path}` is not valid YAML{place}"
    ))
    .help(format!("mend it with `fleet secret edit {path}`"))
}

//! Variables from the command line: `-e`.

use std::path::Path;
use std::sync::Arc;

use super::VarMap;
use crate::diagnostic::Diagnostic;
use crate::secret::Vault;
use crate::yaml::{self, File, Limits, Node, Span, Yaml};

/// Reads every `-e` in turn; later ones win. Each is `key=value key2="a b"` (the values are
/// text), a JSON or YAML mapping in braces, or `@file`.
///
/// # Errors
/// Everything wrong with them.
pub fn extra_vars(arguments: &[String], vault: &Vault) -> Result<VarMap, Vec<Diagnostic>> {
    let mut vars = VarMap::new();
    let mut errors = Vec::new();
    for argument in arguments {
        let limits = Limits::default();
        let read = if let Some(path) = argument.strip_prefix('@') {
            vault.load(Path::new(path), &limits).and_then(entries)
        } else if argument.trim_start().starts_with('{') {
            yaml::parse("-e", argument.as_str(), &limits).and_then(entries)
        } else {
            words(argument)
        };
        match read {
            Ok(read) => vars.extend(read),
            Err(diagnostics) => errors.extend(diagnostics),
        }
    }
    if errors.is_empty() {
        Ok(vars)
    } else {
        Err(errors)
    }
}

fn entries(node: Node) -> Result<VarMap, Vec<Diagnostic>> {
    match node.value {
        Yaml::Null => Ok(VarMap::new()),
        Yaml::Mapping(entries) => Ok(entries
            .into_iter()
            .map(|(key, value)| (key.text, value))
            .collect()),
        _ => {
            let message = format!("variables are a mapping, not {}", node.describe());
            Err(vec![
                Diagnostic::error(message)
                    .at(node.span)
                    .help("write `name: value`"),
            ])
        }
    }
}

fn words(argument: &str) -> Result<VarMap, Vec<Diagnostic>> {
    let file = Arc::new(File {
        path: "-e".into(),
        text: argument.to_owned(),
    });
    let span = Span {
        file,
        start: 0,
        end: argument.len(),
    };
    let refuse = |message: String| vec![Diagnostic::error(message).at(span.clone())];
    let words = shlex::split(argument).ok_or_else(|| refuse("a quote is not closed".to_owned()))?;
    let mut vars = VarMap::new();
    for word in words {
        let Some((name, value)) = word.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            let mut errors = refuse(format!("`{word}` is not `name=value`"));
            if Path::new(&word).exists() {
                errors = errors
                    .into_iter()
                    .map(|error| error.help(format!("for a file write `@{word}`")))
                    .collect();
            }
            return Err(errors);
        };
        let value = Yaml::String(value.to_owned());
        vars.insert(
            name.to_owned(),
            Node {
                span: span.clone(),
                value,
                raw: None,
            },
        );
    }
    Ok(vars)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use serde_json::json;

    use super::*;

    fn read(arguments: &[&str]) -> Result<serde_json::Value, String> {
        let arguments: Vec<_> = arguments.iter().map(ToString::to_string).collect();
        match extra_vars(&arguments, &Vault::default()) {
            Ok(vars) => Ok(vars
                .iter()
                .map(|(name, node)| (name.clone(), node.to_json()))
                .collect()),
            Err(errors) => Err(errors
                .into_iter()
                .map(|error| error.message)
                .collect::<Vec<_>>()
                .join("; ")),
        }
    }

    #[test]
    fn words_are_text() {
        assert_eq!(
            read(&["a=1 b=\"x y\" c=", "a=yes d=k=v"]),
            Ok(json!({"a": "yes", "b": "x y", "c": "", "d": "k=v"}))
        );
    }

    #[test]
    fn json_and_files_have_types() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "a: 2\nb: [x]").unwrap();
        let at = format!("@{}", file.path().display());
        assert_eq!(
            read(&["{\"a\": 1, \"c\": true}", &at]),
            Ok(json!({"a": 2, "c": true, "b": ["x"]}))
        );
    }

    #[test]
    fn what_is_no_variable_says_so() {
        assert_eq!(
            read(&["debug"]),
            Err("`debug` is not `name=value`".to_owned())
        );
        assert_eq!(
            read(&["=x", "a='b"]),
            Err("`=x` is not `name=value`; a quote is not closed".to_owned())
        );
        assert_eq!(
            read(&["{a"]),
            Err("a `[` or `{` before this place is not closed".to_owned())
        );
        assert!(
            read(&["@/no/such/file"])
                .unwrap_err()
                .contains("cannot read `/no/such/file`")
        );
    }
}

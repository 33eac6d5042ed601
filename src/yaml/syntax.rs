//! What the parser and its tags mean, in the words of somebody who writes inventories.

use std::sync::Arc;

use granit_parser::{ErrorKind, ScanError, Tag};

use super::{File, Limits, Span, Yaml, scalar};
use crate::diagnostic::Diagnostic;

/// Explains where and why the text is not YAML.
pub(super) fn explain(file: &Arc<File>, error: &ScanError, limits: Limits) -> Diagnostic {
    let at = error.marker().byte_offset().unwrap_or(file.text.len());
    let span = Span {
        file: Arc::clone(file),
        start: at,
        end: at,
    };
    let line = span.line_text();
    if line.contains(": {{") || line.contains("- {{") {
        return unquoted_template(span);
    }
    let (message, help) = match error.kind() {
        ErrorKind::RecursionLimitExceeded => return too_deep(span, limits),
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabAtBlockScalarStart
        | ErrorKind::TabInPlainScalar => ("a tab cannot be used for indentation", "use spaces"),
        ErrorKind::MappingValueNotAllowed => (
            "a `:` makes no key here",
            "quote a text that contains `: `, or check the indentation",
        ),
        ErrorKind::ExpectedBlockMappingKey
        | ErrorKind::ExpectedBlockSequenceEntry
        | ErrorKind::BlockSequenceEntryNotAllowed
        | ErrorKind::InvalidIndentation
        | ErrorKind::InvalidSimpleKey
        | ErrorKind::SimpleKeyExpected => (
            "this line does not fit what is above it",
            "check its indentation, and that each key ends with `:`",
        ),
        ErrorKind::UnclosedQuotedScalar
        | ErrorKind::InvalidQuotedScalarIndent
        | ErrorKind::DocumentIndicatorInQuotedScalar => (
            "a quote before this place is not closed",
            "close it on its own line",
        ),
        ErrorKind::InvalidColonPlacement
        | ErrorKind::UnclosedFlowCollection { .. }
        | ErrorKind::UnexpectedEofFlowSequence
        | ErrorKind::UnexpectedEofFlowMapping
        | ErrorKind::UnexpectedEofImplicitFlowMapping
        | ErrorKind::ExpectedFlowMappingSeparator
        | ErrorKind::ExpectedFlowSequenceSeparator
        | ErrorKind::InvalidFlowScalarIndent => (
            "a `[` or `{` before this place is not closed",
            "close it, and separate what is inside by `,`",
        ),
        ErrorKind::UnexpectedCharacter { character } => {
            return Diagnostic::error(format!(
                "a plain text cannot begin with `{}`",
                character.escape_default()
            ))
            .at(span)
            .help("quote it");
        }
        kind => return Diagnostic::error(format!("not valid YAML: {kind}")).at(span),
    };
    Diagnostic::error(message).at(span).help(help)
}

/// The first stumble of everybody who writes templates.
pub(super) fn unquoted_template(span: Span) -> Diagnostic {
    Diagnostic::error("a value that begins with `{{` must be quoted")
        .at(span)
        .help("write it as `\"{{ … }}\"`")
}

pub(super) fn too_deep(span: Span, limits: Limits) -> Diagnostic {
    Diagnostic::error(format!("nested deeper than {} levels", limits.depth)).at(span)
}

/// The value of a scalar with a tag, or what is wrong with the tag.
pub(super) fn tagged(tag: &Tag, text: &str) -> Result<Yaml, Diagnostic> {
    let Some(suffix @ ("str" | "int" | "float" | "bool" | "null")) = tag.core_suffix() else {
        return Err(match tag.original().as_str() {
            "!unsafe" => unsafe_text(text),
            _ => unknown_tag(tag),
        });
    };
    match (suffix, scalar::resolve(text)) {
        ("str", _) => Ok(Yaml::String(text.to_owned())),
        ("int", value @ Yaml::Integer(_))
        | ("float", value @ (Yaml::Float(_) | Yaml::Integer(_)))
        | ("bool", value @ Yaml::Bool(_))
        | ("null", value @ Yaml::Null) => Ok(value),
        _ => Err(Diagnostic::error(format!(
            "`{text}` is not what its tag `!!{suffix}` says"
        ))),
    }
}

/// What Ansible does not render: `{% raw %}` means the same.
fn unsafe_text(text: &str) -> Diagnostic {
    let error = Diagnostic::error("the tag `!unsafe` is not supported");
    if !["{{", "{%", "{#"]
        .iter()
        .any(|marker| text.contains(marker))
    {
        return error.help("remove it: there is nothing to render in this text");
    }
    if text.contains('\n') || text.contains("endraw") {
        return error.help(
            "remove it, and put what is not to be rendered between `{% raw %}` and `{% endraw %}`",
        );
    }
    let text = text.replace('\'', "''");
    error.help(format!(
        "write `'{{% raw %}}{text}{{% endraw %}}'`, which means the same"
    ))
}

/// Refuses a tag.
pub(super) fn unknown_tag(tag: &Tag) -> Diagnostic {
    match tag.original().as_str() {
        "!vault" | "!vault-encrypted" => {
            Diagnostic::error("Ansible Vault values are not supported")
                .help("`fleet secret encrypt` makes an encrypted file of variables")
        }
        "!unsafe" => Diagnostic::error("the tag `!unsafe` is not supported").help(
            "remove it, and put what is not to be rendered between `{% raw %}` and `{% endraw %}`",
        ),
        tag => Diagnostic::error(format!("the tag `{tag}` is not supported"))
            .help("remove it; quoting a value makes it text"),
    }
}

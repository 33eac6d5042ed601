//! Output that was cut: nothing is decided by what is left of it.

use super::{Data, Template, TemplateError};

/// What a registered result has of what a program printed.
const PRINTED: [&str; 4] = ["stdout", "stderr", "stdout_lines", "stderr_lines"];

/// What else it has, which is whole.
const WHOLE: [&str; 6] = ["rc", "changed", "failed", "skipped", "msg", "truncated"];

/// The error if a template reads what a program printed from `name`, and that was cut.
pub(super) fn read(template: &Template, name: &str, value: &Data) -> Option<TemplateError> {
    let strict = &template.strict;
    if !PRINTED.iter().any(|field| strict.words.contains(*field)) {
        return None;
    }
    let reads = |text: &str| {
        let fields = text.strip_prefix(name)?;
        if fields.starts_with(|next: char| next.is_alphanumeric() || next == '_') {
            return None;
        }
        let field = fields
            .trim_start_matches(['?', '.'])
            .split(['.', '?', '[', ' '])
            .next();
        Some(!field.is_some_and(|field| WHOLE.contains(&field)))
    };
    let range = strict
        .uses
        .iter()
        .find(|range| reads(&template.text[(*range).clone()]) == Some(true))?;
    if !is_cut(value) {
        return None;
    }
    let mut error = TemplateError::new(
        format!("what the command behind `{name}` printed was cut, so nothing is decided by it"),
        range.clone(),
    );
    error.help = Some(
        "fleet keeps 256 KiB of each stream, to the end of the program: let it print less, as with \
         `| grep` or `| tail`, leave nothing running that holds its output, or go by \
         its exit status, `rc`"
            .to_owned(),
    );
    Some(error)
}

/// Whether a registered result, or one of those inside, is of output that was cut.
fn is_cut(value: &Data) -> bool {
    let field =
        |map: &tera::Map, name: &'static str| map.get(&tera::value::Key::from(name)).cloned();
    if let Some(map) = value.as_map() {
        let cut = field(map, "truncated").is_some_and(|cut| cut.as_bool() == Some(true));
        return (cut && field(map, "stdout").is_some()) || map.values().any(is_cut);
    }
    value
        .as_array()
        .is_some_and(|items| items.iter().any(is_cut))
}

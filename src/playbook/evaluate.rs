//! The parts of a task that say whether, how often and under which name it is done.

use std::collections::BTreeSet;

use super::Task;
use crate::diagnostic::Diagnostic;
use crate::template::{Data, Errors, Rendered, Scope, data, plain};
use crate::yaml::{Node, Yaml};

/// The task's name for people: rendered where possible, else as written, else its kind.
#[must_use]
pub fn title(task: &Task, scope: &Scope<'_>) -> String {
    let Some(name) = &task.name else {
        return task.kind.name.to_owned();
    };
    let rendered = scope.render(name).ok().and_then(Rendered::value);
    rendered
        .as_ref()
        .unwrap_or(name)
        .text()
        .unwrap_or(task.kind.name)
        .to_owned()
}

/// Whether all conditions hold; the first that is false decides. `key` is the task key they
/// stand under: `when`, `until`, `changed_when`, `failed_when`.
///
/// # Errors
/// Everything wrong in a condition, each at its place.
pub fn conditions(
    key: &str,
    conditions: &[Node],
    scope: &Scope<'_>,
) -> Result<Rendered<bool>, Errors> {
    let mut waits = BTreeSet::new();
    let mut errors = Errors::new();
    for condition in conditions {
        match scope.condition(key, condition) {
            Ok(Rendered::Value(true)) => {}
            Ok(Rendered::Value(false)) if errors.is_empty() => return Ok(Rendered::Value(false)),
            Ok(Rendered::Value(false)) => break,
            Ok(Rendered::Deferred { on }) => waits.extend(on),
            Err(found) => errors.extend(found),
        }
    }
    match (errors.is_empty(), waits.is_empty()) {
        (false, _) => Err(errors),
        (true, false) => Ok(Rendered::Deferred { on: waits }),
        (true, true) => Ok(Rendered::Value(true)),
    }
}

/// What `item` is, time after time; `None` for a task without `loop`.
///
/// # Errors
/// Also when `loop` is no list.
pub fn items(task: &Task, scope: &Scope<'_>) -> Result<Rendered<Option<Vec<Data>>>, Errors> {
    let Some(node) = &task.loop_ else {
        return Ok(Rendered::Value(None));
    };
    match scope.render(node)? {
        Rendered::Deferred { on } => Ok(Rendered::Deferred { on }),
        Rendered::Value(Node {
            value: Yaml::Sequence(items),
            ..
        }) => Ok(Rendered::Value(Some(
            items.iter().map(|item| data(&plain(item))).collect(),
        ))),
        Rendered::Value(other) => {
            let message = format!("`loop` must be a list, got {}", other.describe());
            let error = Diagnostic::error(message).at(node.span.clone());
            let map = other.as_mapping().is_some();
            let pairs = "for a mapping write `loop: \"{{ map | pairs }}\"`";
            Err(vec![if map { error.help(pairs) } else { error }])
        }
    }
}

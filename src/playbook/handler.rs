//! Handlers of a play: unique names, and `notify` looked up among them.

use std::collections::BTreeSet;

use super::task::Written;
use super::{Handler, Task, fields};
use crate::diagnostic::{Diagnostic, Diagnostics, nearest};
use crate::yaml::Node;

/// Makes handlers of tasks that were written under `handlers`.
pub(super) fn handlers(written: Vec<Written>, errors: &mut Diagnostics) -> Vec<Pending<Handler>> {
    let mut handlers: Vec<Pending<Handler>> = Vec::new();
    let mut reported = BTreeSet::new();
    for Written {
        task,
        notify,
        listen,
    } in written
    {
        let Some(name) = &task.name else {
            let error = Diagnostic::error("a handler needs a `name`: it is notified by it");
            errors.push(error.at(task.span.clone()));
            continue;
        };
        let Some(name) = fields::plain_text("name", name, errors) else {
            continue;
        };
        let key = key(&task, &name);
        if let Some(first) = handlers.iter().find(|handler| handler.of.key == key) {
            // A role used twice brings its handlers twice; they are the same.
            let same = first.of.task.span.start == task.span.start
                && first.of.task.span.file.path == task.span.file.path;
            if !same && reported.insert(key.clone()) {
                let (line, _) = first.of.task.span.line_column();
                let file = first.of.task.span.file.path.display();
                let error = Diagnostic::error(format!("the handler `{name}` is already defined"));
                errors.push(
                    error
                        .at(task.span.clone())
                        .help(format!("first at {file}:{line}")),
                );
            }
            continue;
        }
        handlers.push(Pending {
            of: Handler { key, listen, task },
            notify,
        });
    }
    handlers
}

/// Reports handlers that notify each other in a circle: they would never have run for the last
/// time. Each circle is reported at its first handler.
pub(super) fn refuse_circles(handlers: &[Handler], errors: &mut Diagnostics) {
    for first in 0..handlers.len() {
        let Some(circle) = circle(handlers, first) else {
            continue;
        };
        let names: Vec<_> = circle
            .iter()
            .chain([&first])
            .map(|&at| format!("`{}`", handlers[at].key))
            .collect();
        let message = format!(
            "handlers notify each other in a circle: {}",
            names.join(" → ")
        );
        let error = Diagnostic::error(message).at(handlers[first].task.span.clone());
        errors.push(error.help("a handler runs once, after all that notify it"));
    }
}

/// A way from a handler back to it that leads over later ones only.
fn circle(handlers: &[Handler], first: usize) -> Option<Vec<usize>> {
    let mut seen = BTreeSet::new();
    let mut ways = vec![vec![first]];
    while let Some(way) = ways.pop() {
        let last = *way.last()?;
        for key in &handlers[last].task.notify {
            let Some(next) = handlers.iter().position(|handler| handler.key == *key) else {
                continue;
            };
            if next == first {
                return Some(way);
            }
            if next > first && seen.insert(next) {
                ways.push(way.iter().copied().chain([next]).collect());
            }
        }
    }
    None
}

/// Something whose `notify` was not looked up yet.
pub(super) struct Pending<T> {
    pub(super) of: T,
    pub(super) notify: Vec<(String, Node)>,
}

/// The keys of the handlers that answer to the names; a role's own handlers come first, then,
/// as in Ansible, every handler of the play.
pub(super) fn resolve(
    task: &Task,
    notify: &[(String, Node)],
    handlers: &[(String, Vec<String>)],
    errors: &mut Diagnostics,
) -> Vec<String> {
    let mut keys = Vec::new();
    for (name, node) in notify {
        let own = key(task, name);
        let named = |key: &str| key == own || key == name;
        let last = |key: &str| key.rsplit_once(" : ").is_some_and(|(_, last)| last == name);
        let by_name = handlers
            .iter()
            .find(|(key, _)| named(key))
            .or_else(|| handlers.iter().rfind(|(key, _)| last(key)));
        let listening = handlers.iter().filter(|(_, listen)| listen.contains(name));
        let found: Vec<_> = by_name
            .into_iter()
            .chain(listening)
            .map(|(key, _)| key.clone())
            .collect();
        if found.is_empty() {
            let known = handlers.iter().flat_map(|(key, listen)| {
                let short = key
                    .rsplit_once(" : ")
                    .map_or(key.as_str(), |(_, name)| name);
                listen.iter().map(String::as_str).chain([short])
            });
            let error = Diagnostic::error(format!("there is no handler `{name}`"));
            errors.push(match nearest(name, known) {
                Some(near) => error
                    .at(node.span.clone())
                    .help(format!("did you mean `{near}`?")),
                None => error
                    .at(node.span.clone())
                    .help("define it under `handlers`"),
            });
        }
        for key in found {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
    }
    keys
}

fn key(task: &Task, name: &str) -> String {
    match &task.role {
        Some(role) => format!("{} : {name}", role.name),
        None => name.to_owned(),
    }
}

//! Reads one task: its own keys and exactly one kind.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::fields::{self, Fields, boolean, number, plain_text, texts, variable_name};
use super::{KindEntry, RoleContext, Task, VariableMap, advice, kinds};
use crate::diagnostic::{Diagnostic, Diagnostics, nearest};
use crate::protocol::Severity;
use crate::yaml::{Key, Node, Yaml};

/// Keys a task may have beside its kind.
const KEYS: [&str; 19] = [
    "name",
    "when",
    "loop",
    "notify",
    "register",
    "tags",
    "severity",
    "cis",
    "changed_when",
    "failed_when",
    "until",
    "retries",
    "delay",
    "run_as",
    "no_log",
    "ignore_errors",
    "vars",
    "listen",
    "import_tasks",
];

/// Prefixes under which Ansible knows the modules that are kinds here.
const COLLECTIONS: [&str; 4] = [
    "ansible.builtin.",
    "ansible.legacy.",
    "ansible.posix.",
    "community.general.",
];

/// What a task takes over from what it is in: play, role, import.
#[derive(Clone, Debug)]
pub(super) struct Around {
    pub(super) when: Vec<Node>,
    pub(super) tags: BTreeSet<String>,
    pub(super) vars: Vec<Arc<VariableMap>>,
    pub(super) role: Option<Arc<RoleContext>>,
    pub(super) folder: Arc<PathBuf>,
}

/// A task and the names of what it notifies and listens to, not yet looked up.
pub(super) struct Written {
    pub(super) task: Task,
    pub(super) notify: Vec<(String, Node)>,
    pub(super) listen: Vec<String>,
}

/// Reads a task that is no `import_tasks`; `None` when too much of it is wrong.
pub(super) fn read(node: &Node, around: &Around, errors: &mut Diagnostics) -> Option<Written> {
    let mut fields = Fields::of(node, "a task", errors)?;
    let mut around = around.clone();
    inherit(&mut fields, &mut around, errors);
    let name = fields.take("name");
    if let Some(name) = name {
        fields::text("name", name, errors);
    }
    let severity = fields
        .take("severity")
        .and_then(|node| severity(node, errors));
    let register = fields.take_entry("register").and_then(|(_, node)| {
        let name = plain_text("register", node, errors)?;
        let key = Key {
            span: node.span.clone(),
            text: name,
        };
        variable_name(&key, errors).then_some(key.text)
    });
    let retries = fields
        .take("retries")
        .and_then(|node| number("retries", node, errors));
    let delay = fields
        .take("delay")
        .and_then(|node| number("delay", node, errors));
    let mut flag = |name| {
        fields
            .take(name)
            .and_then(|node| boolean(name, node, errors))
    };
    let (no_log, ignore_errors) = (flag("no_log"), flag("ignore_errors"));
    let all_of = |node: Option<&Node>| node.map(conditions).unwrap_or_default();
    let cis = fields
        .take("cis")
        .and_then(|node| fields::text("cis", node, errors));
    let notify = fields
        .take("notify")
        .map(|node| texts("notify", node, errors));
    let listen = fields
        .take("listen")
        .map(|node| texts("listen", node, errors));
    let changed_when = all_of(fields.take("changed_when"));
    let failed_when = all_of(fields.take("failed_when"));
    let until = all_of(fields.take("until"));
    let loop_ = fields.take("loop").cloned();
    let run_as = fields.take("run_as").cloned();
    let (kind, arguments) = kind(node, fields, errors)?;
    let runs_programs = kind
        .fields()
        .is_some_and(|fields| fields.contains(&"run_as"));
    if let (Some(user), false) = (&run_as, runs_programs) {
        let message = format!(
            "`run_as` is for kinds that run programs, not for `{}`",
            kind.name
        );
        let error = Diagnostic::error(message).at(user.span.clone());
        errors.push(error.help("use `owner` and `group` for files"));
        return None;
    }
    let task = Task {
        name: name.cloned(),
        kind,
        arguments,
        when: around.when,
        loop_,
        notify: Vec::new(),
        register,
        tags: around.tags,
        severity: severity.unwrap_or_default(),
        cis,
        changed_when,
        failed_when,
        until,
        retries: retries.unwrap_or(3),
        delay: Duration::from_secs(delay.unwrap_or(5).into()),
        run_as,
        no_log: no_log.unwrap_or(false),
        ignore_errors: ignore_errors.unwrap_or(false),
        vars: around.vars,
        role: around.role,
        folder: around.folder,
        span: node.span.clone(),
    };
    let notify = notify.unwrap_or_default();
    Some(Written {
        task,
        notify: notify
            .into_iter()
            .map(|(name, node)| (name, node.clone()))
            .collect(),
        listen: listen
            .unwrap_or_default()
            .into_iter()
            .map(|(name, _)| name)
            .collect(),
    })
}

/// Takes the keys that plays, roles, imports and tasks have in common.
pub(super) fn inherit(fields: &mut Fields<'_>, around: &mut Around, errors: &mut Diagnostics) {
    if let Some(when) = fields.take("when") {
        around.when.extend(conditions(when));
    }
    if let Some(node) = fields.take("tags") {
        around.tags.extend(tags(node, errors));
    }
    if let Some(node) = fields.take("vars") {
        around.vars.push(Arc::new(variables("vars", node, errors)));
    }
}

/// Tags: a list, or a text with commas.
pub(super) fn tags(node: &Node, errors: &mut Diagnostics) -> BTreeSet<String> {
    let found = texts("tags", node, errors);
    let split = found.iter().flat_map(|(text, _)| text.split(','));
    split
        .map(str::trim)
        .filter(|tag| !tag.is_empty())
        .map(str::to_owned)
        .collect()
}

/// A mapping of variables.
pub(super) fn variables(what: &str, node: &Node, errors: &mut Diagnostics) -> VariableMap {
    if node.is_null() {
        return VariableMap::new();
    }
    let Some(entries) = node.as_mapping() else {
        errors.push(fields::expected(what, "a mapping of variables", node));
        return VariableMap::new();
    };
    let valid = entries.iter().filter(|(key, _)| variable_name(key, errors));
    valid
        .map(|(key, value)| (key.text.clone(), value.clone()))
        .collect()
}

/// A condition, or a list of them that must all hold.
fn conditions(node: &Node) -> Vec<Node> {
    match &node.value {
        Yaml::Sequence(items) => items.clone(),
        _ => vec![node.clone()],
    }
}

fn severity(node: &Node, errors: &mut Diagnostics) -> Option<Severity> {
    let found = node.text().and_then(|text| text.parse().ok());
    if found.is_none() {
        let expected = "info, low, medium, high or critical";
        errors.push(fields::expected("severity", expected, node));
    }
    found
}

/// The one key that is left must be the kind.
fn kind(
    task: &Node,
    fields: Fields<'_>,
    errors: &mut Diagnostics,
) -> Option<(&'static KindEntry, Node)> {
    let mut found: Option<(&'static KindEntry, &Key, &Node)> = None;
    let mut others = Vec::new();
    let mut twice = false;
    for (key, arguments) in fields.rest() {
        let short = COLLECTIONS
            .iter()
            .find_map(|prefix| key.text.strip_prefix(prefix));
        let Some(entry) = kinds().get(short.unwrap_or(&key.text)) else {
            others.push(key);
            continue;
        };
        if let Some((_, first, _)) = found {
            let message = format!(
                "a task has exactly one kind; this one has `{}` and `{}`",
                first.text, key.text
            );
            let error = Diagnostic::error(message).at(key.span.clone());
            errors.push(error.help("write two tasks"));
            twice = true;
        } else {
            found = Some((entry, key, arguments));
        }
    }
    let named = found.is_some();
    for key in &others {
        errors.push(unknown(key, named));
    }
    let Some((entry, key, arguments)) = found else {
        if others.is_empty() {
            let error = Diagnostic::error("a task needs a kind: what it is about");
            let example = "`fleet doc` lists the kinds";
            errors.push(error.at(task.span.clone()).help(example));
        }
        return None;
    };
    let arguments = arguments_of(entry, key, arguments, errors)?;
    (!twice).then_some((entry, arguments))
}

/// A key that is neither a task's nor a kind: the less likely of both is not suggested.
fn unknown(key: &Key, kind_found: bool) -> Diagnostic {
    let short = COLLECTIONS
        .iter()
        .find_map(|prefix| key.text.strip_prefix(prefix));
    let name = short.unwrap_or(&key.text);
    let advised = |table: &[(&'static str, &'static str)]| {
        table
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, help)| *help)
    };
    if let Some(help) = advised(&advice::TASK).or_else(|| advised(&advice::KIND)) {
        return Diagnostic::error(format!("`{}` is not supported", key.text))
            .at(key.span.clone())
            .help(help);
    }
    let near_key = nearest(name, KEYS);
    let near_kind = nearest(name, kinds().keys().copied());
    let (what, near) = match (kind_found, near_key, near_kind) {
        (true, near, _) | (false, near @ Some(_), None) => ("key", near),
        (false, _, near) => ("kind", near),
    };
    let error = Diagnostic::error(format!("unknown {what} `{}`", key.text)).at(key.span.clone());
    match (near, what) {
        (Some(near), _) => error.help(format!("did you mean `{near}`?")),
        (None, "kind") => error.help("`fleet doc` lists the kinds"),
        (None, _) => error.help(format!("expected one of `{}`", KEYS.join("`, `"))),
    }
}

/// The arguments as a mapping: two kinds may be given a lone text, as in Ansible.
fn arguments_of(
    entry: &'static KindEntry,
    key: &Key,
    node: &Node,
    errors: &mut Diagnostics,
) -> Option<Node> {
    let name = entry.name;
    let mapping = |entries| Node {
        value: Yaml::Mapping(entries),
        raw: None,
        ..node.clone()
    };
    match (&node.value, entry.free_form(), node.text()) {
        (Yaml::Mapping(_), ..) => {
            if entry.fields().is_none() {
                variables(name, node, errors);
            }
            Some(node.clone())
        }
        (Yaml::Null, ..) => Some(Node {
            span: key.span.clone(),
            ..mapping(Vec::new())
        }),
        (_, Some(field), Some(text)) => {
            let hidden = text.split_whitespace().find_map(|word| {
                let (field, _) = word.split_once('=')?;
                ["creates", "removes", "chdir", "executable", "stdin", "warn"]
                    .contains(&field)
                    .then_some(field)
            });
            if let Some(hidden) = hidden {
                let message =
                    format!("`{hidden}=` inside the text of `{name}` would be part of the command");
                let help = format!("write `{name}: {{cmd: …, {hidden}: …}}`");
                errors.push(Diagnostic::error(message).at(node.span.clone()).help(help));
                return None;
            }
            let field = Key {
                span: node.span.clone(),
                text: field.to_owned(),
            };
            Some(mapping(vec![(field, node.clone())]))
        }
        (_, _, text) => {
            let error =
                Diagnostic::error(format!("`{name}` takes a mapping, got {}", node.describe()));
            let first = entry
                .fields()
                .and_then(|fields| fields.first().map(|f| (*f).to_owned()));
            let short = text
                .and_then(|text| text.split_once('='))
                .map(|(field, _)| field.trim().to_owned());
            let help = match short.or(first) {
                Some(field) => format!("write `{name}: {{{field}: …}}`"),
                None => format!("write `{name}: {{name: value}}`"),
            };
            errors.push(error.at(node.span.clone()).help(help));
            None
        }
    }
}

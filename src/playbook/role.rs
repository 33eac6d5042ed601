//! Finds roles and reads them, dependencies first.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::fields::{Fields, boolean, list, plain_text, variable_name};
use super::load::{Loader, Tasks};
use super::task::{Around, inherit, variables};
use super::{RoleContext, VariableMap};
use crate::diagnostic::{Diagnostic, nearest};
use crate::yaml::{Node, Yaml};

/// The folders a role may consist of.
const FOLDERS: [&str; 7] = [
    "defaults",
    "vars",
    "tasks",
    "handlers",
    "meta",
    "templates",
    "files",
];

/// Keys of a role's entry that are no parameters.
const RESERVED: [(&str, &str); 6] = [
    ("become", "set it on the play"),
    ("become_user", "use `run_as` in the tasks"),
    ("delegate_to", "not supported: write a play for that host"),
    ("environment", "set variables inside a `shell` task"),
    ("ignore_errors", "set it on the tasks it is meant for"),
    ("notify", "set it on the tasks"),
];

const META_KEYS: [&str; 3] = ["dependencies", "galaxy_info", "allow_duplicates"];

/// The roles of one play, in the order they run.
#[derive(Default)]
pub(super) struct Roles {
    pub(super) tasks: Tasks,
    pub(super) handlers: Tasks,
    /// Names, parameters and conditions of those already there.
    used: Vec<String>,
    /// Those whose dependencies are being read.
    open: Vec<String>,
}

impl Roles {
    /// Adds the role of one entry under `roles` or `dependencies`, its dependencies before it.
    /// A role that is there with the same parameters and conditions is not added again.
    pub(super) fn add(&mut self, loader: &mut Loader<'_>, entry: &Node, around: &Around) {
        let mut around = around.clone();
        let Some((name, name_node, parameters)) = read_entry(loader, entry, &mut around) else {
            return;
        };
        let Some(folder) = find(loader, &name, name_node) else {
            return;
        };
        if let Some(at) = self.open.iter().position(|open| *open == name) {
            let circle: Vec<_> = self.open[at..]
                .iter()
                .map(String::as_str)
                .chain([name.as_str()])
                .collect();
            let message = format!(
                "the role `{name}` depends on itself: {}",
                circle.join(" → ")
            );
            loader
                .errors
                .push(Diagnostic::error(message).at(name_node.span.clone()));
            return;
        }
        let part = |part: &str| {
            ["yml", "yaml"]
                .map(|end| folder.join(part).join("main").with_extension(end))
                .into_iter()
                .find(|path| path.is_file())
        };
        check_folders(loader, &name, &folder);
        let meta = part("meta").and_then(|path| loader.file(&path));
        let meta = meta
            .map(|node| read_meta(loader, &node))
            .unwrap_or_default();
        let values: serde_json::Map<_, _> = parameters
            .iter()
            .map(|(name, node)| (name.clone(), node.to_json()))
            .collect();
        let conditions: Vec<_> = around.when.iter().map(Node::to_json).collect();
        let use_of = serde_json::json!([name, values, conditions]).to_string();
        if self.used.contains(&use_of) && !meta.allow_duplicates {
            return;
        }
        self.used.push(use_of);

        self.open.push(name.clone());
        for dependency in &meta.dependencies {
            self.add(loader, dependency, &around);
        }
        self.open.pop();

        let mut read = |part: Option<PathBuf>, what: &str| {
            let node = part.and_then(|path| loader.file(&path));
            Arc::new(
                node.map(|node| variables(what, &node, loader.errors))
                    .unwrap_or_default(),
            )
        };
        let context = RoleContext {
            defaults: read(part("defaults"), "the file of defaults"),
            vars: read(part("vars"), "the file of vars"),
            parameters: Arc::new(parameters),
            name,
            folder: folder.clone(),
        };
        around.role = Some(Arc::new(context));
        let mut files = Vec::new();
        if let Some(path) = part("tasks") {
            loader.tasks_file(&path, None, &around, &mut files, &mut self.tasks);
        }
        if let Some(path) = part("handlers") {
            loader.tasks_file(&path, None, &around, &mut files, &mut self.handlers);
        }
    }
}

/// A role's name, where it stands, and its parameters; `when`, `tags` and `vars` go into
/// `around`.
fn read_entry<'n>(
    loader: &mut Loader<'_>,
    entry: &'n Node,
    around: &mut Around,
) -> Option<(String, &'n Node, VariableMap)> {
    let mut parameters = VariableMap::new();
    if !matches!(entry.value, Yaml::Mapping(_)) {
        return Some((plain_text("role", entry, loader.errors)?, entry, parameters));
    }
    let mut fields = Fields::of(entry, "a role", loader.errors)?;
    let name = fields.take("role").or_else(|| fields.take("name"));
    // In Ansible, too, `vars` of a role are parameters.
    if let Some(node) = fields.take("vars") {
        parameters.extend(variables("vars", node, loader.errors));
    }
    around.vars.clear();
    inherit(&mut fields, around, loader.errors);
    for (key, value) in fields.rest() {
        if let Some((_, help)) = RESERVED.iter().find(|(name, _)| *name == key.text) {
            let message = format!("`{}` is not supported on a role", key.text);
            loader
                .errors
                .push(Diagnostic::error(message).at(key.span.clone()).help(*help));
        } else if variable_name(key, loader.errors) {
            parameters.insert(key.text.clone(), value.clone());
        }
    }
    let Some(name) = name else {
        let error = Diagnostic::error("an entry of `roles` needs `role`: its name");
        loader.errors.push(error.at(entry.span.clone()));
        return None;
    };
    Some((plain_text("role", name, loader.errors)?, name, parameters))
}

/// The folder of a role: in `roles/` beside the playbook, in `roles/` beside the playbook's
/// folder, or in the current directory's `roles/`.
fn find(loader: &mut Loader<'_>, name: &str, node: &Node) -> Option<PathBuf> {
    let valid = name
        .chars()
        .all(|c| c.is_alphanumeric() || "_-.".contains(c))
        && name.starts_with(|c: char| c.is_alphanumeric() || c == '_');
    if !valid {
        let message = format!("`{name}` is no name for a role: letters, digits, `_`, `-` and `.`");
        loader
            .errors
            .push(Diagnostic::error(message).at(node.span.clone()));
        return None;
    }
    let beside = loader.folder.as_path();
    let above = beside
        .parent()
        .map_or_else(|| beside.join(".."), Path::to_path_buf);
    let mut places = vec![
        beside.join("roles"),
        above.join("roles"),
        PathBuf::from("roles"),
    ];
    places.dedup();
    if let Some(found) = places
        .iter()
        .map(|place| place.join(name))
        .find(|path| path.is_dir())
    {
        return Some(found);
    }
    let mut known: Vec<String> = places
        .iter()
        .filter_map(|place| std::fs::read_dir(place).ok())
        .flat_map(|entries| entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()))
        .collect();
    known.sort();
    let error = Diagnostic::error(format!("there is no role `{name}`")).at(node.span.clone());
    let help = if let Some(near) = nearest(name, known.iter().map(String::as_str)) {
        format!("did you mean `{near}`?")
    } else {
        let shown: Vec<_> = places
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        format!("looked in {}", shown.join(", "))
    };
    loader.errors.push(error.help(help));
    None
}

/// A role without anything in it, or with a misspelt folder, would quietly do nothing.
fn check_folders(loader: &mut Loader<'_>, name: &str, folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    let mut found: Vec<String> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            entry
                .file_type()
                .ok()?
                .is_dir()
                .then(|| entry.file_name().into_string().ok())?
        })
        .collect();
    found.sort();
    if !found.iter().any(|name| FOLDERS.contains(&name.as_str())) {
        let message = format!("the role `{name}` is empty: `{}`", folder.display());
        loader
            .errors
            .push(Diagnostic::error(message).help("write its `tasks/main.yml`"));
    }
    for folder_name in found
        .iter()
        .filter(|name| !FOLDERS.contains(&name.as_str()))
    {
        if let Some(near) = nearest(folder_name, FOLDERS) {
            let message = format!(
                "`{}` is not read: did you mean `{near}`?",
                folder.join(folder_name).display()
            );
            loader.errors.push(Diagnostic::warning(message));
        }
    }
}

#[derive(Default)]
struct Meta {
    dependencies: Vec<Node>,
    allow_duplicates: bool,
}

fn read_meta(loader: &mut Loader<'_>, node: &Node) -> Meta {
    let mut meta = Meta::default();
    if node.is_null() {
        return meta;
    }
    let Some(mut fields) = Fields::of(node, "a role's `meta`", loader.errors) else {
        return meta;
    };
    if let Some(node) = fields.take("dependencies") {
        meta.dependencies = list("dependencies", node, loader.errors).to_vec();
    }
    if let Some(node) = fields.take("allow_duplicates") {
        meta.allow_duplicates =
            boolean("allow_duplicates", node, loader.errors).unwrap_or_default();
    }
    fields.take_entry("galaxy_info");
    fields.refuse_rest(
        &META_KEYS,
        &[
            ("collections", "fleet has no collections"),
            ("argument_specs", "not supported yet"),
        ],
        loader.errors,
    );
    meta
}

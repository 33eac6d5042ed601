//! Reads a playbook and all it names, and collects everything wrong with it.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::fields::{Fields, boolean, list, plain_text, texts};
use super::handler::{Pending, handlers, refuse_circles, resolve};
use super::rollout::{self, Rollout};
use super::task::{self, Around, Written, inherit, tags, variables};
use super::{Play, Playbook, Step, Task, VariableMap, advice, role};
use crate::diagnostic::{Diagnostic, Diagnostics, nearest};
use crate::secret::Vault;
use crate::yaml::{Limits, Node};

const PLAY_KEYS: [&str; 11] = [
    "name",
    "hosts",
    "become",
    "vars",
    "vars_files",
    "roles",
    "pre_tasks",
    "tasks",
    "post_tasks",
    "handlers",
    "tags",
];

/// How deep files may import one another.
const DEEPEST_IMPORT: usize = 32;

/// Reads a playbook with its roles, imported tasks and files of variables.
///
/// What is returned beside errors is incomplete and fit for nothing but finding more errors.
pub fn load(path: &Path, vault: &Vault, errors: &mut Diagnostics) -> Playbook {
    let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
    let mut found = Diagnostics::new();
    let playbook = read(path, folder, vault, &mut found);
    // A role or file used twice has its errors once.
    let mut seen = HashSet::new();
    errors.extend(
        found
            .into_vec()
            .into_iter()
            .filter(|error| seen.insert(identity(error))),
    );
    playbook
}

/// What is wrong, and where.
pub(super) fn identity(error: &Diagnostic) -> (String, Option<(PathBuf, usize, usize)>) {
    let place = error
        .span
        .as_ref()
        .map(|span| (span.file.path.clone(), span.start, span.end));
    (error.message.clone(), place)
}

fn read(path: &Path, folder: PathBuf, vault: &Vault, errors: &mut Diagnostics) -> Playbook {
    let mut loader = Loader {
        errors,
        folder: Arc::new(folder),
        files: HashMap::new(),
        vault,
    };
    let Some(node) = loader.file(path) else {
        return Playbook::default();
    };
    if node.as_sequence().is_none_or(<[_]>::is_empty) {
        let found = match node.as_sequence() {
            Some(_) => "an empty one".into(),
            None => node.describe(),
        };
        let message = format!("a playbook is a list of plays, got {found}");
        loader
            .errors
            .push(Diagnostic::error(message).at(node.span.clone()));
    }
    let plays = node.as_sequence().unwrap_or_default();
    Playbook {
        plays: plays.iter().filter_map(|play| loader.play(play)).collect(),
    }
}

/// What one run of [`load`] has at hand.
pub(super) struct Loader<'e> {
    pub(super) errors: &'e mut Diagnostics,
    /// The folder of the playbook.
    pub(super) folder: Arc<PathBuf>,
    /// Files read so far; `None` for one that could not be, which was reported then.
    files: HashMap<PathBuf, Option<Node>>,
    vault: &'e Vault,
}

/// Tasks in the order they run, with the names they notify.
pub(super) type Tasks = Vec<Written>;

impl Loader<'_> {
    /// A YAML file, read once.
    pub(super) fn file(&mut self, path: &Path) -> Option<Node> {
        if let Some(read) = self.files.get(path) {
            return read.clone();
        }
        let node = self.errors.check(self.vault.load(path, &Limits::default()));
        self.files.insert(path.to_owned(), node.clone());
        node
    }

    fn play(&mut self, node: &Node) -> Option<Play> {
        let mut fields = Fields::of(node, "a play", self.errors)?;
        let name = fields
            .take("name")
            .and_then(|node| plain_text("name", node, self.errors));
        let hosts = fields.take("hosts");
        let around = Around {
            when: Vec::new(),
            tags: fields
                .take("tags")
                .map(|node| tags(node, self.errors))
                .unwrap_or_default(),
            vars: Vec::new(),
            role: None,
            folder: self.folder.clone(),
        };
        let become_root = fields
            .take("become")
            .and_then(|node| boolean("become", node, self.errors));
        let vars = fields
            .take("vars")
            .map(|node| variables("vars", node, self.errors));
        let vars_files = fields.take("vars_files").map(|node| self.vars_files(node));
        let mut section = |loader: &mut Self, name, around: &Around| {
            let items = fields
                .take(name)
                .map(|node| list(name, node, loader.errors));
            let mut tasks = Tasks::new();
            let mut files = Vec::new();
            for item in items.unwrap_or_default() {
                loader.task(item, around, &loader.folder.clone(), &mut files, &mut tasks);
            }
            tasks
        };
        let pre_tasks = section(self, "pre_tasks", &around);
        let own = section(self, "tasks", &around);
        let post_tasks = section(self, "post_tasks", &around);
        let own_handlers = section(self, "handlers", &around);
        let (role_tasks, mut role_handlers) = match fields.take("roles") {
            Some(node) => self.roles(node, &around),
            None => Default::default(),
        };
        let rollout = Rollout::take(&mut fields, self.errors);
        let known = [&PLAY_KEYS[..], &rollout::KEYS].concat();
        fields.refuse_rest(&known, &advice::PLAY, self.errors);
        role_handlers.extend(own_handlers);
        let handlers = handlers(role_handlers, self.errors);
        let keys: Vec<_> = handlers
            .iter()
            .map(|h| (h.of.key.clone(), h.of.listen.clone()))
            .collect();
        let main = role_tasks.into_iter().chain(own).collect();
        let steps = self.steps([pre_tasks, main, post_tasks], &keys);
        let handlers: Vec<_> = handlers
            .into_iter()
            .map(|Pending { mut of, notify }| {
                of.task.notify = resolve(&of.task, &notify, &keys, self.errors);
                of
            })
            .collect();
        refuse_circles(&handlers, self.errors);
        let Some(hosts) = hosts else {
            let error = Diagnostic::error("a play needs `hosts`").at(node.span.clone());
            self.errors
                .push(error.help("name a host, a group or `all`"));
            return None;
        };
        let pattern: Vec<_> = texts("hosts", hosts, self.errors);
        let pattern: Vec<_> = pattern.into_iter().map(|(text, _)| text).collect();
        let pattern = pattern.join(",");
        Some(Play {
            name: name.unwrap_or_else(|| pattern.clone()),
            hosts: pattern,
            hosts_span: hosts.span.clone(),
            become_root,
            rollout,
            vars: Arc::new(vars.unwrap_or_default()),
            vars_files: Arc::new(vars_files.unwrap_or_default()),
            steps,
            handlers,
            span: node.span.clone(),
        })
    }

    /// The sections of a play in order, each followed by the handlers it notified.
    fn steps(&mut self, sections: [Tasks; 3], handlers: &[(String, Vec<String>)]) -> Vec<Step> {
        let mut steps = Vec::new();
        for section in sections {
            for written in section {
                let mut task = written.task;
                if !written.listen.is_empty() {
                    let error = Diagnostic::error("only handlers have `listen`");
                    self.errors.push(error.at(task.span.clone()));
                }
                task.notify = resolve(&task, &written.notify, handlers, self.errors);
                steps.push(Step::Task(Box::new(task)));
            }
            if !matches!(steps.last(), None | Some(Step::FlushHandlers)) {
                steps.push(Step::FlushHandlers);
            }
        }
        steps
    }

    fn vars_files(&mut self, node: &Node) -> VariableMap {
        let mut all = VariableMap::new();
        for (name, node) in texts("vars_files", node, self.errors) {
            let path = self.folder.join(&name);
            if !path.is_file() {
                self.errors
                    .push(missing_file("file of variables", &name, &path, node));
                continue;
            }
            let Some(file) = self.file(&path) else {
                continue;
            };
            all.extend(variables("a file of variables", &file, self.errors));
        }
        all
    }

    fn roles(&mut self, node: &Node, around: &Around) -> (Tasks, Tasks) {
        let mut roles = role::Roles::default();
        for entry in list("roles", node, self.errors) {
            roles.add(self, entry, around);
        }
        (roles.tasks, roles.handlers)
    }

    /// Reads one entry of a list of tasks: a task, or the tasks of a file. `files` are the ones
    /// that are being read, the innermost last.
    pub(super) fn task(
        &mut self,
        node: &Node,
        around: &Around,
        folder: &Path,
        files: &mut Vec<PathBuf>,
        tasks: &mut Tasks,
    ) {
        const IMPORT: [&str; 2] = ["import_tasks", "ansible.builtin.import_tasks"];
        if !IMPORT.iter().any(|key| node.get(key).is_some()) {
            tasks.extend(task::read(node, around, self.errors));
            return;
        }
        let Some(mut fields) = Fields::of(node, "a task", self.errors) else {
            return;
        };
        let mut around = around.clone();
        inherit(&mut fields, &mut around, self.errors);
        fields.take("name");
        let file = IMPORT.iter().find_map(|key| fields.take(key));
        fields.refuse_rest(
            &["name", "import_tasks", "when", "tags", "vars"],
            &[("loop", "put the loop on the tasks in the file")],
            self.errors,
        );
        let Some(file) = file else { return };
        // Ansible's longer form.
        let file = file.get("file").unwrap_or(file);
        let Some(name) = plain_text("import_tasks", file, self.errors) else {
            return;
        };
        let path = folder.join(&name);
        if !path.is_file() {
            self.errors
                .push(missing_file("file of tasks", &name, &path, file));
            return;
        }
        self.tasks_file(&path, Some(file), &around, files, tasks);
    }

    /// Reads a file that is a list of tasks.
    pub(super) fn tasks_file(
        &mut self,
        path: &Path,
        imported_at: Option<&Node>,
        around: &Around,
        files: &mut Vec<PathBuf>,
        tasks: &mut Tasks,
    ) {
        let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let again = files.iter().position(|open| real(open) == real(path));
        if again.is_some() || files.len() >= DEEPEST_IMPORT {
            let names = files[again.unwrap_or(0)..]
                .iter()
                .map(PathBuf::as_path)
                .chain([path]);
            let names: Vec<_> = names
                .filter_map(|path| path.file_name()?.to_str())
                .collect();
            let name = names.last().copied().unwrap_or_default();
            let problem = if again.is_some() {
                "imports itself"
            } else {
                "is imported too deep"
            };
            let error = Diagnostic::error(format!("`{name}` {problem}: {}", names.join(" → ")));
            self.errors.push(match imported_at {
                Some(node) => error.at(node.span.clone()),
                None => error,
            });
            return;
        }
        let Some(node) = self.file(path) else { return };
        files.push(path.to_owned());
        let folder = path.parent().unwrap_or(Path::new(""));
        if !node.is_null() {
            for item in list("a file of tasks", &node, self.errors) {
                self.task(item, around, folder, files, tasks);
            }
        }
        files.pop();
    }
}

/// Says that a file is not there, and which one was probably meant.
pub(super) fn missing_file(what: &str, name: &str, path: &Path, node: &Node) -> Diagnostic {
    let error = Diagnostic::error(format!("there is no {what} `{name}`"))
        .at(node.span.clone())
        .help(format!("looked for {}", path.display()));
    match near_file(path) {
        Some(near) => error.help(format!("did you mean `{near}`?")),
        None => error,
    }
}

/// The entry of a path's folder whose name is most like the path's.
pub(super) fn near_file(path: &Path) -> Option<String> {
    let parent = match path.parent()? {
        folder if folder.as_os_str().is_empty() => Path::new("."),
        folder => folder,
    };
    let entries = std::fs::read_dir(parent).ok()?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    let name = path.file_name()?.to_str()?;
    nearest(name, names.iter().map(String::as_str)).map(str::to_owned)
}

impl Playbook {
    /// All tasks and handlers of all plays.
    pub fn tasks(&self) -> impl Iterator<Item = &Task> {
        self.plays.iter().flat_map(|play| {
            play.tasks()
                .chain(play.handlers.iter().map(|handler| &handler.task))
        })
    }
}

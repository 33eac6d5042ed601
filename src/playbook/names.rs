//! What each name stands for, for one task on one host.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use super::{Contents, Play, Task};
use crate::diagnostic::Diagnostic;
use crate::inventory::{HostName, Inventory, Layer, VarMap, Variables};
use crate::protocol::Facts;
use crate::secret::Redactor;
use crate::template::{
    Binding, Data, Engine, Errors, Rendered, Scope, Secrets, Source, Template, data,
};
use crate::yaml::Node;

/// Names that are always there and cannot be set.
pub(super) const RESERVED: [&str; 6] = [
    "inventory_hostname",
    "group_names",
    "groups",
    "hostvars",
    "facts",
    "item",
];

/// The fields that facts have on every host.
static OUTLINE_OF_FACTS: LazyLock<Data> = LazyLock::new(|| {
    let facts = serde_json::to_value(Facts::default()).expect("facts are plain data");
    data(&facts)
});

/// What all hosts have in common.
#[derive(Debug)]
pub struct Globals<'i> {
    /// Compiles for all hosts.
    pub engine: Engine,
    /// The files hosts may ask for.
    pub contents: Contents,
    /// Knows what must not be seen by everybody.
    pub secrets: Redactor,
    inventory: &'i Inventory,
    extra: Arc<VarMap>,
    groups: Data,
    /// `hostvars` by the names its readers can ask for.
    hostvars: Mutex<HashMap<BTreeSet<String>, Data>>,
}

/// What one host has in all its tasks.
#[derive(Debug)]
pub struct HostNames {
    name: HostName,
    variables: Variables,
    group_names: Data,
}

/// What tasks found out about one host so far.
#[derive(Clone, Debug, Default)]
pub struct Results {
    /// What the helper said first; `None` before contact.
    pub facts: Option<Data>,
    /// Registered results and `set_fact`, by name.
    pub known: HashMap<String, Known>,
}

/// A name that a task sets.
#[derive(Clone, Debug)]
pub enum Known {
    /// The task is over.
    Value(Data),
    /// The task was sent, or will be.
    Pending,
}

/// What a name is before it is rendered, to tell whether two hosts see the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Identity {
    /// The very same definition, by its address.
    Definition(*const Node),
    /// The same for all hosts.
    Shared,
    /// Different on every host.
    Own,
    /// Not defined.
    Absent,
}

/// What each name stands for, for one task on one host.
#[derive(Debug)]
pub struct TaskNames<'t> {
    globals: &'t Globals<'t>,
    host: &'t HostNames,
    results: &'t Results,
    variables: Variables,
    item: Item,
    asked: RefCell<BTreeSet<String>>,
}

/// What `item` stands for.
#[derive(Debug)]
enum Item {
    /// Nothing: the task has no `loop`.
    None,
    /// One of a list that is not known yet.
    Later,
    /// This.
    Is(Data),
}

impl<'i> Globals<'i> {
    /// `extra` is what `-e` gave. What asks for secrets is deferred.
    #[must_use]
    pub fn new(inventory: &'i Inventory, extra: VarMap) -> Self {
        let groups: serde_json::Map<_, _> = inventory
            .groups()
            .map(|group| {
                let members = inventory.members(group.as_str());
                let members: Vec<_> = members.iter().map(|host| host.as_str()).collect();
                (group.as_str().to_owned(), serde_json::json!(members))
            })
            .collect();
        Self {
            engine: Engine::new(Secrets::Later).telling(inventory.redactor().clone()),
            contents: Contents::default(),
            secrets: Redactor::default(),
            inventory,
            extra: Arc::new(extra),
            groups: data(&groups.into()),
            hostvars: Mutex::default(),
        }
    }

    /// Lets templates ask for secrets.
    #[must_use]
    pub fn with_secrets(mut self, secrets: Secrets) -> Self {
        let redactor = self.inventory.redactor().clone();
        self.engine = Engine::new(secrets).telling(redactor);
        self
    }

    /// What one host has in all its tasks.
    #[must_use]
    pub fn host(&self, name: &HostName) -> HostNames {
        let groups = self.inventory.group_names(name);
        let groups: Vec<_> = groups.iter().map(|group| group.as_str()).collect();
        HostNames {
            name: name.clone(),
            variables: self.inventory.variables(name),
            group_names: data(&serde_json::json!(groups)),
        }
    }

    /// Reads something from a host's variables, outside of any task: how it is reached.
    ///
    /// # Errors
    /// Everything wrong with the variables asked for, or what `read` says.
    pub fn lookup<T>(
        &self,
        host: &HostNames,
        play: Option<&Play>,
        read: impl FnOnce(&dyn Fn(&str) -> Option<serde_json::Value>) -> Result<T, String>,
    ) -> Result<T, Errors> {
        let mut variables = host.variables.clone();
        if let Some(play) = play {
            variables = variables
                .with(Layer::PlayVars, play.vars.clone())
                .with(Layer::VarsFiles, play.vars_files.clone());
        }
        let own = OwnNames {
            globals: self,
            host,
            variables: &variables,
        };
        let scope = Scope::new(&self.engine, &own);
        let errors = RefCell::new(Errors::new());
        let found = read(&|name| match scope.variable(name) {
            Ok(Some(Rendered::Value(value))) => serde_json::to_value(&value).ok(),
            // Nobody is to be reached yet, then.
            Ok(Some(Rendered::Deferred { on })) if on.iter().all(|on| on == Secrets::NAME) => None,
            Ok(Some(Rendered::Deferred { .. })) => {
                let message =
                    format!("`{name}` decides how the host is reached: it cannot depend on facts");
                let place = self.extra.get(name).or_else(|| variables.get(name));
                let error = Diagnostic::error(message);
                errors.borrow_mut().push(match place {
                    Some(node) => error.at(node.span.clone()),
                    None => error,
                });
                None
            }
            Ok(None) => None,
            Err(found) => {
                errors.borrow_mut().extend(found);
                None
            }
        });
        let mut errors = errors.into_inner();
        match found {
            Ok(found) if errors.is_empty() => Ok(found),
            Ok(_) => Err(errors),
            Err(message) => {
                errors.push(Diagnostic::error(format!("{}: {message}", host.name)));
                Err(errors)
            }
        }
    }

    /// Renders a text that stands outside of any task, with a host's variables.
    ///
    /// # Errors
    /// Everything wrong in it; also when it depends on facts.
    pub fn render(&self, host: &HostNames, node: &Node) -> Result<String, Errors> {
        let own = OwnNames {
            globals: self,
            host,
            variables: &host.variables,
        };
        let text = node.text().unwrap_or_default();
        let scope = Scope::new(&self.engine, &own);
        match scope.render_text(text, &node.span)? {
            Rendered::Value(text) => Ok(text),
            Rendered::Deferred { .. } => {
                let error = Diagnostic::error("this cannot depend on facts: no host was asked yet");
                Err(vec![error.at(node.span.clone())])
            }
        }
    }

    /// The inventory's variables of all hosts, as far as they need no facts and no secrets of the
    /// store, restricted to what `reader` can name: its cost is one pass over the hosts for each distinct set of names.
    fn hostvars(&self, reader: &Template) -> Data {
        let words = reader.words();
        let cached = self
            .hostvars
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(words)
            .cloned();
        if let Some(cached) = cached {
            return cached;
        }
        let all: tera::Map = self
            .inventory
            .hosts()
            .map(|name| {
                let host = self.host(name);
                let own = OwnNames {
                    globals: self,
                    host: &host,
                    variables: &host.variables,
                };
                // These are all hosts, selected or not: nobody wants to ask for the secrets of all.
                let scope = Scope::new(&self.engine, &own).without_secrets();
                let mut values = tera::Map::new();
                for word in words {
                    if let Ok(Some(Rendered::Value(value))) = scope.variable(word) {
                        values.insert(word.clone().into(), value);
                    }
                }
                (name.as_str().to_owned().into(), Data::from(values))
            })
            .collect();
        let all = Data::from(all);
        let mut cache = self.hostvars.lock().unwrap_or_else(PoisonError::into_inner);
        cache.entry(words.clone()).or_insert(all).clone()
    }

    fn always(&self, host: &HostNames, name: &str) -> Option<Data> {
        match name {
            "inventory_hostname" => Some(Data::from(host.name.as_str())),
            "group_names" => Some(host.group_names.clone()),
            "groups" => Some(self.groups.clone()),
            _ => None,
        }
    }
}

impl HostNames {
    /// The host's name.
    #[must_use]
    pub fn name(&self) -> &HostName {
        &self.name
    }
}

impl<'t> TaskNames<'t> {
    /// What a task's names stand for, `item` aside.
    #[must_use]
    pub fn new(
        globals: &'t Globals<'t>,
        host: &'t HostNames,
        results: &'t Results,
        play: &Play,
        task: &Task,
    ) -> Self {
        let mut variables = host
            .variables
            .clone()
            .with(Layer::PlayVars, play.vars.clone())
            .with(Layer::VarsFiles, play.vars_files.clone());
        if let Some(role) = &task.role {
            variables = variables
                .with(Layer::RoleDefaults, role.defaults.clone())
                .with(Layer::RoleVars, role.vars.clone())
                .with(Layer::RoleParameters, role.parameters.clone());
        }
        for vars in &task.vars {
            variables = variables.with(Layer::TaskVars, vars.clone());
        }
        Self {
            globals,
            host,
            results,
            variables,
            item: Item::None,
            asked: RefCell::default(),
        }
    }

    /// Sets `item`; `None` says it is not known yet.
    #[must_use]
    pub fn with_item(mut self, item: Option<Data>) -> Self {
        self.item = item.map_or(Item::Later, Item::Is);
        self
    }

    /// A scope over these names.
    #[must_use]
    pub fn scope(&self) -> Scope<'_> {
        Scope::new(&self.globals.engine, self)
    }

    /// The text of `item`, the same only for the same value; `None` without one.
    pub(super) fn item_as_text(&self) -> Option<String> {
        match &self.item {
            Item::None | Item::Later => None,
            Item::Is(item) => Some(serde_json::to_string(item).expect("items are plain data")),
        }
    }

    /// Every name asked for so far with what it stood for.
    pub(super) fn trace(&self) -> Vec<(String, Identity)> {
        let asked = self.asked.borrow();
        asked
            .iter()
            .map(|name| (name.clone(), self.identity(name)))
            .collect()
    }

    pub(super) fn identity(&self, name: &str) -> Identity {
        match name {
            "inventory_hostname" | "group_names" => return Identity::Own,
            "facts" if self.results.facts.is_some() => return Identity::Own,
            // Which `item` it is, is for the caller to tell apart.
            "groups" | "hostvars" | "facts" | "item" => return Identity::Shared,
            _ => {}
        }
        match self.results.known.get(name) {
            Some(Known::Value(_)) => return Identity::Own,
            Some(Known::Pending) => return Identity::Shared,
            None => {}
        }
        match self
            .globals
            .extra
            .get(name)
            .or_else(|| self.variables.get(name))
        {
            Some(node) => Identity::Definition(node),
            None => Identity::Absent,
        }
    }
}

impl Source for TaskNames<'_> {
    fn binding(&self, name: &str, reader: Option<&Template>) -> Option<Binding<'_>> {
        self.asked.borrow_mut().insert(name.to_owned());
        if let Some(value) = self.globals.always(self.host, name) {
            return Some(Binding::Data(value));
        }
        match name {
            "facts" => {
                return Some(
                    self.results
                        .facts
                        .clone()
                        .map_or(Binding::Deferred, Binding::Data),
                );
            }
            "item" => {
                return match &self.item {
                    Item::None => None,
                    Item::Later => Some(Binding::Deferred),
                    Item::Is(item) => Some(Binding::Data(item.clone())),
                };
            }
            "hostvars" => return reader.map(|reader| Binding::Data(self.globals.hostvars(reader))),
            _ => {}
        }
        if let Some(node) = self.globals.extra.get(name) {
            return Some(Binding::Configured(node));
        }
        match self.results.known.get(name) {
            Some(Known::Value(value)) => Some(Binding::Data(value.clone())),
            Some(Known::Pending) => Some(Binding::Deferred),
            None => self.variables.get(name).map(Binding::Configured),
        }
    }

    fn outline(&self, name: &str) -> Option<Data> {
        (name == "facts").then(|| OUTLINE_OF_FACTS.clone())
    }

    fn names(&self) -> BTreeSet<String> {
        let mut names = all_names(&self.globals.extra, &self.variables);
        names.extend(self.results.known.keys().cloned());
        if matches!(self.item, Item::None) {
            names.remove("item");
        }
        names
    }
}

/// What a host's variables can name when another host asks for them: no facts, no results, and
/// no `hostvars` again, so that asking ends.
struct OwnNames<'h> {
    globals: &'h Globals<'h>,
    host: &'h HostNames,
    variables: &'h Variables,
}

impl Source for OwnNames<'_> {
    fn binding(&self, name: &str, _: Option<&Template>) -> Option<Binding<'_>> {
        if let Some(value) = self.globals.always(self.host, name) {
            return Some(Binding::Data(value));
        }
        if name == "facts" {
            return Some(Binding::Deferred);
        }
        self.globals
            .extra
            .get(name)
            .or_else(|| self.variables.get(name))
            .map(Binding::Configured)
    }

    fn outline(&self, name: &str) -> Option<Data> {
        (name == "facts").then(|| OUTLINE_OF_FACTS.clone())
    }

    fn names(&self) -> BTreeSet<String> {
        all_names(&self.globals.extra, self.variables)
    }
}

fn all_names(extra: &VarMap, variables: &Variables) -> BTreeSet<String> {
    let configured = variables.effective().into_keys().map(str::to_owned);
    let always = RESERVED.into_iter().map(str::to_owned);
    configured
        .chain(extra.keys().cloned())
        .chain(always)
        .collect()
}

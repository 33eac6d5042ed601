//! Playbooks: plays, roles and tasks, read and checked before any host is contacted.
//!
//! - [`load`] reads a playbook with all it names (roles, imported tasks, files of variables) and
//!   collects everything wrong with it.
//! - [`validate`](validate()) renders, for every host, all that needs no facts.
//! - For one task on one host: [`TaskNames`] says what each name stands for, a
//!   [`template::Scope`](crate::template::Scope) over it decides conditions and expands `loop`,
//!   and [`prepare`] gives what to send or to answer; [`Shared`] does so once for all hosts on
//!   which it comes to the same.
//!
//! A role's defaults and vars are seen by that role's own tasks and handlers only; Ansible
//! leaks them into the rest of the play.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::protocol::{HandlerName, Severity};
use crate::yaml::{Node, Span};

pub mod action;
mod advice;
mod content;
mod evaluate;
mod fields;
mod handler;
mod kind;
mod load;
mod names;
mod place;
mod prepare;
mod role;
mod rollout;
mod shared;
mod source;
mod tags;
mod task;
mod validate;

pub use action::{Action, Answer};
pub use content::{Body, Contents};
pub use evaluate::{conditions, items, title};
pub use kind::{Declared, KindEntry, Side, kinds};
pub use load::load;
pub use names::{Globals, HostNames, Known, Results, TaskNames};
pub use prepare::{Prepared, prepare};
pub use rollout::{Order, Rollout, Serial, Share};
pub use shared::Shared;
pub use source::{Folder, find_source};
pub use tags::{TagFilter, selected};
pub use validate::{play_hosts, validate};

pub use crate::inventory::VarMap as VariableMap;

/// A playbook file.
#[derive(Clone, Debug, Default)]
pub struct Playbook {
    /// In the order written.
    pub plays: Vec<Play>,
}

/// Tasks for some hosts.
#[derive(Clone, Debug)]
pub struct Play {
    /// As written, else the pattern of its hosts.
    pub name: String,
    /// The pattern of the hosts.
    pub hosts: String,
    /// Where the pattern is.
    pub hosts_span: Span,
    /// Whether to become root; `None` leaves it to the inventory and the command line.
    pub become_root: Option<bool>,
    /// In which order, how many at once, and how much may go wrong.
    pub rollout: Rollout,
    /// From `vars`.
    pub vars: Arc<VariableMap>,
    /// From `vars_files`, later files winning.
    pub vars_files: Arc<VariableMap>,
    /// The work, in order.
    pub steps: Vec<Step>,
    /// In the order in which they run.
    pub handlers: Vec<Handler>,
    /// The play itself.
    pub span: Span,
}

impl Play {
    /// Its tasks in order, without handlers.
    pub fn tasks(&self) -> impl Iterator<Item = &Task> {
        self.steps.iter().filter_map(|step| match step {
            Step::Task(task) => Some(&**task),
            Step::FlushHandlers => None,
        })
    }
}

/// One step of a play.
#[derive(Clone, Debug)]
pub enum Step {
    /// A task.
    Task(Box<Task>),
    /// Handlers notified so far run now: after `pre_tasks`, after roles and `tasks`, and after
    /// `post_tasks`, as in Ansible.
    FlushHandlers,
}

/// A task that runs when it was notified by one that changed something.
#[derive(Clone, Debug)]
pub struct Handler {
    /// `role : name`, or `name` for a play's own: what is kept on the host.
    pub key: HandlerName,
    /// The other names it answers to.
    pub listen: Vec<String>,
    /// What it does.
    pub task: Task,
}

/// One thing to declare or do.
#[derive(Clone, Debug)]
pub struct Task {
    /// As written; may hold templates. See [`title`].
    pub name: Option<Node>,
    /// What kind of thing it is.
    pub kind: &'static KindEntry,
    /// The kind's fields, not rendered.
    pub arguments: Node,
    /// Conditions that must all be true, those of the role and the import first.
    pub when: Vec<Node>,
    /// A list, or a template that gives one; the task is done for each `item`.
    pub loop_: Option<Node>,
    /// The keys of the handlers to notify.
    pub notify: Vec<HandlerName>,
    /// The variable that takes the result.
    pub register: Option<String>,
    /// Its own and those of the role, the import and the play.
    pub tags: BTreeSet<String>,
    /// How bad a drift is.
    pub severity: Severity,
    /// The CIS recommendation it is about.
    pub cis: Option<String>,
    /// Conditions that all say it changed something; empty leaves it to the host.
    pub changed_when: Vec<Node>,
    /// Conditions that all say it failed; empty leaves it to the host.
    pub failed_when: Vec<Node>,
    /// Done again until these are all true.
    pub until: Vec<Node>,
    /// How often it is done again at most, with `until`.
    pub retries: u32,
    /// How long to wait before it is done again.
    pub delay: Duration,
    /// The user to run as; may be a template. Only for kinds that run programs.
    pub run_as: Option<Node>,
    /// Show nothing of its values or output.
    pub no_log: bool,
    /// Go on if it fails.
    pub ignore_errors: bool,
    /// Its own variables and those of the imports around it, innermost last.
    pub vars: Vec<Arc<VariableMap>>,
    /// The role it belongs to.
    pub role: Option<Arc<RoleContext>>,
    /// The folder of the playbook: where `files/` and `templates/` of a play's own tasks are.
    pub folder: Arc<PathBuf>,
    /// The task itself.
    pub span: Span,
}

/// A role as one play uses it: what its tasks and handlers share.
#[derive(Debug)]
pub struct RoleContext {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub folder: PathBuf,
    /// `defaults/main.yml`: the lowest of all variables.
    pub defaults: Arc<VariableMap>,
    /// `vars/main.yml`.
    pub vars: Arc<VariableMap>,
    /// Given where the role is used.
    pub parameters: Arc<VariableMap>,
}

#[cfg(test)]
mod tests;

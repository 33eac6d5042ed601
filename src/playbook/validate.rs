//! Renders and reads, for every host, all that can be before the host is contacted.

use std::collections::BTreeSet;

use indexmap::IndexMap;

use super::load::identity;
use super::names::{Globals, Identity};
use super::prepare::refused;
use super::shared::Sights;
use super::{
    HostNames, Known, Play, Playbook, Prepared, Results, TagFilter, Task, TaskNames, conditions,
    items, prepare, selected,
};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::inventory::{HostName, Inventory, Pattern};
use crate::resource::AnyResource;
use crate::secret::Redactor;
use crate::template::{Errors, Rendered, Scope};
use crate::yaml::Node;

/// How many different sights of one task are remembered, to not render it again for hosts that
/// see the same.
const SIGHTS: usize = 32;

/// How many hosts are named in a message.
const NAMED: usize = 5;

/// The hosts of a play, in the order of the inventory, that `limit` leaves.
///
/// # Errors
/// When the play's pattern is none, or matches nothing there is.
pub fn play_hosts(
    play: &Play,
    inventory: &Inventory,
    limit: Option<&BTreeSet<HostName>>,
) -> Result<Vec<HostName>, Diagnostic> {
    let pattern = Pattern::parse(&play.hosts);
    let hosts = pattern.and_then(|pattern| inventory.select(&pattern));
    let mut hosts = hosts.map_err(|error| Diagnostic::from(error).at(play.hosts_span.clone()))?;
    if let Some(limit) = limit {
        hosts.retain(|host| limit.contains(host));
    }
    Ok(hosts)
}

/// Checks every selected task for every host of its play: conditions and arguments are rendered
/// as far as they need no facts and no results, read as their kind, and the files they name are
/// looked for. An error that several hosts share is reported once, with their names.
pub fn validate(
    playbook: &Playbook,
    inventory: &Inventory,
    globals: &Globals<'_>,
    limit: Option<&BTreeSet<HostName>>,
    filter: &TagFilter,
    errors: &mut Diagnostics,
) {
    let mut names: IndexMap<HostName, HostNames> = IndexMap::new();
    for play in &playbook.plays {
        let hosts = match play_hosts(play, inventory, limit) {
            Ok(hosts) => hosts,
            Err(error) => {
                errors.push(error);
                continue;
            }
        };
        for host in &hosts {
            names
                .entry(host.clone())
                .or_insert_with(|| globals.host(host));
        }
        let mut found = Found {
            hosts: hosts.len(),
            errors: Vec::new(),
        };
        let mut results = Results::default();
        for task in play.tasks() {
            if selected(task, filter) {
                expect_results(task, &mut results);
                check(play, task, globals, &hosts, &names, &results, &mut found);
            }
        }
        for handler in &play.handlers {
            expect_results(&handler.task, &mut results);
            check(
                play,
                &handler.task,
                globals,
                &hosts,
                &names,
                &results,
                &mut found,
            );
        }
        found.report(errors);
    }
}

/// From here on, what a task sets is defined but not known.
fn expect_results(task: &Task, results: &mut Results) {
    let facts = task
        .arguments
        .as_mapping()
        .filter(|_| task.kind.fields().is_none());
    let facts = facts.into_iter().flatten().map(|(key, _)| &key.text);
    for name in task.register.iter().chain(facts) {
        results.known.insert(name.clone(), Known::Pending);
    }
}

fn check(
    play: &Play,
    task: &Task,
    globals: &Globals<'_>,
    hosts: &[HostName],
    names: &IndexMap<HostName, HostNames>,
    results: &Results,
    found: &mut Found,
) {
    let mut sights: Sights<Errors> = Sights::new(SIGHTS);
    for host in hosts {
        let Some(own) = names.get(host) else { continue };
        let new = || TaskNames::new(globals, own, results, play, task);
        let task_names = new();
        if let Some(errors) = sights.same(&task_names) {
            found.add(host, errors);
            continue;
        }
        let mut asked = Vec::new();
        let errors = check_on(task, globals, &task_names, new, &mut asked)
            .err()
            .unwrap_or_default();
        asked.extend(task_names.trace());
        found.add(host, &errors);
        sights.keep(asked, errors);
    }
}

/// Checks a task on one host; `new` gives its names again, for each `item`.
fn check_on<'t>(
    task: &Task,
    globals: &Globals<'_>,
    names: &TaskNames<'t>,
    new: impl Fn() -> TaskNames<'t>,
    asked: &mut Vec<(String, Identity)>,
) -> Result<(), Errors> {
    let scope = names.scope();
    let many = match items(task, &scope)? {
        Rendered::Value(None) => return check_once(task, globals, &scope),
        Rendered::Value(Some(many)) => many.into_iter().map(Some).collect(),
        Rendered::Deferred { .. } => vec![None],
    };
    let mut errors = Errors::new();
    for item in many {
        let names = new().with_item(item);
        if let Err(found) = check_once(task, globals, &names.scope()) {
            errors.extend(found);
        }
        asked.extend(names.trace());
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(errors)
    }
}

fn check_once(task: &Task, globals: &Globals<'_>, scope: &Scope<'_>) -> Result<(), Errors> {
    let mut errors = Errors::new();
    let excused = match conditions("when", &task.when, scope) {
        Ok(Rendered::Value(false)) => return Ok(()),
        Ok(Rendered::Value(true)) => BTreeSet::new(),
        Ok(Rendered::Deferred { .. }) => guarded(&task.when, scope),
        Err(found) => {
            errors.extend(found);
            guarded(&task.when, scope)
        }
    };
    let excusing;
    let scope = if excused.is_empty() {
        scope
    } else {
        excusing = scope.excusing(excused);
        &excusing
    };
    for (key, list) in [
        ("changed_when", &task.changed_when),
        ("failed_when", &task.failed_when),
        ("until", &task.until),
    ] {
        if let Err(found) = conditions(key, list, scope) {
            errors.extend(found);
        }
    }
    match prepare(task, scope, &globals.contents) {
        Ok(Rendered::Value(Prepared::Resource(resource))) => {
            errors.extend(exposed(&resource, task, &globals.secrets));
            if let Err(problems) = globals.contents.lower(*resource) {
                errors.extend(refused(&problems, &task.arguments, task, |_| None));
            }
        }
        Ok(_) => {}
        Err(found) => errors.extend(found),
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(errors)
    }
}

/// What is wrong with a command line that has a secret in it: every process of the host may read it.
fn exposed(resource: &AnyResource, task: &Task, secrets: &Redactor) -> Vec<Diagnostic> {
    let (lines, instead) = match resource {
        AnyResource::Command(command) => (
            vec![
                ("cmd", command.cmd.clone().into_iter().collect()),
                ("argv", command.argv.clone().unwrap_or_default()),
                ("unless", command.unless.clone().into_iter().collect()),
            ],
            "let it read the secret from standard input (`stdin:`), or from a file with `mode: \
             \"0600\"` that a `copy` before it makes",
        ),
        AnyResource::Shell(shell) => (
            vec![
                ("cmd", vec![shell.cmd.clone()]),
                ("unless", shell.unless.clone().into_iter().collect()),
            ],
            "let it read the secret from a file with `mode: \"0600\"` that a `copy` before it \
             makes, or use `command` with `stdin:`",
        ),
        _ => return Vec::new(),
    };
    let found = lines
        .into_iter()
        .filter(|(_, words): &(_, Vec<String>)| words.iter().any(|word| secrets.finds(word)));
    found
        .map(|(field, _)| {
            let kind = task.kind.name;
            let place = task.arguments.get(field).unwrap_or(&task.arguments);
            Diagnostic::warning(format!(
                "`{field}` of `{kind}` has a secret in it: while it runs, whoever is on the host \
                 can read it in the list of processes"
            ))
            .at(place.span.clone())
            .help(instead)
        })
        .collect()
}

/// The names that conditions ask about: with them not decided, what follows may be skipped.
fn guarded(conditions: &[Node], scope: &Scope<'_>) -> BTreeSet<String> {
    let texts = conditions
        .iter()
        .filter_map(|node| Some((node.text()?, &node.span)));
    texts
        .filter_map(|(text, span)| scope.engine().expression(text, span).ok())
        .flat_map(|template| template.guarded().clone())
        .collect()
}

/// Errors of one play with the hosts that have them.
struct Found {
    hosts: usize,
    errors: Vec<(Diagnostic, BTreeSet<HostName>)>,
}

impl Found {
    fn add(&mut self, host: &HostName, errors: &[Diagnostic]) {
        for error in errors {
            let same = |(known, _): &&mut (Diagnostic, _)| identity(known) == identity(error);
            match self.errors.iter_mut().find(same) {
                Some((_, hosts)) => _ = hosts.insert(host.clone()),
                None => self.errors.push((error.clone(), [host.clone()].into())),
            }
        }
    }

    fn report(self, errors: &mut Diagnostics) {
        for (error, hosts) in self.errors {
            if hosts.len() == self.hosts {
                errors.push(error);
                continue;
            }
            let shown: Vec<_> = hosts.iter().take(NAMED).map(HostName::as_str).collect();
            let more = if hosts.len() > NAMED { ", …" } else { "" };
            let count = format!("{} of {} hosts", hosts.len(), self.hosts);
            errors.push(error.help(format!("on {count}: {}{more}", shown.join(", "))));
        }
    }
}

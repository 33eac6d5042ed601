//! Inventories that are programs: `--list`, and `--host NAME` for those without `_meta`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::layout::var_map;
use super::{HostName, Inventory, range};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::host::Command;
use crate::yaml::{File, Node, Span};

/// How long a program may take to answer.
const DEADLINE: Duration = Duration::from_mins(1);

/// How much it may answer: 100,000 hosts with 600 bytes of variables each.
const LONGEST_ANSWER: usize = 64 << 20;

impl Inventory {
    /// Runs an inventory program and adds what it answers.
    pub(super) fn add_script(&mut self, path: &Path, diagnostics: &mut Diagnostics) {
        if let Err(message) = self.try_script(path, diagnostics) {
            let message = format!("the inventory program `{}` {message}", path.display());
            diagnostics.push(Diagnostic::error(message));
        }
    }

    fn try_script(&mut self, path: &Path, diagnostics: &mut Diagnostics) -> Result<(), String> {
        // Nobody can open an answer at some line of it: the program is the place.
        let file = File {
            path: path.to_owned(),
            text: String::new(),
        };
        let span = Span {
            file: Arc::new(file),
            start: 0,
            end: 0,
        };

        let mut groups = ask(path, &["--list"])?;
        let mut hostvars = match groups.shift_remove("_meta") {
            None => None,
            Some(mut meta) => match meta.get_mut("hostvars").map(Value::take) {
                None => Some(Map::new()),
                Some(Value::Object(hostvars)) => Some(hostvars),
                Some(_) => return Err("answers no mapping as `_meta.hostvars`".to_owned()),
            },
        };
        let mut listed = Vec::new();
        for (name, group) in &mut groups {
            as_layout(group, &mut listed)
                .map_err(|reason| format!("answers {reason} for the group `{name}`"))?;
        }
        self.add_layout(&Node::from_json(groups.into(), &span), diagnostics);
        listed.sort_unstable();
        listed.dedup();
        for host in listed {
            let vars = match &mut hostvars {
                Some(hostvars) => hostvars.shift_remove(host.as_str()).unwrap_or_default(),
                None => ask(path, &["--host", host.as_str()])?.into(),
            };
            let vars = var_map(&Node::from_json(vars, &span), diagnostics);
            if let Some(host) = self.hosts.get_mut(host.as_str()) {
                host.vars.inline.push(vars);
            }
        }
        Ok(())
    }
}

/// Turns a group as programs answer it into one as YAML inventories have it: lists of names
/// become keys. Collects the hosts; names that are none are left to be reported with the rest.
fn as_layout(group: &mut Value, listed: &mut Vec<HostName>) -> Result<(), &'static str> {
    if group.is_array() {
        *group = Map::from_iter([("hosts".to_owned(), group.take())]).into();
    }
    for key in ["hosts", "children"] {
        let Some(list) = group.get_mut(key) else {
            continue;
        };
        let names: Option<Vec<_>> = list
            .as_array()
            .and_then(|items| items.iter().map(Value::as_str).collect());
        let names = names.ok_or("something other than a list of names")?;
        if key == "hosts" {
            let expanded = names.iter().filter_map(|name| range::expand(name).ok());
            listed.extend(expanded.flat_map(|(hosts, _)| hosts));
        }
        *list = names
            .into_iter()
            .map(|name| (name.to_owned(), Value::Null))
            .collect();
    }
    Ok(())
}

/// The JSON mapping a program answers.
fn ask(path: &Path, arguments: &[&str]) -> Result<Map<String, Value>, String> {
    // Without a slash it would be looked up in PATH.
    let program = Path::new(".").join(path).into_os_string();
    let output = Command::new([program])
        .args(arguments)
        .directory(".")
        .timeout(DEADLINE)
        .keep(LONGEST_ANSWER)
        .run()
        .map_err(|failure| format!("failed: {failure}"))?;
    if output.truncated {
        return Err(format!("answers more than {} MiB", LONGEST_ANSWER >> 20));
    }
    serde_json::from_str(&output.stdout).map_err(|error| {
        format!(
            "answers `{}` with something other than a JSON mapping: {error}",
            arguments.join(" ")
        )
    })
}

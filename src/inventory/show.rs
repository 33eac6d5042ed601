//! The inventory as `ansible-inventory` shows it.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::{HostName, Inventory, build};

/// A graph of groups may name the same group so often that it would never end.
const LONGEST_GRAPH: usize = 64 << 20;

impl Inventory {
    /// What `--list` prints: groups with their own hosts and children, and `_meta.hostvars`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let hostvars: Map<_, _> = self
            .hosts()
            .map(|host| (host.to_string(), self.host_json(host)))
            .filter(|(_, vars)| vars.as_object().is_some_and(|vars| !vars.is_empty()))
            .collect();
        let mut list = Map::from_iter([("_meta".to_owned(), json!({ "hostvars": hostvars }))]);
        for (at, (name, group)) in self.groups.iter().enumerate() {
            let mut shown = Map::new();
            let children: Vec<_> = group
                .children
                .keys()
                .filter(|child| {
                    **child != build::UNGROUPED || !self.groups[**child].hosts.is_empty()
                })
                .filter_map(|child| self.groups.get_index(*child))
                .map(|(name, _)| name.as_str())
                .collect();
            if !children.is_empty() {
                shown.insert("children".to_owned(), children.into());
            }
            if at != build::ALL && !group.hosts.is_empty() {
                let hosts: Vec<_> = group
                    .hosts
                    .iter()
                    .map(|host| self.name(*host).as_str())
                    .collect();
                shown.insert("hosts".to_owned(), hosts.into());
            }
            if !shown.is_empty() {
                list.insert(name.to_string(), shown.into());
            }
        }
        list.into()
    }

    /// What `--host` prints: the variables that hold for one host, not rendered.
    #[must_use]
    pub fn host_json(&self, host: &HostName) -> Value {
        let variables = self.variables(host);
        let effective = variables.effective();
        effective
            .into_iter()
            .map(|(name, node)| (name.to_owned(), node.to_json()))
            .collect::<Map<_, _>>()
            .into()
    }

    /// What `--graph` prints: groups and hosts as a tree.
    #[must_use]
    pub fn graph(&self) -> String {
        /// What is still to be shown.
        enum Item {
            Group(usize),
            Host(usize),
        }
        let mut out = String::new();
        let mut open = vec![(Item::Group(build::ALL), 0)];
        while let Some((item, depth)) = open.pop() {
            let indent = if depth == 0 {
                String::new()
            } else {
                "  |".repeat(depth) + "--"
            };
            match item {
                Item::Host(at) => {
                    let _ = writeln!(out, "{indent}{}", self.name(at));
                }
                Item::Group(at) => {
                    let Some((name, group)) = self.groups.get_index(at) else {
                        continue;
                    };
                    let _ = writeln!(out, "{indent}@{name}:");
                    let hosts = group
                        .hosts
                        .iter()
                        .filter(|_| at != build::ALL)
                        .copied()
                        .map(Item::Host);
                    let items: Vec<_> = group
                        .children
                        .keys()
                        .copied()
                        .map(Item::Group)
                        .chain(hosts)
                        .collect();
                    open.extend(items.into_iter().rev().map(|item| (item, depth + 1)));
                }
            }
            if out.len() > LONGEST_GRAPH {
                out.push_str("…\n");
                break;
            }
        }
        out
    }
}

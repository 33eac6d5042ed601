//! Ansible's YAML layout: groups with `hosts`, `children` and `vars`.

use std::sync::Arc;

use super::{GroupName, HostName, Inventory, VarMap, build, range};
use crate::diagnostic::{Diagnostic, Diagnostics, nearest};
use crate::yaml::{Key, Node, Span, Yaml};

impl Inventory {
    /// Adds what one YAML file says.
    pub(super) fn add_layout(&mut self, root: &Node, diagnostics: &mut Diagnostics) {
        match &root.value {
            Yaml::Null => {}
            Yaml::Mapping(groups) => {
                for (key, body) in groups {
                    self.add_group(key, body, None, diagnostics);
                }
            }
            _ => diagnostics.push(
                Diagnostic::error(format!(
                    "an inventory is a mapping of groups, not {}",
                    root.describe()
                ))
                .at(root.span.clone())
                .help("begin with `all:`, below it `hosts:` and `children:`"),
            ),
        }
    }

    fn add_group(
        &mut self,
        key: &Key,
        body: &Node,
        parent: Option<usize>,
        diagnostics: &mut Diagnostics,
    ) {
        let name: GroupName = match key.text.parse() {
            Ok(name) => name,
            Err(message) => {
                return diagnostics.push(Diagnostic::error(message).at(key.span.clone()));
            }
        };
        let group = self.group(name, Some(&key.span));
        if let Some(parent) = parent {
            self.add_child(parent, group, Some(&key.span));
        }
        let Some(entries) = mapping(body, "a group", diagnostics) else {
            return;
        };
        for (key, value) in entries {
            match key.text.as_str() {
                "hosts" => self.add_hosts(group, value, diagnostics),
                "children" => {
                    let children = mapping(value, "`children`", diagnostics).unwrap_or_default();
                    for (name, body) in children {
                        self.add_group(name, body, Some(group), diagnostics);
                    }
                }
                "vars" => {
                    let map = var_map(value, diagnostics);
                    self.groups[group].vars.inline.push(map);
                }
                other => {
                    let known = ["hosts", "children", "vars"];
                    let help = match nearest(other, known) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => "a group has `hosts`, `children` and `vars`".to_owned(),
                    };
                    diagnostics.push(
                        Diagnostic::error(format!("unknown key `{other}` in a group"))
                            .at(key.span.clone())
                            .help(help),
                    );
                }
            }
        }
    }

    fn add_hosts(&mut self, group: usize, hosts: &Node, diagnostics: &mut Diagnostics) {
        for (key, vars) in mapping(hosts, "`hosts`", diagnostics).unwrap_or_default() {
            let (names, port) = match range::expand(&key.text) {
                Ok(expanded) => expanded,
                Err(message) => {
                    diagnostics.push(Diagnostic::error(message).at(key.span.clone()));
                    continue;
                }
            };
            let mut maps = Vec::new();
            if let Some(port) = port {
                let value = Yaml::Integer(i64::from(port));
                let node = Node {
                    span: key.span.clone(),
                    value,
                    raw: None,
                };
                maps.push(Arc::new(VarMap::from([("ansible_port".to_owned(), node)])));
            }
            if !vars.is_null() {
                maps.push(var_map(vars, diagnostics));
            }
            for name in names {
                let host = self.add_host(name, group, Some(&key.span));
                self.hosts[host].vars.inline.extend(maps.iter().cloned());
            }
        }
    }

    /// Adds hosts listed on the command line: `web01,web02:2222,db[1:3]`.
    pub(super) fn add_list(&mut self, list: &str, diagnostics: &mut Diagnostics) {
        for text in list
            .split(',')
            .map(str::trim)
            .filter(|text| !text.is_empty())
        {
            match range::expand(text) {
                Ok((names, port)) => self.add_listed(names, port, list),
                Err(message) => diagnostics.push(Diagnostic::error(message)),
            }
        }
    }

    fn add_listed(&mut self, names: Vec<HostName>, port: Option<u16>, list: &str) {
        let file = crate::yaml::File {
            path: "-i".into(),
            text: list.to_owned(),
        };
        let span = Span {
            file: Arc::new(file),
            start: 0,
            end: list.len(),
        };
        let port = port.map(|port| {
            let node = Node {
                span: span.clone(),
                value: Yaml::Integer(port.into()),
                raw: None,
            };
            Arc::new(VarMap::from([("ansible_port".to_owned(), node)]))
        });
        for name in names {
            let host = self.add_host(name, build::ALL, Some(&span));
            self.hosts[host].vars.inline.extend(port.clone());
        }
    }
}

/// The entries of a mapping that may be empty.
fn mapping<'a>(
    node: &'a Node,
    what: &str,
    diagnostics: &mut Diagnostics,
) -> Option<&'a [(Key, Node)]> {
    if node.is_null() {
        return None;
    }
    let entries = node.as_mapping();
    if entries.is_none() {
        let diagnostic = Diagnostic::error(format!("{what} is a mapping, not {}", node.describe()))
            .at(node.span.clone());
        let first = node
            .as_sequence()
            .and_then(|items| items.first())
            .and_then(Node::text);
        let name = first.or_else(|| node.as_str()).unwrap_or("name");
        diagnostics.push(diagnostic.help(format!("write each name as a key: `{name}:`")));
    }
    entries
}

/// A mapping of variables.
pub(super) fn var_map(node: &Node, diagnostics: &mut Diagnostics) -> Arc<VarMap> {
    let mut map = VarMap::new();
    match &node.value {
        Yaml::Null => {}
        Yaml::Mapping(entries) => {
            map.extend(
                entries
                    .iter()
                    .map(|(key, value)| (key.text.clone(), value.clone())),
            );
        }
        Yaml::String(text) if text.starts_with("$ANSIBLE_VAULT") => diagnostics.push(
            Diagnostic::error("files encrypted with Ansible Vault are not supported")
                .at(node.span.clone()),
        ),
        _ => diagnostics.push(
            Diagnostic::error(format!("variables are a mapping, not {}", node.describe()))
                .at(node.span.clone())
                .help("write `name: value`"),
        ),
    }
    Arc::new(map)
}

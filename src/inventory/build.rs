//! Puts hosts and groups together while sources are read, and orders them at the end.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use indexmap::IndexMap;

use super::{Group, GroupName, Host, HostName, Inventory, VarMap};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::yaml::{File, Node, Span, Yaml};

/// Index of the group `all`.
pub(super) const ALL: usize = 0;
/// Index of the group `ungrouped`.
pub(super) const UNGROUPED: usize = 1;

impl Inventory {
    /// Nothing but the groups that always exist.
    pub(super) fn empty() -> Self {
        let groups = [GroupName::all(), GroupName::ungrouped()];
        let mut groups: IndexMap<_, _> = groups
            .into_iter()
            .map(|name| (name, Group::default()))
            .collect();
        groups[ALL].children.insert(UNGROUPED, None);
        let mut implicit = Host::default();
        let file = File {
            path: Path::new("localhost").to_owned(),
            text: String::new(),
        };
        let span = Span {
            file: Arc::new(file),
            start: 0,
            end: 0,
        };
        let local = Node {
            span,
            value: Yaml::String("local".to_owned()),
            raw: None,
        };
        let map = VarMap::from([("ansible_connection".to_owned(), local)]);
        implicit.vars.inline.push(Arc::new(map));
        Self {
            hosts: IndexMap::new(),
            groups,
            implicit,
            defaults: Arc::default(),
            vault: crate::secret::Vault::default(),
        }
    }

    /// The index of a group, made if it is new.
    pub(super) fn group(&mut self, name: GroupName, place: Option<&Span>) -> usize {
        let entry = self.groups.entry(name);
        let index = entry.index();
        let group = entry.or_default();
        if group.place.is_none() {
            group.place = place.cloned();
        }
        index
    }

    /// The index of a host, made if it is new.
    pub(super) fn add_host(&mut self, name: HostName, group: usize, place: Option<&Span>) -> usize {
        let entry = self.hosts.entry(name);
        let index = entry.index();
        let host = entry.or_default();
        if host.place.is_none() {
            host.place = place.cloned();
        }
        if !host.groups.contains(&group) {
            host.groups.push(group);
        }
        self.groups[group].hosts.insert(index);
        index
    }

    /// Makes one group a child of another.
    pub(super) fn add_child(&mut self, parent: usize, child: usize, place: Option<&Span>) {
        self.groups[parent]
            .children
            .entry(child)
            .or_insert_with(|| place.cloned());
    }

    /// Fills in what follows from the rest: parents, `ungrouped`, the order of groups. Reports
    /// cycles and names that are both host and group.
    pub(super) fn finish(&mut self, diagnostics: &mut Diagnostics) {
        for (name, host) in &self.hosts {
            if self.groups.contains_key(name.as_str()) {
                let message = format!("`{name}` is both a host and a group");
                diagnostics.push(placed(Diagnostic::error(message), host.place.as_ref()));
            }
        }
        self.link_parents();
        self.rank(diagnostics);
        for at in 0..self.hosts.len() {
            let groups = &mut self.hosts[at].groups;
            if groups.iter().any(|group| *group > UNGROUPED) {
                groups.retain(|group| *group != UNGROUPED);
                self.groups[UNGROUPED].hosts.shift_remove(&at);
            } else {
                groups.push(UNGROUPED);
                self.groups[UNGROUPED].hosts.insert(at);
            }
        }
    }

    fn link_parents(&mut self) {
        for at in 0..self.groups.len() {
            self.groups[at].parents.clear();
        }
        for parent in 0..self.groups.len() {
            let children: Vec<_> = self.groups[parent].children.keys().copied().collect();
            for child in children {
                self.groups[child].parents.push(parent);
            }
        }
        for at in 1..self.groups.len() {
            if self.groups[at].parents.is_empty() {
                self.groups[at].parents.push(ALL);
                self.groups[ALL].children.insert(at, None);
            }
        }
    }

    /// Ranks groups by depth below `all` (parents first), then `ansible_group_priority`, then
    /// name. Works through the groups breadth first: names may nest deeper than the stack.
    fn rank(&mut self, diagnostics: &mut Diagnostics) {
        let mut waiting: Vec<_> = self
            .groups
            .values()
            .map(|group| group.parents.len())
            .collect();
        let mut depth = vec![0_usize; self.groups.len()];
        let mut ready: VecDeque<_> = (0..waiting.len()).filter(|at| waiting[*at] == 0).collect();
        while let Some(group) = ready.pop_front() {
            for child in self.groups[group].children.keys() {
                depth[*child] = depth[*child].max(depth[group] + 1);
                waiting[*child] -= 1;
                if waiting[*child] == 0 {
                    ready.push_back(*child);
                }
            }
        }
        if let Some(stuck) = waiting.iter().position(|parents| *parents > 0) {
            diagnostics.push(self.cycle(stuck, &waiting));
        }
        let mut order: Vec<_> = Vec::with_capacity(depth.len());
        for (at, depth) in depth.into_iter().enumerate() {
            let priority = self.priority(at, diagnostics);
            let name = self.groups.get_index(at).map(|(name, _)| name.clone());
            order.push((depth, priority, name, at));
        }
        order.sort_unstable();
        for (rank, (.., at)) in order.into_iter().enumerate() {
            self.groups[at].rank = rank;
        }
    }

    fn priority(&self, group: usize, diagnostics: &mut Diagnostics) -> i64 {
        let maps: Vec<_> = self.groups[group].vars.maps().collect();
        let Some(node) = maps
            .iter()
            .rev()
            .find_map(|map| map.get("ansible_group_priority"))
        else {
            return 1;
        };
        match crate::yaml::from_node(node) {
            Ok(priority) => priority,
            Err(error) => {
                diagnostics.push(error);
                1
            }
        }
    }

    /// Names one cycle that keeps `stuck` from being reached.
    fn cycle(&self, stuck: usize, waiting: &[usize]) -> Diagnostic {
        // Everything that waits has a parent that waits, so going up leads into a cycle.
        let mut path = vec![stuck];
        let begin = loop {
            let last = path[path.len() - 1];
            let Some(parent) = self.groups[last]
                .parents
                .iter()
                .find(|at| waiting[**at] > 0)
            else {
                break 0;
            };
            if let Some(begin) = path.iter().position(|at| at == parent) {
                break begin;
            }
            path.push(*parent);
        };
        let mut names: Vec<_> = path[begin..].to_vec();
        names.reverse();
        names.push(names[0]);
        let place = self.groups[names[0]]
            .children
            .get(&names[1])
            .and_then(Option::as_ref);
        let name = |at: &usize| {
            self.groups
                .get_index(*at)
                .map_or("", |(name, _)| name.as_str())
                .to_owned()
        };
        let names: Vec<_> = names.iter().map(name).collect();
        let message = format!(
            "the group `{}` is its own child: {}",
            names[0],
            names.join(" → ")
        );
        placed(Diagnostic::error(message), place)
    }
}

/// Adds a place if there is one.
pub(super) fn placed(diagnostic: Diagnostic, place: Option<&Span>) -> Diagnostic {
    match place {
        Some(place) => diagnostic.at(place.clone()),
        None => diagnostic,
    }
}

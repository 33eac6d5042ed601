//! Which hosts there are, in which groups, with which variables.
//!
//! Reads Ansible's YAML inventories as they are, and refuses what Ansible lets pass: unknown
//! keys, cycles, a pattern that matches nothing. Deliberately absent: rendering. Variables stay
//! as written, with their place, until somebody needs their value.

use std::collections::BTreeSet;
use std::sync::Arc;

use indexmap::{IndexMap, IndexSet};

use crate::diagnostic::Diagnostics;
use crate::secret::{Redactor, Vault};
use crate::yaml::Span;

mod build;
mod connection;
mod extra;
mod glob;
mod layout;
mod load;
mod name;
mod pattern;
mod range;
mod script;
mod select;
mod show;
mod variables;

pub use connection::{Connection, Method};
pub use extra::extra_vars;
pub use glob::{Glob, GlobError};
pub use name::{GroupName, HostName};
pub use pattern::{Pattern, PatternError};
pub use variables::{Definition, Layer, VarMap, Variables};

/// All hosts and groups. `all` and `ungrouped` always exist.
#[derive(Debug)]
pub struct Inventory {
    hosts: IndexMap<HostName, Host>,
    groups: IndexMap<GroupName, Group>,
    /// `localhost` where the inventory does not have it.
    implicit: Host,
    /// What is defined for every host unless anything else defines it.
    defaults: Arc<VarMap>,
    /// Opens variable files that are encrypted.
    vault: Vault,
}

/// A host and what is defined for it.
#[derive(Debug, Default)]
struct Host {
    /// Where it was first named; not on the command line.
    place: Option<Span>,
    /// Indices of the groups that name it, in order.
    groups: Vec<usize>,
    vars: Sources,
}

/// A group and what is defined for it.
#[derive(Debug, Default)]
struct Group {
    /// Where it was first named.
    place: Option<Span>,
    /// Indices of the hosts it names itself.
    hosts: IndexSet<usize>,
    /// Indices of the groups it names, and where.
    children: IndexMap<usize, Option<Span>>,
    /// Indices of the groups that name it; `all` if none does.
    parents: Vec<usize>,
    /// Rank among groups when their variables are laid over each other.
    rank: usize,
    vars: Sources,
}

/// Variables of one host or group by where they are written, low to high.
#[derive(Debug, Default)]
struct Sources {
    inline: Vec<Arc<VarMap>>,
    beside_inventory: Vec<Arc<VarMap>>,
    beside_playbook: Vec<Arc<VarMap>>,
}

impl Sources {
    fn maps(&self) -> impl Iterator<Item = &Arc<VarMap>> {
        self.inline
            .iter()
            .chain(&self.beside_inventory)
            .chain(&self.beside_playbook)
    }
}

impl Inventory {
    /// What keeps the secrets of the variables out of texts.
    #[must_use]
    pub fn redactor(&self) -> &Redactor {
        self.vault.redactor()
    }

    /// Reads inventory sources, later ones adding to earlier ones. Each is a YAML file, a
    /// directory of them, an executable that answers `--list`, or a list of hosts with a comma
    /// (`web01,web02` or `web01,`).
    ///
    /// `vault` opens the variable files beside them that are encrypted.
    ///
    /// What is wrong is added to `diagnostics`; the inventory then holds the rest.
    #[must_use]
    pub fn load(sources: &[String], vault: &Vault, diagnostics: &mut Diagnostics) -> Self {
        load::load(sources, vault, diagnostics)
    }

    /// Every host, in the order of the inventory.
    #[must_use]
    pub fn hosts(&self) -> impl ExactSizeIterator<Item = &HostName> {
        self.hosts.keys()
    }

    /// Every group, in the order of the inventory, `all` and `ungrouped` first.
    #[must_use]
    pub fn groups(&self) -> impl ExactSizeIterator<Item = &GroupName> {
        self.groups.keys()
    }

    /// The host of that name.
    #[must_use]
    pub fn host(&self, name: &str) -> Option<&HostName> {
        self.hosts.get_key_value(name).map(|(name, _)| name)
    }

    /// The hosts of a group and of its children, in the order of the inventory; empty if there
    /// is no such group.
    #[must_use]
    pub fn members(&self, group: &str) -> Vec<&HostName> {
        let Some(group) = self.groups.get_index_of(group) else {
            return Vec::new();
        };
        self.member_indices(group)
            .into_iter()
            .map(|at| self.name(at))
            .collect()
    }

    /// The groups a host is in, `all` excepted, sorted by name: the variable `group_names`.
    #[must_use]
    pub fn group_names(&self, host: &HostName) -> Vec<&GroupName> {
        let groups = self
            .hosts
            .get(host)
            .map(|host| self.ancestors(host))
            .unwrap_or_default();
        let mut names: Vec<_> = groups
            .into_iter()
            .filter(|group| *group != build::ALL)
            .filter_map(|group| self.groups.get_index(group).map(|(name, _)| name))
            .collect();
        names.sort_unstable();
        names
    }

    /// Defines variables for every host, below everything that anybody else defines.
    pub fn add_defaults(&mut self, defaults: VarMap) {
        self.defaults = Arc::new(defaults);
    }

    /// What inventory, `group_vars` and `host_vars` define for a host. A host that is not in
    /// the inventory has what is defined for `all`; `localhost` then is not reached by SSH.
    #[must_use]
    pub fn variables(&self, host: &HostName) -> Variables {
        let known = self.hosts.get(host);
        let mut variables =
            Variables::default().with(Layer::RoleDefaults, Arc::clone(&self.defaults));
        let groups = known.map_or_else(|| vec![build::ALL], |host| self.ancestors(host));
        for group in groups {
            let layer = if group == build::ALL {
                Layer::All
            } else {
                Layer::Group
            };
            for map in self.groups[group].vars.maps() {
                variables = variables.with(layer, Arc::clone(map));
            }
        }
        for map in known.unwrap_or(&self.implicit).vars.maps() {
            variables = variables.with(Layer::Host, Arc::clone(map));
        }
        variables
    }

    /// The groups a host is in, weakest first, `all` included.
    fn ancestors(&self, host: &Host) -> Vec<usize> {
        let mut found = BTreeSet::from([build::ALL]);
        let mut open = host.groups.clone();
        while let Some(group) = open.pop() {
            if found.insert(group) {
                open.extend(&self.groups[group].parents);
            }
        }
        let mut groups: Vec<_> = found.into_iter().collect();
        groups.sort_unstable_by_key(|group| self.groups[*group].rank);
        groups
    }

    /// The hosts of a group and its children, sorted as the inventory is.
    fn member_indices(&self, group: usize) -> BTreeSet<usize> {
        if group == build::ALL {
            return (0..self.hosts.len()).collect();
        }
        let mut seen = BTreeSet::from([group]);
        let mut open = vec![group];
        let mut members = BTreeSet::new();
        while let Some(group) = open.pop() {
            members.extend(&self.groups[group].hosts);
            open.extend(
                self.groups[group]
                    .children
                    .keys()
                    .filter(|child| seen.insert(**child)),
            );
        }
        members
    }

    /// The name of a host by its index.
    fn name(&self, at: usize) -> &HostName {
        self.hosts
            .get_index(at)
            .expect("host indices come from this inventory")
            .0
    }
}

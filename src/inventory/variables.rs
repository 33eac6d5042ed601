//! Which definition of a variable wins.
//!
//! One table, [`Layer`]; everything else here only keeps its order. The maps are shared: a
//! group's variables exist once, however many hosts are in it.

use std::sync::Arc;

use indexmap::IndexMap;

use crate::yaml::Node;

/// Variables by name, as one place defines them: not rendered, each knowing where it was written.
pub type VarMap = IndexMap<String, Node>;

/// Where a definition stands, from what is overridden by all to what overrides all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// A role's `defaults/main.yml`.
    RoleDefaults,
    /// The group `all`: in the inventory, then `group_vars/all` beside the inventory, then
    /// beside the playbook.
    All,
    /// The host's groups, parents first, then by `ansible_group_priority`, then by name; each
    /// as `All` is.
    Group,
    /// The host itself, as `All` is, with `host_vars`.
    Host,
    /// `vars` of the play.
    PlayVars,
    /// `vars_files` of the play.
    VarsFiles,
    /// A role's `vars/main.yml`.
    RoleVars,
    /// What was given where the role is listed.
    RoleParameters,
    /// `vars` of the task.
    TaskVars,
    /// `register` and `set_fact`.
    Registered,
    /// `-e` on the command line.
    Extra,
}

impl Layer {
    /// In words, for `fleet inventory --explain`.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::RoleDefaults => "role defaults",
            Self::All => "group all",
            Self::Group => "group",
            Self::Host => "host",
            Self::PlayVars => "play vars",
            Self::VarsFiles => "vars_files",
            Self::RoleVars => "role vars",
            Self::RoleParameters => "role parameters",
            Self::TaskVars => "task vars",
            Self::Registered => "registered",
            Self::Extra => "command line (-e)",
        }
    }
}

/// One definition of a variable.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Definition<'a> {
    /// How strong it is.
    pub layer: Layer,
    /// The value, not rendered, with its place.
    pub node: &'a Node,
}

/// All definitions that hold in one place. Cheap to clone: it shares the maps.
#[derive(Clone, Debug, Default)]
pub struct Variables {
    /// Low to high; of the same layer, the later one is stronger.
    maps: Vec<(Layer, Arc<VarMap>)>,
}

impl Variables {
    /// Adds definitions, above those of the same layer and below those of higher ones.
    #[must_use]
    pub fn with(mut self, layer: Layer, map: Arc<VarMap>) -> Self {
        if !map.is_empty() {
            let at = self.maps.partition_point(|(other, _)| *other <= layer);
            self.maps.insert(at, (layer, map));
        }
        self
    }

    /// The value that holds.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Node> {
        self.maps.iter().rev().find_map(|(_, map)| map.get(name))
    }

    /// Every definition of one variable, low to high: the last holds.
    #[must_use]
    pub fn definitions(&self, name: &str) -> Vec<Definition<'_>> {
        self.maps
            .iter()
            .filter_map(|(layer, map)| {
                map.get(name).map(|node| Definition {
                    layer: *layer,
                    node,
                })
            })
            .collect()
    }

    /// Every variable with its definitions low to high, in the order first defined.
    #[must_use]
    pub fn explain(&self) -> IndexMap<&str, Vec<Definition<'_>>> {
        let mut all: IndexMap<&str, Vec<Definition<'_>>> = IndexMap::new();
        for (layer, map) in &self.maps {
            for (name, node) in map.iter() {
                all.entry(name).or_default().push(Definition {
                    layer: *layer,
                    node,
                });
            }
        }
        all
    }

    /// Every variable with the value that holds, in the order first defined.
    #[must_use]
    pub fn effective(&self) -> IndexMap<&str, &Node> {
        self.maps
            .iter()
            .flat_map(|(_, map)| map.iter().map(|(name, node)| (name.as_str(), node)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::yaml::{Limits, parse};

    const LAYERS: [Layer; 11] = [
        Layer::RoleDefaults,
        Layer::All,
        Layer::Group,
        Layer::Host,
        Layer::PlayVars,
        Layer::VarsFiles,
        Layer::RoleVars,
        Layer::RoleParameters,
        Layer::TaskVars,
        Layer::Registered,
        Layer::Extra,
    ];

    fn map(names: &[&str], value: usize) -> Arc<VarMap> {
        let span = parse("t", "", &Limits::default()).unwrap().span;
        let node = || Node::from_json(json!(value), &span);
        Arc::new(
            names
                .iter()
                .map(|name| ((*name).to_owned(), node()))
                .collect(),
        )
    }

    proptest! {
        /// However they arrive, the highest layer wins, and of equals the one that came last.
        #[test]
        fn the_highest_and_latest_definition_holds(
            arrivals in prop::collection::vec((0..LAYERS.len(), prop::sample::subsequence(vec!["a", "b", "c"], 0..=3)), 0..20)
        ) {
            let variables = arrivals.iter().enumerate().fold(
                Variables::default(),
                |variables, (at, (layer, names))| variables.with(LAYERS[*layer], map(names, at)),
            );
            for name in ["a", "b", "c"] {
                let mut expected: Vec<_> = arrivals
                    .iter()
                    .enumerate()
                    .filter(|(_, (_, names))| names.contains(&name))
                    .map(|(at, (layer, _))| (*layer, at))
                    .collect();
                expected.sort_unstable();
                let value = |node: &Node| node.to_json();
                prop_assert_eq!(
                    variables.get(name).map(value),
                    expected.last().map(|(_, at)| json!(at))
                );
                prop_assert_eq!(variables.effective().get(name).copied().map(value), variables.get(name).map(value));
                prop_assert_eq!(
                    variables.definitions(name).iter().map(|d| (d.layer, value(d.node))).collect::<Vec<_>>(),
                    expected.iter().map(|(layer, at)| (LAYERS[*layer], json!(at))).collect::<Vec<_>>()
                );
            }
        }
    }

    #[test]
    fn the_table_is_in_order() {
        assert!(LAYERS.is_sorted());
    }
}

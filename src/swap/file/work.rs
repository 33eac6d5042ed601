//! What is done: traffic is moved between two pools, or the hosts of one are replaced.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::read::{Reader, is_name};
use super::{Declared, Replace, Work};
use crate::playbook::Share;
use crate::yaml::Node;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenReplace {
    hosts: String,
    playbook: String,
    check: Option<String>,
    batch: Option<Share>,
}

/// What belongs to `pools`, and what to do without it where hosts are replaced.
const OF_POOLS: [(&str, &str); 4] = [
    ("gate", "`check` in `replace` has to be clean after it"),
    ("deploy", "`playbook` in `replace` is what is applied"),
    ("live", "leave it out: `health` asks each server"),
    (
        "auto_revert",
        "leave it out: hosts that were not begun are always put back",
    ),
];

/// The work of a file and its playbooks.
pub(super) struct Written {
    pub work: Work,
    pub gate: Option<PathBuf>,
    pub deploy: Option<PathBuf>,
}

impl Reader<'_> {
    /// Either `pools` or `replace`. Playbooks are in `folder`, if they say nothing else.
    pub(super) fn work(&mut self, folder: &Path) -> Option<Written> {
        let beside = |name: String| folder.join(name.trim_start_matches("./"));
        let Some(node) = self.node("replace") else {
            let pools = self.pools();
            let gate = self.optional("gate").map(beside);
            let deploy = self.optional("deploy").map(beside);
            let work = Work::Move(pools?);
            return Some(Written { work, gate, deploy });
        };
        if self.node("pools").is_some() {
            let help = "traffic is moved between `pools`, or hosts of one are replaced: two files";
            self.wrong("there are both `pools` and `replace`", &node, help);
        }
        for (key, instead) in OF_POOLS {
            if let Some(node) = self.node(key) {
                self.wrong(
                    format!("`{key}` is for `pools`, not for `replace`"),
                    &node,
                    instead,
                );
            }
        }
        let written: WrittenReplace = self.typed(&node)?;
        let place = node.get("hosts").unwrap_or(&node).clone();
        let hosts = self.pattern(&written.hosts, &place);
        let playbook = beside(written.playbook);
        let check = written.check.map_or_else(|| playbook.clone(), beside);
        let budget = self.node("max_unavailable");
        let budget = budget.or_else(|| node.get("batch").cloned());
        let work = Work::Replace(Replace {
            hosts: Declared {
                name: written.hosts,
                hosts: hosts?,
                place: place.span,
            },
            batch: written.batch,
            budget: budget.unwrap_or(node).span,
        });
        Some(Written {
            work,
            gate: Some(check),
            deploy: Some(playbook),
        })
    }

    /// A key that has a value.
    fn node(&self, key: &str) -> Option<Node> {
        let node = self.root.get(key);
        node.filter(|node| !node.is_null()).cloned()
    }

    fn pools(&mut self) -> Option<[Declared; 2]> {
        let Some(node) = self.node("pools") else {
            let message = "a swap needs `pools`, or `replace`";
            let help = "two pools to move traffic between, or one whose hosts are replaced";
            let root = self.root.clone();
            self.wrong(message, &root, help);
            return None;
        };
        let entries = node.as_mapping().unwrap_or_default();
        if entries.len() != 2 {
            let help = "as in `pools: {blue: web_blue, green: web_green}`";
            self.wrong("a swap has two pools", &node, help);
            return None;
        }
        let mut pools = Vec::new();
        for (key, node) in entries {
            if !is_name(&key.text) {
                let message = format!("`{}` is no name for a pool", key.text);
                self.wrong(message, node, "letters, digits, `-`, `_` and `.`");
            }
            let text: Option<String> = self.typed(node);
            if let Some(hosts) = text.and_then(|text| self.pattern(&text, node)) {
                pools.push(Declared {
                    name: key.text.clone(),
                    hosts,
                    place: node.span.clone(),
                });
            }
        }
        pools.try_into().ok()
    }
}

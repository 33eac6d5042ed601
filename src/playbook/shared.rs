//! What was worked out on one host, for the others on which it would come to the same.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::ptr;
use std::sync::Arc;

use super::names::Identity;
use super::{Contents, Prepared, Task, TaskNames, prepare};
use crate::template::{Errors, Rendered};

/// How many different sights of one task, and of one `item` of it, are remembered in a run: each
/// may hold a whole file.
const IN_A_RUN: usize = 8;

/// How many tasks, each counted for every `item`, are remembered in a run: lists may be made of
/// what each host has alone, and memory is not to grow with the hosts.
const INSTANCES: usize = 4096;

/// What was found out, with the names it was found out from. Hosts of a group stand together in
/// the inventory: the latest sights are the ones that come again.
#[derive(Debug)]
pub(super) struct Sights<T> {
    most: usize,
    seen: VecDeque<(Vec<(String, Identity)>, T)>,
}

impl<T> Sights<T> {
    /// None yet, and never more than `most`.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            seen: VecDeque::new(),
        }
    }

    /// What was found out where the same was seen.
    pub(super) fn same(&self, names: &TaskNames<'_>) -> Option<&T> {
        let sees = |(name, seen): &(String, Identity)| names.identity(name) == *seen;
        let mut latest_first = self.seen.iter().rev();
        let same = latest_first.find(|(sight, _)| sight.iter().all(sees));
        same.map(|(_, found)| found)
    }

    /// Keeps what was found out from these names, unless one of them is each host's own: that is
    /// seen by no other.
    pub(super) fn keep(&mut self, sight: Vec<(String, Identity)>, found: T) {
        if sight.iter().any(|(_, seen)| *seen == Identity::Own) {
            return;
        }
        if self.seen.len() == self.most {
            self.seen.pop_front();
        }
        self.seen.push_back((sight, found));
    }
}

/// A task, and the `item` for which it is done.
type Instance = (*const Task, Option<String>);

/// What the tasks of one run come to: rendered and read once for all hosts that see the same.
///
/// Tasks and definitions of variables are known by their addresses, so playbook and inventory have
/// to stay where they are while it is used.
#[derive(Debug, Default)]
pub struct Shared {
    prepared: RefCell<HashMap<Instance, Sights<Arc<Prepared>>>>,
}

impl Shared {
    /// As [`prepare`](prepare()), and the very same for all hosts on which it comes to the same.
    ///
    /// # Errors
    /// As [`prepare`](prepare()).
    pub fn prepare(
        &self,
        task: &Task,
        names: &TaskNames<'_>,
        contents: &Contents,
    ) -> Result<Rendered<Arc<Prepared>>, Errors> {
        let mut prepared = self.prepared.borrow_mut();
        if prepared.len() == INSTANCES {
            prepared.clear();
        }
        let sights = prepared
            .entry((ptr::from_ref(task), names.item_as_text()))
            .or_insert_with(|| Sights::new(IN_A_RUN));
        if let Some(same) = sights.same(names) {
            return Ok(Rendered::Value(Arc::clone(same)));
        }
        let rendered = prepare(task, &names.scope(), contents)?.map(Arc::new);
        if let Rendered::Value(prepared) = &rendered {
            sights.keep(names.trace(), Arc::clone(prepared));
        }
        Ok(rendered)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;
    use crate::diagnostic::Diagnostics;
    use crate::inventory::{Inventory, VarMap};
    use crate::playbook::{Globals, Known, Play, Playbook, Results, load};
    use crate::secret::Vault;
    use crate::template::{Data, data};

    const HOSTS: &str = "
all:
  vars: {site: north, deep: '{{ rack }} {{ site }}', of_facts: '{{ facts.id }}', result: none}
  children:
    rack1: {hosts: {a: {}, b: {serial: 1}}, vars: {rack: 1}}
    rack2: {hosts: {c: {}, d: {serial: 2, site: south}}, vars: {rack: 2}}
";

    const PLAY: &str = "
- hosts: all
  tasks:
    - debug: {msg: written}
    - debug: {msg: '{{ site }}'}
    - debug: {msg: '{{ deep }}'}
    - debug: {msg: '{{ serial }}'}
    - debug: {msg: \"{{ serial or 'none' }}\"}
    - debug: {msg: '{{ facts.id }}'}
    - debug: {msg: '{{ of_facts }}'}
    - debug: {msg: '{{ inventory_hostname }} in {{ group_names }}'}
    - debug: {msg: '{{ groups.rack1 }} {{ hostvars.b.serial }}'}
    - debug: {msg: '{{ result }} {{ site }}'}
    - set_fact: {value: '{{ item }}', of: '{{ rack }}'}
    - copy: {dest: '/etc/{{ rack }}', content: '{{ deep }}'}
";

    static READ: LazyLock<(Inventory, Playbook)> = LazyLock::new(|| {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let mut errors = Diagnostics::new();
        let vault = Vault::default();
        let hosts = file("hosts.yml", HOSTS).display().to_string();
        let inventory = Inventory::load(&[hosts], &vault, &mut errors);
        let playbook = load(&file("site.yml", PLAY), &vault, &mut errors);
        assert!(!errors.has_errors(), "{errors:?}");
        (inventory, playbook)
    });

    /// A task for a host, and what is known of the host by then.
    #[derive(Clone, Debug)]
    struct Turn {
        task: usize,
        host: &'static str,
        fact: u8,
        result: Option<u8>,
        item: Option<Data>,
    }

    fn turn() -> impl Strategy<Value = Turn> {
        let item = prop_oneof![Just(Data::from(1)), Just(Data::from("1"))];
        let host = prop_oneof![Just("a"), Just("b"), Just("c"), Just("d")];
        let known = (0..2_u8, proptest::option::of(0..2_u8));
        (0..12_usize, host, known, proptest::option::of(item)).prop_map(
            |(task, host, (fact, result), item)| Turn {
                task,
                host,
                fact,
                result,
                item,
            },
        )
    }

    /// What a turn comes to: shared, and by itself.
    fn both(
        shared: &Shared,
        globals: &Globals<'_>,
        play: &Play,
        turn: &Turn,
    ) -> [Result<Rendered<Arc<Prepared>>, Errors>; 2] {
        let host = globals.host(READ.0.host(turn.host).unwrap());
        let mut results = Results {
            facts: Some(data(&serde_json::json!({ "id": turn.fact }))),
            ..Results::default()
        };
        if let Some(result) = turn.result {
            let known = Known::Value(Data::from(result));
            results.known.insert("result".to_owned(), known);
        }
        let task = play.tasks().nth(turn.task).unwrap();
        let names = || {
            let names = TaskNames::new(globals, &host, &results, play, task);
            match &turn.item {
                Some(item) => names.with_item(Some(item.clone())),
                None => names,
            }
        };
        let alone = prepare(task, &names().scope(), &globals.contents);
        [
            shared.prepare(task, &names(), &globals.contents),
            alone.map(|rendered| rendered.map(Arc::new)),
        ]
    }

    proptest! {
        #[test]
        fn what_is_shared_is_what_the_host_comes_to_by_itself(
            turns in proptest::collection::vec(turn(), 1..60),
        ) {
            let (inventory, playbook) = &*READ;
            let globals = Globals::new(inventory, VarMap::default());
            let shared = Shared::default();
            for turn in turns {
                let [shared, alone] = both(&shared, &globals, &playbook.plays[0], &turn);
                prop_assert_eq!(format!("{shared:?}"), format!("{alone:?}"), "{:?}", turn);
            }
        }
    }

    #[test]
    fn hosts_that_see_the_same_are_given_the_very_same() {
        let (inventory, playbook) = &*READ;
        let same = |task, hosts: [&'static str; 2]| {
            let globals = Globals::new(inventory, VarMap::default());
            let shared = Shared::default();
            let [first, second] = hosts.map(|host| {
                let turn = Turn {
                    task,
                    host,
                    fact: 0,
                    result: None,
                    item: Some(Data::from(1)),
                };
                let [shared, _] = both(&shared, &globals, &playbook.plays[0], &turn);
                shared.unwrap().value().unwrap()
            });
            Arc::ptr_eq(&first, &second)
        };
        let (one_rack, two_racks) = (["a", "b"], ["a", "c"]);
        for (task, hosts, expected) in [
            (0, two_racks, true),
            (1, two_racks, true),
            (1, ["c", "d"], false),
            (2, one_rack, true),
            (2, two_racks, false),
            (4, two_racks, true),
            (4, one_rack, false),
            (5, one_rack, false),
            (6, one_rack, false),
            (7, one_rack, false),
            (8, two_racks, true),
            (9, two_racks, true),
            (10, one_rack, true),
            (11, one_rack, true),
            (11, two_racks, false),
        ] {
            assert_eq!(same(task, hosts), expected, "task {task} on {hosts:?}");
        }
    }
}

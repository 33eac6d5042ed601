//! Inventories: what Ansible's files mean here, what is refused, what patterns select.

use std::fmt::Write as _;
use std::fs;

use fleet::diagnostic::{Diagnostics, render};
use fleet::inventory::{HostName, Inventory, Pattern};
use fleet::secret::Vault;
use serde_json::json;

use crate::cases::check_all;

fn load(sources: &[&str]) -> (Inventory, String) {
    let sources: Vec<_> = sources.iter().map(ToString::to_string).collect();
    let mut diagnostics = Diagnostics::new();
    let inventory = Inventory::load(&sources, &Vault::default(), &mut diagnostics);
    let shown = render(diagnostics.as_slice(), false);
    (inventory, shown)
}

/// An inventory without anything wrong in it.
fn inventory(source: &str) -> Inventory {
    let (inventory, diagnostics) = load(&[source]);
    assert_eq!(diagnostics, "");
    inventory
}

#[test]
fn valid_inventories_read_as_in_ansible() {
    check_all("inventory/valid", |path| {
        let (inventory, diagnostics) = load(&[path.to_str().unwrap()]);
        format!(
            "{diagnostics}{}\n{:#}\n",
            inventory.graph(),
            inventory.to_json()
        )
    });
}

#[test]
fn invalid_inventories_are_refused_with_place_and_way_out() {
    check_all("inventory/invalid", |path| {
        let (_, diagnostics) = load(&[path.to_str().unwrap()]);
        diagnostics
    });
}

#[test]
fn patterns_select_as_in_ansible() {
    let inventory = inventory("tests/inventory/patterns.yml");
    let cases = fs::read_to_string("tests/inventory/patterns.txt").unwrap();
    let mut found = String::new();
    for line in cases.lines() {
        let Some((pattern, _)) = line.split_once(" => ") else {
            let _ = writeln!(found, "{line}");
            continue;
        };
        let result = match Pattern::parse(pattern).and_then(|pattern| inventory.select(&pattern)) {
            Ok(hosts) => hosts
                .iter()
                .map(HostName::as_str)
                .collect::<Vec<_>>()
                .join(" "),
            Err(error) => {
                let help = error
                    .help
                    .as_ref()
                    .map(|help| format!("; {help}"))
                    .unwrap_or_default();
                format!("error: {error}{help}")
            }
        };
        let _ = writeln!(found, "{pattern} => {result}");
    }
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        fs::write("tests/inventory/patterns.txt", &found).unwrap();
    }
    assert_eq!(found, cases);
}

#[test]
fn a_pattern_may_come_from_a_file() {
    let inventory = inventory("tests/inventory/patterns.yml");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("hosts");
    fs::write(&file, "# those of tonight\nweb01\n\ndb*\n").unwrap();
    let pattern = Pattern::parse(&format!("@{},!db2", file.display())).unwrap();
    let hosts = inventory.select(&pattern).unwrap();
    assert_eq!(
        hosts.iter().map(HostName::as_str).collect::<Vec<_>>(),
        ["web01", "db1"]
    );
}

#[test]
fn localhost_is_there_without_being_in_the_inventory() {
    let inventory = inventory("web01,");
    let hosts = inventory
        .select(&Pattern::parse("localhost").unwrap())
        .unwrap();
    assert_eq!(hosts.len(), 1);
    assert_eq!(
        inventory.host_json(&hosts[0]),
        json!({"ansible_connection": "local"})
    );
    let all = inventory.select(&Pattern::all()).unwrap();
    assert_eq!(
        all.iter().map(HostName::as_str).collect::<Vec<_>>(),
        ["web01"]
    );
}

#[test]
fn variables_beside_the_playbook_are_above_those_beside_the_inventory() {
    let mut inventory = inventory("tests/inventory/valid/directory");
    let playbook = tempfile::tempdir().unwrap();
    fs::create_dir(playbook.path().join("group_vars")).unwrap();
    fs::write(
        playbook.path().join("group_vars/all.yml"),
        "level: playbook all\n",
    )
    .unwrap();
    fs::write(
        playbook.path().join("group_vars/web.yml"),
        "level: playbook web\n",
    )
    .unwrap();
    fs::write(
        playbook.path().join("group_vars/wbe.yml"),
        "level: nowhere\n",
    )
    .unwrap();
    let mut diagnostics = Diagnostics::new();
    inventory.add_variable_directory(playbook.path(), &mut diagnostics);
    let warnings = render(diagnostics.as_slice(), false);
    assert!(
        warnings.contains("is not used: there is no group `wbe`"),
        "{warnings}"
    );
    assert!(warnings.contains("did you mean `web`?"), "{warnings}");
    let web01 = inventory.host("web01.example.com").unwrap();
    let variables = inventory.variables(web01);
    let levels: Vec<_> = variables
        .definitions("level")
        .iter()
        .map(|d| (d.layer.describe(), d.node.to_json()))
        .collect();
    assert_eq!(
        levels,
        [
            ("group all", json!("inline all")),
            ("group all", json!("inventory all")),
            ("group all", json!("playbook all")),
            ("group", json!("inline web")),
            ("group", json!("inventory web")),
            ("group", json!("playbook web")),
            ("host", json!("inline host")),
            ("host", json!("inventory host")),
        ]
    );
}

#[test]
fn programs_answer_with_meta_or_host_by_host() {
    let with_meta = inventory("tests/inventory/programs/meta");
    assert_eq!(
        with_meta.graph(),
        "@all:\n  |--@ungrouped:\n  |--@top:\n  |  |--@web:\n  |  |  |--w1\n  |  |  |--w2\n  \
         |--@db:\n  |  |--d1\n"
    );
    assert_eq!(
        with_meta.to_json()["_meta"]["hostvars"],
        json!({"w1": {"a": 2}, "w2": {"a": 1}})
    );
    let by_host = inventory("tests/inventory/programs/host-by-host");
    assert_eq!(
        by_host.to_json()["_meta"]["hostvars"],
        json!({"h1": {"name": "h1"}})
    );
}

#[test]
fn programs_that_fail_show_what_they_said() {
    let message = |name: &str| load(&[&format!("tests/inventory/programs/{name}")]).1;
    assert_eq!(
        message("failing"),
        "error: the inventory program `tests/inventory/programs/failing` failed: \
         `./tests/inventory/programs/failing --list` ended with status 3\n           no token\n"
    );
    assert_eq!(
        message("not-json"),
        "error: the inventory program `tests/inventory/programs/not-json` answers `--list` with \
         something other than a JSON mapping: expected value at line 1 column 1\n"
    );
    assert_eq!(
        message("not-a-list"),
        "error: the inventory program `tests/inventory/programs/not-a-list` answers something \
         other than a list of names for the group `g`\n"
    );
    let inside = message("wrong-inside");
    assert!(
        inside.contains("`-x` is no host name: it begins with `-`"),
        "{inside}"
    );
    assert!(inside.contains("unknown key `host` in a group"), "{inside}");
}

#[test]
fn sources_add_to_each_other() {
    let (inventory, diagnostics) = load(&["tests/inventory/patterns.yml", "x1,web01:2222"]);
    assert_eq!(diagnostics, "");
    let web01 = inventory.host("web01").unwrap();
    assert_eq!(inventory.host_json(web01)["ansible_port"], json!(2222));
    assert_eq!(
        inventory
            .members("ungrouped")
            .iter()
            .map(|host| host.as_str())
            .collect::<Vec<_>>(),
        ["x1"]
    );
    assert_eq!(
        inventory
            .group_names(web01)
            .iter()
            .map(|name| name.as_str())
            .collect::<Vec<_>>(),
        ["dc1", "web"]
    );
}

#[test]
fn ten_thousand_hosts_share_their_groups_variables() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("hosts.yml");
    let vars = (0..200)
        .map(|n| format!("    v{n}: {n}\n"))
        .collect::<Vec<_>>()
        .concat();
    fs::write(
        &file,
        format!("web:\n  vars:\n{vars}  hosts:\n    web[00001:10000]: {{own: 1}}\n"),
    )
    .unwrap();
    let inventory = inventory(file.to_str().unwrap());
    let first = inventory.variables(inventory.host("web00001").unwrap());
    let last = inventory.variables(inventory.host("web10000").unwrap());
    assert!(std::ptr::eq(
        first.get("v0").unwrap(),
        last.get("v0").unwrap()
    ));
    assert_eq!(inventory.hosts().len(), 10_000);
}

#[test]
fn groups_may_nest_deeper_than_the_stack() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("hosts.yml");
    let links = (0..20_000).map(|n| format!("g{n}: {{children: {{g{}: }}}}\n", n + 1));
    let chain = links.collect::<Vec<_>>().concat();
    fs::write(&file, format!("{chain}g20000: {{hosts: {{h: }}}}\n")).unwrap();
    let inventory = inventory(file.to_str().unwrap());
    assert_eq!(inventory.members("g0").len(), 1);
    assert_eq!(
        inventory.group_names(inventory.host("h").unwrap()).len(),
        20_001
    );
}

#[test]
fn sources_that_cannot_be_read_are_named() {
    assert_eq!(
        load(&["web01"]).1,
        "error: cannot read the inventory `web01`: No such file or directory (os error 2)\n \
         |\n = help: for a host of that name write `-i web01,`\n"
    );
    assert_eq!(
        load(&["web01,web/02"]).1,
        "error: `web/02` is no host name: `/` is not allowed, only letters, digits, `.`, `-`, `_`\n"
    );
}

//! `fleet inventory`: hosts, groups and variables.

use super::Fleet;

const HOSTS: &str = "\
all:
  vars:
    port: 80
  children:
    web:
      hosts:
        web[01:02]:
      vars:
        port: 8080
";

fn inventory<'a>(args: impl IntoIterator<Item = &'a str>) -> Fleet {
    Fleet::new(["inventory"].into_iter().chain(args))
        .file("inventory/hosts.yml", HOSTS)
        .file("inventory/host_vars/web02.yml", "port: 8081\nmode: 0644\n")
}

#[test]
fn explain_names_the_place_of_each_value_and_what_it_overrides() {
    let ended = inventory(["--host", "web02", "--explain", "-e", "port=9"]).run();
    insta::assert_snapshot!(ended.all(), @r#"
    exit 0
    ----- stdout
    mode: "0644"
        from inventory/host_vars/web02.yml:2 (host)
    port: "9"
        from command line (-e)
        overrides 8081 from inventory/host_vars/web02.yml:1 (host)
        overrides 8080 from inventory/hosts.yml:9 (group)
        overrides 80 from inventory/hosts.yml:3 (group all)
    ----- stderr
    "#);
}

#[test]
fn a_host_is_one_json_object_of_what_holds() {
    let ended = inventory(["--host", "web02"]).run();
    insta::assert_snapshot!(ended.all(), @r#"
    exit 0
    ----- stdout
    {
      "port": 8081,
      "mode": "0644"
    }
    ----- stderr
    "#);
}

#[test]
fn the_graph_is_a_tree() {
    let ended = inventory(["--graph"]).run();
    insta::assert_snapshot!(ended.all(), @"
    exit 0
    ----- stdout
    @all:
      |--@ungrouped:
      |--@web:
      |  |--web01
      |  |--web02
    ----- stderr
    ");
}

#[test]
fn the_list_is_what_ansible_reads() {
    let ended = inventory(["--list"]).run();
    assert_eq!((ended.code, &*ended.stderr), (0, ""));
    let list: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(list["_meta"]["hostvars"]["web02"]["port"], 8081);
    assert_eq!(list["web"]["hosts"], serde_json::json!(["web01", "web02"]));
}

#[test]
fn several_sources_and_literal_lists_are_read() {
    let ended = inventory(["--graph", "-i", "inventory/hosts.yml", "-i", "db01,db02"]).run();
    assert_eq!(ended.code, 0, "{}", ended.all());
    for host in ["web01", "db02"] {
        assert!(ended.stdout.contains(host), "{}", ended.stdout);
    }
}

#[test]
fn a_host_that_is_not_there_is_answered_with_the_nearest() {
    let ended = inventory(["--host", "wbe02"]).run();
    insta::assert_snapshot!(ended.all(), @"
    exit 1
    ----- stdout
    ----- stderr
    error: no host `wbe02` in the inventory
    hint: did you mean `web02`?
    ");
}

#[test]
fn a_wrong_inventory_is_shown_with_its_place() {
    let ended = inventory(["--list"])
        .file("inventory/more.yml", "all:\n  hots: {}\n")
        .run();
    insta::assert_snapshot!(ended.all(), @"
    exit 1
    ----- stdout
    ----- stderr
    error: unknown key `hots` in a group
     --> inventory/more.yml:2:3
      |
    2 |   hots: {}
      |   ^^^^
      |
      = help: did you mean `hosts`?

    error: 1 error in the configuration; no host was contacted
    ");
}

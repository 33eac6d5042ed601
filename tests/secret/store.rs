//! Secrets from a store outside: asked for when needed, and never shown.

use super::World;

const VALUE: &str = "corr3ct horse/b@ttery";

const PLAYBOOK: &str = "\
- hosts: web01
  vars: {password: \"{{ secret('db/' ~ inventory_hostname) }}\"}
  tasks:
    - name: write the password {{ password }}
      copy:
        dest: \"{{ dir }}/app.conf\"
        mode: \"0600\"
        content: |
          url=postgres://app:{{ password }}@db/
    - name: say it
      command: {argv: [echo, \"{{ password }} {{ password | b64encode }}\"]}
    - debug: {msg: \"{{ password | b64encode }}\"}
";

/// A store that notes in `asked` what it was asked for.
fn world() -> World {
    let world = World::new();
    world.write(
        "store",
        &format!("#!/bin/sh\necho \"$2\" >>asked\n[ \"$2\" = db/web01 ] || {{ echo {VALUE}; exit 3; }}\necho '{VALUE}'\n"),
    );
    make_executable(&world);
    world.write(
        "fleet.yml",
        "secrets: {command: [./store, show, \"{name}\"]}\n",
    );
    std::fs::remove_file(world.path("group_vars/all/secret.yml")).unwrap();
    world.write(
        "hosts.yml",
        "all: {hosts: {web01: {ansible_connection: local}, web02: {}}}\n",
    );
    world.write("site.yml", PLAYBOOK);
    world
}

fn make_executable(world: &World) {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::Permissions::from_mode(0o700);
    std::fs::set_permissions(world.path("store"), mode).unwrap();
}

fn asked(world: &World) -> String {
    std::fs::read_to_string(world.path("asked")).unwrap_or_default()
}

#[test]
fn a_value_is_asked_for_once_and_shown_nowhere() {
    let world = world();
    let target = tempfile::tempdir().unwrap();
    let directory = format!("dir={}", target.path().display());
    let common = ["-i", "hosts.yml", "-e", &directory, "-D", "-v"];
    for verb in [
        &["check", "site.yml"][..],
        &["plan", "site.yml", "--format", "json"],
        &["apply", "-y", "site.yml", "--format", "json"],
        &["apply", "-y", "site.yml"],
    ] {
        let ended = world.fleet(&[verb, &common].concat());
        assert!(
            matches!(ended.code, Some(0 | 2)),
            "{}\n{}",
            ended.stdout,
            ended.stderr
        );
        assert!(
            ended.stdout.contains("[redacted]"),
            "{}\n{}",
            ended.stdout,
            ended.stderr
        );
        ended.shows_no_secret();
        assert_eq!(asked(&world), "db/web01\n", "{verb:?}");
        std::fs::remove_file(world.path("asked")).unwrap();
    }
    assert_eq!(
        std::fs::read_to_string(target.path().join("app.conf")).unwrap(),
        format!("url=postgres://app:{VALUE}@db/\n")
    );
}

#[test]
fn nobody_is_asked_for_what_is_not_needed() {
    let world = world();
    for args in [
        &["validate", "-i", "hosts.yml", "-e", "dir=/x", "site.yml"][..],
        &[
            "check",
            "-i",
            "hosts.yml",
            "-e",
            "dir=/x",
            "site.yml",
            "--list-tasks",
        ],
        &[
            "check",
            "-i",
            "hosts.yml",
            "-e",
            "dir=/x",
            "site.yml",
            "--list-hosts",
        ],
        &["inventory", "-i", "hosts.yml", "--host", "web01"],
    ] {
        let ended = world.fleet(args);
        assert_eq!(
            (ended.code, asked(&world).as_str()),
            (Some(0), ""),
            "{args:?}\n{}",
            ended.stderr
        );
    }
    // A mistake beside it is found all the same.
    world.write("site.yml", &PLAYBOOK.replace("mode:", "mdoe:"));
    let ended = world.fleet(&["validate", "-i", "hosts.yml", "-e", "dir=/x", "site.yml"]);
    assert_eq!((ended.code, asked(&world).as_str()), (Some(1), ""));
    assert!(
        ended.stderr.contains("unknown key `mdoe`"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_store_that_fails_stops_everything_before_a_host_is_contacted() {
    let world = world();
    world.write(
        "site.yml",
        &PLAYBOOK.replace("'db/' ~ inventory_hostname", "'db/other'"),
    );
    let ended = world.fleet(&["check", "-i", "hosts.yml", "-e", "dir=/x", "site.yml"]);
    assert_eq!(ended.code, Some(1));
    assert_eq!(asked(&world), "db/other\n");
    ended.shows_no_secret();
    insta::assert_snapshot!(ended.stderr, @r#"
    error: the command for secrets, `./store show db/other`, ended with status 3
     --> site.yml:2:24
      |
    2 |   vars: {password: "{{ secret('db/other') }}"}
      |                        ^^^^^^^^^^^^^^^^^^
      |
      = help: run it yourself to see why: what it printed may be secret, so it is not shown here
      = help: needed at site.yml:9

    error: 1 error in the configuration; no host was contacted
    "#);
}

#[test]
fn hosts_see_no_secret_of_each_other() {
    let world = world();
    world.write(
        "group_vars/all.yml",
        "password: \"{{ secret('db/' ~ inventory_hostname) }}\"\n",
    );
    world.write(
        "site.yml",
        "- hosts: web01\n  tasks:\n    - debug: {msg: \"{{ hostvars['web02'].password or 'none' }}\"}\n",
    );
    let ended = world.fleet(&["check", "-v", "-i", "hosts.yml", "site.yml"]);
    assert_eq!(
        (ended.code, asked(&world).as_str()),
        (Some(0), ""),
        "{}",
        ended.stderr
    );
    assert!(ended.stdout.contains("none"), "{}", ended.stdout);
}

#[test]
fn without_a_command_the_way_out_is_shown_even_where_nobody_would_be_asked() {
    let world = world();
    world.write("fleet.yml", "secrets: {}\n");
    let ended = world.fleet(&["validate", "-i", "hosts.yml", "-e", "dir=/x", "site.yml"]);
    assert_eq!(ended.code, Some(1));
    assert!(
        ended
            .stderr
            .contains("no command is configured that knows secrets"),
        "{}",
        ended.stderr
    );
    assert!(
        ended
            .stderr
            .contains("secrets: {command: [pass, show, \"{name}\"]}"),
        "{}",
        ended.stderr
    );
}

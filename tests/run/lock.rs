//! Two controllers at once.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;

use rustix::process::{Pid, Signal, kill_process};

use super::machines::Machines;
use super::{Site, eventually};

/// An apply of `play.yml` that has begun its endless task, and does not end before the test.
fn busy(site: &Site, more: &[&str]) -> std::process::Child {
    let here = format!("here={}", site.path("").display());
    let arguments = ["apply", "play.yml", "--yes", "-e", &here];
    let child = site
        .command(&[&arguments[..], more].concat())
        .env("USER", "first")
        .spawn()
        .unwrap();
    eventually("the first apply begins", || site.path("begun").exists());
    child
}

const BUSY: &str = r#"
    - shell: "echo run >> {{ here }}/begun; while ! test -e {{ here }}/enough; do sleep 0.05; done"
"#;

fn site() -> Site {
    Site::with_tasks(BUSY)
}

fn end(site: &Site, child: std::process::Child) {
    fs::write(site.path("enough"), "").unwrap();
    let ended = site.end_of(child);
    assert_eq!(ended.code, 0, "{}", ended.all());
}

#[test]
fn one_writes_and_the_other_exits_5_naming_it() {
    let site = site();
    let first = busy(&site, &[]);
    let second = site.play("apply", &["--lock-timeout", "0"]);
    assert_eq!(second.code, 5, "{}", second.all());
    for expected in [
        "locked by another run",
        "an apply by first@",
        "--lock-timeout",
    ] {
        assert!(second.stdout.contains(expected), "{}", second.all());
    }
    let (document, code) = site.json("apply", &["--lock-timeout", "10ms"]);
    assert_eq!(code, 5);
    assert_eq!(document["hosts"][0]["error"]["class"], "locked");
    end(&site, first);
    assert_eq!(site.read("begun"), "run\n");
}

#[test]
fn the_other_waits_its_time_and_then_has_its_turn() {
    let site = site();
    let first = busy(&site, &[]);
    let here = format!("here={}", site.path("").display());
    let mut second = site.start(&[
        "apply",
        "play.yml",
        "--yes",
        "-e",
        &here,
        "--lock-timeout",
        "1m",
    ]);
    let mut said = BufReader::new(second.stderr.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert!(
        line.starts_with("node1: waits for the end of an apply by first@"),
        "{line}"
    );
    assert_eq!(site.read("begun"), "run\n");
    end(&site, first);
    let second = site.end_of(second);
    assert_eq!(second.code, 0, "{}", second.all());
    assert_eq!(site.read("begun"), "run\nrun\n");
}

/// Whoever waits for its own run has nobody to give way to.
#[test]
fn two_hosts_that_are_one_machine_take_turns_however_long_that_takes() {
    let site = Site::with_inventory(
        "all:\n  hosts:\n    node1: {ansible_connection: local}\n    \
         node2: {ansible_connection: local}\n",
    )
    .tasks(BUSY);
    let mut run = busy(&site, &["--lock-timeout", "0"]);
    let mut said = BufReader::new(run.stderr.take().unwrap()).lines();
    let waits = "waits for another host of this run that is the same machine";
    assert!(said.any(|line| line.unwrap().ends_with(waits)));
    assert_eq!(site.read("begun"), "run\n");
    end(&site, run);
    assert_eq!(site.read("begun"), "run\nrun\n");
}

#[test]
fn a_check_takes_no_lock_and_says_that_an_apply_runs() {
    let site = site();
    let first = busy(&site, &[]);
    let check = site.check();
    assert_eq!(check.code, 0, "{}", check.all());
    assert!(
        check.stdout.contains("  an apply by first@"),
        "{}",
        check.stdout
    );
    let (document, _) = site.json("check", &[]);
    let running = &document["hosts"][0]["running"];
    assert!(
        running["who"].as_str().unwrap().starts_with("first@"),
        "{running}"
    );
    assert_eq!(site.play("check", &["-q"]).stdout, "");
    end(&site, first);
    assert!(!site.check().stdout.contains("an apply by"));
}

#[test]
fn the_lock_is_free_when_its_helper_was_killed() {
    let site = site();
    let mut first = busy(&site, &[]);
    let holder: serde_json::Value = serde_json::from_str(&site.read("state/lock")).unwrap();
    let helper = i32::try_from(holder["pid"].as_u64().unwrap()).unwrap();
    first.kill().unwrap();
    first.wait().unwrap();
    kill_process(Pid::from_raw(helper).unwrap(), Signal::KILL).unwrap();
    fs::write(site.path("enough"), "").unwrap();
    let second = site.play("apply", &["--lock-timeout", "0"]);
    assert_eq!(second.code, 0, "{}", second.all());
}

/// A run of two plays, of which the first is over on `node1` and not on `node2`, which has a
/// state, and a lock, of its own. `node1` waits for its second play.
fn between_plays() -> (Site, std::process::Child) {
    let site = two_machines()
        .file(
            "play.yml",
            r#"
- hosts: all
  tasks:
    - shell: "echo run >> {{ here }}/{{ inventory_hostname }}"
    - shell: "while ! test -e {{ here }}/enough; do sleep 0.05; done"
      when: inventory_hostname == "node2"
- hosts: node1
  tasks:
    - shell: "echo second >> {{ here }}/node1"
"#,
        )
        .file(
            "other.yml",
            "- hosts: node1\n  tasks:\n    - shell: \"echo other >> {{ here }}/node1\"\n",
        );
    let mut command = on_two_machines(&site, &["play.yml"]);
    let child = command.env("USER", "first").spawn().unwrap();
    let written = || site.path("node1").exists() && site.path("node2").exists();
    eventually("the first play begins", written);
    (site, child)
}

fn on_two_machines(site: &Site, arguments: &[&str]) -> std::process::Command {
    let here = format!("here={}", site.path("").display());
    let common = ["apply", "--yes", "-e", &here];
    let mut command = site.command(&[&common[..], arguments].concat());
    let path = format!("{}:/usr/bin:/bin", site.path("bin").display());
    command.env("PATH", path);
    command
}

#[test]
fn a_host_is_kept_from_the_first_play_to_the_last() {
    let (site, first) = between_plays();
    let other = ["other.yml", "--lock-timeout", "500ms"];
    let second = site.end_of(on_two_machines(&site, &other).spawn().unwrap());
    assert_eq!(second.code, 5, "{}", second.all());
    assert!(second.stdout.contains("first@"), "{}", second.all());
    end(&site, first);
    assert_eq!(site.read("node1"), "run\nsecond\n");
    let second = site.end_of(on_two_machines(&site, &other).spawn().unwrap());
    assert_eq!(second.code, 0, "it is free again: {}", second.all());
    assert_eq!(site.read("node1"), "run\nsecond\nother\n");
}

#[test]
fn a_host_that_is_kept_for_a_later_play_is_free_when_the_controller_is_killed() {
    let (site, mut first) = between_plays();
    first.kill().unwrap();
    first.wait().unwrap();
    let other = ["other.yml", "--lock-timeout", "15s"];
    let second = site.end_of(on_two_machines(&site, &other).spawn().unwrap());
    assert_eq!(second.code, 0, "{}", second.all());
    fs::write(site.path("enough"), "").unwrap();
    assert_eq!(site.read("node1"), "run\nother\n");
}

/// `node2` is reached by a sudo that leads to a machine with a state, and a lock, of its own.
fn two_machines() -> Site {
    let site = Site::with_inventory(
        "all:\n  hosts:\n    node1: {ansible_connection: local}\n    \
         node2: {ansible_connection: local, ansible_become: true}\n",
    )
    .file(
        "bin/sudo",
        "#!/bin/sh\nwhile [ \"$1\" != -- ]; do shift; done; shift\n\
         FLEET_STATE_DIR=${FLEET_STATE_DIR}2 exec \"$@\"\n",
    );
    fs::set_permissions(site.path("bin/sudo"), fs::Permissions::from_mode(0o755)).unwrap();
    site
}

/// With one place, a host that waits must not keep the others from theirs.
#[test]
fn a_host_that_waits_delays_no_other() {
    let site = two_machines().tasks(BUSY);
    let first = busy(&site, &["-l", "node1"]);
    let site = site
        .tasks("    - file: {path: \"{{ here }}/{{ inventory_hostname }}\", state: directory}\n");
    let arguments = ["play.yml", "-f", "1", "--lock-timeout", "10m"];
    let second = on_two_machines(&site, &arguments).spawn().unwrap();
    eventually("node2 does not wait for node1", || {
        site.path("node2").exists()
    });
    assert!(!site.path("node1").exists());
    end(&site, first);
    assert_eq!(site.end_of(second).code, 0);
}

/// A fleet of machines of their own, over ssh.
#[test]
fn of_two_controllers_on_one_fleet_one_writes_each_host_and_the_lock_dies_with_it() {
    let machines = Machines::start(3);
    let site = Site::with_inventory(&machines.inventory()).tasks(
        r#"
    - shell: "echo {{ who }} >> {{ here }}/{{ inventory_hostname }}; while ! test -e {{ here }}/enough; do sleep 0.05; done"
    - shell: "echo {{ who }} >> {{ here }}/{{ inventory_hostname }}"
"#,
    );
    let here = format!("here={}", site.path("").display());
    let ssh_config = machines.ssh_config();
    let start = |who: &str, timeout: &str| {
        let who = format!("who={who}");
        site.start(&[
            "apply",
            "play.yml",
            "--yes",
            "--ssh-config",
            &ssh_config,
            "-e",
            &here,
            "-e",
            &who,
            "--lock-timeout",
            timeout,
        ])
    };
    let lines = |number: usize| site.read(&format!("node{number}"));
    let begun = || (0..3).all(|number| !lines(number).is_empty());
    let mut first = start("first", "30s");
    eventually("the first begins everywhere", &begun);
    let second = site.end_of(start("second", "0"));
    assert_eq!(second.code, 5, "{}", second.all());
    for number in 0..3 {
        assert_eq!(lines(number), "first\n", "node{number}");
    }

    // Without its controller a helper ends with its task, and the lock with it.
    first.kill().unwrap();
    first.wait().unwrap();
    fs::write(site.path("enough"), "").unwrap();
    let third = site.end_of(start("third", "30s"));
    assert_eq!(third.code, 0, "{}", third.all());
    for number in 0..3 {
        let lines = lines(number);
        let after: Vec<_> = lines.lines().skip_while(|line| *line == "first").collect();
        assert_eq!(after, ["third", "third"], "node{number}: {lines}");
    }
}

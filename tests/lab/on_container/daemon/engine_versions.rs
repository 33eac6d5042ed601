//! Another engine under running containers: the pinned set and the daemon's configuration.

use serde_json::Value;

use super::{VERSION, base, container, daemon, nothing_left_to_do, process, start_container};
use crate::machine::Machine;

const OLDER: &str = "20.10.5";

#[test]
fn the_engine_goes_up_and_down_under_a_container_that_stays() {
    let machine = Machine::pristine();
    let sets = machine.variable("lab_engine_sets");
    let older = engine(&machine, &sets, OLDER);
    let _ = machine.fleet(&["apply", &older, "-y"]).exits(0);
    assert_eq!(runs(&machine), running(OLDER));
    let started = start_container(&machine);
    let configuration = machine.sh("cat /etc/docker/daemon.json");

    for (from, version) in [(OLDER, VERSION), (VERSION, OLDER)] {
        let playbook = engine(&machine, &sets, version);
        let before = process(&machine);
        let check = machine
            .fleet(&["check", &playbook, "--format", "json"])
            .exits(2);
        let findings = check.findings().join("\n");
        let expected = format!("docker_daemon docker: engine_version {version} ← {from}");
        assert!(findings.contains(&expected), "{findings}");

        let _ = machine.fleet(&["apply", &playbook, "-y"]).exits(0);
        assert_eq!(runs(&machine), running(version));
        assert_ne!(process(&machine), before);
        assert_eq!(machine.sh("cat /etc/docker/daemon.json"), configuration);
        assert_eq!(container(&machine), started, "it never stopped");
        nothing_left_to_do(&machine, &playbook);
    }

    // A program put in place without a restart: the daemon is older than it.
    let playbook = engine(&machine, &sets, OLDER);
    machine.sh("cd /usr/bin; cp -a dockerd dockerd.new; mv dockerd.new dockerd");
    let check = machine
        .fleet(&["check", &playbook, "--format", "json", "--tags", "daemon"])
        .exits(2);
    assert_eq!(
        check.findings(),
        [
            "docker_daemon docker: daemon restart (live-restore keeps 1 running container) \
             ← older than its program"
        ]
    );
    let _ = machine.fleet(&["apply", &playbook, "-y"]).exits(0);
    nothing_left_to_do(&machine, &playbook);
    assert_eq!(container(&machine), started);
}

#[test]
fn what_runs_on_an_engine_that_lets_go_of_it_is_named_and_runs_again() {
    let machine = Machine::pristine();
    let sets = machine.variable("lab_engine_sets");
    let packages = |version: &str| {
        machine.playbook(&format!(
            "- name: Engine\n  rpm:\n    packages: {}\n- name: Runs\n  service: {{ name: docker, state: started }}\n",
            sets[version]
        ))
    };
    let _ = machine.fleet(&["apply", &packages(OLDER), "-y"]).exits(0);
    let _ = start_container(&machine);
    machine.sh("docker update --restart no $(docker ps -q)");
    let names = machine.sh("docker ps --format '{{.Names}}'");

    let newer = packages(VERSION);
    let check = machine
        .fleet(&["check", &newer, "--format", "json"])
        .exits(2);
    let expected = format!(
        "Docker engine restarted by its packages, with 1 running container: {} ← running",
        names.trim()
    );
    let findings = check.findings();
    assert!(
        findings.iter().any(|found| found.ends_with(&expected)),
        "{findings:#?}"
    );
    let _ = machine.fleet(&["apply", &newer, "-y"]).exits(0);
    assert_eq!(machine.sh("docker ps --format '{{.Names}}'"), names);
    assert!(machine.sh("docker version").contains(VERSION));
    nothing_left_to_do(&machine, &newer);
}

/// A playbook of the engine's packages and its daemon.
fn engine(machine: &Machine, sets: &Value, version: &str) -> String {
    machine.playbook(&format!(
        "- name: Engine\n  rpm:\n    packages: {}\n{}  tags: daemon\n",
        sets[version],
        daemon(&base()).replace(VERSION, version)
    ))
}

fn runs(machine: &Machine) -> String {
    let told = "{{.ServerVersion}} {{.Driver}} {{.LiveRestoreEnabled}} {{.LoggingDriver}}";
    machine.sh(&format!("docker info --format '{told}' | sed 's/+[^ ]*//'"))
}

fn running(version: &str) -> String {
    format!("{version} overlay2 true json-file\n")
}

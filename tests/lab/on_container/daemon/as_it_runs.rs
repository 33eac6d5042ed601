//! What dockerd really runs with, and whose its files are, whatever daemon.json says.

use serde_json::{Value, json};

use super::start_container;
use super::{VERSION, base, container, daemon, nothing_left_to_do, playbook, process, with};
use crate::machine::Machine;

/// Gives a machine the engine as [`base`] has it.
fn installed(machine: &Machine) {
    let sets = machine.variable("lab_engine_sets");
    let engine = format!("- name: Engine\n  rpm:\n    packages: {}\n", sets[VERSION]);
    let playbook = machine.playbook(&format!("{engine}{}", daemon(&base())));
    let _ = machine.fleet(&["apply", &playbook, "-y"]).exits(0);
}

fn check(machine: &Machine, playbook: &str) -> Vec<String> {
    let check = machine.fleet(&["check", playbook, "--format", "json"]);
    check.exits(2).findings()
}

#[test]
fn what_dockerd_really_runs_with_is_compared_whole() {
    let machine = Machine::pristine();
    installed(&machine);
    let started = start_container(&machine);
    let restart = "docker_daemon docker: daemon restart (live-restore keeps 1 running container)";

    files_are_root_s(&machine);
    a_setting_that_is_gone_and_only_reloaded(&machine, restart);
    let playbook = playbook(&machine, &base());
    flags_by_hand(&machine, &playbook, restart);
    a_flag_that_nobody_declared(&machine);
    let playbook = self::playbook(&machine, &base());
    a_unit_that_hides_the_package_s(&machine, &playbook);
    assert_eq!(container(&machine), started, "it never stopped");
    a_dockerd_started_by_hand(&machine, &playbook);
}

fn files_are_root_s(machine: &Machine) {
    let declared = format!(
        "{}    drop_ins:\n      10-limits.conf: |\n        [Service]\n        LimitCORE=0\n",
        daemon(&base())
    );
    let playbook = machine.playbook(&declared);
    let _ = machine.fleet(&["apply", &playbook, "-y"]).exits(0);
    let process = process(machine);
    machine.sh("chmod 0666 /etc/docker/daemon.json
         chown nobody /etc/systemd/system/docker.service.d/10-limits.conf
         chmod 0777 /etc/systemd/system/docker.service.d");
    assert_eq!(
        check(machine, &playbook),
        [
            "docker_daemon docker: /etc/docker/daemon.json mode 0644 ← 0666",
            "docker_daemon docker: /etc/systemd/system/docker.service.d mode 0755 ← 0777",
            "docker_daemon docker: /etc/systemd/system/docker.service.d/10-limits.conf owner root \
             ← nobody",
        ]
    );
    let _ = machine.fleet(&["apply", &playbook, "-y"]).exits(0);
    assert_eq!(
        machine.sh(
            "stat -c '%U %a' /etc/docker/daemon.json \
             /etc/systemd/system/docker.service.d /etc/systemd/system/docker.service.d/10-limits.conf"
        ),
        "root 644\nroot 755\nroot 644\n"
    );
    assert_eq!(self::process(machine), process, "a mode needs no restart");
    nothing_left_to_do(machine, &playbook);

    // Rewritten, it does not keep what was wrong with it.
    machine.sh("chmod 0666 /etc/docker/daemon.json; echo '{}' > /etc/docker/daemon.json");
    let undone = machine.playbook(&format!("{}    drop_ins: {{}}\n", daemon(&base())));
    let _ = machine.fleet(&["apply", &undone, "-y"]).exits(0);
    assert_eq!(
        machine.sh("stat -c '%U %a' /etc/docker/daemon.json"),
        "root 644\n"
    );
    nothing_left_to_do(machine, &undone);
}

fn a_setting_that_is_gone_and_only_reloaded(machine: &Machine, restart: &str) {
    let debug = playbook(machine, &with(&[("debug", json!(true))]));
    let _ = machine.fleet(&["apply", &debug, "-y"]).exits(0);
    let process = process(machine);
    // By hand, and fleet's own memory of it is gone.
    machine.sh(&format!(
        "rm /var/lib/fleet/docker_daemon.json
         echo '{}' > /etc/docker/daemon.json; touch -d '1 day ago' /etc/docker/daemon.json
         systemctl reload docker; sleep 1; docker info --format '{{{{.Debug}}}}' | grep true",
        base()
    ));
    let playbook = playbook(machine, &base());
    assert_eq!(
        check(machine, &playbook),
        [
            "docker_daemon docker: running debug false (by default) ← true".to_owned(),
            format!("{restart} ← runs with other settings (debug)"),
        ]
    );
    let _ = machine.fleet(&["apply", &playbook, "-y"]).exits(0);
    assert_eq!(machine.sh("docker info --format '{{.Debug}}'"), "false\n");
    assert_ne!(self::process(machine), process);
    nothing_left_to_do(machine, &playbook);
}

fn flags_by_hand(machine: &Machine, playbook: &str, restart: &str) {
    // Started with a drop-in that is gone again, and nothing is newer than the process.
    machine.sh(
        "d=/run/systemd/system/docker.service.d; mkdir -p $d
         printf '[Service]\\nExecStart=\\nExecStart=/usr/bin/dockerd -H fd:// -H tcp://127.0.0.1:2375 \
         --containerd=/run/containerd/containerd.sock\\n' > $d/open.conf
         systemctl daemon-reload; systemctl restart docker; rm -r $d; systemctl daemon-reload",
    );
    assert_eq!(
        check(machine, playbook),
        [format!(
            "{restart} ← runs with -H tcp://127.0.0.1:2375, unlike its unit"
        )]
    );
    let _ = machine.fleet(&["apply", playbook, "-y"]).exits(0);
    assert_eq!(machine.sh("ss -ltn | grep -c :2375 || true"), "0\n");
    nothing_left_to_do(machine, playbook);
}

fn a_flag_that_nobody_declared(machine: &Machine) {
    let playbook = playbook(machine, &base());
    machine.sh(
        "d=/etc/systemd/system/docker.service.d; mkdir -p $d
         printf '[Service]\\nExecStart=\\nExecStart=/usr/bin/dockerd -H fd:// \
         --insecure-registry old.example --containerd=/run/containerd/containerd.sock\\n' > $d/open.conf
         systemctl daemon-reload; systemctl restart docker",
    );
    assert_eq!(
        check(machine, &playbook),
        [
            "docker_daemon docker: flag --insecure-registry old.example not given ← given by \
             /etc/systemd/system/docker.service.d/open.conf"
        ]
    );
    let run = machine
        .fleet(&["apply", &playbook, "-y", "--format", "json"])
        .exits(2);
    assert!(
        run.failure().contains(
            "the flag `--insecure-registry old.example`, which is not declared; remove it from \
             /etc/systemd/system/docker.service.d/open.conf, or declare it in `drop_ins`"
        ),
        "{}",
        run.failure()
    );
    // Where drop-ins are declared, it goes.
    let none = machine.playbook(&format!("{}    drop_ins: {{}}\n", daemon(&base())));
    let _ = machine.fleet(&["apply", &none, "-y"]).exits(0);
    let told = "docker info --format '{{json .RegistryConfig.IndexConfigs}}'";
    assert!(!machine.sh(told).contains("old.example"));
    nothing_left_to_do(machine, &none);
}

fn a_unit_that_hides_the_package_s(machine: &Machine, playbook: &str) {
    machine.sh(
        "cp /usr/lib/systemd/system/docker.service /etc/systemd/system/docker.service
         sed -i 's/^ExecStart=.*/& --debug/' /etc/systemd/system/docker.service
         systemctl daemon-reload; systemctl restart docker",
    );
    assert_eq!(
        check(machine, playbook),
        [
            "docker_daemon docker: unit /usr/lib/systemd/system/docker.service ← \
             /etc/systemd/system/docker.service",
            "docker_daemon docker: flag --debug not given ← given by \
             /etc/systemd/system/docker.service",
        ]
    );
    let run = machine
        .fleet(&["apply", playbook, "-y", "--format", "json"])
        .exits(2);
    let failure = run.failure();
    assert!(
        failure.contains("which hides /usr/lib/systemd/system/docker.service; remove it"),
        "{failure}"
    );
    machine.sh("rm /etc/systemd/system/docker.service");
    let _ = machine.fleet(&["apply", playbook, "-y"]).exits(0);
    assert_eq!(machine.sh("docker info --format '{{.Debug}}'"), "false\n");
    nothing_left_to_do(machine, playbook);
}

fn a_dockerd_started_by_hand(machine: &Machine, playbook: &str) {
    machine.sh("systemctl stop docker.socket docker.service
         setsid dockerd --debug >/root/dockerd.log 2>&1 </dev/null &
         timeout 60 bash -c 'until docker info >/dev/null 2>&1; do sleep 0.2; done'");
    let process = process(machine).trim().to_owned();
    let by_hand = format!("process {process} (`dockerd --debug`)");
    let findings = check(machine, playbook);
    assert_eq!(
        findings[0],
        format!(
            "docker_daemon docker: dockerd started by docker.service ← started by hand: {by_hand}"
        )
    );
    let run = machine
        .fleet(&["apply", playbook, "-y", "--format", "json"])
        .exits(2);
    assert!(run.failure().contains(&by_hand), "{}", run.failure());
    machine.sh(&format!(
        "kill {process}; timeout 60 tail --pid={process} -f /dev/null"
    ));
    let _ = machine.fleet(&["apply", playbook, "-y"]).exits(0);
    nothing_left_to_do(machine, playbook);
}

#[test]
fn containers_come_back_when_live_restore_is_taken_away() {
    let machine = Machine::pristine();
    installed(&machine);
    start_container(&machine);
    machine.sh(
        "docker run -d --name db --restart unless-stopped --stop-timeout 1 --network none \
         --log-driver none tiny /bin/sleep 100000",
    );
    let without = playbook(&machine, &with(&[("live-restore", Value::Null)]));
    assert_eq!(
        check(&machine, &without),
        [
            "docker_daemon docker: daemon.json live-restore absent ← true",
            "docker_daemon docker: daemon restart (restarts 1 running container: db; stops 1 \
             running container, which stays down: web) ← runs with other settings (live-restore)",
        ]
    );
    let before = process(&machine);
    let _ = machine.fleet(&["apply", &without, "-y"]).exits(0);
    assert_ne!(process(&machine), before);
    let states = "docker inspect db web --format '{{.Name}} {{.State.Running}}'";
    assert_eq!(machine.sh(states), "/db true\n/web false\n");
    assert!(
        !machine
            .sh("cat /etc/docker/daemon.json")
            .contains("live-restore")
    );
    nothing_left_to_do(&machine, &without);
    // As the daemon itself would: it is not remembered as stopped by hand.
    machine.sh("systemctl restart docker");
    assert_eq!(machine.sh(states), "/db true\n/web false\n");
}

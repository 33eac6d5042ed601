//! The Docker daemon's configuration on a real engine: first start, reload, restart, roll back.

use serde_json::{Value, json};

use crate::machine::Machine;

mod as_it_runs;
mod engine_versions;
mod killed;

const VERSION: &str = "20.10.24";

/// A story on one machine, because installing an engine is what takes long here.
#[test]
fn a_daemon_follows_its_declaration_and_containers_live_on() {
    let machine = Machine::pristine();
    configured_before_its_first_start(&machine);
    let started = start_container(&machine);

    a_reload_is_planned_and_restarts_nothing(&machine);
    a_restart_under_live_restore_keeps_the_container(&machine);
    a_daemon_older_than_its_configuration_is_drift(&machine);
    a_daemon_that_runs_with_other_settings_is_drift(&machine);
    files_the_unit_reads_are_its_configuration_too(&machine);
    what_cannot_start_is_rolled_back(&machine);
    what_hangs_is_given_up_and_rolled_back(&machine);
    what_would_not_take_effect_is_refused(&machine);
    what_would_not_start_is_refused(&machine);
    assert_eq!(container(&machine), started, "it never stopped");

    without_live_restore_the_plan_names_what_stops(&machine);
}

fn configured_before_its_first_start(machine: &Machine) {
    let sets = machine.variable("lab_engine_sets");
    let engine = format!(
        "- name: Engine\n  rpm:\n    packages: {}\n{}",
        sets[VERSION],
        daemon(&base())
    );
    let playbook = machine.playbook(&engine);
    let plan = machine
        .fleet(&["plan", &playbook, "--format", "json"])
        .exits(2);
    let findings = plan.findings().join("\n");
    assert!(
        findings.contains("daemon.json live-restore true ← absent"),
        "{findings}"
    );
    assert!(
        findings.contains("state started ← not installed"),
        "{findings}"
    );

    let _ = machine.fleet(&["apply", &playbook, "-y"]).exits(0);
    assert_eq!(
        machine.sh("docker info --format '{{.Driver}} {{.LiveRestoreEnabled}} {{.LoggingDriver}}'"),
        "overlay2 true json-file\n"
    );
    // It was started once: with the configuration in place.
    assert_eq!(
        machine.sh("journalctl -u docker -o cat | grep -c '^Starting docker'"),
        "1\n"
    );
    nothing_left_to_do(machine, &playbook);
}

fn a_reload_is_planned_and_restarts_nothing(machine: &Machine) {
    let playbook = playbook(
        machine,
        &with(&[
            ("debug", json!(true)),
            ("max-concurrent-downloads", json!(5)),
        ]),
    );
    let process = process(machine);
    let plan = machine
        .fleet(&["check", &playbook, "--format", "json"])
        .exits(2);
    let findings = plan.findings().join("\n");
    assert!(
        findings.contains("daemon reload (no container stops)"),
        "{findings}"
    );

    let _ = machine.fleet(&["apply", &playbook, "-y"]).exits(0);
    assert_eq!(machine.sh("docker info --format '{{.Debug}}'"), "true\n");
    assert_eq!(self::process(machine), process);
    nothing_left_to_do(machine, &playbook);
}

fn a_restart_under_live_restore_keeps_the_container(machine: &Machine) {
    let playbook = playbook(
        machine,
        &with(&[("log-driver", json!("journald")), ("log-opts", Value::Null)]),
    );
    let process = process(machine);
    let plan = machine
        .fleet(&["check", &playbook, "--format", "json"])
        .exits(2);
    let findings = plan.findings().join("\n");
    assert!(
        findings.contains("daemon restart (live-restore keeps 1 running container)"),
        "{findings}"
    );
    let _ = machine.fleet(&["apply", &playbook, "-y"]).exits(0);
    assert_eq!(
        machine.sh("docker info --format '{{.LoggingDriver}}'"),
        "journald\n"
    );
    assert_ne!(self::process(machine), process);
    nothing_left_to_do(machine, &playbook);
}

fn a_daemon_older_than_its_configuration_is_drift(machine: &Machine) {
    let playbook = playbook(machine, &base());
    let _ = machine.fleet(&["apply", &playbook, "-y"]).exits(0);
    // Order and white space are no drift, whoever wrote them.
    machine.sh(
        "tr -d '\\n' < /etc/docker/daemon.json > /root/j; cat /root/j > /etc/docker/daemon.json",
    );
    let _ = machine.fleet(&["check", &playbook]).exits(0);

    machine.sh("systemctl restart docker; sleep 3; touch /etc/docker/daemon.json");
    let check = machine
        .fleet(&["check", &playbook, "--format", "json"])
        .exits(2);
    assert_eq!(
        check.findings(),
        [
            "docker_daemon docker: daemon restart (live-restore keeps 1 running container) \
          ← older than /etc/docker/daemon.json"
        ]
    );
    let _ = machine.fleet(&["apply", &playbook, "-y"]).exits(0);
    nothing_left_to_do(machine, &playbook);
}

fn a_daemon_that_runs_with_other_settings_is_drift(machine: &Machine) {
    let playbook = playbook(machine, &base());
    let other = with(&[("log-driver", json!("journald")), ("log-opts", Value::Null)]);
    // The file is as declared, and older than the daemon.
    machine.sh(&format!(
        "cd /etc/docker; cp -p daemon.json /root/j; echo '{other}' > daemon.json
         systemctl restart docker; cp -p /root/j daemon.json"
    ));
    let check = machine
        .fleet(&["check", &playbook, "--format", "json"])
        .exits(2);
    assert_eq!(
        check.findings(),
        [
            "docker_daemon docker: running log-driver json-file ← journald",
            "docker_daemon docker: daemon restart (live-restore keeps 1 running container) \
             ← runs with other settings (log-driver)"
        ]
    );
    let _ = machine.fleet(&["apply", &playbook, "-y"]).exits(0);
    nothing_left_to_do(machine, &playbook);
}

fn files_the_unit_reads_are_its_configuration_too(machine: &Machine) {
    let reads = format!(
        "{}    sysconfig: {{ docker: 'OPTIONS=--debug' }}\n    drop_ins:\n      10-options.conf: |\n        \
         [Service]\n        EnvironmentFile=/etc/sysconfig/docker\n        ExecStart=\n        \
         ExecStart=/usr/bin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock $OPTIONS\n",
        daemon(&base())
    );
    let playbook = machine.playbook(&reads);
    let _ = machine.fleet(&["apply", &playbook, "-y"]).exits(0);
    assert_eq!(machine.sh("docker info --format '{{.Debug}}'"), "true\n");
    nothing_left_to_do(machine, &playbook);

    let twice = machine.playbook(&reads.replace("--debug", "--live-restore"));
    let run = machine
        .fleet(&["apply", &twice, "-y", "--format", "json"])
        .exits(2);
    let message = "`live-restore` is also a flag of the unit docker.service (`--live-restore`)";
    assert!(run.failure().contains(message), "{}", run.failure());

    let undone = format!("{}    drop_ins: {{}}\n", daemon(&base()));
    let playbook = machine.playbook(&undone);
    let _ = machine.fleet(&["apply", &playbook, "-y"]).exits(0);
    assert_eq!(machine.sh("docker info --format '{{.Debug}}'"), "false\n");
    nothing_left_to_do(machine, &playbook);
}

fn what_cannot_start_is_rolled_back(machine: &Machine) {
    let before = machine.sh("cat /etc/docker/daemon.json");
    let playbook = playbook(machine, &with(&[("storage-driver", json!("nowhere"))]));
    let run = machine
        .fleet(&["apply", &playbook, "-y", "--format", "json"])
        .exits(2);
    let failure = run.failure();
    for part in [
        "did not come up with what is declared; the files of before are back and it runs with them",
        "its journal ends:",
        "nowhere",
    ] {
        assert!(failure.contains(part), "{part}: {failure}");
    }
    assert_eq!(machine.sh("cat /etc/docker/daemon.json"), before);
    let good = self::playbook(machine, &base());
    nothing_left_to_do(machine, &good);
}

fn what_hangs_is_given_up_and_rolled_back(machine: &Machine) {
    let before = machine.sh("cat /etc/docker/daemon.json; ls /etc/systemd/system");
    let hanging = format!(
        "{}    timeout: 10\n    drop_ins:\n      10-hangs.conf: |\n        [Service]\n        ExecStart=\n        \
         ExecStart=/bin/bash -c 'trap \"\" TERM; while :; do sleep 1; done'\n",
        daemon(&with(&[("debug", json!(true))]))
    );
    let run = machine
        .fleet(&[
            "apply",
            &machine.playbook(&hanging),
            "-y",
            "--format",
            "json",
        ])
        .exits(2);
    let failure = run.failure();
    for part in [
        "the files of before are back and it runs with them",
        "was stopped after 10 s without an end",
    ] {
        assert!(failure.contains(part), "{part}: {failure}");
    }
    assert_eq!(
        machine.sh("cat /etc/docker/daemon.json; ls /etc/systemd/system"),
        before
    );
    nothing_left_to_do(machine, &playbook(machine, &base()));
}

fn what_would_not_take_effect_is_refused(machine: &Machine) {
    let playbook = playbook(machine, &with(&[("bip", json!("10.9.0.1/24"))]));
    let process = process(machine);
    let check = machine
        .fleet(&["check", &playbook, "--format", "json"])
        .exits(2);
    assert_eq!(
        check.findings(),
        [
            "docker_daemon docker: daemon.json bip 10.9.0.1/24 ← absent",
            "docker_daemon docker: daemon restart (refused while live-restore keeps 1 running \
             container: web) ← runs with other settings (bip)",
        ]
    );
    let run = machine
        .fleet(&["apply", &playbook, "-y", "--format", "json"])
        .exits(2);
    assert_eq!(
        run.failure(),
        "`bip` would not take effect while containers run: with live-restore the daemon keeps the \
         network they are on; stop them (web), apply, and start them again"
    );
    assert_eq!(self::process(machine), process);
    nothing_left_to_do(machine, &self::playbook(machine, &base()));
}

fn what_would_not_start_is_refused(machine: &Machine) {
    let before = machine.sh("cat /etc/docker/daemon.json; ls /etc/systemd/system");
    let process = process(machine);
    for (config, message) in [
        (
            with(&[("live-restor", json!(true))]),
            "did you mean `live-restore`?",
        ),
        (
            with(&[("log-opts", json!({ "max-file": 3 }))]),
            "write `max-file: \"3\"`",
        ),
        (
            with(&[("bip", json!("10.9.0.1"))]),
            "`bip` takes an IPv4 address with the length of its network",
        ),
        (
            with(&[("log-opts", json!({ "max-size": "banana" }))]),
            "`log-opts.max-size` takes a size, as in `10m`, not `banana`",
        ),
    ] {
        let playbook = playbook(machine, &config);
        let run = machine.fleet(&["apply", &playbook, "-y"]).exits(1);
        assert!(
            run.stderr().contains(message),
            "{message}: {}",
            run.stderr()
        );
    }
    let lost =
        daemon(&with(&[("storage-driver", json!("devicemapper"))])).replace(VERSION, "25.0.5");
    let run = machine
        .fleet(&["apply", &machine.playbook(&lost), "-y"])
        .exits(1);
    assert!(
        run.stderr()
            .contains("`devicemapper` is gone since engine 25.0"),
        "{}",
        run.stderr()
    );

    let hosts = with(&[("hosts", json!(["unix:///var/run/docker.sock"]))]);
    let inert = format!(
        "{}    sysconfig: {{ docker: OPTIONS=-D }}\n",
        daemon(&base())
    );
    let no_driver = with(&[("log-driver", json!("xyzzy")), ("log-opts", Value::Null)]);
    for (tasks, message) in [
        (
            daemon(&no_driver),
            "the engine on this host has no log driver `xyzzy`, so new containers would not start",
        ),
        (
            daemon(&hosts),
            "`hosts` is also a flag of the unit docker.service (`-H fd://`)",
        ),
        (inert, "does not read /etc/sysconfig/docker"),
        (
            daemon(&base()).replace(VERSION, "20.10.5"),
            "the engine on this host is 20.10.24",
        ),
    ] {
        let playbook = machine.playbook(&tasks);
        let run = machine
            .fleet(&["apply", &playbook, "-y", "--format", "json"])
            .exits(2);
        assert!(
            run.failure().contains(message),
            "{message}: {}",
            run.failure()
        );
    }
    assert_eq!(
        machine.sh("cat /etc/docker/daemon.json; ls /etc/systemd/system"),
        before
    );
    assert_eq!(self::process(machine), process);
}

fn without_live_restore_the_plan_names_what_stops(machine: &Machine) {
    let calm = with(&[("live-restore", json!(false))]);
    let playbook = playbook(machine, &calm);
    let _ = machine.fleet(&["apply", &playbook, "-y"]).exits(0);
    let mut loud = calm;
    loud["log-driver"] = json!("journald");
    loud.as_object_mut().unwrap().remove("log-opts");
    let playbook = self::playbook(machine, &loud);
    let plan = machine
        .fleet(&["check", &playbook, "--format", "json"])
        .exits(2);
    let findings = plan.findings().join("\n");
    assert!(
        findings.contains("daemon restart (stops 1 running container, which stays down: web)"),
        "{findings}"
    );

    // Nor does it keep the network they were on.
    let mut moved = with(&[("live-restore", json!(false))]);
    moved["bip"] = json!("10.9.0.1/24");
    let playbook = self::playbook(machine, &moved);
    let _ = machine.fleet(&["apply", &playbook, "-y"]).exits(0);
    nothing_left_to_do(machine, &playbook);
    machine.sh("ip -4 addr show docker0 | grep -F 10.9.0.1/24");
    machine.sh("docker inspect web --format '{{.State.Running}}' | grep false");
}

/// Runs one container from an image made of the machine's own files.
fn start_container(machine: &Machine) -> String {
    machine.sh(
        "tar -ch -C / bin/sleep lib64/ld-linux-x86-64.so.2 lib/x86_64-linux-gnu/libc.so.6 | docker import - tiny >/dev/null
         docker run -d --name web --network none --log-driver none tiny /bin/sleep 100000 >/dev/null",
    );
    container(machine)
}

fn container(machine: &Machine) -> String {
    machine
        .sh("docker inspect web --format '{{.State.Running}} {{.State.Pid}} {{.State.StartedAt}}'")
}

fn process(machine: &Machine) -> String {
    machine.sh("pidof dockerd")
}

fn nothing_left_to_do(machine: &Machine, playbook: &str) {
    let process = process(machine);
    let again = machine
        .fleet(&["apply", playbook, "-y", "--format", "json"])
        .exits(0);
    assert_eq!(again.findings(), Vec::<String>::new());
    let _ = machine.fleet(&["check", playbook]).exits(0);
    assert_eq!(self::process(machine), process);
}

fn base() -> Value {
    json!({
        "storage-driver": "overlay2",
        "live-restore": true,
        "log-driver": "json-file",
        "log-opts": { "max-size": "10m", "max-file": "3" },
    })
}

/// The base with some settings changed; `null` takes one away.
fn with(changes: &[(&str, Value)]) -> Value {
    let mut config = base();
    let settings = config.as_object_mut().unwrap();
    for (key, value) in changes {
        if value.is_null() {
            settings.remove(*key);
        } else {
            settings.insert((*key).to_owned(), value.clone());
        }
    }
    config
}

fn daemon(config: &Value) -> String {
    format!(
        "- name: Daemon\n  docker_daemon:\n    engine_version: {VERSION}\n    config: {config}\n    \
         state: started\n    enabled: true\n"
    )
}

fn playbook(machine: &Machine, config: &Value) -> String {
    machine.playbook(&daemon(config))
}

//! Units that a real systemd has in all its moods.

use crate::machine::Machine;

fn unit(exec: &str) -> String {
    format!("[Service]\\nExecStart={exec}\\n[Install]\\nWantedBy=multi-user.target\\n")
}

fn install(machine: &Machine, name: &str, exec: &str) {
    machine.sh(&format!(
        "printf '{}' > /etc/systemd/system/{name}.service",
        unit(exec)
    ));
}

#[test]
fn a_unit_that_dies_at_once_has_not_started() {
    let machine = Machine::pristine();
    install(
        &machine,
        "dies",
        "/bin/sh -c \"echo bad configuration; exit 3\"",
    );
    let playbook = machine.playbook("- name: Dies\n  service: { name: dies, state: started }");
    let run = machine
        .fleet(&["apply", &playbook, "-y", "--format", "json"])
        .exits(2);
    let failure = run.failure();
    assert!(
        failure.starts_with("the unit `dies.service` is failed (failed) after it was started"),
        "{failure}"
    );
    // systemctl itself does not tell why.
    assert!(failure.contains("    bad configuration\n"), "{failure}");
    let check = machine
        .fleet(&["check", &playbook, "--format", "json"])
        .exits(2);
    assert_eq!(
        check.findings(),
        ["service dies.service: state started ← failed (failed)"]
    );
}

#[test]
fn a_unit_that_systemd_starts_over_and_over_has_not_started() {
    let machine = Machine::pristine();
    machine.sh("printf '[Service]\\nExecStart=/bin/false\\nRestart=always\\nRestartSec=300ms\\nStartLimitIntervalSec=0\\n' > /etc/systemd/system/loops.service");
    let playbook = machine.playbook("- name: Loops\n  service: { name: loops, state: started }");
    let run = machine
        .fleet(&["apply", &playbook, "-y", "--format", "json"])
        .exits(2);
    let failure = run.failure();
    assert!(
        failure.starts_with("the unit `loops.service` "),
        "{failure}"
    );
}

#[test]
fn a_unit_that_systemd_would_not_start_again_so_soon_is_started() {
    let machine = Machine::pristine();
    install(&machine, "sleeps", "/bin/sleep infinity");
    machine.sh(
        "mkdir /etc/systemd/system/sleeps.service.d
         printf '[Unit]\\nStartLimitIntervalSec=1h\\nStartLimitBurst=1\\n' > /etc/systemd/system/sleeps.service.d/limit.conf
         systemctl daemon-reload; systemctl start sleeps; ! systemctl restart sleeps",
    );
    let playbook = machine.playbook("- name: Sleeps\n  service: { name: sleeps, state: started }");
    let _ = machine.fleet(&["apply", &playbook, "-y"]).exits(0);
    machine.sh("systemctl is-active -q sleeps");
}

#[test]
fn a_masked_unit_is_started_only_when_it_is_unmasked_by_declaration() {
    let machine = Machine::pristine();
    install(&machine, "sleeps", "/bin/sleep infinity");
    machine.sh("systemctl daemon-reload; mv /etc/systemd/system/sleeps.service /usr/lib/systemd/system/; systemctl mask -q sleeps");
    let masked = machine.playbook("- name: Masked\n  service: { name: sleeps, state: started }");
    let run = machine
        .fleet(&["apply", &masked, "-y", "--format", "json"])
        .exits(2);
    assert_eq!(
        run.failure(),
        "the unit `sleeps.service` is masked, so it cannot be started; \
         add `masked: no` if it is to be"
    );

    let unmask =
        "- name: Unmasked\n  service: { name: sleeps, state: started, enabled: yes, masked: no }";
    let unmask = machine.playbook(unmask);
    let _ = machine.fleet(&["apply", &unmask, "-y"]).exits(0);
    machine.sh("systemctl is-active -q sleeps && systemctl is-enabled -q sleeps");
    let _ = machine.fleet(&["check", &unmask]).exits(0);

    let mask =
        "- name: Masked\n  service: { name: sleeps, state: stopped, enabled: no, masked: yes }";
    let mask = machine.playbook(mask);
    let _ = machine.fleet(&["apply", &mask, "-y"]).exits(0);
    assert_eq!(
        machine.sh("systemctl is-active sleeps; systemctl is-enabled sleeps; true"),
        "inactive\nmasked\n"
    );
    let _ = machine.fleet(&["check", &mask]).exits(0);
}

#[test]
fn a_static_unit_can_be_started_and_not_enabled() {
    let machine = Machine::pristine();
    machine.sh(
        "printf '[Service]\\nExecStart=/bin/sleep infinity\\n' > /etc/systemd/system/still.service",
    );
    let not_at_boot =
        machine.playbook("- name: Static\n  service: { name: still, state: started, enabled: no }");
    let _ = machine.fleet(&["apply", &not_at_boot, "-y"]).exits(0);
    let _ = machine.fleet(&["check", &not_at_boot]).exits(0);
    let at_boot = machine.playbook("- name: Static\n  service: { name: still, enabled: yes }");
    let run = machine
        .fleet(&["apply", &at_boot, "-y", "--format", "json"])
        .exits(2);
    assert!(
        run.failure()
            .starts_with("the unit `still.service` is `static`: it has no `[Install]` section"),
        "{}",
        run.failure()
    );
}

#[test]
fn a_unit_file_that_systemd_has_not_read_is_drift() {
    let machine = Machine::pristine();
    install(&machine, "sleeps", "/bin/sleep infinity");
    let playbook = machine.playbook("- name: Sleeps\n  service: { name: sleeps, state: started }");
    let _ = machine.fleet(&["apply", &playbook, "-y"]).exits(0);
    let _ = machine.fleet(&["check", &playbook]).exits(0);

    // systemd compares times in seconds.
    machine.sh("sleep 1.1");
    install(&machine, "sleeps", "/bin/sleep 1000000");
    let check = machine
        .fleet(&["check", &playbook, "--format", "json"])
        .exits(2);
    assert_eq!(
        check.findings(),
        ["service sleeps.service: daemon_reload unit files as on the disk ← older unit files"]
    );
    let _ = machine.fleet(&["apply", &playbook, "-y"]).exits(0);
    assert_eq!(
        machine.sh("systemctl show sleeps -p ExecStart | grep -c 1000000; systemctl show sleeps -p NeedDaemonReload"),
        "1\nNeedDaemonReload=no\n"
    );
    let _ = machine.fleet(&["check", &playbook]).exits(0);
}

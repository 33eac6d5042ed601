//! Becoming root: sudo without a password, with one, and with the wrong one.

use crate::machine::{Machine, Run};

const TASK: &str = "- name: Proof\n  copy:\n    dest: /etc/fleet-proof\n    content: done\n    owner: root\n    mode: \"0600\"";

#[test]
fn sudo_without_a_password_needs_nothing_more() {
    let machine = Machine::pristine();
    let playbook = machine.playbook(TASK);
    let _ = machine
        .fleet(&["apply", &playbook, "-y", "-e", "ansible_user=ops"])
        .exits(0);
    assert_eq!(machine.sh("stat -c '%U %a' /etc/fleet-proof"), "root 600\n");
}

#[test]
fn sudo_that_wants_a_password_says_so_and_says_what_to_do() {
    let machine = Machine::pristine();
    let playbook = machine.playbook(TASK);
    let run = machine
        .fleet(&[
            "apply",
            &playbook,
            "-y",
            "-u",
            "opspw",
            "-e",
            "ansible_user=opspw",
            "--format",
            "json",
        ])
        .exits(4);
    let error = &run.json()["hosts"][0]["error"];
    assert_eq!(error["class"], "sudo", "{error:#}");
    assert!(
        error["message"].as_str().unwrap().contains("-K"),
        "{error:#}"
    );
    machine.sh("test ! -e /etc/fleet-proof");
}

#[test]
fn the_sudo_password_is_asked_for_and_shown_nowhere() {
    let machine = Machine::pristine();
    let playbook = machine.playbook(TASK);
    // While it runs, the host's process list is recorded.
    machine.sh("systemd-run --quiet --unit=record sh -c 'while :; do cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null; sleep 0.05; done | tr \"\\0\" \"\\n\" > /root/recorded'");
    let run = with_password(&machine, &playbook, "lab-sudo").exits(0);
    let output = run.stdout() + &run.stderr();
    assert!(!output.contains("lab-sudo"), "{output}");
    machine.sh("systemctl stop record");
    assert_eq!(
        machine.sh(
            "wc -l < /root/recorded | xargs test 100 -lt && grep -c lab-sudo /root/recorded || true"
        ),
        "0\n"
    );
    assert_eq!(
        machine.sh("grep -r lab-sudo /var/log /var/lib/fleet /tmp 2>/dev/null | head -1"),
        ""
    );
    machine.sh("test -e /etc/fleet-proof");
}

#[test]
fn a_wrong_sudo_password_is_refused_at_once() {
    let machine = Machine::pristine();
    let playbook = machine.playbook(TASK);
    let run = with_password(&machine, &playbook, "wrong").exits(4);
    assert!(run.stdout().contains("password"), "{}", run.stdout());
}

/// Runs apply as `opspw` with -K: without a terminal the password is the first line of standard
/// input.
fn with_password(machine: &Machine, playbook: &str, password: &str) -> Run {
    machine.fleet_reading(
        &format!("{password}\n"),
        &["apply", playbook, "-y", "-K", "-e", "ansible_user=opspw"],
    )
}

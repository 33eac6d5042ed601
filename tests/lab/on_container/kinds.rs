//! Every kind that changes the host, but what needs a kernel of its own: that is in `on_vm`.

use crate::kinds::{self, Case};
use crate::machine::Machine;

const CASES: &[Case] = &[
    Case {
        tasks: "- name: Link\n  file:\n    path: /etc/fleet-link\n    state: link\n    src: /etc/hostname",
        proof: "test $(readlink /etc/fleet-link) = /etc/hostname",
        drift: "ln -sfn /etc/passwd /etc/fleet-link",
        findings: &["file /etc/fleet-link: src /etc/hostname ← /etc/passwd"],
    },
    Case {
        tasks: "- name: Gone\n  file:\n    path: /etc/motd\n    state: absent",
        proof: "test ! -e /etc/motd",
        drift: "touch /etc/motd",
        findings: &["file /etc/motd: state absent ← file"],
    },
    Case {
        tasks: "- name: Line\n  lineinfile:\n    path: /etc/ssh/sshd_config\n    regexp: '^#?MaxAuthTries '\n    line: MaxAuthTries 4\n    validate: sshd -t -f %s",
        proof: "grep -qx 'MaxAuthTries 4' /etc/ssh/sshd_config",
        drift: "sed -i 's/^MaxAuthTries.*/MaxAuthTries 10/' /etc/ssh/sshd_config",
        findings: &[
            "lineinfile /etc/ssh/sshd_config: ^#?MaxAuthTries : line MaxAuthTries 4 ← MaxAuthTries 10",
        ],
    },
    Case {
        tasks: "- name: Group\n  group:\n    name: deploy\n    gid: 3000\n- name: User\n  user:\n    name: deploy\n    uid: 3000\n    group: deploy\n    groups: [adm]\n    shell: /bin/bash",
        proof: "id deploy | grep -q 'uid=3000(deploy) gid=3000(deploy) .*(adm)'",
        drift: "usermod -s /bin/sh -G '' deploy",
        findings: &[
            "user deploy: shell /bin/bash ← /bin/sh",
            "user deploy: groups adm ← none",
        ],
    },
    Case {
        tasks: "- name: Service\n  service:\n    name: cron\n    state: stopped\n    enabled: false",
        proof: "! systemctl is-active -q cron && ! systemctl is-enabled -q cron",
        drift: "systemctl enable -q cron; systemctl start cron",
        findings: &[
            "service cron.service: enabled no ← enabled",
            "service cron.service: state stopped ← active (running)",
        ],
    },
    Case {
        tasks: "- name: Guarded\n  command:\n    cmd: touch /etc/once\n    creates: /etc/once",
        proof: "test -e /etc/once",
        drift: "rm /etc/once",
        findings: &["command touch /etc/once: creates /etc/once ← absent"],
    },
    Case {
        tasks: "- name: As another user\n  shell:\n    cmd: id -un > /tmp/who\n    creates: /tmp/who\n  run_as: ops",
        proof: "test $(cat /tmp/who) = ops && test $(stat -c %U /tmp/who) = ops",
        drift: "rm /tmp/who",
        findings: &["shell id -un > /tmp/who: creates /tmp/who ← absent"],
    },
    Case {
        tasks: "- name: Parameter\n  sysctl:\n    name: net.ipv4.tcp_retries2\n    value: 7",
        proof: "test $(sysctl -n net.ipv4.tcp_retries2) = 7",
        drift: "sysctl -qw net.ipv4.tcp_retries2=15",
        findings: &["sysctl net.ipv4.tcp_retries2: live 7 ← 15"],
    },
];

#[test]
fn every_kind_converges_and_tells_the_truth_about_drift() {
    kinds::every_kind_converges_and_tells_the_truth_about_drift(&Machine::pristine(), CASES);
}

#[test]
fn wait_for_waits_for_a_port() {
    let machine = Machine::pristine();
    let playbook = machine.playbook(
        "- name: Later\n  shell:\n    cmd: systemd-run --quiet sh -c 'sleep 2; exec python3 -m http.server 9999'\n\
         - name: Open\n  wait_for:\n    port: 9999\n    timeout: 60",
    );
    let _ = machine.fleet(&["apply", &playbook, "-y"]).exits(0);
    let closed = machine.playbook("- name: Never\n  wait_for:\n    port: 9998\n    timeout: 2");
    let run = machine
        .fleet(&["apply", &closed, "-y", "--format", "json"])
        .exits(2);
    assert!(run.failure().contains("9998"), "{}", run.failure());
}

//! What can go wrong on a host stays a clean failure of that host.

use crate::machine::Machine;

#[test]
fn works_where_tmp_is_noexec() {
    let machine = Machine::pristine();
    machine.sh("mount -t tmpfs -o noexec,nosuid,nodev tmpfs /tmp; mount -t tmpfs -o noexec tmpfs /var/tmp; mount -t tmpfs -o noexec tmpfs /dev/shm");
    let playbook =
        machine.playbook("- name: Proof\n  copy:\n    dest: /etc/fleet-proof\n    content: done");
    let _ = machine.fleet(&["apply", &playbook, "-y"]).exits(0);
}

#[test]
fn the_helper_is_root_s_alone_and_pushed_once() {
    let machine = Machine::pristine();
    let playbook = machine.playbook("- name: Proof\n  command: \"true\"");
    let _ = machine.fleet(&["apply", &playbook, "-y"]).exits(0);
    assert_eq!(
        machine.sh("stat -c '%a %U' /var/lib/fleet /var/lib/fleet/helper-*"),
        "700 root\n700 root\n"
    );
    let inode = machine.sh("stat -c %i /var/lib/fleet/helper-*");
    let _ = machine.fleet(&["apply", &playbook, "-y"]).exits(0);
    assert_eq!(machine.sh("stat -c %i /var/lib/fleet/helper-*"), inode);

    // A damaged copy is noticed before it runs, and replaced.
    machine.sh("truncate -s 4096 /var/lib/fleet/helper-*");
    let _ = machine.fleet(&["apply", &playbook, "-y"]).exits(0);
    assert_ne!(machine.sh("stat -c %i /var/lib/fleet/helper-*"), inode);
}

#[test]
fn a_full_disk_fails_the_task_and_leaves_the_old_file() {
    let machine = Machine::pristine();
    machine.sh(
        "mkdir /mnt/small; mount -t tmpfs -o size=64k tmpfs /mnt/small; echo old > /mnt/small/file",
    );
    machine.write("files/big", &"x".repeat(1 << 20));
    let playbook =
        machine.playbook("- name: Big\n  copy:\n    src: big\n    dest: /mnt/small/file");
    let run = machine
        .fleet(&["apply", &playbook, "-y", "--format", "json"])
        .exits(2);
    assert!(
        run.failure().contains("No space left on device"),
        "{}",
        run.failure()
    );
    assert_eq!(
        machine.sh("cat /mnt/small/file; ls -A /mnt/small"),
        "old\nfile\n"
    );
}

#[test]
fn a_killed_helper_is_a_failure_and_the_next_apply_finishes() {
    let machine = Machine::pristine();
    let playbook = machine.playbook(
        "- name: Before\n  copy:\n    dest: /etc/before\n    content: done\n  notify: after\n\
         - name: Suicide\n  shell:\n    cmd: test -e /etc/killed || { touch /etc/killed; kill -9 $PPID; sleep 5; }\n\
         - name: After\n  copy:\n    dest: /etc/after\n    content: done\n",
    );
    let text = std::fs::read_to_string(&playbook).unwrap();
    std::fs::write(
        &playbook,
        format!("{text}  handlers:\n    - name: after\n      command: touch /etc/handled\n"),
    )
    .unwrap();

    let run = machine
        .fleet(&["apply", &playbook, "-y", "--format", "json"])
        .exits(2);
    let host = &run.json()["hosts"][0];
    assert_eq!(host["status"], "failed", "{host:#}");
    assert!(
        host["error"]["message"]
            .as_str()
            .unwrap()
            .contains("helper"),
        "{host:#}"
    );
    machine.sh("test -e /etc/before; test ! -e /etc/after; test ! -e /etc/handled");

    // The notification was on the host's disk before the change: it is not lost.
    let check = machine
        .fleet(&["check", &playbook, "--format", "json"])
        .exits(2);
    assert_eq!(
        check.findings(),
        [
            "shell test -e /etc/killed || { touch /etc/killed; kill -9 $PPID; sleep 5; }: skipped",
            "copy /etc/after: content sha256:a4c3ed04a95a (4 bytes) ← absent",
            "command touch /etc/handled: handler run ← pending since an interrupted run",
        ]
    );
    let _ = machine.fleet(&["apply", &playbook, "-y"]).exits(0);
    machine.sh("test -e /etc/after; test -e /etc/handled");
}

#[test]
fn a_child_that_prints_garbage_disturbs_nobody() {
    let machine = Machine::pristine();
    machine.sh("printf 'echo noise from bashrc\\n' >> /root/.bashrc");
    let playbook = machine.playbook(
        "- name: Garbage\n  shell:\n    cmd: head -c 3000000 /dev/urandom; head -c 3000000 /dev/urandom >&2\n  register: garbage\n\
         - name: Seen\n  assert:\n    that: [\"garbage.rc == 0\"]",
    );
    let _ = machine.fleet(&["apply", &playbook, "-y"]).exits(0);
}

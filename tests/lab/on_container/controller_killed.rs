//! fleet itself is killed in the middle of an apply.

use std::time::{Duration, Instant};

use crate::machine::{Machine, ssh_processes};

/// An ssh that lost its fleet ends by itself; this is how long it may take.
const ORPHANED: Duration = Duration::from_secs(30);

#[test]
fn a_killed_fleet_leaves_no_ssh_and_the_next_apply_finishes() {
    let machine = Machine::pristine();
    let playbook = machine.write(
        "playbook.yml",
        r"
- name: Long
  hosts: node1
  become: true
  tasks:
    - name: Before
      copy: { dest: /etc/before, content: done }
      notify: after
    - name: Long
      shell: { cmd: 'touch /etc/long; sleep 8; touch /etc/long-done', creates: /etc/long-done }
    - name: Finished
      copy: { dest: /etc/finished, content: done }
  handlers:
    - name: after
      shell: echo handled >> /etc/handled
",
    );
    let mut fleet = machine.start(&["apply", &playbook, "-y"]);
    wait_until(Duration::from_mins(1), || {
        machine.sh("test ! -e /etc/long || echo there") == "there\n"
    });
    assert_ne!(ssh_processes(), [], "fleet uses ssh");
    fleet.kill().unwrap();
    fleet.wait().unwrap();

    wait_until(ORPHANED, || ssh_processes().is_empty());
    // The helper notices too, and does not go on behind anybody's back.
    wait_until(ORPHANED, || machine.sh("pgrep helper- || true").is_empty());
    machine.sh("test -e /etc/before; test ! -e /etc/handled");

    let _ = machine.fleet(&["apply", &playbook, "-y"]).exits(0);
    assert_eq!(
        machine.sh("cat /etc/handled /etc/finished"),
        "handled\ndone"
    );
    let _ = machine.fleet(&["check", &playbook]).exits(0);
}

#[track_caller]
fn wait_until(limit: Duration, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < limit, "still not so after {limit:?}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

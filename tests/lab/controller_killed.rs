//! fleet itself is killed in the middle of an apply.

use std::time::{Duration, Instant};

use crate::machine::{Machine, state};

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
    assert_ne!(ssh_processes(), Vec::<String>::new(), "fleet uses ssh");
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

/// The command lines of the ssh clients that know this lab's machines.
fn ssh_processes() -> Vec<String> {
    // With the slash: the states of other runs begin with the same letters.
    let ours = format!("{}/", state().display());
    let command_line = |entry: std::io::Result<std::fs::DirEntry>| {
        let bytes = std::fs::read(entry.ok()?.path().join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&bytes).replace('\0', " ");
        (line.starts_with("ssh ") && line.contains(&ours)).then_some(line)
    };
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(command_line)
        .collect()
}

#[track_caller]
fn wait_until(limit: Duration, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < limit, "still not so after {limit:?}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

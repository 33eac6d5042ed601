//! Connections that break in the middle of a step, and changes that break them.

use std::time::{Duration, Instant};

use crate::machine::{Machine, ssh_processes};

const PATIENCE: Duration = Duration::from_mins(1);

#[test]
fn a_step_that_outlives_its_ssh_is_run_once() {
    let machine = Machine::pristine();
    let playbook = machine.playbook(
        "- name: Long
  shell: 'echo begun >> /etc/long; sleep 8; echo said; echo ended >> /etc/long'
  register: long
- copy: { dest: /etc/after, content: '{{ long.stdout }}' }",
    );
    let mut fleet = machine.start(&["apply", &playbook, "-y"]);
    wait_until(|| machine.sh("test ! -e /etc/long || echo there") == "there\n");
    std::thread::sleep(Duration::from_secs(1));
    let killed = ssh_processes();
    assert_ne!(killed.len(), 0, "fleet uses ssh");
    for (id, _) in killed {
        let id = rustix::process::Pid::from_raw(id).unwrap();
        // It may have ended with another one.
        let _ = rustix::process::kill_process(id, rustix::process::Signal::KILL);
    }
    assert_eq!(fleet.wait().unwrap().code(), Some(4));
    assert_eq!(machine.sh("cat /etc/long"), "begun\n");

    // The helper still has the lock, until its step is over: this one waits for it.
    let arguments = [
        "apply",
        &playbook,
        "-y",
        "--format",
        "json",
        "--lock-timeout",
        "1m",
    ];
    let run = machine.fleet(&arguments).exits(0);
    assert_eq!(machine.sh("cat /etc/long /etc/after"), "begun\nended\nsaid");
    let step = &run.json()["hosts"][0]["resources"][0];
    assert_eq!(step["status"], "changed");
    let message = step["message"].as_str().unwrap();
    assert!(
        message.ends_with("when the connection was lost; it was not run again"),
        "{message}"
    );
    machine.sh("test ! -e /var/lib/fleet/unheard.json");
    let _ = machine.fleet(&["apply", &playbook, "-y"]).exits(0);
    assert_eq!(machine.sh("cat /etc/long"), "begun\nended\nbegun\nended\n");
}

#[track_caller]
fn wait_until(mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(
            begin.elapsed() < PATIENCE,
            "still not so after {PATIENCE:?}"
        );
        std::thread::sleep(Duration::from_millis(200));
    }
}

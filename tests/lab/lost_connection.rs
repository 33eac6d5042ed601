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

/// With the table of connections full, the kernel drops new ones, and old ones go on.
#[test]
fn a_parameter_that_shuts_us_out_is_taken_back() {
    const LIVE: &str = "/proc/sys/net/netfilter/nf_conntrack_max";
    let machine = Machine::pristine();
    machine.sh("iptables -I INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT");
    let before = machine.sh(&format!("cat {LIVE}"));
    let logins = || -> usize {
        let count = machine.sh("journalctl -u ssh | grep -c 'Accepted publickey'");
        count.trim().parse().unwrap()
    };
    let to = |value: &str| {
        machine.playbook(&format!(
            "- sysctl: {{ name: net.netfilter.nf_conntrack_max, value: {value} }}"
        ))
    };

    let playbook = to("1");
    let begin = Instant::now();
    let run = machine
        .fleet(&["apply", &playbook, "-y", "--format", "json"])
        .exits(2);
    assert!(
        begin.elapsed() >= Duration::from_mins(1),
        "{:?}",
        begin.elapsed()
    );
    let failure = run.failure();
    assert!(
        failure.contains("nobody could connect anew within 60 s, so it was taken back"),
        "{failure}"
    );
    let state = format!(
        "cat {LIVE}; test ! -e /etc/sysctl.d/90-fleet.conf; \
         find /var/lib/fleet -name 'unconfirmed*' -o -name 'taking*'"
    );
    assert_eq!(machine.sh(&state), before);
    let _ = machine.fleet(&["check", &playbook]).exits(2);

    // What is harmless stays, for one more connection; what is no risk costs none.
    let playbook = to("65537");
    let started = logins();
    let _ = machine.fleet(&["apply", &playbook, "-y"]).exits(0);
    // The login that counts is one, too.
    assert_eq!(logins() - started, 3);
    assert_eq!(machine.sh(&format!("cat {LIVE}")), "65537\n");
    let _ = machine.fleet(&["check", &playbook]).exits(0);
    let harmless = machine.playbook("- sysctl: { name: vm.swappiness, value: 11 }");
    let started = logins();
    let _ = machine.fleet(&["apply", &harmless, "-y"]).exits(0);
    assert_eq!(logins() - started, 2);
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

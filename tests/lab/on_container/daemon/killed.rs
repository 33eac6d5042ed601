//! The helper killed at every step of a change: whatever it leaves, the next apply completes.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{VERSION, container, daemon, nothing_left_to_do, process, start_container, with};
use crate::machine::Machine;

/// Takes the place of `sh`. If there is a `/root/kill-at`, what begins as fleet's own script, and
/// becomes the helper, is traced once, with what strace is to do in that file: its calls by which a
/// file appears under its name or goes. What is written and synced before is the draft of a file,
/// and who is killed loses nothing that the kernel has. Programs that the helper starts are not
/// traced.
const DEADLY_SHELL: &str = r#"cat > /usr/local/sbin/sh <<'END'
#!/bin/bash
case "$*" in *fleet:*) ;; *) exec /bin/sh "$@";; esac
mv /root/kill-at /root/killed-at 2>/dev/null || exec /bin/sh "$@"
calls=mkdir,mkdirat,rename,renameat,renameat2,unlink,unlinkat
exec strace -y -o /root/calls -e signal=kill -e trace=$calls $(cat /root/killed-at) /bin/sh "$@"
END
chmod +x /usr/local/sbin/sh"#;

/// Takes the place of systemctl: a call that changes something dies before it has, together with
/// the helper; the next does its work first.
const DEADLY_SYSTEMCTL: &str = r#"cat > /usr/local/sbin/systemctl <<'END'
#!/bin/bash
case "$*" in *show*|is-enabled*) exec /usr/bin/systemctl "$@";; esac
if mkdir "/root/before $*" 2>/dev/null; then kill -9 $PPID; exit 1; fi
/usr/bin/systemctl "$@"; status=$?
if mkdir "/root/after $*" 2>/dev/null; then kill -9 $PPID; fi
exit $status
END
chmod +x /usr/local/sbin/systemctl"#;

/// A way the daemon can be: a playbook, and how it shows on the machine.
struct Way {
    playbook: String,
    debug: bool,
    log_driver: &'static str,
    drop_in: &'static str,
}

impl Way {
    fn new(
        machine: &Machine,
        debug: bool,
        log_driver: &'static str,
        drop_in: &'static str,
    ) -> Self {
        let config = with(&[
            ("hosts", json!(["fd://"])),
            ("debug", json!(debug)),
            ("log-driver", json!(log_driver)),
            ("log-opts", Value::Null),
        ]);
        let mut play = "- hosts: node1\n  become: true\n  tasks:\n".to_owned();
        for line in daemon(&config).lines() {
            writeln!(play, "    {line}").unwrap();
        }
        write!(
            play,
            "        drop_ins:
          {drop_in}: |
            [Service]
            ExecStart=
            ExecStart=/usr/bin/dockerd --containerd=/run/containerd/containerd.sock
      notify: Told
  handlers:
    - name: Told
      shell: echo told >> /root/told
"
        )
        .unwrap();
        Self {
            playbook: machine.write(&format!("{debug}-{log_driver}.yml"), &play),
            debug,
            log_driver,
            drop_in,
        }
    }

    /// Insists that the machine is this way, that the handler ran, and that nothing is left of
    /// what led here.
    fn holds(&self, machine: &Machine) {
        let found = machine.sh("docker info --format '{{.Debug}} {{.LoggingDriver}}'
             tr '\\0' ' ' < /proc/$(pidof dockerd)/cmdline; echo
             cd /etc/docker; ls -A; cd /etc/systemd/system/docker.service.d; ls -A
             rm /root/told");
        assert_eq!(
            found,
            format!(
                "{} {}\n/usr/bin/dockerd --containerd=/run/containerd/containerd.sock \n\
                 daemon.json\nkey.json\n{}\n",
                self.debug, self.log_driver, self.drop_in
            )
        );
    }
}

#[test]
fn a_helper_killed_at_every_step_of_a_change_leads_to_the_same_daemon() {
    let machine = Machine::pristine();
    let sets = machine.variable("lab_engine_sets");
    let engine = format!("- name: Engine\n  rpm:\n    packages: {}\n", sets[VERSION]);
    let engine = machine.playbook(&engine);
    let _ = machine.fleet(&["apply", &engine, "-y"]).exits(0);
    let one = Way::new(&machine, false, "json-file", "10-hosts.conf");
    let other = Way::new(&machine, true, "journald", "20-hosts.conf");
    let noisy = Way::new(&machine, true, "json-file", "10-hosts.conf");
    let _ = machine.fleet(&["apply", &one.playbook, "-y"]).exits(0);
    one.holds(&machine);
    let started = start_container(&machine);
    machine.sh(DEADLY_SHELL);

    // By a restart: there, back, and there again, each time killed one step later.
    let calls = killed_at_every_call(&machine, [&one, &other]);
    for step in ["\"docker_daemon.json\"", "\"daemon.json\"", "-hosts.conf\""] {
        assert!(calls.contains(step), "{step}: {calls}");
    }
    let removes = |call: &str| {
        call.starts_with("unlinkat(") && call.contains("</etc/systemd/system/docker.service.d>, ")
    };
    assert!(calls.lines().any(removes), "{calls}");
    assert_eq!(container(&machine), started, "it never stopped");

    // By a reload: the process stays, however often it is begun.
    let _ = machine.fleet(&["apply", &one.playbook, "-y"]).exits(0);
    machine.sh("touch /root/told");
    one.holds(&machine);
    let before = process(&machine);
    let calls = killed_at_every_call(&machine, [&one, &noisy]);
    assert!(calls.contains("\"daemon.json\""), "{calls}");
    assert_eq!(process(&machine), before);
    assert_eq!(container(&machine), started);

    // Before and after each thing that systemd is told.
    machine.sh("rm /usr/local/sbin/sh");
    let _ = machine.fleet(&["apply", &one.playbook, "-y"]).exits(0);
    machine.sh(DEADLY_SYSTEMCTL);
    for (way, kills) in [(&noisy, 2), (&other, 6), (&one, 0)] {
        assert_eq!(killed_until_done(&machine, &way.playbook), kills);
        way.holds(&machine);
    }
    assert_eq!(
        machine.sh("cd /root; ls -d before* after* | sort"),
        "after --no-ask-password daemon-reload\n\
         after --no-ask-password reload docker.service\n\
         after --no-ask-password reset-failed docker.service\n\
         after --no-ask-password restart docker.service\n\
         before --no-ask-password daemon-reload\n\
         before --no-ask-password reload docker.service\n\
         before --no-ask-password reset-failed docker.service\n\
         before --no-ask-password restart docker.service\n"
    );
    machine.sh("rm /usr/local/sbin/systemctl");
    nothing_left_to_do(&machine, &one.playbook);
    assert_eq!(container(&machine), started);
}

/// Changes from the first way to the other and back until the helper was killed at each of its
/// calls. Answers the calls of a whole change.
fn killed_at_every_call(machine: &Machine, ways: [&Way; 2]) -> String {
    let mut ways = ways.into_iter().rev().cycle();
    let mut next = || ways.next().expect("it goes round");
    let (killed, whole) = traced(machine, next(), "");
    assert!(!killed, "{whole}");
    // strace counts the calls of each name apart.
    for name in names_of(&whole) {
        let times = whole.matches(&format!("{name}(")).count();
        for nth in 1..=times {
            let way = next();
            let (killed, calls) = traced(
                machine,
                way,
                &format!("-e inject={name}:signal=KILL:when={nth}"),
            );
            assert!(killed, "call {nth} of {name}: {calls}");
            let _ = machine.fleet(&["apply", &way.playbook, "-y"]).exits(0);
            way.holds(machine);
        }
    }
    whole
}

/// Applies under strace. Answers whether the helper was killed, and its calls; if it was not, the
/// machine is this way.
fn traced(machine: &Machine, way: &Way, options: &str) -> (bool, String) {
    machine.sh(&format!("echo '{options}' > /root/kill-at"));
    let cut_short = machine.fleet(&["apply", &way.playbook, "-y"]).status() != 0;
    // The connection ends with the helper; strace says so a moment later.
    let calls = machine.sh(
        "timeout 60 bash -c 'until grep -q ^+++ /root/calls; do sleep 0.1; done'; cat /root/calls",
    );
    let killed = calls.contains("killed by SIGKILL");
    assert_eq!(cut_short, killed, "{options}: {calls}");
    if !killed {
        way.holds(machine);
    }
    (killed, calls)
}

/// The names of the calls in a trace that changed something, each once. To be killed at a call that
/// only finds a directory in its place is to be killed before the next.
fn names_of(calls: &str) -> BTreeSet<&str> {
    let made = calls.lines().filter(|line| line.ends_with("= 0"));
    let names = made.filter_map(|line| line.split_once('('));
    names.map(|(name, _)| name).collect()
}

/// Applies until nothing kills the helper any more; answers how often it was killed.
fn killed_until_done(machine: &Machine, playbook: &str) -> usize {
    for killed in 0..20 {
        if machine.fleet(&["apply", playbook, "-y"]).status() == 0 {
            return killed;
        }
        // What the killed helper had begun may still be ending.
        machine.sh("while pgrep -f '[/]usr/local/sbin/systemctl' > /dev/null; do sleep 0.1; done");
    }
    panic!("no end in sight");
}

//! A change that shuts fleet out is taken back: with a parameter that the kernel has once for all
//! networks.

use std::time::{Duration, Instant};

use crate::machine::Machine;

/// With the table of connections full, the kernel drops new ones, and old ones go on.
#[test]
fn a_parameter_that_shuts_us_out_is_taken_back() {
    const LIVE: &str = "/proc/sys/net/netfilter/nf_conntrack_max";
    let machine = Machine::pristine_vm();
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

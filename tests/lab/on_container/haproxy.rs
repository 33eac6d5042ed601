//! The role `haproxy` under systemd: installed, reloaded without forgetting, never restarted.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::machine::{Machine, Run};

/// Asks the runtime socket as an operator does.
const SHOW: &str = "echo 'show stat' | socat - /run/haproxy/admin.sock | awk -F, '$1 == \"shop\" && $2 != \"BACKEND\" && $2 != \"FRONTEND\" { print $2, $18 }'";

struct Balancer {
    machine: Machine,
}

impl Balancer {
    /// A machine with two services on it that stand for a pool each.
    fn new() -> Self {
        let machine = Machine::pristine();
        let playbook = machine.write("site.yml", "");
        let beside = Path::new(&playbook).with_file_name("roles");
        symlink(concat!(env!("CARGO_MANIFEST_DIR"), "/roles"), beside).unwrap();
        Self { machine }
    }

    /// fleet on the role, whose green pool has this port, and whose backend has this line.
    fn fleet(&self, verb: &str, port: u16, line: &str, more: &[&str]) -> Run {
        let playbook = self.machine.write(
            "site.yml",
            &format!(
                "- hosts: node1
  become: true
  vars:
    haproxy_frontends:
      - {{ name: shop, bind: [\"127.0.0.1:80\"], backend: shop }}
    haproxy_backends:
      - name: shop
        options: [\"{line}\"]
        pools:
          - {{ group: blue, port: 8081 }}
          - {{ group: green, port: {port}, idle: true }}
  roles: [haproxy]
"
            ),
        );
        let pools = self.machine.write(
            "pools.yml",
            "blue: {hosts: {blue1: {ansible_host: 127.0.0.1}}}\n\
             green: {hosts: {green1: {ansible_host: 127.0.0.1}}}\n",
        );
        let arguments = [&[verb, &playbook, "-i", &pools], more].concat();
        self.machine.fleet(&arguments)
    }

    /// Has these servers, as soon as those that do not answer were asked often enough.
    #[track_caller]
    fn has(&self, servers: &str) {
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            let found = self.machine.sh(SHOW);
            if found == servers {
                return;
            }
            assert!(Instant::now() < deadline, "{found}, not {servers}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// The process that systemd started, and when.
    fn started(&self) -> String {
        self.machine
            .sh("systemctl show haproxy -p MainPID,ActiveEnterTimestampMonotonic")
    }
}

#[test]
fn a_load_balancer_is_installed_and_keeps_through_reloads_what_was_set_at_run_time() {
    let balancer = Balancer::new();
    let _ = balancer
        .fleet("apply", 8082, "balance roundrobin", &["-y"])
        .exits(0);
    let again = balancer
        .fleet(
            "apply",
            8082,
            "balance roundrobin",
            &["-y", "--format", "json"],
        )
        .exits(0);
    assert_eq!(again.findings(), Vec::<String>::new());
    let machine = &balancer.machine;
    assert_eq!(
        machine.sh("stat -c '%U %a' /run/haproxy/admin.sock; systemctl is-enabled haproxy"),
        "root 600\nenabled\n"
    );
    // Nobody answers at 8081; green waits to be put into service.
    machine.sh("until [ \"$(systemctl is-active haproxy)\" = active ]; do sleep 0.2; done");
    balancer.has("blue1 DOWN\ngreen1 MAINT\n");
    machine.sh("for line in 'set server shop/green1 state ready' 'set server shop/blue1 state maint'; do echo $line | socat - /run/haproxy/admin.sock; done");

    let before = balancer.started();
    a_broken_configuration_is_not_put_in_place(&balancer);
    let changed = balancer
        .fleet(
            "apply",
            8083,
            "balance leastconn",
            &["-y", "--format", "json"],
        )
        .exits(0);
    assert_eq!(changed.findings().len(), 2, "{:?}", changed.findings());
    machine.sh("until echo 'show servers state' | socat - /run/haproxy/admin.sock | grep -q ' 8083 '; do sleep 0.2; done");
    balancer.has("blue1 MAINT\ngreen1 DOWN\n");
    assert_eq!(balancer.started(), before, "it was reloaded");
    assert_eq!(
        machine.sh("journalctl -u haproxy -p err -q --no-pager; systemctl is-active haproxy"),
        "active\n"
    );

    machine.sh("systemctl restart haproxy");
    balancer.has("blue1 MAINT\ngreen1 DOWN\n");
}

fn a_broken_configuration_is_not_put_in_place(balancer: &Balancer) {
    let before = balancer.machine.sh("sha256sum /etc/haproxy/haproxy.cfg");
    let broken = balancer
        .fleet(
            "apply",
            8083,
            "blance leastconn",
            &["-y", "--format", "json"],
        )
        .exits(2);
    assert!(
        broken.failure().contains("unknown keyword 'blance'"),
        "{}",
        broken.failure()
    );
    assert_eq!(
        balancer.machine.sh("sha256sum /etc/haproxy/haproxy.cfg"),
        before
    );
}

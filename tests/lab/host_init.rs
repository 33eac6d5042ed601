//! The main job: an empty host becomes standard, stays so, and drift is found and repaired.
//!
//! One story on one machine, because installing an engine is what takes long here.

use crate::host_state::{quiet, same, state};
use crate::machine::Machine;

const PLAYBOOK: &str = "playbooks/host-init.yml";

#[test]
fn an_empty_host_becomes_standard_stays_so_and_is_repaired() {
    let machine = Machine::pristine();
    plan_tells_what_is_known_and_what_is_not(&machine);

    let _ = machine.fleet(&["apply", PLAYBOOK, "-y"]).exits(0);
    is_standard(&machine);
    a_second_apply_changes_nothing_and_restarts_nothing(&machine);
    silence_means_that_everything_matches(&machine);

    machine.sh(
        "sed -i 's/^vm.swappiness.*/vm.swappiness = 60/' /etc/sysctl.d/90-fleet.conf
         chmod 0777 /srv/data
         systemctl stop docker.service docker.socket
         chmod 0600 /etc/security/limits.d/90-fleet.conf
         ln -sfn /usr/share/zoneinfo/Etc/GMT+5 /etc/localtime
         usermod -c somebody app",
    );
    check_finds_exactly_this_drift_and_touches_nothing(&machine);

    let _ = machine.fleet(&["apply", PLAYBOOK, "-y"]).exits(0);
    let _ = machine.fleet(&["check", PLAYBOOK]).exits(0);
    is_standard(&machine);
}

/// Nothing fails, nothing that is missing is called in sync, and what cannot be known before apply
/// is unknown.
fn plan_tells_what_is_known_and_what_is_not(machine: &Machine) {
    let plan = machine
        .fleet(&["plan", PLAYBOOK, "--format", "json", "-v"])
        .exits(2);
    let report = plan.json();
    assert_eq!(report["summary"]["failed"], 0, "{report:#}");
    let resources = report["hosts"][0]["resources"].as_array().unwrap();
    let status = |kind: &str, id: &str| {
        resources
            .iter()
            .find(|resource| resource["kind"] == kind && resource["id"] == id)
            .unwrap_or_else(|| panic!("{kind} {id} is not in the plan: {report:#}"))["status"]
            .clone()
    };
    assert_eq!(status("user", "app"), "drift");
    assert_eq!(status("file", "/srv/app"), "drift");
    assert_eq!(
        status("sysctl", "net.bridge.bridge-nf-call-iptables"),
        "unknown"
    );
    assert_eq!(status("service", "docker.service"), "unknown");
    for resource in resources {
        let message = resource["message"].as_str().unwrap_or_default();
        assert_eq!(
            resource["status"] == "unknown",
            message.starts_with("cannot be known before apply: "),
            "{resource:#}"
        );
    }
    assert_eq!(
        machine.sh("rpm -q docker-ce || true").trim(),
        "package docker-ce is not installed"
    );
}

fn is_standard(machine: &Machine) {
    assert_eq!(
        machine.sh("rpm -q docker-ce docker-ce-cli containerd.io; docker info --format '{{.ServerVersion}}' | cut -d+ -f1"),
        "docker-ce-20.10.24-3.el7.x86_64\ndocker-ce-cli-20.10.24-3.el7.x86_64\ncontainerd.io-1.6.20-3.1.el7.x86_64\n20.10.24\n"
    );
    assert_eq!(
        machine.sh("stat -c '%U:%G %a' /var/log/app /srv/data; systemctl is-active docker"),
        "app:app 750\napp:app 750\nactive\n"
    );
    assert_eq!(
        machine.sh("sysctl -n net.ipv4.ip_forward vm.swappiness"),
        "1\n10\n"
    );
}

fn a_second_apply_changes_nothing_and_restarts_nothing(machine: &Machine) {
    // When the engine's services were last started, in microseconds since boot.
    let started =
        || machine.sh("systemctl show docker containerd -p Id,ActiveEnterTimestampMonotonic");
    let before = started();
    let again = machine
        .fleet(&["apply", PLAYBOOK, "-y", "--format", "json"])
        .exits(0);
    assert_eq!(again.findings(), Vec::<String>::new());
    assert_eq!(again.json()["summary"]["in_sync"], 1);
    assert_eq!(started(), before);
}

fn silence_means_that_everything_matches(machine: &Machine) {
    let check = machine.fleet(&["check", PLAYBOOK, "-q"]).exits(0);
    assert_eq!((check.stdout(), check.stderr()), Default::default());
}

fn check_finds_exactly_this_drift_and_touches_nothing(machine: &Machine) {
    quiet(machine);
    let before = state(machine);
    let check = machine
        .fleet(&["check", PLAYBOOK, "-D", "--format", "json"])
        .exits(2);
    assert_eq!(
        check.findings(),
        [
            "user app: comment Applications, managed by fleet ← somebody",
            "file /srv/data: mode 0750 ← 0777",
            "sysctl vm.swappiness: persisted 10 ← 60",
            "template /etc/security/limits.d/90-fleet.conf: mode 0644 ← 0600",
            "file /etc/localtime: src /usr/share/zoneinfo/UTC ← /usr/share/zoneinfo/Etc/GMT+5",
            "service docker.service: state started ← inactive (dead)",
        ]
    );
    same(&before, &state(machine));
}

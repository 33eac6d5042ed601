//! The main job: an empty host becomes standard, stays so, and drift is found and repaired.

use crate::machine::Machine;

const PLAYBOOK: &str = "playbooks/host-init.yml";

#[test]
fn an_empty_host_becomes_standard_and_stays_so() {
    let machine = Machine::pristine();

    // The plan on the empty host: nothing fails, nothing that is missing is called in sync, and
    // what cannot be known before apply is unknown.
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
    assert_eq!(status("service", "docker"), "unknown");
    let unknown: Vec<_> = resources
        .iter()
        .filter(|resource| resource["status"] == "unknown")
        .map(|resource| resource["message"].as_str().unwrap())
        .collect();
    assert!(
        unknown
            .iter()
            .all(|message| message.starts_with("cannot be known before apply")),
        "{unknown:#?}"
    );
    assert_eq!(
        machine.sh("rpm -q docker-ce || true").trim(),
        "package docker-ce is not installed"
    );

    let _ = machine.fleet(&["apply", PLAYBOOK, "-y"]).exits(0);
    assert_eq!(
        machine
            .sh("docker info --format '{{.ServerVersion}}'")
            .trim(),
        "20.10.24"
    );
    assert_eq!(
        machine.sh("stat -c '%U:%G %a' /var/log/app").trim(),
        "app:app 750"
    );
    assert_eq!(machine.sh("sysctl -n net.ipv4.ip_forward").trim(), "1");

    // A second apply changes nothing and restarts nothing.
    let started = started_at(&machine);
    let again = machine
        .fleet(&["apply", PLAYBOOK, "-y", "--format", "json"])
        .exits(0);
    assert_eq!(again.findings(), Vec::<String>::new());
    assert_eq!(again.json()["summary"]["in_sync"], 1);
    assert_eq!(started_at(&machine), started);

    let check = machine.fleet(&["check", PLAYBOOK, "-q"]).exits(0);
    assert_eq!(check.stdout(), "", "silence means that everything matches");
}

#[test]
fn drift_made_by_hand_is_found_exactly_and_repaired() {
    let machine = Machine::pristine();
    let _ = machine.fleet(&["apply", PLAYBOOK, "-y"]).exits(0);
    machine.sh(
        "sed -i 's/^vm.swappiness.*/vm.swappiness = 60/' /etc/sysctl.d/90-fleet.conf
         chmod 0777 /srv/data
         systemctl stop docker.service docker.socket",
    );

    let check = machine
        .fleet(&["check", PLAYBOOK, "--format", "json"])
        .exits(2);
    assert_eq!(
        check.findings(),
        [
            "file /srv/data: mode 0750 ← 0777",
            "sysctl vm.swappiness: persisted 10 ← 60",
            "service docker: state started ← stopped",
        ]
    );

    let _ = machine.fleet(&["apply", PLAYBOOK, "-y"]).exits(0);
    let _ = machine.fleet(&["check", PLAYBOOK]).exits(0);
    assert_eq!(
        machine.sh("stat -c %a /srv/data; systemctl is-active docker"),
        "750\nactive\n"
    );
}

/// When the engine's services were last started, in microseconds since boot.
fn started_at(machine: &Machine) -> String {
    machine.sh("systemctl show docker containerd -p Id,ActiveEnterTimestampMonotonic")
}

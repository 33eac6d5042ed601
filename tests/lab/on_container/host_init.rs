//! A host with an engine and nothing else: it becomes standard, stays so, and drift is found and
//! repaired. Everything a host can have, also of its kernel, is in
//! `on_vm/standard_host.rs`.
//!
//! One story on one machine, because installing an engine is what takes long here.

use crate::host_state::{quiet, same, state};
use crate::machine::{Machine, Run};

const PLAYBOOK: &str = "playbooks/host-init.yml";

/// Nothing on the second disk, no registry, no image, no service.
const PLAIN: &str = r#"{
    "docker_storage_devices": [],
    "docker_engine_config": {
        "storage-driver": "overlay2", "live-restore": true,
        "icc": false, "no-new-privileges": true, "userland-proxy": false,
        "log-driver": "json-file", "log-opts": {"max-size": "100m", "max-file": "5"}
    },
    "registry_auth_logins": [], "base_images": [], "java_services": []
}"#;

/// What the report says of a role that has nothing to do.
const WITHOUT_POOL: [&str; 2] = [
    "lvm_thin_pool Pool for Docker, watched and extended by LVM: skipped",
    "service Pool is watched after a reboot too: skipped",
];

fn fleet(machine: &Machine, verb: &str, more: &[&str]) -> Run {
    machine.fleet(&[&[verb, PLAYBOOK, "-e", PLAIN], more].concat())
}

#[test]
fn an_empty_host_becomes_standard_stays_so_and_is_repaired() {
    let machine = Machine::pristine();
    plan_tells_what_is_known_and_what_is_not(&machine);

    let _ = fleet(&machine, "apply", &["-y"]).exits(0);
    is_standard(&machine);
    a_second_apply_changes_nothing_and_restarts_nothing(&machine);
    silence_means_that_everything_matches(&machine);

    machine.sh(
        "sed -i 's/^net.ipv4.ip_forward.*/net.ipv4.ip_forward = 0/' /etc/sysctl.d/90-fleet.conf
         chmod 0777 /srv/data
         systemctl stop docker.service docker.socket
         chmod 0600 /etc/security/limits.d/90-fleet.conf
         ln -sfn /usr/share/zoneinfo/Etc/GMT+5 /etc/localtime
         usermod -c somebody app",
    );
    check_finds_exactly_this_drift_and_touches_nothing(&machine);

    let _ = fleet(&machine, "apply", &["-y"]).exits(0);
    let _ = fleet(&machine, "check", &[]).exits(0);
    is_standard(&machine);
}

/// Nothing fails, nothing that is missing is called in sync, and what cannot be known before apply
/// is unknown.
fn plan_tells_what_is_known_and_what_is_not(machine: &Machine) {
    let plan = fleet(machine, "plan", &["--format", "json", "-v"]).exits(2);
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
    assert_eq!(status("sysctl", "net.ipv4.ip_forward"), "drift");
    assert_eq!(status("docker_daemon", "docker"), "drift");
    // What is not wanted is not even looked at.
    let absent = [
        "lvm_thin_pool",
        "docker_login",
        "docker_image",
        "docker_container",
    ];
    for resource in resources {
        let kind = resource["kind"].as_str().unwrap();
        assert!(
            !absent.contains(&kind) || resource["status"] == "skipped",
            "{resource:#}"
        );
    }
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
    assert_eq!(machine.sh("sysctl -n net.ipv4.ip_forward"), "1\n");
}

fn a_second_apply_changes_nothing_and_restarts_nothing(machine: &Machine) {
    // When the engine's services were last started, in microseconds since boot.
    let started =
        || machine.sh("systemctl show docker containerd -p Id,ActiveEnterTimestampMonotonic");
    let before = started();
    let again = fleet(machine, "apply", &["-y", "--format", "json"]).exits(0);
    assert_eq!(again.findings(), WITHOUT_POOL);
    assert_eq!(again.json()["summary"]["in_sync"], 1);
    assert_eq!(started(), before);
}

fn silence_means_that_everything_matches(machine: &Machine) {
    let check = fleet(machine, "check", &["-q"]).exits(0);
    assert_eq!((check.stdout(), check.stderr()), Default::default());
}

fn check_finds_exactly_this_drift_and_touches_nothing(machine: &Machine) {
    quiet(machine);
    let before = state(machine);
    let check = fleet(machine, "check", &["-D", "--format", "json"]).exits(2);
    assert_eq!(
        check.findings(),
        [
            "user app: comment Applications, managed by fleet ← somebody",
            "file /srv/data: mode 0750 ← 0777",
            "sysctl net.ipv4.ip_forward: persisted 1 ← 0",
            "template /etc/security/limits.d/90-fleet.conf: mode 0644 ← 0600",
            "file /etc/localtime: src /usr/share/zoneinfo/UTC ← /usr/share/zoneinfo/Etc/GMT+5",
            WITHOUT_POOL[0],
            WITHOUT_POOL[1],
            "docker_daemon docker: state started ← inactive (dead)",
            // Without an engine nothing can be told of containers.
            "docker_policy docker: unknown",
        ]
    );
    same(&before, &state(machine));
}

//! One apply takes an empty machine to the standard host: a pool on its second disk, the pinned
//! engine on it, credentials, base images, and a Java service within its limit.
//!
//! One story on one machine, because making a host is what takes long here. What is declared is
//! in `standard-host/`.

use serde_json::Value;

use crate::drift;
use crate::host_state::{quiet, same, state};
use crate::limits::Limits;
use crate::machine::{Machine, Run};

const PLAYBOOK: &str = "playbooks/host-init.yml";

#[test]
fn one_apply_makes_an_empty_machine_a_standard_host() {
    let machine = Machine::pristine_vm();
    a_plan_of_the_empty_host_is_whole_and_touches_nothing(&machine);

    let _ = apply(&machine);
    is_standard(&machine);

    let before = identity(&machine);
    let again = apply(&machine);
    assert_eq!(again.findings(), Vec::<String>::new());
    assert_eq!(again.json()["summary"]["in_sync"], 1);
    assert_eq!(identity(&machine), before, "nothing was restarted");
    let check = machine.fleet(&["check", PLAYBOOK, "-q"]).exits(0);
    assert_eq!((check.stdout(), check.stderr()), Default::default());

    a_limit_that_the_kernel_lost_is_set_again_without_a_restart(&machine);
    drift_is_found_by_name_and_repaired(&machine);
    drift::play(&machine, "docker-kernel", PLAYBOOK, &[]);
}

fn apply(machine: &Machine) -> Run {
    machine
        .fleet(&["apply", PLAYBOOK, "-y", "--format", "json"])
        .exits(0)
}

/// Nothing fails, nothing that is missing is called in sync, and what cannot be known before apply
/// is unknown.
fn a_plan_of_the_empty_host_is_whole_and_touches_nothing(machine: &Machine) {
    quiet(machine);
    let before = state(machine);
    let plan = machine
        .fleet(&["plan", PLAYBOOK, "--format", "json", "-v"])
        .exits(2);
    let report = plan.json();
    assert_eq!(report["summary"]["failed"], 0, "{report:#}");
    let resources = report["hosts"][0]["resources"].as_array().unwrap();
    let statuses = |kind: &str| -> Vec<&str> {
        let of_kind = resources.iter().filter(|resource| resource["kind"] == kind);
        of_kind
            .map(|resource| resource["status"].as_str().unwrap())
            .collect()
    };
    for (kind, expected) in [
        ("lvm_thin_pool", &["drift"][..]),
        ("rpm", &["drift"]),
        ("docker_daemon", &["drift"]),
        ("docker_login", &["drift"]),
        ("docker_image", &["unknown"; 3]),
        ("docker_container", &["unknown"]),
    ] {
        assert_eq!(statuses(kind), expected, "{kind}: {report:#}");
    }
    // The kernel has this parameter once the module is loaded that the play also declares.
    let bridge = "net.bridge.bridge-nf-call-iptables";
    let parameter = resources.iter().find(|resource| resource["id"] == bridge);
    assert_eq!(parameter.unwrap()["status"], "unknown", "{report:#}");
    same(&before, &state(machine));
}

fn is_standard(machine: &Machine) {
    assert_eq!(machine.sh("sysctl -n vm.swappiness"), "10\n");
    // The pool, on the second disk, with chunks as declared, its profile, watched.
    assert_eq!(
        machine.sh(
            "lvs --noheadings --separator ' ' -o lv_name,segtype,chunk_size,lv_profile,seg_monitor docker
             vgs --noheadings --separator ' ' -o pv_name docker
             readlink -f /dev/disk/by-id/virtio-lab-data"
        ),
        "  thinpool thin-pool 512.00k docker-thinpool monitored\n  /dev/vdb\n/dev/vdb\n"
    );
    // The engine at its pinned version, on that pool, as it says itself.
    assert_eq!(
        machine.sh("rpm -q docker-ce docker-ce-cli containerd.io"),
        "docker-ce-20.10.24-3.el7.x86_64\ndocker-ce-cli-20.10.24-3.el7.x86_64\n\
         containerd.io-1.6.20-3.1.el7.x86_64\n"
    );
    let info: Value = serde_json::from_str(&machine.sh("docker info -f '{{json .}}'")).unwrap();
    let pool = |name: &str| {
        let status = info["DriverStatus"].as_array().unwrap();
        let found = status.iter().find(|pair| pair[0] == name);
        found.map_or(Value::Null, |pair| pair[1].clone())
    };
    assert_eq!(info["Driver"], "devicemapper");
    assert_eq!(pool("Pool Name"), "docker-thinpool");
    assert_eq!(pool("Deferred Removal Enabled"), "true");
    assert_eq!(pool("Deferred Deletion Enabled"), "true");
    assert_eq!(pool("Data loop file"), Value::Null, "no loop-lvm");
    assert_eq!(info["LiveRestoreEnabled"], true);
    assert_eq!(info["LoggingDriver"], "json-file");
    assert_eq!(
        machine.sh("systemctl is-active docker; systemctl is-enabled docker lvm2-monitor"),
        "active\nenabled\nenabled\n"
    );
    // Logged in, for root alone.
    assert_eq!(
        machine.sh("stat -c '%U:%G %a' /root/.docker/config.json"),
        "root:root 600\n"
    );
    // The base images by the digests that the registry knows, under the names for people.
    let images = machine.variable("lab_images");
    for (name, tag) in [("centos_7", "base/centos:7"), ("jre_17", "base/jre:17")] {
        let found = machine.sh(&format!(
            "docker image inspect -f '{{{{.Id}}}} {{{{json .RepoDigests}}}}' {tag}"
        ));
        let expected = format!(
            "{} [\"{}\"]\n",
            images[name]["image_id"].as_str().unwrap(),
            images[name]["pull"].as_str().unwrap()
        );
        assert_eq!(found, expected);
    }
    within_its_limit(machine);
}

/// The service runs, and its limit and its heap are what the kernel and the JVM say.
fn within_its_limit(machine: &Machine) {
    assert_eq!(
        machine.sh("docker inspect -f '{{.State.Status}} {{.Config.Image}}' orders"),
        format!(
            "running {}\n",
            machine.variable("lab_images")["service_1"]["pull"]
                .as_str()
                .unwrap()
        )
    );
    assert_eq!(
        Limits::of(machine, "orders"),
        Limits {
            memory: 256 << 20,
            with_swap: 256 << 20
        }
    );
    let heap = machine.sh(
        "curl -sSf --retry 30 --retry-connrefused --retry-delay 1 --max-time 60 localhost:8080/heap",
    );
    assert_eq!(heap, format!("{}\n", 128 << 20), "MaxHeapSize of the JVM");
    assert_eq!(
        machine.sh("stat -c '%U %a' /srv/data/orders /var/log/app/orders"),
        "root 750\nroot 750\n"
    );
}

/// What is another after a restart: the engine's processes and the container.
fn identity(machine: &Machine) -> String {
    machine.sh(
        "systemctl show docker containerd -p Id,MainPID,ActiveEnterTimestampMonotonic
         docker inspect -f '{{.Id}} {{.State.StartedAt}} {{.RestartCount}}' orders",
    )
}

fn drift_is_found_by_name_and_repaired(machine: &Machine) {
    machine.sh(
        "sed -i 's/\"live-restore\": *true/\"live-restore\": false/' /etc/docker/daemon.json
         docker update --memory 512m --memory-swap 512m orders
         docker rmi base/centos:7
         chmod 0644 /root/.docker/config.json
         chmod 0777 /srv/data/orders
         sed -i 's/^vm.swappiness.*/vm.swappiness = 60/' /etc/sysctl.d/90-fleet.conf",
    );
    let images = machine.variable("lab_images");
    let centos = |field: &str| images["centos_7"][field].as_str().unwrap().to_owned();
    assert_eq!(
        found(machine),
        [
            "sysctl vm.swappiness: persisted 10 ← 60".to_owned(),
            "docker_daemon docker: daemon.json live-restore true ← false".to_owned(),
            format!(
                "docker_login {}: mode 0600 ← 0644",
                machine.variable("lab_registry")["host"].as_str().unwrap()
            ),
            format!(
                "docker_image {}: tag base/centos:7 {} ← absent",
                centos("pull"),
                centos("image_id")
            ),
            "file /srv/data/orders: mode 0750 ← 0777".to_owned(),
            "docker_container orders: memory 256m ← 512m".to_owned(),
            "docker_container orders: memory_swap 256m ← 512m".to_owned(),
        ]
    );
    let _ = apply(machine);
    is_standard(machine);
    let _ = machine.fleet(&["check", PLAYBOOK]).exits(0);
}

/// runc 1.1 does not tell systemd that a container may not swap, so a reload of systemd takes that
/// limit away.
fn a_limit_that_the_kernel_lost_is_set_again_without_a_restart(machine: &Machine) {
    let before = identity(machine);
    machine.sh("systemctl daemon-reload");
    assert_eq!(
        found(machine),
        ["docker_container orders: memory_swap (as the kernel limits it) 256m ← not limited"]
    );
    let _ = apply(machine);
    within_its_limit(machine);
    assert_eq!(identity(machine), before);
}

fn found(machine: &Machine) -> Vec<String> {
    machine
        .fleet(&["check", PLAYBOOK, "--format", "json"])
        .exits(2)
        .findings()
}

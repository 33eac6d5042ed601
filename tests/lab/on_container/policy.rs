//! The audit of a host that somebody was careless with: every finding by its name, its number in the
//! CIS Docker Benchmark and its severity, and none besides.
//!
//! One story on one machine, because installing an engine is what takes long here.

use crate::machine::{Machine, Run};

/// An engine as nobody should start it. A daemon refuses what is both in its file and a flag, so each
/// setting here comes from one of them; what neither says is its default, or what the running daemon
/// tells.
const HOST: &str = r#"
- name: Engine
  rpm:
    packages: "{{ docker_engine_packages }}"
- name: Directories
  file:
    path: "{{ item }}"
    state: directory
    mode: "0755"
  loop: [/etc/docker, /etc/docker/certs.d, /etc/docker/certs.d/old.example, /etc/systemd/system/docker.service.d]
- name: Settings in the file
  copy:
    dest: /etc/docker/daemon.json
    content: '{"log-level": "debug", "storage-driver": "overlay2"}'
- name: Settings in flags
  copy:
    dest: /etc/systemd/system/docker.service.d/flags.conf
    content: |
      [Service]
      ExecStart=
      ExecStart=/usr/bin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock --cgroup-parent=strays.slice
- name: Engine runs
  service:
    name: docker
    state: started
    daemon_reload: true
- name: An image of nobody's registry
  docker_image:
    archive: "{{ lab_images.centos_7.archive.src }}"
    image_id: "{{ lab_images.centos_7.image_id }}"
    tag: base/centos:7
"#;

/// Another playbook than the one above: in its place, all of that would be orphaned.
const AUDIT: &str = r"
- name: Audit
  hosts: node1
  become: true
  tasks:
    - name: Everything keeps to the rules
      docker_policy:
        registries: [registry.lab]
        memory_max: 512m
        published_ports: [8000-8999]
        log_drivers: [json-file]
        log_max_size: 50m
        restart: [unless-stopped]
        docker_group: []
";

/// Of three containers, `escape` breaks what keeps it apart from the host, `greedy` what keeps it
/// within its share, and `loose` what nobody thought of.
const CARELESS: &str = r"
set -e
tidy='--restart unless-stopped --pids-limit 100 --log-opt max-size=10m'
id=$(docker image inspect -f '{{.Id}}' base/centos:7)
docker create --name escape $tidy --memory 256m --privileged --pid host --ipc host --uts host --network host \
    -v /var/run/docker.sock:/var/run/docker.sock -v /etc:/host \
    --mount type=bind,src=/var/lib/docker,dst=/images $id sleep 1000
docker create --name greedy $tidy --memory 1g -e JAVA_TOOL_OPTIONS=-Xmx512m $id /usr/bin/java -Xmx2g -jar a.jar
docker run -d --name loose --restart always -p 31337:80 base/centos:7 sleep 1000
usermod -aG docker ops
touch /etc/docker/certs.d/old.example/ca.crt /etc/docker/certs.d/old.example/client.key
chmod 0664 /etc/docker/certs.d/old.example/ca.crt
chmod 0440 /etc/docker/certs.d/old.example/client.key
chmod 0646 /usr/lib/systemd/system/docker.service
chmod 0666 /var/run/docker.sock
chown ops /etc/docker/daemon.json
chmod 0664 /etc/docker/daemon.json
# Written after the daemon has started: it does not do what its file says.
sed -i 's/}/, \x22live-restore\x22: true}/' /etc/docker/daemon.json
";

const FOUND: &[&str] = &[
    // Who says what a setting is: the running daemon, its file, its flags, nobody.
    "medium: engine icc (CIS 2.2): true (the running daemon) → false",
    "low: engine log_level (CIS 2.3): debug (daemon.json) → info",
    "low: engine cgroup_parent (CIS 2.10): strays.slice (a flag of dockerd) → none",
    "medium: engine no_new_privileges (CIS 2.14): false (by default) → true",
    "medium: engine live_restore (CIS 2.15): false (the running daemon) → true",
    "low: engine userland_proxy (CIS 2.16): true (by default) → false",
    "medium: engine log_rotation (CIS 2.13): json-file, not limited → a max-size, or a driver that limits itself",
    "high: engine docker_group (CIS 1.1.2): ops → nobody",
    "high: /lib/systemd/system/docker.service file_mode (CIS 3.2): 0646 → at most 0644",
    "high: /etc/docker/certs.d/old.example/ca.crt file_mode (CIS 3.8): 0664 → at most 0444",
    "high: /etc/docker/certs.d/old.example/client.key file_mode (CIS 3.8): 0440 → at most 0400",
    "high: /var/run/docker.sock file_mode (CIS 3.16): 0666 → at most 0660",
    "high: /etc/docker/daemon.json file_owner (CIS 3.17): ops:root → root:root",
    "high: /etc/docker/daemon.json file_mode (CIS 3.18): 0664 → at most 0644",
    "high: image base/centos:7 registries: docker.io (used by escape, greedy, loose) → registry.lab",
    "critical: container escape privileged (CIS 5.5): true → false",
    "high: container escape host_network (CIS 5.10): the host's → its own",
    "high: container escape host_pid (CIS 5.16): the host's → its own",
    "high: container escape host_ipc (CIS 5.17): the host's → its own",
    "medium: container escape host_uts (CIS 5.21): the host's → its own",
    "high: container escape sensitive_mounts (CIS 5.6): /etc (writable) → not mounted",
    "high: container escape sensitive_mounts (CIS 5.6): /var/lib/docker (writable) → not mounted",
    "critical: container escape docker_socket (CIS 5.32): /var/run/docker.sock (writable) → not mounted",
    "high: container greedy memory (CIS 5.11): 1g → at most 512m",
    "high: container greedy jvm_heap: 2g (-Xmx2g in the command) → at most 960m (1g without what a JVM needs beside its heap)",
    "medium: container loose digest_pinned: base/centos:7 → an image by digest",
    "high: container loose memory (CIS 5.11): not limited → at most 512m",
    "medium: container loose published_ports (CIS 5.9): 31337 (for 80/tcp) → 8000-8999",
    "medium: container loose log_limits: not limited → a max-size of at most 50m",
    "low: container loose restart (CIS 5.15): always → unless-stopped",
    "medium: container loose pids (CIS 5.29): not limited → a limit",
];

#[test]
fn a_careless_host_is_found_out_in_every_point_and_left_as_it_is() {
    let machine = Machine::pristine();
    let host = machine.playbook(HOST.trim_start());
    let _ = machine.fleet(&["apply", &host, "-y"]).exits(0);
    machine.sh(CARELESS);

    let audit = machine.write("audit.yml", AUDIT);
    assert_eq!(
        findings(&run(&machine, "check", &audit, 2), Waived::No),
        FOUND
    );
    // An apply says the same, repairs nothing, and is not done.
    assert_eq!(
        findings(&run(&machine, "apply", &audit, 2), Waived::No),
        FOUND
    );
    assert_eq!(
        findings(&run(&machine, "check", &audit, 2), Waived::No),
        FOUND
    );

    what_is_waived_is_told_apart(&machine, &audit);
}

fn what_is_waived_is_told_apart(machine: &Machine, audit: &str) {
    let waive = |attribute: &str| {
        machine.write(
            "waivers.yml",
            &format!(
                "- hosts: node1\n  kind: docker_policy\n  attribute: '{attribute}'\n  \
                 reason: goes in spring\n  owner: ops\n  expires: 2999-12-31\n"
            ),
        );
    };
    waive("container escape *");
    for verb in ["check", "apply"] {
        let run = run(machine, verb, audit, 2);
        let escape = |found: &&&str| found.contains("container escape ");
        let (waived, open): (Vec<&str>, Vec<&str>) = FOUND.iter().partition(|found| escape(found));
        assert_eq!(findings(&run, Waived::Yes), waived, "{verb}");
        assert_eq!(findings(&run, Waived::No), open, "{verb}");
    }
    waive("*");
    for verb in ["check", "apply"] {
        let run = run(machine, verb, audit, 0);
        assert_eq!(findings(&run, Waived::Yes), FOUND, "{verb}");
        assert_eq!(run.json()["summary"]["in_sync"], 1, "{verb}");
    }
}

fn run(machine: &Machine, verb: &str, playbook: &str, status: i32) -> Run {
    let asked: &[&str] = if verb == "apply" { &["-y"] } else { &[] };
    machine
        .fleet(&[&[verb, playbook, "--format", "json"], asked].concat())
        .exits(status)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Waived {
    Yes,
    No,
}

/// `severity: attribute: actual → expected` of what is waived or is not, in the order of the report.
fn findings(run: &Run, waived: Waived) -> Vec<String> {
    let report = run.json();
    let resources = report["hosts"][0]["resources"].as_array().unwrap();
    assert_eq!(resources.len(), 1, "{report:#}");
    let mut found = Vec::new();
    for drift in resources[0]["drift"].as_array().unwrap() {
        let text = |key: &str| drift[key].as_str().unwrap();
        if drift["waived"].is_null() == (waived == Waived::No) {
            found.push(format!(
                "{}: {}: {} → {}",
                text("severity"),
                text("attribute"),
                text("actual"),
                text("expected")
            ));
        }
    }
    found
}

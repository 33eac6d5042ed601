//! From a bare engine to a Java service within its limit: credentials, images, containers.

use serde_json::Value;

use crate::machine::{Machine, Run};

/// Engine and credentials.
const ENGINE: &str = "\
- name: Engine
  rpm:
    packages: \"{{ docker_engine_packages }}\"
- name: Engine runs
  service:
    name: docker
    state: started
    enabled: true";

const LOGIN: &str = "\
- name: Login
  docker_login:
    registry: \"{{ lab_registry.host }}\"
    username: \"{{ lab_registry.username }}\"
    password: \"{{ lab_registry.password }}\"
    ca: { src: \"{{ lab_registry.ca }}\" }
    verify: true";

/// The roles as playbooks use them.
const ROLES: &str = "\
- name: Test
  hosts: node1
  become: true
  vars:
    registry_auth_logins:
      - registry: \"{{ lab_registry.host }}\"
        username: \"{{ lab_registry.username }}\"
        password: \"{{ lab_registry.password }}\"
        ca: { src: \"{{ lab_registry.ca }}\" }
    base_images:
      - image: \"{{ lab_images.centos_7.ref }}@{{ lab_images.centos_7.digest }}\"
        tag: base/centos:7
    base_images_archives:
      - archive: \"{{ lab_images.hello_1.archive.src }}\"
        image_id: \"{{ lab_images.hello_1.image_id }}\"
        tag: app/hello:1
  roles:
    - role: registry_auth
    - role: base_images
    - role: java_service
      java_service_name: orders
      java_service_image: \"{{ lab_images.service_1.ref }}@{{ lab_images.service_1.digest }}\"
      java_service_jre: \"17\"
      java_service_memory: 256m
      java_service_heap_percent: 50
      java_service_ports: [\"8080:8080\"]
      java_service_env: { TOKEN: sesame-open }
";

fn with_engine() -> Machine {
    let machine = Machine::pristine();
    let engine = machine.playbook(ENGINE);
    let _ = machine.fleet(&["apply", &engine, "-y"]).exits(0);
    machine
}

fn apply(machine: &Machine, playbook: &str, status: i32) -> Run {
    machine
        .fleet(&["apply", playbook, "-y", "--format", "json"])
        .exits(status)
}

/// Applies tasks that must be refused; what was said.
fn refused(machine: &Machine, tasks: &str) -> String {
    let playbook = machine.playbook(tasks);
    apply(machine, &playbook, 2).failure()
}

fn check(machine: &Machine, playbook: &str) -> Vec<String> {
    machine
        .fleet(&["check", playbook, "--format", "json"])
        .exits(2)
        .findings()
}

#[test]
fn an_engine_gets_images_and_a_java_service_within_its_limit() {
    let machine = with_engine();
    let roles = concat!(env!("CARGO_MANIFEST_DIR"), "/roles");
    let playbook = machine.write("site.yml", ROLES);
    let beside = std::path::Path::new(&playbook).with_file_name("roles");
    std::os::unix::fs::symlink(roles, beside).unwrap();

    let first = apply(&machine, &playbook, 0);
    let inside = |path: &str| -> String {
        machine
            .sh(&format!(
                "curl -sSf --retry 20 --retry-connrefused --retry-delay 1 localhost:8080/{path}"
            ))
            .trim()
            .to_owned()
    };
    assert_eq!(
        inside("heap"),
        (128 << 20).to_string(),
        "the JVM's own view"
    );
    assert!(inside("flags").contains("-XX:MaxRAMPercentage=50.0"));
    let limit = machine.sh(
        "cd /sys/fs/cgroup/$(cut -d: -f3 /proc/$(docker inspect -f '{{.State.Pid}}' orders)/cgroup) \
         && cat memory.max memory.swap.max",
    );
    assert_eq!(limit, format!("{}\n0\n", 256 << 20));
    assert_eq!(
        machine
            .sh("docker image inspect -f '{{.Id}}' app/hello:1")
            .trim(),
        machine.variable("lab_images")["hello_1"]["image_id"]
    );
    assert_eq!(
        machine.sh("stat -c '%a %U' /root/.docker/config.json"),
        "600 root\n"
    );

    // Nothing is done twice, and nothing is restarted.
    let started = || machine.sh("docker inspect -f '{{.Id}} {{.State.StartedAt}}' orders");
    let before = started();
    assert_eq!(
        apply(&machine, &playbook, 0).findings(),
        Vec::<String>::new()
    );
    let _ = machine.fleet(&["check", &playbook]).exits(0);
    assert_eq!(started(), before);

    // Drift by hand, each found by name.
    machine.sh("docker update --memory 300m --memory-swap 300m orders; docker stop -t 1 orders; docker rmi app/hello:1");
    let findings = check(&machine, &playbook);
    for expected in [
        "docker_container orders: memory 256m ← 300m",
        "docker_container orders: state running ← exited",
        "docker_image app/hello:1: state present ← absent",
    ] {
        assert!(
            findings.iter().any(|found| found == expected),
            "{findings:#?}"
        );
    }
    let _ = apply(&machine, &playbook, 0);
    let _ = machine.fleet(&["check", &playbook]).exits(0);
    assert_eq!(machine.sh("docker ps -a --format '{{.Names}}'"), "orders\n");

    // The limit that counts is the kernel's.
    machine.sh("echo 200M > /sys/fs/cgroup/$(cut -d: -f3 /proc/$(docker inspect -f '{{.State.Pid}}' orders)/cgroup)/memory.max");
    assert_eq!(
        check(&machine, &playbook),
        [
            "docker_container orders: memory (as the kernel limits it) 256m ← 200m",
            "docker_container orders: memory_swap (as the kernel limits it) 256m ← 200m",
        ]
    );

    no_secret_is_anywhere(&machine, &first);
}

/// The password and the token, in every way they could have been written.
fn no_secret_is_anywhere(machine: &Machine, run: &Run) {
    let password = machine.variable("lab_registry")["password"].clone();
    let password = password.as_str().unwrap();
    let encoded =
        machine.sh("sed -n 's/.*\"auth\": \"\\(.*\\)\".*/\\1/p' /root/.docker/config.json");
    let encoded = encoded.trim();
    assert!(encoded.len() > 20, "{encoded}");
    for secret in [&password[..30], encoded, "sesame-open"] {
        for printed in [run.stdout(), run.stderr()] {
            assert!(!printed.contains(secret), "{printed}");
        }
    }
    let found = machine.sh(&format!(
        "cd /; {{ grep -rlFs -e '{}' -e '{encoded}' etc home root run tmp var/lib/fleet var/log var/tmp; \
         journalctl --no-pager | grep -F -e '{}'; }} || true",
        &password[..30],
        &password[..30],
    ));
    assert_eq!(found, "root/.docker/config.json\n");
}

#[test]
fn what_is_refused_leaves_the_host_as_it_was() {
    let machine = with_engine();
    let login = |from: &str, to: &str| LOGIN.replace(from, to);

    let failure = refused(
        &machine,
        &login("lab_registry.ca ", "lab_registry.stranger_ca "),
    );
    assert!(
        failure.contains("x509: certificate signed by unknown authority"),
        "{failure}"
    );
    assert!(
        failure.contains("give the certificate of its authority to `ca`"),
        "{failure}"
    );
    let failure = refused(
        &machine,
        &login("{{ lab_registry.password }}", "wrong-word"),
    );
    assert!(failure.contains("does not accept `puller`"), "{failure}");
    assert!(!failure.contains("wrong-word"), "{failure}");
    machine.sh(
        "test ! -e /root/.docker/config.json && test -z \"$(find /etc/docker/certs.d -type f)\"",
    );

    let pull = "- name: Image\n  docker_image:\n    image: \"{{ lab_images.hello_1.ref }}@{{ lab_images.hello_1.digest }}\"";
    let failure = refused(&machine, pull);
    assert!(
        failure.contains("log in with docker_login before this task"),
        "{failure}"
    );

    let playbook = machine.playbook(LOGIN);
    let _ = apply(&machine, &playbook, 0);
    let failure = refused(
        &machine,
        &format!("{pull}\n    image_id: \"{{{{ lab_images.hello_2.image_id }}}}\""),
    );
    assert!(failure.contains("not the declared `image_id`"), "{failure}");
    machine.sh("docker image prune -af");

    for (archive, expected) in [
        ("other", "it holds the image sha256:"),
        ("tampered", "archive"),
        ("truncated", "or was cut off"),
    ] {
        let failure = refused(
            &machine,
            &format!(
                "- name: Archive\n  docker_image:\n    archive: \"{{{{ lab_bad_archives.{archive}.src }}}}\"\n    image_id: \"{{{{ lab_images.hello_1.image_id }}}}\""
            ),
        );
        assert!(failure.contains(expected), "{archive}: {failure}");
    }
    assert_eq!(
        machine.sh("docker images -aq; ls -A /var/lib/fleet/staging"),
        ""
    );
}

#[test]
fn a_container_that_does_not_start_gives_the_old_one_its_place_back() {
    let machine = with_engine();
    let tasks = |container: &str| {
        format!(
            "- name: Image\n  docker_image:\n    archive: \"{{{{ lab_images.hello_1.archive.src }}}}\"\n    image_id: \"{{{{ lab_images.hello_1.image_id }}}}\"\n\
             - name: Container\n  docker_container:\n    name: hello\n    image: \"{{{{ lab_images.hello_1.image_id }}}}\"\n{container}"
        )
    };
    let good = machine.playbook(&tasks(
        "    ports: ['8080:8080']\n    labels: { version: '1' }",
    ));
    let _ = apply(&machine, &good, 0);
    let before = machine.sh("docker inspect -f '{{.Id}}' hello");

    for (container, expected) in [
        (
            "    command: [sh, -c, 'echo broken; exit 3']\n    ports: ['8080:8080']",
            "broken",
        ),
        ("    command: [/no/such/program]", "no such file"),
        ("    network: no-such-network", "no-such-network"),
    ] {
        let failure = refused(&machine, &tasks(container));
        assert!(failure.contains(expected), "{failure}");
    }
    assert_eq!(
        machine.sh("docker ps -a --format '{{.Names}} {{.State}}'"),
        "hello running\n"
    );
    assert_eq!(machine.sh("docker inspect -f '{{.Id}}' hello"), before);
    machine.sh("curl -sSf localhost:8080/healthz");

    // Killed between the two names: the next run completes it.
    let good = machine.playbook(&tasks(
        "    ports: ['8080:8080']\n    labels: { version: '2' }",
    ));
    machine.sh("docker rename hello hello.fleet-old");
    let _ = apply(&machine, &good, 0);
    assert_eq!(
        machine.sh("docker ps -a --format '{{.Names}} {{.Label \"version\"}}'"),
        "hello 2\n"
    );
    // An image in use is not taken away.
    let failure = refused(
        &machine,
        "- name: Gone\n  docker_image:\n    image_id: \"{{ lab_images.hello_1.image_id }}\"\n    state: absent",
    );
    assert!(
        failure.contains("in use by the containers hello"),
        "{failure}"
    );
    let gone = machine.playbook(
        "- name: Gone\n  docker_container:\n    name: hello\n    state: absent\n\
         - name: Image gone\n  docker_image:\n    image_id: \"{{ lab_images.hello_1.image_id }}\"\n    state: absent",
    );
    let report: Value = apply(&machine, &gone, 0).json();
    assert_eq!(report["summary"]["changed"], 1);
    assert_eq!(machine.sh("docker ps -aq; docker images -aq"), "");
    let _ = machine.fleet(&["check", &gone]).exits(0);
}

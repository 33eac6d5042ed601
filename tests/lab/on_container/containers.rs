//! From a bare engine to a Java service within its limit: credentials, images, containers.

use serde_json::Value;

use crate::limits::Limits;
use crate::machine::{Machine, Run};
use crate::secrecy::{self, Watch};

/// Engine and credentials.
pub(crate) const ENGINE: &str = "\
- name: Engine
  rpm:
    packages: \"{{ docker_engine_packages }}\"
- name: Engine runs
  service:
    name: docker
    state: started
    enabled: true";

pub(crate) const LOGIN: &str = "\
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
      java_services:
        - name: orders
          image: \"{{ lab_images.service_1.ref }}@{{ lab_images.service_1.digest }}\"
          jre: \"17\"
          memory: 256m
          heap_percent: 50
          ports: [\"8080:8080\"]
          env: { TOKEN: sesame-open }
";

pub(crate) fn with_engine() -> Machine {
    Machine::with(ENGINE)
}

pub(crate) fn apply(machine: &Machine, playbook: &str, status: i32) -> Run {
    machine
        .fleet(&["apply", playbook, "-y", "--format", "json"])
        .exits(status)
}

/// Applies tasks that must be refused; what was said.
pub(crate) fn refused_by(machine: &Machine, tasks: &str) -> String {
    let playbook = machine.playbook(tasks);
    apply(machine, &playbook, 2).failure()
}

pub(crate) fn check(machine: &Machine, playbook: &str) -> Vec<String> {
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

    let password = machine.variable("lab_registry")["password"].clone();
    let password = password.as_str().unwrap();
    let token = "sesame-open";
    let watch = Watch::begin(&machine, &[password, token]);
    let first = ["apply", &playbook, "-y", "--diff", "-v", "--format", "json"];
    let _ = watch.fleet(&first).exits(0);
    let _ = watch.fleet(&["check", &playbook, "--diff", "-vv"]).exits(0);
    no_secret_is_anywhere(watch, token);

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
    assert_eq!(
        Limits::of(&machine, "orders"),
        Limits {
            memory: 256 << 20,
            with_swap: 256 << 20
        }
    );
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
}

/// The password is in root's `config.json`. What a container gets for its environment is where
/// Docker keeps containers, and in the container's own processes.
fn no_secret_is_anywhere(watch: Watch<'_>, token: &str) {
    let (processes, files) = watch.end();
    let forms = secrecy::forms(token);
    let is_token = |hit: &str| forms.iter().any(|form| hit.contains(form.as_str()));
    for hit in processes {
        let in_container = hit.contains("/docker/") || hit.contains("/docker-");
        let expected = is_token(&hit) && hit.contains("/environ:") && in_container;
        assert!(expected, "{hit}");
    }
    let dockers = [
        "/var/lib/docker/containers/",
        "/run/containerd/",
        "/var/lib/containerd/",
    ];
    let (of_docker, others): (Vec<_>, Vec<_>) = files
        .into_iter()
        .partition(|file| dockers.iter().any(|folder| file.starts_with(folder)));
    assert!(
        !of_docker.is_empty(),
        "the token is not where it must be found"
    );
    assert_eq!(others, ["/root/.docker/config.json"]);
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
        let failure = refused_by(&machine, &tasks(container));
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
    let failure = refused_by(
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

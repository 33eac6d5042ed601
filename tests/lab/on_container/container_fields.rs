//! All that Docker says about a container, against what is declared; and what up means.

use std::fmt::Write as _;

use super::containers::{apply, check, refused_by, with_engine};

const IMAGE: &str = "\
- name: Image
  docker_image:
    archive: \"{{ lab_images.hello_1.archive.src }}\"
    image_id: \"{{ lab_images.hello_1.image_id }}\"
";

/// A task for a container of that image.
fn container(name: &str, fields: &str) -> String {
    format!(
        "- name: Container {name}\n  docker_container:\n    name: {name}\n    image: \"{{{{ lab_images.hello_1.image_id }}}}\"\n{fields}"
    )
}

/// What a container can be given by hand, and what is then found.
const BY_HAND: &[(&str, &str)] = &[
    ("--mount type=bind,src=/,dst=/host", "Mounts none ←"),
    ("-v /srv/other", "Volumes none ← /srv/other"),
    ("-v /etc:/host-etc", "volumes none ← /etc:/host-etc"),
    ("--tmpfs /run", "tmpfs none ← /run="),
    ("--volumes-from base", "VolumesFrom none ← base"),
    ("--user 1000", "user none ← 1000"),
    ("--group-add 20", "group_add none ← 20"),
    ("--userns host", "userns none ← host"),
    ("--cgroup-parent /other", "CgroupParent none ← /other"),
    (
        "--sysctl net.core.somaxconn=64",
        "sysctls none ← net.core.somaxconn=64",
    ),
    ("--network container:base", "network bridge ← container:"),
    ("--network host", "network bridge ← host"),
    ("--network side", "network bridge ← side"),
    ("--pid host", "pid none ← host"),
    ("--pid container:base", "pid none ← container:"),
    ("--ipc host", "ipc private ← host"),
    ("--uts host", "UTSMode none ← host"),
    ("--privileged", "Privileged none ← true"),
    ("--cap-add SYS_ADMIN", "cap_add none ← SYS_ADMIN"),
    ("--cap-drop KILL", "cap_drop none ← KILL"),
    (
        "--security-opt no-new-privileges",
        "security_opt none ← no-new-privileges",
    ),
    (
        "--security-opt systempaths=unconfined",
        "masked paths the engine's ← without",
    ),
    (
        "--device /dev/null:/dev/other",
        "devices none ← /dev/null:/dev/other:rwm",
    ),
    (
        "--device-cgroup-rule 'c 1:3 r'",
        "DeviceCgroupRules none ← c 1:3 r",
    ),
    ("--read-only", "read_only none ← true"),
    ("--init", "init none ← true"),
    ("--hostname other", "hostname none ← other"),
    (
        "--domainname other.example",
        "Domainname none ← other.example",
    ),
    ("--dns 10.0.0.2", "dns none ← 10.0.0.2"),
    ("--dns-search example.org", "DnsSearch none ← example.org"),
    ("--add-host db:10.0.0.5", "extra_hosts none ← db:10.0.0.5"),
    ("--link base:db", "Links none ←"),
    ("--ulimit nofile=100:200", "ulimits none ← nofile 100:200"),
    ("--shm-size 1m", "shm_size 64m ← 1m"),
    ("--oom-score-adj 10", "OomScoreAdj none ← 10"),
    ("--cpu-shares 100", "CpuShares none ← 100"),
    ("--cpuset-cpus 0", "CpusetCpus none ← 0"),
    ("--stop-signal SIGUSR1", "stop_signal SIGKILL ← SIGUSR1"),
    ("--stop-timeout 0", "stop_timeout none ← 0"),
    ("--workdir /tmp", "working_dir / ← /tmp"),
    ("--health-cmd true", "healthcheck none ← CMD-SHELL true"),
    ("--no-healthcheck", "healthcheck none ← switched off"),
    ("--log-driver none", "log driver json-file ← none"),
    ("--tty", "Tty none ← true"),
    ("--interactive", "OpenStdin none ← true"),
    ("--publish-all", "PublishAllPorts none ← true"),
    ("--expose 99", "exposed ports"),
    ("--rm", "AutoRemove none ← true"),
    (
        "--mac-address 02:42:ac:11:00:99",
        "MacAddress none ← 02:42:ac:11:00:99",
    ),
];

#[test]
fn what_a_container_was_given_by_hand_is_found_whatever_it_is() {
    let machine = with_engine();
    let names: Vec<_> = (0..BY_HAND.len())
        .map(|number| format!("c{number}"))
        .collect();
    let tasks: Vec<_> = names.iter().map(|name| container(name, "")).collect();
    let _ = apply(&machine, &machine.playbook(IMAGE), 0);
    let id = machine.variable("lab_images")["hello_1"]["image_id"].clone();
    let id = id.as_str().unwrap();

    let mut script = format!(
        "set -e; docker network create side >/dev/null; docker run -d --name base --ipc shareable -v /srv/base {id} >/dev/null\n"
    );
    for (name, (options, _)) in names.iter().zip(BY_HAND) {
        writeln!(
            script,
            "docker create --name {name} {options} {id} >/dev/null"
        )
        .unwrap();
    }
    machine.sh(&script);
    let playbook = machine.playbook(&format!("{IMAGE}{}", tasks.join("\n")));
    let findings = check(&machine, &playbook);
    let missed: Vec<_> = names
        .iter()
        .zip(BY_HAND)
        .filter(|(name, (_, expected))| {
            let beginning = format!("docker_container {name}: {expected}");
            !findings.iter().any(|found| found.starts_with(&beginning))
        })
        .collect();
    assert!(missed.is_empty(), "{missed:#?}\n{findings:#?}");
}

const EVERYTHING: &str = "    command: [sleep, '1000']
    user: '1000:1000'
    group_add: ['20']
    working_dir: /tmp
    hostname: confined
    network: front
    networks: { front: { aliases: [shop] }, back: {} }
    dns: [10.0.0.2]
    extra_hosts: ['db:10.0.0.5']
    tmpfs: { /run: size=1m }
    devices: ['/dev/null:/dev/other:rw']
    read_only: true
    init: true
    healthcheck: { command: ['true'], interval: 1s, timeout: 5s, retries: 3, start_period: 5s }
    settle: { time: 1s, deadline: 1m }
    stop_signal: SIGKILL
    stop_timeout: 5
    shm_size: 16m
    memory: 64m
    ulimits: { nofile: { soft: 100, hard: 200 } }
    sysctls: { net.core.somaxconn: '64' }
    cap_drop: [ALL]
    cap_add: [NET_BIND_SERVICE]
    security_opt: [no-new-privileges]
    ipc: private
    pid: host
";

#[test]
fn a_container_has_every_field_it_was_declared_with() {
    let machine = with_engine();
    machine.sh("docker network create front; docker network create back");
    let playbook = machine.playbook(&format!("{IMAGE}{}", container("all", EVERYTHING)));
    let _ = apply(&machine, &playbook, 0);
    let _ = machine.fleet(&["check", &playbook]).exits(0);
    let before = machine.sh("docker inspect -f '{{.Id}}' all");
    assert_eq!(
        apply(&machine, &playbook, 0).findings(),
        Vec::<String>::new()
    );
    assert_eq!(machine.sh("docker inspect -f '{{.Id}}' all"), before);
    // As the process in it sees it.
    for (command, expected) in [
        ("id -u", "1000"),
        ("hostname", "confined"),
        ("pwd", "/tmp"),
        ("ulimit -n", "100"),
        ("cat /proc/sys/net/core/somaxconn", "64"),
        ("touch /here 2>/dev/null || echo read-only", "read-only"),
        ("grep -c 10.0.0.5 /etc/hosts", "1"),
        ("sed -n 's/NoNewPrivs:\\t//p' /proc/self/status", "1"),
    ] {
        let said = machine.sh(&format!("docker exec all sh -c \"{command}\""));
        assert_eq!(said.trim(), expected, "{command}");
    }
    let networks = machine.sh(
        "docker inspect -f '{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}' all",
    );
    assert_eq!(networks.trim(), "back front");
    machine.sh("docker network disconnect back all");
    assert_eq!(
        check(&machine, &playbook),
        ["docker_container all: network back joined ← not joined"]
    );
    let _ = apply(&machine, &playbook, 0);
    let _ = machine.fleet(&["check", &playbook]).exits(0);
}

#[test]
fn up_means_that_it_stays_up_and_is_healthy() {
    let machine = with_engine();
    let good = format!("{IMAGE}{}", container("app", "    restart: always\n"));
    let _ = apply(&machine, &machine.playbook(&good), 0);
    let before = machine.sh("docker inspect -f '{{.Id}}' app");
    for (fields, expected) in [
        (
            "    restart: always\n    command: [sh, -c, 'sleep 3; exit 7']\n",
            "ended",
        ),
        (
            "    healthcheck: { command: [sh, -c, 'echo not today; false'], interval: 1s, retries: 1 }\n",
            "is unhealthy; its check says: not today",
        ),
        (
            "    healthcheck: { command: ['false'], interval: 1s, retries: 1, start_period: 60s }\n    settle: { time: 1s, deadline: 4s }\n",
            "is not healthy after 4s",
        ),
    ] {
        let failure = refused_by(&machine, &format!("{IMAGE}{}", container("app", fields)));
        assert!(failure.contains(expected), "{failure}");
        assert!(
            failure.contains("the previous container is in its place again"),
            "{failure}"
        );
        assert_eq!(machine.sh("docker inspect -f '{{.Id}}' app"), before);
    }
    let policy = machine.sh("docker inspect -f '{{.HostConfig.RestartPolicy.Name}}' app");
    assert_eq!(policy.trim(), "always");
    let _ = machine.fleet(&["check", &machine.playbook(&good)]).exits(0);

    // A loop, whatever moment it is looked at.
    let id = machine.variable("lab_images")["hello_1"]["image_id"].clone();
    let id = id.as_str().unwrap();
    machine.sh(&format!(
        "docker run -d --name loop --restart always {id} sh -c 'sleep 2; exit 1'; sleep 5"
    ));
    let looping = machine.playbook(&format!(
        "{IMAGE}{}",
        container(
            "loop",
            "    restart: always\n    command: [sh, -c, 'sleep 2; exit 1']\n"
        )
    ));
    for _ in 0..8 {
        let findings = check(&machine, &looping);
        let found = |finding: &String| finding.starts_with("docker_container loop: state ");
        assert!(findings.iter().any(found), "{findings:?}");
    }
}

/// A container that answers on a port, whichever of its names it has.
const SERVING: &str = "    ports: ['8080:8080']\n    restart: unless-stopped\n    settle: { time: 1s, deadline: 1m }\n";

#[test]
fn a_helper_killed_amid_a_replacement_leaves_something_that_serves() {
    let machine = with_engine();
    let of_version = |version: u32| {
        format!(
            "{IMAGE}{}",
            container(
                "app",
                &format!("{SERVING}    labels: {{ version: '{version}' }}\n")
            )
        )
    };
    let _ = apply(&machine, &machine.playbook(&of_version(0)), 0);
    // `make test-long` has a hundred.
    let kills = std::env::var("FLEET_LAB_KILLS").map_or(4, |number| number.parse().unwrap());
    let mut amid = 0;
    for version in 1..=kills {
        let playbook = machine.playbook(&of_version(version));
        let mut run = machine.start(&["apply", &playbook, "-y"]);
        let begun = machine.sh(&format!(
            "for i in $(seq 200); do docker ps -a --format '{{{{.Names}}}}' | grep -q app.fleet- && break; done
             sleep 0.{:02}; pkill -KILL -f '^/var/lib/fleet/helper-' && echo amid || echo over",
            version * 23 % 100
        ));
        amid += u32::from(begun.trim() == "amid");
        let _ = run.wait();
        machine
            .sh("curl -sSf --retry 15 --retry-all-errors --retry-delay 1 localhost:8080/healthz");
        if version % 4 == 0 {
            machine.sh("systemctl reset-failed docker; systemctl restart docker");
            machine.sh(
                "curl -sSf --retry 15 --retry-all-errors --retry-delay 1 localhost:8080/healthz",
            );
        }
        let _ = apply(&machine, &playbook, 0);
        let _ = machine.fleet(&["check", &playbook]).exits(0);
        assert_eq!(
            machine.sh("docker ps -a --format '{{.Names}} {{.Label \"version\"}}'"),
            format!("app {version}\n")
        );
    }
    assert!(amid * 2 >= kills, "{amid} of {kills}");

    // Both have their names and the new one was not started; it never will be up.
    let bad = format!(
        "{IMAGE}{}",
        container(
            "app",
            &format!("{SERVING}    command: [sh, -c, 'exit 3']\n")
        )
    );
    let id = machine.variable("lab_images")["hello_1"]["image_id"].clone();
    let id = id.as_str().unwrap();
    machine.sh(&format!(
        "docker rename app app.fleet-old; docker create --name app -p 8080:8080 --restart unless-stopped {id} sh -c 'exit 3'"
    ));
    let failure = refused_by(&machine, &bad);
    assert!(
        failure.contains("the previous container is in its place again"),
        "{failure}"
    );
    machine.sh("curl -sSf --retry 15 --retry-all-errors --retry-delay 1 localhost:8080/healthz");
    let _ = machine
        .fleet(&["check", &machine.playbook(&of_version(kills))])
        .exits(0);
    assert_eq!(machine.sh("docker ps -a --format '{{.Names}}'"), "app\n");
}

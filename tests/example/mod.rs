//! The fleet of `inventory/example`, as its README shows it, and the roles that it uses.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;

use crate::cli::{Ended, Fleet};
use crate::run::Site;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Runs fleet on one environment of the example, with the example's key.
fn example(environment: &str, verb: &[&str], rest: &[&str]) -> Ended {
    // A checkout may be read by others, which a key may not; a new temporary file is for us alone.
    let mut key = tempfile::NamedTempFile::new().unwrap();
    key.write_all(&fs::read(format!("{ROOT}/inventory/example/example.key")).unwrap())
        .unwrap();
    let inventory = format!("{ROOT}/inventory/example/{environment}");
    let args = verb.iter().copied().chain(["-i", &inventory]);
    Fleet::new(args.chain(rest.iter().copied()))
        .env("FLEET_AGE_KEY_FILE", &key.path().to_string_lossy())
        .run()
}

#[test]
fn both_environments_are_valid_without_a_network() {
    let playbook = format!("{ROOT}/playbooks/host-init.yml");
    for environment in ["production", "staging"] {
        let ended = example(environment, &["validate"], &[&playbook]);
        assert_eq!(ended.code, 0, "{environment}: {}", ended.all());
        assert_eq!(ended.stdout, format!("{playbook} is valid.\n"));
        assert_eq!(
            ended.stderr,
            format!(
                "warning: `{ROOT}/playbooks/artifacts/container-selinux-2.119.2-1.911c772.el7_8\
                 .noarch.rpm` and 3 more of artifacts.lock.yml are not here, so they were not \
                 looked at\n |\n = help: `fleet artifacts fetch` brings what `fleet apply` needs\n"
            )
        );
    }
}

#[test]
fn they_differ_in_nothing_but_variables() {
    let host = |environment, host| {
        let ended = example(environment, &["inventory", "--host", host], &[]);
        assert_eq!(ended.code, 0, "{}", ended.all());
        serde_json::from_str::<serde_json::Value>(&ended.stdout).unwrap()
    };
    let production = host("production", "shop01.example.com");
    let staging = host("staging", "shop01.staging.example.com");
    let names = |host: &serde_json::Value| -> BTreeSet<String> {
        host.as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(names(&production), names(&staging));
    for (same, name) in [
        (true, "docker_engine_packages"),
        (true, "base_images"),
        (false, "docker_engine_config"),
        (false, "docker_storage_devices"),
        (false, "java_services"),
    ] {
        assert_eq!(production[name] == staging[name], same, "{name}");
    }
}

#[test]
fn a_slip_in_a_service_is_told_by_name_before_anything_is_done_for_it() {
    let role = |part: &str| {
        fs::read_to_string(format!("{ROOT}/roles/java_service/{part}/main.yml")).unwrap()
    };
    let services = serde_json::json!({ "java_services": [{
        "name": "orders",
        "image": format!("r.example/orders@sha256:{}", "0a".repeat(32)),
        "jre": "17",
        "memroy": "2g",
    }] });
    let state = tempfile::tempdir().unwrap();
    let services = services.to_string();
    let ended = Fleet::new([
        "apply",
        "--yes",
        "-i",
        "hosts.yml",
        "-e",
        &services,
        "site.yml",
    ])
    .file("site.yml", "- hosts: all\n  roles: [java_service]\n")
    .file(
        "hosts.yml",
        "all: {hosts: {node1: {ansible_connection: local}}}\n",
    )
    .file("roles/java_service/defaults/main.yml", &role("defaults"))
    .file("roles/java_service/vars/main.yml", &role("vars"))
    .file("roles/java_service/tasks/main.yml", &role("tasks"))
    .env("FLEET_STATE_DIR", &state.path().to_string_lossy())
    .run();
    assert_eq!(ended.code, 2, "{}", ended.all());
    let expected = "java_services: unknown orders.memroy; known are name, image, jre, memory, ";
    assert!(ended.stdout.contains(expected), "{}", ended.all());
    assert!(
        ended.stdout.contains("ok=0    changed=0"),
        "{}",
        ended.all()
    );
}

/// The engine role, its playbook and a set of packages at this version.
fn engine(version: &str, containerd: bool, variables: &str) -> Ended {
    // Of no bytes, for which rpm would have words; nothing is installed here.
    let package = |name: &str, version: &str| {
        format!(
            "{{name: {name}, version: {version}, release: 3.el7, arch: x86_64, src: e.rpm, \
             sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855}}"
        )
    };
    let mut packages = vec![package("docker-ce", version)];
    if containerd {
        packages.push(package("containerd.io", "1.4.13"));
    }
    let packages = packages.join(", ");
    let play = format!(
        "- hosts: all\n  roles: [docker_engine]\n  vars:\n    \
         docker_engine_packages: [{packages}]\n{variables}"
    );
    let site = Site::local().file("e.rpm", "").file("play.yml", &play);
    std::os::unix::fs::symlink(format!("{ROOT}/roles"), site.path("roles")).unwrap();
    site.fleet(&["validate", "play.yml"])
}

#[test]
fn the_engine_role_takes_the_rpms_of_every_engine_since_17_03() {
    for (version, containerd) in [
        ("17.03.2.ce", false),
        ("17.06.2.ce", false),
        ("18.06.3.ce", false),
        ("18.09.9", true),
        ("19.03.15", true),
        ("20.10.24", true),
        ("23.0.6", true),
        ("24.0.9", true),
        ("25.0.5", true),
    ] {
        let ended = engine(version, containerd, "");
        assert_eq!(ended.code, 0, "{version}: {}", ended.all());
    }
    let config = "    docker_engine_config: {no-new-privileges: true}\n";
    let ended = engine("17.03.2.ce", false, config);
    let said =
        "the engine 17.03.2 does not know the key `no-new-privileges` yet: it came with 17.04";
    assert!(ended.stderr.contains(said), "{}", ended.all());
}

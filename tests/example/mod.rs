//! The fleet of `inventory/example`, as its README shows it.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;

use crate::cli::{Ended, Fleet};

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

//! Drifts of a host, and of a Docker host.

use crate::drift::packages::Packages;
use crate::drift::play;
use crate::machine::Machine;

#[test]
fn on_the_host() {
    let machine = Machine::pristine();
    let packages = Packages::build(&machine);
    let variables = packages.variables().to_string();
    let _ = machine
        .fleet(&[
            "apply",
            "tests/lab/drift/packages.yml",
            "-y",
            "-e",
            &variables,
        ])
        .exits(0);
    play(
        &machine,
        "host",
        "tests/lab/drift/host.yml",
        &["-e", &variables],
    );
}

#[test]
fn on_the_docker_host() {
    let machine = Machine::pristine();
    let plays = ["playbooks/host-init.yml", "tests/lab/drift/docker.yml"];
    let mut plays = plays.map(|path| std::fs::read_to_string(path).unwrap());
    // Without device mapper its pool would be a skipped task in every report.
    let pool = "    - role: docker_storage\n      tags: [storage]\n";
    assert!(plays[0].contains(pool));
    plays[0] = plays[0].replace(pool, "");
    let playbook = machine.write("docker-host.yml", &plays.concat());
    let audit = serde_json::json!({
        "docker_audit_registries": [
            machine.variable("lab_registry")["host"],
            "docker.io/base/*",
            "docker.io/app/*",
        ],
        "docker_audit_published_ports": [8080],
    });
    play(&machine, "docker", &playbook, &["-e", &audit.to_string()]);
}

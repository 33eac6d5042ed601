//! Another user's login, a certificate that is taken back, tags that move, `fleet images lock`.

use std::process::Stdio;

use super::containers::{apply, check, refused_by, with_engine};
use crate::machine::{self, Machine, Run, lab, succeed};

/// A login at the lab's registry with these further fields.
fn login(fields: &str) -> String {
    format!(
        "- name: Login\n  docker_login:\n    registry: \"{{{{ lab_registry.host }}}}\"\n    {fields}"
    )
}

const PULLER: &str =
    "username: puller\n    password: \"{{ lab_registry.password }}\"\n    verify: true";

/// `fleet images lock` as somebody on this machine runs it; the lock file and the login are
/// beside the playbooks.
fn lock(machine: &Machine, file: &str, logins: &str, arguments: &[&str]) -> Run {
    let authority = machine.variable("lab_registry")["ca"].clone();
    let common = [
        "images",
        "lock",
        "--file",
        file,
        "--auth-file",
        logins,
        "--registry-ca",
        authority.as_str().unwrap(),
        "--resolve",
        "registry.lab:127.0.0.1",
    ];
    let arguments: Vec<_> = common.iter().chain(arguments).copied().collect();
    let output = machine::fleet()
        .args(&arguments)
        .stdin(Stdio::null())
        .output();
    Run::of(&arguments, output.unwrap())
}

#[test]
fn a_login_is_a_users_own_and_its_certificate_can_be_taken_back() {
    let machine = with_engine();
    let ca = "ca: { src: \"{{ lab_registry.ca }}\" }";
    let ops = machine.playbook(&login(&format!("user: ops\n    {PULLER}\n    {ca}")));
    let _ = apply(&machine, &ops, 0);
    let _ = machine.fleet(&["check", &ops]).exits(0);
    assert_eq!(
        machine.sh("stat -c '%a %U %n' /home/ops/.docker /home/ops/.docker/config.json; test ! -e /root/.docker"),
        "700 ops /home/ops/.docker\n600 ops /home/ops/.docker/config.json\n"
    );
    // Docker itself takes it, and adds its own entry without losing ours.
    let hello = &machine.variable("lab_images")["hello_1"];
    let hello = format!(
        "{}@{}",
        hello["ref"].as_str().unwrap().trim_end_matches(":1"),
        hello["digest"].as_str().unwrap()
    );
    machine.sh(&format!(
        "usermod -aG docker ops; runuser -u ops -- env HOME=/home/ops docker pull -q {hello}"
    ));

    // Another authority in its place is found and put right.
    machine.sh("echo other >/etc/docker/certs.d/registry.lab:*/ca.crt");
    let registry = machine.variable("lab_registry");
    let host = registry["host"].as_str().unwrap();
    assert_eq!(
        check(&machine, &ops),
        [format!(
            "docker_login {host} for ops: ca declared ← another"
        )]
    );
    let _ = apply(&machine, &ops, 0);

    // A declaration without `ca` leaves it alone; `state: absent` takes it back.
    let without = machine.playbook(&login(&format!("user: ops\n    {PULLER}")));
    let _ = machine.fleet(&["check", &without]).exits(0);
    let gone = machine.playbook(&login(
        "user: ops\n    state: absent\n    ca: { state: absent }",
    ));
    let _ = apply(&machine, &gone, 0);
    let _ = machine.fleet(&["check", &gone]).exits(0);
    assert_eq!(
        machine.sh("ls /etc/docker/certs.d/registry.lab:*; cat /home/ops/.docker/config.json"),
        "{\n\t\"auths\": {}\n}"
    );

    // Where a credential helper answers, Docker would not look at an entry.
    machine
        .sh("mkdir -p /root/.docker; echo '{\"credsStore\": \"pass\"}' >/root/.docker/config.json");
    let failure = refused_by(&machine, &login(&format!("{PULLER}\n    {ca}")));
    assert_eq!(
        failure,
        "/root/.docker/config.json: `credsStore` hands this registry to docker-credential-pass, \
         so Docker would not look at an entry; log in with that helper, or remove the setting"
    );
    assert_eq!(
        machine.sh("cat /root/.docker/config.json; find /etc/docker/certs.d -type f"),
        "{\"credsStore\": \"pass\"}\n"
    );
    // And images are pulled with what that helper answers.
    let login = serde_json::json!({ "Username": "puller", "Secret": registry["password"] });
    machine.sh_reading(
        &format!("#!/bin/sh\ngrep -qx '{host}' || exit 1\ncat <<'EOF'\n{login}\nEOF\n"),
        "cat >/usr/bin/docker-credential-pass; chmod 755 /usr/bin/docker-credential-pass; \
         docker rmi -f $(docker images -aq)",
    );
    let pull = machine.playbook(&format!(
        "{}\n- name: Image\n  docker_image:\n    image: {hello}",
        self::login(&format!("user: ops\n    state: absent\n    {ca}"))
    ));
    let _ = apply(&machine, &pull, 0);
    let _ = machine.fleet(&["check", &pull]).exits(0);
}

#[test]
fn a_tag_that_moves_is_found_and_a_digest_stays() {
    let machine = with_engine();
    let images = machine.variable("lab_images");
    let text = |name: &str, field: &str| images[name][field].as_str().unwrap().to_owned();
    let registry = machine.variable("lab_registry");
    let puller = format!("puller:{}", registry["password"].as_str().unwrap());
    let auth = {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(puller)
    };
    let logins =
        serde_json::json!({ "auths": { registry["host"].as_str().unwrap(): { "auth": auth } } });
    let logins = machine.write("logins.json", &logins.to_string());
    let file = machine.write(
        "images.lock.yml",
        &format!("hello: {{ref: \"{}\"}}\n", text("hello_1", "ref")),
    );
    let written = || std::fs::read_to_string(&file).unwrap();

    let first = lock(&machine, &file, &logins, &[]).exits(0);
    assert_eq!(
        first.stdout(),
        format!("hello: not locked → {}\n", text("hello_1", "digest"))
    );
    assert!(
        written().contains(&text("hello_1", "image_id")),
        "{}",
        written()
    );
    let _ = lock(&machine, &file, &logins, &["--check"]).exits(0);

    // What was locked is pulled, by the digest.
    let playbook = machine.playbook(&format!(
        "{}\n- name: Image\n  docker_image:\n    image: \"{{{{ images.hello.pull }}}}\"\n    image_id: \"{{{{ images.hello.image_id }}}}\"\n    tag: app/hello:1",
        login(&format!("{PULLER}\n    ca: {{ src: \"{{{{ lab_registry.ca }}}}\" }}"))
    ));
    let _ = apply(&machine, &playbook, 0);

    // Somebody pushes another image to the tag: the lock says so, hosts stay as they are.
    succeed(lab("registry").args(["tag", "app/hello:2", "app/hello:1"]));
    let moved = lock(&machine, &file, &logins, &["--check"]).exits(2);
    assert_eq!(
        moved.stdout(),
        format!(
            "hello: {} → {}\n",
            text("hello_1", "digest"),
            text("hello_2", "digest")
        )
    );
    let _ = machine.fleet(&["check", &playbook]).exits(0);
    machine.sh("docker rmi -f $(docker images -q)");
    let _ = apply(&machine, &playbook, 0);
    assert_eq!(
        machine
            .sh("docker image inspect -f '{{.Id}}' app/hello:1")
            .trim(),
        text("hello_1", "image_id")
    );

    // Somebody moves the tag on the host.
    machine.sh(&format!(
        "docker pull -q {0} && docker tag {0} app/hello:1",
        text("hello_2", "ref")
    ));
    let image = format!(
        "{}@{}",
        text("hello_1", "ref").trim_end_matches(":1"),
        text("hello_1", "digest")
    );
    assert_eq!(
        check(&machine, &playbook),
        [format!(
            "docker_image {image}: tag app/hello:1 {} ← {}",
            text("hello_1", "image_id"),
            text("hello_2", "image_id")
        )]
    );
    let _ = apply(&machine, &playbook, 0);
    let _ = machine.fleet(&["check", &playbook]).exits(0);

    // Locked anew, the other image is the declared one.
    let _ = lock(&machine, &file, &logins, &[]).exits(0);
    assert!(
        written().contains(&text("hello_2", "digest")),
        "{}",
        written()
    );
    assert_eq!(check(&machine, &playbook).len(), 1);
    succeed(lab("registry").args(["up", "--fresh"]));
}

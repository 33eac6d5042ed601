//! What is refused: the exact words, and a host that is as it was.

use super::containers::{LOGIN, apply, refused_by, with_engine};
use crate::host_state;
use crate::machine::Machine;

/// A machine with an engine, and the names that refusals are about.
struct Refusals {
    machine: Machine,
    registry: String,
    /// `app/hello:1` by digest.
    hello: String,
    digest: String,
    id: String,
    /// The id of `app/hello:2`.
    other_id: String,
    before: String,
}

impl Refusals {
    fn begin() -> Self {
        let machine = with_engine();
        let images = machine.variable("lab_images");
        let of = |name: &str, field: &str| images[name][field].as_str().unwrap().to_owned();
        let (name, digest) = (of("hello_1", "ref"), of("hello_1", "digest"));
        let registry = machine.variable("lab_registry")["host"].clone();
        host_state::quiet(&machine);
        Self {
            registry: registry.as_str().unwrap().to_owned(),
            hello: format!("{}@{digest}", name.trim_end_matches(":1")),
            digest,
            id: of("hello_1", "image_id"),
            other_id: of("hello_2", "image_id"),
            before: everything(&machine),
            machine,
        }
    }

    fn pull(&self) -> String {
        format!("- name: Image\n  docker_image:\n    image: {}", self.hello)
    }

    /// What is said to tasks that must be refused; the host is as it was at the beginning.
    #[track_caller]
    fn refused(&self, tasks: &str) -> String {
        let failure = refused_by(&self.machine, tasks);
        host_state::same(&self.before, &everything(&self.machine));
        failure
    }
}

/// What the host has, without Docker's own bookkeeping, and what Docker has.
fn everything(machine: &Machine) -> String {
    let state = host_state::state(machine);
    let own = |line: &&str| {
        let folders = ["/var/lib/docker", "/var/lib/containerd", "/etc/docker "];
        !folders.iter().any(|folder| line.starts_with(folder))
    };
    let mut lines: Vec<_> = state.lines().filter(own).collect();
    let docker = machine.sh(
        "docker images -a --no-trunc && docker ps -a --no-trunc && docker volume ls && ls /etc/docker; \
         find /var/lib/fleet -path '*/staging/*'",
    );
    lines.extend(docker.lines());
    lines.join("\n")
}

#[test]
fn a_registry_that_is_not_trusted_or_does_not_trust_us_leaves_the_host_as_it_was() {
    let mut on = Refusals::begin();
    let registry = &on.registry;
    let untrusted = format!(
        "Docker says: Get \"https://{registry}/v2/\": x509: certificate signed by unknown \
         authority\n    give the certificate of its authority to `ca` of docker_login"
    );
    assert_eq!(
        on.refused(&LOGIN.replace("lab_registry.ca ", "lab_registry.stranger_ca ")),
        format!("{registry} could not be asked about `puller`: {untrusted}")
    );
    assert_eq!(
        on.refused(&on.pull()),
        format!("{} was not pulled: {untrusted}", on.hello)
    );
    assert_eq!(
        on.refused(&LOGIN.replace("{{ lab_registry.password }}", "wrong-word")),
        format!(
            "{registry} does not accept `puller`: Docker says: login attempt to \
             https://{registry}/v2/ failed with status: 401 Unauthorized"
        )
    );

    // With the authority and without a login.
    let trusted = on.machine.playbook(
        "- name: Authority\n  docker_login:\n    registry: \"{{ lab_registry.host }}\"\n    \
         state: absent\n    ca: { src: \"{{ lab_registry.ca }}\" }",
    );
    let _ = apply(&on.machine, &trusted, 0);
    on.before = everything(&on.machine);
    assert_eq!(
        on.refused(&on.pull()),
        format!(
            "{} was not pulled: Docker says: Get \
             \"https://{registry}/v2/app/hello/manifests/{}\": no basic auth credentials\n    \
             log in with docker_login before this task",
            on.hello, on.digest
        )
    );
}

#[test]
fn an_image_that_is_not_the_declared_one_and_a_heap_that_does_not_fit_leave_the_host_as_it_was() {
    let on = Refusals::begin();
    let (id, other_id) = (&on.id, &on.other_id);
    for (archive, expected) in [
        (
            "other",
            format!(
                "the archive is refused: it holds the image {other_id}, not {id}; nothing was loaded"
            ),
        ),
        (
            "truncated",
            "the archive is refused: it is no file of `docker save`, or was cut off (tar: Unexpected \
             EOF in archive); nothing was loaded"
                .to_owned(),
        ),
        (
            "tampered",
            "Docker refuses the archive: invalid diffID for layer 1".to_owned(),
        ),
    ] {
        let failure = on.refused(&format!(
            "- name: Archive\n  docker_image:\n    \
             archive: \"{{{{ lab_bad_archives.{archive}.src }}}}\"\n    image_id: {id}"
        ));
        // Which digests Docker expected and got is not ours to say.
        let (said, _) = failure
            .split_once(": expected \"sha256:")
            .unwrap_or((&failure, ""));
        assert_eq!(said, expected, "{archive}");
    }
    before_contact(&on);
    let playbook = on.machine.playbook(LOGIN);
    let _ = apply(&on.machine, &playbook, 0);
    let failure = refused_by(
        &on.machine,
        &format!("{}\n    image_id: {other_id}", on.pull()),
    );
    assert_eq!(
        failure,
        format!(
            "{} is the image {id}, not the declared `image_id` {other_id}; one of the two is wrong \
             in the declaration",
            on.hello
        )
    );
}

/// What no host could mend.
fn before_contact(on: &Refusals) {
    let tag = format!("{}/app/hello:1", on.registry);
    for (tasks, expected) in [
        (
            format!("- name: Image\n  docker_image:\n    image: {tag}"),
            format!(
                "`{tag}` is a tag, and a tag can be moved to another image; give `NAME@sha256:…`, \
                 or resolve it into images.lock.yml"
            ),
        ),
        (
            format!(
                "- name: Heap\n  docker_container:\n    name: a\n    image: {}\n    memory: 256m\n    \
                 java: {{ version: 17, xmx: 1g }}",
                on.id
            ),
            "the heap does not fit: `xmx: 1g` is 1024 MiB, and a JVM needs at least 64 MiB beside \
             it (classes, compiled code, thread stacks): 1088 MiB, but `memory` is 256 MiB"
                .to_owned(),
        ),
    ] {
        let playbook = on.machine.playbook(&tasks);
        let run = on.machine.fleet(&["apply", &playbook, "-y"]).exits(1);
        assert!(run.stderr().contains(&expected), "{}", run.stderr());
        host_state::same(&on.before, &everything(&on.machine));
    }
}

//! `fleet check` and `fleet apply` on this machine: what a run must not lose.

use std::path::PathBuf;

use super::{Ended, Fleet};

/// A host, this machine, with its state and files below one directory.
struct Host(tempfile::TempDir);

impl Host {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        // The project that all playbooks of the test are of.
        std::fs::create_dir(directory.path().join(".fleet")).unwrap();
        Self(directory)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Runs `verb` with a playbook that knows the directory as `here`.
    fn run(&self, verb: &str, playbook: &str) -> Ended {
        let here = format!("here={}", self.0.path().display());
        let yes = (verb == "apply").then_some("--yes");
        let path = self.path("play.yml");
        std::fs::write(&path, playbook).unwrap();
        let path = path.to_string_lossy();
        let args = [verb, &path, "-v", "-e", &here, "-i", "hosts.yml"];
        Fleet::new(args.into_iter().chain(yes))
            .file(
                "hosts.yml",
                "all: { hosts: { node1: { ansible_connection: local } } }\n",
            )
            .env("FLEET_STATE_DIR", &self.path("state").to_string_lossy())
            .run()
    }

    /// Whether the host still waits for handlers.
    fn has_pending(&self) -> bool {
        self.path("state/pending.json").exists()
    }
}

#[test]
fn a_handler_that_is_tried_again_is_pending_until_it_succeeds() {
    let host = Host::new();
    let ended = host.run(
        "apply",
        r#"
- hosts: all
  tasks:
    - copy: { dest: "{{ here }}/x", content: x }
      notify: wait until it is up
  handlers:
    - name: wait until it is up
      shell: echo try >> {{ here }}/tries; test $(wc -l < {{ here }}/tries) -ge 3
      register: tried
      until: tried.rc == 0
      retries: 5
      delay: 0
"#,
    );
    assert_eq!(ended.code, 0, "{}", ended.all());
    assert_eq!(host.read("tries"), "try\ntry\ntry\n");
    assert!(!host.has_pending());
}

#[test]
fn a_handler_that_never_succeeds_stays_pending() {
    let host = Host::new();
    let ended = host.run(
        "apply",
        r#"
- hosts: all
  tasks:
    - copy: { dest: "{{ here }}/x", content: x }
      notify: wait until it is up
  handlers:
    - name: wait until it is up
      command: "false"
      register: tried
      until: tried.rc == 0
      retries: 2
      delay: 0
"#,
    );
    assert_eq!(ended.code, 2, "{}", ended.all());
    assert!(host.has_pending());
}

#[test]
fn a_handler_that_needs_no_host_is_over_when_it_was_answered() {
    let playbook = r#"
- hosts: all
  tasks:
    - copy: { dest: "{{ here }}/x", content: x }
      notify: [say so, none of them]
    - command: test -e {{ here }}/repaired
      changed_when: false
  handlers:
    - name: say so
      debug: { msg: a handler spoke }
    - name: none of them
      command: echo {{ item }}
      loop: []
"#;
    let host = Host::new();
    assert_eq!(host.run("apply", playbook).code, 2);
    std::fs::write(host.path("repaired"), "").unwrap();

    let check = host.run("check", playbook);
    assert_eq!(check.code, 2, "a pending handler is drift: {}", check.all());
    assert!(
        check.stdout.contains("pending since an interrupted run"),
        "{}",
        check.stdout
    );
    let apply = host.run("apply", playbook);
    assert_eq!(apply.code, 0, "{}", apply.all());
    assert!(apply.stdout.contains("a handler spoke"), "{}", apply.stdout);
    assert!(!host.has_pending());

    let again = host.run("apply", playbook);
    assert_eq!(again.code, 0, "{}", again.all());
    assert!(
        !again.stdout.contains("a handler spoke"),
        "{}",
        again.stdout
    );
}

#[test]
fn a_handler_may_notify_an_earlier_one() {
    let host = Host::new();
    let ended = host.run(
        "apply",
        r#"
- hosts: all
  tasks:
    - copy: { dest: "{{ here }}/x", content: x }
      notify: third
  handlers:
    - { name: first, shell: "echo first >> {{ here }}/log" }
    - { name: second, shell: "echo second >> {{ here }}/log", notify: first }
    - { name: third, shell: "echo third >> {{ here }}/log", notify: second }
"#,
    );
    assert_eq!(ended.code, 0, "{}", ended.all());
    assert_eq!(host.read("log"), "third\nsecond\nfirst\n");
    assert!(!host.has_pending());
}

#[test]
fn check_judges_what_only_looks_as_apply_does() {
    let host = Host::new();
    for (rc, expected) in [(1, 0), (4, 2)] {
        let playbook = format!(
            "
- hosts: all
  tasks:
    - command: sh -c 'exit {rc}'
      register: looked
      changed_when: false
      failed_when: looked.rc > 1
    - debug: {{ msg: \"status {{{{ looked.rc }}}}\" }}
"
        );
        for verb in ["check", "apply"] {
            let ended = host.run(verb, &playbook);
            assert_eq!(ended.code, expected, "{verb} {rc}: {}", ended.all());
            let went_on = ended.stdout.contains("status 1");
            assert_eq!(went_on, rc == 1, "{verb} {rc}: {}", ended.all());
        }
    }
}

#[test]
fn plays_that_become_somebody_else_are_all_reported() {
    // The first conversation fails (there is no such user), the second finds a difference.
    let ended = Host::new().run(
        "check",
        r#"
- hosts: all
  become: true
  vars: { ansible_become_user: fleet-no-such-user }
  tasks:
    - file: { path: "{{ here }}/a", state: directory }
- hosts: all
  become: false
  tasks:
    - file: { path: "{{ here }}/b", state: directory }
"#,
    );
    assert_eq!(ended.code, 4, "{}", ended.all());
    assert!(ended.stdout.contains("sudo"), "{}", ended.stdout);
}

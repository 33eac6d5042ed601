//! Each exit code of the table, from a real run.

use super::Site;
use crate::sshd::free_port;

#[test]
fn each_outcome_has_its_code() {
    let missing = "    - lineinfile: {path: \"{{ here }}/missing\", line: x}\n";
    let differs = "    - copy: {content: x, dest: \"{{ here }}/new\"}\n";
    let same = "    - file: {path: \"{{ here }}\", state: directory}\n";
    let wrong = "    - file: {paht: x}\n";
    let both = format!("{missing}{differs}");
    for (tasks, verb, code) in [
        (same, "check", 0),
        (differs, "apply", 0),
        (wrong, "check", 1),
        (differs, "check", 2),
        (differs, "plan", 2),
        (missing, "apply", 2),
        (missing, "check", 3),
        (missing, "plan", 3),
        (&both, "check", 2),
    ] {
        let ended = Site::with_tasks(tasks).play(verb, &[]);
        assert_eq!(ended.code, code, "{verb} {tasks}: {}", ended.all());
    }
}

#[test]
fn an_unreachable_host_outranks_drift() {
    let site = Site::with_inventory(&format!(
        "all:\n  hosts:\n    here: {{ansible_connection: local}}\n    gone: {{ansible_host: 127.0.0.1, ansible_port: {}}}\n",
        free_port()
    ))
    .tasks("    - copy: {content: x, dest: \"{{ here }}/new\"}\n");
    let (document, code) = site.json("check", &[]);
    assert_eq!(code, 4, "{document:#}");
    assert_eq!(document["exit_code"], 4);
    assert_eq!(document["summary"]["drifted"], 1);
    assert_eq!(document["summary"]["unreachable"], 1);
}

/// The status that `ssh` has for a lost connection.
#[test]
fn a_command_that_ends_as_a_lost_connection_would_is_a_failed_command() {
    let site = Site::with_tasks("    - shell: exit 255\n");
    let (document, code) = site.json("apply", &[]);
    assert_eq!(code, 2, "{document:#}");
    assert_eq!(document["summary"]["failed"], 1);
    assert_eq!(document["summary"]["unreachable"], 0);
}

#[test]
fn a_template_that_is_wrong_only_with_the_hosts_facts_is_that_hosts_failure() {
    let site = Site::with_tasks(
        "    - copy: {content: \"{{ facts.mounts['/no/such'].fstype }}\", dest: \"{{ here }}/x\"}\n",
    );
    assert_eq!(site.check().code, 3);
    assert_eq!(site.apply().code, 2);
}

#[test]
fn a_fact_that_no_host_has_is_a_mistake_before_any_is_contacted() {
    let site = Site::with_tasks(
        "    - copy: {content: \"{{ facts.hostnmae }}\", dest: \"{{ here }}/x\"}\n",
    );
    for ended in [site.check(), site.apply()] {
        assert_eq!(ended.code, 1, "{}", ended.all());
        assert!(
            ended.stderr.contains("did you mean `hostname`?"),
            "{}",
            ended.all()
        );
    }
}

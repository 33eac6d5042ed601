//! Handlers: who runs, when, and that none is lost.

use super::Site;

/// Writes a line into `log` when it runs.
fn handler(name: &str, more: &str) -> String {
    format!("    - name: {name}\n      shell: \"echo {name} >> {{{{ here }}}}/log\"\n{more}")
}

#[test]
fn notified_handlers_run_once_at_the_end_in_the_order_they_are_written() {
    let site = Site::with_tasks(&format!(
        r#"
    - copy: {{content: "1", dest: "{{{{ here }}}}/one"}}
      notify: [second, first]
    - copy: {{content: "2", dest: "{{{{ here }}}}/two"}}
      notify: first
    - shell: "echo task >> {{{{ here }}}}/log"
    - copy: {{content: "3", dest: "{{{{ here }}}}/three"}}
      notify: everyone
  handlers:
{}{}{}{}"#,
        handler("first", ""),
        handler("second", ""),
        handler("listener", "      listen: everyone\n"),
        handler("nobody", ""),
    ));
    let ended = site.apply();
    assert_eq!(ended.code, 0, "{}", ended.all());
    assert_eq!(site.read("log"), "task\nfirst\nsecond\nlistener\n");
    // Nothing differs any more, so nobody is notified.
    let ended = site.apply();
    assert_eq!(ended.code, 0, "{}", ended.all());
    assert_eq!(site.read("log"), "task\nfirst\nsecond\nlistener\ntask\n");
}

#[test]
fn a_handler_that_a_failure_kept_from_running_is_drift_until_it_has_run() {
    let broken = format!(
        r#"
    - copy: {{content: "1", dest: "{{{{ here }}}}/one"}}
      notify: restart
    - name: breaks
      command: test -e {{{{ here }}}}/repaired
      changed_when: false
  handlers:
{}"#,
        handler("restart", "")
    );
    let site = Site::with_tasks(&broken);
    assert_eq!(site.apply().code, 2);
    assert_eq!(site.read("log"), "");
    let site = site.file("repaired", "");
    let ended = site.check();
    assert_eq!(ended.code, 2, "{}", ended.all());
    assert!(
        ended.stdout.contains("pending since an interrupted run"),
        "{}",
        ended.stdout
    );
    let ended = site.apply();
    assert_eq!(ended.code, 0, "{}", ended.all());
    assert_eq!(site.read("log"), "restart\n");
    assert_eq!(site.check().code, 0);
    assert_eq!(site.apply().code, 0);
    assert_eq!(site.read("log"), "restart\n");
}

#[test]
fn a_pending_handler_that_nothing_answers_is_drift_all_the_same() {
    let site = Site::with_tasks("    - command: \"true\"\n      changed_when: false\n")
        .file("state/pending.json", r#"{"gone : restart": "run-1"}"#);
    let check = site.check();
    assert_eq!(check.code, 2, "{}", check.all());
    assert!(
        check
            .stdout
            .contains("~ handler gone : restart  handler: pending since an interrupted run"),
        "{}",
        check.stdout
    );
    // An apply cannot run it: it says so, and goes on.
    let apply = site.apply();
    assert_eq!(apply.code, 0, "{}", apply.all());
    assert!(
        apply.stdout.contains("no handler of this playbook"),
        "{}",
        apply.stdout
    );
    assert_eq!(site.check().code, 2);
}

#[test]
fn a_handler_that_fails_stays_pending() {
    let site = Site::with_tasks(
        r#"
    - copy: {content: "1", dest: "{{ here }}/one"}
      notify: restart
  handlers:
    - name: restart
      command: test -e {{ here }}/repaired
"#,
    );
    assert_eq!(site.apply().code, 2);
    assert_eq!(site.check().code, 2);
    let site = site.file("repaired", "");
    assert_eq!(site.apply().code, 0);
    assert_eq!(site.check().code, 0);
}

#[test]
fn a_handler_whose_condition_is_false_is_not_wanted_any_more() {
    let site = Site::with_tasks(&format!(
        r#"
    - copy: {{content: "1", dest: "{{{{ here }}}}/one"}}
      notify: restart
  handlers:
{}"#,
        handler("restart", "      when: inventory_hostname == \"other\"\n")
    ));
    assert_eq!(site.apply().code, 0);
    assert_eq!(site.read("log"), "");
    assert_eq!(site.check().code, 0, "nothing is left pending");
}

#[test]
fn a_handler_with_a_loop_runs_for_every_item_and_is_done_after_the_last() {
    let site = Site::with_tasks(
        r#"
    - copy: {content: "1", dest: "{{ here }}/one"}
      notify: restart
  handlers:
    - name: restart
      shell: "echo {{ item }} >> {{ here }}/log; test {{ item }} != b -o -e {{ here }}/repaired"
      loop: [a, b, c]
"#,
    );
    assert_eq!(site.apply().code, 2, "the second of three fails");
    assert_eq!(site.read("log"), "a\nb\n");
    assert_eq!(site.check().code, 2, "so it is still pending");
    let site = site.file("repaired", "").file("log", "");
    assert_eq!(site.apply().code, 0);
    assert_eq!(site.read("log"), "a\nb\nc\n");
    assert_eq!(site.check().code, 0);
}

#[test]
fn check_foretells_what_would_run_and_runs_nothing() {
    let site = Site::with_tasks(&format!(
        r#"
    - name: differs
      copy: {{content: "1", dest: "{{{{ here }}}}/one"}}
      notify: restart
  handlers:
{}"#,
        handler("restart", "")
    ));
    let (document, code) = site.json("check", &[]);
    assert_eq!(code, 2);
    let differs = &document["hosts"][0]["resources"][0];
    assert_eq!(differs["notifies"], serde_json::json!(["restart"]));
    assert_eq!(site.read("log"), "");
    assert!(!site.path("one").exists());
}

/// The same name in two playbooks is two handlers; of a role in both, one.
#[test]
fn a_plays_own_handler_is_not_run_by_another_playbook() {
    let play = |tasks: &str, log: &str| {
        format!(
            "- hosts: all\n  roles: [shared]\n  tasks:\n{tasks}  handlers:\n    - name: restart\n      \
             shell: \"echo {log} >> {{{{ here }}}}/log\"\n"
        )
    };
    let breaks = "    - copy: {content: \"1\", dest: \"{{ here }}/one\"}\n      notify: restart\n    \
                  - command: test -e {{ here }}/repaired\n      changed_when: false\n";
    let site = Site::local()
        .file("a.yml", &play(breaks, "a"))
        .file(
            "play.yml",
            &play("    - command: \"true\"\n      changed_when: false\n", "b"),
        )
        .file(
            "roles/shared/tasks/main.yml",
            "- copy: {content: \"1\", dest: \"{{ here }}/two\"}\n  notify: reload\n",
        )
        .file(
            "roles/shared/handlers/main.yml",
            "- name: reload\n  shell: \"echo shared >> {{ here }}/log\"\n",
        );
    let here = format!("here={}", site.path("").display());
    let a = ["apply", "a.yml", "--yes", "-e", &here];
    assert_eq!(site.fleet(&a).code, 2);
    assert_eq!(site.read("log"), "");

    let ended = site.apply();
    assert_eq!(ended.code, 0, "{}", ended.all());
    assert_eq!(site.read("log"), "shared\n", "only the role's");
    let ended = site.check();
    assert_eq!(ended.code, 2, "{}", ended.all());
    assert!(
        ended.stdout.contains("a.yml on node1 : restart"),
        "{}",
        ended.all()
    );
    let site = site.file("repaired", "");
    assert_eq!(site.fleet(&a).code, 0);
    assert_eq!(site.read("log"), "shared\na\n");
    assert_eq!(site.check().code, 0);
}

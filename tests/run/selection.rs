//! Which plays, hosts and tasks.

use super::Site;

const TAGGED: &str = r#"
    - name: plain
      debug: {msg: ""}
    - name: web
      debug: {msg: ""}
      tags: [web, front]
    - name: always
      debug: {msg: ""}
      tags: always
    - name: never
      debug: {msg: ""}
      tags: [never, wipe]
"#;

#[test]
fn tags_choose_tasks_as_in_ansible() {
    let site = Site::with_tasks(TAGGED);
    for (args, expected) in [
        (&[][..], &["plain", "web", "always"][..]),
        (&["-t", "web"], &["web", "always"]),
        (&["-t", "wipe"], &["always", "never"]),
        (&["-t", "front,wipe"], &["web", "always", "never"]),
        (&["--skip-tags", "front"], &["plain", "always"]),
        (&["--skip-tags", "always"], &["plain", "web"]),
        (&["-t", "tagged"], &["web", "always"]),
        (&["-t", "untagged"], &["plain", "always"]),
    ] {
        let expected: Vec<_> = expected.iter().map(|name| format!("{name}: ok")).collect();
        assert_eq!(site.statuses("check", args), expected, "{args:?}");
    }
}

/// A tag that no task has, and a selection that leaves none, are mistakes and not success.
#[test]
fn a_selection_that_leaves_no_task_is_an_error() {
    let site = Site::with_hosts(&["one", "two"]).file(
        "play.yml",
        &format!(
            "- hosts: one\n  tasks:{TAGGED}- hosts: two\n  tasks:\n    - debug: {{msg: \"\"}}\n      \
             tags: other\n- hosts: all\n  tasks: []\n"
        ),
    );
    let unknown = "no task has the tag";
    let none = "no task is selected, so there is nothing to do";
    for (args, message, help) in [
        (&["-t", "wbe"][..], unknown, "did you mean `web`?"),
        (&["--skip-tags", "frnot"], unknown, "did you mean `front`?"),
        (
            &["-t", "web,nothing_like_it"],
            unknown,
            "there are `always`, `front`",
        ),
        (
            &["-t", "web", "--skip-tags", "always,web"],
            none,
            "leaves none",
        ),
        (
            &["-l", "two", "-t", "web"],
            none,
            "`--tags web` with `-l two` leaves none",
        ),
        (
            &["--skip-tags", "all,always"],
            none,
            "`--skip-tags all,always` leaves none",
        ),
    ] {
        for verb in ["check", "plan", "apply"] {
            let ended = site.play(verb, args);
            assert_eq!(ended.code, 1, "{verb} {args:?}: {}", ended.all());
            assert!(
                ended.stderr.contains(message),
                "{verb} {args:?}: {}",
                ended.all()
            );
            assert!(
                ended.stderr.contains(help),
                "{verb} {args:?}: {}",
                ended.all()
            );
        }
    }
    assert_eq!(site.play("check", &["-l", "two", "-t", "other"]).code, 0);
}

#[test]
fn lists_say_what_would_be_worked_on_and_contact_nobody() {
    let site = Site::with_hosts(&["db", "web1", "web2"])
        .tasks(TAGGED)
        .file("unreachable", "");
    let list = |args: &[&str]| {
        let ended = site.play("check", args);
        assert_eq!(ended.code, 0, "{}", ended.all());
        ended.stdout
    };
    insta::assert_snapshot!(list(&["--list-hosts", "-l", "web*"]), @r"
    web1
    web2
    ");
    insta::assert_snapshot!(list(&["--list-tasks", "-t", "web"]), @r"
    play: all
      web  TAGS: [front, web]
      always  TAGS: [always]
    ");
    insta::assert_snapshot!(list(&["--list-tags"]), @r"
    play: all
      tags: always, front, web
    ");
    assert!(!site.path("state").exists(), "no helper was started");
}

#[test]
fn a_limit_leaves_the_other_hosts_alone() {
    let site = Site::with_hosts(&["one", "two"])
        .tasks("    - copy: {content: x, dest: \"{{ here }}/{{ inventory_hostname }}\"}\n");
    assert_eq!(site.play("apply", &["-l", "two"]).code, 0);
    assert!(site.path("two").exists() && !site.path("one").exists());
}

#[test]
fn a_limit_that_leaves_nobody_is_an_error() {
    let site = Site::with_hosts(&["one", "two"]).tasks("    - debug: {msg: x}\n");
    let ended = site.play("check", &["-l", "two:!two"]);
    assert_eq!(ended.code, 1, "{}", ended.all());
    let ended = site.play("check", &["-l", "three"]);
    assert_eq!(ended.code, 1, "{}", ended.all());
}

/// The second play must find what the first left on all hosts.
const TWO_PLAYS: &str = r#"
- name: first
  hosts: all
  tasks:
    - name: write
      copy: {content: x, dest: "{{ here }}/{{ inventory_hostname }}"}
- name: second
  hosts: one
  tasks:
    - name: all are there
      command: test -e {{ here }}/{{ item }}
      changed_when: false
      loop: "{{ groups.all }}"
"#;

#[test]
fn apply_finishes_a_play_on_all_hosts_before_the_next() {
    let site = Site::with_hosts(&["one", "two", "three"]).file("play.yml", TWO_PLAYS);
    let ended = site.play("apply", &["-f", "1"]);
    assert_eq!(ended.code, 0, "{}", ended.all());
}

#[test]
fn check_looks_at_all_plays_of_a_host_at_once() {
    let site = Site::with_hosts(&["one", "two", "three"]).file("play.yml", TWO_PLAYS);
    assert_eq!(site.apply().code, 0);
    let (document, code) = site.json("check", &["-v"]);
    assert_eq!(code, 0, "{document:#}");
    let plays = |host: usize| -> Vec<String> {
        let resources = document["hosts"][host]["resources"].as_array().unwrap();
        let play = |found: &serde_json::Value| found["play"].as_str().unwrap().to_owned();
        resources.iter().map(play).collect()
    };
    assert_eq!(plays(0), ["first", "second", "second", "second"]);
    assert_eq!(plays(1), ["first"]);
}

#[test]
fn a_host_that_failed_takes_no_part_in_later_plays() {
    let site = Site::with_hosts(&["bad", "good"]).file(
        "play.yml",
        r#"
- hosts: all
  tasks:
    - command: test {{ inventory_hostname }} = good
- hosts: all
  tasks:
    - copy: {content: x, dest: "{{ here }}/{{ inventory_hostname }}"}
"#,
    );
    let ended = site.apply();
    assert_eq!(ended.code, 2, "{}", ended.all());
    assert!(site.path("good").exists() && !site.path("bad").exists());
}

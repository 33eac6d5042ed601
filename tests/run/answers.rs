//! Tasks that the controller answers itself: `assert`, `debug`, `fail`, `set_fact`.

use super::Site;

#[test]
fn facts_that_were_set_are_known_from_there_on() {
    let site = Site::with_tasks(
        r#"
    - set_fact: {half: "{{ facts.processors * 0 + 21 }}"}
    - set_fact: {whole: "{{ half * 2 }}"}
    - copy: {content: "{{ whole }}", dest: "{{ here }}/out"}
"#,
    );
    let ended = site.apply();
    assert_eq!(ended.code, 0, "{}", ended.all());
    assert_eq!(site.read("out"), "42");
}

#[test]
fn a_message_is_shown_with_the_hosts_values() {
    let site = Site::with_tasks("    - debug: {msg: \"this is {{ inventory_hostname }}\"}\n");
    let ended = site.check();
    assert_eq!(ended.code, 0);
    assert!(ended.stdout.contains("this is node1"), "{}", ended.all());
}

#[test]
fn a_condition_that_does_not_hold_stops_the_host_before_the_next_change() {
    for stop in [
        "assert: {that: [\"1 + 1 == 3\"], fail_msg: cannot go on}",
        "fail: {msg: cannot go on}",
    ] {
        let site = Site::with_tasks(&format!(
            r#"
    - name: before
      copy: {{content: "", dest: "{{{{ here }}}}/before"}}
    - name: stop
      {stop}
    - name: after
      copy: {{content: "", dest: "{{{{ here }}}}/after"}}
"#
        ));
        assert_eq!(
            site.statuses("apply", &[]),
            ["before: changed", "stop: failed", "after: skipped"]
        );
        let ended = site.apply();
        assert_eq!(ended.code, 2);
        assert!(ended.stdout.contains("cannot go on"), "{}", ended.all());
        assert!(site.path("before").exists() && !site.path("after").exists());
    }
}

#[test]
fn text_from_the_command_line_is_good_for_yes_and_no() {
    let site = Site::with_tasks(
        r#"
    - lineinfile: {path: "{{ here }}/file", line: x, create: "{{ make }}"}
"#,
    );
    for (value, code) in [("no", 2), ("false", 2), ("yes", 0), ("True", 0)] {
        let _ = std::fs::remove_file(site.path("file"));
        let ended = site.play("apply", &["-e", &format!("make={value}")]);
        assert_eq!(ended.code, code, "{value}: {}", ended.all());
    }
    let ended = site.play("apply", &["-e", "make=maybe"]);
    assert_eq!(ended.code, 1, "{}", ended.all());
    assert!(
        ended
            .stderr
            .contains("expected a boolean, found the text `maybe`"),
        "{}",
        ended.stderr
    );
}

//! What one task finds out and later ones use.

use super::Site;

#[test]
fn a_result_decides_conditions_and_fills_templates() {
    let site = Site::with_tasks(
        r#"
    - name: ask
      command: echo one two
      changed_when: false
      register: answer
    - name: yes
      template: {src: out.tera, dest: "{{ here }}/out"}
      when: answer.stdout == "one two"
    - name: no
      copy: {content: "wrong", dest: "{{ here }}/wrong"}
      when: answer.rc != 0
"#,
    )
    .file(
        "templates/out.tera",
        "{{ answer.stdout }} on {{ facts.architecture }}\n",
    );
    let ended = site.apply();
    assert_eq!(ended.code, 0, "{}", ended.all());
    assert_eq!(
        site.read("out"),
        format!("one two on {}\n", std::env::consts::ARCH)
    );
    assert!(!site.path("wrong").exists());
    // Check runs what declares that it only looks, so it knows the same.
    assert_eq!(
        site.statuses("check", &[]),
        ["ask: ok", "yes: ok", "no: skipped"]
    );
}

#[test]
fn what_check_does_not_run_is_unknown_and_never_guessed() {
    let site = Site::with_tasks(
        r#"
    - name: make
      command: echo made
      register: made
    - name: use
      copy: {content: "{{ made.stdout }}", dest: "{{ here }}/out"}
"#,
    );
    let (document, code) = site.json("check", &[]);
    assert_eq!(code, 3, "{document:#}");
    let used = &document["hosts"][0]["resources"][1];
    assert_eq!(used["status"], "unknown");
    assert_eq!(
        used["message"],
        "cannot be known before apply: depends on `made`, which a task gives"
    );
    assert_eq!(site.apply().code, 0);
    assert_eq!(site.read("out"), "made");
}

/// Every way to read output that was cut: none of them decides, each says why.
#[test]
fn nothing_is_decided_by_output_that_was_cut() {
    for uses in [
        "failed_when: \"'READY' not in out.stdout\"",
        "failed_when: \"'READY' not in out.stdout_lines\"",
        "failed_when: \"out.stderr == '' and out.stdout == ''\"",
        "failed_when: \"'READY' not in out.stdout | default(value='')\"",
        "failed_when: \"'READY' not in out['stdout']\"",
        "until: \"'READY' in out.stdout\"",
    ] {
        let site = Site::with_tasks(&format!(
            r#"
    - shell: "head -c 300000 /dev/zero | tr '\\0' '.'; echo READY"
      changed_when: false
      register: out
      {uses}
"#
        ));
        let said = |document: &serde_json::Value| {
            let resource = &document["hosts"][0]["resources"][0];
            let message = resource["message"].as_str().unwrap_or_default();
            assert!(message.contains("printed was cut"), "{uses}: {message}");
            resource["status"].as_str().unwrap().to_owned()
        };
        let (document, code) = site.json("apply", &[]);
        assert_eq!((said(&document), code), ("failed".to_owned(), 2), "{uses}");
        if !uses.starts_with("until") {
            let (document, code) = site.json("check", &[]);
            assert_eq!((said(&document), code), ("unknown".to_owned(), 3), "{uses}");
        }
    }
}

#[test]
fn later_tasks_do_not_go_by_output_that_was_cut() {
    for uses in [
        "when: \"'READY' in out.stdout\"",
        "when: \"'READY' in copied\"\n      vars: {copied: '{{ out.stdout }}'}",
        "when: \"'READY' in item.stdout\"\n      loop: ['{{ out }}']",
        "when: \"[one for one in each.results if 'READY' in one.stdout] | length > 0\"",
        "changed_when: \"'READY' in out.stdout\"",
    ] {
        let site = Site::with_tasks(&format!(
            r#"
    - shell: "head -c 300000 /dev/zero | tr '\\0' '.'; echo READY"
      changed_when: false
      register: out
    - shell: "head -c 300000 /dev/zero"
      changed_when: false
      loop: [1]
      register: each
    - name: uses
      command: "true"
      {uses}
"#
        ));
        let (document, code) = site.json("apply", &[]);
        assert_eq!(code, 2, "{uses}");
        let resources = document["hosts"][0]["resources"].as_array().unwrap();
        let message = resources.last().unwrap()["message"].as_str();
        assert!(
            message.unwrap_or_default().contains("printed was cut"),
            "{uses}: {document:#}"
        );
    }
}

#[test]
fn what_is_whole_of_a_result_decides_though_its_output_was_cut() {
    let site = Site::with_tasks(
        r#"
    - shell: "head -c 300000 /dev/zero"
      changed_when: false
      register: out
      failed_when: "out.rc != 0"
    - command: echo short
      changed_when: false
      register: other
    - copy: {content: "{{ out.truncated }} {{ other.truncated }}", dest: "{{ here }}/out"}
      when: out.rc == 0 and other.stdout == 'short'
"#,
    );
    let ended = site.apply();
    assert_eq!(ended.code, 0, "{}", ended.all());
    assert_eq!(site.read("out"), "true false");
}

#[test]
fn a_loop_registers_one_result_per_item() {
    let site = Site::with_tasks(
        r#"
    - command: "echo {{ item }}"
      changed_when: false
      loop: [a, b, c]
      register: letters
    - copy:
        content: "{% for one in letters.results %}{{ one.stdout }}{% endfor %}"
        dest: "{{ here }}/out"
    - copy: {content: "{{ item.stdout }}", dest: "{{ here }}/{{ item.stdout }}.txt"}
      loop: "{{ letters.results }}"
"#,
    );
    let ended = site.apply();
    assert_eq!(ended.code, 0, "{}", ended.all());
    assert_eq!(site.read("out"), "abc");
    assert_eq!(site.read("b.txt"), "b");
}

#[test]
fn until_repeats_until_it_holds() {
    let site = Site::with_tasks(
        r#"
    - shell: "echo x >> {{ here }}/tries; wc -l < {{ here }}/tries"
      register: tries
      until: tries.stdout | int >= 3
      retries: 5
      delay: 0
"#,
    );
    let ended = site.apply();
    assert_eq!(ended.code, 0, "{}", ended.all());
    assert_eq!(site.read("tries"), "x\nx\nx\n");
}

#[test]
fn until_that_never_holds_is_a_failure() {
    let site = Site::with_tasks(
        r#"
    - name: never
      shell: "echo x >> {{ here }}/tries"
      until: false
      retries: 2
      delay: 0
"#,
    );
    let (document, code) = site.json("apply", &[]);
    assert_eq!(code, 2);
    assert_eq!(
        document["hosts"][0]["resources"][0]["message"],
        "`until` was not met in 2 attempts"
    );
    assert_eq!(site.read("tries"), "x\nx\n");
}

#[test]
fn the_playbook_has_the_last_word_on_changed_and_failed() {
    let site = Site::with_tasks(
        r#"
    - name: changed only if it says so
      shell: echo nothing to do
      register: said
      changed_when: "'changed' in said.stdout"
    - name: failed although the exit code is 0
      shell: echo ERROR
      register: said
      failed_when: "'ERROR' in said.stdout"
      ignore_errors: true
    - name: fine although the exit code is 3
      shell: exit 3
      register: said
      failed_when: said.rc > 3
      changed_when: false
"#,
    );
    assert_eq!(
        site.statuses("apply", &[]),
        [
            "changed only if it says so: ok",
            "failed although the exit code is 0: failed",
            "fine although the exit code is 3: ok",
        ]
    );
    assert_eq!(site.apply().code, 0, "the one failure is ignored");
}

#[test]
fn an_ignored_failure_lets_the_host_go_on_and_can_be_asked_for() {
    let site = Site::with_tasks(
        r#"
    - command: "false"
      ignore_errors: true
      register: attempt
    - copy: {content: "rc={{ attempt.rc }}", dest: "{{ here }}/out"}
      when: attempt.failed
"#,
    );
    let ended = site.apply();
    assert_eq!(ended.code, 0, "{}", ended.all());
    assert_eq!(site.read("out"), "rc=1");
    assert!(ended.stdout.contains("ignored=1"), "{}", ended.stdout);
}

#[test]
fn what_comes_after_a_failure_is_not_run_and_is_counted_the_same_every_time() {
    let site = Site::with_tasks(
        r#"
    - name: fails
      command: "false"
    - name: static
      copy: {content: "", dest: "{{ here }}/static"}
    - name: message
      debug: {msg: not said}
    - name: asks
      command: "true"
      register: asked
    - name: depends
      copy: {content: "{{ asked.stdout }}", dest: "{{ here }}/depends"}
    - name: many
      file: {path: "{{ here }}/many{{ item }}", state: directory}
      loop: [1, 2, 3]
"#,
    );
    for _ in 0..3 {
        let (document, code) = site.json("apply", &[]);
        assert_eq!(code, 2);
        let host = &document["hosts"][0];
        assert_eq!(host["counts"]["failed"], 1, "{document:#}");
        assert_eq!(host["counts"]["ok"], 0, "{document:#}");
        assert_eq!(host["counts"]["skipped"], 7, "{document:#}");
        for resource in host["resources"].as_array().unwrap().iter().skip(1) {
            assert_eq!(
                resource["message"], "not run: an earlier task failed",
                "{resource:#}"
            );
        }
    }
    assert!(!site.path("static").exists() && !site.path("many1").exists());
}

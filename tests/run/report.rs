//! The report of a real run, in full.

use super::Site;

fn site() -> Site {
    Site::with_tasks(
        r#"
    - name: same
      copy: {content: "same\n", dest: "{{ here }}/same"}
    - name: differs
      copy: {content: "new\n", dest: "{{ here }}/differs"}
      severity: high
      notify: restart
    - name: not here
      debug: {msg: ""}
      when: inventory_hostname == "other"
    - name: cannot be told
      lineinfile: {path: "{{ here }}/missing", line: x}
  handlers:
    - name: restart
      command: "true"
"#,
    )
    .file("same", "same\n")
    .file("differs", "old\n")
}

/// What differs from run to run.
fn filters() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.add_filter(
        r#""run_id": "\d{8}T\d{6}\.\d{3}Z-[0-9a-f]{4}""#,
        "\"run_id\": \"[RUN]\"",
    );
    settings.add_filter(
        r#""(started_at|first_seen)": "[0-9T:-]+Z""#,
        "\"$1\": \"[TIME]\"",
    );
    settings.add_filter(r#""duration_ms": \d+"#, "\"duration_ms\": \"[MS]\"");
    settings.add_filter(r#""cpu_ms": \d+"#, "\"cpu_ms\": \"[MS]\"");
    settings.add_filter(r"in \d+(\.\d+)? ?m?s", "in [TIME]");
    settings
}

#[test]
fn json_is_the_document_that_was_promised() {
    let ended = site().play("check", &["--format", "json"]);
    assert_eq!(ended.code, 2, "{}", ended.all());
    filters().bind(|| {
        insta::assert_snapshot!(ended.stdout, @r#"
    {
      "schema_version": 1,
      "run_id": "[RUN]",
      "command": "check",
      "playbook": "play.yml",
      "started_at": "[TIME]",
      "duration_ms": "[MS]",
      "exit_code": 2,
      "summary": {
        "hosts": 1,
        "in_sync": 0,
        "drifted": 1,
        "changed": 0,
        "failed": 0,
        "unknown": 0,
        "unreachable": 0,
        "untouched": 0
      },
      "hosts": [
        {
          "host": "node1",
          "status": "drifted",
          "duration_ms": "[MS]",
          "cpu_ms": "[MS]",
          "counts": {
            "ok": 1,
            "drift": 1,
            "changed": 0,
            "failed": 0,
            "unknown": 1,
            "skipped": 1,
            "waived": 0,
            "ignored": 0,
            "hidden": 0
          },
          "resources": [
            {
              "play": "all",
              "role": null,
              "task": "differs",
              "kind": "copy",
              "id": "[HERE]/differs",
              "status": "drift",
              "severity": "high",
              "drift": [
                {
                  "attribute": "content",
                  "expected": "sha256:7aa7a5359173 (4 bytes)",
                  "actual": "sha256:01d09d19c213 (4 bytes)",
                  "change": "update",
                  "severity": "high",
                  "first_seen": "[TIME]"
                }
              ],
              "notifies": [
                "restart"
              ]
            },
            {
              "play": "all",
              "role": null,
              "task": "not here",
              "kind": "debug",
              "id": "not here",
              "status": "skipped",
              "severity": "medium",
              "message": "the condition is false",
              "drift": []
            },
            {
              "play": "all",
              "role": null,
              "task": "cannot be told",
              "kind": "lineinfile",
              "id": "[HERE]/missing: x",
              "status": "unknown",
              "severity": "medium",
              "message": "cannot be known before apply: [HERE]/missing does not exist; say `create: yes` if it should be made",
              "drift": []
            }
          ]
        }
      ]
    }
    "#);
    });
}

#[test]
fn text_says_the_same() {
    let ended = site().play("check", &["-D"]);
    assert_eq!(ended.code, 2, "{}", ended.all());
    filters().bind(|| {
        insta::assert_snapshot!(ended.stdout, @r#"
    ~ copy [HERE]/differs  content: sha256:01d09d19c213 (4 bytes) → sha256:7aa7a5359173 (4 bytes)  (high)   [node1]
        --- [HERE]/differs
        +++ [HERE]/differs
        @@ -1 +1 @@
        -old
        +new
        → notifies restart
    ? lineinfile [HERE]/missing: x  cannot be known before apply: [HERE]/missing does not exist; say `create: yes` if it should be made   [node1]

    PLAY RECAP *********************************************************************
    node1                      : ok=1    changed=0    unreachable=0    failed=0    skipped=1    rescued=0    ignored=0    drift=1    waived=0    unknown=1

    Drift: 1 resource on 1 of 1 host; 1 resource could not be told on 1 host.
    "#);
    });
}

#[test]
fn quiet_and_in_sync_is_silent() {
    let site =
        Site::with_tasks("    - copy: {content: x, dest: \"{{ here }}/x\"}\n").file("x", "x");
    let ended = site.play("check", &["-q"]);
    assert_eq!(ended.all(), "exit 0\n----- stdout\n----- stderr\n");
}

/// Before anything is changed, and how long there is.
#[test]
fn a_plan_says_what_will_have_to_be_confirmed() {
    let site = Site::with_tasks(
        "    - sysctl: {name: net.ipv4.tcp_fin_timeout, value: 59, confirm_timeout: 120}\n",
    );
    let remark =
        "\n    may cut the host off: taken back unless fleet can connect anew within 120 s\n";
    let ended = site.play("plan", &[]);
    assert_eq!(ended.code, 2, "{}", ended.all());
    assert!(ended.stdout.contains(remark), "{}", ended.all());
    for (more, told) in [(&[][..], false), (&["-v"], true)] {
        let ended = site.play("check", more);
        assert_eq!(ended.stdout.contains(remark), told, "{}", ended.all());
    }
    let site = site.tasks("    - copy: {dest: /x, content: x, confirm_timeout: 120}\n");
    let ended = site.play("plan", &[]);
    assert_eq!(ended.code, 1, "{}", ended.all());
    assert!(ended.stderr.contains("confirm_timeout"), "{}", ended.all());
}

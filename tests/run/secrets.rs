//! `no_log`: what is declared secret shows up nowhere.

use super::Site;

const SECRET: &str = "hunter2-and-more";

/// Every way a value can get into a report: a content, a program's words and output, a loop's
/// items, a message, a failure, an error in a template.
fn site() -> Site {
    Site::with_tasks(
        r#"
    - copy: {content: "password={{ secret }}\n", dest: "{{ here }}/file"}
      no_log: true
    - lineinfile: {path: "{{ here }}/file", line: "again={{ secret }}"}
      no_log: true
    - name: "loop {{ item }}"
      copy: {content: "{{ item }}", dest: "{{ here }}/item"}
      loop: ["{{ secret }}"]
      no_log: true
    - command: "echo {{ secret }}"
      no_log: true
      register: printed
    - shell: "echo {{ secret }} >&2"
      no_log: true
      changed_when: false
    - debug: {msg: "{{ printed.stdout }}"}
      no_log: true
    - assert: {that: ["secret == 'other'"], fail_msg: "it is {{ secret }}"}
      no_log: true
      ignore_errors: true
    - command: "ls /{{ secret }}"
      no_log: true
      ignore_errors: true
    - shell: "echo {{ secret }}; exit 1"
      register: judged
      failed_when: judged.rc == 1
      no_log: true
      ignore_errors: true
    - copy: {content: x, dest: "{{ here }}/x", mode: "{{ printed.stdout }}"}
      no_log: true
      ignore_errors: true
"#,
    )
    .file("secrets.yml", &format!("secret: {SECRET}\n"))
}

#[test]
fn nothing_of_a_task_with_no_log_is_shown() {
    for verb in ["plan", "check", "apply"] {
        for args in [&["-v", "-D"][..], &["-v", "-D", "--format", "json"], &[]] {
            let site = site();
            let ended = site.play(verb, &[&["-e", "@secrets.yml"], args].concat());
            assert!(
                !ended.all().contains(SECRET),
                "{verb} {args:?}: {}",
                ended.all()
            );
            if verb == "apply" {
                assert!(site.read("file").contains(SECRET), "{}", ended.all());
            }
        }
    }
}

#[test]
fn an_error_before_contact_shows_the_place_and_not_the_value() {
    let site = Site::with_tasks(
        r#"
    - copy: {content: x, dest: /x, mode: "{{ secret }}"}
      no_log: true
"#,
    );
    let ended = site.play("check", &["-e", &format!("secret={SECRET}")]);
    insta::assert_snapshot!(ended.all(), @r#"
    exit 1
    ----- stdout
    ----- stderr
    error: refused; the reason is hidden by `no_log`
     --> play.yml:4:42
      |
    4 |     - copy: {content: x, dest: /x, mode: "{{ secret }}"}
      |                                          ^^^^^^^^^^^^^^

    error: 1 error in the configuration; no host was contacted
    "#);
}

#[test]
fn the_secret_is_on_no_command_line_and_in_no_file_of_fleets_own() {
    let site = Site::with_tasks(
        r#"
    - copy: {content: "{{ secret }}", dest: "{{ here }}/out/file"}
      no_log: true
      notify: look
  handlers:
    - name: look
      shell: |
        ! grep -l {{ pattern }} /proc/[0-9]*/cmdline && ! grep -rl {{ pattern }} {{ here }}/state
"#,
    )
    .file("out/keep", "")
    .file("secrets.yml", &format!("secret: {SECRET}\n"));
    let ended = site.play(
        "apply",
        // The handler's own words must not match.
        &["-e", "@secrets.yml", "-e", "pattern=hunter[2]-and-more"],
    );
    assert_eq!(ended.code, 0, "{}", ended.all());
    assert_eq!(site.read("out/file"), SECRET);
}

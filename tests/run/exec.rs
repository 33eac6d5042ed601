//! `fleet exec` and `fleet facts`.

use super::Site;

#[test]
fn arguments_reach_the_program_as_they_are() {
    let site = Site::local();
    let words = [
        "{{ facts.hostname }}",
        "{% raw %}",
        "a  b",
        "it's",
        "\"quoted\"",
        "$HOME `id` ; # \\n",
        "",
        "*",
    ];
    let ended = site.fleet(&[&["exec", "all", "--", "printf", "[%s]\\n"][..], &words].concat());
    assert_eq!(ended.code, 0, "{}", ended.all());
    let lines = words.map(|word| format!("[{word}]\n"));
    assert_eq!(
        ended.stdout,
        format!("node1 | CHANGED | rc=0 >>\n{}", lines.concat())
    );
}

#[test]
fn every_host_answers_and_one_that_fails_sets_the_exit_code() {
    let site = Site::with_hosts(&["one", "two"]);
    let ended = site.fleet(&[
        "exec",
        "all",
        "--",
        "sh",
        "-c",
        "echo out; echo err >&2; exit 3",
    ]);
    assert_eq!(ended.code, 2, "{}", ended.all());
    insta::assert_snapshot!(ended.stdout, @r"
    one | FAILED | rc=3 >>
    out
    err
    two | FAILED | rc=3 >>
    out
    err
    ");
}

#[test]
fn facts_are_one_json_object_per_host() {
    let site = Site::with_hosts(&["one", "two"]);
    let ended = site.fleet(&["facts", "all"]);
    assert_eq!(ended.code, 0, "{}", ended.all());
    let facts: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    for host in ["one", "two"] {
        assert_eq!(facts[host]["architecture"], std::env::consts::ARCH);
        assert!(facts[host]["memory_bytes"].as_u64().unwrap() > 0);
        assert!(!facts[host]["kernel"].as_str().unwrap().is_empty());
    }
}

#[test]
fn a_program_runs_as_the_user_the_task_names() {
    // Only root can become someone else without a password.
    assert!(rustix::process::geteuid().is_root(), "this test needs root");
    let site = Site::with_tasks(
        r#"
    - command: id -un
      run_as: nobody
      changed_when: false
      register: who
    - assert: {that: ["who.stdout == 'nobody'"]}
"#,
    );
    let ended = site.apply();
    assert_eq!(ended.code, 0, "{}", ended.all());
}

//! What fleet made and nothing declares any more.

use std::fs;

use super::Site;

/// Two files, a link and a directory with one of the files in it.
const ALL: &str = r#"
    - name: a directory
      file: { path: "{{ here }}/d", state: directory }
    - name: a file in it
      severity: high
      copy: { dest: "{{ here }}/d/x", content: x }
    - name: a link
      file: { path: "{{ here }}/l", state: link, src: d }
    - name: others
      file: { path: "{{ here }}/{{ item }}", state: touch }
      loop: [one, two]
"#;

const SOME: &str = r#"
    - name: others
      file: { path: "{{ here }}/{{ item }}", state: touch }
      loop: [one]
"#;

fn applied(site: Site) -> Site {
    let ended = site.apply();
    assert_eq!(ended.code, 0, "{}", ended.all());
    site
}

/// The orphans a run tells of, as `kind id: status`.
fn orphans(site: &Site, verb: &str, args: &[&str]) -> (Vec<String>, i32) {
    let (document, code) = site.json(verb, args);
    let resources = document["hosts"][0]["resources"].as_array().unwrap();
    let is_orphan = |found: &&serde_json::Value| {
        found["message"]
            .as_str()
            .unwrap_or_default()
            .contains("no longer declared")
            || found["drift"][0]["attribute"] == "orphan"
    };
    let line = |found: &serde_json::Value| {
        let text = |key: &str| found[key].as_str().unwrap().replace("[HERE]", "");
        format!("{} {}: {}", text("kind"), text("id"), text("status"))
    };
    (resources.iter().filter(is_orphan).map(line).collect(), code)
}

/// How many differences `fleet drift` knows to be open.
fn remembered(site: &Site) -> usize {
    let ended = site.fleet(&["drift", "--format", "json"]);
    let document: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    document["findings"].as_array().unwrap().len()
}

fn none(found: &(Vec<String>, i32)) -> bool {
    found.0.is_empty() && found.1 == 0
}

#[test]
fn check_finds_what_is_no_longer_declared_and_prune_removes_it() {
    let site = applied(Site::with_tasks(ALL));
    assert!(none(&orphans(&site, "check", &[])));
    let site = site.tasks(SOME);
    let check = site.check();
    assert_eq!(check.code, 2, "{}", check.all());
    insta::assert_snapshot!(check.stdout, @"
    - file [HERE]/two  orphan: made by `others`, no longer declared → absent   [node1]
    - file [HERE]/l  orphan: made by `a link`, no longer declared → absent   [node1]
    - copy [HERE]/d/x  orphan: made by `a file in it`, no longer declared → absent  (high)   [node1]
    - file [HERE]/d  orphan: made by `a directory`, no longer declared → absent   [node1]

    PLAY RECAP *********************************************************************
    node1                      : ok=1    changed=0    unreachable=0    failed=0    skipped=0    rescued=0    ignored=0    drift=4    waived=0

    Drift: 4 resources on 1 of 1 host.
    ");
    let (document, _) = site.json("check", &[]);
    let severities: Vec<_> = document["hosts"][0]["resources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|found| found["severity"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(severities, ["medium", "medium", "high", "medium"]);

    // An apply that was not told to prune says what it leaves, and is content.
    let expected = |status: &str| {
        ["file /two", "file /l", "copy /d/x", "file /d"].map(|id| format!("{id}: {status}"))
    };
    assert_eq!(orphans(&site, "apply", &[]), (expected("ok").into(), 0));
    assert!(site.path("d/x").exists());
    assert_eq!(remembered(&site), 4);

    assert_eq!(
        orphans(&site, "apply", &["--prune"]),
        (expected("changed").into(), 0)
    );
    for gone in ["two", "l", "d"] {
        assert!(fs::symlink_metadata(site.path(gone)).is_err(), "{gone}");
    }
    assert!(site.path("one").exists());
    assert_eq!(remembered(&site), 0);
    assert!(none(&orphans(&site, "check", &[])));
    assert!(none(&orphans(&site, "apply", &["--prune"])));
}

#[test]
fn what_was_there_before_fleet_is_never_an_orphan() {
    let site = Site::with_tasks(
        r#"
    - copy: { dest: "{{ here }}/theirs", content: ours }
    - file: { path: "{{ here }}/dir", state: directory, mode: 0700 }
    - lineinfile: { path: "{{ here }}/list", line: ours }
"#,
    )
    .file("theirs", "theirs")
    .file("list", "theirs\n");
    fs::create_dir(site.path("dir")).unwrap();
    let site = applied(site).tasks(SOME);
    let site = applied(site);
    assert!(none(&orphans(&site, "check", &[])));
}

#[test]
fn a_directory_with_something_in_it_stays() {
    let site = applied(Site::with_tasks(ALL))
        .tasks(SOME)
        .file("d/theirs", "");
    let ended = site.play("apply", &["--prune"]);
    assert_eq!(ended.code, 2, "{}", ended.all());
    assert!(ended.stdout.contains("d is not empty"), "{}", ended.stdout);
    assert!(site.path("d/theirs").exists() && !site.path("d/x").exists());
    // It is found again until it is gone.
    assert_eq!(
        orphans(&site, "check", &[]),
        (vec!["file /d: drift".to_owned()], 2)
    );
    fs::remove_dir_all(site.path("d")).unwrap();
    assert!(none(&orphans(&site, "check", &[])));
}

#[test]
fn another_task_role_or_kind_that_declares_it_is_its_owner() {
    let site = applied(Site::with_tasks(ALL)).file(
        "roles/moved/tasks/main.yml",
        r#"
- { name: under another name, copy: { dest: "{{ here }}/d/x", content: x } }
- { name: now a line in it, lineinfile: { path: "{{ here }}/one", line: a } }
- { name: with a content, copy: { dest: "{{ here }}/two", content: b } }
- { name: dir, file: { path: "{{ here }}/d", state: directory } }
- { name: gone on purpose, file: { path: "{{ here }}/l", state: absent } }
"#,
    );
    let site = site.file("play.yml", "- hosts: all\n  roles: [moved]\n");
    assert_eq!(orphans(&site, "check", &[]).0, Vec::<String>::new());
    let site = applied(site);
    assert!(none(&orphans(&site, "apply", &["--prune"])));
    assert!(site.path("d/x").exists());
}

#[test]
fn a_task_that_is_skipped_keeps_what_it_made() {
    let site = applied(Site::with_tasks(ALL));
    let site = site.tasks(&ALL.replace(
        "loop: [one, two]",
        "loop: [one, two]\n      when: facts.kernel == \"\"",
    ));
    assert!(none(&orphans(&site, "check", &[])));
    assert!(none(&orphans(&site, "apply", &["--prune"])));
    assert!(site.path("two").exists());
}

#[test]
fn nothing_is_missing_from_a_run_that_was_not_complete() {
    let tagged = ALL.replace(
        "file: { path: \"{{ here }}/l\"",
        "tags: [t]\n      file: { path: \"{{ here }}/l\"",
    );
    let site =
        applied(Site::with_tasks(&tagged)).tasks(&SOME.replace("loop:", "tags: [t]\n      loop:"));
    assert!(none(&orphans(&site, "check", &["-t", "t"])));
    let usage = site.play("apply", &["-t", "t", "--prune"]);
    assert_eq!(usage.code, 1, "{}", usage.all());
    // A run that failed did not get to the rest.
    let site = site.tasks("    - command: \"false\"\n");
    let failed = site.play("apply", &["--prune"]);
    assert_eq!(failed.code, 2, "{}", failed.all());
    assert!(site.path("d/x").exists());
    assert!(
        !failed.stdout.contains("no longer declared"),
        "{}",
        failed.stdout
    );
}

#[test]
fn all_plays_of_a_playbook_declare_together_and_playbooks_do_not() {
    let play = |tasks: &str| format!("- hosts: all\n  tasks:\n{tasks}");
    let [one, two] = ["one", "two"].map(|name| {
        play(&format!(
            "    - file: {{ path: \"{{{{ here }}}}/{name}\", state: touch }}\n"
        ))
    });
    let site = applied(Site::local().file("play.yml", &format!("{one}{two}")));
    for verb in ["check", "apply"] {
        assert!(none(&orphans(&site, verb, &[])), "{verb}");
    }
    // The plays changed places, and one file is declared by another playbook too.
    let site = applied(site.file("play.yml", &format!("{two}{one}")));
    let here = format!("here={}", site.path("").display());
    let site = site.file("other.yml", &two);
    let other = site.fleet(&["apply", "other.yml", "--yes", "-e", &here]);
    assert_eq!(other.code, 0, "{}", other.all());
    let site = site.file("play.yml", &one);
    assert!(none(&orphans(&site, "check", &[])));
    assert!(none(&orphans(&site, "apply", &["--prune"])));
    assert!(site.path("two").exists(), "another playbook declares it");

    let site = site.file("other.yml", &one);
    let other = site.fleet(&["check", "other.yml", "-e", &here]);
    assert_eq!(other.code, 2, "{}", other.all());
    assert!(other.stdout.contains("/two  orphan:"), "{}", other.stdout);
}

#[test]
fn no_secret_and_no_content_is_remembered() {
    let site = applied(Site::with_tasks(
        r#"
    - copy: { dest: "{{ here }}/x", content: correct-horse }
    - name: unnamed
      no_log: true
      copy: { dest: "{{ here }}/hidden", content: battery-staple }
"#,
    ));
    let ledger = site.read("state/ledger.jsonl");
    assert!(
        ledger.contains("/x") && !ledger.contains("horse") && !ledger.contains("staple"),
        "{ledger}"
    );
    let check = site.tasks(SOME).check();
    assert!(
        check.stdout.contains("copy (hidden)  orphan:"),
        "{}",
        check.stdout
    );
}

#[test]
fn a_damaged_ledger_is_named_and_says_the_way_out() {
    let site = applied(Site::with_tasks(ALL)).file("state/ledger.jsonl", "[{\n");
    let check = site.check();
    assert_eq!(check.code, 2, "{}", check.all());
    assert!(
        check.stdout.contains("ledger.jsonl cannot be understood"),
        "{}",
        check.stdout
    );
}

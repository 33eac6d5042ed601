//! What a check leaves behind for the next one: `.fleet/`, `--only-new`, `fleet drift`, `fleet
//! runs`.

use std::fs;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::Site;
use crate::cli::Ended;

/// Two files that are not there, of different severity.
fn site() -> Site {
    Site::with_tasks(
        r#"
    - copy: {content: a, dest: "{{ here }}/a"}
      severity: high
    - copy: {content: b, dest: "{{ here }}/b"}
"#,
    )
}

/// Times, ids and durations differ from run to run.
fn steady(text: &str) -> String {
    let filters = [
        (r"\d{8}T\d{6}\.\d{3}Z-[0-9a-f]{4}", "[RUN]"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "[TIME]"),
        (r"\b\d+[smh]\b", "[AGE]"),
        // Columns are as wide as what is in them.
        (" {2,}", "  "),
    ];
    filters
        .into_iter()
        .fold(text.to_owned(), |text, (pattern, with)| {
            let pattern = regex_lite::Regex::new(pattern).unwrap();
            pattern.replace_all(&text, with).into_owned()
        })
}

fn findings(site: &Site, args: &[&str]) -> Vec<Value> {
    let ended = site.fleet(&[&["drift", "--format", "json"], args].concat());
    assert_eq!(ended.code, 0, "{}", ended.all());
    let document: Value = serde_json::from_str(&ended.stdout).unwrap();
    document["findings"].as_array().unwrap().clone()
}

fn quiet(site: &Site, args: &[&str]) -> Ended {
    site.play("check", &[&["-q"], args].concat())
}

#[test]
fn only_what_no_check_has_seen_is_news() {
    let site = site();
    let first = quiet(&site, &["--only-new"]);
    assert_eq!(first.code, 2, "{}", first.all());
    assert!(first.stdout.contains("2 resources"), "{}", first.all());

    let again = quiet(&site, &["--only-new"]);
    assert_eq!(
        (again.code, &*again.all()),
        (0, "exit 0\n----- stdout\n----- stderr\n")
    );
    // Since yesterday, the first check is news.
    let since = quiet(&site, &["--only-new", "--since", "24h"]);
    assert_eq!(since.code, 2, "{}", since.all());
    let later = quiet(&site, &["--only-new", "--since", "2999-01-01"]);
    assert_eq!(later.code, 0, "{}", later.all());
    // Without the flag, everything is said.
    assert_eq!(quiet(&site, &[]).code, 2);

    // What was mended and drifts again is news.
    assert_eq!(site.apply().code, 0);
    assert_eq!(findings(&site, &[]).len(), 0);
    fs::remove_file(site.path("b")).unwrap();
    let broken = quiet(&site, &["--only-new"]);
    assert_eq!(broken.code, 2, "{}", broken.all());
    assert!(broken.stdout.contains("1 resource "), "{}", broken.all());
}

#[test]
fn what_is_known_is_counted_and_dated() {
    let site = site();
    let (first, _) = site.json("check", &[]);
    let since =
        |document: &Value| document["hosts"][0]["resources"][0]["drift"][0]["first_seen"].clone();
    assert_eq!(since(&first), first["started_at"]);
    std::thread::sleep(Duration::from_millis(1_100));
    let (second, code) = site.json("check", &[]);
    assert_eq!((since(&second), code), (since(&first), 2));
    let (third, code) = site.json("check", &["--only-new"]);
    assert_eq!((&third["exit_code"], code), (&Value::from(0), 0));
    assert_eq!(third["hosts"][0]["counts"]["hidden"], 2);
    assert_eq!(third["hosts"][0]["resources"], Value::Array(vec![]));
}

#[test]
fn open_findings_are_listed_the_worst_first() {
    let site = site();
    assert_eq!(
        site.fleet(&["drift"]).stdout,
        "No drift is remembered here.\n"
    );
    assert_eq!(site.check().code, 2);
    let listed = site.fleet(&["drift"]);
    insta::assert_snapshot!(steady(&listed.all()), @"
    exit 0
    ----- stdout
    AGE  SEVERITY  HOST  ROLE  FINDING
    [AGE]  high  node1  copy [HERE]/a  content: absent → sha256:ca978112ca1b (1 bytes)
    [AGE]  medium  node1  copy [HERE]/b  content: absent → sha256:3e23e8160039 (1 bytes)

    2 open findings.
    ----- stderr
    ");
    for (args, count) in [
        (&["--severity", "high"][..], 1),
        (&["--severity", "critical"], 0),
        (&["--host", "node*", "--kind", "copy"], 2),
        (&["--host", "web*"], 0),
        (&["--role", "docker"], 0),
    ] {
        assert_eq!(findings(&site, args).len(), count, "{args:?}");
    }
}

#[test]
fn the_history_of_a_host_shows_what_is_over_too() {
    let site = site();
    assert_eq!(site.check().code, 2);
    assert_eq!(site.apply().code, 0);
    fs::remove_file(site.path("b")).unwrap();
    assert_eq!(site.check().code, 2);
    let listed = site.fleet(&["drift", "--host", "node1", "--history"]);
    insta::assert_snapshot!(steady(&listed.all()), @"
    exit 0
    ----- stdout
    FIRST SEEN  LAST SEEN  GONE  HOST  FINDING
    [TIME]  [TIME]  [TIME]  node1  copy [HERE]/a  content: absent → sha256:ca978112ca1b (1 bytes)
    [TIME]  [TIME]  [TIME]  node1  copy [HERE]/b  content: absent → sha256:3e23e8160039 (1 bytes)
    [TIME]  [TIME]  open  node1  copy [HERE]/b  content: absent → sha256:3e23e8160039 (1 bytes)
    ----- stderr
    ");
    let document = findings(&site, &["--history"]);
    assert_eq!(document.len(), 3);
    assert_eq!(
        document[0]["resolved"]["run_id"],
        document[1]["resolved"]["run_id"]
    );
    assert_eq!(document[2]["resolved"], Value::Null);
}

#[test]
fn runs_are_listed_the_latest_first() {
    let site = site();
    assert_eq!(site.fleet(&["runs"]).stdout, "No run is remembered here.\n");
    assert_eq!(site.check().code, 2);
    // A plan is a look before an apply: what it shows must not be old news to the next check.
    assert_eq!(site.play("plan", &[]).code, 2);
    assert_eq!(site.apply().code, 0);
    let listed = site.fleet(&["runs"]);
    insta::assert_snapshot!(steady(&listed.all()), @"
    exit 0
    ----- stdout
    RUN  COMMAND  PLAYBOOK  STARTED  TOOK  HOSTS  EXIT
    [RUN]  apply  play.yml  [TIME]  [AGE]  1  0
    [RUN]  check  play.yml  [TIME]  [AGE]  1  2
    ----- stderr
    ");
    let one = site.fleet(&["runs", "--limit", "1", "--format", "json"]);
    let document: Value = serde_json::from_str(&one.stdout).unwrap();
    let run = &document["runs"][0];
    assert_eq!(document["runs"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&run["command"], &run["exit_code"]),
        (&"apply".into(), &0.into())
    );
}

#[test]
fn a_check_of_some_tags_or_hosts_leaves_the_rest_as_it_was() {
    let site = Site::with_hosts(&["node1", "node2"]).tasks(
        r#"
    - copy: {content: a, dest: "{{ here }}/{{ inventory_hostname }}-a"}
      tags: one
    - copy: {content: b, dest: "{{ here }}/{{ inventory_hostname }}-b"}
"#,
    );
    assert_eq!(site.check().code, 2);
    assert_eq!(findings(&site, &[]).len(), 4);
    for name in ["node1-a", "node1-b", "node2-a", "node2-b"] {
        fs::write(site.path(name), &name[6..]).unwrap();
    }
    let ended = site.play("check", &["-l", "node1", "-t", "one"]);
    assert_eq!(ended.code, 0, "{}", ended.all());
    assert_eq!(findings(&site, &[]).len(), 3);
    assert_eq!(site.play("check", &["-l", "node1"]).code, 0);
    assert_eq!(findings(&site, &[]).len(), 2);
    assert_eq!(site.check().code, 0);
    assert_eq!(findings(&site, &[]).len(), 0);
}

#[test]
fn mild_drift_can_be_left_out() {
    let site = site();
    let ended = quiet(&site, &["--min-severity", "high"]);
    assert_eq!(ended.code, 2, "{}", ended.all());
    assert!(!ended.stdout.contains("[HERE]/b"), "{}", ended.all());
    assert!(
        ended.stdout.contains("1 resource not shown"),
        "{}",
        ended.all()
    );
    let ended = quiet(&site, &["--min-severity", "critical"]);
    assert_eq!(ended.code, 0, "{}", ended.all());
    // It is remembered all the same.
    assert_eq!(findings(&site, &[]).len(), 2);
    let wrong = quiet(&site, &["--min-severity", "bad"]);
    assert_eq!(wrong.code, 1);
}

#[test]
fn a_store_that_cannot_be_used_costs_a_warning_and_nothing_else() {
    let site = site().file(".fleet", "not a directory");
    let ended = site.check();
    assert_eq!(ended.code, 2);
    assert!(ended.stdout.contains("2 resources"), "{}", ended.all());
    assert_eq!(
        ended.stderr.lines().take(2).collect::<Vec<_>>(),
        [
            "warning: this run is not remembered",
            "  caused by: cannot use `[HERE]/.fleet`: it is no directory"
        ],
    );
    // Nothing is known to be old.
    assert_eq!(site.play("check", &["--only-new"]).code, 2);

    fs::remove_file(site.path(".fleet")).unwrap();
    assert_eq!(site.check().code, 2);
    fs::write(site.path(".fleet/memory.db"), "rubbish".repeat(1_000)).unwrap();
    let ended = site.check();
    assert_eq!(ended.code, 2);
    assert!(
        ended.stderr.contains("hint: move it away"),
        "{}",
        ended.all()
    );
    let ended = site.fleet(&["drift"]);
    assert_eq!(ended.code, 1, "{}", ended.all());
    assert!(
        ended.stderr.contains("error: the drift cannot be listed"),
        "{}",
        ended.all()
    );
}

#[test]
fn several_checks_at_once_are_all_remembered() {
    let site = site();
    let here = format!("here={}", site.path("").display());
    let checks: Vec<_> = (0..8)
        .map(|_| site.start(&["check", "play.yml", "-e", &here]))
        .collect();
    for check in checks {
        let ended = site.end_of(check);
        assert_eq!(
            (ended.code, ended.stderr.contains("warning")),
            (2, false),
            "{}",
            ended.all()
        );
    }
    let runs = site.fleet(&["runs", "--format", "json"]);
    let runs: Value = serde_json::from_str(&runs.stdout).unwrap();
    assert_eq!(runs["runs"].as_array().unwrap().len(), 8);
    assert_eq!(findings(&site, &["--history"]).len(), 2);
}

#[test]
fn a_check_killed_at_any_moment_leaves_a_store_that_works() {
    let site = site();
    let here = format!("here={}", site.path("").display());
    let begin = std::time::Instant::now();
    assert_eq!(site.check().code, 2);
    let whole = begin.elapsed();
    for part in 0..12_u32 {
        let child = site.start(&["check", "play.yml", "-e", &here]);
        std::thread::sleep(whole * part / 10);
        let id = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        // It may have ended by itself.
        let _ = kill_process(id, Signal::KILL);
        let _ = child.wait_with_output();
    }
    let ended = site.check();
    assert_eq!(
        (ended.code, ended.stderr.contains("warning")),
        (2, false),
        "{}",
        ended.all()
    );
    assert_eq!(findings(&site, &["--history"]).len(), 2);
}

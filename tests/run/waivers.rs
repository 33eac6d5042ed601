//! `waivers.yml`, from the file to the exit code.

use super::Site;

/// A file that is not there, and one with the wrong mode and the wrong content.
fn site(waivers: &str) -> Site {
    let site = Site::with_tasks(
        r#"
    - copy: {content: a, dest: "{{ here }}/a"}
    - copy: {content: b, dest: "{{ here }}/b", mode: "0600"}
"#,
    );
    let site = site.file("b", "other").file("waivers.yml", waivers);
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(site.path("b"), mode).unwrap();
    site
}

const MODE: &str = r"
- hosts: all
  kind: copy
  attribute: mode
  reason: the backup reads it
  owner: ops
  expires: 2999-12-31
";

const ALL: &str = r"
- {hosts: node1, reason: to be replaced, owner: ops, expires: 2999-12-31}
";

#[test]
fn one_open_difference_is_drift_still() {
    let ended = site(MODE).check();
    insta::assert_snapshot!(ended.all(), @"
    exit 2
    ----- stdout
    + copy [HERE]/a  content: absent → sha256:ca978112ca1b (1 bytes)   [node1]
    ~ copy [HERE]/b  content: 5 bytes → sha256:3e23e8160039 (1 bytes)   [node1]
    = copy [HERE]/b  mode: 0644 → 0600  (waived by ops until 2999-12-31: the backup reads it)   [node1]

    PLAY RECAP *********************************************************************
    node1                      : ok=0    changed=0    unreachable=0    failed=0    skipped=0    rescued=0    ignored=0    drift=2    waived=0

    Drift: 2 resources on 1 of 1 host.
    ----- stderr
    [1/1] node1: drifted
    ");
}

#[test]
fn what_is_all_waived_exits_with_0_and_is_silent_when_asked_to_be() {
    let site = site(ALL);
    let ended = site.check();
    assert_eq!(ended.code, 0, "{}", ended.all());
    assert!(
        ended
            .stdout
            .contains("No drift. 1 host matches; 2 resources waived on 1 host."),
        "{}",
        ended.all()
    );
    let quiet = site.play("check", &["-q"]);
    assert_eq!((quiet.code, &*quiet.stdout), (0, ""), "{}", quiet.all());
    // Remembered, and marked.
    let drift = site.fleet(&["drift"]);
    assert!(
        drift.stdout.contains("3 open findings, 3 of them waived."),
        "{}",
        drift.all()
    );
}

#[test]
fn plan_and_apply_say_and_do_what_is_declared_whoever_waived_it() {
    let site = site(ALL);
    let plan = site.play("plan", &[]);
    assert_eq!(plan.code, 2, "{}", plan.all());
    assert!(!plan.stdout.contains("waived by"), "{}", plan.all());
    let apply = site.apply();
    assert_eq!(apply.code, 0, "{}", apply.all());
    assert_eq!(site.read("b"), "b");
    // `apply --check` is a check.
    std::fs::remove_file(site.path("a")).unwrap();
    assert_eq!(site.play("apply", &["--check"]).code, 0);
}

#[test]
fn an_expired_waiver_is_named_and_its_drift_is_back() {
    let site = site("").file(
        "other.yml",
        "- {hosts: all, id: '*/b', reason: r, owner: ops, expires: 2020-01-01}\n\
         - {hosts: all, kind: copy, id: '/none', reason: r, owner: ops, expires: 2999-01-01}\n\
         - {hosts: gone*, reason: r, owner: ops, expires: 2999-01-01}\n",
    );
    assert_eq!(site.check().code, 2);
    let ended = site.play("check", &["--waivers", "other.yml"]);
    assert_eq!(ended.code, 2, "{}", ended.all());
    let named: Vec<_> = ended
        .stdout
        .lines()
        .filter(|line| line.starts_with("waiver "))
        .collect();
    assert_eq!(
        named,
        [
            "waiver other.yml:1 for all: */b of ops: expired: what it covered is drift again",
            "waiver other.yml:2 for all: copy /none of ops: unused: there was nothing to waive",
            "waiver other.yml:3 for gone* of ops: no host of the inventory matches",
        ]
    );
}

#[test]
fn a_wrong_waiver_stops_everything_before_any_host_is_contacted() {
    let site = site("- {hosts: all, reason: r, expires: 2999-01-01}\n");
    let here = format!("here={}", site.path("").display());
    for arguments in [&["check"][..], &["validate"], &["plan"], &["apply", "-y"]] {
        let ended = site.fleet(&[arguments, &["play.yml", "-e", &here]].concat());
        assert_eq!(ended.code, 1, "{}", ended.all());
        assert!(
            ended.stderr.contains("a waiver needs `owner`"),
            "{}",
            ended.all()
        );
    }
    for verb in ["check", "plan"] {
        let missing = site.play(verb, &["--waivers", "none.yml"]);
        assert_eq!(missing.code, 1, "{}", missing.all());
    }
    // `/dev/null` is a file without waivers.
    assert_eq!(site.play("plan", &["--waivers", "/dev/null"]).code, 2);
}

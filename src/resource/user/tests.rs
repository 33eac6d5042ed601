use super::*;

fn user(yaml_as_json: &str) -> User {
    serde_json::from_str(yaml_as_json).unwrap()
}

fn found() -> Found {
    Found {
        uid: 1500,
        group: "deploy".to_owned(),
        groups: vec!["wheel".to_owned(), "docker".to_owned()],
        home: "/home/deploy".to_owned(),
        home_exists: true,
        shell: "/bin/bash".to_owned(),
        comment: String::new(),
        origin: Origin::Local,
    }
}

#[test]
fn compares_only_what_is_declared() {
    assert_eq!(user(r#"{"name": "deploy"}"#).drift(&Some(found())), []);
    let declared = user(
        r#"{"name": "deploy", "uid": 7, "group": "app", "home": "/srv/deploy",
            "shell": "/bin/sh", "comment": "CI"}"#,
    );
    assert_eq!(
        declared.drift(&Some(found())),
        [
            Drift::update("uid", "7", "1500"),
            Drift::update("group", "app", "deploy"),
            Drift::update("home", "/srv/deploy", "/home/deploy"),
            Drift::update("shell", "/bin/sh", "/bin/bash"),
            Drift::update("comment", "CI", ""),
        ]
    );
    assert_eq!(declared.drift(&None), [Drift::create("state", "present")]);
}

#[test]
fn groups_are_exactly_these_or_at_least_these() {
    let drift = |groups: &str, append: bool| {
        let json = format!(r#"{{"name": "deploy", "groups": {groups}, "append": {append}}}"#);
        user(&json).drift(&Some(found()))
    };
    assert_eq!(drift(r#"["docker", "wheel"]"#, false), []);
    // The primary group is not listed among the members of itself.
    assert_eq!(drift(r#"["docker", "deploy", "wheel"]"#, false), []);
    assert_eq!(drift(r#"["docker"]"#, true), []);
    assert_eq!(
        drift(r#"["docker"]"#, false),
        [Drift::update("groups", "docker", "docker, wheel")]
    );
    assert_eq!(
        drift("[]", false),
        [Drift::update("groups", "none", "docker, wheel")]
    );
    assert_eq!(
        drift(r#"["adm"]"#, true),
        [Drift::update("groups", "adm", "docker, wheel")]
    );
}

#[test]
fn a_home_directory_that_is_missing_is_drift_unless_none_is_wanted() {
    let actual = Some(Found {
        home_exists: false,
        ..found()
    });
    let missing = [Drift::create("home directory", "/home/deploy")];
    assert_eq!(user(r#"{"name": "deploy"}"#).drift(&actual), missing);
    assert_eq!(
        user(r#"{"name": "deploy", "create_home": false}"#).drift(&actual),
        []
    );
    assert_eq!(
        user(r#"{"name": "deploy", "system": true}"#).drift(&actual),
        []
    );
    assert_eq!(
        user(r#"{"name": "deploy", "system": true, "create_home": true}"#).drift(&actual),
        missing
    );
}

#[test]
fn absent_means_gone() {
    let declared = user(r#"{"name": "deploy", "state": "absent", "remove": true}"#);
    assert_eq!(
        declared.drift(&Some(found())),
        [Drift::remove("state", "present")]
    );
    assert_eq!(declared.drift(&None), []);
}

#[test]
fn makes_and_changes_with_as_few_options_as_needed() {
    let shown = |command: &Command| format!("{command:?}");
    let made = shown(&user(r#"{"name": "app"}"#).add(false));
    assert!(made.contains(r#"["useradd", "-m", "app"]"#), "{made}");
    let made = shown(&user(r#"{"name": "app", "system": true, "groups": ["a", "b"]}"#).add(true));
    assert!(
        made.contains(r#"["useradd", "-G", "a,b", "-g", "app", "-r", "-M", "app"]"#),
        "{made}"
    );

    let declared =
        user(r#"{"name": "app", "uid": 7, "shell": "/bin/sh", "groups": ["a"], "append": true}"#);
    let changed = |attributes: &[&str]| {
        let drift: Vec<_> = attributes
            .iter()
            .map(|name| Drift::update(*name, "", ""))
            .collect();
        declared.modify(&drift).map(|command| shown(&command))
    };
    assert_eq!(changed(&["home directory"]), None);
    let groups = changed(&["groups"]).unwrap();
    assert!(
        groups.contains(r#"["usermod", "-a", "-G", "a", "app"]"#),
        "{groups}"
    );
    let shell = changed(&["shell"]).unwrap();
    assert!(
        shell.contains(r#"["usermod", "-s", "/bin/sh", "app"]"#),
        "{shell}"
    );
}

#[test]
fn refuses_what_would_break_the_account_files() {
    for (json, expected) in [
        (r#"{"name": "a:b"}"#, "is not the name of a user"),
        (r#"{"name": "-r"}"#, "is not the name of a user"),
        (
            r#"{"name": "a", "groups": ["x,y"]}"#,
            "is not the name of a group",
        ),
        (
            r#"{"name": "a", "comment": "x:0:0"}"#,
            "`comment` contains a colon",
        ),
        (
            r#"{"name": "a", "comment": "x\ny"}"#,
            "`comment` contains a colon or a control",
        ),
        (
            r#"{"name": "a", "home": "/a:b"}"#,
            "`home` contains a colon",
        ),
        (
            r#"{"name": "a", "append": true}"#,
            "`append` is about `groups`",
        ),
        (
            r#"{"name": "a", "remove": true}"#,
            "`remove` is for `state: absent`",
        ),
    ] {
        let error = user(json).validate().unwrap_err();
        assert!(error.contains(expected), "{json}: {error}");
    }
}

#[test]
fn is_found_on_this_host() {
    let directory = tempfile::tempdir().unwrap();
    let root = user(r#"{"name": "root", "uid": 0, "group": "root", "home": "/root"}"#);
    let actual = root.observe(&Host::offline(directory.path())).unwrap();
    assert_eq!(root.drift(&actual), []);
}

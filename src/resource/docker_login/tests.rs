use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use serde_json::{Value, json};

use super::*;
use crate::host::docker_api::tests::answers;

#[expect(clippy::needless_pass_by_value, reason = "cases read better so")]
fn login(path: &Path, fields: Value) -> DockerLogin {
    let mut all = json!({
        "registry": "reg.example:5000",
        "username": "robot$puller",
        "password": "hunter2",
        "config_path": path,
    });
    for (key, value) in fields.as_object().unwrap() {
        all[key] = value.clone();
    }
    all.as_object_mut()
        .unwrap()
        .retain(|_, value| !value.is_null());
    serde_json::from_value(all).unwrap()
}

/// Applies, insists that it converged, and returns what differed before.
fn apply(login: &DockerLogin, host: &Host) -> Result<Vec<Drift>, Failure> {
    let actual = login.observe(host)?;
    let drift = login.drift(&actual);
    login.apply(host, &actual)?;
    assert_eq!(login.drift(&login.observe(host)?), []);
    Ok(drift)
}

#[test]
fn makes_the_file_and_its_directory_for_one_user_alone() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join(".docker/config.json");
    let drift = apply(&login(&path, json!({})), &Host::offline(home.path())).unwrap();
    assert_eq!(drift, [Drift::create("login", "robot$puller")]);
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        "{\n\t\"auths\": {\n\t\t\"reg.example:5000\": {\n\t\t\t\"auth\": \
         \"cm9ib3QkcHVsbGVyOmh1bnRlcjI=\"\n\t\t}\n\t}\n}"
    );
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
}

#[test]
fn keeps_everything_else_and_its_order() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("config.json");
    let before = r#"{"proxies":{"z":1},"auths":{"b":{"auth":"eDp5"},"reg.example:5000":{"auth":"b2xkOm9sZA=="},"a":{}},"detachKeys":"ctrl-e"}"#;
    fs::write(&path, before).unwrap();
    let drift = apply(&login(&path, json!({})), &Host::offline(home.path())).unwrap();
    assert_eq!(drift[0], Drift::update("username", "robot$puller", "old"));
    assert_eq!(drift[1].attribute, "mode");
    let after: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let mut expected: Value = serde_json::from_str(before).unwrap();
    expected["auths"]["reg.example:5000"]["auth"] = json!("cm9ib3QkcHVsbGVyOmh1bnRlcjI=");
    assert_eq!(after.to_string(), expected.to_string());

    let gone = json!({ "state": "absent", "username": null, "password": null });
    apply(&login(&path, gone), &Host::offline(home.path())).unwrap();
    let after: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(
        after["auths"].to_string(),
        r#"{"b":{"auth":"eDp5"},"a":{}}"#
    );
}

#[test]
fn another_password_is_drift_that_shows_neither() {
    let home = tempfile::tempdir().unwrap();
    let host = Host::offline(home.path());
    let path = home.path().join("config.json");
    apply(&login(&path, json!({ "password": "before" })), &host).unwrap();
    let actual = login(&path, json!({})).observe(&host).unwrap();
    let drift = login(&path, json!({})).drift(&actual);
    assert_eq!(drift.len(), 1);
    assert!(drift[0].sensitive);
    let shown = format!("{drift:?} {actual:?} {:?}", login(&path, json!({})));
    for secret in ["before", "hunter2", "aHVudGVyMg", "cm9ib3Q"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn follows_a_link_of_its_own_as_docker_does() {
    let home = tempfile::tempdir().unwrap();
    let (real, path) = (
        home.path().join("real.json"),
        home.path().join("config.json"),
    );
    fs::write(&real, "{}").unwrap();
    symlink(&real, &path).unwrap();
    apply(&login(&path, json!({})), &Host::offline(home.path())).unwrap();
    assert!(fs::symlink_metadata(&path).unwrap().is_symlink());
    assert!(
        fs::read_to_string(&real)
            .unwrap()
            .contains("reg.example:5000")
    );
}

#[test]
fn refuses_what_would_have_no_effect_or_do_harm() {
    let home = tempfile::tempdir().unwrap();
    let host = Host::offline(home.path());
    let path = home.path().join("config.json");
    for (content, expected) in [
        (
            r#"{"credsStore":"pass"}"#,
            "`credsStore` hands this registry to docker-credential-pass",
        ),
        (
            r#"{"credHelpers":{"reg.example:5000":"ecr-login"}}"#,
            "`credHelpers.reg.example:5000` hands this registry to docker-credential-ecr-login",
        ),
        (r#"{"auths":[]}"#, "cannot be understood"),
        ("{\"auths\":", "cannot be understood"),
    ] {
        fs::write(&path, content).unwrap();
        let failure = login(&path, json!({}))
            .observe(&host)
            .unwrap_err()
            .to_string();
        assert!(failure.contains(expected), "{failure}");
        assert_eq!(fs::read_to_string(&path).unwrap(), content);
    }
    fs::write(&path, r#"{"credHelpers":{"other":"ecr-login"}}"#).unwrap();
    apply(&login(&path, json!({})), &host).unwrap();
}

/// What comes of asking a registry whose engine answers so.
fn asked(status: &str, message: &str) -> Result<Verdict, String> {
    let declared = login(Path::new("/x"), json!({ "verify": true }));
    let answer = format!("HTTP/1.0 {status}\r\n\r\n{}", json!({ "message": message }));
    let mut verdict = Ok(Verdict::NotAsked);
    answers(answer, |engine| {
        verdict = declared.verify(engine).map_err(|it| it.to_string());
    });
    verdict
}

#[test]
fn a_registry_that_says_no_is_a_difference_that_apply_fails_at() {
    let home = tempfile::tempdir().unwrap();
    let host = Host::offline(home.path());
    let path = home.path().join("config.json");
    apply(&login(&path, json!({})), &host).unwrap();
    let declared = login(&path, json!({ "verify": true }));
    let mut actual = login(&path, json!({})).observe(&host).unwrap();
    for (status, message) in [
        (
            "401 Unauthorized",
            "login attempt to https://reg.example:5000/v2/ failed with status: 401 Unauthorized",
        ),
        (
            "500 Internal Server Error",
            "Get \"https://reg.example:5000/v2/\": unauthorized: wrong password hunter2",
        ),
    ] {
        actual.verdict = asked(status, message).unwrap();
        assert_eq!(
            declared.drift(&actual),
            [Drift::update("login at the registry", "accepted", "denied")]
        );
        let failure = declared.obstacle(&host, &actual).unwrap_err().to_string();
        assert!(
            failure.starts_with("reg.example:5000 does not accept `robot$puller`: Docker says: "),
            "{failure}"
        );
        assert!(!failure.contains("hunter2"), "{failure}");
    }
    actual.verdict = asked("200 OK", "Login Succeeded").unwrap();
    assert_eq!(declared.drift(&actual), []);
}

#[test]
fn a_registry_that_is_down_says_nothing_about_the_login() {
    let down =
        "Get \"https://reg.example:5000/v2/\": dial tcp 10.0.0.9:5000: connect: connection refused";
    let unknown =
        "Get \"https://reg.example:5000/v2/\": x509: certificate signed by unknown authority";
    for (message, cause) in [
        (down, "connect: connection refused"),
        (unknown, "give the certificate of its authority to `ca`"),
    ] {
        let failure = asked("500 Internal Server Error", message).unwrap_err();
        assert!(
            failure.starts_with("reg.example:5000 could not be asked about `robot$puller`: "),
            "{failure}"
        );
        assert!(failure.contains(cause), "{failure}");
        assert!(!failure.contains("does not accept"), "{failure}");
    }
}

#[test]
fn validate_names_what_is_wrong() {
    let path = Path::new("/x");
    for (fields, expected) in [
        (
            json!({ "registry": "https://reg.example" }),
            "without `https://`",
        ),
        (json!({ "registry": "../../etc" }), "is no registry"),
        (json!({ "registry": "reg:99999" }), "is no registry"),
        (json!({ "username": "a:b" }), "may contain no `:`"),
        (json!({ "password": "" }), "`password` is needed"),
        (json!({ "password": null }), "`password` is needed"),
        (json!({ "state": "absent" }), "takes neither"),
        (json!({ "ca": {} }), "one of `src` and `content`"),
        (json!({ "ca": { "content": "x" } }), "no certificate in PEM"),
    ] {
        let problem = login(path, fields).validate().unwrap_err();
        assert!(problem.contains(expected), "{problem}");
    }
    assert_eq!(login(path, json!({ "registry": "docker.io" })).key(), HUB);
}

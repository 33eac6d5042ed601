//! What Docker presents to a registry: a user's entry in `config.json`, or what a credential
//! helper answers. The engine itself knows no logins; whoever asks it to pull brings them.

use std::ffi::OsStr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::{Value, json};

use super::config::Config;
use super::key_of;
use crate::host::{Command, Failure, Host};
use crate::resource::hidden::Hidden;

/// How long a credential helper may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The login of the helper's user for a registry, as the engine takes it in `X-Registry-Auth`;
/// `None` without one.
///
/// # Errors
/// When `config.json` or the credential helper it names does not say.
pub(in crate::resource) fn presented(
    host: &Host,
    registry: &str,
) -> Result<Option<Hidden>, Failure> {
    let uid = rustix::process::geteuid().as_raw();
    // `sudo` keeps another user's `HOME` on some hosts.
    let path = host.home_directory(uid)?.join(".docker/config.json");
    presented_by(&Config::read(host, &path, uid)?, registry)
}

fn presented_by(config: &Config, registry: &str) -> Result<Option<Hidden>, Failure> {
    let key = key_of(registry);
    let login = match config.helper(key) {
        Some((_, helper)) => ask(helper, key)?,
        None => config.found(key).and_then(kept),
    };
    Ok(login.map(|mut login| {
        login["serveraddress"] = key.into();
        Hidden::from(URL_SAFE.encode(login.to_string()))
    }))
}

/// What an entry of `auths` gives.
fn kept(entry: &Value) -> Option<Value> {
    if let Some(token) = entry["identitytoken"].as_str().filter(|it| !it.is_empty()) {
        return Some(json!({ "identitytoken": token }));
    }
    let decoded = STANDARD.decode(entry["auth"].as_str()?).ok()?;
    let (username, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    let password = password.trim_end_matches('\0');
    Some(json!({ "username": username, "password": password }))
}

/// What `docker-credential-HELPER` answers; `None` if it knows nothing of the registry.
fn ask(helper: &str, key: &str) -> Result<Option<Value>, Failure> {
    let fits = |sign: char| sign.is_ascii_alphanumeric() || "._-".contains(sign);
    if !helper.chars().all(fits) {
        return Err(Failure::Refused(format!(
            "`{helper}` gives no login: that is no name of a helper"
        )));
    }
    ask_program(format!("docker-credential-{helper}").as_ref(), key)
}

fn ask_program(program: &OsStr, key: &str) -> Result<Option<Value>, Failure> {
    let refused = |why: &str| {
        let program = program.to_string_lossy();
        Failure::Refused(format!("{program} gives no login: {why}"))
    };
    let answer = Command::new([program, "get".as_ref()])
        .stdin(key)
        .timeout(PATIENCE)
        .output()
        .map_err(|failure| match failure {
            // It would be shown with what the helper printed.
            Failure::Command(_) => refused("it could not be run, or did not end"),
            failure => failure,
        })?;
    if answer.rc != 0 {
        // Helpers complain on standard output, where the password would be.
        if answer.stdout.contains("credentials not found") {
            return Ok(None);
        }
        return Err(refused(answer.stderr.lines().next().unwrap_or("it failed")));
    }
    // What it says instead may be the password.
    let said: Value =
        serde_json::from_str(&answer.stdout).map_err(|_| refused("it does not answer in JSON"))?;
    match (said["Username"].as_str(), said["Secret"].as_str()) {
        (Some("<token>"), Some(token)) => Ok(Some(json!({ "identitytoken": token }))),
        (Some(username), Some(password)) => {
            Ok(Some(json!({ "username": username, "password": password })))
        }
        _ => Err(refused("its answer has no `Username` and `Secret`")),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// What is presented to `reg.example:5000` with this `config.json`.
    fn by(config: &str) -> Result<Option<Value>, String> {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("config.json");
        fs::write(&path, config).unwrap();
        let uid = rustix::process::geteuid().as_raw();
        let config = Config::read(&Host::offline(home.path()), &path, uid).unwrap();
        let shown = presented_by(&config, "reg.example:5000").map_err(|it| it.to_string())?;
        Ok(shown.map(|header| {
            let json = URL_SAFE.decode(header.expose()).unwrap();
            serde_json::from_slice(&json).unwrap()
        }))
    }

    #[test]
    fn an_entry_is_found_as_docker_finds_it() {
        let auth = STANDARD.encode("robot:pa:ss/word");
        let login = json!({
            "username": "robot",
            "password": "pa:ss/word",
            "serveraddress": "reg.example:5000",
        });
        for key in ["reg.example:5000", "https://reg.example:5000/v1/"] {
            let config = json!({ "auths": { "other": { "auth": "x" }, key: { "auth": auth } } });
            assert_eq!(by(&config.to_string()), Ok(Some(login.clone())), "{key}");
        }
        let token = r#"{"auths":{"reg.example:5000":{"auth":"cjpw","identitytoken":"t0ken"}}}"#;
        let found = by(token).unwrap().unwrap();
        assert_eq!(found["identitytoken"], "t0ken");
        assert_eq!(found.get("password"), None);
        for none in [
            "{}",
            r#"{"auths":{"reg.example":{"auth":"cjpw"}}}"#,
            r#"{"auths":{"reg.example:5000":{}}}"#,
            r#"{"auths":{"reg.example:5000":{"auth":"no base64"}}}"#,
        ] {
            assert_eq!(by(none), Ok(None), "{none}");
        }
    }

    #[test]
    fn a_helper_that_is_none_or_not_there_is_named() {
        for (helper, expected) in [
            ("../../bin/sh", "that is no name of a helper"),
            ("fleet-test-absent", "docker-credential-fleet-test-absent"),
        ] {
            let config = json!({ "credHelpers": { "reg.example:5000": helper } });
            let problem = by(&config.to_string()).unwrap_err();
            assert!(problem.contains(expected), "{problem}");
        }
    }

    #[test]
    fn what_a_helper_prints_is_taken_and_never_shown() {
        let directory = tempfile::tempdir().unwrap();
        let answered = |script: &str| {
            let path = directory.path().join("docker-credential-test");
            fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            ask_program(path.as_os_str(), "reg.example:5000").map_err(|it| it.to_string())
        };
        assert_eq!(
            answered(r#"read key; echo "{\"Username\":\"me at $key\",\"Secret\":\"hunter2\"}""#),
            Ok(Some(
                json!({ "username": "me at reg.example:5000", "password": "hunter2" })
            ))
        );
        assert_eq!(
            answered(r#"echo '{"Username":"<token>","Secret":"hunter2"}'"#),
            Ok(Some(json!({ "identitytoken": "hunter2" })))
        );
        assert_eq!(
            answered("echo credentials not found in native keychain; exit 1"),
            Ok(None)
        );
        for script in [
            "echo hunter2",
            r#"echo '{"Secret":"hunter2"}'"#,
            "echo hunter2; echo locked >&2; exit 1",
        ] {
            let problem = answered(script).unwrap_err();
            assert!(
                problem.contains("gives no login") && !problem.contains("hunter2"),
                "{problem}"
            );
        }
    }
}

//! Asking the engine on the host what it would make of a configuration, where no table tells.

use std::time::Duration;

use serde_json::{Map, Value};

use super::found::Found;
use super::{DockerDaemon, flags, keys, logging};
use crate::host::{Command, Failure};

/// The first engine that can be asked.
const CAN_VALIDATE: (u16, u16) = (23, 0);

/// It reads one file and ends.
const ANSWER: Duration = Duration::from_mins(1);

impl DockerDaemon {
    /// The log driver that new containers are to have, and those that the running engine has, where
    /// it is none of them.
    pub(super) fn unknown_log_driver(&self, found: &Found) -> Option<(String, String)> {
        self.unknown_log_driver_to(found, &found.running.as_ref()?.told.info)
    }

    /// The same, of an engine that tells `info`.
    pub(super) fn unknown_log_driver_to(
        &self,
        found: &Found,
        info: &Value,
    ) -> Option<(String, String)> {
        let key = keys::find("log-driver")?;
        let target = self.target(found)?;
        let by_flag = flags::setting(&found.effective.flags(), key);
        let driver = target.get(key.name).or(by_flag.as_ref())?.as_str()?;
        let known = logging::unknown_driver(driver, info)?;
        Some((driver.to_owned(), known))
    }
}

/// What is said of a log driver that the engine has not.
pub(super) fn no_log_driver((driver, known): &(String, String)) -> String {
    format!(
        "the engine on this host has no log driver `{driver}`, so new containers would not start; \
         it has {known}; install the plugin, or declare another"
    )
}

/// Asks the engine that is installed whether it would start with what is declared, if it is new
/// enough to say so and does not run with it already.
///
/// # Errors
/// [`Failure::Refused`] with its own words if it would not.
pub(super) fn validate(declared: &DockerDaemon, found: &Found) -> Result<(), Failure> {
    let Some(config) = &declared.config else {
        return Ok(());
    };
    let can = found
        .installed
        .as_ref()
        .is_some_and(|installed| installed.release() >= CAN_VALIDATE);
    let is_as_declared = found.daemon_json.settings().as_ref() == Some(config);
    if !can || (is_as_declared && found.running.is_some()) {
        return Ok(());
    }
    ask(&found.effective.argv, config)
}

fn ask(argv: &[String], config: &Map<String, Value>) -> Result<(), Failure> {
    let json = serde_json::to_vec(config).expect("all keys are text");
    let (program, words) = match argv.split_first() {
        Some((program, words)) => (program.as_str(), words),
        None => ("dockerd", &[][..]),
    };
    let other_file = |word: &&String| !word.starts_with("--config-file");
    let output = Command::new([program])
        .args(words.iter().filter(other_file))
        .args(["--validate", "--config-file=/dev/stdin"])
        .stdin(json)
        .timeout(ANSWER)
        .output()?;
    if output.rc == 0 {
        return Ok(());
    }
    let said = output.stderr.trim();
    let said = said.lines().last().unwrap_or("nothing");
    Err(Failure::Refused(format!(
        "the engine on this host would not start with this configuration: {said}"
    )))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use serde_json::json;

    use super::*;

    /// Something that says what it was asked, and ends as told.
    fn dockerd(status: u8) -> (tempfile::TempDir, String) {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("dockerd");
        let script = format!("#!/bin/sh\necho \"$* $(cat)\" >&2\nexit {status}\n");
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let program = program.to_str().unwrap().to_owned();
        (directory, program)
    }

    #[test]
    fn the_engine_is_asked_with_the_flags_of_its_unit_and_quoted() {
        let config = json!({ "mtu": 1400 });
        let config = config.as_object().unwrap();
        let argv = |program: String| {
            vec![
                program,
                "-H".to_owned(),
                "fd://".to_owned(),
                "--config-file=/etc/docker/daemon.json".to_owned(),
            ]
        };
        let (_directory, fine) = dockerd(0);
        assert!(ask(&argv(fine), config).is_ok());
        let (_directory, bad) = dockerd(1);
        assert_eq!(
            ask(&argv(bad), config).unwrap_err().to_string(),
            "the engine on this host would not start with this configuration: \
             -H fd:// --validate --config-file=/dev/stdin {\"mtu\":1400}"
        );
    }
}

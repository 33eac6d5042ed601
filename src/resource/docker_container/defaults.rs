//! What the daemon gives to containers that are told nothing.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::size::Size;
use crate::host::docker_api;
use crate::host::{Failure, Host};

const CONFIGURATION: &str = "/etc/docker/daemon.json";

/// More than any `daemon.json`, in bytes.
const LONGEST: u64 = 1 << 20;

/// Defaults by their key in `daemon.json`, as containers then have them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Defaults(BTreeMap<&'static str, Value>);

impl Defaults {
    /// Of the engine of this host: what it runs with, and where it does not say that, what its
    /// configuration says.
    ///
    /// # Errors
    /// As [`docker_api::get_once`] and [`Host::read`].
    pub(super) fn of(host: &Host) -> Result<Self, Failure> {
        let told = docker_api::get_once(host, "/info")?.unwrap_or_default();
        let text = host.read(Path::new(CONFIGURATION), LONGEST)?;
        // One that is not JSON keeps the daemon from starting: whoever declares it says so.
        let declared = text.and_then(|text| serde_json::from_slice(&text).ok());
        Ok(Self::new(&told, &declared.unwrap_or_default()))
    }

    pub(super) fn new(told: &Value, declared: &Value) -> Self {
        let mut all = BTreeMap::new();
        let mut note = |key, value: Value| {
            if !value.is_null() {
                all.insert(key, value);
            }
        };
        note("log-driver", told["LoggingDriver"].clone());
        note("default-runtime", told["DefaultRuntime"].clone());
        note("default-ipc-mode", declared["default-ipc-mode"].clone());
        // API 1.41, with the key.
        let namespace = match &declared["default-cgroupns-mode"] {
            Value::Null if told["CgroupVersion"] == "2" => json!("private"),
            Value::Null => json!("host"),
            mode => mode.clone(),
        };
        note("default-cgroupns-mode", namespace);
        let size = declared["default-shm-size"].as_str();
        let size = size.and_then(|text| text.parse::<Size>().ok());
        note("default-shm-size", json!(size.map(|size| size.0)));
        let limits = declared["default-ulimits"]
            .as_object()
            .into_iter()
            .flatten();
        let named = limits.map(
            |(name, limit)| json!({ "Name": name, "Soft": limit["Soft"], "Hard": limit["Hard"] }),
        );
        note("default-ulimits", named.collect());
        Self(all)
    }

    /// What a container has where `daemon.json` has `key`, if that is known.
    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_daemon_runs_with_and_what_it_was_told_is_the_default() {
        let told =
            json!({ "LoggingDriver": "journald", "DefaultRuntime": "runc", "CgroupVersion": "2" });
        let declared = json!({
            "log-driver": "syslog", "default-shm-size": "128M", "default-ipc-mode": "shareable",
            "default-ulimits": { "nofile": { "Name": "nofile", "Soft": 1, "Hard": 2 } },
        });
        let defaults = Defaults::new(&told, &declared);
        for (key, expected) in [
            ("log-driver", json!("journald")),
            ("default-runtime", json!("runc")),
            ("default-ipc-mode", json!("shareable")),
            ("default-cgroupns-mode", json!("private")),
            ("default-shm-size", json!(128 << 20)),
            (
                "default-ulimits",
                json!([{ "Name": "nofile", "Soft": 1, "Hard": 2 }]),
            ),
        ] {
            assert_eq!(defaults.get(key), Some(&expected), "{key}");
        }
        // Engine 19.03 knows no version of control groups.
        let defaults = Defaults::new(&json!({}), &json!({}));
        assert_eq!(defaults.get("default-cgroupns-mode"), Some(&json!("host")));
        assert_eq!(defaults.get("log-driver"), None);
    }
}

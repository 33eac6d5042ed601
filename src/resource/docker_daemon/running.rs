//! What a running daemon says of itself (`docker info`, and of its bridge) against what is
//! declared.

use serde_json::{Map, Value};

use crate::host::{Failure, Host, docker};

/// Settings that show on the bridge.
const ON_BRIDGE: [&str; 3] = ["bip", "icc", "mtu"];

/// What the daemon tells.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    /// `docker info`.
    pub(super) info: Value,
    /// The network `bridge`; `None` without one, or if nothing declared shows there.
    pub(super) bridge: Option<Value>,
}

impl Told {
    /// Asks the daemon for all that can be compared with `config`.
    pub(super) fn listen(
        host: &Host,
        config: Option<&Map<String, Value>>,
    ) -> Result<Self, Failure> {
        let shows =
            |config: &Map<String, Value>| ON_BRIDGE.iter().any(|key| config.contains_key(*key));
        Ok(Self {
            info: docker::info(host)?,
            bridge: if config.is_some_and(shows) {
                docker::bridge(host)?
            } else {
                None
            },
        })
    }
}

/// Declared settings that the running daemon does not have: key, declared, running.
///
/// Only settings that the daemon tells are compared, and only those that are declared. An empty
/// text leaves the choice to the daemon, as does a setting that is not there.
pub(super) fn differing(config: &Map<String, Value>, told: &Told) -> Vec<(String, String, String)> {
    let mut differing = Vec::new();
    for (key, declared) in config.iter().filter(|(_, declared)| **declared != "") {
        if let Some((declared, running)) = compared(key, declared, &told.info)
            .or_else(|| compared_on_bridge(key, declared, told.bridge.as_ref()?))
            && declared != running
        {
            differing.push((key.clone(), declared, running));
        }
    }
    differing
}

/// Both sides of one setting in the same words; `None` if it does not show.
fn compared(key: &str, declared: &Value, info: &Value) -> Option<(String, String)> {
    let text = |name: &str| info[name].as_str().map(str::to_owned);
    let same_words = |name: &str| Some((declared.as_str()?.to_owned(), text(name)?));
    let same_flag = |name: &str| {
        let running = info[name].as_bool()?;
        Some((declared.as_bool()?.to_string(), running.to_string()))
    };
    match key {
        "storage-driver" => same_words("Driver"),
        "log-driver" => same_words("LoggingDriver"),
        "default-runtime" => same_words("DefaultRuntime"),
        "data-root" | "graph" => {
            let without_slash = |path: String| path.trim_end_matches('/').to_owned();
            let (declared, running) = same_words("DockerRootDir")?;
            Some((without_slash(declared), without_slash(running)))
        }
        "live-restore" => same_flag("LiveRestoreEnabled"),
        "debug" => same_flag("Debug"),
        "exec-opts" => {
            let driver = texts(declared)
                .into_iter()
                .find_map(|option| Some(option.strip_prefix("native.cgroupdriver=")?.to_owned()))?;
            Some((driver, text("CgroupDriver")?))
        }
        "labels" => Some((sorted(texts(declared)), sorted(texts(&info["Labels"])))),
        "registry-mirrors" => {
            let mirrors = |list: &Value| {
                let mirrors = texts(list).into_iter();
                mirrors
                    .map(|mirror| format!("{}/", mirror.trim_end_matches('/')))
                    .collect::<Vec<_>>()
                    .join(", ")
            };
            Some((
                mirrors(declared),
                mirrors(&info["RegistryConfig"]["Mirrors"]),
            ))
        }
        "insecure-registries" => {
            let registries = &info["RegistryConfig"];
            let running = insecure(registries)?;
            Some((sorted(texts(declared)), sorted(running)))
        }
        "storage-opts" => {
            let pool = texts(declared).into_iter().find_map(|option| {
                let device = option.strip_prefix("dm.thinpooldev=")?;
                Some(
                    device
                        .strip_prefix("/dev/mapper/")
                        .unwrap_or(device)
                        .to_owned(),
                )
            })?;
            let status = info["DriverStatus"].as_array()?;
            let running = status.iter().find(|pair| pair[0] == "Pool Name")?;
            Some((pool, running[1].as_str()?.to_owned()))
        }
        _ => None,
    }
}

/// The same for settings of the bridge.
fn compared_on_bridge(key: &str, declared: &Value, bridge: &Value) -> Option<(String, String)> {
    let option = |name: &str| bridge["Options"][name].as_str().map(str::to_owned);
    match key {
        "bip" => {
            let ipam = &bridge["IPAM"]["Config"][0];
            let (_, length) = ipam["Subnet"].as_str()?.split_once('/')?;
            let running = format!("{}/{length}", ipam["Gateway"].as_str()?);
            Some((declared.as_str()?.to_owned(), running))
        }
        "icc" => {
            let running = option("com.docker.network.bridge.enable_icc")?;
            Some((declared.as_bool()?.to_string(), running))
        }
        "mtu" => {
            let running = option("com.docker.network.driver.mtu")?;
            let declared = declared.as_u64().filter(|bytes| *bytes > 0)?;
            Some((declared.to_string(), running))
        }
        _ => None,
    }
}

/// The networks and registries that need no TLS, without those that are always among them.
fn insecure(registries: &Value) -> Option<Vec<String>> {
    let networks = texts(registries.get("InsecureRegistryCIDRs")?);
    let indexes = registries["IndexConfigs"].as_object().into_iter().flatten();
    let names = indexes
        .filter(|(_, index)| index["Secure"] == false)
        .map(|(name, _)| name.clone());
    let always = ["127.0.0.0/8", "::1/128"];
    let networks = networks
        .into_iter()
        .filter(|network| !always.contains(&network.as_str()));
    Some(networks.chain(names).collect())
}

fn texts(list: &Value) -> Vec<String> {
    let items = list.as_array().into_iter().flatten();
    items.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn sorted(mut texts: Vec<String>) -> String {
    texts.sort();
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told() -> Told {
        let info = json!({
            "Driver": "devicemapper", "LoggingDriver": "json-file", "LiveRestoreEnabled": false,
            "Debug": false, "CgroupDriver": "systemd", "DockerRootDir": "/var/lib/docker",
            "DefaultRuntime": "runc", "Labels": ["b=2", "a=1"],
            "DriverStatus": [["Pool Name", "docker-thinpool"], ["Data Space Used", "1 MB"]],
            "RegistryConfig": {
                "Mirrors": ["https://mirror.example/"],
                "InsecureRegistryCIDRs": ["127.0.0.0/8"],
                "IndexConfigs": { "docker.io": {"Secure": true}, "old.example:5000": {"Secure": false} }
            }
        });
        // As 20.10.24 tells it.
        let bridge = json!({
            "IPAM": { "Config": [{ "Subnet": "172.17.0.0/16", "Gateway": "172.17.0.1" }] },
            "Options": {
                "com.docker.network.bridge.enable_icc": "true",
                "com.docker.network.driver.mtu": "1500",
            },
        });
        Told {
            info,
            bridge: Some(bridge),
        }
    }

    #[test]
    fn settings_in_effect_are_recognized_in_other_words() {
        let config = json!({
            "storage-driver": "devicemapper", "log-driver": "json-file", "live-restore": false,
            "data-root": "/var/lib/docker/", "exec-opts": ["native.cgroupdriver=systemd"],
            "labels": ["a=1", "b=2"], "registry-mirrors": ["https://mirror.example"],
            "insecure-registries": ["old.example:5000"], "bip": "172.17.0.1/16", "mtu": 0, "icc": true, "default-runtime": "",
            "storage-opts": ["dm.thinpooldev=/dev/mapper/docker-thinpool", "dm.use_deferred_removal=true"]
        });
        assert_eq!(differing(config.as_object().unwrap(), &told()), []);
    }

    #[test]
    fn each_setting_that_shows_is_compared() {
        for (key, value, running) in [
            ("storage-driver", json!("overlay2"), "devicemapper"),
            ("log-driver", json!("journald"), "json-file"),
            ("live-restore", json!(true), "false"),
            ("debug", json!(true), "false"),
            ("data-root", json!("/srv/docker"), "/var/lib/docker"),
            (
                "exec-opts",
                json!(["native.cgroupdriver=cgroupfs"]),
                "systemd",
            ),
            ("default-runtime", json!("kata"), "runc"),
            ("bip", json!("172.17.0.1/24"), "172.17.0.1/16"),
            ("mtu", json!(1400), "1500"),
            ("icc", json!(false), "true"),
            ("labels", json!(["a=1"]), "a=1, b=2"),
            ("registry-mirrors", json!([]), "https://mirror.example/"),
            (
                "insecure-registries",
                json!(["10.0.0.0/8"]),
                "old.example:5000",
            ),
            (
                "storage-opts",
                json!(["dm.thinpooldev=/dev/mapper/other"]),
                "docker-thinpool",
            ),
        ] {
            let config = Map::from_iter([(key.to_owned(), value)]);
            let found = differing(&config, &told());
            assert_eq!(found.len(), 1, "{key}");
            assert_eq!((found[0].0.as_str(), found[0].2.as_str()), (key, running));
        }
    }

    #[test]
    fn what_the_daemon_does_not_tell_is_not_compared() {
        let config =
            json!({ "live-restore": true, "insecure-registries": ["x"], "bip": "10.1.0.1/24" });
        assert_eq!(differing(config.as_object().unwrap(), &Told::default()), []);
    }
}

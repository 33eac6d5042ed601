//! Whether an engine would start with a `daemon.json`, told before any host is contacted.

use serde_json::{Map, Value};

use super::keys::{self, KEYS, Key};
use super::values;
use super::version::{EngineVersion, Release, shown};

/// Storage drivers that engines lost: the first without it, and what to do instead.
const LOST_DRIVERS: [(&str, Release, &str); 3] = [
    (
        "devicemapper",
        (25, 0),
        "use `overlay2`; images and containers do not move over",
    ),
    ("overlay", (24, 0), "use `overlay2`"),
    ("aufs", (24, 0), "use `overlay2`"),
];

/// All that an engine of `version` would refuse, each a sentence.
pub(super) fn problems(config: &Map<String, Value>, version: &EngineVersion) -> Vec<String> {
    let mut problems = Vec::new();
    for (name, value) in config {
        match known(name, version) {
            Ok(key) => problems.extend(values::problems(key, value)),
            Err(problem) => problems.push(problem),
        }
    }
    check_storage(config, version, &mut problems);
    check_logging(config, version, &mut problems);
    check_network(config, &mut problems);
    problems
}

fn known(name: &str, version: &EngineVersion) -> Result<&'static Key, String> {
    let release = version.release();
    let Some(key) = keys::find(name) else {
        let names = KEYS.iter().filter(|key| key.is_known(version));
        let hint = match nearest(name, names.map(|key| key.name)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "dockerd does not start with a key it does not know".to_owned(),
        };
        return Err(format!("no engine knows the key `{name}`; {hint}"));
    };
    match key.gone {
        Some((gone, instead)) if gone <= release => Err(format!(
            "the engine {version} does not start with the key `{name}`, \
             which is gone since {}; {instead}",
            shown(gone)
        )),
        _ if key.is_later(version) => Err(format!(
            "the engine {version} does not know the key `{name}` yet: it came with {}",
            key.since()
        )),
        _ => Ok(key),
    }
}

#[cfg(feature = "control")]
fn nearest<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // One edit in three characters is a slip, more is another word.
    let allowed = (name.len() / 3).max(1);
    names
        .into_iter()
        .map(|known| (strsim::damerau_levenshtein(name, known), known))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, known)| known)
}

/// The helper gets only what was validated, and goes without the words for what was not.
#[cfg(not(feature = "control"))]
fn nearest<'a>(_: &str, _: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    None
}

fn check_storage(config: &Map<String, Value>, version: &EngineVersion, problems: &mut Vec<String>) {
    let driver = config.get("storage-driver").and_then(Value::as_str);
    for (name, since, instead) in LOST_DRIVERS {
        if driver == Some(name) && since <= version.release() {
            problems.push(format!(
                "the storage driver `{name}` is gone since engine {}, so {version} does not \
                 start with it; {instead}",
                shown(since)
            ));
        }
    }
    let options = config.get("storage-opts").and_then(Value::as_array);
    let options: Vec<_> = options
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    check_devicemapper(&options, problems);
    for option in options {
        let name = option.split('=').next().unwrap_or(option);
        if name == "overlay2.override_kernel_check" && (24, 0) <= version.release() {
            problems.push(format!(
                "the engine {version} does not start with `{name}`; leave it out"
            ));
        }
        let for_driver = match name.split_once('.') {
            Some(("dm", _)) => "devicemapper",
            Some((prefix @ ("overlay2" | "btrfs" | "zfs"), _)) => prefix,
            _ => continue,
        };
        if let Some(driver) = driver.filter(|driver| *driver != for_driver) {
            problems.push(format!(
                "the storage option `{name}` is for `{for_driver}`, and `storage-driver` is `{driver}`"
            ));
        }
    }
}

fn check_devicemapper(options: &[&str], problems: &mut Vec<String>) {
    let has = |option: &str| options.contains(&option);
    if has("dm.use_deferred_deletion=true") && !has("dm.use_deferred_removal=true") {
        problems.push(
            "the storage option `dm.use_deferred_deletion=true` needs \
             `dm.use_deferred_removal=true` beside it"
                .to_owned(),
        );
    }
    let begins = |name: &str| options.iter().any(|option| option.starts_with(name));
    if begins("dm.thinpooldev=") && begins("dm.directlvm_device=") {
        problems.push(
            "the storage options `dm.thinpooldev` and `dm.directlvm_device` exclude each other: \
             the pool is made beforehand, or by dockerd"
                .to_owned(),
        );
    }
}

fn check_network(config: &Map<String, Value>, problems: &mut Vec<String>) {
    let is_given = |key: &str| config.get(key).is_some_and(|value| *value != "");
    if is_given("bridge") && is_given("bip") {
        problems.push(
            "`bridge` and `bip` exclude each other: a bridge that is there has its address"
                .to_owned(),
        );
    }
    let is_off = |key: &str| config.get(key) == Some(&Value::Bool(false));
    if is_off("iptables") && is_off("icc") {
        problems.push("`icc: false` works by `iptables`, which is false".to_owned());
    }
}

fn check_logging(config: &Map<String, Value>, version: &EngineVersion, problems: &mut Vec<String>) {
    let driver = config.get("log-driver").and_then(Value::as_str);
    if driver == Some("local") && version.release() < (18, 9) {
        problems.push(format!(
            "the engine {version} does not know the log driver `local` yet: it came with 18.09"
        ));
    }
    if version.release() < (18, 6)
        && config
            .get("log-opts")
            .is_some_and(|options| options.get("compress").is_some())
    {
        problems.push(format!(
            "the engine {version} does not know `log-opts.compress` yet: it came with 18.06"
        ));
    }
}

#[cfg(test)]
#[cfg(feature = "control")]
mod tests {
    use super::*;

    fn check(version: &str, config: &str) -> String {
        let config = serde_json::from_str(config).unwrap();
        problems(&config, &version.parse().unwrap()).join("\n")
    }

    #[test]
    fn a_usual_configuration_is_accepted_by_every_engine_that_knows_it() {
        let config = r#"{"storage-driver": "overlay2", "log-driver": "json-file",
            "log-opts": {"max-size": "100m", "max-file": "3"}, "live-restore": true,
            "registry-mirrors": ["https://mirror.example"], "max-concurrent-downloads": 6,
            "default-ulimits": {"nofile": {"Name": "nofile", "Hard": 64000, "Soft": 64000}}}"#;
        for version in ["17.06.0", "18.09.9", "20.10.24", "25.0.5", "29.0.1"] {
            assert_eq!(check(version, config), "", "{version}");
        }
    }

    #[test]
    fn refuses_what_would_keep_the_daemon_from_starting() {
        for (version, config, expected) in [
            (
                "20.10.24",
                r#"{"live-restor": true}"#,
                "no engine knows the key `live-restor`; did you mean `live-restore`?",
            ),
            (
                "20.10.24",
                r#"{"xyzzy": 1}"#,
                "no engine knows the key `xyzzy`; dockerd does not start with a key it does not know",
            ),
            (
                "23.0.6",
                r#"{"graph": "/srv/docker"}"#,
                "the engine 23.0.6 does not start with the key `graph`, which is gone since 23.0; use `data-root`",
            ),
            (
                "19.03.15",
                r#"{"disable-legacy-registry": true}"#,
                "the engine 19.03.15 does not start with the key `disable-legacy-registry`, \
                 which is gone since 19.03; leave it out: there are no such registries any more",
            ),
            (
                "19.03.15",
                r#"{"ip6tables": true}"#,
                "the engine 19.03.15 does not know the key `ip6tables` yet: it came with 20.10",
            ),
            (
                "20.10.24",
                r#"{"log-opts": {"max-file": 3}}"#,
                "`log-opts.max-file` must be a text, not a number: dockerd does not start otherwise; \
                 write `max-file: \"3\"`",
            ),
            (
                "20.10.24",
                r#"{"live-restore": "yes"}"#,
                "`live-restore` takes true or false, not a text",
            ),
            (
                "20.10.24",
                r#"{"dns": "10.0.0.1"}"#,
                "`dns` takes a list, not a text",
            ),
            (
                "20.10.24",
                r#"{"labels": [1]}"#,
                "`labels[0]` must be a text, not a number; write `- \"1\"`",
            ),
            (
                "20.10.24",
                r#"{"mtu": 1.5}"#,
                "`mtu` takes a whole number, 0 or more, not `1.5`",
            ),
            (
                "20.10.24",
                r#"{"data-root": null}"#,
                "`data-root` takes a text, not nothing",
            ),
            (
                "25.0.0",
                r#"{"storage-driver": "devicemapper"}"#,
                "the storage driver `devicemapper` is gone since engine 25.0, so 25.0.0 does not \
                 start with it; use `overlay2`; images and containers do not move over",
            ),
            (
                "20.10.24",
                r#"{"storage-driver": "overlay2", "storage-opts": ["dm.thinpooldev=/dev/mapper/p"]}"#,
                "the storage option `dm.thinpooldev` is for `devicemapper`, and `storage-driver` is `overlay2`",
            ),
            (
                "24.0.0",
                r#"{"storage-opts": ["overlay2.override_kernel_check=true"]}"#,
                "the engine 24.0.0 does not start with `overlay2.override_kernel_check`; leave it out",
            ),
            (
                "18.06.3",
                r#"{"log-driver": "local"}"#,
                "the engine 18.06.3 does not know the log driver `local` yet: it came with 18.09",
            ),
        ] {
            assert_eq!(check(version, config), expected, "{version} {config}");
        }
        assert_eq!(check("24.0.9", r#"{"storage-driver": "devicemapper"}"#), "");
    }

    #[test]
    fn refuses_settings_that_do_not_go_together() {
        for (config, expected) in [
            (
                r#"{"storage-opts": ["dm.use_deferred_deletion=true"]}"#,
                "the storage option `dm.use_deferred_deletion=true` needs `dm.use_deferred_removal=true` beside it",
            ),
            (
                r#"{"storage-opts": ["dm.thinpooldev=a", "dm.directlvm_device=/dev/b"]}"#,
                "the storage options `dm.thinpooldev` and `dm.directlvm_device` exclude each other: \
                 the pool is made beforehand, or by dockerd",
            ),
            (
                r#"{"bridge": "br0", "bip": "10.1.0.1/24"}"#,
                "`bridge` and `bip` exclude each other: a bridge that is there has its address",
            ),
            (
                r#"{"icc": false, "iptables": false}"#,
                "`icc: false` works by `iptables`, which is false",
            ),
        ] {
            assert_eq!(check("20.10.24", config), expected, "{config}");
        }
    }

    #[test]
    fn all_problems_are_told_at_once() {
        assert_eq!(
            check("20.10.24", r#"{"a": 1, "mtu": "1500"}"#)
                .lines()
                .count(),
            2
        );
    }
}

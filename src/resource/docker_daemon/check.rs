//! Whether an engine would start with a `daemon.json`, told before any host is contacted.

use serde_json::{Map, Value};

use super::keys::{self, KEYS, Key};
use super::measures::{is_size, is_switch};
use super::version::{EngineVersion, Release, shown};
use super::{logging, values};

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

/// All that an engine of `version` would refuse, or its containers would fail of, each a sentence.
/// `elsewhere` is what is declared besides `daemon.json`: flags may say more there.
pub(super) fn problems(
    config: &Map<String, Value>,
    version: &EngineVersion,
    elsewhere: &str,
) -> Vec<String> {
    let mut problems = Vec::new();
    for (name, value) in config {
        match known(name, version) {
            Ok(key) => problems.extend(values::problems(key, value)),
            Err(problem) => problems.push(problem),
        }
    }
    check_storage(config, version, &mut problems);
    problems.extend(logging::problems(config, version, elsewhere));
    check_network(config, &mut problems);
    check_runtimes(config, elsewhere, &mut problems);
    if config.get("max-download-attempts") == Some(&Value::from(0)) {
        problems.push("`max-download-attempts` takes 1 or more, not `0`".to_owned());
    }
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
pub(super) fn nearest<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
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
pub(super) fn nearest<'a>(_: &str, _: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
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
        problems.extend(storage_option(for_driver, name, option));
        if let Some(driver) = driver.filter(|driver| *driver != for_driver) {
            problems.push(format!(
                "the storage option `{name}` is for `{for_driver}`, and `storage-driver` is `{driver}`"
            ));
        }
    }
}

/// Options of storage drivers: sizes, switches, the rest.
const SIZES: [&str; 6] = [
    "btrfs.min_space",
    "dm.basesize",
    "dm.blocksize",
    "dm.loopdatasize",
    "dm.loopmetadatasize",
    "overlay2.size",
];
const SWITCHES: [&str; 6] = [
    "dm.blkdiscard",
    "dm.directlvm_device_force",
    "dm.override_udev_sync_check",
    "dm.use_deferred_deletion",
    "dm.use_deferred_removal",
    "overlay2.override_kernel_check",
];
const OTHERS: [&str; 15] = [
    "dm.datadev",
    "dm.directlvm_device",
    "dm.fs",
    "dm.libdm_log_level",
    "dm.metadatadev",
    "dm.min_free_space",
    "dm.mkfsarg",
    "dm.mountopt",
    "dm.thinp_autoextend_percent",
    "dm.thinp_autoextend_threshold",
    "dm.thinp_metapercent",
    "dm.thinp_percent",
    "dm.thinpooldev",
    "dm.xfs_nospace_max_retries",
    "zfs.fsname",
];

fn storage_option(driver: &str, name: &str, option: &str) -> Option<String> {
    let value = option.split_once('=').map_or("", |(_, value)| value);
    let (fits, what) = if SIZES.contains(&name) {
        (is_size(value), "a size, as in `10G`")
    } else if SWITCHES.contains(&name) {
        (is_switch(value), "true or false")
    } else if name == "dm.fs" {
        (["ext4", "xfs"].contains(&value), "`ext4` or `xfs`")
    } else if name == "dm.min_free_space" {
        let percent = value.strip_suffix('%').map(str::parse::<u8>);
        let fits = percent.is_some_and(|percent| percent.is_ok_and(|percent| percent <= 100));
        (fits, "a percentage, as in `10%`")
    } else if OTHERS.contains(&name) {
        return None;
    } else {
        let known = SIZES.iter().chain(&SWITCHES).chain(&OTHERS).copied();
        let hint = nearest(name, known)
            .map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        return Some(format!(
            "the storage driver `{driver}` has no option `{name}`: dockerd does not start with \
             it{hint}"
        ));
    };
    (!fits).then(|| {
        format!(
            "the storage option `{name}` takes {what}, not `{value}`: dockerd does not start with it"
        )
    })
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

/// Runtimes and the cgroups they put containers into.
fn check_runtimes(config: &Map<String, Value>, elsewhere: &str, problems: &mut Vec<String>) {
    let default = config.get("default-runtime").and_then(Value::as_str);
    let declared = config.get("runtimes").and_then(Value::as_object);
    // What has a dot or a slash is the name of a program itself, from 23.0 on.
    let is_own = |name: &str| name.is_empty() || name == "runc" || name.contains(['.', '/']);
    if let Some(name) = default
        && !is_own(name)
        && !declared.is_some_and(|runtimes| runtimes.contains_key(name))
        && !elsewhere.contains("add-runtime")
    {
        problems.push(format!(
            "`default-runtime` is `{name}`, which is not among `runtimes`: dockerd does not start \
             with it"
        ));
    }
    let options = config.get("exec-opts").and_then(Value::as_array);
    let driver = options.into_iter().flatten().find_map(|option| {
        let option = option.as_str()?;
        option.strip_prefix("native.cgroupdriver=")
    });
    if let Some(driver) = driver.filter(|driver| !["cgroupfs", "systemd"].contains(driver)) {
        problems.push(format!(
            "`native.cgroupdriver` takes one of `cgroupfs`, `systemd`, not `{driver}`"
        ));
    }
    let parent = config.get("cgroup-parent").and_then(Value::as_str);
    if let Some(parent) = parent.filter(|parent| !parent.is_empty())
        && driver == Some("systemd")
        && parent.strip_suffix(".slice").is_none_or(str::is_empty)
    {
        problems.push(format!(
            "`cgroup-parent` takes the name of a slice where systemd drives cgroups, as in \
             `containers.slice`, not `{parent}`"
        ));
    }
}

#[cfg(test)]
#[cfg(feature = "control")]
mod tests {
    use super::*;

    fn check(version: &str, config: &str) -> String {
        let config = serde_json::from_str(config).unwrap();
        problems(&config, &version.parse().unwrap(), "").join("\n")
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
    fn values_are_checked_like_keys() {
        for (config, expected) in [
            (
                r#"{"default-runtime": "kata"}"#,
                "`default-runtime` is `kata`, which is not among `runtimes`: dockerd does not \
                 start with it",
            ),
            (
                r#"{"exec-opts": ["native.cgroupdriver=systemdd"]}"#,
                "`native.cgroupdriver` takes one of `cgroupfs`, `systemd`, not `systemdd`",
            ),
            (
                r#"{"exec-opts": ["native.cgroupdriver=systemd"], "cgroup-parent": "/docker"}"#,
                "`cgroup-parent` takes the name of a slice where systemd drives cgroups, as in \
                 `containers.slice`, not `/docker`",
            ),
            (
                r#"{"max-download-attempts": 0}"#,
                "`max-download-attempts` takes 1 or more, not `0`",
            ),
            (
                r#"{"storage-opts": ["dm.basesize=banana"]}"#,
                "the storage option `dm.basesize` takes a size, as in `10G`, not `banana`: dockerd \
                 does not start with it",
            ),
            (
                r#"{"storage-opts": ["dm.min_free_space=10"]}"#,
                "the storage option `dm.min_free_space` takes a percentage, as in `10%`, not `10`: \
                 dockerd does not start with it",
            ),
            (
                r#"{"storage-opts": ["overlay2.sise=10G"]}"#,
                "the storage driver `overlay2` has no option `overlay2.sise`: dockerd does not \
                 start with it; did you mean `overlay2.size`?",
            ),
        ] {
            assert_eq!(check("20.10.24", config), expected, "{config}");
        }
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

//! What is not declared is what image and engine give by themselves, or a difference.

use serde_json::json;

use super::super::*;
use super::{container, everything, made_from};

#[test]
fn what_makes_a_container_more_than_one_is_a_difference() {
    let declared = container(json!({}));
    let mount = json!([{ "Type": "bind", "Source": "/", "Target": "/host", "BindOptions": { "NonRecursive": true } }]);
    for (given, attribute, expected, actual) in [
        (json!({ "Privileged": true }), "Privileged", "none", "true"),
        (
            json!({ "CapAdd": ["CAP_SYS_ADMIN"] }),
            "cap_add",
            "none",
            "SYS_ADMIN",
        ),
        (json!({ "PidMode": "host" }), "pid", "none", "host"),
        (
            json!({ "PidMode": "container:db" }),
            "pid",
            "none",
            "container:db",
        ),
        (json!({ "IpcMode": "host" }), "ipc", "private", "host"),
        (json!({ "UTSMode": "host" }), "UTSMode", "none", "host"),
        (json!({ "UsernsMode": "host" }), "userns", "none", "host"),
        (
            json!({ "CgroupnsMode": "other" }),
            "CgroupnsMode",
            "host",
            "other",
        ),
        (
            json!({ "NetworkMode": "container:db" }),
            "network",
            "bridge",
            "container:db",
        ),
        (
            json!({ "Devices": [{ "PathOnHost": "/dev/sda", "PathInContainer": "/dev/sda", "CgroupPermissions": "r" }] }),
            "devices",
            "none",
            "/dev/sda:/dev/sda:r",
        ),
        (
            json!({ "SecurityOpt": ["no-new-privileges", "seccomp=unconfined"] }),
            "security_opt",
            "none",
            "no-new-privileges, seccomp=unconfined",
        ),
        (
            json!({ "Mounts": mount }),
            "Mounts",
            "none",
            "BindOptions=(NonRecursive=true) Source=/ Target=/host Type=bind",
        ),
        (
            json!({ "MaskedPaths": [] }),
            "masked paths",
            "the engine's",
            "without /proc/kcore, /proc/latency_stats, /proc/timer_list, /proc/sched_debug, /sys/firmware",
        ),
        (
            json!({ "ReadonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sysrq-trigger"] }),
            "read-only paths",
            "the engine's",
            "without /proc/sys",
        ),
        (
            json!({ "LogConfig": { "Type": "none" } }),
            "log driver",
            "json-file",
            "none",
        ),
        (
            json!({ "MemorySwappiness": 0 }),
            "MemorySwappiness",
            "none",
            "0",
        ),
    ] {
        let mut actual_container = made_from(&declared);
        let host = &mut actual_container.container.as_mut().unwrap()["HostConfig"];
        for (key, value) in given.as_object().unwrap() {
            host[key] = value.clone();
        }
        let replaced = Drift::new(Change::Replace, attribute, expected, actual);
        assert_eq!(declared.drift(&actual_container), [replaced]);
    }
}

/// What no engine gives by itself, of the type that the field has.
fn surprises() -> [Value; 8] {
    [
        json!("surprise"),
        json!(["surprise"]),
        json!(7),
        json!(true),
        json!({ "surprise": "surprise" }),
        json!({ "7/tcp": [{ "HostPort": "7" }] }),
        json!({ "Name": "surprise" }),
        json!([{ "Name": "surprise", "PathOnHost": "/surprise", "Soft": 7, "Hard": 7 }]),
    ]
}

#[test]
fn every_field_of_the_table_that_is_judged_is_a_difference_when_it_is_something_else() {
    for declared in [json!({}), everything()] {
        let declared = container(declared);
        for field in fields::FIELDS {
            if matches!(
                field.judged,
                fields::Judged::Not(_) | fields::Judged::Apart(_)
            ) {
                continue;
            }
            let (part, name) = field.path.split_once('.').unwrap();
            let found = |value: &Value| {
                let mut actual = made_from(&declared);
                actual.container.as_mut().unwrap()[part][name] = value.clone();
                declared.drift(&actual)
            };
            assert!(
                surprises().iter().any(|value| found(value).len() == 1),
                "{}",
                field.path
            );
        }
    }
}

#[test]
fn what_a_container_is_in_a_network_by_hand_is_a_difference() {
    let declared = container(json!({}));
    for (networks, expected) in [
        (
            json!({ "bridge": {}, "admin": {} }),
            "network admin: not joined ← joined",
        ),
        (
            json!({ "bridge": { "IPAMConfig": { "IPv4Address": "10.0.0.9" } } }),
            "network bridge IPAMConfig: none ← IPv4Address=10.0.0.9",
        ),
        (
            json!({ "bridge": { "Links": ["db:db"] } }),
            "network bridge Links: none ← db:db",
        ),
        (
            json!({ "bridge": { "Aliases": ["app", "payments"] } }),
            "network bridge aliases: none ← payments",
        ),
    ] {
        let mut actual = made_from(&declared);
        actual.container.as_mut().unwrap()["NetworkSettings"]["Networks"] = networks;
        let drift = declared.drift(&actual);
        let shown: Vec<_> = drift
            .iter()
            .map(|drift| format!("{}: {} ← {}", drift.attribute, drift.expected, drift.actual))
            .collect();
        assert_eq!(shown, [expected]);
    }
}

#[test]
fn what_the_daemon_gives_every_container_is_no_difference() {
    let declared = container(json!({ "ulimits": { "core": { "soft": 0, "hard": 0 } } }));
    let told =
        json!({ "LoggingDriver": "journald", "DefaultRuntime": "crun", "CgroupVersion": "2" });
    let configured = json!({
        "default-ulimits": { "nofile": { "Name": "nofile", "Soft": 1, "Hard": 2 } },
        "default-shm-size": "128m",
    });
    let mut actual = made_from(&declared);
    actual.defaults = Defaults::new(&told, &configured);
    let host = &mut actual.container.as_mut().unwrap()["HostConfig"];
    host["Ulimits"] = json!([
        { "Name": "core", "Soft": 0, "Hard": 0 }, { "Name": "nofile", "Soft": 1, "Hard": 2 },
    ]);
    host["LogConfig"]["Type"] = json!("journald");
    host["Runtime"] = json!("crun");
    host["CgroupnsMode"] = json!("private");
    host["ShmSize"] = json!(128 << 20);
    assert_eq!(declared.drift(&actual), []);
    actual.defaults = Defaults::new(&Value::Null, &Value::Null);
    let drift = declared.drift(&actual);
    let attributes: Vec<_> = drift.iter().map(|drift| drift.attribute.as_str()).collect();
    assert_eq!(
        attributes,
        [
            "CgroupnsMode",
            "Runtime",
            "shm_size",
            "ulimits",
            "log driver"
        ]
    );
}

#[test]
fn a_field_that_nobody_knows_makes_it_unknown_unless_it_is_empty() {
    let mut found = made_from(&container(json!({}))).container.unwrap();
    assert_eq!(compare::unknown(&found), Vec::<String>::new());
    found["HostConfig"]["Sidecar"] = json!({ "Image": "x" });
    found["HostConfig"]["Quiet"] = json!([]);
    found["Config"]["Mood"] = json!("good");
    found["Extra"] = json!(7);
    found["NetworkSettings"]["Networks"]["bridge"]["Speed"] = json!(1);
    let mut unknown = compare::unknown(&found);
    unknown.sort();
    assert_eq!(
        unknown,
        [
            "Config.Mood: good",
            "Extra: 7",
            "HostConfig.Sidecar: Image=x",
            "NetworkSettings.Networks.bridge.Speed: 1",
        ]
    );
}

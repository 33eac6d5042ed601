use serde_json::json;

use super::*;
use crate::resource::docker_daemon::unit;

fn told() -> Told {
    let info = json!({
        "Driver": "devicemapper", "LoggingDriver": "json-file", "LiveRestoreEnabled": false,
        "Debug": false, "CgroupDriver": "systemd", "DockerRootDir": "/var/lib/docker",
        "DefaultRuntime": "runc", "Labels": ["b=2", "a=1"], "CgroupVersion": "1",
        "ExperimentalBuild": false,
        "Runtimes": { "runc": {"path": "runc"}, "io.containerd.runc.v2": {"path": "runc"} },
        "SecurityOptions": ["name=seccomp,profile=default", "name=apparmor"],
        "Plugins": { "Authorization": null },
        "DriverStatus": [["Pool Name", "docker-thinpool"], ["Data Space Used", "1 MB"]],
        "RegistryConfig": {
            "Mirrors": ["https://mirror.example/"],
            "InsecureRegistryCIDRs": ["127.0.0.0/8"],
            "AllowNondistributableArtifactsCIDRs": [],
            "AllowNondistributableArtifactsHostnames": [],
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

/// What a daemon has that tells all this, and that nothing is declared about.
fn differing_from(config: &Value, told: &Told) -> Vec<String> {
    differing_with(config, "", told)
}

/// The same of one that is started with flags.
fn differing_with(config: &Value, flags: &str, told: &Told) -> Vec<String> {
    let unit = format!("[Service]\nExecStart=/usr/bin/dockerd {flags}\n");
    let effective = unit::effective([unit.as_str()], |_| None);
    differing(config.as_object().unwrap(), &effective, told)
        .into_iter()
        .map(|found| format!("{}: {} ← {}", found.key, found.expected, found.running))
        .collect()
}

/// The configuration that [`told`] is of.
fn config() -> Value {
    json!({
        "storage-driver": "devicemapper", "log-driver": "json-file", "live-restore": false,
        "data-root": "/var/lib/docker/", "exec-opts": ["native.cgroupdriver=systemd"],
        "labels": ["a=1", "b=2"], "registry-mirrors": ["https://mirror.example"],
        "insecure-registries": ["old.example:5000"], "bip": "172.17.0.1/16", "mtu": 0,
        "icc": true, "default-runtime": "",
        "storage-opts": ["dm.thinpooldev=/dev/mapper/docker-thinpool", "dm.use_deferred_removal=true"]
    })
}

#[test]
fn settings_in_effect_are_recognized_in_other_words() {
    assert_eq!(differing_from(&config(), &told()), [""; 0]);
}

#[test]
fn each_setting_that_shows_is_compared() {
    for (key, value, running) in [
        ("storage-driver", json!("overlay2"), "devicemapper"),
        ("log-driver", json!("journald"), "json-file"),
        ("live-restore", json!(true), "false"),
        ("debug", json!(true), "false"),
        ("experimental", json!(true), "false"),
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
        ("seccomp-profile", json!("unconfined"), "default"),
        ("userns-remap", json!("default"), "off"),
        ("runtimes", json!({ "kata": {"path": "/opt/kata"} }), ""),
        ("authorization-plugins", json!(["guard"]), ""),
        (
            "allow-nondistributable-artifacts",
            json!(["old.example"]),
            "",
        ),
    ] {
        let mut config = config();
        config[key] = value;
        let found = differing_from(&config, &told());
        assert_eq!(found.len(), 1, "{key}: {found:?}");
        assert!(found[0].starts_with(&format!("{key}: ")), "{found:?}");
        assert!(found[0].ends_with(&format!(" ← {running}")), "{found:?}");
    }
}

/// A field of `docker info`, what it tells that is not as by default, and how that is told.
const NOT_BY_DEFAULT: &[(&str, &str, &str)] = &[
    ("/Debug", "true", "debug: false (by default) ← true"),
    (
        "/LiveRestoreEnabled",
        "true",
        "live-restore: false (by default) ← true",
    ),
    (
        "/ExperimentalBuild",
        "true",
        "experimental: false (by default) ← true",
    ),
    (
        "/LoggingDriver",
        r#""journald""#,
        "log-driver: json-file (by default) ← journald",
    ),
    (
        "/DefaultRuntime",
        r#""kata""#,
        "default-runtime: runc (by default) ← kata",
    ),
    (
        "/DockerRootDir",
        r#""/srv/docker""#,
        "data-root: /var/lib/docker (by default) ← /srv/docker",
    ),
    (
        "/CgroupDriver",
        r#""systemd""#,
        "exec-opts: cgroupfs (by default) ← systemd",
    ),
    (
        "/CgroupVersion",
        r#""2""#,
        "exec-opts: systemd (by default) ← cgroupfs",
    ),
    ("/Labels", r#"["a=1"]"#, "labels: none (by default) ← a=1"),
    (
        "/RegistryConfig/Mirrors",
        r#"["https://m.example/"]"#,
        "registry-mirrors: none (by default) ← https://m.example/",
    ),
    (
        "/RegistryConfig/InsecureRegistryCIDRs",
        r#"["127.0.0.0/8", "10.0.0.0/8"]"#,
        "insecure-registries: none (by default) ← 10.0.0.0/8",
    ),
    (
        "/RegistryConfig/AllowNondistributableArtifactsHostnames",
        r#"["old.example"]"#,
        "allow-nondistributable-artifacts: none (by default) ← old.example",
    ),
    (
        "/SecurityOptions",
        r#"["name=seccomp,profile=unconfined"]"#,
        "seccomp-profile: default (by default) ← unconfined",
    ),
    (
        "/SecurityOptions",
        r#"["name=userns"]"#,
        "userns-remap: off (by default) ← on",
    ),
    (
        "/SecurityOptions",
        r#"["name=selinux"]"#,
        "selinux-enabled: false (by default) ← true",
    ),
    (
        "/SecurityOptions",
        r#"["name=no-new-privileges"]"#,
        "no-new-privileges: false (by default) ← true",
    ),
    (
        "/SecurityOptions",
        r#"["name=cgroupns"]"#,
        "default-cgroupns-mode: host (by default) ← private",
    ),
    (
        "/Runtimes",
        r#"{ "runc": {}, "odd": {} }"#,
        "runtimes: none (by default) ← odd",
    ),
    (
        "/Plugins/Authorization",
        r#"["guard"]"#,
        "authorization-plugins: none (by default) ← guard",
    ),
    (
        "/ClusterStore",
        r#""consul://c""#,
        "cluster-store: none (by default) ← consul://c",
    ),
    (
        "/DefaultAddressPools",
        r#"[{ "Base": "10.9.0.0/16", "Size": 24 }]"#,
        "default-address-pools: none (by default) ← 10.9.0.0/16 in /24",
    ),
    (
        "/FirewallBackend/Driver",
        r#""nftables""#,
        "firewall-backend: iptables (by default) ← nftables",
    ),
    (
        "/GenericResources",
        r#"[{ "NamedResourceSpec": {} }]"#,
        "node-generic-resources: none (by default) ← 1",
    ),
];

#[test]
fn what_nothing_is_declared_about_is_as_the_daemon_has_it_by_default() {
    let mut as_by_default = told();
    let info = &mut as_by_default.info;
    info["CgroupDriver"] = json!("cgroupfs");
    info["Labels"] = json!([]);
    info["RegistryConfig"]["Mirrors"] = Value::Null;
    info["RegistryConfig"]["IndexConfigs"] = json!({ "docker.io": {"Secure": true} });
    info["ClusterStore"] = json!("");
    info["DefaultAddressPools"] = Value::Null;
    info["FirewallBackend"] = json!({ "Driver": "iptables" });
    info["GenericResources"] = Value::Null;
    assert_eq!(differing_from(&json!({}), &as_by_default), [""; 0]);

    for (field, value, expected) in NOT_BY_DEFAULT {
        let mut told = as_by_default.clone();
        *told.info.pointer_mut(field).unwrap() = serde_json::from_str(value).unwrap();
        assert_eq!(differing_from(&json!({}), &told), [*expected], "{field}");
    }
    let mut told = as_by_default;
    told.bridge.as_mut().unwrap()["Options"] = json!({
        "com.docker.network.bridge.enable_icc": "false",
        "com.docker.network.driver.mtu": "1400",
    });
    assert_eq!(
        differing_from(&json!({}), &told),
        [
            "icc: true (by default) ← false",
            "mtu: 1500 (by default) ← 1400"
        ]
    );
}

#[test]
fn a_flag_is_as_good_as_a_setting() {
    let mut told = told();
    told.info["Debug"] = json!(true);
    assert_eq!(
        differing_from(&config(), &told),
        ["debug: false (by default) ← true"]
    );
    assert_eq!(differing_with(&config(), "-D", &told), [""; 0]);
    told.info["Runtimes"] = json!({ "kata": {} });
    let flags = "--debug --add-runtime kata=/opt/kata";
    assert_eq!(differing_with(&config(), flags, &told), [""; 0]);
}

#[test]
fn proxies_are_compared_without_what_logs_in_to_them() {
    let mut told = told();
    let declared = json!({
        "http-proxy": "http://me:secret@proxy.example:3128", "no-proxy": "localhost"
    });
    let mut config = config();
    config["proxies"] = declared;
    told.info["HttpProxy"] = json!("http://xxxxx:xxxxx@proxy.example:3128");
    told.info["HttpsProxy"] = json!("http://from.the.environment");
    told.info["NoProxy"] = json!("localhost");
    assert_eq!(differing_from(&config, &told), [""; 0]);
    told.info["HttpProxy"] = json!("http://other.example:3128");
    let found = differing_from(&config, &told);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(!found[0].contains("secret"), "{found:?}");
}

#[test]
fn what_the_daemon_does_not_tell_is_not_compared() {
    let config =
        json!({ "live-restore": true, "insecure-registries": ["x"], "bip": "10.1.0.1/24" });
    assert_eq!(differing_from(&config, &Told::default()), [""; 0]);
}

/// What engine 26.1.5 says of itself that was told these two things and nothing else.
#[test]
fn a_new_engine_that_was_told_little_is_as_it_is_by_default() {
    let info = include_str!("../../../../tests/captured/docker/26.1.5/info.json");
    let told = Told {
        info: serde_json::from_str(info).unwrap(),
        bridge: told().bridge,
    };
    let config = json!({ "data-root": "/srv/docker", "storage-driver": "vfs" });
    assert_eq!(differing_from(&config, &told), [""; 0]);
}

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn merged(file: &Value, arguments: &str, info: &Value) -> Settings {
    let file = file.as_object().cloned().unwrap_or_default();
    Settings::merge(&file, &words(arguments), info, &Value::Null)
}

fn shown(settings: &Settings, key: &str) -> String {
    settings
        .get(key)
        .map(ToString::to_string)
        .unwrap_or_default()
}

#[test]
fn each_layer_covers_the_one_below() {
    let off = json!({ "live-restore": false });
    let running = json!({ "LiveRestoreEnabled": true });
    for (file, flags, info, expected) in [
        (json!({}), "", json!({}), "false (by default)"),
        (off.clone(), "", json!({}), "false (daemon.json)"),
        (
            off.clone(),
            "--live-restore",
            json!({}),
            "true (a flag of dockerd)",
        ),
        (
            off,
            "--live-restore=false",
            running,
            "true (the running daemon)",
        ),
    ] {
        assert_eq!(
            shown(&merged(&file, flags, &info), "live-restore"),
            expected
        );
    }
}

#[test]
fn flags_are_read_however_they_are_written() {
    for (flags, key, expected) in [
        ("--icc=false", "icc", "false"),
        ("--icc", "icc", "true"),
        // A switch takes no word after it.
        ("--icc false", "icc", "true"),
        ("--log-level debug", "log-level", "debug"),
        ("-l debug", "log-level", "debug"),
        ("-ldebug", "log-level", "debug"),
        ("-l=debug", "log-level", "debug"),
        ("-Dl warn", "log-level", "warn"),
        ("-Dl warn", "debug", "true"),
        ("-D=false", "debug", "false"),
        ("--log-level debug --log-level info", "log-level", "info"),
        (
            "-H fd:// -Htcp://0.0.0.0:2375",
            "hosts",
            "fd://, tcp://0.0.0.0:2375",
        ),
        (
            "--log-opt max-size=1m --log-opt=max-file=2",
            "log-opts",
            "max-file=2, max-size=1m",
        ),
        ("--new-thing value --icc=false", "icc", "false"),
        ("--new-switch --icc=false", "icc", "false"),
        ("-- --icc=false", "icc", "true"),
        ("--icc=perhaps", "icc", "true"),
    ] {
        let found = shown(&merged(&json!({}), flags, &json!({})), key);
        let value = found.rsplit_once(" (").map(|(value, _)| value);
        assert_eq!(value, Some(expected), "{flags}");
    }
    assert_eq!(
        configuration_file(&words("-H fd:// --config-file /srv/d.json")).as_deref(),
        Some("/srv/d.json")
    );
}

#[test]
fn the_running_daemon_says_what_its_files_do_not() {
    let info = json!({
        "Driver": "overlay2", "LoggingDriver": "journald", "ExperimentalBuild": true,
        "SecurityOptions": ["name=apparmor", "name=seccomp,profile=unconfined"],
        "Plugins": { "Authorization": ["opa"] },
        "RegistryConfig": {
            "InsecureRegistryCIDRs": ["127.0.0.0/8", "::1/128", "10.0.0.0/8"],
            "IndexConfigs": { "docker.io": { "Secure": true }, "old:5000": { "Secure": false } }
        }
    });
    let bridge = json!({ "Options": { "com.docker.network.bridge.enable_icc": "false" } });
    let file = json!({ "userns-remap": "default", "insecure-registries": [] });
    let settings = Settings::merge(file.as_object().unwrap(), &[], &info, &bridge);
    for (key, expected) in [
        ("storage-driver", "overlay2"),
        ("log-driver", "journald"),
        ("experimental", "true"),
        ("seccomp-profile", "unconfined"),
        ("authorization-plugins", "opa"),
        ("insecure-registries", "10.0.0.0/8, old:5000"),
        ("icc", "false"),
        // It is declared, but the daemon that runs does not do it.
        ("userns-remap", "none"),
    ] {
        assert_eq!(
            shown(&settings, key),
            format!("{expected} (the running daemon)")
        );
    }
}

#[test]
fn what_a_daemon_does_not_tell_is_taken_from_its_files() {
    let info = json!({ "SecurityOptions": ["name=userns", "name=seccomp,profile=builtin"] });
    let file = json!({ "userns-remap": "default", "no-new-privileges": true });
    let settings = merged(&file, "", &info);
    assert_eq!(shown(&settings, "userns-remap"), "default (daemon.json)");
    assert_eq!(shown(&settings, "no-new-privileges"), "true (daemon.json)");
    // A daemon without any confinement at all.
    let settings = merged(
        &json!({}),
        "",
        &json!({ "SecurityOptions": ["name=selinux"] }),
    );
    assert_eq!(settings.text("seccomp-profile"), "unconfined");
    // One that lists nothing may be old.
    let settings = merged(&json!({}), "", &json!({ "SecurityOptions": null }));
    assert_eq!(settings.text("seccomp-profile"), "");
}

/// Anything that JSON can say, not too deep.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("\\PC{0,8}", inner, 0..4)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

/// A daemon.json whose keys are settings, of whatever type.
fn any_file() -> impl Strategy<Value = Map<String, Value>> {
    let keys: Vec<_> = KNOWN.iter().map(|known| known.key.to_owned()).collect();
    prop::collection::vec((prop::sample::select(keys), any_json()), 0..6)
        .prop_map(|entries| entries.into_iter().collect())
}

proptest! {
    /// Every setting has the type of its default, whatever was said.
    #[test]
    fn types_are_kept(
        file in any_file(),
        flags in prop::collection::vec("-{0,2}[a-zA-Z=:/-]{0,12}", 0..6),
        info in any_json(),
        bridge in any_json(),
    ) {
        let settings = Settings::merge(&file, &flags, &info, &bridge);
        for known in KNOWN {
            let found = &settings.0[known.key].value;
            prop_assert_eq!(
                std::mem::discriminant(found),
                std::mem::discriminant(&(known.default)()),
                "{}", known.key
            );
        }
    }

    /// What only a lower layer says is never heard where a higher one speaks.
    #[test]
    fn a_higher_layer_always_wins(below in any::<bool>(), above in any::<bool>()) {
        let file = json!({ "live-restore": below, "userland-proxy": below });
        let flags = format!("--userland-proxy={above}");
        let settings = merged(&file, &flags, &json!({ "LiveRestoreEnabled": above }));
        prop_assert_eq!(settings.is_on("live-restore"), above);
        prop_assert_eq!(settings.is_on("userland-proxy"), above);
    }

    /// Saying a default aloud changes nothing but who says it.
    #[test]
    fn a_default_said_aloud_is_the_default(place in 0..KNOWN.len()) {
        let known = &KNOWN[place];
        let value = match (known.default)() {
            Typed::Bool(value) => json!(value),
            Typed::Text(text) => json!(text),
            Typed::Texts(texts) => json!(texts),
            Typed::Pairs(pairs) => json!(pairs),
        };
        let file = Map::from_iter([(known.key.to_owned(), value)]);
        let said = Settings::merge(&file, &[], &Value::Null, &Value::Null);
        let silent = Settings::merge(&Map::new(), &[], &Value::Null, &Value::Null);
        prop_assert_eq!(&said.0[known.key].value, &silent.0[known.key].value);
        prop_assert_eq!(said.0[known.key].source, Layer::File);
    }
}

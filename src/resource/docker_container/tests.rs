use serde_json::json;

use super::*;

const ID: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

#[expect(clippy::needless_pass_by_value, reason = "cases read better so")]
fn container(fields: Value) -> DockerContainer {
    let mut all = json!({ "name": "app", "image": ID });
    for (key, value) in fields.as_object().unwrap() {
        all[key] = value.clone();
    }
    serde_json::from_value(all).unwrap()
}

/// What Docker says about a container made from `declared`, with what it and the image add.
fn made_from(declared: &DockerContainer) -> Found {
    let request = request::create(declared);
    let mut config = request.clone();
    config.as_object_mut().unwrap().remove("HostConfig");
    let image = json!({ "Id": ID, "Config": {
        "Cmd": ["serve"], "Entrypoint": ["/entry"], "Env": ["PATH=/bin", "LEVEL=info"],
        "Labels": { "vendor": "x" },
    }});
    for key in ["Cmd", "Entrypoint"] {
        if declared.entrypoint.is_none() && config.get(key).is_none() {
            config[key] = image["Config"][key].clone();
        }
    }
    let environment = config["Env"].as_array_mut().unwrap();
    for given in ["PATH=/bin", "LEVEL=info"] {
        let name = given.split('=').next().unwrap();
        if !declared.env.contains_key(name) {
            environment.push(json!(given));
        }
    }
    config["Labels"]["vendor"] = json!("x");
    let mut host = request["HostConfig"].clone();
    for (key, value) in [
        ("Memory", json!(0)),
        ("MemorySwap", json!(0)),
        ("NanoCpus", json!(0)),
        ("PidsLimit", Value::Null),
        ("NetworkMode", json!("default")),
        (
            "RestartPolicy",
            json!({ "Name": "no", "MaximumRetryCount": 0 }),
        ),
        ("LogConfig", json!({ "Type": "json-file", "Config": {} })),
    ] {
        if host.get(key).is_none() {
            host[key] = value;
        }
    }
    // The daemon's own log-opts.
    host["LogConfig"]["Config"]["max-buffer-size"] = json!("1m");
    Found {
        container: Some(json!({
            "Name": "/app", "Image": ID, "State": { "Status": "running" },
            "Config": config, "HostConfig": host,
        })),
        image: Some(image),
        limits: None,
        leftovers: Vec::new(),
    }
}

fn everything() -> Value {
    json!({
        "command": ["run", "a b"], "env": { "SECRET": "hunter2" },
        "ports": ["8080:80", "127.0.0.1:53:53/udp", "8081:80"],
        "volumes": ["/srv/data:/data", "cache:/cache:ro"],
        "restart": "on-failure:3", "memory": "512m", "cpus": 1.5, "pids": 100,
        "log": { "driver": "json-file", "options": { "max-size": "50m" } },
        "labels": { "team": "shop" }, "java": { "version": "17", "heap_percent": 70 },
    })
}

#[test]
fn what_image_and_daemon_add_is_no_difference() {
    for fields in [json!({}), everything(), json!({ "network": "bridge" })] {
        let declared = container(fields);
        assert_eq!(declared.validate(), Ok(()));
        assert_eq!(declared.drift(&made_from(&declared)), []);
    }
}

#[test]
fn each_declared_field_is_compared() {
    let actual = made_from(&container(everything()));
    for (field, value, expected) in [
        ("command", json!(["run"]), "command: run ← run 'a b'"),
        ("entrypoint", json!(["/x"]), "entrypoint: /x ← /entry"),
        (
            "env",
            json!({ "SECRET": "other" }),
            "env SECRET: (secret) ← (secret changed)",
        ),
        (
            "ports",
            json!(["8080:80"]),
            "ports: 8080:80/tcp ← 127.0.0.1:53:53/udp, 8080:80/tcp, 8081:80/tcp",
        ),
        (
            "volumes",
            json!([]),
            "volumes:  ← /srv/data:/data, cache:/cache:ro",
        ),
        ("restart", json!("always"), "restart: always ← on-failure:3"),
        ("network", json!("none"), "network: none ← bridge"),
        ("cpus", json!(2), "cpus: 2 ← 1.5"),
        ("pids", json!(50), "pids: 50 ← 100"),
        ("memory_swap", json!("1g"), "memory_swap: 1g ← 512m"),
        (
            "log",
            json!({ "driver": "journald" }),
            "log driver: journald ← json-file",
        ),
        ("labels", json!({ "team": "x" }), "label team: x ← shop"),
        (
            "java",
            json!({ "version": "11", "heap_percent": 70 }),
            "env JAVA_TOOL_OPTIONS: -Xmx367001k ← -XX:MaxRAMPercentage=70.0 -XX:MinRAMPercentage=70.0",
        ),
    ] {
        let mut fields = everything();
        fields[field] = value;
        let drift = container(fields).drift(&actual);
        let shown: Vec<_> = drift
            .iter()
            .map(|drift| format!("{}: {} ← {}", drift.attribute, drift.expected, drift.actual))
            .collect();
        assert!(
            shown.iter().any(|shown| shown == expected),
            "{field}: {shown:?}"
        );
        assert!(drift.iter().all(|drift| drift.change == Change::Replace));
        assert!(!format!("{drift:?}").contains("hunter2"));
    }
}

#[test]
fn what_is_no_longer_declared_is_a_difference() {
    let drift = container(json!({})).drift(&made_from(&container(everything())));
    let attributes: Vec<_> = drift.iter().map(|drift| drift.attribute.as_str()).collect();
    assert_eq!(
        attributes,
        [
            "command",
            "env JAVA_TOOL_OPTIONS",
            "env SECRET",
            "label team",
            "ports",
            "volumes",
            "restart",
            "memory",
            "memory_swap",
            "cpus",
            "pids",
        ]
    );
}

#[test]
fn what_makes_a_container_more_than_one_is_a_difference() {
    let declared = container(json!({}));
    for (given, expected) in [
        (json!({ "Privileged": true }), "privileged"),
        (json!({ "CapAdd": ["SYS_ADMIN"] }), "SYS_ADMIN"),
        (json!({ "PidMode": "host" }), "the host's processes"),
        (json!({ "IpcMode": "host" }), "the host's shared memory"),
        (json!({ "UTSMode": "host" }), "the host's name"),
        (
            json!({ "Devices": [{ "PathOnHost": "/dev/sda" }] }),
            "/dev/sda",
        ),
        (
            json!({ "SecurityOpt": ["no-new-privileges", "seccomp=unconfined"] }),
            "seccomp=unconfined",
        ),
    ] {
        let mut actual = made_from(&declared);
        let host = &mut actual.container.as_mut().unwrap()["HostConfig"];
        for (key, value) in given.as_object().unwrap() {
            host[key] = value.clone();
        }
        let replaced = Drift::new(Change::Replace, "privileges", "none", expected);
        assert_eq!(declared.drift(&actual), [replaced]);
    }
}

#[test]
fn the_image_is_compared_by_what_it_is() {
    let declared = container(json!({}));
    let mut actual = made_from(&declared);
    actual.container.as_mut().unwrap()["Config"]["Image"] = json!("app:by-tag");
    assert_eq!(
        declared.drift(&actual),
        [],
        "the same image under another name"
    );
    actual.container.as_mut().unwrap()["Image"] = json!("sha256:other");
    let drift = declared.drift(&actual);
    assert_eq!(
        drift,
        [Drift::new(Change::Replace, "image", ID, "app:by-tag")]
    );
}

#[test]
fn whether_it_runs_is_changed_in_place() {
    let declared = container(json!({}));
    let mut actual = made_from(&declared);
    actual.container.as_mut().unwrap()["State"]["Status"] = json!("exited");
    assert_eq!(
        declared.drift(&actual),
        [Drift::update("state", "running", "exited")]
    );
    assert_eq!(container(json!({ "state": "stopped" })).drift(&actual), []);
    let absent = container(json!({ "state": "absent" }));
    assert_eq!(absent.drift(&actual), [Drift::remove("state", "exited")]);
    actual.container = None;
    assert_eq!(absent.drift(&actual), []);
    assert_eq!(declared.drift(&actual), [Drift::create("state", "running")]);
    actual.leftovers = vec!["app.fleet-old".to_owned()];
    assert_eq!(absent.drift(&actual)[0].actual, "app.fleet-old");
}

#[test]
fn validate_names_what_is_wrong() {
    for (fields, expected) in [
        (json!({ "name": "../x" }), "is no name for a container"),
        (json!({ "ports": ["80"] }), "is no port"),
        (json!({ "ports": ["8080:0"] }), "is no port"),
        (json!({ "ports": ["300.1.1.1:80:80"] }), "is no port"),
        (json!({ "ports": ["80:80", "80:81"] }), "published twice"),
        (
            json!({ "ports": ["80:80"], "network": "host" }),
            "leave `ports` out",
        ),
        (json!({ "volumes": ["data"] }), "is no volume"),
        (json!({ "volumes": ["/a:/b/../c"] }), "is no volume"),
        (json!({ "volumes": ["./a:/b"] }), "is no volume"),
        (json!({ "restart": "sometimes" }), "is no restart policy"),
        (json!({ "memory": "4m" }), "less than 6m"),
        (json!({ "memory_swap": "1g" }), "needs `memory`"),
        (
            json!({ "memory": "1g", "memory_swap": "512m" }),
            "cannot be less",
        ),
        (json!({ "cpus": 0 }), "is not between"),
        (json!({ "pids": 0 }), "would let nothing run"),
        (
            json!({ "env": { "A=B": "" } }),
            "is no name for an environment variable",
        ),
        (
            json!({ "java": { "version": "17", "heap_percent": 70 } }),
            "needs `memory`",
        ),
        (
            json!({ "memory": "512m", "java": { "version": "17", "xmx": "512m" } }),
            "the heap does not fit",
        ),
        (
            json!({ "memory": "1g", "java": { "version": "17", "xmx": "512m" },
                    "env": { "JAVA_TOOL_OPTIONS": "" } }),
            "`java` sets JAVA_TOOL_OPTIONS itself",
        ),
    ] {
        let problem = container(fields).validate().unwrap_err();
        assert!(problem.contains(expected), "{problem}");
    }
}

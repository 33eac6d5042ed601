use serde_json::json;

use super::*;

mod declared;
mod table;
mod undeclared;
mod valid;

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
        "Labels": { "vendor": "x" }, "User": "app", "StopSignal": "SIGQUIT",
        "Healthcheck": { "Test": ["CMD-SHELL", "true"], "Interval": 5_000_000_000_u64 },
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
    for key in ["User", "WorkingDir", "StopSignal", "Healthcheck"] {
        if config.get(key).is_none() {
            config[key] = image["Config"][key].clone();
        }
    }
    if declared.hostname.is_none() {
        config["Hostname"] = json!("0f1e2d3c4b5a");
    }
    config.as_object_mut().unwrap().remove("NetworkingConfig");
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
        ("ShmSize", json!(64 << 20)),
        ("IpcMode", json!("private")),
        ("CgroupnsMode", json!("host")),
        ("Runtime", json!("runc")),
    ] {
        if host.get(key).is_none() {
            host[key] = value;
        }
    }
    // The daemon's own log-opts.
    host["LogConfig"]["Config"]["max-buffer-size"] = json!("1m");
    let first = request::first_network(declared).unwrap_or("bridge");
    let mut networks =
        json!({ first: { "Aliases": null, "IPAMConfig": null, "IPAddress": "10.0.0.2" } });
    for (name, network) in &declared.networks {
        let mut aliases = network.aliases.clone();
        aliases.push("0f1e2d3c4b5a".to_owned());
        networks[name] = json!({ "Aliases": aliases });
    }
    Found {
        container: Some(json!({
            "Id": "0f1e2d3c4b5a69788796a5b4c3d2e1f0",
            "Name": "/app", "Image": ID, "State": { "Status": "running" },
            "Config": config, "HostConfig": host, "NetworkSettings": { "Networks": networks },
        })),
        image: Some(image),
        limits: None,
        leftovers: Vec::new(),
        defaults: Defaults::new(&Value::Null, &Value::Null),
        at: SystemTime::UNIX_EPOCH,
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
        "user": "1000:1000", "group_add": ["20"], "working_dir": "/srv", "hostname": "orders",
        "init": true, "healthcheck": { "command": ["true"], "interval": "30s", "retries": 3 },
        "stop_signal": "INT", "stop_timeout": 45, "tmpfs": { "/run": "size=1m" },
        "devices": ["/dev/ttyS0"], "read_only": true, "network": "front",
        "networks": { "front": { "aliases": ["shop"] }, "back": {} }, "dns": ["10.0.0.2"],
        "extra_hosts": ["db:10.0.0.5"], "shm_size": "128m",
        "ulimits": { "nofile": { "soft": 10, "hard": 20 } },
        "sysctls": { "net.core.somaxconn": "1024" }, "cap_add": ["net_admin"],
        "cap_drop": ["ALL"], "security_opt": ["no-new-privileges:true"], "ipc": "none",
        "pid": "host", "userns": "host",
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
            "hostname",
            "stop_signal",
            "stop_timeout",
            "user",
            "working_dir",
            "volumes",
            "cap_add",
            "cap_drop",
            "devices",
            "dns",
            "extra_hosts",
            "group_add",
            "init",
            "ipc",
            "memory",
            "memory_swap",
            "cpus",
            "network",
            "pid",
            "pids",
            "ports",
            "read_only",
            "restart",
            "security_opt",
            "shm_size",
            "sysctls",
            "tmpfs",
            "ulimits",
            "userns",
            "healthcheck",
            "exposed ports",
        ]
    );
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
fn what_a_replacement_left_behind_is_found_by_its_whole_name() {
    let all = json!([{ "Names": ["/app.fleet-old", "/db/app"] }, { "Names": null }]);
    assert!(is_there(&all, "app.fleet-old"));
    assert!(!is_there(&all, "app"));
    assert!(!is_there(&Value::Null, "app"));
}

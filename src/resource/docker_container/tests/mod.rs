use serde_json::json;

use super::*;

mod table;

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

/// That a field which is declared anew is found to differ, in these words.
fn differs(field: &str, value: Value, expected: &str) {
    let actual = made_from(&container(everything()));
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

#[test]
fn each_declared_field_is_compared() {
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
            "volumes: none ← /srv/data:/data, cache:/cache:ro",
        ),
        ("restart", json!("always"), "restart: always ← on-failure:3"),
        ("network", json!("other"), "network: other ← front"),
        (
            "networks",
            json!({ "front": {}, "side": {} }),
            "network front aliases: none ← shop",
        ),
        (
            "networks",
            json!({ "front": {}, "side": {} }),
            "network side: joined ← not joined",
        ),
        (
            "networks",
            json!({ "front": {}, "side": {} }),
            "network back: not joined ← joined",
        ),
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
        differs(field, value, expected);
    }
}

#[test]
fn each_declared_field_of_process_and_confinement_is_compared() {
    for (field, value, expected) in [
        ("user", json!("root"), "user: root ← 1000:1000"),
        ("group_add", json!([]), "group_add: none ← 20"),
        ("working_dir", json!("/"), "working_dir: / ← /srv"),
        ("hostname", json!("other"), "hostname: other ← orders"),
        ("init", json!(false), "init: none ← true"),
        (
            "healthcheck",
            json!({ "command": ["a", "b c"], "timeout": "2s" }),
            "healthcheck: a 'b c', every 5s, within 2s ← true, every 30s, 3 tries",
        ),
        (
            "healthcheck",
            json!({ "command": [] }),
            "healthcheck: switched off ← true, every 30s, 3 tries",
        ),
        (
            "stop_signal",
            json!("SIGUSR1"),
            "stop_signal: SIGUSR1 ← SIGINT",
        ),
        ("stop_timeout", json!(0), "stop_timeout: 0 ← 45"),
        ("tmpfs", json!({}), "tmpfs: none ← /run=size=1m"),
        (
            "devices",
            json!([]),
            "devices: none ← /dev/ttyS0:/dev/ttyS0:rwm",
        ),
        ("read_only", json!(false), "read_only: none ← true"),
        ("dns", json!([]), "dns: none ← 10.0.0.2"),
        ("extra_hosts", json!([]), "extra_hosts: none ← db:10.0.0.5"),
        ("shm_size", json!("1m"), "shm_size: 1m ← 128m"),
        (
            "ulimits",
            json!({ "nofile": { "soft": 10, "hard": 10 } }),
            "ulimits: nofile 10:10 ← nofile 10:20",
        ),
        (
            "sysctls",
            json!({}),
            "sysctls: none ← net.core.somaxconn=1024",
        ),
        ("cap_add", json!([]), "cap_add: none ← NET_ADMIN"),
        ("cap_drop", json!(["CAP_KILL"]), "cap_drop: KILL ← ALL"),
        (
            "security_opt",
            json!([]),
            "security_opt: none ← no-new-privileges",
        ),
        ("ipc", json!("private"), "ipc: private ← none"),
    ] {
        differs(field, value, expected);
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

#[test]
fn validate_names_what_is_wrong_with_process_and_confinement() {
    for (fields, expected) in [
        (json!({ "user": "a b" }), "is no user"),
        (
            json!({ "working_dir": "srv" }),
            "does not begin at the root",
        ),
        (json!({ "hostname": "a/b" }), "is no name for a host"),
        (
            json!({ "hostname": "a", "network": "host" }),
            "leave `hostname` out",
        ),
        (json!({ "stop_signal": "SIGNAL" }), "is no signal"),
        (
            json!({ "healthcheck": { "interval": "0s" } }),
            "less than 1ms",
        ),
        (
            json!({ "settle": { "time": "3m", "deadline": "2m" } }),
            "ends after 2m, before the 3m",
        ),
        (
            json!({ "settle": { "deadline": "2h" } }),
            "is more than an hour",
        ),
        (
            json!({ "ulimits": { "nofile": { "soft": 2, "hard": 1 } } }),
            "not more than the hard one",
        ),
        (
            json!({ "ulimits": { "nofiles": { "soft": 1, "hard": 1 } } }),
            "`nofiles` in `ulimits` is none that is known",
        ),
        (
            json!({ "sysctls": { "vm.swappiness": "1" } }),
            "is one of the whole host",
        ),
        (
            json!({ "sysctls": { "net.core.somaxconn": "1" }, "network": "host" }),
            "would be the host's",
        ),
        (json!({ "cap_add": ["NET_ADMINS"] }), "is no capability"),
        (
            json!({ "security_opt": ["seccomp=/etc/profile.json"] }),
            "is none that is known",
        ),
        (
            json!({ "ipc": "container:db" }),
            "`ipc: container:db` is none",
        ),
        (json!({ "devices": ["/dev/a:/dev/b:x"] }), "is no device"),
        (json!({ "tmpfs": { "run": "" } }), "is no path for `tmpfs`"),
        (json!({ "dns": ["ns1"] }), "is no address"),
        (json!({ "extra_hosts": ["db"] }), "no name with its address"),
        (
            json!({ "network": "host", "networks": { "a": {} } }),
            "can be in no other",
        ),
        (
            json!({ "networks": { "bridge": { "aliases": ["a"] } } }),
            "has no `aliases`",
        ),
        (json!({ "shm_size": "0" }), "would let nothing be shared"),
        // All at once.
        (json!({ "pids": 0, "dns": ["ns1"] }), "is no address\n`pids"),
    ] {
        let problem = container(fields).validate().unwrap_err();
        assert!(problem.contains(expected), "{problem}");
    }
}

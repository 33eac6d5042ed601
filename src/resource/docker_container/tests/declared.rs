//! What is declared is compared.

use serde_json::json;

use super::super::*;
use super::{container, everything, made_from};

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

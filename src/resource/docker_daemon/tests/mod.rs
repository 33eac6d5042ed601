use serde_json::json;

use super::found::Running;
use super::memory::{Before, Memory};
use super::running::Told;
use super::*;
use crate::host::Snapshot;
use crate::host::docker_containers::{Comeback, Container};
use crate::host::systemctl::Unit;
use crate::protocol::Change;

mod process;

fn daemon(declared: &Value) -> DockerDaemon {
    let mut declared = declared.clone();
    declared["engine_version"] = json!("20.10.24");
    serde_json::from_value(declared).unwrap()
}

fn settings(value: Value) -> Map<String, Value> {
    serde_json::from_value(value).unwrap()
}

/// A daemon that runs with these settings, and one container in it.
fn running(config: Value) -> Found {
    let config = settings(config);
    let live_restore = config.get("live-restore") == Some(&json!(true));
    Found {
        unit: Some(Unit {
            load: "loaded".to_owned(),
            active: "active".to_owned(),
            sub: "running".to_owned(),
            file: "enabled".to_owned(),
            ..Unit::default()
        }),
        effective: unit::Effective::default(),
        undeclared: Vec::new(),
        hidden_unit: None,
        stray: None,
        installed: Some("20.10.24+dfsg1".parse().unwrap()),
        daemon_json: OnDisk::Settings(config.clone()),
        drop_ins: BTreeMap::new(),
        sysconfig: BTreeMap::new(),
        access: BTreeMap::new(),
        socket: false,
        running: Some(Running {
            process: "boot 1".to_owned(),
            argv: Vec::new(),
            version: "20.10.24".parse().unwrap(),
            replaced: false,
            newer: Vec::new(),
            read: Some(config),
            told: Told {
                info: json!({ "LiveRestoreEnabled": live_restore }),
                bridge: None,
            },
            containers: vec![container("web")],
        }),
        memory: Memory::default(),
        wants_diff: true,
    }
}

/// One that no policy brings back.
fn container(name: &str) -> Container {
    Container {
        name: name.to_owned(),
        comeback: Comeback::None,
    }
}

fn down(found: Found) -> Found {
    let unit = found.unit.map(|unit| Unit {
        active: "inactive".to_owned(),
        sub: "dead".to_owned(),
        ..unit
    });
    Found {
        unit,
        running: None,
        ..found
    }
}

/// `attribute: expected ← actual` of each difference.
fn drift(declared: &Value, found: &Found) -> Vec<String> {
    let drift = daemon(declared).drift(found);
    let line =
        |drift: &Drift| format!("{}: {} ← {}", drift.attribute, drift.expected, drift.actual);
    drift.iter().map(line).collect()
}

#[test]
fn a_daemon_as_declared_shows_no_drift() {
    let config = json!({ "log-driver": "journald", "live-restore": true });
    let reordered = json!({ "live-restore": true, "log-driver": "journald" });
    let declared = json!({ "config": config, "state": "started", "enabled": true, "drop_ins": {} });
    assert_eq!(drift(&declared, &running(reordered)), [""; 0]);
    let nothing = json!({});
    assert_eq!(drift(&nothing, &running(json!({ "debug": true }))), [""; 0]);
    assert_eq!(drift(&nothing, &down(running(json!({})))), [""; 0]);
}

#[test]
fn the_plan_says_reload_where_the_release_can() {
    let found = running(json!({ "debug": true, "labels": ["a=1"] }));
    let declared = json!({ "config": { "debug": false, "live-restore": true, "labels": ["a=2"] } });
    assert_eq!(
        drift(&declared, &found),
        [
            "daemon.json debug: false ← true",
            "daemon.json labels: [\"a=2\"] ← [\"a=1\"]",
            "daemon.json live-restore: true ← absent",
            "daemon: reload (no container stops) ← runs with other settings \
             (debug, labels, live-restore)",
        ]
    );
    // What is taken out of the file stays in effect over a reload.
    let gone = json!({ "config": { "labels": ["a=1"] } });
    assert!(
        drift(&gone, &found)
            .last()
            .unwrap()
            .starts_with("daemon: restart")
    );
}

#[test]
fn the_plan_says_restart_and_what_it_stops() {
    let declared = json!({ "config": { "log-driver": "journald", "live-restore": true } });
    let last = |found: &Found| drift(&declared, found).pop().unwrap();

    let found = running(json!({ "live-restore": true }));
    assert_eq!(
        last(&found),
        "daemon: restart (live-restore keeps 1 running container) ← runs with other settings (log-driver)"
    );
    // The daemon that goes must keep them, too.
    let found = running(json!({}));
    assert!(
        last(&found)
            .starts_with("daemon: restart (stops 1 running container, which stays down: web) ← ")
    );
    // And it must find them again.
    let found = running(json!({ "live-restore": true, "data-root": "/srv/docker" }));
    assert!(
        last(&found).starts_with("daemon: restart (loses 1 running container: web) ← "),
        "{}",
        last(&found)
    );
    // A daemon whose files changed since is judged by what it tells.
    let mut found = running(json!({ "live-restore": true }));
    of(&mut found).read = None;
    assert!(
        last(&found).starts_with("daemon: restart (live-restore keeps 1 running container) ← "),
        "{}",
        last(&found)
    );

    let mut many = running(json!({}));
    let daemon = many.running.as_mut().unwrap();
    daemon.containers = (10..22)
        .map(|number| container(&format!("c{number}")))
        .collect();
    assert!(
        last(&many).contains("stops 12 running containers, which stay down: c10, "),
        "{}",
        last(&many)
    );
    assert!(last(&many).contains("c19 and 2 more"), "{}", last(&many));
    many.running.as_mut().unwrap().containers.clear();
    assert!(
        last(&many).contains("restart (no container runs)"),
        "{}",
        last(&many)
    );
}

#[test]
fn what_would_not_take_effect_while_containers_live_on_is_refused() {
    let config = json!({ "live-restore": true, "bip": "10.1.0.1/24", "mtu": 1400 });
    let declared = json!({ "config": config });
    let mut found = running(json!({ "live-restore": true }));
    assert_eq!(
        drift(&declared, &found).last().unwrap(),
        "daemon: restart (refused while live-restore keeps 1 running container: web) ← \
         runs with other settings (bip, mtu)"
    );
    let refused = |found: &Found| change::check_possible(&daemon(&declared), found);
    assert_eq!(
        refused(&found).unwrap_err().to_string(),
        "`bip`, `mtu` would not take effect while containers run: with live-restore the daemon \
         keeps the network they are on; stop them (web), apply, and start them again"
    );
    of(&mut found).containers.clear();
    assert!(refused(&found).is_ok());

    // Without live-restore they stop, and the plan says so.
    assert!(refused(&running(json!({}))).is_ok());
    // The file was right all along, and the daemon did not follow it.
    let mut found = running(config);
    of(&mut found).told.bridge = Some(json!({ "IPAM": { "Config": [
        { "Subnet": "172.17.0.0/16", "Gateway": "172.17.0.1" }
    ] } }));
    assert_eq!(
        drift(&declared, &found),
        [
            "running bip: 10.1.0.1/24 ← 172.17.0.1/16",
            "daemon: restart (refused while live-restore keeps 1 running container: web) ← \
             runs with other settings (bip)"
        ]
    );
    assert!(refused(&found).is_err());
}

fn of(found: &mut Found) -> &mut Running {
    found.running.as_mut().unwrap()
}

#[test]
fn a_daemon_older_than_what_it_runs_from_is_drift() {
    let declared = json!({ "config": { "debug": false }, "drop_ins": {} });
    let with = |change: fn(&mut Found)| {
        let mut found = running(json!({ "debug": false }));
        change(&mut found);
        drift(&declared, &found)
    };
    for (found, why) in [
        (
            with(|found| of(found).read = None),
            "older than /etc/docker/daemon.json",
        ),
        (
            with(|found| of(found).replaced = true),
            "older than its program",
        ),
        (
            with(|found| of(found).version = "20.10.5".parse().unwrap()),
            "runs 20.10.5, installed is 20.10.24",
        ),
        (
            with(|found| {
                of(found)
                    .newer
                    .push("/usr/lib/systemd/system/docker.service".into());
            }),
            "older than /usr/lib/systemd/system/docker.service",
        ),
        (
            with(|found| found.unit.as_mut().unwrap().stale = true),
            "systemd has not read its unit files",
        ),
    ] {
        let expected =
            format!("daemon: restart (stops 1 running container, which stays down: web) ← {why}");
        assert_eq!(found, [expected]);
    }
    // What it has read is known: only that one setting is missing, and it can be reloaded.
    assert_eq!(
        with(|found| of(found).read = Some(Map::new())),
        ["daemon: reload (no container stops) ← runs with other settings (debug)"]
    );
}

#[test]
fn run_time_drift_is_found_where_the_files_agree() {
    let config = json!({ "storage-driver": "overlay2" });
    let mut found = running(config.clone());
    found.running.as_mut().unwrap().told.info["Driver"] = json!("vfs");
    assert_eq!(
        drift(&json!({ "config": config }), &found),
        [
            "running storage-driver: overlay2 ← vfs",
            "daemon: restart (stops 1 running container, which stays down: web) ← runs with other settings (storage-driver)",
        ]
    );
}

#[test]
fn a_host_without_an_engine_gets_its_plan() {
    let found = Found {
        unit: None,
        installed: None,
        daemon_json: OnDisk::Absent,
        ..down(running(json!({})))
    };
    let declared = json!({ "config": { "debug": true }, "drop_ins": { "a.conf": "[Service]\n" },
        "state": "started", "enabled": true });
    assert_eq!(
        drift(&declared, &found),
        [
            "daemon.json debug: true ← absent",
            "/etc/systemd/system/docker.service.d/a.conf: present ← absent",
            "enabled: yes ← not installed",
            "state: started ← not installed",
        ]
    );
}

#[test]
fn files_not_declared_are_removed_and_changed_ones_shown() {
    let mut found = running(json!({}));
    found.drop_ins = BTreeMap::from([
        ("a.conf".to_owned(), "[Service]\nA=1\n".to_owned()),
        ("b.conf".to_owned(), String::new()),
    ]);
    let declared = json!({ "drop_ins": { "a.conf": "[Service]\nA=2\n" } });
    let drift = daemon(&declared).drift(&found);
    assert_eq!(
        drift[0].attribute,
        "/etc/systemd/system/docker.service.d/a.conf"
    );
    assert!(drift[0].diff.as_ref().unwrap().contains("-A=1\n+A=2\n"));
    assert_eq!(drift[1].change, Change::Remove);
    assert!(drift[2].expected.starts_with("restart"), "{drift:?}");
    assert_eq!(
        daemon(&json!({})).drift(&found),
        [],
        "left out is left alone"
    );
}

#[test]
fn broken_json_another_engine_and_a_stopped_daemon_are_drift() {
    let mut found = running(json!({ "debug": true }));
    found.daemon_json = OnDisk::Broken("it is no JSON: why".to_owned());
    let declared = json!({ "config": { "debug": true } });
    assert_eq!(
        drift(&declared, &found),
        ["daemon.json: what is declared ← it is no JSON: why"]
    );

    let mut found = running(json!({}));
    found.installed = Some("20.10.5".parse().unwrap());
    found.running.as_mut().unwrap().version = "20.10.5".parse().unwrap();
    assert_eq!(
        drift(&json!({}), &found),
        ["engine_version: 20.10.24 ← 20.10.5"]
    );

    let stopped = json!({ "state": "stopped", "enabled": false });
    assert_eq!(
        drift(&stopped, &running(json!({}))),
        [
            "enabled: no ← yes",
            "state: stopped (stops 1 running container: web) ← active (running)",
        ]
    );
    let mut socket = down(running(json!({})));
    socket.socket = true;
    assert_eq!(
        drift(&json!({ "state": "stopped" }), &socket),
        ["docker.socket: stopped ← would start the daemon"]
    );
}

#[test]
fn a_daemon_that_an_interrupted_change_left_down_is_to_run() {
    let mut found = down(running(json!({})));
    found.memory.before = Some(Before {
        up: true,
        files: Snapshot::default(),
    });
    assert_eq!(
        drift(&json!({}), &found),
        ["state: started ← inactive (dead)"]
    );
}

#[test]
fn names_and_states_are_checked_before_contact() {
    for (declared, expected) in [
        (
            json!({ "drop_ins": { "a": "" } }),
            "`a` is not the name of a drop-in",
        ),
        (
            json!({ "drop_ins": { "../a.conf": "" } }),
            "is not the name of a drop-in",
        ),
        (
            json!({ "sysconfig": { "network": "" } }),
            "`network` is not one of Docker's files",
        ),
        (
            json!({ "state": "stopped", "enabled": true }),
            "until the next boot",
        ),
        (json!({ "timeout": 0 }), "leaves no time to start"),
        (
            json!({ "confirm_timeout": 3600 }),
            "`confirm_timeout: 3600` is not from 10 to 600 seconds",
        ),
        (
            json!({ "config": { "log-opts": { "max-file": 3 } } }),
            "write `max-file: \"3\"`",
        ),
    ] {
        let error = daemon(&declared).validate().unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
    let fine = json!({ "drop_ins": { "10-a.conf": "" }, "sysconfig": { "docker-storage": "" } });
    assert_eq!(daemon(&fine).validate(), Ok(()));
}

#[test]
fn a_file_the_unit_does_not_read_is_refused() {
    let declared = daemon(&json!({ "sysconfig": { "docker": "OPTIONS=-D\n" } }));
    let mut found = running(json!({}));
    let error = declared.refuse_conflicts(&found).unwrap_err().to_string();
    assert!(
        error.contains("does not read /etc/sysconfig/docker"),
        "{error}"
    );
    found
        .effective
        .environment_files
        .push("/etc/sysconfig/docker".into());
    assert!(declared.refuse_conflicts(&found).is_ok());
}

//! What dockerd really runs with: its process, its unit, and what it tells of itself.

use serde_json::json;

use super::super::flags::{self, HiddenUnit, Undeclared};
use super::{Found, container, daemon, down, drift, of, running, settings};
use crate::host::docker_containers::{Comeback, Container};
use crate::host::docker_unit::Stray;
use crate::host::{FileKind, FileMode, Metadata};
use crate::resource::docker_daemon::change::check_lasting;
use crate::resource::docker_daemon::restart::interim;

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

fn refusal(found: &Found) -> String {
    let nothing = daemon(&json!({ "state": "started" }));
    check_lasting(&nothing, found).unwrap_err().to_string()
}

#[test]
fn a_setting_that_is_gone_from_the_file_and_only_reloaded_is_drift() {
    let mut found = running(json!({}));
    of(&mut found).told.info["Debug"] = json!(true);
    let expected = [
        "running debug: false (by default) ← true",
        "daemon: restart (stops 1 running container, which stays down: web) ← \
         runs with other settings (debug)",
    ];
    assert_eq!(drift(&json!({ "config": {} }), &found), expected);
    // Whoever wrote the file: it is what the daemon should have read.
    assert_eq!(drift(&json!({}), &found), expected);
}

#[test]
fn a_daemon_with_other_flags_than_its_unit_is_drift() {
    let unit = "/usr/bin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock";
    let with = |process: &str, unit: &str| {
        let mut found = running(json!({}));
        found.effective.argv = words(unit);
        of(&mut found).argv = words(process);
        drift(&json!({}), &found)
    };
    assert_eq!(with(unit, unit), [""; 0]);
    assert_eq!(
        with(&format!("{unit} -H tcp://0.0.0.0:2375"), unit),
        [
            "daemon: restart (stops 1 running container, which stays down: web) ← \
             runs with -H tcp://0.0.0.0:2375, unlike its unit"
        ]
    );
    // Where only systemd knows what the words become, or a script starts it, nothing is told.
    assert_eq!(with(unit, &format!("{unit} --label=%H")), [""; 0]);
    assert_eq!(with(unit, "/usr/local/bin/start-docker"), [""; 0]);
}

#[test]
fn a_flag_that_nobody_declared_is_drift_and_refused() {
    let mut found = running(json!({}));
    let flag = flags::parse(&words("-H tcp://0.0.0.0:2375")).remove(0);
    let path = "/etc/systemd/system/docker.service.d/open.conf".into();
    found.undeclared = vec![Undeclared { flag, path }];
    assert_eq!(
        drift(&json!({}), &found),
        ["flag -H tcp://0.0.0.0:2375: not given ← \
             given by /etc/systemd/system/docker.service.d/open.conf"]
    );
    assert_eq!(
        refusal(&found),
        "the unit docker.service gives dockerd the flag `-H tcp://0.0.0.0:2375`, which is not \
         declared; remove it from /etc/systemd/system/docker.service.d/open.conf, or declare it \
         in `drop_ins`"
    );
    found.undeclared[0].path = "/etc/sysconfig/docker".into();
    assert!(refusal(&found).ends_with("or declare it in `sysconfig`"));
}

#[test]
fn a_unit_that_hides_the_package_s_is_drift_and_refused() {
    let mut found = running(json!({}));
    found.hidden_unit = Some(HiddenUnit {
        packaged: "/usr/lib/systemd/system/docker.service".into(),
        by: "/etc/systemd/system/docker.service".into(),
    });
    assert_eq!(
        drift(&json!({}), &found),
        ["unit: /usr/lib/systemd/system/docker.service ← /etc/systemd/system/docker.service"]
    );
    assert_eq!(
        refusal(&found),
        "the unit docker.service is /etc/systemd/system/docker.service, which hides \
         /usr/lib/systemd/system/docker.service; remove it, and declare what it was for in \
         `drop_ins`"
    );
}

#[test]
fn a_dockerd_started_by_hand_is_named() {
    let mut found = down(running(json!({})));
    found.stray = Some(Stray {
        process: 123,
        command: "dockerd -D".to_owned(),
    });
    assert_eq!(
        drift(&json!({ "state": "started" }), &found),
        [
            "dockerd: started by docker.service ← started by hand: process 123 (`dockerd -D`)",
            "state: started ← inactive (dead)",
        ]
    );
    assert_eq!(
        refusal(&found),
        "a dockerd that systemd did not start runs: process 123 (`dockerd -D`); end it (`kill 123`)"
    );
}

#[test]
fn a_masked_unit_is_in_the_plan() {
    let mut found = running(json!({}));
    found.unit.as_mut().unwrap().load = "masked".to_owned();
    // It runs, and will not after the next boot.
    assert_eq!(
        drift(&json!({ "state": "started" }), &found),
        ["unit: not masked ← masked"]
    );
    assert!(refusal(&found).contains("`systemctl unmask docker.service`"));
    assert_eq!(drift(&json!({ "state": "stopped" }), &down(found)), [""; 0]);
}

#[test]
fn a_file_that_others_may_write_is_drift() {
    let mut found = running(json!({}));
    let open = Metadata::of_root(FileKind::File, FileMode::from_bits(0o666));
    found.access.insert("/etc/docker/daemon.json".into(), open);
    assert_eq!(
        drift(&json!({ "config": {} }), &found),
        ["/etc/docker/daemon.json mode: 0644 ← 0666"]
    );
}

#[test]
fn live_restore_is_given_up_before_a_restart_without_it() {
    let config = json!({ "live-restore": true, "debug": true });
    let before = |config| {
        let mut found = running(config);
        of(&mut found).containers = vec![Container {
            comeback: Comeback::ByItself,
            ..container("web")
        }];
        found
    };
    let given_up = |declared: serde_json::Value, found: &Found| {
        interim(&daemon(&declared), found, found.running.as_ref().unwrap())
    };
    let without = json!({ "config": { "debug": true } });
    // The rest stays: what is killed here must leave a daemon as it was.
    let interim = json!({ "live-restore": false, "debug": true });
    let found = before(config.clone());
    assert_eq!(given_up(without.clone(), &found), Some(settings(interim)));
    assert_eq!(
        drift(&without, &found).last().unwrap(),
        "daemon: restart (restarts 1 running container: web) ← \
         runs with other settings (live-restore)"
    );

    // It stays on, was never on, keeps nobody, or cannot be read because it is a flag.
    assert_eq!(given_up(json!({ "config": config }), &found), None);
    assert_eq!(given_up(without.clone(), &before(json!({}))), None);
    let mut nobody = before(config.clone());
    of(&mut nobody).containers.clear();
    assert_eq!(given_up(without.clone(), &nobody), None);
    let mut by_flag = before(config);
    of(&mut by_flag).argv = words("/usr/bin/dockerd --live-restore");
    assert_eq!(given_up(without, &by_flag), None);
}

#[test]
fn a_log_driver_that_the_engine_has_not_is_drift_and_refused() {
    let mut found = running(json!({ "log-driver": "xyzzy" }));
    of(&mut found).told.info["Plugins"] = json!({ "Log": ["json-file", "local"] });
    assert_eq!(
        drift(&json!({}), &found),
        ["log-driver of the engine: one of json-file, local ← xyzzy"]
    );
    assert_eq!(
        refusal(&found),
        "the engine on this host has no log driver `xyzzy`, so new containers would not start; it \
         has json-file, local; install the plugin, or declare another"
    );
    let known = json!({ "config": { "log-driver": "local" } });
    assert_eq!(check_lasting(&daemon(&known), &found).ok(), Some(()));
}

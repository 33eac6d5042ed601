use super::*;

fn service(json: &str) -> Service {
    serde_json::from_str(json).unwrap()
}

fn unit(active: &str, file: &str) -> Unit {
    Unit {
        load: "loaded".to_owned(),
        active: active.to_owned(),
        sub: "x".to_owned(),
        file: file.to_owned(),
        ..Unit::default()
    }
}

#[test]
fn compares_running_and_enabled() {
    let declared = service(r#"{"name": "docker", "state": "started", "enabled": true}"#);
    assert_eq!(declared.unit_drift(&unit("active", "enabled")), []);
    assert_eq!(declared.unit_drift(&unit("reloading", "enabled")), []);
    assert_eq!(
        declared.unit_drift(&unit("failed", "disabled")),
        [
            Drift::update("enabled", "yes", "disabled"),
            Drift::update("state", "started", "failed (x)")
        ]
    );
    // Until the next boot only.
    assert_eq!(
        declared
            .unit_drift(&unit("active", "enabled-runtime"))
            .len(),
        1
    );
    assert_eq!(declared.unit_drift(&unit("activating", "enabled")).len(), 1);

    let declared = service(r#"{"name": "docker", "state": "stopped", "enabled": false}"#);
    for file in ["disabled", "static", "indirect", "masked", "linked"] {
        assert_eq!(declared.unit_drift(&unit("inactive", file)), [], "{file}");
    }
    assert_eq!(declared.unit_drift(&unit("failed", "disabled")), []);
    assert_eq!(declared.unit_drift(&unit("active", "enabled")).len(), 2);
}

fn indirect(also: &[&str]) -> Unit {
    Unit {
        also: also
            .iter()
            .enumerate()
            .map(|(number, word)| (format!("{number}.socket"), (*word).to_owned()))
            .collect(),
        ..unit("inactive", "indirect")
    }
}

#[test]
fn a_unit_that_enables_others_is_enabled_if_they_are() {
    let [yes, no] = [true, false]
        .map(|enabled| service(&format!(r#"{{"name": "docker", "enabled": {enabled}}}"#)));
    for (also, is_yes, is_no) in [
        (&["enabled"][..], true, false),
        (&["enabled", "static"], true, false),
        (&["enabled", "disabled"], false, false),
        (&["disabled"], false, true),
        (&["enabled-runtime"], false, true),
        (&[""], false, true),
        (&[], false, true),
    ] {
        let unit = indirect(also);
        assert_eq!(yes.unit_drift(&unit).is_empty(), is_yes, "{also:?}");
        assert_eq!(no.unit_drift(&unit).is_empty(), is_no, "{also:?}");
    }
    assert_eq!(
        yes.unit_drift(&indirect(&["disabled", ""])),
        [Drift::update(
            "enabled",
            "yes",
            "indirect (0.socket disabled, 1.socket not found)"
        )]
    );
    yes.check_possible(&indirect(&["disabled"])).unwrap();
    let failure = yes.check_possible(&indirect(&["static"])).unwrap_err();
    assert!(
        failure.to_string().contains("no `[Install]` section"),
        "{failure}"
    );
}

#[test]
fn an_alias_is_enabled_only_if_its_unit_is() {
    // What is left of it where the unit behind the name was not found.
    let alias = unit("inactive", "alias");
    let drift = service(r#"{"name": "aka", "enabled": true}"#).unit_drift(&alias);
    assert_eq!(drift, [Drift::update("enabled", "yes", "alias")]);
    assert_eq!(
        service(r#"{"name": "aka", "enabled": false}"#).unit_drift(&alias),
        []
    );
}

#[test]
fn a_mask_that_ends_with_the_next_boot_is_none_and_in_the_way() {
    let runtime = Unit {
        load: "masked".to_owned(),
        ..unit("inactive", "masked-runtime")
    };
    let masked = |masked: bool| service(&format!(r#"{{"name": "docker", "masked": {masked}}}"#));
    assert_eq!(
        masked(true).unit_drift(&runtime),
        [Drift::update("masked", "yes", "until the next boot")]
    );
    assert_eq!(
        masked(false).unit_drift(&runtime),
        [Drift::update("masked", "no", "yes")]
    );
    let for_good = unit("inactive", "masked");
    assert_eq!(masked(true).unit_drift(&for_good), []);
}

#[test]
fn unit_files_newer_than_what_systemd_knows_are_drift() {
    let stale = Unit {
        stale: true,
        ..unit("active", "enabled")
    };
    let drift = service(r#"{"name": "docker", "state": "started"}"#).unit_drift(&stale);
    assert_eq!(drift[0].attribute, "daemon_reload");
    assert_eq!(
        service(r#"{"name": "docker", "daemon_reload": false}"#).unit_drift(&stale),
        []
    );
}

#[test]
fn a_process_older_than_what_is_on_the_disk_is_drift() {
    let declared = service(r#"{"name": "docker", "state": "started", "current": true}"#);
    let found = |newer: &[&str]| Found {
        unit: unit("active", "enabled"),
        newer: newer.iter().map(|&path| path.to_owned()).collect(),
    };
    assert_eq!(declared.drift(&found(&[])), []);
    assert_eq!(
        declared.drift(&found(&["its program", "/etc/a"])),
        [Drift::update(
            "current",
            "what is on the disk",
            "started before a change of its program, /etc/a"
        )]
    );
}

#[test]
fn actions_run_every_time_and_are_no_drift() {
    for state in ["restarted", "reloaded"] {
        let declared = service(&format!(r#"{{"name": "docker", "state": "{state}"}}"#));
        assert!(declared.runs_every_time());
        assert_eq!(declared.unit_drift(&unit("inactive", "enabled")), []);
    }
    assert!(!service(r#"{"name": "docker", "state": "started"}"#).runs_every_time());
}

#[test]
fn refuses_what_systemd_cannot_do() {
    let check = |json: &str, unit: &Unit| {
        service(json)
            .check_possible(unit)
            .map_err(|failure| failure.to_string())
    };
    let masked = Unit {
        load: "masked".to_owned(),
        ..unit("inactive", "masked")
    };
    let start = r#"{"name": "docker", "state": "started"}"#;
    let error = check(start, &masked).unwrap_err();
    assert!(
        error.starts_with("the unit `docker.service` is masked"),
        "{error}"
    );
    assert!(
        error.ends_with("add `masked: no` if it is to be"),
        "{error}"
    );
    assert_eq!(
        check(r#"{"name": "docker", "state": "stopped"}"#, &masked),
        Ok(())
    );
    let unmask = r#"{"name": "docker", "state": "started", "masked": false}"#;
    assert_eq!(check(unmask, &masked), Ok(()));

    let enable = r#"{"name": "dbus", "enabled": true}"#;
    let error = check(enable, &unit("active", "static")).unwrap_err();
    assert!(error.contains("`dbus.service` is `static`"), "{error}");
    assert_eq!(check(enable, &unit("active", "disabled")), Ok(()));
}

#[test]
fn names_are_units() {
    for (name, unit) in [
        ("docker", "docker.service"),
        ("docker.socket", "docker.socket"),
        ("getty@tty1", "getty@tty1.service"),
        ("my.app", "my.app.service"),
    ] {
        let declared = service(&format!(r#"{{"name": "{name}"}}"#));
        assert_eq!(
            (declared.validate(), declared.id().as_str()),
            (Ok(()), unit)
        );
    }
    for (json, expected) in [
        (r#"{"name": ""}"#, "is not the name of a unit"),
        (r#"{"name": "--now"}"#, "is not the name of a unit"),
        (r#"{"name": "a b"}"#, "is not the name of a unit"),
        (r#"{"name": "a*"}"#, "is not the name of a unit"),
        (
            r#"{"name": "getty@"}"#,
            "`getty@` is a template; name an instance of it, like `getty@1`",
        ),
        (
            r#"{"name": "a", "masked": true, "state": "started"}"#,
            "cannot be started",
        ),
        (
            r#"{"name": "a", "state": "stopped", "current": true}"#,
            "`current` goes with `state: started`",
        ),
        (
            r#"{"name": "a", "config_files": ["/etc/a"]}"#,
            "goes with `current: yes`",
        ),
        (
            r#"{"name": "a", "masked": true, "enabled": true}"#,
            "cannot be `enabled: yes`",
        ),
    ] {
        let error = service(json).validate().unwrap_err();
        assert!(error.contains(expected), "{json}: {error}");
    }
}

use std::path::Path;

use super::*;
use crate::captured;

/// As printed by systemd 252; 219 prints the same in another order.
const CRON: &str = "ExecMainStartTimestampMonotonic=7869319\nLoadState=loaded\n\
    ActiveState=active\nSubState=running\nUnitFileState=enabled\nNeedDaemonReload=no\n\
    MainPID=412\nFragmentPath=/lib/systemd/system/cron.service\n\
    DropInPaths=/etc/systemd/system/cron.service.d/a.conf /run/systemd/system/cron.service.d/b.conf\n";

#[test]
fn reads_the_properties_in_any_order() {
    let unit = parse(CRON).unwrap();
    assert_eq!(
        (unit.state().as_str(), unit.is_up()),
        ("active (running)", true)
    );
    assert_eq!((unit.file.as_str(), unit.stale), ("enabled", false));
    assert_eq!(unit.main_process, "412");
    assert_eq!(unit.fragment, Path::new("/lib/systemd/system/cron.service"));
    assert_eq!(
        unit.drop_ins,
        [
            "/etc/systemd/system/cron.service.d/a.conf",
            "/run/systemd/system/cron.service.d/b.conf"
        ]
        .map(PathBuf::from)
    );
    let reversed = CRON.lines().rev().collect::<Vec<_>>().join("\n");
    assert_eq!(parse(&reversed).unwrap(), unit);
    assert!(
        parse(&CRON.replace("Reload=no", "Reload=yes"))
            .unwrap()
            .stale
    );
}

#[test]
fn a_unit_without_a_main_process_or_file_is_one_too() {
    let target = "LoadState=not-found\nActiveState=inactive\nSubState=dead\n";
    let unit = parse(target).unwrap();
    assert_eq!((unit.load.as_str(), unit.is_down()), ("not-found", true));
    assert_eq!((unit.main_process.as_str(), unit.drop_ins.len()), ("", 0));
}

#[test]
fn reads_what_is_enabled() {
    // As printed by systemd 252; with status 1 unless all are enabled.
    for (printed, expected) in [
        ("enabled\n", Some("enabled")),
        ("disabled\n", Some("disabled")),
        ("masked\n", Some("masked")),
        ("", None),
    ] {
        assert_eq!(said_of_file(printed).as_deref(), expected);
    }
    assert_eq!(
        said_of_files("enabled\ndisabled\nmasked\n", 3).unwrap(),
        ["enabled", "disabled", "masked"]
    );
    for (printed, count) in [("", 2), ("enabled\n", 2), ("enabled\n\n", 2)] {
        assert_eq!(said_of_files(printed, count), None, "{printed:?}");
    }
}

#[test]
fn of_several_units_each_is_known_by_its_name_or_none_is() {
    let names = ["cron.service", "crond.service"].map(str::to_owned);
    let cron = format!("Names=cron.service\n{CRON}");
    let crond = format!("Names=anacron.service crond.service\n{CRON}")
        .replace("ActiveState=active", "ActiveState=failed");
    let units = parse_all(&names, &format!("{cron}\n{crond}")).unwrap();
    let states: Vec<_> = units.iter().map(|unit| unit.active.as_str()).collect();
    assert_eq!(states, ["active", "failed"]);
    for printed in [
        cron.clone(),
        format!("{crond}\n{cron}"),
        format!("{cron}\n{CRON}"),
        format!("{cron}\n{crond}\n{cron}"),
        format!("{cron}\nNames=crond.service\n"),
        String::new(),
    ] {
        assert_eq!(parse_all(&names, &printed), None, "{printed}");
    }
}

/// As printed by systemd 219 of a masked unit that has a drop-in directory.
const MASKED_219: &str = "MainPID=0\nExecMainStartTimestampMonotonic=3309488902\n\
    Names=fails.service\nLoadState=masked\nActiveState=failed\nSubState=failed\n\
    FragmentPath=/dev/null\nDropInPaths=\nUnitFileState=\nNeedDaemonReload=yes\n";

#[test]
fn a_masked_unit_of_systemd_219_is_masked_and_not_older_than_the_disk() {
    let bad = MASKED_219.replace("UnitFileState=", "UnitFileState=bad");
    for printed in [MASKED_219, &bad] {
        let unit = parse(printed).unwrap();
        for (runtime, word) in [(false, "masked"), (true, "masked-runtime")] {
            let on_disk = UnitFile::Masked { runtime };
            let corrected = corrected(unit.clone(), Some(&on_disk));
            assert_eq!((corrected.file.as_str(), corrected.stale), (word, false));
        }
        // Somebody took the mask away, and systemd has not read that yet.
        let own = UnitFile::Own("/lib/systemd/system/fails.service".into());
        assert!(corrected(unit, Some(&own)).stale);
    }
}

#[test]
fn a_file_that_systemd_has_not_looked_at_is_newer_than_what_it_knows() {
    let unit = parse("LoadState=not-found\nActiveState=inactive\nSubState=dead\n").unwrap();
    let own = UnitFile::Own("/etc/systemd/system/new.service".into());
    assert!(corrected(unit.clone(), Some(&own)).stale);
    assert!(!corrected(unit, None).stale);
}

#[test]
fn says_what_systemd_left_out() {
    assert_eq!(parse("LoadState=loaded\n"), Err("ActiveState"));
    assert_eq!(parse(""), Err("LoadState"));
    assert_eq!(
        parse("LoadStateful=x\nActiveState=active\n"),
        Err("LoadState")
    );
}

#[test]
fn a_crash_loop_is_no_transition() {
    let unit = |active: &str, sub: &str| Unit {
        active: active.to_owned(),
        sub: sub.to_owned(),
        ..Unit::default()
    };
    assert!(unit("activating", "start").in_transition());
    assert!(unit("deactivating", "stop-sigterm").in_transition());
    let looping = unit("activating", "auto-restart");
    assert!(!looping.in_transition() && !looping.is_up() && !looping.is_down());
}

#[test]
fn fuzz_systemctl_show() {
    let names = ["web".to_owned(), "docker.service".to_owned()];
    crate::fuzz::feed(
        "systemctl_show",
        captured::stdout("el7/systemctl-show.txt"),
        |bytes| {
            let text = String::from_utf8_lossy(bytes);
            let _ = parse(&text);
            let _ = parse_all(&names, &text);
        },
    );
}

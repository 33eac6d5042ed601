//! The comparison, the file and the limits of what is declared.

use proptest::prelude::*;

use super::*;

fn sysctl(name: &str, value: &str) -> Sysctl {
    Sysctl {
        name: name.to_owned(),
        value: Some(value.to_owned()),
        state: Presence::Present,
        file: None,
        confirm_timeout: None,
    }
}

fn found(live: &str, own: Option<&str>) -> Found {
    Found {
        live: Some(live.to_owned()),
        own: own.map(str::to_owned),
        later: None,
    }
}

#[test]
fn compares_the_live_and_the_persisted_value() {
    let declared = sysctl("net.ipv4.tcp_rmem", "4096 131072  6291456");
    let value = "4096 131072 6291456";
    let line = "-net/ipv4/tcp_rmem=4096\t131072\t6291456\n";
    assert_eq!(declared.drift(&found(value, Some(line))), []);
    assert_eq!(
        declared.drift(&found("1 2 3", None)),
        [
            Drift::update("live", value, "1 2 3"),
            Drift::create("persisted", value)
        ]
    );
    let edited = "net.ipv4.tcp_rmem = 4096 131072 6291456\nnet.ipv4.tcp_rmem = 9 9 9\n";
    assert_eq!(
        declared.drift(&found(value, Some(edited))),
        [Drift::update("persisted", value, "9 9 9")]
    );
}

#[test]
fn a_later_file_decides() {
    let declared = sysctl("vm.swappiness", "10");
    let own = "vm.swappiness = 10\n";
    let file = |path: &str, text: &str| ConfigFile {
        path: path.into(),
        text: text.to_owned(),
    };
    let files = [
        file("/usr/lib/sysctl.d/50-default.conf", "vm.swappiness = 30\n"),
        file(DEFAULT_FILE, own),
        file(
            "/etc/sysctl.d/99-sysctl.conf",
            "# vm.swappiness = 1\nvm.swappiness=60\n",
        ),
    ];
    let later = |files: &[ConfigFile]| set_later(files, Path::new(DEFAULT_FILE), "vm.swappiness");
    assert_eq!(later(&files[..2]), None);
    // The own file does not exist yet, but its place in the order is known.
    assert_eq!(later(&files[..1]), None);
    let actual = Found {
        later: later(&files),
        ..found("10", Some(own))
    };
    assert_eq!(
        declared.drift(&actual),
        [Drift::update(
            "persisted",
            "10",
            "60 (by /etc/sysctl.d/99-sysctl.conf)"
        )]
    );
    assert_eq!(
        sysctl("vm.swappiness", "60").drift(&actual)[0].attribute,
        "live"
    );
}

#[test]
fn absent_takes_out_the_line_and_no_other() {
    let declared = Sysctl {
        value: None,
        state: Presence::Absent,
        ..sysctl("vm.swappiness", "")
    };
    let text = "# kept\nvm.swappiness = 10\n kernel.pid_max = 4194304\nvm/swappiness = 20";
    let actual = Found {
        live: None,
        own: Some(text.to_owned()),
        later: None,
    };
    assert_eq!(declared.drift(&actual), [Drift::remove("persisted", "20")]);
    let after = with_value(text, "vm.swappiness", None);
    assert_eq!(after, "# kept\n kernel.pid_max = 4194304\n");
    assert_eq!(
        declared.drift(&Found {
            own: Some(after),
            ..actual
        }),
        []
    );
}

#[test]
fn names_lead_below_proc_sys() {
    for (name, path) in [
        ("vm.swappiness", "/proc/sys/vm/swappiness"),
        (
            "net.ipv4.conf.eth0/100.rp_filter",
            "/proc/sys/net/ipv4/conf/eth0.100/rp_filter",
        ),
        (
            "net/ipv4/conf/eth0.100/rp_filter",
            "/proc/sys/net/ipv4/conf/eth0.100/rp_filter",
        ),
    ] {
        assert_eq!(sysctl(name, "1").path(), Path::new(path));
        assert_eq!(sysctl(name, "1").validate(), Ok(()));
    }
    for name in [
        "",
        "vm..swappiness",
        "../../etc/passwd",
        "/etc/passwd",
        "a b",
        "a\nb",
        "net.*",
    ] {
        assert!(sysctl(name, "1").validate().is_err(), "{name:?}");
    }
    for value in ["", "  ", "1\nkernel.x = 2"] {
        assert!(
            sysctl("vm.swappiness", value).validate().is_err(),
            "{value:?}"
        );
    }
}

#[test]
fn a_time_to_confirm_is_bounded_and_only_for_what_may_cut_off() {
    for (name, seconds, fits) in [
        ("net.ipv4.ip_forward", 10, true),
        ("net/ipv4/ip_forward", 600, true),
        ("net.ipv4.ip_forward", 9, false),
        ("net.ipv4.ip_forward", 601, false),
        ("vm.swappiness", 60, false),
    ] {
        let declared = Sysctl {
            confirm_timeout: Some(seconds),
            ..sysctl(name, "1")
        };
        let valid = declared.validate();
        assert_eq!(valid.is_ok(), fits, "{name} {seconds}: {valid:?}");
        assert_eq!(declared.confirm_within(), Duration::from_secs(seconds));
    }
    let default = sysctl("net.ipv4.ip_forward", "1").confirm_within();
    assert_eq!(default, Duration::from_mins(1));
}

#[test]
fn two_parameters_share_a_file() {
    let text = with_value("", "vm.swappiness", Some("10"));
    let text = with_value(&text, "net.ipv4.ip_forward", Some("1"));
    let text = with_value(&text, "vm.swappiness", Some("20"));
    assert_eq!(text, "vm.swappiness = 20\nnet.ipv4.ip_forward = 1\n");
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(text in "([#;a-z.= \n-]|vm\\.swappiness ?=){0,40}", value in "[0-9]{1,3}") {
        let after = with_value(&text, "vm.swappiness", Some(&value));
        prop_assert_eq!(value_in(&after, "vm.swappiness"), Some(value.clone()));
        prop_assert_eq!(&with_value(&after, "vm.swappiness", Some(&value)), &after);
        let removed = with_value(&after, "vm.swappiness", None);
        prop_assert_eq!(value_in(&removed, "vm.swappiness"), None);
    }
}

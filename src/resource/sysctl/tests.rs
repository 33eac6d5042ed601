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
        own: OwnFile::of(DEFAULT_FILE, own.map(str::as_bytes)),
        boot: Boot::default(),
        read_only: false,
    }
}

fn refused(declared: &Sysctl, actual: &Found) -> String {
    let host = Host::offline(Path::new("/nonexistent"));
    let refused = declared.obstacle(&host, actual).unwrap_err();
    refused.to_string()
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
fn what_the_kernel_shows_otherwise_is_the_same() {
    for (value, live, line) in [
        ("0x10", "16", "kernel.x = 020"),
        ("3", "3 4 1 7", "kernel.x = 3"),
        ("8001,8000", "8000-8001", "kernel.x = 8000,8001"),
    ] {
        let declared = sysctl("kernel.x", value);
        assert_eq!(declared.drift(&found(live, Some(line))), [], "{value}");
        assert!(declared.is_live(&found(live, None)));
    }
}

#[test]
fn a_later_file_decides() {
    let declared = sysctl("vm.swappiness", "10");
    let by = |value: Option<&str>| Found {
        boot: Boot {
            later: Some(("/etc/sysctl.d/99-x.conf".into(), value.map(str::to_owned))),
            unread: None,
        },
        ..found("10", Some("vm.swappiness = 10\n"))
    };
    for (value, told) in [(Some("60"), "60"), (None, "not set")] {
        let actual = by(value);
        let shown = format!("{told} (by /etc/sysctl.d/99-x.conf)");
        assert_eq!(
            declared.drift(&actual),
            [Drift::update("persisted", "10", shown)]
        );
        let why = refused(&declared, &actual);
        assert!(why.contains("take the line out there"), "{why}");
    }
    assert_eq!(
        sysctl("vm.swappiness", "60").drift(&by(Some("60")))[0].attribute,
        "live"
    );
    assert_eq!(declared.drift(&by(Some("0xa"))), []);
}

#[test]
fn a_file_that_boot_does_not_read_keeps_nothing() {
    let declared = sysctl("vm.swappiness", "10");
    let unread = |later: Option<&str>| Found {
        boot: Boot {
            later: later.map(|value| ("/etc/x.conf".into(), Some(value.to_owned()))),
            unread: Some("nothing links to it".to_owned()),
        },
        ..found("10", Some("vm.swappiness = 10\n"))
    };
    for later in [None, Some("111")] {
        let actual = unread(later);
        assert_eq!(declared.drift(&actual)[0].attribute, "persisted");
        let why = refused(&declared, &actual);
        assert!(
            why.starts_with("boot does not read /etc/sysctl.d/90-fleet.conf"),
            "{why}"
        );
    }
    // Boot sets it all the same.
    assert_eq!(declared.drift(&unread(Some("10"))), []);

    for (file, fits) in [
        ("/etc/sysctl.d/95-mine", false),
        ("/etc/sysctl.d/.mine.conf", false),
        ("/etc/mine.conf", false),
        ("/run/sysctl.d/95-mine.conf", false),
        ("/etc/sysctl.d/sub/95-mine.conf", false),
        ("/etc/sysctl.d/95-mine.conf", true),
        ("/usr/lib/sysctl.d/95-mine.conf", true),
        ("/etc/sysctl.conf", true),
    ] {
        let declared = Sysctl {
            file: Some(file.parse().unwrap()),
            ..sysctl("vm.swappiness", "10")
        };
        assert_eq!(declared.validate().is_ok(), fits, "{file}");
        let absent = Sysctl {
            value: None,
            state: Presence::Absent,
            ..declared
        };
        assert_eq!(absent.validate(), Ok(()), "a line in it can be taken out");
    }
}

#[test]
fn what_can_only_be_read_or_written_is_named_as_such() {
    let read_only = Found {
        read_only: true,
        ..found("6.1", None)
    };
    let why = refused(&sysctl("kernel.osrelease", "6.2"), &read_only);
    assert!(why.contains("`kernel.osrelease` is read-only"), "{why}");

    let host = Host::offline(Path::new("/nonexistent"));
    let flush = sysctl("net.ipv4.route.flush", "1");
    let failure = flush.observe(&host).unwrap_err().to_string();
    assert!(
        failure.contains("write-only, so it has no state to compare"),
        "{failure}"
    );
}

#[test]
fn a_dot_in_a_part_of_a_name_is_written_with_slashes() {
    let root = tempfile::tempdir().unwrap();
    for interface in ["vl0.100", "vl0", "a.b.c"] {
        let directory = root.path().join("net/ipv4/conf").join(interface);
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("rp_filter"), "0").unwrap();
    }
    for (name, expected) in [
        (
            "net.ipv4.conf.vl0.100.rp_filter",
            Some("net/ipv4/conf/vl0.100/rp_filter"),
        ),
        (
            "net.ipv4.conf.a.b.c.rp_filter",
            Some("net/ipv4/conf/a.b.c/rp_filter"),
        ),
        ("net.ipv4.conf.vl0.200.rp_filter", None),
        ("net.ipv4.conf.vl0.100.none", None),
        ("net/ipv4/conf/vl0.100/none", None),
    ] {
        let spelled = spelling_with_slashes(root.path(), name);
        assert_eq!(spelled.as_deref(), expected, "{name}");
    }
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
        ..found("", Some(text))
    };
    assert_eq!(declared.drift(&actual), [Drift::remove("persisted", "20")]);
    let after = with_value(text.as_bytes(), None);
    assert_eq!(after, b"# kept\n kernel.pid_max = 4194304\n");
    let actual = Found {
        live: None,
        own: OwnFile::of(DEFAULT_FILE, Some(&after)),
        ..actual
    };
    assert_eq!(declared.drift(&actual), []);
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

/// The text with this value of `vm.swappiness`.
fn with_value(text: &[u8], value: Option<&str>) -> Vec<u8> {
    let line = value.map(|value| format!("vm.swappiness = {value}"));
    config_dirs::with_line(text, line.as_deref(), |line| {
        boot::is_about(line, "vm/swappiness")
    })
}

#[test]
fn other_lines_are_kept_byte_by_byte() {
    let text = b"# caf\xe9\r\nvm.swappiness = 1\r\n-vm.swappiness\nnet.ipv4.ip_forward = 1";
    assert_eq!(
        with_value(text, Some("20")),
        b"# caf\xe9\r\nvm.swappiness = 20\r\nnet.ipv4.ip_forward = 1"
    );
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(text in "([#;a-z.= \n-]|vm\\.swappiness ?=){0,40}", value in "[0-9]{1,3}") {
        let read = |text: &[u8]| boot::value_in(text, "vm/swappiness");
        let after = with_value(text.as_bytes(), Some(&value));
        prop_assert_eq!(read(&after), Some(Some(value.clone())));
        prop_assert_eq!(&with_value(&after, Some(&value)), &after);
        prop_assert_eq!(read(&with_value(&after, None)), None);
    }
}

use super::*;

fn mount(json: &str) -> Mount {
    serde_json::from_str(json).unwrap()
}

const DATA: &str =
    r#"{"path":"/srv/data","src":"/dev/vdb","fstype":"xfs","opts":"defaults,noatime,nodev"}"#;
const LINE: &str = "/dev/vdb /srv/data xfs defaults,noatime,nodev 0 0";

fn found(fstab: &str, mounted: Option<(&str, &str)>) -> Found {
    Found {
        fstab: fstab.to_owned(),
        mounted: mounted.map(|(fstype, opts)| Mounted {
            src: "/dev/vdb".to_owned(),
            fstype: fstype.to_owned(),
            opts: opts.split(',').map(str::to_owned).collect(),
        }),
        same_source: true,
    }
}

/// Attribute, declared, found.
fn differences(declared: &Mount, found: &Found) -> Vec<(String, String, String)> {
    let drift = declared.drift(found).into_iter();
    drift
        .map(|drift| (drift.attribute, drift.expected, drift.actual))
        .collect()
}

fn difference(attribute: &str, expected: &str, actual: &str) -> (String, String, String) {
    (attribute.to_owned(), expected.to_owned(), actual.to_owned())
}

#[test]
fn compares_what_is_mounted_and_what_boot_mounts() {
    let declared = mount(DATA);
    let live = Some(("xfs", "rw,noatime,nodev,attr2,inode64"));
    assert_eq!(differences(&declared, &found(LINE, live)), []);
    assert_eq!(
        differences(&declared, &found("", None)),
        [
            difference("fstab", LINE, "absent"),
            difference("state", "mounted", "absent")
        ]
    );
    assert_eq!(
        differences(&declared, &found(LINE, Some(("xfs", "ro,nodev,relatime")))),
        [difference("mounted with", "nodev,noatime", "ro,nodev")]
    );
    assert_eq!(
        differences(&declared, &found(LINE, Some(("ext4", "rw,noatime,nodev")))),
        [difference("fstype", "xfs", "ext4")]
    );
    let other = Found {
        same_source: false,
        ..found(LINE, live)
    };
    assert_eq!(
        differences(&declared, &other),
        [difference("src", "/dev/vdb", "/dev/vdb")]
    );
    let by_hand = LINE.replace(",nodev", "");
    assert_eq!(
        differences(&declared, &found(&by_hand, live)),
        [difference("fstab", LINE, &by_hand)]
    );
}

#[test]
fn every_state_is_about_its_own_part() {
    let in_state = |state: &str| {
        let mut declared = mount(DATA);
        declared.state = serde_json::from_value(state.into()).unwrap();
        declared
    };
    let live = Some(("xfs", "rw,noatime,nodev"));
    let gone = difference("state", "absent", "mounted from /dev/vdb");
    let listed = difference("fstab", "absent", LINE);
    for (state, found, expected) in [
        ("present", found(LINE, None), vec![]),
        ("present", found(LINE, Some(("ext4", "ro"))), vec![]),
        ("unmounted", found(LINE, None), vec![]),
        ("unmounted", found(LINE, live), vec![gone.clone()]),
        ("absent", found("", None), vec![]),
        ("absent", found(LINE, live), vec![listed, gone]),
    ] {
        assert_eq!(differences(&in_state(state), &found), expected, "{state}");
    }
}

#[test]
fn names_of_file_systems_are_the_kernels_or_the_users() {
    for (declared, live, same) in [
        ("nfs", "nfs4", true),
        ("auto", "xfs", true),
        ("xfs", "ext4", false),
    ] {
        let json = format!(r#"{{"path":"/x","src":"s","fstype":"{declared}"}}"#);
        let declared = mount(&json);
        let line = declared.entry().unwrap().line();
        let differs = !declared.drift(&found(&line, Some((live, "rw")))).is_empty();
        assert_eq!(differs, !same, "{json} {live}");
    }
    let bind = mount(r#"{"path":"/x","src":"/y","fstype":"none","opts":"bind"}"#);
    let line = bind.entry().unwrap().line();
    assert_eq!(differences(&bind, &found(&line, Some(("xfs", "rw")))), []);
}

#[test]
fn a_device_is_known_by_any_of_its_names() {
    let base = tempfile::tempdir().unwrap();
    let path = |name: &str| base.path().join(name).display().to_string();
    std::fs::write(path("dm-0"), "").unwrap();
    std::os::unix::fs::symlink(path("dm-0"), path("vg-data")).unwrap();
    assert!(is_same(&path("vg-data"), &path("dm-0")));
    assert!(!is_same(&path("vg-data"), &path("dm-1")));
    assert!(is_same("filer:/share", "filer:/share"));
    assert!(!is_same("tmpfs", "filer:/share"));
    assert!(!is_same("UUID=no-such", "/dev/vdb"));
}

#[test]
fn refuses_what_would_break_the_file_or_the_host() {
    for (json, expected) in [
        (r#"{"path":"/x"}"#, "`src` is needed"),
        (r#"{"path":"/x","src":"s"}"#, "`fstype` is needed"),
        (r#"{"path":"/","state":"absent"}"#, "/ is never unmounted"),
        (
            r#"{"path":"/x","src":"s","fstype":"a b"}"#,
            "`fstype` is one word",
        ),
        (
            r#"{"path":"/x","src":"s\n/etc","fstype":"xfs"}"#,
            "control character",
        ),
        (
            r#"{"path":"/x","src":"s","fstype":"xfs","opts":"a b"}"#,
            "`opts` are words",
        ),
    ] {
        let error = mount(json).validate().unwrap_err();
        assert!(error.contains(expected), "{json}: {error}");
    }
}

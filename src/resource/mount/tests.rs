use super::*;

fn mount(json: &str) -> Mount {
    serde_json::from_str(json).unwrap()
}

const DATA: &str =
    r#"{"path":"/srv/data","src":"/dev/vdb","fstype":"xfs","opts":"defaults,noatime,nodev"}"#;
const LINE: &str = "/dev/vdb /srv/data xfs defaults,noatime,nodev 0 0";

fn found(fstab: &str, mounted: Option<(&str, &str)>) -> Found {
    Found {
        fstab: fstab.as_bytes().to_vec(),
        point: "/srv/data".into(),
        mounted: mounted.map(|(fstype, opts)| Mounted {
            src: "/dev/vdb".to_owned(),
            fstype: fstype.to_owned(),
            opts: opts.split(',').map(str::to_owned).collect(),
            root: "/".into(),
            device: "254:16".to_owned(),
        }),
        same_source: true,
        hidden_by: None,
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
        ("xfs,ext4", "ext4", true),
        ("sshfs", "fuse.sshfs", true),
        ("ntfs", "fuseblk", true),
        ("ext", "ext4", false),
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

fn refused(declared: &Mount, found: &Found) -> Option<String> {
    let host = Host::offline(Path::new("/nonexistent"));
    let refused = declared.obstacle(&host, found).err()?;
    Some(refused.to_string())
}

#[test]
fn what_apply_refuses_is_told_before() {
    let declared = mount(DATA);
    let live = Some(("xfs", "rw,noatime,nodev"));
    assert_eq!(refused(&declared, &found(LINE, live)), None);
    let other = refused(&declared, &found(LINE, Some(("ext4", "rw")))).unwrap();
    assert!(other.contains("unmount it first"), "{other}");

    let hidden = Found {
        hidden_by: Some("/etc/systemd/system/srv-data.mount".into()),
        ..found(LINE, live)
    };
    assert_eq!(
        differences(&declared, &hidden),
        [difference(
            "boot",
            "mounts what fstab says",
            "hidden by /etc/systemd/system/srv-data.mount"
        )]
    );
    assert!(
        refused(&declared, &hidden)
            .unwrap()
            .contains("remove that unit")
    );

    let root = Found {
        point: "/".into(),
        ..found("", live)
    };
    let absent = mount(r#"{"path":"/srv/root","state":"unmounted"}"#);
    assert!(refused(&absent, &root).unwrap().contains("never unmounted"));

    let nowhere = mount(r#"{"path":"/x","src":"/no/such.img","fstype":"ext4"}"#);
    let why = refused(&nowhere, &found("", None)).unwrap();
    assert_eq!(why, "/no/such.img does not exist");
}

#[test]
fn another_directory_that_is_bound_is_drift() {
    let bind = mount(r#"{"path":"/x","src":"/srv/right","fstype":"none","opts":"bind"}"#);
    let line = bind.entry().unwrap().line();
    let mut other = found(&line, Some(("xfs", "rw")));
    other.same_source = false;
    other.mounted.as_mut().unwrap().root = "/srv/wrong".into();
    assert_eq!(
        differences(&bind, &other),
        [difference("src", "/srv/right", "/srv/wrong of /dev/vdb")]
    );
    assert!(
        refused(&bind, &other)
            .unwrap()
            .contains("not what is declared")
    );
}

#[test]
fn a_second_line_for_the_mount_point_is_drift() {
    let declared = mount(DATA);
    let live = Some(("xfs", "rw,noatime,nodev"));
    let through_link = LINE.replace("/srv/data", "/real/data");
    let twice = Found {
        point: "/real/data".into(),
        ..found(&format!("{LINE}\n# caf\u{e9}\n{through_link}\n"), live)
    };
    assert_eq!(
        differences(&declared, &twice),
        [difference(
            "fstab",
            LINE,
            &format!("{LINE}; {through_link}")
        )]
    );
    let text = declared.fstab_text(&twice);
    assert_eq!(text, format!("{LINE}\n# caf\u{e9}\n").as_bytes());
    let mended = Found {
        fstab: text,
        ..twice
    };
    assert_eq!(differences(&declared, &mended), []);
}

#[test]
fn swap_is_told_that_it_is_not_for_this_kind() {
    for path in ["none", "swap"] {
        let json = format!(r#"{{"path":"{path}","src":"/dev/vdz1","fstype":"swap"}}"#);
        let error = serde_json::from_str::<Mount>(&json)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("is for swap, which has no mount point"),
            "{error}"
        );
    }
    let error = mount(r#"{"path":"/x","src":"/dev/vdz1","fstype":"swap"}"#).validate();
    assert!(error.unwrap_err().contains("`lineinfile`"));
    let relative = serde_json::from_str::<Mount>(r#"{"path":"x"}"#).unwrap_err();
    assert!(
        relative.to_string().contains("is not an absolute path"),
        "{relative}"
    );
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

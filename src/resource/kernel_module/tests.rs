use super::*;
use crate::host::config_dirs::ConfigFile;

fn module(json: &str) -> KernelModule {
    serde_json::from_str(json).unwrap()
}

fn found(live: Live, listed_in: &[&str]) -> Found {
    Found {
        live,
        listed_in: listed_in.iter().map(PathBuf::from).collect(),
        load: OwnFile::of("/load", None),
        options: OwnFile::of("/options", None),
        said: Said::default(),
        parameters: BTreeMap::new(),
    }
}

#[test]
fn compares_now_and_boot() {
    let declared = module(r#"{"name": "br_netfilter"}"#);
    let own = "/etc/modules-load.d/br_netfilter.conf";
    assert_eq!(declared.drift(&found(Live::Loaded, &[own])), []);
    assert_eq!(
        declared.drift(&found(Live::Loaded, &["/usr/lib/modules-load.d/k8s.conf"])),
        []
    );
    assert_eq!(declared.drift(&found(Live::BuiltIn, &[])), []);
    assert_eq!(
        declared.drift(&found(Live::Absent, &[])),
        [
            Drift::create("live", "loaded"),
            Drift::create("persisted", "loaded at boot")
        ]
    );
    let now_only = module(r#"{"name": "br_netfilter", "persisted": false}"#);
    assert_eq!(now_only.drift(&found(Live::Loaded, &[])), []);
}

#[test]
fn absent_is_about_both_too() {
    let declared = module(r#"{"name": "floppy", "state": "absent"}"#);
    assert_eq!(declared.drift(&found(Live::Absent, &[])), []);
    assert_eq!(
        declared.drift(&found(Live::Loaded, &["/etc/modules-load.d/floppy.conf"])),
        [
            Drift::remove("live", "loaded"),
            Drift::remove("persisted", "/etc/modules-load.d/floppy.conf")
        ]
    );
    assert_eq!(declared.drift(&found(Live::BuiltIn, &[])).len(), 1);
}

#[test]
fn parameters_are_compared_in_the_file_and_in_use() {
    let declared = module(
        r#"{"name": "dummy", "persisted": false,
        "params": {"numdummies": "2", "fast": "yes"}}"#,
    );
    let line = "options dummy fast=yes numdummies=2";
    assert_eq!(
        declared.drift(&found(Live::Loaded, &[])),
        [Drift::create("params", line)]
    );
    let in_use = |numdummies: &str| Found {
        options: OwnFile::of("/options", Some(format!("{line}\n").as_bytes())),
        parameters: [("numdummies", numdummies), ("fast", "Y")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        ..found(Live::Loaded, &[])
    };
    assert_eq!(declared.drift(&in_use("2")), []);
    assert_eq!(
        declared.drift(&in_use("1")),
        [Drift::update("parameter numdummies in use", "2", "1")]
    );
}

fn refused(declared: &KernelModule, found: &Found) -> Option<String> {
    let host = Host::offline(Path::new("/nonexistent"));
    let refused = declared.obstacle(&host, found).err()?;
    Some(refused.to_string())
}

#[test]
fn what_modprobe_d_keeps_out_is_never_in_sync() {
    let declared = module(r#"{"name": "dummy"}"#);
    let now_only = module(r#"{"name": "dummy", "persisted": false}"#);
    let own = "/etc/modules-load.d/dummy.conf";
    let blacklisted = Found {
        said: Said {
            blacklisted: Some("/etc/modprobe.d/b.conf".into()),
            ..Said::default()
        },
        ..found(Live::Loaded, &[own])
    };
    assert_eq!(
        declared.drift(&blacklisted),
        [Drift::update(
            "persisted",
            "loaded at boot",
            "kept out by `blacklist dummy` in /etc/modprobe.d/b.conf"
        )]
    );
    let why = refused(&declared, &blacklisted).unwrap();
    assert!(
        why.starts_with("/etc/modprobe.d/b.conf says `blacklist dummy`"),
        "{why}"
    );
    // Loading it by name is not what a blacklist is about.
    assert_eq!(now_only.drift(&blacklisted), []);
    assert_eq!(refused(&now_only, &blacklisted), None);

    let never = Found {
        said: Said {
            never: Some(("/x.conf".into(), "install dummy /bin/true".to_owned())),
            ..Said::default()
        },
        ..found(Live::Absent, &[])
    };
    for declared in [&declared, &now_only] {
        let why = refused(declared, &never).unwrap();
        assert!(why.contains("says `install dummy /bin/true`"), "{why}");
    }
}

#[test]
fn parameters_of_a_later_file_are_drift() {
    let declared =
        module(r#"{"name": "dummy", "persisted": false, "params": {"numdummies": "2"}}"#);
    let said = |file: &str, value: &str| Found {
        options: OwnFile::of("/o", Some(b"options dummy numdummies=2\n")),
        said: Said {
            parameters: [("numdummies".to_owned(), (value.to_owned(), file.into()))].into(),
            ..Said::default()
        },
        ..found(Live::Loaded, &[])
    };
    let later = said("/etc/modprobe.d/zz.conf", "5");
    let shown = "numdummies=5 (by /etc/modprobe.d/zz.conf)";
    assert_eq!(
        declared.drift(&later),
        [Drift::update("params", "options dummy numdummies=2", shown)]
    );
    assert!(
        refused(&declared, &later)
            .unwrap()
            .contains("is read later")
    );
    assert_eq!(declared.drift(&said("/etc/modprobe.d/zz.conf", "2")), []);
    assert_eq!(declared.drift(&said("/etc/modprobe.d/aa.conf", "5")), []);
}

#[test]
fn lines_of_others_in_the_same_files_are_kept() {
    let text = b"blacklist dummy_hcd\noptions dummy numdummies=1\noptions dummy x=1\n";
    let own = Found {
        load: OwnFile::of("/load", Some(b"loop\ndummy\n")),
        options: OwnFile::of("/options", Some(text)),
        ..found(Live::Absent, &["/etc/modules-load.d/dummy.conf"])
    };
    let declared = module(r#"{"name": "dummy", "params": {"numdummies": "2"}}"#);
    let absent = module(r#"{"name": "dummy", "state": "absent"}"#);
    assert_eq!(
        declared.options_text(&own),
        b"blacklist dummy_hcd\noptions dummy numdummies=2\n"
    );
    assert_eq!(absent.options_text(&own), b"blacklist dummy_hcd\n");
    assert_eq!(declared.load_text(&own, true), b"loop\ndummy\n");
    assert_eq!(absent.load_text(&own, false), b"loop\n");
    let blacklist = Found {
        options: OwnFile::of("/options", Some(b"blacklist dummy\n")),
        ..found(Live::Absent, &[])
    };
    assert_eq!(absent.drift(&blacklist), []);
}

#[test]
fn what_no_file_tells_is_unknown_and_not_absent() {
    let host = Host::offline(Path::new("/nonexistent"));
    let declared = module(r#"{"name": "no_such_module_at_all"}"#);
    match declared.live(&host) {
        Ok(live) => assert_eq!(live, Live::Absent),
        Err(failure) => {
            let failure = failure.to_string();
            assert!(
                failure.starts_with("cannot tell whether the kernel has"),
                "{failure}"
            );
        }
    }
    let directory = modules_directory(&host).unwrap();
    assert_eq!(
        declared.live(&host).is_ok(),
        directory.join("modules.builtin").exists()
    );
    if directory.join("modules.dep").exists() {
        let unknown = declared.check_known(&host).unwrap_err().to_string();
        assert!(
            unknown.contains("has no module `no_such_module_at_all`"),
            "{unknown}"
        );
    }
}

#[test]
fn finds_modules_under_either_spelling() {
    let modules = "br_netfilter 32768 0 - Live 0x0000000000000000\n\
                   bridge 311296 1 br_netfilter, Live 0x0000000000000000\n";
    assert!(is_loaded(modules, "br_netfilter"));
    assert!(!is_loaded(modules, "br"));
    assert_eq!(
        module(r#"{"name": "dm-thin-pool"}"#).kernel_name(),
        "dm_thin_pool"
    );
    assert!(is_built_in(
        "kernel/drivers/md/dm-thin-pool.ko\n",
        "dm_thin_pool"
    ));
    assert!(!is_built_in(
        "kernel/drivers/md/dm-thin-pool.ko\n",
        "dm_thin"
    ));
    let file = |path: &str, text: &str| ConfigFile {
        path: path.into(),
        text: text.as_bytes().to_vec(),
        ..ConfigFile::default()
    };
    let files = [
        file("/a.conf", "# dm-thin-pool\n"),
        file("/b.conf", "loop\n dm-thin-pool \r\n"),
    ];
    assert_eq!(listed_in(&files, "dm_thin_pool"), [Path::new("/b.conf")]);
}

#[test]
fn refuses_what_would_break_the_files() {
    for json in [
        r#"{"name": ""}"#,
        r#"{"name": "-r"}"#,
        r#"{"name": "../x"}"#,
        r#"{"name": "a b"}"#,
        r#"{"name": "a", "params": {"x y": "1"}}"#,
        r#"{"name": "a", "params": {"x": "1\ninstall a /bin/sh"}}"#,
        r#"{"name": "a", "params": {"x": ""}}"#,
        r#"{"name": "a", "state": "absent", "params": {"x": "1"}}"#,
    ] {
        assert!(module(json).validate().is_err(), "{json}");
    }
}

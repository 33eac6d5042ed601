use super::*;
use crate::host::docker_containers::Comeback;
use crate::host::evr::Evr;
use crate::protocol::{Content, Sha256};

fn nevra(name: &str, epoch: u32, version: &str) -> Nevra {
    Nevra {
        name: name.to_owned(),
        evr: Evr {
            epoch,
            version: version.to_owned(),
            release: "3.el7".to_owned(),
        },
        arch: "x86_64".to_owned(),
    }
}

fn package(nevra: &Nevra) -> Package {
    Package {
        name: nevra.name.clone(),
        epoch: nevra.evr.epoch,
        version: Some(nevra.evr.version.clone()),
        release: Some(nevra.evr.release.clone()),
        arch: Some(nevra.arch.clone()),
        src: Some(Source::Path("a.rpm".to_owned())),
        sha256: Some(Sha256::of(b"")),
    }
}

fn set(packages: &[Nevra]) -> Rpm {
    Rpm {
        packages: packages.iter().map(package).collect(),
        signature: Signature::Required,
        verify: Verify::Quick,
        versionlock: true,
        state: Presence::Present,
    }
}

fn found(installed: &[Nevra]) -> Found {
    Found {
        installed: installed.to_vec(),
        locks: Vec::new(),
        changed: BTreeMap::new(),
        containers: Vec::new(),
    }
}

#[test]
fn the_containers_that_end_with_an_engine_are_named() {
    let declared = set(&[nevra("docker-ce", 3, "20.10.24")]);
    let mut actual = found(&[nevra("docker-ce", 3, "20.10.5")]);
    actual.containers = vec![Container {
        name: "web".to_owned(),
        comeback: Comeback::None,
    }];
    let drift = declared.drift(&actual);
    assert_eq!(
        drift[1],
        Drift::update(
            "Docker engine",
            "restarted by its packages, with 1 running container: web",
            "running"
        )
    );
}

#[test]
fn shows_from_and_to_of_every_package() {
    let declared = set(&[
        nevra("docker-ce", 3, "20.10.24"),
        nevra("docker-ce-cli", 1, "20.10.24"),
    ]);
    assert_eq!(
        declared.drift(&found(&[])),
        [
            Drift::create("docker-ce", "3:20.10.24-3.el7.x86_64"),
            Drift::create("docker-ce-cli", "1:20.10.24-3.el7.x86_64"),
        ]
    );
    let installed = [
        nevra("docker-ce", 3, "20.10.5"),
        nevra("docker-ce-cli", 1, "23.0.1"),
    ];
    assert_eq!(
        declared.drift(&found(&installed)),
        [
            Drift::update(
                "docker-ce (upgrade)",
                "3:20.10.24-3.el7.x86_64",
                "3:20.10.5-3.el7.x86_64"
            ),
            Drift::update(
                "docker-ce-cli (downgrade)",
                "1:20.10.24-3.el7.x86_64",
                "1:23.0.1-3.el7.x86_64"
            ),
        ]
    );
    let same = [
        nevra("docker-ce", 3, "20.10.24"),
        nevra("docker-ce-cli", 1, "20.10.24"),
    ];
    assert_eq!(declared.drift(&found(&same)), []);
}

#[test]
fn files_that_somebody_changed_are_drift_of_their_package() {
    let engine = nevra("docker-ce", 3, "20.10.24");
    let declared = set(std::slice::from_ref(&engine));
    let files: Vec<_> = (1..=7).map(|n| format!("missing /usr/bin/{n}")).collect();
    let mut actual = found(std::slice::from_ref(&engine));
    actual.changed = BTreeMap::from([("docker-ce".to_owned(), files)]);
    let shown = "missing /usr/bin/1; missing /usr/bin/2; missing /usr/bin/3; \
                 missing /usr/bin/4; missing /usr/bin/5; and 2 more";
    assert_eq!(
        declared.drift(&actual),
        [Drift::update("docker-ce (files)", "as packaged", shown)]
    );
}

#[test]
fn another_version_beside_the_declared_one_is_drift() {
    let declared = set(&[nevra("docker-ce", 3, "20.10.24")]);
    let (old, older) = (
        nevra("docker-ce", 3, "20.10.5"),
        nevra("docker-ce", 0, "18.06.3.ce"),
    );
    let beside = |nevra: &Nevra| {
        Drift::new(
            Change::Remove,
            "docker-ce (installed beside)",
            "absent",
            nevra.evra(),
        )
    };
    let actual = found(&[older.clone(), nevra("docker-ce", 3, "20.10.24")]);
    assert_eq!(declared.drift(&actual), [beside(&older)]);
    assert_eq!(
        declared.drift(&found(&[older.clone(), old.clone()])),
        [
            Drift::update("docker-ce (upgrade)", "3:20.10.24-3.el7.x86_64", old.evra()),
            beside(&older)
        ]
    );
    let other_arch = Nevra {
        arch: "i686".to_owned(),
        ..nevra("docker-ce", 3, "20.10.24")
    };
    let drift = declared.drift(&found(std::slice::from_ref(&other_arch)));
    assert_eq!(drift[0].attribute, "docker-ce (replace)");
}

#[test]
fn absent_is_about_names_only() {
    let mut declared = set(&[
        nevra("docker", 2, "1.13.1"),
        nevra("docker-engine", 0, "1.12.6"),
    ]);
    declared.state = Presence::Absent;
    let installed = nevra("docker", 2, "1.9.0");
    assert_eq!(
        declared.drift(&found(&[installed])),
        [Drift::remove("docker", "2:1.9.0-3.el7.x86_64")]
    );
    assert_eq!(declared.drift(&found(&[])), []);
}

#[test]
fn refuses_sets_that_are_none() {
    let good = nevra("docker-ce", 3, "20.10.24");
    let with = |change: fn(&mut Package)| {
        let mut declared = set(std::slice::from_ref(&good));
        change(&mut declared.packages[0]);
        declared.validate().unwrap_err()
    };
    assert_eq!(set(std::slice::from_ref(&good)).validate(), Ok(()));
    assert_eq!(set(&[]).validate().unwrap_err(), "`packages` is empty");
    assert_eq!(
        set(&[good.clone(), good.clone()]).validate().unwrap_err(),
        "the package `docker-ce` is declared twice"
    );
    assert_eq!(
        with(|p| p.version = None),
        "the package `docker-ce` needs `version`"
    );
    assert_eq!(
        with(|p| p.src = None),
        "the package `docker-ce` needs `src`"
    );
    assert!(with(|p| p.sha256 = None).contains("needs `sha256`"));
    for hostile in [
        "", "-e", "a b", "a\nb", "../x", "docker*", "é", "a;b", "%{NAME}",
    ] {
        let mut declared = set(std::slice::from_ref(&good));
        hostile.clone_into(&mut declared.packages[0].name);
        let error = declared.validate().unwrap_err();
        assert!(
            error.contains("is not the name of a package"),
            "{hostile:?}: {error}"
        );
    }
    assert!(with(|p| p.release = Some("3-1".to_owned())).contains("is not the release"));
    assert!(with(|p| p.arch = Some("x86-64".to_owned())).contains("is not the arch"));
    let other = with(|p| {
        let content = Content {
            sha256: Sha256::of(b"x"),
            size: 1,
        };
        p.src = Some(Source::Content(content));
    });
    assert!(
        other.starts_with("the file of `docker-ce` has the sha256 2d71"),
        "{other}"
    );
}

#[test]
fn absent_packages_need_a_name_and_send_no_file() {
    let json = r#"{ "packages": [{ "name": "docker" }], "state": "absent" }"#;
    let mut declared: Rpm = serde_json::from_str(json).unwrap();
    assert_eq!(declared.validate(), Ok(()));
    assert!(declared.sources_mut().is_empty());
    assert_eq!(
        set(&[nevra("a", 0, "1"), nevra("b", 0, "1")])
            .sources_mut()
            .len(),
        2
    );
}

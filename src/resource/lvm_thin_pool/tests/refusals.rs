//! What is refused, in which words, and before anything is touched.

use proptest::prelude::*;

use super::super::step::Step;
use super::super::*;
use super::model::{after, declared, device, empty_host, finished, host, part};

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn every_objection_names_what_was_found_and_the_way_out() {
    let pool = declared("");
    let with_consent = declared(r#", "consent": ["virtio-vdz"]"#);
    let in_group = |change: fn(&mut Found)| {
        let mut found = finished(&declared(""));
        change(&mut found);
        found
    };
    let occupied = || Standing::Occupied(vec!["ext4 on /dev/vdb at 0x438".to_owned()]);
    let mut nameless = device("vdb", occupied());
    nameless.found.names.clear();
    nameless.found.serials.clear();
    let cases: Vec<(&LvmThinPool, Found, &str)> = vec![
        (
            &pool,
            host(vec![device("vdb", occupied())]),
            "/dev/vdb is not empty, and taking it would destroy what is there: ext4 on /dev/vdb at \
             0x438. If that may be lost, add `virtio-vdb` to `consent` for this host alone",
        ),
        (
            &with_consent,
            host(vec![device("vdb", occupied())]),
            "/dev/vdb is not empty, and taking it would destroy what is there: ext4 on /dev/vdb at \
             0x438. If that may be lost, add `virtio-vdb` to `consent` for this host alone \
             (`consent` has virtio-vdz; this device is virtio-vdb, serial-vdb)",
        ),
        (
            &pool,
            host(vec![nameless]),
            "/dev/vdb is not empty, and taking it would destroy what is there: ext4 on /dev/vdb at \
             0x438. It has no name in /dev/disk/by-id and no serial, so `consent` cannot name it; \
             if that may be lost, run `wipefs --all /dev/vdb` there yourself",
        ),
        (
            &pool,
            host(vec![device(
                "vdb",
                Standing::Taken(vec!["is mounted on /srv".to_owned()]),
            )]),
            "/dev/vdb is mounted on /srv; `consent` does not help here",
        ),
        (
            &pool,
            in_group(|found| found.undeclared.push("/dev/sdz".to_owned())),
            "the volume group `docker` is also on /dev/sdz, which is not in `devices`: declare it, \
             or choose another `vg`; fleet takes no device out of a group",
        ),
        (
            &pool,
            in_group(|found| found.group.as_mut().unwrap().missing = 1),
            "the volume group `docker` misses 1 of its devices (`pvs` shows which); bring them back",
        ),
        (
            &pool,
            in_group(|found| found.volumes[0].health = "metadata_read_only".to_owned()),
            "the pool `docker/thinpool` is not healthy (`metadata_read_only`); stop Docker, then \
             `lvconvert --repair docker/thinpool`",
        ),
        (
            &pool,
            in_group(|found| {
                found.volumes = vec![part("thinpool", 50)];
                found.volumes[0].tags.clear();
                found.group.as_mut().unwrap().free = 973;
            }),
            "the volume `docker/thinpool` (linear, 200 MiB) exists and was not made by fleet: \
             making it part of the pool would destroy its content; rename or remove it, or choose \
             another `pool`",
        ),
        (
            &pool,
            in_group(|found| {
                found.volumes = vec![part("thinpool", 716)];
                found.volumes[0].open = true;
            }),
            "the volume `docker/thinpool` (linear, 2.79 GiB) exists and is in use: making it part \
             of the pool would destroy its content; rename or remove it, or choose another `pool`",
        ),
        (
            &pool,
            in_group(|found| {
                found.volumes.clear();
                found.group.as_mut().unwrap().free = 100;
            }),
            "the volume group `docker` has 400 MiB free, but the declared sizes need 2.87 GiB more \
             (with the spare that LVM keeps of the metadata): make them smaller, or add a device",
        ),
    ];
    for (declared, found, expected) in cases {
        assert_eq!(declared.objections(&found), [expected]);
        let refusal = declared
            .check_possible(&found, false)
            .unwrap_err()
            .to_string();
        assert_eq!(refusal, format!("nothing was changed:\n    - {expected}"));
        assert!(
            !declared.drift(&found).is_empty(),
            "check shows it too: {expected}"
        );
    }
    let mut loopback = empty_host();
    loopback.loopback = Some("docker-253:0-1-pool on loop0 and loop1".to_owned());
    assert!(pool.objections(&loopback)[0].starts_with("Docker runs on loopback files (docker-253"));
    assert!(
        pool.drift(&loopback)
            .iter()
            .any(|drift| drift.attribute == "docker_pool")
    );
}

#[test]
fn sizes_in_bytes_that_leave_autoextend_no_room_are_refused_before_anything_is_made() {
    let pool = declared(r#", "data_size": "3700M", "metadata_size": "40M""#);
    assert_eq!(
        pool.objections(&empty_host()),
        [
            "the declared sizes would leave 312 MiB of the volume group `docker`, but one step of \
          autoextend (20% of the pool) needs 740 MiB: it could never act; make `data_size` \
          smaller, or switch autoextend off with `autoextend_threshold: 100`"
        ]
    );
}

#[test]
fn validation_names_the_value_and_the_way_out() {
    let error = |json: &str| {
        let pool: LvmThinPool = serde_json::from_str(json).unwrap();
        pool.validate().unwrap_err()
    };
    for (changed, expected) in [
        (r#""devices": []"#, "`devices` is empty"),
        (
            r#""devices": ["/etc/passwd"]"#,
            "the device `/etc/passwd` is not below `/dev`",
        ),
        (
            r#""devices": ["/dev/vdb", "/dev//vdb"]"#,
            "the device `/dev/vdb` is declared twice",
        ),
        (
            r#""consent": ["/dev/disk/by-id/x"]"#,
            "leave the directory out",
        ),
        (r#""consent": [""]"#, "is no serial"),
        (
            r#""chunk_size": "100K""#,
            "`chunk_size` 100 KiB is not a multiple of 64 KiB up to 1 GiB",
        ),
        (
            r#""chunk_size": "2G""#,
            "`chunk_size` 2 GiB is not a multiple",
        ),
        (
            r#""metadata_size": "20G""#,
            "`metadata_size` 20 GiB is not between 2 MiB and 15.81 GiB",
        ),
        (
            r#""autoextend_threshold": 40"#,
            "`autoextend_threshold` 40 is not between 50 and 100",
        ),
        (
            r#""autoextend_percent": 101"#,
            "`autoextend_percent` 101 is more than 100",
        ),
        (
            r#""monitoring": false"#,
            "autoextend needs `monitoring: yes`",
        ),
        (r#""data_size": "95%""#, "it could never act"),
        (r#""vg": "a b""#, "`a b` is not a name LVM takes as `vg`"),
        (r#""vg": "-f""#, "is not a name"),
        (r#""pool": "x_tmeta""#, "is not a name"),
        (r#""pool": """#, "is not a name"),
    ] {
        let mut json = serde_json::json!({
            "vg": "docker", "pool": "thinpool", "devices": ["/dev/vdb"]
        });
        let changed: serde_json::Value = serde_json::from_str(&format!("{{{changed}}}")).unwrap();
        for (key, value) in changed.as_object().unwrap() {
            json[key] = value.clone();
        }
        let error = error(&json.to_string());
        assert!(error.contains(expected), "{changed}: {error}");
    }
}

fn any_standing() -> impl Strategy<Value = Standing> {
    let found = || vec!["ext4".to_owned()];
    prop_oneof![
        Just(Standing::Empty),
        Just(Standing::Prepared),
        Just(Standing::Given(found())),
        Just(Standing::Occupied(found())),
        Just(Standing::Taken(found())),
    ]
}

proptest! {
    /// Nothing is wiped without consent, and nothing at all is touched while one device objects.
    #[test]
    fn only_given_devices_are_ever_wiped(standings in prop::collection::vec(any_standing(), 1..4)) {
        let pool = declared("");
        let names = ["vdb", "vdc", "vdd"];
        let devices: Vec<_> = names.iter().zip(&standings)
            .map(|(name, standing)| device(name, standing.clone())).collect();
        let mut now = host(devices.clone());
        let refused = standings.iter().any(|standing| {
            matches!(standing, Standing::Occupied(_) | Standing::Taken(_))
        });
        prop_assert_eq!(!pool.objections(&now).is_empty(), refused);
        if refused {
            return Ok(());
        }
        while let Some(step) = pool.next_step(&now) {
            if let Step::Wipe(wiped) = &step {
                let given = devices.iter().any(|device| {
                    device.found == *wiped && matches!(device.standing, Standing::Given(_))
                });
                prop_assert!(given);
            }
            now = after(&pool, &now, &step);
        }
        prop_assert_eq!(pool.drift(&now), []);
    }
}

//! The pool's life on a model of LVM: what each step makes visible, and nothing else.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::step::Step;
use super::*;
use crate::protocol::Change;

const EXTENT: u64 = 4 << 20;

fn declared(more: &str) -> LvmThinPool {
    let pool: LvmThinPool = serde_json::from_str(&format!(
        r#"{{"vg": "docker", "pool": "thinpool", "devices": ["/dev/vdb"]{more}}}"#
    ))
    .unwrap();
    pool.validate().unwrap();
    pool
}

fn device(name: &str, standing: Standing) -> Device {
    Device {
        declared: format!("/dev/{name}"),
        found: BlockDevice {
            node: format!("/dev/{name}").into(),
            number: Number::for_test(254, u32::from(name.as_bytes()[2])),
            size: 4 << 30,
            names: vec![format!("virtio-{name}")],
            serials: BTreeSet::from([format!("serial-{name}")]),
            partitions: Vec::new(),
        },
        standing,
    }
}

fn host(devices: Vec<Device>) -> Found {
    Found {
        devices,
        group: None,
        undeclared: Vec::new(),
        volumes: Vec::new(),
        profile: None,
        loopback: None,
        wants_diff: false,
    }
}

fn empty_host() -> Found {
    host(vec![device("vdb", Standing::Empty)])
}

fn part(name: &str, extents: u64) -> LogicalVolume {
    LogicalVolume {
        name: name.to_owned(),
        size: extents * EXTENT,
        segment: "linear".to_owned(),
        tags: vec![PART_TAG.to_owned()],
        active: true,
        ..LogicalVolume::default()
    }
}

/// What LVM shows once a step is done.
fn after(declared: &LvmThinPool, found: &Found, step: &Step) -> Found {
    let mut now = found.clone();
    match step {
        Step::Wipe(wiped) => {
            let of = |device: &&mut Device| device.found.number == wiped.number;
            now.devices.iter_mut().find(of).unwrap().standing = Standing::Empty;
        }
        Step::Label(node) => {
            let of = |device: &&mut Device| device.found.node == *node;
            now.devices.iter_mut().find(of).unwrap().standing = Standing::Prepared;
        }
        Step::CreateGroup(nodes) | Step::ExtendGroup(nodes) => {
            let old = found.group.clone().unwrap_or_default();
            let new = 1023 * nodes.len() as u64;
            now.group = Some(VolumeGroup {
                extent_size: EXTENT,
                extents: old.extents + new,
                free: old.free + new,
                ..old
            });
            for device in &mut now.devices {
                device.standing = Standing::Member;
            }
        }
        Step::CreateData(extents) | Step::CreateMetadata(extents) => {
            let name = match step {
                Step::CreateData(_) => "thinpool",
                _ => "thinpoolmeta",
            };
            now.group.as_mut().unwrap().free -= extents;
            now.volumes.push(part(name, *extents));
        }
        Step::Join => {
            let metadata = found.volume("thinpoolmeta").unwrap().size;
            now.volumes.retain(|volume| volume.name != "thinpoolmeta");
            let pool = &mut now.volumes[0];
            pool.segment = "thin-pool".to_owned();
            pool.tags.clear();
            pool.chunk = declared.chunk_size.0;
            pool.metadata = metadata;
            pool.monitor = "not monitored".to_owned();
            (pool.data_fill, pool.metadata_fill) = (Some(0), Some(1009));
            now.volumes.push(part("lvol0_pmspare", metadata / EXTENT));
            now.group.as_mut().unwrap().free -= metadata / EXTENT;
        }
        Step::WriteProfile => now.profile = Some(declared.profile_text().into_bytes()),
        Step::AttachProfile => now.volumes[0].profile = Some(declared.profile_name()),
        Step::Activate => now.volumes[0].active = true,
        Step::Monitor(wanted) => {
            let word = if *wanted {
                "monitored"
            } else {
                "not monitored"
            };
            word.clone_into(&mut now.volumes[0].monitor);
        }
        Step::ExtendMetadata(bytes) => {
            let spare = now
                .volumes
                .iter_mut()
                .find(|volume| volume.name == "lvol0_pmspare");
            let old = std::mem::replace(&mut spare.unwrap().size, *bytes);
            now.group.as_mut().unwrap().free -= 2 * (bytes - old) / EXTENT;
            now.volumes[0].metadata = *bytes;
        }
        Step::ExtendData(extents) => {
            now.group.as_mut().unwrap().free -= extents - now.volumes[0].size / EXTENT;
            now.volumes[0].size = extents * EXTENT;
        }
        Step::ExtendByPolicy { data, .. } => {
            let more = declared.autoextend_step(data / EXTENT);
            now.group.as_mut().unwrap().free -= more;
            let pool = &mut now.volumes[0];
            let fill = u64::from(pool.data_fill.unwrap()) * pool.size;
            pool.size += more * EXTENT;
            pool.data_fill = Some(u16::try_from(fill / pool.size).unwrap());
        }
    }
    now
}

/// Takes steps to the end; every state on the way, with the step taken from it.
fn run(declared: &LvmThinPool, from: Found) -> (Vec<(Found, Step)>, Found) {
    let (mut now, mut way) = (from, Vec::new());
    while declared.objections(&now).is_empty() {
        let Some(step) = declared.next_step(&now) else {
            return (way, now);
        };
        let next = after(declared, &now, &step);
        way.push((now, step));
        now = next;
        assert!(way.len() < 50, "no end: {way:#?}");
    }
    panic!("{:#?}", declared.objections(&now));
}

/// A host as apply leaves it.
fn finished(declared: &LvmThinPool) -> Found {
    run(declared, empty_host()).1
}

fn attributes(drift: &[Drift]) -> Vec<(Change, &str)> {
    drift
        .iter()
        .map(|drift| (drift.change, drift.attribute.as_str()))
        .collect()
}

#[test]
fn an_empty_host_lists_all_that_will_be_made() {
    let drift = declared("").drift(&empty_host());
    assert!(
        drift.iter().all(|drift| drift.change == Change::Create),
        "{drift:#?}"
    );
    let shown: Vec<_> = drift
        .iter()
        .map(|drift| format!("{} {}", drift.attribute, drift.expected))
        .collect();
    assert_eq!(
        shown,
        [
            "device /dev/vdb in `docker`",
            "volume_group docker, 3.99 GiB",
            "pool thinpool, chunks of 512 KiB",
            "data_size 2.79 GiB (70%)",
            "metadata_size 40 MiB (1%)",
            "profile /etc/lvm/profile/docker-thinpool.profile: extend by 20% from 80% on",
            "monitoring monitored",
        ]
    );
}

#[test]
fn a_pool_is_made_by_docker_s_manual_procedure() {
    let declared = declared("");
    let (way, end) = run(&declared, empty_host());
    let commands: Vec<_> = way
        .iter()
        .map(|(_, step)| match step.argv(&declared) {
            None => format!("{step:?}"),
            Some(argv) => argv
                .iter()
                .map(|word| word.to_str().unwrap())
                .collect::<Vec<_>>()
                .join(" "),
        })
        .collect();
    assert_eq!(
        commands,
        [
            "pvcreate /dev/vdb",
            "vgcreate docker /dev/vdb",
            "lvcreate --yes --wipesignatures y --addtag fleet.thin_pool_part --name thinpool --extents 716 docker",
            "lvcreate --yes --wipesignatures y --addtag fleet.thin_pool_part --name thinpoolmeta --extents 10 docker",
            "lvconvert --yes --zero n --chunksize 524288b --thinpool docker/thinpool --poolmetadata docker/thinpoolmeta",
            "WriteProfile",
            "lvchange --metadataprofile docker-thinpool docker/thinpool",
            "lvchange --monitor y docker/thinpool",
        ]
    );
    assert_eq!(declared.drift(&end), []);
}

/// Whoever is killed after any step finds drift, and goes on to the same end.
#[test]
fn every_interrupted_state_leads_to_the_same_pool() {
    let declared = declared("");
    let (way, end) = run(&declared, empty_host());
    for (at, (state, step)) in way.iter().enumerate() {
        assert!(!declared.drift(state).is_empty(), "before {step:?}");
        let (rest, same_end) = run(&declared, state.clone());
        let left: Vec<_> = rest.iter().map(|(_, step)| step).collect();
        assert_eq!(
            left,
            way[at..].iter().map(|(_, step)| step).collect::<Vec<_>>()
        );
        assert_eq!(declared.drift(&same_end), []);
        assert_eq!(same_end.volumes, end.volumes);
    }
}

#[test]
fn a_device_added_later_enlarges_group_and_pool_in_place() {
    let small = declared("");
    let mut found = finished(&small);
    found.devices.push(device("vdc", Standing::Empty));
    let drift = small.drift(&found);
    assert_eq!(
        attributes(&drift),
        [
            (Change::Create, "device /dev/vdc"),
            (Change::Update, "data_size"),
            (Change::Update, "metadata_size")
        ]
    );
    assert_eq!(
        (&*drift[1].expected, &*drift[1].actual),
        ("5.59 GiB (70%)", "2.79 GiB")
    );
    let (way, end) = run(&small, found);
    let steps: Vec<_> = way.into_iter().map(|(_, step)| step).collect();
    assert_eq!(
        steps,
        [
            Step::Label("/dev/vdc".into()),
            Step::ExtendGroup(vec!["/dev/vdc".into()]),
            Step::ExtendMetadata(20 * EXTENT),
            Step::ExtendData(1432),
        ]
    );
    assert_eq!(small.drift(&end), []);
}

#[test]
fn what_autoextend_added_is_no_drift_and_what_cannot_shrink_is_refused() {
    let pool = declared("");
    let mut found = finished(&pool);
    found.volumes[0].size += 100 * EXTENT;
    assert_eq!(pool.drift(&found), []);

    let fixed = declared(r#", "autoextend_threshold": 100, "data_size": "1G""#);
    let drift = fixed.drift(&found);
    assert!(
        attributes(&drift).contains(&(Change::Replace, "data_size")),
        "{drift:#?}"
    );
    assert_eq!(
        fixed.objections(&found),
        [
            "the pool `docker/thinpool` has 3.18 GiB and cannot be made smaller (1 GiB): a new pool \
          would destroy all images and containers in it (0.00% full)"
        ]
    );
}

#[test]
fn another_chunk_size_is_refused_with_what_it_would_destroy() {
    let mut found = finished(&declared(""));
    found.volumes[0].data_fill = Some(4250);
    let other = declared(r#", "chunk_size": "64K""#);
    assert_eq!(
        attributes(&other.drift(&found)),
        [(Change::Replace, "chunk_size")]
    );
    assert_eq!(
        other.objections(&found),
        [
            "the pool `docker/thinpool` has chunks of 512 KiB, which cannot be changed to 64 KiB: a \
          new pool would destroy all images and containers in it (42.50% full)"
        ]
    );
}

#[test]
fn drift_is_found_one_by_one_and_mended() {
    let pool = declared("");
    let cases: [(&str, fn(&mut Found)); 6] = [
        ("profile", |found| found.profile = None),
        ("attached_profile", |found| found.volumes[0].profile = None),
        ("attached_profile", |found| {
            found.volumes[0].profile = Some("other".to_owned());
        }),
        ("monitoring", |found| {
            found.volumes[0].monitor = "not monitored".to_owned();
        }),
        ("state", |found| found.volumes[0].active = false),
        ("autoextend_threshold", |found| {
            let text = String::from_utf8(found.profile.clone().unwrap()).unwrap();
            found.profile = Some(text.replace("=80", "=95").into_bytes());
        }),
    ];
    for (attribute, change) in cases {
        let mut found = finished(&pool);
        change(&mut found);
        let drift = pool.drift(&found);
        assert_eq!(drift.len(), 1, "{drift:#?}");
        assert_eq!(drift[0].attribute, attribute);
        assert_eq!(pool.drift(&run(&pool, found).1), [], "{attribute}");
    }
}

#[test]
fn a_fill_past_the_threshold_is_told_with_its_severity() {
    let pool = declared("");
    let filled = |pool: &LvmThinPool, data: u16, free: u64| {
        let mut found = finished(pool);
        found.volumes[0].data_fill = Some(data);
        found.group.as_mut().unwrap().free = free;
        found
    };
    assert_eq!(
        pool.drift(&filled(&pool, 8000, 0)),
        [],
        "LVM acts above the threshold"
    );

    let room = filled(&pool, 8001, 287);
    let drift = pool.drift(&room);
    assert_eq!(drift[0].expected, "at most 80%");
    assert_eq!(
        drift[0].actual,
        "80.01% (warning: the volume group has room to extend the pool)"
    );
    let (way, end) = run(&pool, room);
    assert!(matches!(way[..], [(_, Step::ExtendByPolicy { .. })]));
    assert_eq!(pool.drift(&end), []);

    // Nothing can be done: no step, so that apply reports what is left.
    let full = filled(&pool, 9600, 10);
    assert!(
        pool.drift(&full)[0]
            .actual
            .starts_with("96.00% (critical: the volume group has no")
    );
    assert_eq!(pool.next_step(&full), None);

    let off = declared(r#", "autoextend_threshold": 100"#);
    assert_eq!(off.drift(&filled(&off, 9000, 287)), []);
    assert!(
        off.drift(&filled(&off, 9001, 287))[0]
            .actual
            .contains("critical: autoextend is off")
    );
    assert_eq!(off.next_step(&filled(&off, 9001, 287)), None);
}

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
        assert_eq!(
            refusal,
            format!("refused, nothing was changed:\n    - {expected}")
        );
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

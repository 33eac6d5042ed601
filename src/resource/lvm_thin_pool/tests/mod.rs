//! The pool's life on a model of LVM.

mod model;
mod refusals;

use super::step::Step;
use super::*;
use crate::protocol::Change;
use model::{EXTENT, declared, device, empty_host, finished, run};

/// What it shows as, and how it is made.
type ByHand = (&'static str, fn(&mut Found));

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
    let cases: [ByHand; 6] = [
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

//! A model of LVM: what each step makes visible, and nothing else.

use std::collections::BTreeSet;

use super::super::step::Step;
use super::super::*;

pub(super) const EXTENT: u64 = 4 << 20;

pub(super) fn declared(more: &str) -> LvmThinPool {
    let pool: LvmThinPool = serde_json::from_str(&format!(
        r#"{{"vg": "docker", "pool": "thinpool", "devices": ["/dev/vdb"]{more}}}"#
    ))
    .unwrap();
    pool.validate().unwrap();
    pool
}

pub(super) fn device(name: &str, standing: Standing) -> Device {
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

pub(super) fn host(devices: Vec<Device>) -> Found {
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

pub(super) fn empty_host() -> Found {
    host(vec![device("vdb", Standing::Empty)])
}

pub(super) fn part(name: &str, extents: u64) -> LogicalVolume {
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
pub(super) fn after(declared: &LvmThinPool, found: &Found, step: &Step) -> Found {
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
pub(super) fn run(declared: &LvmThinPool, from: Found) -> (Vec<(Found, Step)>, Found) {
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
pub(super) fn finished(declared: &LvmThinPool) -> Found {
    run(declared, empty_host()).1
}

//! Whether a declared device may be taken, and what speaks against it.

use std::collections::BTreeSet;

use crate::host::block_device::{BlockDevice, Number, Signature};
use crate::host::lvm::PhysicalVolume;

/// What LVM's label is called by libblkid.
const LVM_LABEL: &str = "LVM2_member";

/// A declared device as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Device {
    /// As declared.
    pub(super) declared: String,
    pub(super) found: BlockDevice,
    pub(super) standing: Standing,
}

/// What may be done with a declared device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is in the declared volume group.
    Member,
    /// It has LVM's label, is in no group, and nothing else is on it: a creation was interrupted.
    Prepared,
    /// Nothing is on it.
    Empty,
    /// Something is on it, and the user consents to losing that.
    Given(Vec<String>),
    /// Something is on it; consent to losing it would be enough.
    Occupied(Vec<String>),
    /// Something uses it or it belongs to someone else. No consent helps.
    Taken(Vec<String>),
}

/// What was found out about one device.
#[derive(Clone, Debug, Default)]
pub(super) struct Evidence {
    /// Who uses it, in words.
    pub(super) claims: Vec<String>,
    /// What is on it.
    pub(super) signatures: Vec<Signature>,
}

/// LVM's view: physical volumes by the number of their device.
pub(super) type Members = Vec<(Option<Number>, PhysicalVolume)>;

/// Whether the device is in the group already; then nothing else is asked about it.
pub(super) fn is_member(device: &BlockDevice, members: &Members, group: &str) -> bool {
    of(device.number, members).any(|volume| {
        volume
            .group
            .as_ref()
            .is_some_and(|found| found.name == group)
    })
}

/// Judges a device that is not in the declared group.
pub(super) fn judge(
    device: &BlockDevice,
    evidence: &Evidence,
    members: &Members,
    consented: bool,
) -> Standing {
    let mut taken = evidence.claims.clone();
    let numbers = std::iter::once((device.number, String::new())).chain(
        device.partitions.iter().map(|partition| {
            (
                partition.number,
                format!(" (its partition {})", partition.node.display()),
            )
        }),
    );
    for (number, of_whom) in numbers {
        for volume in of(number, members) {
            match &volume.group {
                Some(group) => {
                    taken.push(format!(
                        "belongs to the volume group `{}`{of_whom}",
                        group.name
                    ));
                }
                None if volume.used || !volume.has_metadata => taken.push(format!(
                    "belongs to a volume group whose other devices are away{of_whom}"
                )),
                None => {}
            }
        }
    }
    for signature in evidence
        .signatures
        .iter()
        .filter(|found| found.kind == LVM_LABEL)
    {
        let known = members.iter().any(|(number, _)| {
            *number == Some(device.number) && signature.node == device.node
                || device.partitions.iter().any(|partition| {
                    *number == Some(partition.number) && signature.node == partition.node
                })
        });
        if !known {
            // Its group cannot be told, so it may be anybody's.
            taken.push(format!(
                "has a label of LVM that LVM is told to ignore ({signature})"
            ));
        }
    }
    if !taken.is_empty() {
        return Standing::Taken(taken);
    }
    let mut found: Vec<_> = evidence
        .signatures
        .iter()
        .map(ToString::to_string)
        .collect();
    found.extend(
        device
            .partitions
            .iter()
            .map(|partition| format!("partition {}", partition.node.display())),
    );
    let only_label = device.partitions.is_empty()
        && matches!(&evidence.signatures[..], [only] if only.kind == LVM_LABEL);
    match (found.is_empty(), consented) {
        (true, _) => Standing::Empty,
        (false, _) if only_label => Standing::Prepared,
        (false, true) => Standing::Given(found),
        (false, false) => Standing::Occupied(found),
    }
}

fn of(number: Number, members: &Members) -> impl Iterator<Item = &PhysicalVolume> {
    members
        .iter()
        .filter(move |(found, _)| *found == Some(number))
        .map(|(_, volume)| volume)
}

/// Whether `consent` names this very device: by one of its names in `/dev/disk/by-id`, or by the
/// serial of a whole disk that no other declared disk has.
pub(super) fn consents(consent: &[String], device: &BlockDevice, all: &[BlockDevice]) -> bool {
    let shared: BTreeSet<_> = all
        .iter()
        .filter(|other| other.number != device.number)
        .flat_map(|other| &other.serials)
        .collect();
    consent.iter().any(|word| {
        device.names.contains(word) || (device.serials.contains(word) && !shared.contains(word))
    })
}

/// What to write into `consent` for this device, best first.
pub(super) fn consent_words(device: &BlockDevice) -> Option<&String> {
    device.names.first().or_else(|| device.serials.first())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::host::block_device::Partition;
    use crate::host::lvm::VolumeGroup;

    fn disk(name: &str) -> BlockDevice {
        BlockDevice {
            node: Path::new("/dev").join(name),
            number: Number::for_test(8, u32::from(name.as_bytes()[2])),
            size: 4 << 30,
            names: vec![format!("virtio-{name}")],
            serials: BTreeSet::from([format!("serial-{name}")]),
            partitions: Vec::new(),
        }
    }

    fn signature(node: &str, kind: &str) -> Signature {
        Signature {
            node: node.into(),
            kind: kind.to_owned(),
            offset: "0x438".to_owned(),
            ..Signature::default()
        }
    }

    fn with(signatures: &[Signature]) -> Evidence {
        Evidence {
            signatures: signatures.to_vec(),
            ..Evidence::default()
        }
    }

    fn member(device: &BlockDevice, group: Option<&str>) -> (Option<Number>, PhysicalVolume) {
        let volume = PhysicalVolume {
            name: device.node.display().to_string(),
            group: group.map(|name| VolumeGroup {
                name: name.to_owned(),
                ..VolumeGroup::default()
            }),
            used: group.is_some(),
            has_metadata: true,
        };
        (Some(device.number), volume)
    }

    #[test]
    fn nothing_on_it_is_free_to_take() {
        let evidence = Evidence::default();
        assert_eq!(
            judge(&disk("vdb"), &evidence, &Vec::new(), false),
            Standing::Empty
        );
    }

    #[test]
    fn a_signature_needs_consent() {
        let evidence = with(&[signature("/dev/vdb", "ext4")]);
        let found = vec!["ext4 on /dev/vdb at 0x438".to_owned()];
        let judged = |consented| judge(&disk("vdb"), &evidence, &Vec::new(), consented);
        assert_eq!(judged(false), Standing::Occupied(found.clone()));
        assert_eq!(judged(true), Standing::Given(found));
    }

    #[test]
    fn partitions_need_consent_even_when_their_table_is_gone() {
        let mut device = disk("vdb");
        device.partitions.push(Partition {
            node: "/dev/vdb1".into(),
            number: Number::for_test(8, 1),
        });
        let standing = judge(&device, &Evidence::default(), &Vec::new(), false);
        assert_eq!(
            standing,
            Standing::Occupied(vec!["partition /dev/vdb1".to_owned()])
        );
    }

    #[test]
    fn no_consent_takes_what_is_in_use() {
        let device = disk("vdb");
        let mounted = Evidence {
            claims: vec!["is mounted on /srv".to_owned()],
            ..Evidence::default()
        };
        assert_eq!(
            judge(&device, &mounted, &Vec::new(), true),
            Standing::Taken(vec!["is mounted on /srv".to_owned()])
        );
    }

    #[test]
    fn no_consent_takes_another_volume_group_s_device() {
        let device = disk("vdb");
        let evidence = with(&[signature("/dev/vdb", LVM_LABEL)]);
        let judged = |members: Members| judge(&device, &evidence, &members, true);
        assert_eq!(
            judged(vec![member(&device, Some("data"))]),
            Standing::Taken(vec!["belongs to the volume group `data`".to_owned()])
        );
        let mut away = member(&device, None);
        away.1.used = true;
        let mut bare = member(&device, None);
        bare.1.has_metadata = false;
        for orphan in [away, bare] {
            let Standing::Taken(reasons) = judged(vec![orphan]) else {
                panic!("it was taken")
            };
            assert_eq!(
                reasons,
                ["belongs to a volume group whose other devices are away"]
            );
        }
        let Standing::Taken(reasons) = judged(Vec::new()) else {
            panic!("it was taken")
        };
        assert!(reasons[0].starts_with("has a label of LVM that LVM is told to ignore"));
    }

    #[test]
    fn a_group_on_a_partition_counts_too() {
        let mut device = disk("vdb");
        let partition = Partition {
            node: "/dev/vdb1".into(),
            number: Number::for_test(8, 1),
        };
        device.partitions.push(partition.clone());
        let inner = BlockDevice {
            number: partition.number,
            node: partition.node,
            ..disk("vdb")
        };
        let standing = judge(
            &device,
            &Evidence::default(),
            &vec![member(&inner, Some("data"))],
            true,
        );
        assert_eq!(
            standing,
            Standing::Taken(vec![
                "belongs to the volume group `data` (its partition /dev/vdb1)".to_owned()
            ])
        );
    }

    #[test]
    fn our_own_label_alone_is_an_interrupted_creation() {
        let device = disk("vdb");
        let members = vec![member(&device, None)];
        let label = signature("/dev/vdb", LVM_LABEL);
        let judged = |found: &[Signature]| judge(&device, &with(found), &members, false);
        assert_eq!(judged(std::slice::from_ref(&label)), Standing::Prepared);
        assert!(matches!(
            judged(&[label, signature("/dev/vdb", "xfs")]),
            Standing::Occupied(_)
        ));
    }

    #[test]
    fn consent_names_one_device_exactly() {
        let (one, two) = (disk("vdb"), disk("vdc"));
        let all = [one.clone(), two.clone()];
        let given = |word: &str| consents(&[word.to_owned()], &one, &all);
        for word in ["virtio-vdb", "serial-vdb"] {
            assert!(given(word), "{word}");
        }
        for word in [
            "virtio-vd",
            "virtio-vdbb",
            "VIRTIO-VDB",
            "/dev/vdb",
            "vdb",
            "virtio-vdc",
            "",
        ] {
            assert!(!given(word), "{word}");
        }
        // A serial that two disks share names none of them.
        let twin = BlockDevice {
            serials: one.serials.clone(),
            ..two
        };
        assert!(!consents(
            &["serial-vdb".to_owned()],
            &one,
            &[one.clone(), twin]
        ));
    }
}

//! Facts by which hosts are compared: not what is each host's own (its name, addresses, serial
//! numbers) and not what changes by itself (its clock, how long it is up).

use std::collections::BTreeMap;

use crate::protocol::Facts;

/// Mounts below these come and go with containers.
const OF_CONTAINERS: [&str; 4] = [
    "/var/lib/docker/",
    "/var/lib/containerd/",
    "/run/",
    "/var/run/",
];

pub(super) fn of(facts: &Facts) -> BTreeMap<String, String> {
    let Facts {
        architecture,
        kernel,
        os,
        processors,
        memory_bytes,
        swap_bytes,
        selinux,
        cgroup_version,
        init,
        mounts,
        disks,
        ..
    } = facts;
    let own = [
        ("architecture", architecture.clone()),
        ("kernel", kernel.clone()),
        ("system", os.pretty_name.clone()),
        ("processors", processors.to_string()),
        ("memory", gibibytes(*memory_bytes)),
        ("swap", gibibytes(*swap_bytes)),
        ("selinux", selinux.clone()),
        ("cgroup version", cgroup_version.to_string()),
        ("init", init.clone()),
    ];
    let mut told: BTreeMap<String, String> = own
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    for (path, mount) in mounts {
        if !OF_CONTAINERS.iter().any(|below| path.starts_with(below)) {
            told.insert(format!("mount {path}"), mount.fstype.clone());
        }
    }
    for (name, disk) in disks {
        told.insert(format!("disk {name}"), gibibytes(disk.size_bytes));
    }
    told
}

/// Rounded to tenths: what the firmware keeps of the memory differs from boot to boot.
fn gibibytes(bytes: u64) -> String {
    let tenths = (u128::from(bytes) * 10 + (1 << 29)) >> 30;
    format!("{}.{} GiB", tenths / 10, tenths % 10)
}

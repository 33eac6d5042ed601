//! A thin pool on devices of its own, for Docker's devicemapper (direct-lvm).
//!
//! Made once, enlarged in place, and nothing else: a pool cannot be made smaller and its chunk
//! size is for ever, so a declaration that would need a new pool is refused, with what that
//! would destroy. Docker finds the pool as `/dev/mapper/VG-POOL` (`dm.thinpooldev`).
//!
//! A device is taken only if it is empty: no file system, partition, RAID, LUKS, swap or LVM
//! signature, no partition, not mounted, not in use, not read-only, not under the running
//! system. What is found is shown by check, and apply is refused. `consent` is the one way past
//! signatures and partitions: it names the device by its name in `/dev/disk/by-id` or by its
//! serial (a whole disk's, and only if no other declared disk has the same), exactly as there.
//! Set it for one host (`host_vars`), since a name may mean another disk elsewhere. No consent
//! takes a device that is mounted, used as swap, held by another device, in another volume group
//! or under the running system. A free partition beside the system's own may be declared.
//!
//! `data_size` and `metadata_size` are shares of the whole volume group (LVM's `%VG`) or bytes;
//! LVM keeps a spare of the metadata's size besides. While autoextend is on they are the least
//! the pool must have, since LVM enlarges it; with autoextend off a pool larger than declared is
//! drift, and refused. A device added to `devices` is added to the group, and shares grow with it.
//!
//! Autoextend is an LVM profile, `/etc/lvm/profile/VG-POOL.profile`, and dmeventd's watch over the
//! pool. It takes free extents of the volume group: a layout that leaves none for even one step
//! (such as the 95 % + 1 % that Docker's manual has beside an autoextend of 20 %) is refused
//! before anything is made. `autoextend_threshold: 100` switches it off.
//!
//! Also drift: data or metadata filled past the threshold (past 90 % with autoextend off), which
//! apply answers as dmeventd would, if there is room; a pool that is not active or not healthy;
//! Docker running on loopback files instead, which apply refuses to mend, because moving to
//! another pool hides all images and containers.
//!
//! All progress is read from LVM: killed at any step, the next apply goes on from there.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Resource;
use crate::host::block_device::{BlockDevice, Number, loopback};
use crate::host::lvm::{self, LogicalVolume, VolumeGroup};
use crate::host::{Failure, Host, HostPath};
use crate::protocol::{Drift, Output};

mod comparison;
mod layout;
mod objection;
mod profile;
mod size;
mod standing;
mod step;
#[cfg(test)]
mod tests;

use layout::{Layout, METADATA_MAX, METADATA_MIN, Space};
use size::{Bytes, Size};
use standing::{Device, Evidence, Members, Standing};

/// Tags the two volumes a pool is made of, from their creation on. Only what carries it is ever
/// made into a pool: a volume of the same name may hold somebody's data.
const PART_TAG: &str = "fleet.thin_pool_part";

/// What LVM allows as a chunk.
const CHUNK_STEP: u64 = 64 << 10;
const CHUNK_MAX: u64 = 1 << 30;

/// No file is longer that LVM reads as a profile of ours.
const PROFILE_LIMIT: u64 = 64 << 10;

/// A thin pool on devices of its own, for Docker's devicemapper.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "control", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LvmThinPool {
    /// The volume group: made of `devices`, nothing else.
    pub vg: String,
    /// The pool's name in it.
    pub pool: String,
    /// The devices, best by their names in `/dev/disk/by-id`, which stay when others come and go.
    pub devices: Vec<HostPath>,
    /// The pool's data: a share of the volume group (`70%`, the default) or bytes (`40G`).
    #[serde(default = "default_data_size")]
    pub data_size: Size,
    /// The pool's metadata: a share (`1%`, the default) or bytes; at most 15.81 GiB.
    #[serde(default = "default_metadata_size")]
    pub metadata_size: Size,
    /// What is allocated at once: a multiple of 64K, `512K` unless given. Never changes.
    #[serde(default = "default_chunk_size")]
    pub chunk_size: Bytes,
    /// LVM enlarges the pool when it is fuller than this many percent; 80 unless given, 50 to 99,
    /// or 100 for never.
    #[serde(default = "default_threshold")]
    pub autoextend_threshold: u16,
    /// By how many percent of its size; 20 unless given.
    #[serde(default = "default_percent")]
    pub autoextend_percent: u16,
    /// Whether dmeventd watches the pool; yes unless given. Autoextend needs it.
    #[serde(default = "yes")]
    pub monitoring: bool,
    /// Devices whose data may be destroyed: names in `/dev/disk/by-id` or serials.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub consent: Vec<String>,
}

/// What LVM, the kernel and the devices say.
#[derive(Clone, Debug)]
pub struct Found {
    devices: Vec<Device>,
    group: Option<VolumeGroup>,
    /// Devices of the group that are not declared.
    undeclared: Vec<String>,
    volumes: Vec<LogicalVolume>,
    profile: Option<Vec<u8>>,
    loopback: Option<String>,
    wants_diff: bool,
}

/// The pool, or what there is of it.
#[derive(Clone, Copy, Debug)]
struct Parts<'found> {
    /// The pool; then it is its own `data` too.
    pool: Option<&'found LogicalVolume>,
    /// The volume of the pool's name.
    data: Option<&'found LogicalVolume>,
    /// The volume that waits to become the metadata.
    metadata: Option<&'found LogicalVolume>,
}

fn yes() -> bool {
    true
}

fn default_data_size() -> Size {
    Size::Share(7000)
}

fn default_metadata_size() -> Size {
    Size::Share(100)
}

fn default_chunk_size() -> Bytes {
    Bytes(512 << 10)
}

fn default_threshold() -> u16 {
    80
}

fn default_percent() -> u16 {
    20
}

impl Found {
    /// The group as it is, or as it will be with all declared devices in it.
    fn space(&self) -> Space {
        let now = self.group.as_ref().map_or(Space::NONE, |group| Space {
            extent: group.extent_size,
            total: group.extents,
            free: group.free,
        });
        let new = self
            .devices
            .iter()
            .filter(|device| device.standing != Standing::Member);
        new.fold(now, |space, device| space.with_device(device.found.size))
    }

    fn volume(&self, name: &str) -> Option<&LogicalVolume> {
        self.volumes.iter().find(|volume| volume.name == name)
    }
}

impl LvmThinPool {
    fn metadata_name(&self) -> String {
        format!("{}meta", self.pool)
    }

    fn parts<'found>(&self, found: &'found Found) -> Parts<'found> {
        let data = found.volume(&self.pool);
        Parts {
            pool: data.filter(|volume| volume.segment == "thin-pool"),
            data,
            metadata: found.volume(&self.metadata_name()),
        }
    }

    fn layout(&self, found: &Found) -> Layout {
        Layout::of(self, found.space())
    }

    fn observe_devices(&self, members: &Members) -> Result<Vec<Device>, Failure> {
        let mut found: Vec<BlockDevice> = Vec::new();
        for path in &self.devices {
            let device = BlockDevice::find(path)?;
            if let Some(at) = found.iter().position(|other| other.number == device.number) {
                return Err(Failure::Refused(format!(
                    "{} and {path} are the same device, {}",
                    self.devices[at],
                    device.node.display()
                )));
            }
            found.push(device);
        }
        let mut devices = Vec::new();
        for (path, device) in self.devices.iter().zip(&found) {
            let standing = if standing::is_member(device, members, &self.vg) {
                Standing::Member
            } else {
                let evidence = Evidence {
                    claims: device.claims()?,
                    signatures: device.signatures()?,
                };
                let consented = standing::consents(&self.consent, device, &found);
                standing::judge(device, &evidence, members, consented)
            };
            devices.push(Device {
                declared: path.to_string(),
                found: device.clone(),
                standing,
            });
        }
        Ok(devices)
    }
}

impl Resource for LvmThinPool {
    const KIND: &'static str = "lvm_thin_pool";

    const EXAMPLE: &'static str = "\
- name: thin pool for Docker on the data disk
  lvm_thin_pool:
    vg: docker
    pool: thinpool
    devices: [/dev/disk/by-id/virtio-lab-data]

- name: thin pool, everything said
  lvm_thin_pool:
    vg: docker
    pool: thinpool
    devices:
      - /dev/disk/by-id/wwn-0x5000c500a1b2c3d4
      - /dev/disk/by-id/wwn-0x5000c500a1b2c3d5
    data_size: 70%
    metadata_size: 4G
    chunk_size: 512K
    autoextend_threshold: 80
    autoextend_percent: 20
    monitoring: yes
    consent: [wwn-0x5000c500a1b2c3d5]
";

    type Actual = Found;

    fn id(&self) -> String {
        format!("{}/{}", self.vg, self.pool)
    }

    fn validate(&self) -> Result<(), String> {
        check_name("vg", &self.vg)?;
        check_name("pool", &self.pool)?;
        if self.devices.is_empty() {
            return Err("`devices` is empty".to_owned());
        }
        let mut seen = BTreeSet::new();
        for device in &self.devices {
            if !device.starts_with("/dev") {
                return Err(format!("the device `{device}` is not below `/dev`"));
            }
            if !seen.insert(device.to_string()) {
                return Err(format!("the device `{device}` is declared twice"));
            }
        }
        if let Some(word) = self
            .consent
            .iter()
            .find(|word| word.is_empty() || word.contains('/'))
        {
            return Err(format!(
                "`{word}` in `consent` is no serial and no name in /dev/disk/by-id; leave the \
                 directory out"
            ));
        }
        let chunk = self.chunk_size.0;
        if !(CHUNK_STEP..=CHUNK_MAX).contains(&chunk) || !chunk.is_multiple_of(CHUNK_STEP) {
            return Err(format!(
                "`chunk_size` {} is not a multiple of 64 KiB up to 1 GiB",
                self.chunk_size
            ));
        }
        if let Size::Bytes(bytes) = self.metadata_size
            && !(METADATA_MIN..=METADATA_MAX).contains(&bytes)
        {
            return Err(format!(
                "`metadata_size` {bytes} is not between 2 MiB and 15.81 GiB"
            ));
        }
        if !(50..=100).contains(&self.autoextend_threshold) {
            return Err(format!(
                "`autoextend_threshold` {} is not between 50 and 100 (100 switches it off)",
                self.autoextend_threshold
            ));
        }
        if self.autoextend_percent > 100 {
            return Err(format!(
                "`autoextend_percent` {} is more than 100",
                self.autoextend_percent
            ));
        }
        if self.extends_itself() && !self.monitoring {
            return Err("autoextend needs `monitoring: yes`, or switch it off with \
                 `autoextend_threshold: 100`"
                .to_owned());
        }
        self.check_shares()
    }

    fn observe(&self, host: &Host) -> Result<Found, Failure> {
        self.validate().map_err(Failure::Refused)?;
        let volumes = lvm::physical_volumes(host)?;
        let group = lvm::volume_group(&self.vg, &volumes)?;
        let in_group: Vec<_> = volumes
            .iter()
            .filter(|volume| volume.group.is_some() && volume.group == group)
            // `[unknown]` is a missing one, which is counted.
            .filter(|volume| volume.name.starts_with('/'))
            .map(|volume| PathBuf::from(&volume.name))
            .collect();
        let members = volumes
            .into_iter()
            .map(|volume| (Number::of(volume.name.as_ref()), volume))
            .collect();
        let devices = self.observe_devices(&members)?;
        let undeclared = in_group
            .into_iter()
            .filter(|path| {
                let number = Number::of(path);
                devices
                    .iter()
                    .all(|device| Some(device.found.number) != number)
            })
            .map(|path| path.display().to_string())
            .collect();
        Ok(Found {
            devices,
            undeclared,
            volumes: match group {
                Some(_) => lvm::logical_volumes(host, &self.vg)?,
                None => Vec::new(),
            },
            group,
            profile: host.read(&self.profile_path(), PROFILE_LIMIT)?,
            loopback: loopback::docker_pool()?,
            wants_diff: host.wants_diff(),
        })
    }

    fn drift(&self, found: &Found) -> Vec<Drift> {
        self.compare(found)
    }

    fn obstacle(&self, _: &Host, actual: &Found) -> Result<(), Failure> {
        self.check_possible(actual, false)
    }

    fn apply(&self, host: &Host, actual: &Found) -> Result<Option<Output>, Failure> {
        let mut output = None;
        let mut taken = None;
        let mut now = actual.clone();
        loop {
            self.check_possible(&now, taken.is_some())?;
            let Some(step) = self.next_step(&now) else {
                return Ok(output);
            };
            if taken.as_ref() == Some(&step) {
                return Err(Failure::Unexpected(format!(
                    "a step was taken without an error, but LVM does not show it: {step:?}"
                )));
            }
            output = step.take(host, self)?.or(output);
            taken = Some(step);
            now = self.observe(host)?;
        }
    }
}

/// LVM's own rules for names.
fn check_name(field: &str, name: &str) -> Result<(), String> {
    /// Parts of names that LVM keeps for its own volumes.
    const RESERVED: [&str; 11] = [
        "_cdata", "_cmeta", "_corig", "_mimage", "_mlog", "_pmspare", "_rimage", "_rmeta",
        "_tdata", "_tmeta", "_vorigin",
    ];
    let fits = |sign: char| sign.is_ascii_alphanumeric() || "+_.-".contains(sign);
    let reserved = name.starts_with("snapshot")
        || name.starts_with("pvmove")
        || RESERVED.iter().any(|part| name.contains(part));
    if (1..=50).contains(&name.len())
        && name.chars().all(fits)
        && !name.starts_with(['-', '.'])
        && !reserved
    {
        return Ok(());
    }
    Err(format!(
        "`{name}` is not a name LVM takes as `{field}`: letters, digits and `+_.-`, at most 50, and \
         none of LVM's own names"
    ))
}

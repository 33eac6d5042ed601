//! What is done, one step at a time.
//!
//! Which step is next follows from what LVM shows and from nothing else: there is no note of
//! what was done. So whoever is interrupted after any step goes on with the next one, and the
//! choice can be tested without a disk.

use std::ffi::OsString;
use std::path::PathBuf;

use super::standing::Standing;
use super::{Found, LvmThinPool, PART_TAG, Parts};
use crate::host::block_device::BlockDevice;
use crate::host::{Failure, FileMode, Host, Permissions, lvm};
use crate::protocol::Output;

/// One change that LVM or the disk shows afterwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Remove the signatures of a device whose data was given up.
    Wipe(BlockDevice),
    /// Put LVM's label on an empty device.
    Label(PathBuf),
    /// Make the volume group of these devices.
    CreateGroup(Vec<PathBuf>),
    /// Add these devices to it.
    ExtendGroup(Vec<PathBuf>),
    /// Make the volume that becomes the pool's data, in extents.
    CreateData(u64),
    /// Make the volume that becomes the pool's metadata, in extents.
    CreateMetadata(u64),
    /// Make a pool of the two.
    Join,
    /// Write the profile's file.
    WriteProfile,
    /// Attach the profile to the pool.
    AttachProfile,
    /// Activate the pool.
    Activate,
    /// Let dmeventd watch the pool, or not.
    Monitor(bool),
    /// Enlarge the metadata to this many bytes.
    ExtendMetadata(u64),
    /// Enlarge the data to this many extents.
    ExtendData(u64),
    /// Do what dmeventd does when the pool has passed its threshold; from these sizes in bytes.
    ExtendByPolicy { data: u64, metadata: u64 },
}

impl LvmThinPool {
    /// The next step, if there is one to take. `found` has been checked for objections.
    pub(super) fn next_step(&self, found: &Found) -> Option<Step> {
        next_step_of_group(found).or_else(|| self.next_step_of_pool(found))
    }

    fn next_step_of_pool(&self, found: &Found) -> Option<Step> {
        let space = found.space();
        let layout = self.layout(found);
        let pool = match self.parts(found) {
            Parts { data: None, .. } => return Some(Step::CreateData(layout.data)),
            Parts {
                pool: None,
                metadata: None,
                ..
            } => {
                return Some(Step::CreateMetadata(layout.metadata));
            }
            Parts { pool: None, .. } => return Some(Step::Join),
            Parts {
                pool: Some(pool), ..
            } => pool,
        };
        if !self
            .profile_drift(found.profile.as_deref(), false)
            .is_empty()
        {
            return Some(Step::WriteProfile);
        }
        if pool.profile.as_deref() != Some(&self.profile_name()) {
            return Some(Step::AttachProfile);
        }
        if !pool.active {
            return Some(Step::Activate);
        }
        if (pool.monitor == "monitored") != self.monitoring {
            return Some(Step::Monitor(self.monitoring));
        }
        // Metadata first: data that it has no room to describe is of no use.
        if pool.metadata < space.bytes(layout.metadata).0 {
            return Some(Step::ExtendMetadata(space.bytes(layout.metadata).0));
        }
        if pool.size < space.bytes(layout.data).0 {
            return Some(Step::ExtendData(layout.data));
        }
        (self.is_past_threshold(pool) && self.can_extend_itself(pool, space)).then_some(
            Step::ExtendByPolicy {
                data: pool.size,
                metadata: pool.metadata,
            },
        )
    }
}

fn next_step_of_group(found: &Found) -> Option<Step> {
    let with = |standing: fn(&Standing) -> bool| {
        found
            .devices
            .iter()
            .filter(move |device| standing(&device.standing))
    };
    let given = with(|standing| matches!(standing, Standing::Given(_))).next();
    if let Some(device) = given {
        return Some(Step::Wipe(device.found.clone()));
    }
    if let Some(device) = with(|standing| *standing == Standing::Empty).next() {
        return Some(Step::Label(device.found.node.clone()));
    }
    let prepared: Vec<_> = with(|standing| *standing == Standing::Prepared)
        .map(|device| device.found.node.clone())
        .collect();
    match found.group {
        None => Some(Step::CreateGroup(prepared)),
        Some(_) if !prepared.is_empty() => Some(Step::ExtendGroup(prepared)),
        Some(_) => None,
    }
}

impl Step {
    /// Takes the step.
    pub(super) fn take(&self, host: &Host, pool: &LvmThinPool) -> Result<Option<Output>, Failure> {
        if let Self::Wipe(device) = self {
            return device.wipe().map(Some);
        }
        if let Some(argv) = self.argv(pool) {
            return lvm::change(argv).map(Some);
        }
        let permissions = Permissions {
            mode: Some(FileMode::FILE),
            ..Permissions::default()
        };
        host.write(
            &pool.profile_path(),
            pool.profile_text().as_bytes(),
            permissions,
        )?;
        Ok(None)
    }

    /// LVM's command, of a step that is one. Never with `--force`; `--yes` only where LVM asks about
    /// extents that no volume has.
    pub(super) fn argv(&self, pool: &LvmThinPool) -> Option<Vec<OsString>> {
        let name = format!("{}/{}", pool.vg, pool.pool);
        let metadata = pool.metadata_name();
        let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        let with_devices = |first: &[&str], devices: &[PathBuf]| {
            let mut argv = words(first);
            argv.extend(devices.iter().map(OsString::from));
            argv
        };
        let create = |name: &str, extents: u64| {
            words(&[
                "lvcreate",
                "--yes",
                "--wipesignatures",
                "y",
                "--addtag",
                PART_TAG,
                "--name",
                name,
                "--extents",
                &extents.to_string(),
                &pool.vg,
            ])
        };
        Some(match self {
            Self::Wipe(_) | Self::WriteProfile => return None,
            Self::Label(node) => with_devices(&["pvcreate"], std::slice::from_ref(node)),
            Self::CreateGroup(nodes) => with_devices(&["vgcreate", &pool.vg], nodes),
            Self::ExtendGroup(nodes) => with_devices(&["vgextend", &pool.vg], nodes),
            Self::CreateData(extents) => create(&pool.pool, *extents),
            Self::CreateMetadata(extents) => create(&metadata, *extents),
            Self::Join => words(&[
                "lvconvert",
                "--yes",
                "--zero",
                "n",
                "--chunksize",
                &format!("{}b", pool.chunk_size.0),
                "--thinpool",
                &name,
                "--poolmetadata",
                &format!("{}/{metadata}", pool.vg),
            ]),
            Self::AttachProfile => {
                words(&["lvchange", "--metadataprofile", &pool.profile_name(), &name])
            }
            Self::Activate => words(&["lvchange", "--activate", "y", &name]),
            Self::Monitor(wanted) => words(&[
                "lvchange",
                "--monitor",
                if *wanted { "y" } else { "n" },
                &name,
            ]),
            Self::ExtendMetadata(bytes) => words(&[
                "lvextend",
                "--poolmetadatasize",
                &format!("{bytes}b"),
                &name,
            ]),
            Self::ExtendData(extents) => {
                words(&["lvextend", "--extents", &extents.to_string(), &name])
            }
            Self::ExtendByPolicy { .. } => words(&["lvextend", "--use-policies", &name]),
        })
    }
}

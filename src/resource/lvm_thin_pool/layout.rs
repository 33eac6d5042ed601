//! How large the pool is to be, in extents, and whether that fits.

use super::LvmThinPool;
use super::size::{Bytes, Size};

/// What LVM makes an extent unless told otherwise; for plans before the group exists.
const DEFAULT_EXTENT: u64 = 4 << 20;

/// What LVM keeps for itself at the beginning of each device, unless told otherwise.
const DEVICE_HEADER: u64 = 1 << 20;

/// The smallest metadata that LVM accepts.
pub(super) const METADATA_MIN: Bytes = Bytes(2 << 20);

/// The largest metadata that LVM uses (15.81 GiB); what is larger stays empty.
pub(super) const METADATA_MAX: Bytes = Bytes(16_192 << 20);

/// The volume group as it is, or as it will be once all declared devices are in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Space {
    /// Bytes of one extent.
    pub(super) extent: u64,
    /// All extents.
    pub(super) total: u64,
    /// Those no volume has.
    pub(super) free: u64,
}

/// The declared sizes in extents of this group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) data: u64,
    pub(super) metadata: u64,
}

impl Space {
    /// No group yet.
    pub(super) const NONE: Self = Self {
        extent: DEFAULT_EXTENT,
        total: 0,
        free: 0,
    };

    /// With one more device of this many bytes.
    #[must_use]
    pub(super) fn with_device(self, bytes: u64) -> Self {
        let extents = bytes.saturating_sub(DEVICE_HEADER) / self.extent;
        Self {
            total: self.total + extents,
            free: self.free + extents,
            ..self
        }
    }

    /// As many extents in bytes.
    pub(super) fn bytes(self, extents: u64) -> Bytes {
        Bytes(extents.saturating_mul(self.extent))
    }

    fn extents(self, size: Size) -> u64 {
        match size {
            Size::Bytes(bytes) => bytes.0.div_ceil(self.extent),
            Size::Share(share) => {
                let extents = u128::from(self.total) * u128::from(share) / 10_000;
                u64::try_from(extents).unwrap_or(u64::MAX)
            }
        }
    }
}

impl Layout {
    /// The declared sizes in this group.
    pub(super) fn of(declared: &LvmThinPool, space: Space) -> Self {
        let limits = (
            METADATA_MIN.0.div_ceil(space.extent),
            METADATA_MAX.0 / space.extent,
        );
        Self {
            data: space.extents(declared.data_size).max(1),
            metadata: space
                .extents(declared.metadata_size)
                .clamp(limits.0, limits.1.max(limits.0)),
        }
    }
}

impl LvmThinPool {
    /// Whether LVM is to enlarge the pool by itself.
    pub(super) fn extends_itself(&self) -> bool {
        self.autoextend_threshold < 100 && self.autoextend_percent > 0
    }

    /// What one step of autoextend takes from the group when the pool has this many extents.
    pub(super) fn autoextend_step(&self, data: u64) -> u64 {
        data.saturating_mul(u64::from(self.autoextend_percent))
            .div_ceil(100)
    }

    /// Objections against shares that need no host to be known.
    pub(super) fn check_shares(&self) -> Result<(), String> {
        let (Size::Share(data), Size::Share(metadata)) = (self.data_size, self.metadata_size)
        else {
            return Ok(());
        };
        let (data, metadata) = (u64::from(data), u64::from(metadata));
        // LVM keeps a spare of the same size as the metadata.
        let Some(left) = 10_000_u64.checked_sub(data + 2 * metadata) else {
            return Err(format!(
                "`data_size` {} and twice `metadata_size` {} (LVM keeps a spare) are more than the \
                 volume group",
                self.data_size, self.metadata_size
            ));
        };
        let step = self.autoextend_step(data);
        if !self.extends_itself() || step <= left {
            return Ok(());
        }
        let most = (10_000 - 2 * metadata) / (100 + u64::from(self.autoextend_percent));
        Err(format!(
            "`data_size` {} and `metadata_size` {} leave {}.{:02}% of the volume group, but one \
             step of autoextend ({}% of the pool) needs {}.{:02}%: it could never act, and a pool \
             that runs full takes its host down; make `data_size` at most {most}%, or switch \
             autoextend off with `autoextend_threshold: 100`",
            self.data_size,
            self.metadata_size,
            left / 100,
            left % 100,
            self.autoextend_percent,
            step / 100,
            step % 100,
        ))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn declared(data: &str, metadata: &str) -> LvmThinPool {
        serde_json::from_str(&format!(
            r#"{{"vg": "docker", "pool": "thinpool", "devices": ["/dev/vdb"],
                 "data_size": "{data}", "metadata_size": "{metadata}"}}"#
        ))
        .unwrap()
    }

    #[test]
    fn shares_are_of_the_whole_group_as_with_lvm_s_own_percent_of_vg() {
        let space = Space::NONE.with_device(4 << 30);
        assert_eq!(space.total, 1023, "as vgcreate makes of 4 GiB");
        let layout = Layout::of(&declared("95%", "1%"), space);
        assert_eq!(
            layout,
            Layout {
                data: 971,
                metadata: 10
            },
            "as lvcreate -l 95%VG"
        );
        let layout = Layout::of(&declared("1G", "33M"), space);
        assert_eq!(
            layout,
            Layout {
                data: 256,
                metadata: 9
            },
            "rounded up to whole extents"
        );
    }

    #[test]
    fn metadata_stays_within_what_lvm_can_use() {
        let small = Space {
            extent: 4 << 20,
            total: 10,
            free: 10,
        };
        assert_eq!(Layout::of(&declared("50%", "1%"), small).metadata, 1);
        let large = Space {
            extent: 4 << 20,
            total: 4_000_000,
            free: 4_000_000,
        };
        let metadata = Layout::of(&declared("50%", "1%"), large).metadata;
        assert_eq!(large.bytes(metadata), METADATA_MAX);
    }

    #[test]
    fn a_layout_that_leaves_autoextend_no_room_is_refused_with_numbers() {
        assert_eq!(
            declared("95%", "1%").check_shares().unwrap_err(),
            "`data_size` 95% and `metadata_size` 1% leave 3.00% of the volume group, but one step \
             of autoextend (20% of the pool) needs 19.00%: it could never act, and a pool that runs \
             full takes its host down; make `data_size` at most 81%, or switch autoextend off with \
             `autoextend_threshold: 100`"
        );
        assert_eq!(declared("81%", "1%").check_shares(), Ok(()));
        assert!(declared("82%", "1%").check_shares().is_err());
        let mut off = declared("95%", "1%");
        off.autoextend_threshold = 100;
        assert_eq!(off.check_shares(), Ok(()));
        let error = declared("99%", "1%").check_shares().unwrap_err();
        assert!(error.contains("are more than the volume group"), "{error}");
    }

    proptest! {
        /// What `validate` lets through fits, in whatever group.
        #[test]
        fn shares_that_pass_always_fit(data in 1_u16..=100, metadata in 1_u16..=50, total in 300_u64..10_000_000) {
            let declared = declared(&format!("{data}%"), &format!("{metadata}%"));
            let space = Space { extent: 4 << 20, total, free: total };
            if declared.check_shares().is_ok() {
                let layout = Layout::of(&declared, space);
                prop_assert!(layout.data + 2 * layout.metadata <= total);
            }
        }
    }
}

//! What speaks against a change, all of it at once and before anything is done.

use super::standing::{self, Device, Standing};
use super::{Found, LvmThinPool, PART_TAG, Parts};
use crate::host::Failure;
use crate::host::lvm::LogicalVolume;

impl LvmThinPool {
    /// Refuses what cannot be done without harm. `begun`: something has been changed already.
    pub(super) fn check_possible(&self, found: &Found, begun: bool) -> Result<(), Failure> {
        let objections = self.objections(found);
        if objections.is_empty() {
            return Ok(());
        }
        let list: String = objections
            .iter()
            .flat_map(|why| ["\n    - ", why])
            .collect();
        let so_far = if begun {
            "refused, what was made so far stays"
        } else {
            "nothing was changed"
        };
        Err(Failure::Refused(format!("{so_far}:{list}")))
    }

    pub(super) fn objections(&self, found: &Found) -> Vec<String> {
        let mut objections: Vec<_> = found
            .devices
            .iter()
            .filter_map(|device| self.device_objection(device))
            .collect();
        if let Some(loopback) = &found.loopback {
            objections.push(format!(
                "Docker runs on loopback files ({loopback}); with another pool it would no longer \
                 see its images and containers. Move what is needed, stop Docker, then apply again"
            ));
        }
        if let Some(group) = &found.group {
            if group.missing > 0 {
                objections.push(format!(
                    "the volume group `{}` misses {} of its devices (`pvs` shows which); bring \
                     them back",
                    self.vg, group.missing
                ));
            }
            objections.extend(found.undeclared.iter().map(|name| {
                format!(
                    "the volume group `{}` is also on {name}, which is not in `devices`: declare \
                     it, or choose another `vg`; fleet takes no device out of a group",
                    self.vg
                )
            }));
        }
        let parts = self.parts(found);
        match parts.pool {
            Some(pool) => objections.extend(self.pool_objections(found, pool)),
            None => objections.extend(self.parts_objections(parts)),
        }
        objections.extend(self.space_objection(found, parts));
        objections
    }

    fn device_objection(&self, device: &Device) -> Option<String> {
        let name = &device.declared;
        match &device.standing {
            Standing::Member | Standing::Prepared | Standing::Empty | Standing::Given(_) => None,
            Standing::Taken(reasons) => Some(format!(
                "{name} {}; `consent` does not help here",
                reasons.join(" and ")
            )),
            Standing::Occupied(found) => Some(format!(
                "{name} is not empty, and taking it would destroy what is there: {}. {}",
                found.join("; "),
                self.way_out(device)
            )),
        }
    }

    fn way_out(&self, device: &Device) -> String {
        let found = &device.found;
        let Some(word) = standing::consent_words(found) else {
            return format!(
                "It has no name in /dev/disk/by-id and no serial, so `consent` cannot name it; if \
                 that may be lost, run `wipefs --all {}` there yourself",
                found.node.display()
            );
        };
        let text = format!("If that may be lost, add `{word}` to `consent` for this host alone");
        if self.consent.is_empty() {
            return text;
        }
        let names: Vec<_> = found
            .names
            .iter()
            .chain(&found.serials)
            .map(String::as_str)
            .collect();
        format!(
            "{text} (`consent` has {}; this device is {})",
            self.consent.join(", "),
            names.join(", ")
        )
    }

    fn pool_objections(&self, found: &Found, pool: &LogicalVolume) -> Vec<String> {
        let space = found.space();
        let layout = self.layout(found);
        let id = format!("{}/{}", self.vg, self.pool);
        let lost = match pool.data_fill {
            Some(fill) => format!("all images and containers in it ({} full)", percent(fill)),
            None => "all images and containers in it".to_owned(),
        };
        let mut objections = Vec::new();
        if pool.chunk != self.chunk_size.0 {
            objections.push(format!(
                "the pool `{id}` has chunks of {}, which cannot be changed to {}: a new pool would \
                 destroy {lost}",
                super::Bytes(pool.chunk),
                self.chunk_size
            ));
        }
        if !self.extends_itself() {
            for (what, actual, wanted) in [
                ("", pool.size, layout.data),
                ("'s metadata", pool.metadata, layout.metadata),
            ] {
                let wanted = space.bytes(wanted);
                if actual > wanted.0 {
                    objections.push(format!(
                        "the pool `{id}`{what} has {} and cannot be made smaller ({wanted}): a new \
                         pool would destroy {lost}",
                        super::Bytes(actual)
                    ));
                }
            }
        }
        // A pool that is out of data is cured by enlarging it.
        if !matches!(pool.health.as_str(), "" | "out_of_data") {
            objections.push(format!(
                "the pool `{id}` is not healthy (`{}`); stop Docker, then `lvconvert --repair {id}`",
                pool.health
            ));
        }
        objections
    }

    /// Volumes of the pool's names that were not made to become a pool.
    fn parts_objections(&self, parts: Parts<'_>) -> Vec<String> {
        let volumes = [parts.data, parts.metadata];
        volumes
            .into_iter()
            .flatten()
            .filter_map(|volume| {
                let ours = volume.segment == "linear"
                    && volume.tags.iter().any(|tag| tag == PART_TAG);
                let why = match (ours, volume.open) {
                    (true, false) => return None,
                    (true, true) => "is in use",
                    (false, _) => "was not made by fleet",
                };
                Some(format!(
                    "the volume `{}/{}` ({}, {}) exists and {why}: making it part of the pool would \
                     destroy its content; rename or remove it, or choose another `pool`",
                    self.vg,
                    volume.name,
                    volume.segment,
                    super::Bytes(volume.size)
                ))
            })
            .collect()
    }

    fn space_objection(&self, found: &Found, parts: Parts<'_>) -> Option<String> {
        let space = found.space();
        let layout = self.layout(found);
        let in_extents = |bytes: u64| bytes / space.extent;
        let data = parts.data.map_or(0, |volume| in_extents(volume.size));
        let metadata = match (parts.pool, parts.metadata) {
            (Some(pool), _) => in_extents(pool.metadata),
            (None, Some(volume)) => in_extents(volume.size),
            (None, None) => 0,
        };
        // One spare for all pools of a group, as large as the largest metadata.
        let reserve = found
            .volumes
            .iter()
            .filter(|volume| volume.name.ends_with("_pmspare"))
            .map(|volume| in_extents(volume.size))
            .max()
            .unwrap_or(0);
        let needed = layout.data.saturating_sub(data)
            + layout.metadata.saturating_sub(metadata)
            + layout.metadata.saturating_sub(reserve);
        // A pool as it is declared needs nothing, however full the group is.
        if needed == 0 {
            return None;
        }
        let (vg, free) = (&self.vg, space.bytes(space.free));
        let Some(left) = space.free.checked_sub(needed) else {
            return Some(format!(
                "the volume group `{vg}` has {free} free, but the declared sizes need {} more \
                 (with the spare that LVM keeps of the metadata): make them smaller, or add a device",
                space.bytes(needed)
            ));
        };
        let step = self.autoextend_step(layout.data);
        if parts.pool.is_some() || !self.extends_itself() || step <= left {
            return None;
        }
        Some(format!(
            "the declared sizes would leave {} of the volume group `{vg}`, but one step of \
             autoextend ({}% of the pool) needs {}: it could never act; make `data_size` smaller, \
             or switch autoextend off with `autoextend_threshold: 100`",
            space.bytes(left),
            self.autoextend_percent,
            space.bytes(step)
        ))
    }
}

/// Hundredths of a percent, to be read.
pub(super) fn percent(hundredths: u16) -> String {
    format!("{}.{:02}%", hundredths / 100, hundredths % 100)
}

//! How the host differs from the declaration.

use super::layout::Space;
use super::objection::percent;
use super::size::Bytes;
use super::standing::{Device, Standing};
use super::{Found, LvmThinPool, Parts};
use crate::host::lvm::LogicalVolume;
use crate::protocol::{Change, Drift};

/// Where a fill is told when autoextend is off, in percent.
const WATCH: u16 = 90;

impl LvmThinPool {
    pub(super) fn compare(&self, found: &Found) -> Vec<Drift> {
        let mut drift: Vec<_> = found
            .devices
            .iter()
            .filter_map(|device| self.device_drift(device))
            .collect();
        drift.extend(found.undeclared.iter().map(|name| {
            Drift::remove(
                format!("device {name}"),
                format!("in `{}`, not declared", self.vg),
            )
        }));
        match &found.group {
            None => {
                let space = found.space();
                let size = space.bytes(space.total);
                drift.push(Drift::create(
                    "volume_group",
                    format!("{}, {size}", self.vg),
                ));
            }
            Some(group) if group.missing > 0 => drift.push(Drift::update(
                "volume_group",
                "all devices",
                format!("{} of its devices missing", group.missing),
            )),
            Some(_) => {}
        }
        match self.parts(found) {
            Parts {
                pool: Some(pool), ..
            } => drift.extend(self.pool_drift(found, pool)),
            parts => drift.extend(self.creation_drift(found, parts)),
        }
        drift.extend(found.loopback.iter().map(|loopback| {
            let expected = format!("/dev/mapper/{}", self.profile_name());
            Drift::update(
                "docker_pool",
                expected,
                format!("loopback files: {loopback}"),
            )
        }));
        drift
    }

    fn device_drift(&self, device: &Device) -> Option<Drift> {
        let size = Bytes(device.found.size);
        let (change, actual) = match &device.standing {
            Standing::Member => return None,
            Standing::Empty => (Change::Create, format!("empty, {size}")),
            Standing::Prepared => (
                Change::Create,
                format!("labelled for LVM, in no group, {size}"),
            ),
            Standing::Given(found) => (
                Change::Replace,
                format!("{} (will be destroyed, by consent)", found.join("; ")),
            ),
            Standing::Occupied(found) => (
                Change::Replace,
                format!("{} (refused without consent)", found.join("; ")),
            ),
            Standing::Taken(reasons) => (
                Change::Update,
                format!("{} (refused)", reasons.join(" and ")),
            ),
        };
        let attribute = format!("device {}", device.declared);
        Some(Drift::new(
            change,
            attribute,
            format!("in `{}`", self.vg),
            actual,
        ))
    }

    fn creation_drift(&self, found: &Found, parts: Parts<'_>) -> Vec<Drift> {
        let pool = format!("{}, chunks of {}", self.pool, self.chunk_size);
        let there = match (parts.data, parts.metadata) {
            (None, None) => None,
            (Some(data), None) => Some(format!("a {} volume", data.segment)),
            (None, Some(_)) => Some("a volume for its metadata only".to_owned()),
            (Some(data), Some(_)) => Some(format!(
                "a {} volume and one for its metadata",
                data.segment
            )),
        };
        let mut drift = vec![match there {
            None => Drift::create("pool", pool),
            Some(actual) => Drift::new(Change::Create, "pool", pool, actual),
        }];
        let (space, layout) = (found.space(), self.layout(found));
        drift.push(Drift::create(
            "data_size",
            declared(space.bytes(layout.data), self.data_size),
        ));
        drift.push(Drift::create(
            "metadata_size",
            declared(space.bytes(layout.metadata), self.metadata_size),
        ));
        drift.extend(self.profile_drift(found.profile.as_deref(), found.wants_diff));
        if self.monitoring {
            drift.push(Drift::create("monitoring", "monitored"));
        }
        drift
    }

    fn pool_drift(&self, found: &Found, pool: &LogicalVolume) -> Vec<Drift> {
        let (space, layout) = (found.space(), self.layout(found));
        let mut drift = Vec::new();
        for (attribute, size, extents, actual) in [
            ("data_size", self.data_size, layout.data, pool.size),
            (
                "metadata_size",
                self.metadata_size,
                layout.metadata,
                pool.metadata,
            ),
        ] {
            let wanted = space.bytes(extents);
            let change = match actual.cmp(&wanted.0) {
                std::cmp::Ordering::Less => Change::Update,
                // Only by a new pool, which is refused.
                std::cmp::Ordering::Greater if !self.extends_itself() => Change::Replace,
                _ => continue,
            };
            let actual = Bytes(actual).to_string();
            drift.push(Drift::new(
                change,
                attribute,
                declared(wanted, size),
                actual,
            ));
        }
        if pool.chunk != self.chunk_size.0 {
            let actual = Bytes(pool.chunk).to_string();
            let expected = self.chunk_size.to_string();
            drift.push(Drift::new(Change::Replace, "chunk_size", expected, actual));
        }
        drift.extend(self.profile_drift(found.profile.as_deref(), found.wants_diff));
        if pool.profile.as_deref() != Some(&self.profile_name()) {
            let actual = pool.profile.as_deref().unwrap_or("none");
            drift.push(Drift::update(
                "attached_profile",
                self.profile_name(),
                actual,
            ));
        }
        if !pool.active {
            drift.push(Drift::update("state", "active", "inactive"));
        } else if (pool.monitor == "monitored") != self.monitoring {
            let expected = if self.monitoring {
                "monitored"
            } else {
                "not monitored"
            };
            drift.push(Drift::update("monitoring", expected, &pool.monitor));
        }
        if !pool.health.is_empty() {
            drift.push(Drift::update("health", "ok", &pool.health));
        }
        drift.extend(self.fill_drift(pool, space));
        drift
    }

    fn fill_drift(&self, pool: &LogicalVolume, space: Space) -> Vec<Drift> {
        let severity = if self.can_extend_itself(pool, space) {
            "warning: the volume group has room to extend the pool"
        } else if self.extends_itself() {
            "critical: the volume group has no room to extend the pool; add a device or remove images"
        } else {
            "critical: autoextend is off; enlarge the pool or remove images"
        };
        let fills = [
            ("data_fill", pool.data_fill),
            ("metadata_fill", pool.metadata_fill),
        ];
        fills
            .into_iter()
            .filter_map(|(attribute, fill)| {
                let fill = fill.filter(|fill| *fill > self.fill_limit())?;
                let expected = format!("at most {}%", self.fill_limit() / 100);
                Some(Drift::update(
                    attribute,
                    expected,
                    format!("{} ({severity})", percent(fill)),
                ))
            })
            .collect()
    }

    /// Hundredths of a percent.
    fn fill_limit(&self) -> u16 {
        100 * if self.extends_itself() {
            self.autoextend_threshold
        } else {
            WATCH
        }
    }

    /// Whether dmeventd would extend the pool now. LVM acts above the threshold, not at it.
    pub(super) fn is_past_threshold(&self, pool: &LogicalVolume) -> bool {
        let past = |fill: Option<u16>| fill.is_some_and(|fill| fill > self.fill_limit());
        self.extends_itself() && (past(pool.data_fill) || past(pool.metadata_fill))
    }

    /// Whether autoextend is on and the group has room for its next step.
    pub(super) fn can_extend_itself(&self, pool: &LogicalVolume, space: Space) -> bool {
        self.extends_itself() && self.autoextend_step(pool.size / space.extent) <= space.free
    }
}

/// `2.79 GiB (70%)`: what a share comes to, or the bytes alone.
fn declared(bytes: Bytes, size: super::Size) -> String {
    match size {
        super::Size::Share(_) => format!("{bytes} ({size})"),
        super::Size::Bytes(_) => bytes.to_string(),
    }
}

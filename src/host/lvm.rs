//! LVM: what it knows about physical volumes, volume groups and logical volumes, and its commands.
//!
//! Needs lvm2 2.02.158 (CentOS 7.3) or later, for reports as JSON. A pool that has run full makes
//! programs wait without an end, LVM's own among them; therefore every command has a deadline.

use std::ffi::OsString;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Command, Failure, Host};
use crate::protocol::Output;

/// How long a report may take.
const REPORT_TIMEOUT: Duration = Duration::from_mins(1);

/// How long a change may take. Generous: one that is stopped half-way leaves work behind.
const CHANGE_TIMEOUT: Duration = Duration::from_mins(10);

/// A device that LVM has put its label on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PhysicalVolume {
    /// Its path as LVM prefers it; `[unknown]` for one that is missing.
    pub(crate) name: String,
    /// The group it belongs to, if any is known.
    pub(crate) group: Option<VolumeGroup>,
    /// Whether it belongs to a group, even if the group's metadata cannot be found.
    pub(crate) used: bool,
    /// Whether it holds a copy of its group's metadata. Without one, it looks like it belongs
    /// to nobody when the other devices of its group are away.
    pub(crate) has_metadata: bool,
}

/// A volume group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct VolumeGroup {
    /// Its name, which another group may have too.
    pub(crate) name: String,
    /// What tells it from others.
    pub(crate) uuid: String,
    /// Bytes of one extent.
    pub(crate) extent_size: u64,
    /// All its extents.
    pub(crate) extents: u64,
    /// The extents no logical volume has.
    pub(crate) free: u64,
    /// Devices that cannot be found.
    pub(crate) missing: u64,
}

/// A logical volume, visible or internal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogicalVolume {
    /// Its name, without the brackets of internal ones.
    pub(crate) name: String,
    /// Bytes; of a thin pool: of its data.
    pub(crate) size: u64,
    /// `linear`, `thin-pool`, `thin`, …
    pub(crate) segment: String,
    /// Bytes of one chunk of a thin pool.
    pub(crate) chunk: u64,
    /// Bytes of a thin pool's metadata.
    pub(crate) metadata: u64,
    /// Hundredths of a percent in use, of an active pool.
    pub(crate) data_fill: Option<u16>,
    /// Hundredths of a percent in use, of an active pool.
    pub(crate) metadata_fill: Option<u16>,
    /// The metadata profile attached.
    pub(crate) profile: Option<String>,
    /// `monitored`, `not monitored`, or empty when inactive.
    pub(crate) monitor: String,
    /// Its tags.
    pub(crate) tags: Vec<String>,
    /// Whether it is active on this host.
    pub(crate) active: bool,
    /// Whether something has it open: a mount, a daemon.
    pub(crate) open: bool,
    /// Empty when healthy, else what is wrong: `out_of_data`, `metadata_read_only`, `failed`.
    pub(crate) health: String,
    /// The pool it lives in.
    pub(crate) pool: Option<String>,
}

/// All physical volumes of the host, each with what is known of its group: one command, so that
/// the two fit together.
pub(crate) fn physical_volumes(host: &Host) -> Result<Vec<PhysicalVolume>, Failure> {
    let fields = "pv_name,pv_in_use,pv_mda_count,vg_name,vg_uuid,vg_extent_size,vg_extent_count,\
                  vg_free_count,vg_missing_pv_count";
    let output = host.ask_once(&report("pvs", fields))?;
    parse("pvs", &output, parse_physical)
}

/// The volume group of this name that these physical volumes make.
pub(crate) fn volume_group(
    name: &str,
    volumes: &[PhysicalVolume],
) -> Result<Option<VolumeGroup>, Failure> {
    let mut groups = volumes
        .iter()
        .filter_map(|volume| volume.group.as_ref())
        .filter(|group| group.name == name);
    let Some(group) = groups.next() else {
        return Ok(None);
    };
    if groups.any(|other| other.uuid != group.uuid) {
        return Err(Failure::Refused(format!(
            "two volume groups are called `{name}`; `vgrename UUID NAME` parts them"
        )));
    }
    Ok(Some(group.clone()))
}

/// Everything in the volume group `group`, each volume once.
pub(crate) fn logical_volumes(host: &Host, group: &str) -> Result<Vec<LogicalVolume>, Failure> {
    let fields = "lv_name,lv_size,segtype,chunk_size,lv_metadata_size,data_percent,\
                  metadata_percent,lv_profile,seg_monitor,lv_tags,lv_active,lv_device_open,\
                  lv_health_status,pool_lv";
    let report = report("lvs", fields).args(["-a", "--select", &format!("vg_name={group}")]);
    let output = host.ask_once(&report)?;
    parse("lvs", &output, parse_logical)
}

/// Runs one of LVM's commands that change something.
pub(crate) fn change(argv: Vec<OsString>) -> Result<Output, Failure> {
    quiet(Command::new(argv)).timeout(CHANGE_TIMEOUT).run()
}

fn report(program: &str, fields: &str) -> Command {
    quiet(Command::new([
        program,
        "--reportformat",
        "json",
        "--units",
        "b",
        "--nosuffix",
    ]))
    .args(["-o", fields])
    .timeout(REPORT_TIMEOUT)
    // Thousands of volumes are possible; half a report must not be read as all of it.
    .keep(16 << 20)
}

fn quiet(command: Command) -> Command {
    // LVM complains about descriptors that an sshd's session has left open.
    command.environment("LVM_SUPPRESS_FD_WARNINGS", "1")
}

fn parse<T>(
    program: &str,
    output: &Output,
    parser: fn(&str) -> Result<T, String>,
) -> Result<T, Failure> {
    let parsed = if output.truncated {
        Err("it is too long".to_owned())
    } else {
        parser(&output.stdout)
    };
    parsed.map_err(|problem| {
        Failure::Unexpected(format!(
            "cannot understand the report of `{program}`: {problem}"
        ))
    })
}

#[derive(Deserialize)]
struct Report<T> {
    report: Vec<T>,
}

fn sections<T: DeserializeOwned>(text: &str) -> Result<Vec<T>, String> {
    serde_json::from_str::<Report<T>>(text)
        .map(|report| report.report)
        .map_err(|error| error.to_string())
}

fn parse_physical(text: &str) -> Result<Vec<PhysicalVolume>, String> {
    #[derive(Deserialize)]
    struct Section {
        pv: Vec<Row>,
    }
    #[derive(Deserialize)]
    struct Row {
        pv_name: String,
        pv_in_use: String,
        pv_mda_count: String,
        vg_name: String,
        vg_uuid: String,
        vg_extent_size: String,
        vg_extent_count: String,
        vg_free_count: String,
        vg_missing_pv_count: String,
    }
    let rows = sections::<Section>(text)?
        .into_iter()
        .flat_map(|section| section.pv);
    rows.map(|row| {
        let group = if row.vg_name.is_empty() {
            None
        } else {
            Some(VolumeGroup {
                name: row.vg_name,
                uuid: row.vg_uuid,
                extent_size: number(&row.vg_extent_size)?,
                extents: number(&row.vg_extent_count)?,
                free: number(&row.vg_free_count)?,
                missing: number(&row.vg_missing_pv_count)?,
            })
        };
        if group.as_ref().is_some_and(|group| group.extent_size == 0) {
            return Err("an extent of 0 bytes".to_owned());
        }
        Ok(PhysicalVolume {
            name: row.pv_name,
            group,
            used: !row.pv_in_use.is_empty(),
            has_metadata: number(&row.pv_mda_count)? > 0,
        })
    })
    .collect()
}

fn parse_logical(text: &str) -> Result<Vec<LogicalVolume>, String> {
    #[derive(Deserialize)]
    struct Section {
        lv: Vec<Row>,
    }
    #[derive(Deserialize)]
    struct Row {
        lv_name: String,
        lv_size: String,
        segtype: String,
        chunk_size: String,
        lv_metadata_size: String,
        data_percent: String,
        metadata_percent: String,
        lv_profile: String,
        seg_monitor: String,
        lv_tags: String,
        lv_active: String,
        lv_device_open: String,
        lv_health_status: String,
        pool_lv: String,
    }
    let mut volumes: Vec<LogicalVolume> = Vec::new();
    for row in sections::<Section>(text)?
        .into_iter()
        .flat_map(|section| section.lv)
    {
        let name = row.lv_name.trim_matches(['[', ']']).to_owned();
        // One row per segment: a volume over two devices has two.
        if volumes.iter().any(|volume| volume.name == name) {
            continue;
        }
        volumes.push(LogicalVolume {
            name,
            size: number(&row.lv_size)?,
            segment: row.segtype,
            chunk: number_or_zero(&row.chunk_size)?,
            metadata: number_or_zero(&row.lv_metadata_size)?,
            data_fill: hundredths(&row.data_percent)?,
            metadata_fill: hundredths(&row.metadata_percent)?,
            profile: some(row.lv_profile),
            monitor: row.seg_monitor,
            tags: row
                .lv_tags
                .split(',')
                .filter(|tag| !tag.is_empty())
                .map(str::to_owned)
                .collect(),
            active: row.lv_active.starts_with("active"),
            open: row.lv_device_open == "open",
            health: row.lv_health_status,
            pool: some(row.pool_lv),
        });
    }
    Ok(volumes)
}

fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

fn number(text: &str) -> Result<u64, String> {
    text.parse()
        .map_err(|_| format!("`{text}` is not a number"))
}

fn number_or_zero(text: &str) -> Result<u64, String> {
    if text.is_empty() { Ok(0) } else { number(text) }
}

/// `10.09` → 1009. Without floating point, so that a fill compares exactly with a threshold.
fn hundredths(text: &str) -> Result<Option<u16>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let invalid = || format!("`{text}` is not a percentage");
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "00"));
    let fraction: String = fraction.chars().chain("00".chars()).take(2).collect();
    let whole: u16 = whole.parse().map_err(|_| invalid())?;
    let fraction: u16 = fraction.parse().map_err(|_| invalid())?;
    let value = whole
        .checked_mul(100)
        .and_then(|whole| whole.checked_add(fraction));
    value.map(Some).ok_or_else(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::captured;

    fn row(name: &str, group: &str, uuid: &str, used: &str, copies: u8) -> String {
        let (size, extents, free) = if group.is_empty() {
            (0, 0, 0)
        } else {
            (4 << 20, 1047, 299)
        };
        format!(
            r#"{{"pv_name":"{name}", "vg_name":"{group}", "vg_uuid":"{uuid}", "vg_extent_size":"{size}", "vg_extent_count":"{extents}", "vg_free_count":"{free}", "vg_missing_pv_count":"1", "pv_in_use":"{used}", "pv_mda_count":"{copies}"}}"#
        )
    }

    fn physical(rows: &[String]) -> Vec<PhysicalVolume> {
        let text = format!(r#"{{"report": [{{"pv": [{}]}}]}}"#, rows.join(", "));
        parse_physical(&text).unwrap()
    }

    #[test]
    fn reads_physical_volumes_and_their_groups_of_lvm_2_03_16() {
        let volumes = physical(&[
            row("/dev/vdb", "docker", "9SS7N3", "used", 1),
            row("[unknown]", "docker", "9SS7N3", "used", 0),
            row("/dev/vdc", "", "", "", 1),
            row("/dev/vdd", "", "", "used", 0),
        ]);
        let group = VolumeGroup {
            name: "docker".to_owned(),
            uuid: "9SS7N3".to_owned(),
            extent_size: 4 << 20,
            extents: 1047,
            free: 299,
            missing: 1,
        };
        assert_eq!(volume_group("docker", &volumes).unwrap(), Some(group));
        assert_eq!(volume_group("data", &volumes).unwrap(), None);
        assert_eq!(
            (&volumes[2].group, volumes[2].used, volumes[2].has_metadata),
            (&None, false, true)
        );
        assert!(volumes[3].used && !volumes[3].has_metadata);
    }

    #[test]
    fn two_groups_of_one_name_are_never_mixed_up() {
        let volumes = physical(&[
            row("/dev/vdb", "docker", "9SS7N3", "used", 1),
            row("/dev/vdc", "docker", "CTX6NQ", "used", 1),
        ]);
        let failure = volume_group("docker", &volumes).unwrap_err().to_string();
        assert!(
            failure.starts_with("two volume groups are called `docker`"),
            "{failure}"
        );
    }

    #[test]
    fn reads_logical_volumes_of_lvm_2_03_16() {
        let pool = r#"{"lv_name":"thinpool", "lv_size":"2780823552", "segtype":"thin-pool", "chunk_size":"524288", "lv_metadata_size":"41943040", "data_percent":"0.00", "metadata_percent":"10.09", "lv_profile":"docker-thinpool", "seg_monitor":"monitored", "lv_tags":"", "lv_active":"active", "lv_device_open":"", "lv_health_status":"", "pool_lv":""}"#;
        let data = r#"{"lv_name":"[thinpool_tdata]", "lv_size":"2780823552", "segtype":"linear", "chunk_size":"0", "lv_metadata_size":"", "data_percent":"", "metadata_percent":"", "lv_profile":"", "seg_monitor":"", "lv_tags":"a,b", "lv_active":"", "lv_device_open":"unknown", "lv_health_status":"", "pool_lv":""}"#;
        let report = format!(r#"{{"report": [{{"lv": [{pool}, {data}, {data}]}}]}}"#);
        let volumes = parse_logical(&report).unwrap();
        assert_eq!(
            volumes,
            [
                LogicalVolume {
                    name: "thinpool".to_owned(),
                    size: 2_780_823_552,
                    segment: "thin-pool".to_owned(),
                    chunk: 512 << 10,
                    metadata: 40 << 20,
                    data_fill: Some(0),
                    metadata_fill: Some(1009),
                    profile: Some("docker-thinpool".to_owned()),
                    monitor: "monitored".to_owned(),
                    active: true,
                    ..LogicalVolume::default()
                },
                LogicalVolume {
                    name: "thinpool_tdata".to_owned(),
                    size: 2_780_823_552,
                    segment: "linear".to_owned(),
                    tags: vec!["a".to_owned(), "b".to_owned()],
                    ..LogicalVolume::default()
                }
            ]
        );
    }

    #[test]
    fn what_it_cannot_read_is_never_nothing() {
        for text in [
            "",
            "{}",
            r#"{"report": [{}]}"#,
            r#"{"report": [{"pv": [{}]}]}"#,
            "Locking failed",
        ] {
            assert!(parse_physical(text).is_err(), "{text}");
            assert!(parse_logical(text).is_err(), "{text}");
        }
        assert!(hundredths("a lot").is_err());
        assert_eq!(hundredths("100.00"), Ok(Some(10_000)));
        assert_eq!(hundredths("7.5"), Ok(Some(750)));
    }

    #[test]
    fn fuzz_lvm_reports() {
        let samples = ["el7/lvm-pvs.txt", "el7/lvm-lvs.txt"]
            .map(captured::stdout)
            .concat();
        crate::fuzz::feed("lvm_reports", samples, |bytes| {
            let text = String::from_utf8_lossy(bytes);
            let _ = parse_physical(&text);
            let _ = parse_logical(&text);
        });
    }
}

//! Finds out what a host is: from files and system calls, without starting a program.
//!
//! What a host does not tell stays empty; a fact that is missing is no failure.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use super::{accounts, addresses, obstacle};
use crate::protocol::Facts;
use crate::protocol::facts::{Disk, Mount, OsRelease};

/// Everything about this host, as it is now.
#[must_use]
pub fn collect() -> Facts {
    let names = rustix::system::uname();
    let system = rustix::system::sysinfo();
    let unit = u64::from(system.mem_unit.max(1));
    Facts {
        hostname: names.nodename().to_string_lossy().into_owned(),
        architecture: names.machine().to_string_lossy().into_owned(),
        kernel: names.release().to_string_lossy().into_owned(),
        os: os_release(&text("/etc/os-release")),
        machine_id: text("/etc/machine-id").trim().to_owned(),
        processors: processors(&text("/sys/devices/system/cpu/online")),
        memory_bytes: system.totalram.saturating_mul(unit),
        swap_bytes: system.totalswap.saturating_mul(unit),
        uptime_seconds: u64::try_from(system.uptime).unwrap_or_default(),
        clock_unix_seconds: SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map(|since| since.as_secs())
            .unwrap_or_default(),
        selinux: match text("/sys/fs/selinux/enforce").trim() {
            "" => "disabled",
            "0" => "permissive",
            _ => "enforcing",
        }
        .to_owned(),
        cgroup_version: if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
            2
        } else {
            1
        },
        init: text("/proc/1/comm").trim().to_owned(),
        addresses: addresses::by_interface().unwrap_or_default(),
        mounts: mounts(&bytes("/proc/self/mounts")),
        disks: disks(Path::new("/sys/block")),
        user: accounts::local_user(rustix::process::geteuid().as_raw()),
    }
}

/// CPU time this process and the children it waited for have used, in milliseconds.
#[must_use]
pub fn cpu_ms() -> u64 {
    // Linux counts in hundredths of a second for user space, on every architecture.
    cpu_ticks(&text("/proc/self/stat")).saturating_mul(10)
}

/// Fields 14 to 17: user and system time, own and children's. The second field is the program's
/// name in parentheses and may hold anything.
fn cpu_ticks(stat: &str) -> u64 {
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    fields
        .split_whitespace()
        .skip(11)
        .take(4)
        .filter_map(|ticks| ticks.parse().ok())
        .fold(0, u64::saturating_add)
}

fn bytes(path: impl AsRef<Path>) -> Vec<u8> {
    fs::read(path).unwrap_or_default()
}

fn text(path: impl AsRef<Path>) -> String {
    String::from_utf8_lossy(&bytes(path)).into_owned()
}

/// `KEY=value` lines, values quoted as in a shell.
fn os_release(text: &str) -> OsRelease {
    let mut os = OsRelease::default();
    for line in text.lines() {
        let Some((key, value)) = line.split_once('=') else {
            continue;
        };
        let value = value.trim();
        let value = ['"', '\'']
            .iter()
            .find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote))
            .unwrap_or(value);
        let field = match key.trim() {
            "ID" => &mut os.id,
            "ID_LIKE" => &mut os.id_like,
            "VERSION_ID" => &mut os.version_id,
            "PRETTY_NAME" => &mut os.pretty_name,
            _ => continue,
        };
        value.clone_into(field);
    }
    os
}

/// How many numbers a list such as `0-3,5` has.
fn processors(list: &str) -> u32 {
    list.trim()
        .split(',')
        .filter_map(|range| {
            let (low, high) = range.split_once('-').unwrap_or((range, range));
            let (low, high) = (low.parse::<u32>().ok()?, high.parse::<u32>().ok()?);
            high.checked_sub(low)?.checked_add(1)
        })
        .fold(0, u32::saturating_add)
}

/// File systems of block devices and network shares; `/proc` and the like are left out.
fn mounts(table: &[u8]) -> BTreeMap<String, Mount> {
    table
        .split(|byte| *byte == b'\n')
        .filter_map(|line| {
            let fields: Vec<_> = line
                .split(|byte| *byte == b' ')
                .map(|field| String::from_utf8_lossy(&obstacle::unescape(field)).into_owned())
                .collect();
            let [device, path, fstype, options, ..] = &fields[..] else {
                return None;
            };
            (device.starts_with('/') || device.contains(":/")).then(|| {
                let (device, fstype, options) = (device.clone(), fstype.clone(), options.clone());
                (
                    path.clone(),
                    Mount {
                        device,
                        fstype,
                        options,
                    },
                )
            })
        })
        .collect()
}

fn disks(directory: &Path) -> BTreeMap<String, Disk> {
    const NOT_DISKS: [&str; 7] = ["dm-", "fd", "loop", "md", "ram", "sr", "zram"];
    let Ok(entries) = fs::read_dir(directory) else {
        return BTreeMap::new();
    };
    entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let name = entry.file_name().into_string().ok()?;
            let sectors: u64 = text(entry.path().join("size")).trim().parse().ok()?;
            if sectors == 0 || NOT_DISKS.iter().any(|prefix| name.starts_with(prefix)) {
                return None;
            }
            let serial = ["serial", "device/serial"]
                .map(|file| text(entry.path().join(file)).trim().to_owned())
                .into_iter()
                .find(|serial| !serial.is_empty())
                .unwrap_or_else(|| scsi_serial(&bytes(entry.path().join("device/vpd_pg80"))));
            Some((
                name,
                Disk {
                    size_bytes: sectors.saturating_mul(512),
                    serial,
                },
            ))
        })
        .collect()
}

/// SCSI's unit serial number page: four bytes of header, then text.
fn scsi_serial(page: &[u8]) -> String {
    let serial = page.get(4..).unwrap_or_default();
    String::from_utf8_lossy(serial)
        .trim_matches(['\0', ' '])
        .to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn reads_os_release_with_any_quotes() {
        let os = os_release("NAME=\"x\"\nID=\"centos\"\nID_LIKE='rhel fedora'\nVERSION_ID=7\n=\n#");
        assert_eq!(
            (os.id, os.id_like, os.version_id),
            ("centos".into(), "rhel fedora".into(), "7".into())
        );
        assert_eq!(os_release("").id, "");
    }

    #[test]
    fn counts_processors() {
        for (list, count) in [
            ("0-3,5\n", 5),
            ("0\n", 1),
            ("", 0),
            ("3-1,x", 0),
            ("0-4294967295", 0),
        ] {
            assert_eq!(processors(list), count, "{list:?}");
        }
    }

    #[test]
    fn keeps_mounts_of_devices_and_shares() {
        let table = b"/dev/sda1 / ext4 rw,relatime 0 0\nproc /proc proc rw 0 0\n\
            nas:/vol /srv/my\\040files nfs4 ro 0 0\n\nshort line\n";
        let mounts = mounts(table);
        assert_eq!(mounts.keys().collect::<Vec<_>>(), ["/", "/srv/my files"]);
        assert_eq!(mounts["/"].fstype, "ext4");
    }

    #[test]
    fn adds_up_cpu_time_behind_any_program_name() {
        let stat = "1 (a) b) S 1 1 1 0 -1 0 0 0 0 0 11 7 3 1 20 0 1 0";
        assert_eq!(cpu_ticks(stat), 22);
        assert_eq!(cpu_ticks(""), 0);
    }

    #[test]
    fn costs_next_to_nothing_and_knows_this_machine() {
        let begin = Instant::now();
        let facts = collect();
        // The budget is 2 ms; the rest is for debug builds on busy machines.
        assert!(
            begin.elapsed() < Duration::from_millis(200),
            "{:?}",
            begin.elapsed()
        );
        assert!(!facts.kernel.is_empty() && facts.memory_bytes > 0 && facts.processors > 0);
        assert!(!facts.user.is_empty());
    }

    #[test]
    fn fuzz_facts() {
        let mountinfo = bytes("/proc/self/mountinfo");
        let stat = bytes("/proc/self/stat");
        let samples = [
            &mountinfo[..],
            &stat,
            b"NAME=\"CentOS Linux\"\nVERSION_ID='7'\n",
            b"0-3,8\n",
        ];
        crate::fuzz::feed("facts", samples, |bytes| {
            let text = String::from_utf8_lossy(bytes);
            mounts(bytes);
            os_release(&text);
            processors(&text);
            cpu_ticks(&text);
            scsi_serial(bytes);
        });
    }
}

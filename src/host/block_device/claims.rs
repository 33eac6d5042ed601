//! Who uses a device: the running system, mounts, swap, and devices made of it.

use std::collections::BTreeSet;
use std::path::Path;

use super::{BlockDevice, Number, entries, exists, read, read_if_any};
use crate::host::Failure;

/// A line of `/proc/self/mountinfo`.
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    number: Number,
    point: String,
    source: String,
}

/// Everything the kernel's lists say about the device and its partitions.
pub(super) fn of(device: &BlockDevice) -> Result<Vec<String>, Failure> {
    let mounts = mounts()?;
    let swaps = swaps(&read_if_any(Path::new("/proc/swaps"))?.unwrap_or_default());
    let mut claims = Vec::new();
    if under_root(&mounts)?.contains(&device.number) {
        claims.push("carries the running system".to_owned());
    }
    let own = (device.node.as_path(), device.number);
    let partitions = device
        .partitions
        .iter()
        .map(|partition| (partition.node.as_path(), partition.number));
    for (node, number) in std::iter::once(own).chain(partitions) {
        // A partition's name is part of what was found; the device's own is said already.
        let of_whom = if number == device.number {
            String::new()
        } else {
            format!(" (its partition {})", node.display())
        };
        for mount in mounts.iter().filter(|mount| mount.number == number) {
            claims.push(format!("is mounted on {}{of_whom}", mount.point));
        }
        if swaps
            .iter()
            .any(|swap| Number::of(Path::new(swap)) == Some(number))
        {
            claims.push(format!("is used as swap{of_whom}"));
        }
        for holder in entries(&number.in_sysfs().join("holders"))? {
            claims.push(format!("is part of {}{of_whom}", display_name(&holder)?));
        }
    }
    if read(&device.number.in_sysfs().join("ro"))?.trim() != "0" {
        claims.push("is read-only".to_owned());
    }
    Ok(claims)
}

/// `docker-thinpool (dm-3)` for a mapped device, else the kernel's name.
fn display_name(holder: &str) -> Result<String, Failure> {
    let mapped = read_if_any(&Path::new("/sys/class/block").join(holder).join("dm/name"))?;
    Ok(match mapped {
        Some(name) => format!("{} ({holder})", name.trim()),
        None => holder.to_owned(),
    })
}

fn mounts() -> Result<Vec<Mount>, Failure> {
    let mut mounts = parse_mounts(&read(Path::new("/proc/self/mountinfo"))?);
    for mount in &mut mounts {
        // btrfs mounts under a number of its own that belongs to no device.
        if mount.number.major == 0
            && mount.source.starts_with("/dev/")
            && let Some(number) = Number::of(Path::new(&mount.source))
        {
            mount.number = number;
        }
    }
    Ok(mounts)
}

fn parse_mounts(text: &str) -> Vec<Mount> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            let number = Number::parse(words.nth(2)?)?;
            let point = unescape(words.nth(1)?);
            // Optional fields end with a dash; then come the type and the source.
            let source = unescape(words.skip_while(|word| *word != "-").nth(2)?);
            Some(Mount {
                number,
                point,
                source,
            })
        })
        .collect()
}

fn swaps(text: &str) -> Vec<String> {
    text.lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().next().map(unescape))
        .collect()
}

/// The kernel writes blanks and the like as three octal digits: `\040`.
fn unescape(word: &str) -> String {
    let mut text = String::new();
    let mut rest = word;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        let code = rest
            .get(at + 1..at + 4)
            .and_then(|code| u8::from_str_radix(code, 8).ok());
        let (sign, length) = code.map_or(('\\', 1), |code| (char::from(code), 4));
        text.push(sign);
        rest = &rest[at + length..];
    }
    text + rest
}

/// The devices `/` lies on, down through mapped devices and partitions to whole disks.
fn under_root(mounts: &[Mount]) -> Result<BTreeSet<Number>, Failure> {
    let mut found = BTreeSet::new();
    let roots = mounts.iter().filter(|mount| mount.point == "/");
    let mut open: Vec<_> = roots.map(|mount| mount.number).collect();
    while let Some(number) = open.pop() {
        let sysfs = number.in_sysfs();
        if !exists(&sysfs)? || !found.insert(number) {
            continue;
        }
        let mut below: Vec<_> = entries(&sysfs.join("slaves"))?
            .iter()
            .map(|slave| sysfs.join("slaves").join(slave))
            .collect();
        if exists(&sysfs.join("partition"))? {
            // The link leads to a directory inside the whole disk's.
            let real = std::fs::canonicalize(&sysfs)
                .map_err(|source| Failure::io("follow", &sysfs, source))?;
            below.extend(real.parent().map(Path::to_owned));
        }
        for directory in below {
            open.extend(Number::parse(&read(&directory.join("dev"))?));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_read_by_number_and_source() {
        let text = "\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw
30 22 0:26 / /data\\040disk rw - btrfs /dev/sdb rw,space_cache
31 22 0:5 / /proc rw,nosuid shared:12 master:3 - proc proc rw
";
        let mounts = parse_mounts(text);
        assert_eq!(
            mounts[0],
            Mount {
                number: Number {
                    major: 254,
                    minor: 0
                },
                point: "/".to_owned(),
                source: "/dev/root".to_owned()
            }
        );
        assert_eq!(
            (mounts[1].point.as_str(), mounts[1].source.as_str()),
            ("/data disk", "/dev/sdb")
        );
        assert_eq!(mounts.len(), 3);
    }

    #[test]
    fn swaps_are_read_without_their_heading() {
        let text =
            "Filename\t\t\t\tType\t\tSize\n/dev/sda2   partition\t8388604\n/swap\\040file file 1\n";
        assert_eq!(swaps(text), ["/dev/sda2", "/swap file"]);
        assert_eq!(swaps(""), Vec::<String>::new());
    }

    #[test]
    fn escapes_are_taken_back() {
        for (word, text) in [
            ("a\\040b", "a b"),
            ("a\\134b", "a\\b"),
            ("\\9", "\\9"),
            ("x\\", "x\\"),
        ] {
            assert_eq!(unescape(word), text);
        }
    }

    #[test]
    fn the_running_system_s_own_disk_is_known() {
        let mounts = mounts().unwrap();
        assert!(mounts.iter().any(|mount| mount.point == "/"));
        under_root(&mounts).unwrap();
    }

    #[test]
    fn fuzz_mounts_and_swaps() {
        let mountinfo = std::fs::read("/proc/self/mountinfo").unwrap();
        let swaps = b"Filename Type Size Used Priority\n/dev/dm-1\\040x partition 2097148 0 -2\n";
        crate::fuzz::feed("mounts_and_swaps", [&mountinfo[..], swaps], |bytes| {
            let text = String::from_utf8_lossy(bytes);
            parse_mounts(&text);
            super::swaps(&text);
        });
    }
}

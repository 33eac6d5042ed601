//! Kernel parameters, as far as they are settings: without counters, identities and what there
//! is once for each network interface.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use super::Counts;
use crate::host::Failure;

/// Longer values are tables, not settings.
const LONGEST: u64 = 4096;

/// How deep `/proc/sys` goes, and more: a loop of links cannot hold the helper.
const DEEPEST: usize = 8;

/// What changes by itself, names one host, or does something when it is read.
const NOT_SETTINGS: &[&str] = &[
    "dev.cdrom.info",
    "fs.aio-nr",
    "fs.binfmt_misc",
    "fs.dentry-state",
    "fs.file-nr",
    "fs.inode-nr",
    "fs.inode-state",
    "fs.nfs",
    "fs.quota",
    "kernel.acct",
    "kernel.domainname",
    "kernel.hostname",
    "kernel.keys",
    "kernel.ns_last_pid",
    "kernel.pty.nr",
    "kernel.random",
    "kernel.sched_domain",
    "kernel.tainted",
    "net.ipv4.ping_group_range",
    "net.ipv4.route",
    "net.ipv4.tcp_fastopen_key",
    "net.ipv6.route",
    "net.netfilter.nf_conntrack_count",
    "net.netfilter.nf_log",
    "sunrpc",
    "vm.stat_refresh",
];

/// Directories with an entry for each interface; `all` and `default` are settings.
const PER_INTERFACE: [&str; 5] = [
    "net.ipv4.conf",
    "net.ipv4.neigh",
    "net.ipv6.conf",
    "net.ipv6.neigh",
    "net.mpls.conf",
];

/// All settings below `root`, by their names with dots.
pub(super) fn read(root: &Path) -> Result<Counts, Failure> {
    let mut counts = Counts::new();
    if !root.is_dir() {
        return Err(Failure::Missing(format!(
            "{} is not mounted",
            root.display()
        )));
    }
    walk(root, "", DEEPEST, &mut counts);
    Ok(counts)
}

/// What this user may not read is no part of the comparison, whatever the reason.
fn walk(directory: &Path, prefix: &str, depth: usize, counts: &mut Counts) {
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    for entry in entries.flatten() {
        let Ok(file_name) = entry.file_name().into_string() else {
            continue;
        };
        let name = match prefix {
            "" => file_name.clone(),
            prefix => format!("{prefix}.{file_name}"),
        };
        let one_interface =
            PER_INTERFACE.contains(&prefix) && !["all", "default"].contains(&&*file_name);
        if one_interface || NOT_SETTINGS.contains(&name.as_str()) {
            continue;
        }
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && depth > 0 => {
                walk(&entry.path(), &name, depth - 1, counts);
            }
            Ok(kind) if kind.is_file() => {
                if let Ok(Some(value)) = value(&entry.path()) {
                    counts.insert(name, value);
                }
            }
            _ => {}
        }
    }
}

/// One setting on one line; `None` for what is none.
fn value(path: &Path) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(LONGEST + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LONGEST {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(&bytes);
    Ok(Some(text.split_whitespace().collect::<Vec<_>>().join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_and_the_rest_is_left_out() {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in [
            ("net/ipv4/ip_forward", "1\n"),
            ("net/ipv4/tcp_rmem", "4096\t131072\t6291456\n"),
            ("net/ipv4/conf/all/rp_filter", "0\n"),
            ("net/ipv4/conf/eth0/rp_filter", "2\n"),
            ("net/ipv4/conf/vethab12/rp_filter", "2\n"),
            ("kernel/random/boot_id", "x\n"),
            ("kernel/randomize_va_space", "2\n"),
            ("kernel/hostname", "web01\n"),
            ("fs/file-nr", "1 2 3\n"),
            ("vm/swappiness", "10\n"),
        ] {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let told = read(root.path()).unwrap();
        let told: Vec<_> = told
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(
            told,
            [
                "kernel.randomize_va_space=2",
                "net.ipv4.conf.all.rp_filter=0",
                "net.ipv4.ip_forward=1",
                "net.ipv4.tcp_rmem=4096 131072 6291456",
                "vm.swappiness=10",
            ]
        );
    }
}

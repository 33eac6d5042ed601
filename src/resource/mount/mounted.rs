//! What is mounted now, from `/proc/self/mountinfo`.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use crate::host::{Failure, unescape};

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mounted {
    pub src: String,
    pub fstype: String,
    /// Of the mount and of the file system.
    pub opts: BTreeSet<String>,
    /// What of the file system is seen: `/`, or what a bind mount is bound to.
    pub root: PathBuf,
    /// The number of the file system's device, as `MAJOR:MINOR`.
    pub device: String,
}

/// The mount that is seen at `path`: the last of several on top of each other.
pub(super) fn at(path: &Path) -> Result<Option<Mounted>, Failure> {
    let table = Path::new("/proc/self/mountinfo");
    let bytes = fs::read(table).map_err(|source| Failure::io("read", table, source))?;
    Ok(find(&bytes, path))
}

fn find(table: &[u8], path: &Path) -> Option<Mounted> {
    let lines = table.split(|byte| *byte == b'\n');
    lines.rev().find_map(|line| {
        let mut fields = line.split(|byte| *byte == b' ');
        let as_path = |field: &[u8]| PathBuf::from(OsString::from_vec(unescape(field)));
        let (device, root) = (fields.nth(2)?, fields.next()?);
        if as_path(fields.next()?) != path {
            return None;
        }
        let own = fields.next()?;
        // Optional fields come first; a lone hyphen ends them.
        fields.by_ref().find(|field| *field == b"-")?;
        let text = |field: &[u8]| String::from_utf8_lossy(&unescape(field)).into_owned();
        let (fstype, src) = (text(fields.next()?), text(fields.next()?));
        let all = [own, fields.next().unwrap_or_default()];
        let opts = all.iter().flat_map(|opts| opts.split(|byte| *byte == b','));
        Some(Mounted {
            src,
            fstype,
            opts: opts.map(text).collect(),
            root: as_path(root),
            device: text(device),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Linux 6.1 shows it.
    const TABLE: &str = "22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw\n\
        40 22 0:35 / /srv/my\\040data rw,nosuid shared:2 master:1 - tmpfs tmpfs rw,size=10240k\n\
        41 40 254:3 /x /srv/my\\040data ro,noatime - xfs /dev/mapper/vg-data rw,attr2\n";

    #[test]
    fn the_last_mount_is_the_one_that_is_seen() {
        let seen = find(TABLE.as_bytes(), Path::new("/srv/my data")).unwrap();
        assert_eq!((&*seen.src, &*seen.fstype), ("/dev/mapper/vg-data", "xfs"));
        assert_eq!(
            seen.opts,
            ["ro", "noatime", "rw", "attr2"].map(str::to_owned).into()
        );
        assert_eq!(
            (seen.root.as_path(), &*seen.device),
            (Path::new("/x"), "254:3")
        );
        assert_eq!(find(TABLE.as_bytes(), Path::new("/srv")), None);
        assert_eq!(find(b"garbage\n1 2 3 4 /x", Path::new("/x")), None);
    }
}

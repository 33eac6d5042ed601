//! The unit that systemd makes of a line in `/etc/fstab`, and what takes its place.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Where a unit hides the one that is made of the line.
const DIRECTORIES: [&str; 2] = ["/etc/systemd/system", "/run/systemd/system"];

/// The file of a unit that boot mounts at `point` in place of what `/etc/fstab` says.
pub(super) fn hiding(point: &Path) -> Option<PathBuf> {
    let name = name(point);
    let files = DIRECTORIES.map(|directory| Path::new(directory).join(&name));
    files
        .into_iter()
        .find(|file| file.symlink_metadata().is_ok())
}

/// As `systemd-escape --path --suffix=mount` writes it.
fn name(point: &Path) -> String {
    let parts: Vec<_> = point
        .iter()
        .filter(|part| *part != OsStr::new("/"))
        .collect();
    let mut out = String::new();
    for (at, part) in parts.iter().enumerate() {
        if at > 0 {
            out.push('-');
        }
        for (index, byte) in part.as_bytes().iter().enumerate() {
            let sign = char::from(*byte);
            let is_first = at == 0 && index == 0;
            if sign.is_ascii_alphanumeric() || ":_".contains(sign) || sign == '.' && !is_first {
                out.push(sign);
            } else {
                _ = write!(out, "\\x{byte:02x}");
            }
        }
    }
    if parts.is_empty() {
        out.push('-');
    }
    out + ".mount"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_point_is_named_as_systemd_names_it() {
        // As printed by systemd-escape 252.
        for (point, expected) in [
            ("/", "-.mount"),
            ("/srv/data", "srv-data.mount"),
            ("/srv/my data-1", "srv-my\\x20data\\x2d1.mount"),
            ("/.hidden/.x", "\\x2ehidden-.x.mount"),
            ("/srv/caf\u{e9}", "srv-caf\\xc3\\xa9.mount"),
        ] {
            assert_eq!(name(Path::new(point)), expected);
        }
        assert_eq!(hiding(Path::new("/no/such/mount/point")), None);
    }
}

//! Whether what is mounted is what is declared.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::mounted::Mounted;

/// Where a declared source is found on the host: through `UUID=` and the like. `None` for what is
/// no path: `tmpfs`, `server:/export`, `//server/share`.
pub(super) fn path(declared: &str) -> Option<PathBuf> {
    let by = |directory: &str, name: &str| {
        let name = name.trim_matches('"');
        Some(Path::new("/dev/disk").join(directory).join(in_udev(name)))
    };
    match declared.split_once('=') {
        Some(("UUID", name)) => by("by-uuid", name),
        Some(("LABEL", name)) => by("by-label", name),
        Some(("PARTUUID", name)) => by("by-partuuid", name),
        Some(("PARTLABEL", name)) => by("by-partlabel", name),
        _ => (declared.starts_with('/') && !declared.starts_with("//"))
            .then(|| PathBuf::from(declared)),
    }
}

/// A label as udev writes it into the name of a link.
fn in_udev(name: &str) -> String {
    let mut out = String::new();
    for sign in name.chars() {
        if sign.is_ascii_alphanumeric() || "#+-.:=@_".contains(sign) || !sign.is_ascii() {
            out.push(sign);
        } else {
            _ = write!(out, "\\x{:02x}", u32::from(sign));
        }
    }
    out
}

/// Whether a device, an image in a loop device or a name is what is mounted.
pub(super) fn is_same(declared: &str, mounted: &Mounted) -> bool {
    let Some(declared) = path(declared) else {
        // A server is shown without the slash that may end its export.
        let plain = |name: &str| name.trim_end_matches('/').to_owned();
        return plain(declared) == plain(&mounted.src);
    };
    if let Ok(found) = fs::metadata(&declared) {
        let number = found.rdev();
        let number = format!(
            "{}:{}",
            rustix::fs::major(number),
            rustix::fs::minor(number)
        );
        if found.file_type().is_block_device() && number == mounted.device {
            return true;
        }
    }
    let image = image_in(Path::new("/sys/class/block"), &mounted.src);
    let source = image.unwrap_or_else(|| PathBuf::from(&mounted.src));
    let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    real(&declared) == real(&source) || real(&declared) == real(Path::new(&mounted.src))
}

/// The file in a loop device; `None` for any other device.
fn image_in(devices: &Path, device: &str) -> Option<PathBuf> {
    let name = device.strip_prefix("/dev/")?;
    let file = fs::read_to_string(devices.join(name).join("loop/backing_file")).ok()?;
    Some(PathBuf::from(file.trim_end_matches('\n')))
}

/// Whether a bind mount is of this file or directory: the same is seen at both.
pub(super) fn is_bound(declared: &str, point: &Path) -> bool {
    let identity = |path: &Path| {
        let found = fs::metadata(path).ok()?;
        Some((found.dev(), found.ino()))
    };
    let source = identity(Path::new(declared));
    source.is_some() && source == identity(point)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mounted(src: &str) -> Mounted {
        Mounted {
            src: src.to_owned(),
            fstype: "xfs".to_owned(),
            opts: ["rw".to_owned()].into(),
            root: "/".into(),
            device: "254:1".to_owned(),
        }
    }

    #[test]
    fn a_device_is_known_by_any_of_its_names() {
        let base = tempfile::tempdir().unwrap();
        let path = |name: &str| base.path().join(name).display().to_string();
        fs::write(path("dm-0"), "").unwrap();
        std::os::unix::fs::symlink(path("dm-0"), path("vg-data")).unwrap();
        assert!(is_same(&path("vg-data"), &mounted(&path("dm-0"))));
        assert!(!is_same(&path("vg-data"), &mounted(&path("dm-1"))));
        assert!(is_same("filer:/share", &mounted("filer:/share")));
        assert!(is_same("filer:/share/", &mounted("filer:/share")));
        assert!(is_same("//filer/share", &mounted("//filer/share")));
        assert!(!is_same("tmpfs", &mounted("filer:/share")));
        assert!(!is_same("UUID=no-such", &mounted("/dev/vdb")));
    }

    #[test]
    fn names_lead_to_the_links_that_udev_makes() {
        for (declared, expected) in [
            ("UUID=9f1c-2a", Some("/dev/disk/by-uuid/9f1c-2a")),
            ("LABEL=\"my disk\"", Some("/dev/disk/by-label/my\\x20disk")),
            ("LABEL=a/b", Some("/dev/disk/by-label/a\\x2fb")),
            ("PARTLABEL=EFI", Some("/dev/disk/by-partlabel/EFI")),
            ("/dev/vdb", Some("/dev/vdb")),
            ("//filer/share", None),
            ("tmpfs", None),
        ] {
            assert_eq!(path(declared).as_deref(), expected.map(Path::new));
        }
    }

    #[test]
    fn a_loop_device_is_the_image_in_it() {
        let base = tempfile::tempdir().unwrap();
        fs::create_dir_all(base.path().join("loop7/loop")).unwrap();
        fs::write(
            base.path().join("loop7/loop/backing_file"),
            "/srv/a b.img\n",
        )
        .unwrap();
        let image = image_in(base.path(), "/dev/loop7");
        assert_eq!(image.as_deref(), Some(Path::new("/srv/a b.img")));
        assert_eq!(image_in(base.path(), "/dev/vdb"), None);
        assert_eq!(image_in(base.path(), "tmpfs"), None);
    }

    #[test]
    fn what_is_bound_is_seen_at_both_paths() {
        let base = tempfile::tempdir().unwrap();
        for name in ["right", "wrong"] {
            fs::create_dir(base.path().join(name)).unwrap();
        }
        let right = base.path().join("right").display().to_string();
        std::os::unix::fs::symlink("right", base.path().join("link")).unwrap();
        assert!(is_bound(&right, &base.path().join("link")));
        assert!(!is_bound(&right, &base.path().join("wrong")));
        assert!(!is_bound("/no/such", Path::new("/no/such")));
    }
}

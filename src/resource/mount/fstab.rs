//! `/etc/fstab`: one line per mount, and everybody else's lines kept as they are.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use crate::host::config_dirs::with_line;
use crate::host::unescape;

/// One line of the file that mounts something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub src: String,
    pub path: PathBuf,
    pub fstype: String,
    pub opts: String,
    pub dump: u8,
    pub passno: u8,
}

impl Entry {
    /// The line, with what would end a field written as fstab wants it.
    pub(super) fn line(&self) -> String {
        let path = self.path.to_string_lossy();
        format!(
            "{} {} {} {} {} {}",
            escape(&self.src),
            escape(&path),
            self.fstype,
            escape(&self.opts),
            self.dump,
            self.passno
        )
    }

    fn parse(line: &[u8]) -> Option<Self> {
        let fields = line.split(u8::is_ascii_whitespace);
        let mut fields = fields.filter(|field| !field.is_empty());
        let mut next = || fields.next().filter(|field| !field.starts_with(b"#"));
        let text = |field: &[u8]| String::from_utf8_lossy(&unescape(field)).into_owned();
        let number = |field: &[u8]| std::str::from_utf8(field).ok()?.parse().ok();
        let (src, path, fstype) = (next()?, next()?, next()?);
        let path = OsString::from_vec(unescape(path));
        Some(Self {
            src: text(src),
            path: normal(path.as_ref()),
            fstype: text(fstype),
            opts: next().map_or_else(|| "defaults".to_owned(), text),
            dump: next().and_then(number).unwrap_or(0),
            passno: next().and_then(number).unwrap_or(0),
        })
    }

    fn is_at(line: &[u8], points: &[&Path]) -> bool {
        Self::parse(line).is_some_and(|entry| points.contains(&&*entry.path))
    }
}

/// `/srv/data/` is `/srv/data`.
fn normal(path: &Path) -> PathBuf {
    path.components().collect()
}

fn escape(field: &str) -> String {
    let octal = |sign: char| match sign {
        ' ' | '\t' | '\\' | '#' => format!("\\{:03o}", u32::from(sign)),
        _ => sign.to_string(),
    };
    field.chars().map(octal).collect()
}

/// The lines for a mount point, under any of its names. Of several, systemd mounts the first and
/// `mount -a` all.
pub(super) fn entries_at(text: &[u8], points: &[&Path]) -> Vec<Entry> {
    let lines = text.split(|byte| *byte == b'\n');
    let entries = lines.filter_map(Entry::parse);
    entries
        .filter(|entry| points.contains(&&*entry.path))
        .collect()
}

/// The file with this line for the mount point, in the place of the first that was there, or
/// without one. Other lines are kept byte by byte.
pub(super) fn with_entry(text: &[u8], points: &[&Path], entry: Option<&Entry>) -> Vec<u8> {
    let line = entry.map(Entry::line);
    with_line(text, line.as_deref(), |line| Entry::is_at(line, points))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As Anaconda writes it.
    const FSTAB: &str = "\n# Created by anaconda\n/dev/mapper/vg-root / xfs defaults 0 0\n\
        UUID=9f1c /boot\txfs defaults,nodev 1 2 # the kernel\n\
        /dev/vg/my\\040data /srv/my\\040data/ ext4\n";

    fn entry(src: &str, path: &str) -> Entry {
        Entry {
            src: src.to_owned(),
            path: path.into(),
            fstype: "ext4".to_owned(),
            opts: "defaults".to_owned(),
            dump: 0,
            passno: 0,
        }
    }

    #[test]
    fn reads_every_way_a_line_is_written() {
        let at = |path: &str| entries_at(FSTAB.as_bytes(), &[Path::new(path)]);
        assert_eq!(
            at("/boot"),
            [Entry {
                fstype: "xfs".to_owned(),
                opts: "defaults,nodev".to_owned(),
                dump: 1,
                passno: 2,
                ..entry("UUID=9f1c", "/boot")
            }]
        );
        let data = entry("/dev/vg/my data", "/srv/my data");
        assert_eq!(at("/srv/my data"), [data]);
        assert_eq!(at("/srv"), []);
        let windows = b"/dev/sda1 /boot xfs defaults 1 2\r\n";
        let found = entries_at(windows, &[Path::new("/boot")]);
        assert_eq!((&*found[0].opts, found[0].passno), ("defaults", 2));
    }

    #[test]
    fn changes_its_own_line_and_no_other() {
        let points = [Path::new("/boot"), Path::new("/real/boot")];
        let new = entry("/dev/sda1", "/boot");
        let with = |text: &[u8], entry| {
            String::from_utf8_lossy(&with_entry(text, &points, entry)).into_owned()
        };
        assert_eq!(
            with(FSTAB.as_bytes(), Some(&new)),
            FSTAB.replace(
                "UUID=9f1c /boot\txfs defaults,nodev 1 2 # the kernel",
                "/dev/sda1 /boot ext4 defaults 0 0"
            )
        );
        let removed = with(FSTAB.as_bytes(), None);
        assert_eq!(removed.lines().count(), FSTAB.lines().count() - 1);
        assert_eq!(
            with(b"# no end", Some(&new)),
            "# no end\n/dev/sda1 /boot ext4 defaults 0 0\n"
        );
        // Twice, and once under the name that a link leads to.
        let twice = b"# caf\xe9\na /boot xfs\r\nb /real/boot/ xfs\nc /boot xfs\n";
        assert_eq!(entries_at(twice, &points).len(), 3);
        assert_eq!(
            with_entry(twice, &points, Some(&new)),
            b"# caf\xe9\n/dev/sda1 /boot ext4 defaults 0 0\r\n"
        );
    }

    proptest! {
        /// What is written is read back, once, and nothing else is lost.
        #[test]
        fn what_is_written_is_read_back(
            before in "([ -~\t]{0,30}\n){0,6}",
            src in "[!-~]([ -~]{0,10}[!-~])?",
            name in "[!-.0-~]([ -.0-~]{0,8}[!-.0-~])?",
        ) {
            prop_assume!(name != "." && name != "..");
            let path = format!("/srv/{name}");
            let new = entry(&src, &path);
            let (before, points) = (before.as_bytes(), [Path::new(&path)]);
            let text = with_entry(before, &points, Some(&new));
            prop_assert_eq!(entries_at(&text, &points), vec![new.clone()]);
            prop_assert_eq!(with_entry(&text, &points, Some(&new)), text.clone());
            let without = with_entry(&text, &points, None);
            prop_assert_eq!(entries_at(&without, &points), vec![]);
            let lines = before.split_inclusive(|byte| *byte == b'\n');
            let kept = lines.filter(|line| !Entry::is_at(line, &points));
            prop_assert_eq!(kept.collect::<Vec<_>>().concat(), without);
        }
    }

    #[test]
    fn fuzz_fstab() {
        let sample = b"# comment\n/dev/sda1 / ext4 defaults,noatime 0 1\r\nLABEL=a\\040b /srv/a\\040b none bind\n";
        crate::fuzz::feed("fstab", [sample], |bytes| {
            let points = [Path::new("/srv/a b")];
            for line in bytes.split(|byte| *byte == b'\n') {
                let _ = Entry::parse(line);
            }
            // What is not ours is kept.
            let new = entry("/dev/x", "/srv/a b");
            let once = with_entry(bytes, &points, Some(&new));
            assert_eq!(with_entry(&once, &points, Some(&new)), once);
        });
    }
}

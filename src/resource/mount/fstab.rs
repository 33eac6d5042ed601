//! `/etc/fstab`: one line per mount, and everybody else's lines kept as they are.

use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

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

    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split_whitespace();
        let mut next = || fields.next().filter(|field| !field.starts_with('#'));
        let text = |field: &str| String::from_utf8_lossy(&unescape(field.as_bytes())).into_owned();
        let (src, path, fstype) = (next()?, next()?, next()?);
        let path = std::ffi::OsString::from_vec(unescape(path.as_bytes()));
        Some(Self {
            src: text(src),
            path: normal(path.as_ref()),
            fstype: fstype.to_owned(),
            opts: next().map_or_else(|| "defaults".to_owned(), text),
            dump: next().and_then(|field| field.parse().ok()).unwrap_or(0),
            passno: next().and_then(|field| field.parse().ok()).unwrap_or(0),
        })
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

/// What is mounted at `path` at boot: the last line wins, as the last mount does.
pub(super) fn entry_at(text: &str, path: &Path) -> Option<Entry> {
    text.lines()
        .filter_map(Entry::parse)
        .rfind(|entry| entry.path == path)
}

/// The file with this line for `path`, in the place of the first that was there, or without one.
pub(super) fn with_entry(text: &str, path: &Path, entry: Option<&Entry>) -> String {
    let mut line = entry.map(|entry| entry.line() + "\n");
    let mut out = String::with_capacity(text.len() + 80);
    for old in text.split_inclusive('\n') {
        if Entry::parse(old).is_some_and(|old| old.path == path) {
            out.extend(line.take());
        } else {
            out.push_str(old);
        }
    }
    if let Some(line) = line {
        if !out.is_empty() && !out.ends_with('\n') {
            out.push('\n');
        }
        out.push_str(&line);
    }
    out
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
        let boot = entry_at(FSTAB, Path::new("/boot")).unwrap();
        assert_eq!(
            boot,
            Entry {
                fstype: "xfs".to_owned(),
                opts: "defaults,nodev".to_owned(),
                dump: 1,
                passno: 2,
                ..entry("UUID=9f1c", "/boot")
            }
        );
        let data = entry("/dev/vg/my data", "/srv/my data");
        assert_eq!(entry_at(FSTAB, Path::new("/srv/my data")), Some(data));
        assert_eq!(entry_at(FSTAB, Path::new("/srv")), None);
    }

    #[test]
    fn changes_its_own_line_and_no_other() {
        let path = Path::new("/boot");
        let new = entry("/dev/sda1", "/boot");
        let changed = with_entry(FSTAB, path, Some(&new));
        assert_eq!(
            changed,
            FSTAB.replace(
                "UUID=9f1c /boot\txfs defaults,nodev 1 2 # the kernel",
                "/dev/sda1 /boot ext4 defaults 0 0"
            )
        );
        let removed = with_entry(FSTAB, path, None);
        assert_eq!(removed.lines().count(), FSTAB.lines().count() - 1);
        assert_eq!(
            with_entry("# no end", path, Some(&new)),
            "# no end\n/dev/sda1 /boot ext4 defaults 0 0\n"
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
            let path = Path::new(&path);
            let text = with_entry(&before, path, Some(&new));
            prop_assert_eq!(entry_at(&text, path), Some(new.clone()));
            prop_assert_eq!(with_entry(&text, path, Some(&new)), text.clone());
            let without = with_entry(&text, path, None);
            prop_assert_eq!(entry_at(&without, path), None);
            let kept = before.lines().filter(|line| Entry::parse(line).is_none_or(|old| old.path != path));
            prop_assert!(kept.eq(without.lines()));
        }
    }
}

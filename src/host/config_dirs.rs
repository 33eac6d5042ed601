//! Configuration that is spread over directories, as `sysctl.d`, `modules-load.d` and `modprobe.d`
//! are.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::{Failure, Host, Permissions, list, remove_file};

/// In which directories a file hides those of the same name in the following ones.
const ROOTS: [&str; 5] = ["/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib"];

/// Configuration files that are longer are none.
const LIMIT: u64 = 1 << 20;

/// One file of a directory of configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ConfigFile {
    /// Its name decides when it is read, also where it is a link.
    pub(crate) path: PathBuf,
    /// Where its text is, through all links.
    pub(crate) real: PathBuf,
    pub(crate) text: Vec<u8>,
}

/// The files `*.conf` in `/etc/NAME`, `/run/NAME` and so on that take effect, in the order in
/// which they do: by file name, whatever their directory.
pub(crate) fn read(host: &Host, name: &str) -> Result<Vec<ConfigFile>, Failure> {
    read_below(host, &ROOTS.map(|root| Path::new(root).join(name)))
}

fn read_below(host: &Host, directories: &[PathBuf]) -> Result<Vec<ConfigFile>, Failure> {
    let mut by_name: BTreeMap<OsString, PathBuf> = BTreeMap::new();
    for directory in directories {
        for path in conf_files(directory)? {
            let Some(file_name) = path.file_name() else {
                continue;
            };
            by_name.entry(file_name.to_owned()).or_insert(path);
        }
    }
    let mut files = Vec::new();
    for path in by_name.into_values() {
        let real = real_path(&path);
        let text = if is_none(&real) {
            None
        } else {
            host.read(&path, LIMIT)?
        };
        // One that is switched off stays in the list: it still hides others.
        let text = text.unwrap_or_default();
        files.push(ConfigFile { path, real, text });
    }
    Ok(files)
}

/// The lines of one file that a task owns, whoever else writes into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OwnFile {
    /// Where the text is, through all links: that is where it is changed.
    real: PathBuf,
    /// `None` if there is no such file.
    pub(crate) text: Option<Vec<u8>>,
}

impl OwnFile {
    /// # Errors
    /// [`Failure::Refused`] for what is no file, and for a link to `/dev/null`, which is the usual
    /// way to switch off a file of the same name elsewhere.
    pub(crate) fn read(host: &Host, path: &Path) -> Result<Self, Failure> {
        let real = real_path(path);
        if real == Path::new("/dev/null") {
            return Err(Failure::Refused(format!(
                "{path} is a link to /dev/null, so somebody has switched it off; remove the link \
                 first",
                path = path.display()
            )));
        }
        let text = host.read(&real, LIMIT)?;
        Ok(Self { real, text })
    }

    /// One that was read, for tests of kinds.
    #[cfg(test)]
    pub(crate) fn of(path: &str, text: Option<&[u8]>) -> Self {
        Self {
            real: path.into(),
            text: text.map(<[u8]>::to_vec),
        }
    }

    /// Where its text is.
    pub(crate) fn real(&self) -> &Path {
        &self.real
    }

    /// Puts `text` in the place of what is there.
    pub(crate) fn write(&self, host: &Host, text: &[u8]) -> Result<(), Failure> {
        let old = self.text.as_deref();
        if old.unwrap_or_default() == text {
            return Ok(());
        }
        host.write(&self.real, text, Permissions::default())
    }

    /// The same, and no file where nothing is left to say.
    pub(crate) fn write_or_remove(&self, host: &Host, text: &[u8]) -> Result<(), Failure> {
        if text.trim_ascii().is_empty() {
            return remove_file(&self.real);
        }
        self.write(host, text)
    }
}

/// The text with one line in the place of the first that `is_meant`, or at its end, and without
/// the others that are; all other lines are kept byte by byte.
pub(crate) fn with_line(
    text: &[u8],
    line: Option<&str>,
    is_meant: impl Fn(&[u8]) -> bool,
) -> Vec<u8> {
    let mut left = line;
    let mut result = Vec::with_capacity(text.len() + 80);
    for old in text.split_inclusive(|byte| *byte == b'\n') {
        if !is_meant(old) {
            result.extend_from_slice(old);
        } else if let Some(line) = left.take() {
            result.extend_from_slice(line.as_bytes());
            let end: &[u8] = if old.ends_with(b"\r\n") {
                b"\r\n"
            } else {
                b"\n"
            };
            result.extend_from_slice(end);
        }
    }
    if let Some(line) = left {
        if !result.is_empty() && !result.ends_with(b"\n") {
            result.push(b'\n');
        }
        result.extend_from_slice(line.as_bytes());
        result.push(b'\n');
    }
    result
}

/// Where a path leads through all links; itself where nothing is.
pub(crate) fn real_path(path: &Path) -> PathBuf {
    let mut rest = PathBuf::new();
    for ancestor in path.ancestors() {
        if let Ok(real) = fs::canonicalize(ancestor) {
            // Joining nothing would end the path with a slash.
            return real.join(rest).components().collect();
        }
        if let Some(name) = ancestor.file_name() {
            rest = Path::new(name).join(rest);
        }
    }
    path.to_owned()
}

/// Whether there is nothing to read: a link to `/dev/null`, a directory.
fn is_none(real: &Path) -> bool {
    real == Path::new("/dev/null") || real.is_dir()
}

fn conf_files(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut paths = list(directory)?;
    paths.retain(|path| is_read(path));
    Ok(paths)
}

/// Whether a file of this name is read: hidden ones are not.
pub(crate) fn is_read(path: &Path) -> bool {
    let name = path.file_name().map(OsStr::as_bytes).unwrap_or_default();
    name.ends_with(b".conf") && !name.starts_with(b".")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn files_take_effect_by_name_and_hide_those_of_the_same_name() {
        let base = tempfile::tempdir().unwrap();
        let [etc, lib] = ["etc", "lib"].map(|name| base.path().join(name));
        for directory in [&etc, &lib] {
            fs::create_dir(directory).unwrap();
        }
        fs::write(etc.join("20-b.conf"), "b").unwrap();
        fs::write(etc.join("README"), "x").unwrap();
        fs::write(etc.join(".hidden.conf"), "x").unwrap();
        symlink("/dev/null", etc.join("30-c.conf")).unwrap();
        symlink("/nowhere", etc.join("40-d.conf")).unwrap();
        fs::create_dir(etc.join("50-e.conf")).unwrap();
        fs::write(base.path().join("other"), b"latin \xe9").unwrap();
        symlink("../other", etc.join("60-f.conf")).unwrap();
        for name in ["10-a.conf", "20-b.conf", "30-c.conf", "40-d.conf"] {
            fs::write(lib.join(name), "lib").unwrap();
        }
        let host = Host::offline(base.path());
        let nowhere = base.path().join("none");
        let found = read_below(&host, &[etc.clone(), nowhere, lib.clone()]).unwrap();
        let found: Vec<_> = found
            .iter()
            .map(|file| (file.path.clone(), file.text.as_slice()))
            .collect();
        assert_eq!(
            found,
            [
                (lib.join("10-a.conf"), &b"lib"[..]),
                (etc.join("20-b.conf"), b"b"),
                (etc.join("30-c.conf"), b""),
                (etc.join("40-d.conf"), b""),
                (etc.join("50-e.conf"), b""),
                (etc.join("60-f.conf"), b"latin \xe9"),
            ]
        );
    }

    #[test]
    fn a_file_is_changed_where_its_links_lead_and_never_dev_null() {
        let base = tempfile::tempdir().unwrap();
        let host = Host::offline(base.path());
        let (file, link) = (base.path().join("file"), base.path().join("link.conf"));
        fs::write(&file, "a\n").unwrap();
        symlink("file", &link).unwrap();
        let own = OwnFile::read(&host, &link).unwrap();
        assert_eq!(own.text.as_deref(), Some(&b"a\n"[..]));
        own.write(&host, b"b\n").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"b\n");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());

        let off = base.path().join("off.conf");
        symlink("/dev/null", &off).unwrap();
        let failure = OwnFile::read(&host, &off).unwrap_err();
        assert!(failure.to_string().contains("switched it off"), "{failure}");
    }

    #[test]
    fn a_path_is_real_as_far_as_it_is_there() {
        let base = tempfile::tempdir().unwrap();
        let real = fs::canonicalize(base.path()).unwrap();
        fs::create_dir(base.path().join("dir")).unwrap();
        symlink("dir", base.path().join("link")).unwrap();
        for (path, expected) in [
            ("link", "dir"),
            ("link/none/deeper", "dir/none/deeper"),
            ("none", "none"),
        ] {
            assert_eq!(real_path(&base.path().join(path)), real.join(expected));
        }
        assert_eq!(real_path(Path::new("/")), Path::new("/"));
    }

    #[test]
    fn one_line_is_changed_and_all_others_are_kept() {
        let meant = |line: &[u8]| line.starts_with(b"x");
        for (text, line, expected) in [
            (
                &b"\xe9\r\nx1\r\nx2\nb"[..],
                Some("x3"),
                &b"\xe9\r\nx3\r\nb"[..],
            ),
            (b"b", Some("x3"), b"b\nx3\n"),
            (b"", Some("x3"), b"x3\n"),
            (b"x1\nb\nx2", None, b"b\n"),
            (b"x1", Some("x1"), b"x1\n"),
        ] {
            assert_eq!(with_line(text, line, meant), expected, "{text:?}");
        }
    }
}

//! Configuration that is spread over directories, as `sysctl.d` and `modules-load.d` are.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use super::{Failure, Host, list};

/// In which directories a file hides those of the same name in the following ones.
const ROOTS: [&str; 5] = ["/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib"];

/// Configuration files that are longer are none.
const LIMIT: u64 = 1 << 20;

/// One file of a directory of configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConfigFile {
    pub(crate) path: PathBuf,
    /// Lossy: what is not UTF-8 is in a comment or in a value of someone else.
    pub(crate) text: String,
}

/// The files `*.conf` in `/etc/NAME`, `/run/NAME` and so on that take effect, in the order in
/// which they do: by file name, whatever their directory.
pub(crate) fn read(host: &Host, name: &str) -> Result<Vec<ConfigFile>, Failure> {
    let mut by_name: BTreeMap<OsString, PathBuf> = BTreeMap::new();
    for root in ROOTS {
        let directory = Path::new(root).join(name);
        for path in conf_files(&directory)? {
            let Some(file_name) = path.file_name() else {
                continue;
            };
            by_name.entry(file_name.to_owned()).or_insert(path);
        }
    }
    let mut files = Vec::new();
    for path in by_name.into_values() {
        if let Some(text) = read_file(host, &path)? {
            files.push(ConfigFile { path, text });
        }
    }
    Ok(files)
}

/// The text of one file; `None` if it does not exist or is a link to `/dev/null`, the usual way
/// to switch off a file of the same name elsewhere.
pub(crate) fn read_file(host: &Host, path: &Path) -> Result<Option<String>, Failure> {
    if fs::canonicalize(path).is_ok_and(|target| target == Path::new("/dev/null")) {
        return Ok(None);
    }
    let bytes = host.read(path, LIMIT)?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

fn conf_files(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut paths = list(directory)?;
    paths.retain(|path| path.extension() == Some(OsStr::new("conf")));
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn passes_over_what_is_switched_off_or_not_configuration() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("10-a.conf"), "a").unwrap();
        fs::write(path("README"), "b").unwrap();
        symlink("/dev/null", path("20-b.conf")).unwrap();
        symlink("/nowhere", path("30-c.conf")).unwrap();

        let mut found = conf_files(directory.path()).unwrap();
        found.sort();
        assert_eq!(
            found,
            [path("10-a.conf"), path("20-b.conf"), path("30-c.conf")]
        );
        let host = Host::offline(directory.path());
        let texts: Vec<_> = found
            .iter()
            .map(|path| read_file(&host, path).unwrap())
            .collect();
        assert_eq!(texts, [Some("a".to_owned()), None, None]);
        assert_eq!(conf_files(&path("none")).unwrap(), Vec::<PathBuf>::new());
    }
}

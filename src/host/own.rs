//! fleet's own directory on the host. Where it is not root's, somebody else may have put anything
//! there; what is no regular file is neither waited for nor followed.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rustix::fs::OFlags;

use super::Failure;
use super::entry::Entry;

/// The whole of one of fleet's own files; `None` if it is not there.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    let Some(mut file) = open(path, OFlags::RDONLY)? else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)
        .map_err(|source| Failure::io("read", path, source))?;
    Ok(Some(bytes))
}

/// Opens one of fleet's own files; `None` if it is not there.
pub(super) fn open(path: &Path, flags: OFlags) -> Result<Option<File>, Failure> {
    Entry::at(path)?.map_or(Ok(None), |entry| entry.open_own(flags))
}

/// Makes a directory and its parents, for the helper's user alone.
pub(crate) fn make_private_directory(path: &Path) -> Result<(), Failure> {
    let missing = Entry::missing_directories(path).map_err(|failure| match failure {
        Failure::Refused(why) => Failure::Refused(format!(
            "cannot make the directory {}: {why}",
            path.display()
        )),
        failure => failure,
    })?;
    let Some((mut entry, names)) = missing else {
        return Ok(());
    };
    let mut names = names.into_iter();
    loop {
        let made = entry.make_directory()?;
        let Some(name) = names.next() else {
            return Ok(());
        };
        entry = entry.below(made, name);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use rustix::fs::{CWD, FileType, Mode};

    use super::*;

    #[test]
    fn what_is_no_regular_file_is_neither_waited_for_nor_followed() {
        let base = tempfile::tempdir().unwrap();
        let path = |name: &str| base.path().join(name);
        rustix::fs::mknodat(CWD, path("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        std::fs::write(path("file"), "abc").unwrap();
        symlink("file", path("link")).unwrap();
        for name in ["fifo", "link", ""] {
            for flags in [OFlags::RDONLY, OFlags::WRONLY] {
                let failure = open(&path(name), flags).unwrap_err();
                let shown = failure.to_string();
                assert!(
                    shown.contains("is not a regular file") || shown.contains("Is a directory"),
                    "{name}: {shown}"
                );
            }
        }
        assert_eq!(read(&path("file")).unwrap().unwrap(), b"abc");
        assert_eq!(read(&path("none")).unwrap(), None);
        assert_eq!(read(&path("no/none")).unwrap(), None);
    }
}

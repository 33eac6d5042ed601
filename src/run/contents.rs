//! The bytes hosts may ask for: each file is hashed once per run, whatever number of hosts
//! declares it, and read again only for the hosts that lack it.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::Digest;

use crate::protocol::{Content, Sha256};

/// Where the bytes behind a name are.
#[derive(Clone, Debug)]
pub(super) enum Body {
    /// In a file on the controller.
    File(PathBuf),
    /// In memory: a rendered template.
    Text(Arc<str>),
}

/// Hashes of the files of one run, shared by all hosts.
#[derive(Debug, Default)]
pub struct Hashes {
    files: Mutex<HashMap<PathBuf, Content>>,
}

impl Hashes {
    /// Names a file's bytes by their hash; reads the file the first time only.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn of_file(&self, path: &Path) -> io::Result<Content> {
        // A poisoned lock still holds complete entries: they are inserted whole.
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(content) = files.get(path) {
            return Ok(content.clone());
        }
        let mut hasher = sha2::Sha256::new();
        let size = io::copy(&mut File::open(path)?, &mut hasher)?;
        let content = Content {
            sha256: Sha256::from_digest(hasher.finalize().into()),
            size,
        };
        files.insert(path.to_owned(), content.clone());
        Ok(content)
    }
}

/// Names a text's bytes by their hash.
pub(super) fn of_text(text: &str) -> Content {
    Content {
        sha256: Sha256::of(text.as_bytes()),
        size: text.len() as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, "one").unwrap();
        let hashes = Hashes::default();
        let first = hashes.of_file(&path).unwrap();
        assert_eq!(first, of_text("one"));
        std::fs::write(&path, "two").unwrap();
        assert_eq!(hashes.of_file(&path).unwrap(), first);
    }
}

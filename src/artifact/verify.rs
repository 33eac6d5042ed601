//! Whether a file is what the lock file says.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use sha2::Digest as _;

use super::Artifact;
use crate::protocol::Sha256;

/// What was found where an artifact should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Just that.
    Good,
    /// Nothing.
    Missing,
    /// A file of another size.
    Size(u64),
    /// A file of the right size with something else in it.
    Content(Sha256),
}

/// Looks at the file; reads all of it only if its size is right.
///
/// # Errors
/// When it cannot be read.
pub fn verify(path: &Path, artifact: &Artifact) -> io::Result<Found> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Missing),
        Err(error) => return Err(error),
    };
    let size = file.metadata()?.len();
    if size != artifact.size {
        return Ok(Found::Size(size));
    }
    let sha256 = sha256(file)?;
    Ok(if sha256 == artifact.sha256 {
        Found::Good
    } else {
        Found::Content(sha256)
    })
}

pub(super) fn sha256(mut file: File) -> io::Result<Sha256> {
    let mut hasher = sha2::Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(Sha256::from_digest(hasher.finalize().into())),
            Ok(read) => hasher.update(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

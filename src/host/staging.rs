//! Contents from the controller: asked for when needed, verified before anyone sees them.

use std::fs::{self, DirBuilder};
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::link::FetchError;
use super::{Draft, Failure, FileMode, Host, Permissions};
use crate::protocol::{Content, Source};

/// A content in fleet's own directory on the host, removed when dropped.
#[derive(Debug)]
pub struct Staged {
    path: PathBuf,
}

impl Staged {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // The next run empties the staging directory anyway.
        let _ = fs::remove_file(&self.path);
    }
}

impl Host {
    /// Gets the bytes of `content` from the controller and moves them to `sink`, 64 KiB at a
    /// time. What `sink` holds after an error is worthless.
    ///
    /// # Errors
    /// [`Failure::Disconnected`] if the controller hangs up; [`Failure::Refused`] if it sends
    /// something else or nothing; `path` names what could not be written.
    pub fn fetch(
        &self,
        content: &Content,
        sink: &mut dyn Write,
        path: &Path,
    ) -> Result<(), Failure> {
        self.link
            .borrow_mut()
            .fetch(content, sink)
            .map_err(|error| match error {
                FetchError::Wire(error) => Failure::Disconnected(error.to_string()),
                FetchError::Keep(source) => Failure::io("write", path, source),
                error => Failure::Refused(format!(
                    "the content for {} was not accepted: {error}",
                    path.display()
                )),
            })
    }

    /// Gets the bytes of `content` into a file that only root can read, under `name` in fleet's
    /// own directory, for programs that want a path (`rpm`).
    pub fn fetch_staged(&self, content: &Content, name: &str) -> Result<Staged, Failure> {
        let directory = self.state.join("staging");
        make_private_directory(&directory)?;
        let path = directory.join(name);
        if Path::new(name).file_name() != Some(name.as_ref()) {
            return Err(Failure::Refused(format!("`{name}` is not a file name")));
        }
        let private = Permissions {
            mode: Some(FileMode::PRIVATE),
            ..Permissions::default()
        };
        let mut draft = Draft::beside(&path, private)?;
        self.fetch(content, &mut draft, &path)?;
        draft.commit()?;
        Ok(Staged { path })
    }
}

impl Source {
    /// The content this source was replaced by before it was sent.
    ///
    /// # Errors
    /// A path at this end is a bug of the controller, and is called one.
    pub fn content(&self) -> Result<&Content, Failure> {
        match self {
            Self::Content(content) => Ok(content),
            Self::Path(path) => Err(Failure::Unexpected(format!(
                "the controller sent the path `{path}` instead of a content; \
                 this is a bug in fleet, please report it"
            ))),
        }
    }
}

/// Makes a directory and its parents, for the helper's user alone.
pub(crate) fn make_private_directory(path: &Path) -> Result<(), Failure> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| Failure::io("make the directory", path, source))
}

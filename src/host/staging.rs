//! Contents from the controller: asked for when needed, verified before anyone sees them.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::draft::{draft_name, is_leftover};
use super::entry::Entry;
use super::link::FetchError;
use super::own::make_private_directory;
use super::{Draft, Failure, FileMode, Host, Permissions, list};
use crate::protocol::{Content, Source};

/// A content in fleet's own directory on the host, removed when dropped: alone in a directory
/// that names the process, so that what a killed helper left can be told from what is in use.
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
        // What is left is removed by a later helper.
        if let Some(Ok(Some(entry))) = self.path.parent().map(Entry::at) {
            let _ = entry.remove_tree();
        }
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
        if Path::new(name).file_name() != Some(name.as_ref()) {
            return Err(Failure::Refused(format!("`{name}` is not a file name")));
        }
        let directory = self.staging_directory().join(draft_name());
        make_private_directory(&directory)?;
        // From here on, whatever fails, nothing is left.
        let staged = Staged {
            path: directory.join(name),
        };
        let private = Permissions {
            mode: Some(FileMode::PRIVATE),
            ..Permissions::default()
        };
        let mut draft = Draft::beside(&staged.path, private)?;
        self.fetch(content, &mut draft, &staged.path)?;
        draft.commit()?;
        Ok(staged)
    }

    /// Removes contents that killed helpers left. What cannot be removed harms nobody.
    pub(crate) fn empty_staging(&self) {
        let staging = self.staging_directory();
        for path in list(&staging).unwrap_or_default() {
            if path.file_name().is_some_and(is_leftover)
                && let Ok(Some(entry)) = Entry::at(&path)
            {
                let _ = entry.remove_tree();
            }
        }
    }

    fn staging_directory(&self) -> PathBuf {
        self.state.join("staging")
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::protocol::Sha256;

    fn content() -> Content {
        Content {
            sha256: Sha256::of(b"abc"),
            size: 3,
        }
    }

    fn entries(directory: &Path) -> usize {
        fs::read_dir(directory).unwrap().count()
    }

    #[test]
    fn a_content_is_alone_in_its_directory_and_leaves_none() {
        let state = tempfile::tempdir().unwrap();
        let staging = state.path().join("staging");
        let answer = b"{\"message\":\"content\",\"sha256\":\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\",\"size\":3}\nabc";
        let (reader, mut writer) = std::io::pipe().unwrap();
        writer.write_all(answer).unwrap();
        drop(writer);
        let link = super::super::Link::new(reader, std::io::sink());
        let begin = crate::protocol::Begin {
            mode: crate::protocol::Mode::Apply,
            diff: false,
            run_id: "test".to_owned(),
            claim: None,
            playbook: None,
        };
        let host = Host::new(link, state.path().to_owned(), begin);
        let staged = host.fetch_staged(&content(), "a.rpm").unwrap();
        assert_eq!(fs::read(staged.path()).unwrap(), b"abc");
        assert_eq!(staged.path().file_name().unwrap(), "a.rpm");
        assert_eq!(entries(staged.path().parent().unwrap()), 1);
        host.empty_staging();
        assert!(staged.path().exists(), "it is in use");
        drop(staged);
        assert_eq!(entries(&staging), 0);
        host.fetch_staged(&content(), "b.rpm").unwrap_err();
        assert_eq!(entries(&staging), 0, "the controller hung up");
        host.fetch_staged(&content(), "../b.rpm").unwrap_err();
        assert_eq!(entries(&staging), 0);
    }
}

//! Files and long texts become their hashes; the bytes follow only if a host asks for them.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::Digest;

use crate::protocol::wire::{LINE_LIMIT, PIECE};
use crate::protocol::{Content, Sha256, Source};
use crate::resource::AnyResource;
use crate::trust;

/// Where the bytes behind a hash are.
#[derive(Clone, Debug)]
pub enum Body {
    /// In a file on the controller.
    File(PathBuf),
    /// In memory: a rendered template.
    Text(Arc<str>),
}

/// Texts up to this many bytes travel with the task: asking for them would cost a round trip.
const INLINE: usize = 1024;

/// The longest declaration in bytes: one line takes it with all that goes along.
const LONGEST: usize = LINE_LIMIT - (4 << 20);

/// Hashes of the controller's files: each is read once per run, whatever number of hosts
/// declares it.
#[derive(Debug)]
pub struct Contents {
    files: Mutex<HashMap<PathBuf, Content>>,
    locked: HashMap<PathBuf, Content>,
    longest: usize,
}

impl Default for Contents {
    fn default() -> Self {
        Self {
            files: Mutex::default(),
            locked: HashMap::new(),
            longest: LONGEST,
        }
    }
}

impl Contents {
    /// Contents that take a lock file's word for files that are not there: whoever only compares
    /// needs their hashes, not their bytes.
    #[must_use]
    pub fn believing(locked: HashMap<PathBuf, Content>) -> Self {
        Self {
            locked,
            ..Self::default()
        }
    }

    /// The files whose hashes were needed, and taken from a lock file.
    #[must_use]
    pub fn believed(&self) -> BTreeSet<PathBuf> {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let believed = files.keys().filter(|path| self.absent(path).is_some());
        believed.cloned().collect()
    }

    /// What a lock file says of a file that is not there.
    #[must_use]
    pub fn absent(&self, path: &Path) -> Option<&Content> {
        self.locked.get(path).filter(|_| !path.exists())
    }

    /// Replaces the files and long texts of a resource by their hashes, and says where the
    /// bytes are. What the resource declares about its files is checked against them.
    ///
    /// # Errors
    /// A file that cannot be read or is not the one declared, or a text that is too long, in
    /// words.
    pub fn lower(
        &self,
        mut resource: AnyResource,
    ) -> Result<(AnyResource, Vec<(Content, Body)>), String> {
        let length = serde_json::to_vec(&resource).map_or(0, |json| json.len());
        if length > self.longest {
            return Err(format!(
                "{} MiB are declared here, and more than {} are taken from a file only (`copy` with `src`)",
                length.div_ceil(1 << 20),
                self.longest >> 20
            ));
        }
        let mut bodies = Vec::new();
        for source in resource.sources_mut() {
            if let Source::Path(path) = source {
                let path = PathBuf::from(&*path);
                let content = self
                    .of_file(&path)
                    .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
                bodies.push((content.clone(), Body::File(path)));
                *source = Source::Content(content);
            }
        }
        if let AnyResource::Copy(copy) = &mut resource
            && let Some(text) = copy.content.take_if(|text| text.len() > INLINE)
        {
            let content = Content {
                sha256: Sha256::of(text.as_bytes()),
                size: text.len() as u64,
            };
            copy.src = Some(Source::Content(content.clone()));
            bodies.push((content, Body::Text(text.into())));
        }
        // Once more, now that a declared sha256 can be compared with the file's.
        resource.validate()?;
        Ok((resource, bodies))
    }

    fn of_file(&self, path: &Path) -> io::Result<Content> {
        // A poisoned lock still holds complete entries: they are inserted whole.
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(content) = files.get(path) {
            return Ok(content.clone());
        }
        if let Some(content) = self.absent(path) {
            files.insert(path.to_owned(), content.clone());
            return Ok(content.clone());
        }
        let mut file = trust::open(path)?;
        let mut hasher = sha2::Sha256::new();
        let mut piece = vec![0; PIECE];
        let mut size = 0;
        loop {
            match file.read(&mut piece)? {
                0 => break,
                length => {
                    hasher.update(&piece[..length]);
                    size += length as u64;
                }
            }
        }
        let content = Content {
            sha256: Sha256::from_digest(hasher.finalize().into()),
            size,
        };
        files.insert(path.to_owned(), content.clone());
        Ok(content)
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
        let contents = Contents::default();
        let first = contents.of_file(&path).unwrap();
        assert_eq!(first.sha256, Sha256::of(b"one"));
        std::fs::write(&path, "two").unwrap();
        assert_eq!(contents.of_file(&path).unwrap(), first);
    }

    #[test]
    fn a_lock_file_is_believed_only_about_what_is_not_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let locked = Content {
            sha256: Sha256::of(b"locked"),
            size: 6,
        };
        let contents = Contents::believing([(path.clone(), locked.clone())].into());
        assert!(contents.believed().is_empty());
        assert_eq!(contents.of_file(&path).unwrap(), locked);
        assert_eq!(contents.believed(), [path.clone()].into());

        std::fs::write(&path, "other").unwrap();
        let contents = Contents::believing([(path.clone(), locked)].into());
        assert_eq!(
            contents.of_file(&path).unwrap().sha256,
            Sha256::of(b"other")
        );
        assert!(contents.of_file(&directory.path().join("unknown")).is_err());
    }

    #[test]
    fn a_long_text_travels_as_its_hash_and_a_short_one_as_it_is() {
        let copy = |text: &str| {
            let declared = serde_json::json!({
                "kind": "copy", "declared": { "dest": "/x", "content": text }
            });
            let resource = serde_json::from_value(declared).unwrap();
            let (resource, bodies) = Contents::default().lower(resource).unwrap();
            (serde_json::to_value(resource).unwrap(), bodies.len())
        };
        let (short, bodies) = copy("short");
        assert_eq!(
            (&short["declared"]["content"], bodies),
            (&"short".into(), 0)
        );
        let (long, bodies) = copy(&"x".repeat(INLINE + 1));
        assert_eq!(long["declared"]["src"]["size"], INLINE + 1);
        assert_eq!((long["declared"].get("content"), bodies), (None, 1));
    }

    #[test]
    fn what_no_line_can_hold_is_refused_before_a_host_is_contacted() {
        let contents = Contents {
            longest: 1 << 20,
            ..Contents::default()
        };
        let long = "x".repeat(1 << 20);
        for (kind, declared) in [
            ("copy", serde_json::json!({ "dest": "/x", "content": long })),
            ("shell", serde_json::json!({ "cmd": long })),
        ] {
            let declared = serde_json::json!({ "kind": kind, "declared": declared });
            let resource = serde_json::from_value(declared).unwrap();
            assert_eq!(
                contents.lower(resource).unwrap_err(),
                "2 MiB are declared here, and more than 1 are taken from a file only (`copy` with `src`)"
            );
        }
    }
}

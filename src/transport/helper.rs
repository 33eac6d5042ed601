//! The helpers this build can bring to hosts: one static binary per architecture.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::{env, fs, io};

use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::sync::OnceCell;

use crate::protocol::Sha256;
use crate::trust::{self, Distrust};

/// The helpers found beside the `fleet` executable, read and hashed once per run.
#[derive(Clone, Debug, Default)]
pub struct Helpers(BTreeMap<String, Helper>);

/// One helper.
#[derive(Clone, Debug)]
pub struct Helper {
    /// Names it on the host.
    pub sha256: Sha256,
    bytes: Arc<Vec<u8>>,
    packed: Arc<OnceCell<Arc<[u8]>>>,
}

/// Why there is no helper to bring.
#[derive(Debug, thiserror::Error)]
pub enum HelperError {
    /// The directory or a file in it cannot be read.
    #[error("cannot read {path}: {source}", path = path.display())]
    Read {
        /// What was to be read.
        path: std::path::PathBuf,
        /// What the kernel answered.
        source: io::Error,
    },
    /// Somebody else could have put it there: it is to be root on every host.
    #[error("the helper {path} is not to be trusted: {distrust}; {help}", path = path.display(), help = distrust.help)]
    Distrusted {
        /// The helper.
        path: std::path::PathBuf,
        /// Who could.
        distrust: Distrust,
    },
    /// There is not a single one.
    #[error(
        "there is no `fleet-helper-<architecture>` in {directory}: `make build` makes it",
        directory = directory.display()
    )]
    None {
        /// Where it was looked for.
        directory: std::path::PathBuf,
    },
}

impl Helpers {
    /// The helpers beside the running executable.
    pub fn beside_executable() -> Result<Self, HelperError> {
        let read = |source| HelperError::Read {
            path: "/proc/self/exe".into(),
            source,
        };
        let executable = env::current_exe().map_err(read)?;
        Self::in_directory(executable.parent().unwrap_or(Path::new("/")))
    }

    /// The helpers in a directory: `fleet-helper-<architecture>`, where the architecture is what
    /// `uname -m` says on the host, and plain `fleet-helper` (what cargo makes) for the
    /// controller's own architecture if it has no other.
    pub fn in_directory(directory: &Path) -> Result<Self, HelperError> {
        let read = |path: &Path, source| HelperError::Read {
            path: path.to_owned(),
            source,
        };
        let mut helpers = BTreeMap::new();
        let entries = fs::read_dir(directory).map_err(|error| read(directory, error))?;
        for entry in entries {
            let path = entry.map_err(|error| read(directory, error))?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
                continue;
            };
            let architecture = match name.strip_prefix("fleet-helper") {
                Some("") => "",
                Some(rest) => match rest.strip_prefix('-') {
                    Some(architecture) if is_architecture(architecture) => architecture,
                    // `fleet-helper.d` and the like, which cargo leaves there.
                    _ => continue,
                },
                None => continue,
            };
            trust::check(&path).map_err(|distrust| HelperError::Distrusted {
                path: path.clone(),
                distrust,
            })?;
            let bytes = fs::read(&path).map_err(|error| read(&path, error))?;
            helpers.insert(architecture.to_owned(), Helper::new(bytes));
        }
        if let Some(own) = helpers.remove("") {
            helpers.entry(env::consts::ARCH.to_owned()).or_insert(own);
        }
        if helpers.is_empty() {
            return Err(HelperError::None {
                directory: directory.to_owned(),
            });
        }
        Ok(Self(helpers))
    }

    /// The helper for hosts whose `uname -m` says `architecture`.
    #[must_use]
    pub fn get(&self, architecture: &str) -> Option<&Helper> {
        self.0.get(architecture)
    }

    /// All of them by architecture.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Helper)> {
        self.0
            .iter()
            .map(|(architecture, helper)| (architecture.as_str(), helper))
    }
}

impl Helper {
    fn new(bytes: Vec<u8>) -> Self {
        Self {
            sha256: Sha256::of(&bytes),
            bytes: Arc::new(bytes),
            packed: Arc::default(),
        }
    }

    /// The executable as gzip packs it: done once, for the first host that lacks it, and beside
    /// the conversations with the others, which it would hold up.
    pub(super) async fn packed(&self) -> Arc<[u8]> {
        let pack = || async {
            let bytes = Arc::clone(&self.bytes);
            let packing = tokio::task::spawn_blocking(move || gzip(&bytes));
            packing.await.expect("packing into memory does not fail")
        };
        Arc::clone(self.packed.get_or_init(pack).await)
    }
}

/// The highest levels take four times as long and save a fifteenth.
const LEVEL: u32 = 2;

fn gzip(bytes: &[u8]) -> Arc<[u8]> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::new(LEVEL));
    let done = packed.write_all(bytes).and_then(|()| packed.finish());
    done.expect("a Vec takes everything").into()
}

/// The name ends up in a script, so it is a word and nothing else.
fn is_architecture(name: &str) -> bool {
    !name.is_empty()
        && name
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn helpers_are_told_apart_by_architecture() {
        let directory = tempfile::tempdir().unwrap();
        for (name, content) in [
            ("fleet", "controller"),
            ("fleet-helper.d", "make rule"),
            ("fleet-helper-$(id)", "no architecture"),
            ("fleet-helper-s390x", "other"),
            ("fleet-helper", "own"),
        ] {
            fs::write(directory.path().join(name), content).unwrap();
        }
        let helpers = Helpers::in_directory(directory.path()).unwrap();
        let found: Vec<_> = helpers
            .iter()
            .map(|(name, helper)| (name, &helper.bytes[..]))
            .collect();
        let mut expected = [(env::consts::ARCH, &b"own"[..]), ("s390x", b"other")];
        expected.sort_unstable();
        assert_eq!(found, expected);
        assert_eq!(helpers.get("s390x").unwrap().sha256, Sha256::of(b"other"));
    }

    #[test]
    fn the_helper_named_by_architecture_wins() {
        let directory = tempfile::tempdir().unwrap();
        let named = format!("fleet-helper-{}", env::consts::ARCH);
        fs::write(directory.path().join("fleet-helper"), "cargo's").unwrap();
        fs::write(directory.path().join(named), "release").unwrap();
        let helpers = Helpers::in_directory(directory.path()).unwrap();
        assert_eq!(
            helpers.get(env::consts::ARCH).unwrap().bytes[..],
            *b"release"
        );
    }

    #[test]
    fn without_any_the_way_out_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let error = Helpers::in_directory(directory.path()).unwrap_err();
        assert!(
            error.to_string().ends_with("`make build` makes it"),
            "{error}"
        );
    }
}

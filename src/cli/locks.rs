//! The lock files of a project, and what templates see of them.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::artifact::{self, ArtifactLock};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::image::{self, ImageLock};
use crate::inventory::VarMap;
use crate::protocol::Content;
use crate::trust;
use crate::yaml::{File, Node, Span};

/// A project's file: beside the playbook, else the nearest above it.
pub(super) fn beside(playbook: &Path, name: &str) -> Option<PathBuf> {
    trust::find_upwards(playbook.parent().unwrap_or(Path::new("")), name)
}

/// What the lock files of a project say.
#[derive(Debug, Default)]
pub(super) struct Locks {
    /// `artifacts` and `images`, each only if there is its file.
    pub variables: VarMap,
    /// What is in which file.
    pub files: HashMap<PathBuf, Content>,
}

impl Locks {
    /// Reads them.
    pub(super) fn load(playbook: &Path, diagnostics: &mut Diagnostics) -> Self {
        let mut locks = Self::default();
        if let Some((path, lock)) = read(
            playbook,
            artifact::LOCK_FILE,
            ArtifactLock::load,
            diagnostics,
        ) {
            let artifacts = lock.artifacts.values();
            locks.files = artifacts
                .map(|artifact| {
                    let content = Content {
                        sha256: artifact.sha256,
                        size: artifact.size,
                    };
                    (lock.path(artifact), content)
                })
                .collect();
            let value = node(lock.to_json(), path);
            locks.variables.insert("artifacts".to_owned(), value);
        }
        if let Some((path, lock)) = read(playbook, image::LOCK_FILE, ImageLock::load, diagnostics) {
            let value = node(lock.to_json(), path);
            locks.variables.insert("images".to_owned(), value);
        }
        locks
    }
}

/// Says which files were not looked at, so that nobody takes them for good.
pub(super) fn not_looked_at(files: &BTreeSet<PathBuf>) -> Option<Diagnostic> {
    let first = files.first()?.display();
    let message = match files.len() {
        1 => format!("`{first}` is not here, so it was not looked at"),
        count => format!(
            "`{first}` and {} more of {} are not here, so they were not looked at",
            count - 1,
            artifact::LOCK_FILE
        ),
    };
    let help = "`fleet artifacts fetch` brings what `fleet apply` needs";
    Some(Diagnostic::warning(message).help(help))
}

fn read<L>(
    playbook: &Path,
    name: &str,
    load: fn(&Path) -> Result<L, Vec<Diagnostic>>,
    diagnostics: &mut Diagnostics,
) -> Option<(PathBuf, L)> {
    let path = beside(playbook, name)?;
    let lock = diagnostics.check(load(&path))?;
    Some((path, lock))
}

fn node(value: serde_json::Value, path: PathBuf) -> Node {
    let file = File {
        path,
        text: String::new(),
    };
    let span = Span {
        file: Arc::new(file),
        start: 0,
        end: 0,
    };
    Node::from_json(value, &span)
}

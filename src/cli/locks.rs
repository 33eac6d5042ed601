//! The lock files of a project, and what templates see of them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::artifact::{self, ArtifactLock};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::image::{self, ImageLock};
use crate::inventory::VarMap;
use crate::yaml::{File, Node, Span};

/// A project's file: beside the playbook, else where fleet is started.
pub(super) fn beside(playbook: &Path, name: &str) -> Option<PathBuf> {
    let folder = playbook.parent().unwrap_or(Path::new(""));
    [folder.join(name), PathBuf::from(name)]
        .into_iter()
        .find(|path| path.exists())
}

/// The variables `artifacts` and `images`, each only if there is its file.
pub(super) fn variables(playbook: &Path, diagnostics: &mut Diagnostics) -> VarMap {
    let mut variables = VarMap::new();
    let mut add = |name: &str,
                   file: &str,
                   load: fn(&Path) -> Result<serde_json::Value, Vec<Diagnostic>>,
                   diagnostics: &mut Diagnostics| {
        let Some(path) = beside(playbook, file) else {
            return;
        };
        if let Some(value) = diagnostics.check(load(&path)) {
            variables.insert(name.to_owned(), node(value, path));
        }
    };
    add(
        "artifacts",
        artifact::LOCK_FILE,
        |path| ArtifactLock::load(path).map(|lock| lock.to_json()),
        diagnostics,
    );
    add(
        "images",
        image::LOCK_FILE,
        |path| ImageLock::load(path).map(|lock| lock.to_json()),
        diagnostics,
    );
    variables
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

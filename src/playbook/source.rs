//! Finds the files that tasks name.

use std::path::{Component, Path, PathBuf};

use super::Task;
use super::load::near_file;
use crate::diagnostic::Diagnostic;
use crate::yaml::Span;

/// Where a kind of file is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Folder {
    /// `templates/`.
    Templates,
    /// `files/`.
    Files,
}

impl Folder {
    fn name(self) -> &'static str {
        match self {
            Self::Templates => "templates",
            Self::Files => "files",
        }
    }
}

/// Finds the file a task calls `name`: in the folder of its role, else in the one beside the
/// playbook, else beside the playbook itself. An absolute path is taken as it is; `..` is refused,
/// so that a role holds all it needs.
///
/// # Errors
/// At `span`, with the name that was probably meant.
pub fn find_source(
    task: &Task,
    name: &str,
    span: &Span,
    folder: Folder,
) -> Result<PathBuf, Diagnostic> {
    let path = Path::new(name);
    let error = |message: String| Diagnostic::error(message).at(span.clone());
    if name.is_empty() {
        return Err(error("the name of a file is empty".to_owned()));
    }
    if path.components().any(|part| part == Component::ParentDir) {
        let message = format!("`{name}` leads out of the folder it is looked up in");
        return Err(error(message).help("name the file without `..`, or by its absolute path"));
    }
    let role = task.role.iter().map(|role| role.folder.join(folder.name()));
    let own = [task.folder.join(folder.name()), task.folder.to_path_buf()];
    let places: Vec<_> = role.chain(own).map(|place| place.join(path)).collect();
    for place in &places {
        if place.is_file() {
            return Ok(place.clone());
        }
        if place.is_dir() && path.is_relative() {
            let message = format!("`{name}` is a folder, where a file is wanted");
            return Err(error(message).help(format!("it is {}", place.display())));
        }
    }
    let what = if folder == Folder::Templates {
        "template"
    } else {
        "file"
    };
    let missing = error(format!("there is no {what} `{name}`"));
    Err(missing.help(
        match (
            places.iter().find_map(|place| near_file(place)),
            places.first(),
        ) {
            (Some(near), _) => format!("did you mean `{near}`?"),
            (None, Some(first)) => format!("looked for {}", first.display()),
            (None, None) => "name the file by its absolute path".to_owned(),
        },
    ))
}

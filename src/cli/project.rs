//! The project a playbook belongs to.

use std::path::{Path, PathBuf};

/// What marks the top of a project.
const MARKS: [&str; 2] = ["fleet.yml", ".git"];

/// Names a playbook the same from every checkout and directory: the project's directory name and
/// the way from there, as in `ops/playbooks/site.yml`. Without a mark, the project is the
/// playbook's own directory.
pub(super) fn name_of(playbook: &Path) -> String {
    // A playbook that cannot be found was reported before anybody asks for its name.
    let playbook = playbook
        .canonicalize()
        .unwrap_or_else(|_| playbook.to_owned());
    let above = || playbook.ancestors().skip(1);
    let top = above()
        .find(|directory| MARKS.iter().any(|mark| directory.join(mark).exists()))
        .or_else(|| above().next());
    let way = top.and_then(|top| playbook.strip_prefix(top).ok());
    let project = top.and_then(Path::file_name).map(PathBuf::from);
    let name = project.unwrap_or_default().join(way.unwrap_or(&playbook));
    name.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_playbook_has_one_name_in_every_checkout() {
        let base = tempfile::tempdir().unwrap();
        for checkout in ["alice/ops", "ci/ops"] {
            let top = base.path().join(checkout);
            fs::create_dir_all(top.join("playbooks")).unwrap();
            fs::write(top.join("playbooks/site.yml"), "").unwrap();
            assert_eq!(
                name_of(&top.join("playbooks/site.yml")),
                "playbooks/site.yml"
            );
            fs::create_dir(top.join(".git")).unwrap();
            for way in ["playbooks/site.yml", "playbooks/../playbooks/site.yml"] {
                assert_eq!(name_of(&top.join(way)), "ops/playbooks/site.yml");
            }
        }
    }
}

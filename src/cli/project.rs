//! The project a playbook belongs to.

use std::path::{Path, PathBuf};

use crate::trust;

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
    let own = playbook.parent().unwrap_or(Path::new("/"));
    let top = trust::upwards(own)
        .find(|directory| MARKS.iter().any(|mark| directory.join(mark).exists()))
        .unwrap_or_else(|| own.to_owned());
    let way = playbook.strip_prefix(&top).ok();
    let project = top.file_name().map(PathBuf::from);
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

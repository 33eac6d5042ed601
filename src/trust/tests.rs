use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

use super::*;
use crate::host::needs_root;

/// Somebody else, whom only root can make an owner.
const OTHER: u32 = 65_534;

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// `project/roles/tasks.yml` in a directory of one's own below `/tmp`.
fn project() -> (tempfile::TempDir, PathBuf) {
    let top = tempfile::tempdir().unwrap();
    let folder = top.path().join("project/roles");
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("tasks.yml");
    fs::write(&file, "").unwrap();
    for path in [folder.parent().unwrap(), &folder, &file] {
        mode(path, 0o755);
    }
    (top, file)
}

#[test]
fn what_nobody_else_may_write_is_believed() {
    let (_top, file) = project();
    assert_eq!(check(&file), Ok(()));
    assert_eq!(check(Path::new("/etc/passwd")), Ok(()));
    assert_eq!(check(Path::new("/no/such/file")), Ok(()));
    assert_eq!(check(Path::new("/dev/fd/0")), Ok(()));
    for safe in [0o600, 0o644, 0o755] {
        mode(&file, safe);
        assert_eq!(check(&file), Ok(()), "{safe:o}");
    }
}

#[test]
fn what_everybody_may_write_is_refused_wherever_it_is_on_the_way() {
    let (_top, file) = project();
    let folder = file.parent().unwrap();
    let above = folder.parent().unwrap();
    for path in [file.as_path(), folder, above] {
        mode(path, 0o777);
        let error = check(&file).unwrap_err();
        assert!(error.reason.contains("everybody may write"), "{error}");
        let shown = format!("{}`", path.display());
        assert!(error.help.ends_with(&shown), "{}", error.help);
        mode(path, 0o755);
    }
    assert_eq!(check(&file), Ok(()));
}

#[test]
fn a_group_may_write_only_if_it_is_private() {
    let (_top, file) = project();
    needs_root();
    mode(&file, 0o664);
    chown(&file, None, Some(OTHER)).unwrap();
    let error = check(&file).unwrap_err();
    assert!(
        error
            .reason
            .contains("may write to it (owner root, mode 0664)")
    );
    assert_eq!(
        error.help,
        format!("take that away: `chmod g-w {}`", file.display())
    );
    mode(&file, 0o644);
    assert_eq!(check(&file), Ok(()));
}

#[test]
fn what_belongs_to_somebody_else_is_refused_and_so_is_a_link() {
    let (_top, file) = project();
    needs_root();
    let folder = file.parent().unwrap();
    for path in [file.as_path(), folder] {
        chown(path, Some(OTHER), None).unwrap();
        let error = check(&file).unwrap_err();
        assert!(error.reason.contains("(mode 0755), and fleet runs as root"));
        let way = format!("`chown root {}`", path.display());
        assert!(error.help.contains(&way), "{}", error.help);
        chown(path, Some(0), None).unwrap();
    }
    let link = folder.join("link.yml");
    symlink("tasks.yml", &link).unwrap();
    assert_eq!(check(&link), Ok(()));
    std::os::unix::fs::lchown(&link, Some(OTHER), None).unwrap();
    let error = check(&link).unwrap_err();
    assert!(error.reason.starts_with("the link `"), "{error}");
    assert!(error.help.contains("chown -h root"), "{}", error.help);
}

#[test]
fn what_a_link_leads_to_is_looked_at_as_well() {
    let (top, file) = project();
    let open = top.path().join("open");
    fs::create_dir(&open).unwrap();
    fs::write(open.join("real.yml"), "").unwrap();
    mode(&open, 0o777);
    for (name, target) in [
        ("absolute.yml", open.join("real.yml")),
        ("relative.yml", "../../open/real.yml".into()),
    ] {
        let link = file.with_file_name(name);
        symlink(target, &link).unwrap();
        let error = check(&link).unwrap_err();
        assert!(error.reason.contains("/open`"), "{error}");
    }
    let around = file.with_file_name("around.yml");
    symlink("around.yml", &around).unwrap();
    assert_eq!(check(&around), Ok(()), "nothing is there to be read");
}

#[test]
fn a_project_ends_where_somebody_else_could_have_put_something() {
    let (top, file) = project();
    let folder = file.parent().unwrap().canonicalize().unwrap();
    let above: Vec<_> = upwards(&folder).collect();
    assert_eq!(above[0], folder);
    assert!(above.contains(&top.path().canonicalize().unwrap()));
    assert!(!above.contains(&PathBuf::from("/tmp")), "{above:?}");
    mode(folder.parent().unwrap(), 0o1777);
    assert_eq!(upwards(&folder).collect::<Vec<_>>(), [folder]);
}

#[test]
fn a_private_group_has_the_name_of_its_only_member() {
    assert!(!is_private(4_000_000_000));
    let own = group(0).unwrap();
    assert_eq!(own.name, "root");
    needs_root();
    assert!(!is_private(OTHER), "nobody's group is not root's");
}

#[test]
fn a_directory_of_fleets_own_holds_only_its_own() {
    let top = tempfile::tempdir().unwrap();
    let own = top.path().join(".fleet");
    let store = own.join("memory.db");
    fs::create_dir_all(own.join("runs")).unwrap();
    fs::write(&store, "").unwrap();
    fs::write(own.join("runs/one.jsonl"), "").unwrap();
    mode(&own, 0o700);
    mode(&store, 0o666);
    assert_eq!(check_own(&own), Ok(()), "nobody gets there");
    for open in [0o755, 0o777, 0o1777] {
        mode(&own, open);
        let error = check_own(&own).unwrap_err();
        assert!(error.reason.starts_with("others may write to"), "{error}");
        assert!(error.help.contains("`mv "), "{}", error.help);
    }
    mode(&own, 0o700);
    let linked = own.join("runs/two.jsonl");
    symlink("/etc/passwd", &linked).unwrap();
    let error = check_own(&own).unwrap_err();
    assert_eq!(error.reason, format!("`{}` is a link", linked.display()));
    fs::remove_file(&linked).unwrap();
    needs_root();
    chown(&store, Some(OTHER), None).unwrap();
    let error = check_own(&own).unwrap_err();
    assert!(error.reason.contains("belongs to user 65534"), "{error}");
}

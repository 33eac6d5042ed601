//! Whose the files are that decide how dockerd runs, and who may write to them.
//!
//! Whoever can write to `daemon.json` or to a drop-in is root at the next start of the daemon. So
//! the files of this kind and the directories they are in belong to root, and nobody else may
//! write there. Fewer rights are no difference: a file with a proxy's password may be 0600.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::found::Found;
use super::{DAEMON_JSON, DROP_INS, DockerDaemon, SYSCONFIG};
use crate::host::{Failure, FileKind, FileMode, Host, Metadata, Permissions};
use crate::protocol::Drift;

/// Owner, group and mode of the files and directories that are there, by path.
pub(super) type Access = BTreeMap<PathBuf, Metadata>;

/// Looks at those of the declared files that are there, and at the directories they are in.
pub(super) fn look(declared: &DockerDaemon, host: &Host) -> Result<Access, Failure> {
    let mut paths: Vec<PathBuf> = Vec::new();
    if declared.config.is_some() {
        let file = Path::new(DAEMON_JSON);
        paths.extend(file.parent().map(Path::to_owned));
        paths.push(file.to_owned());
    }
    if let Some(drop_ins) = &declared.drop_ins {
        paths.push(DROP_INS.into());
        paths.extend(drop_ins.keys().map(|name| Path::new(DROP_INS).join(name)));
    }
    let sysconfig = declared.sysconfig.keys();
    paths.extend(sysconfig.map(|name| Path::new(SYSCONFIG).join(name)));

    let mut access = Access::new();
    for path in paths {
        if let Some(found) = host.follow(&path)? {
            access.insert(path, found.metadata);
        }
    }
    Ok(access)
}

/// The most that a file or directory may allow.
fn most(kind: FileKind) -> FileMode {
    match kind {
        FileKind::Directory => FileMode::DIRECTORY,
        _ => FileMode::FILE,
    }
}

/// The mode that something found is to have: what it allows, without what is too much.
fn wanted_mode(found: &Metadata) -> FileMode {
    FileMode::from_bits(found.mode.bits() & most(found.kind).bits())
}

/// What differs, in the order of the paths.
pub(super) fn drift(access: &Access) -> Vec<Drift> {
    let mut drift = Vec::new();
    for (path, found) in access {
        let path = path.display();
        if found.uid != 0 {
            let attribute = format!("{path} owner");
            drift.push(Drift::update(attribute, "root", &found.owner));
        }
        // A directory's group may read it, which gives nothing away.
        if found.gid != 0 && found.kind != FileKind::Directory {
            let attribute = format!("{path} group");
            drift.push(Drift::update(attribute, "root", &found.group));
        }
        let mode = wanted_mode(found);
        if mode != found.mode {
            drift.push(Drift::update(
                format!("{path} mode"),
                mode.to_string(),
                found.mode.to_string(),
            ));
        }
    }
    drift
}

/// Owner, group and mode of a file that is written: its own, as far as it may keep them.
pub(super) fn of_new_version(access: &Access, path: &Path) -> Permissions {
    Permissions {
        uid: Some(0),
        gid: Some(0),
        mode: Some(access.get(path).map_or(FileMode::FILE, wanted_mode)),
    }
}

/// Gives root what is there, and takes from others what they may not.
pub(super) fn mend(host: &Host, found: &Found) -> Result<(), Failure> {
    for (path, metadata) in &found.access {
        let differs = !drift(&Access::from([(path.clone(), metadata.clone())])).is_empty();
        if !differs {
            continue;
        }
        let permissions = Permissions {
            uid: Some(0),
            gid: (metadata.kind != FileKind::Directory).then_some(0),
            mode: Some(wanted_mode(metadata)),
        };
        host.set_permissions(&host.real_path(path)?, permissions)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drift_of(kind: FileKind, mode: u32, ids: (u32, u32)) -> Vec<String> {
        let found = Metadata {
            uid: ids.0,
            gid: ids.1,
            owner: "ops".to_owned(),
            group: "docker".to_owned(),
            ..Metadata::of_root(kind, FileMode::from_bits(mode))
        };
        let drift = drift(&Access::from([("/f".into(), found)]));
        let line =
            |drift: &Drift| format!("{}: {} ← {}", drift.attribute, drift.expected, drift.actual);
        drift.iter().map(line).collect()
    }

    #[test]
    fn a_file_is_root_s_and_only_root_may_write() {
        let file = |mode, ids| drift_of(FileKind::File, mode, ids);
        assert_eq!(file(0o666, (0, 0)), ["/f mode: 0644 ← 0666"]);
        assert_eq!(file(0o755, (0, 0)), ["/f mode: 0644 ← 0755"]);
        assert_eq!(file(0o4644, (0, 0)), ["/f mode: 0644 ← 4644"]);
        assert_eq!(file(0o660, (0, 0)), ["/f mode: 0640 ← 0660"]);
        assert_eq!(file(0o644, (1000, 0)), ["/f owner: root ← ops"]);
        assert_eq!(file(0o640, (0, 998)), ["/f group: root ← docker"]);
        for stricter in [0o644, 0o640, 0o600, 0o400] {
            assert_eq!(file(stricter, (0, 0)), [""; 0], "{stricter:o}");
        }
    }

    #[test]
    fn nobody_else_may_put_a_file_into_the_directory() {
        let directory = |mode, ids| drift_of(FileKind::Directory, mode, ids);
        assert_eq!(directory(0o777, (0, 0)), ["/f mode: 0755 ← 0777"]);
        assert_eq!(directory(0o755, (1000, 0)), ["/f owner: root ← ops"]);
        assert_eq!(directory(0o750, (0, 998)), [""; 0]);
    }

    #[test]
    fn a_new_version_keeps_what_its_file_hid() {
        let secret = Metadata::of_root(FileKind::File, FileMode::from_bits(0o660));
        let access = Access::from([("/f".into(), secret)]);
        let mode = |path: &str| of_new_version(&access, path.as_ref()).mode;
        assert_eq!(mode("/f"), Some(FileMode::from_bits(0o640)));
        assert_eq!(mode("/new"), Some(FileMode::FILE));
    }
}

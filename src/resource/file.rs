//! A path on the host: a file, directory or symbolic link, or nothing.
//!
//! `state` says what is at `path`; `owner`, `group` and `mode` say whose it is and who may use
//! it. What is not declared is left as it is. Contents are the matter of `copy` and `template`.
//!
//! - `file` (the default): a regular file that is already there; it is not made.
//! - `touch`: a regular file, made empty if nothing is there. Unlike `touch(1)` it does not
//!   change the times of a file that exists, so a second run changes nothing.
//! - `directory`: made with its missing parents, which get the same owner, group and mode.
//! - `link`: a symbolic link to `src`. `force` lets it replace a file.
//! - `absent`: removed, a directory with all that is in it. A mount point, anything that holds
//!   one and the directories the system consists of are refused.
//!
//! Symbolic links at `path` are never followed: declare the path they lead to. Those on the way
//! are followed if root, or the user fleet acts as, owns them and the directory they are in.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::permissions::Declared;
use super::{Footprint, Resource};
use crate::host::{Failure, FileKind, FileMode, Host, HostPath, Metadata, SYSTEM};
use crate::protocol::{Change, Drift, Output};

/// A path on the host: a file, directory or symbolic link, or nothing.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "control", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct File {
    /// The path, absolute.
    pub path: HostPath,
    /// What is at the path: `file`, `touch`, `directory`, `link` or `absent`.
    #[serde(default)]
    pub state: FileState,
    /// What a link leads to; kept as written, so it may be relative to the link's directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub src: Option<String>,
    /// The user it belongs to, by name or number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The group it belongs to, by name or number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Permission bits in octal, with a leading zero: `0644`. New files get 0644 and new
    /// directories 0755 unless declared, whatever the umask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<FileMode>,
    /// With `state: link`: replace a regular file that is in the way.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
    /// With `state: absent`: remove a directory only if it is empty.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub only_empty: bool,
}

/// What is at the path of a [`File`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "control", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum FileState {
    /// A regular file that is already there.
    #[default]
    File,
    /// A regular file, made empty if nothing is there.
    Touch,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// Nothing.
    Absent,
}

/// What was found at the path.
#[derive(Clone, Debug)]
pub struct Found {
    metadata: Option<Metadata>,
    /// Where it leads, if it is a symbolic link.
    target: Option<PathBuf>,
}

impl File {
    /// A path of which nothing but the state is declared.
    pub(super) fn bare(path: HostPath, state: FileState) -> Self {
        Self {
            path,
            state,
            src: None,
            owner: None,
            group: None,
            mode: None,
            force: false,
            only_empty: false,
        }
    }

    fn declared(&self) -> Declared<'_> {
        Declared {
            owner: self.owner.as_deref(),
            group: self.group.as_deref(),
            mode: self.mode,
        }
    }

    fn wanted(&self) -> Option<FileKind> {
        match self.state {
            FileState::File | FileState::Touch => Some(FileKind::File),
            FileState::Directory => Some(FileKind::Directory),
            FileState::Link => Some(FileKind::Link),
            FileState::Absent => None,
        }
    }

    fn in_the_way(&self, found: FileKind) -> Failure {
        let way_out = match (self.state, found) {
            (FileState::Link, FileKind::File) => "remove it first, or say `force: true`",
            (_, FileKind::Link) => "declare the path it leads to, or remove it first",
            _ => "remove it first",
        };
        Failure::Refused(format!(
            "{} is a {} already; {way_out}",
            self.path,
            found.name()
        ))
    }
}

impl Resource for File {
    const KIND: &'static str = "file";

    const EXAMPLE: &'static str = "\
- name: the application's directory
  file:
    path: /srv/app/data
    state: directory
    owner: app
    group: app
    mode: 0750

- name: the release in use
  file: { path: /srv/app/current, state: link, src: releases/42, force: yes }

- name: no leftovers
  file: { path: /srv/app/tmp, state: absent }

- name: no directory that nobody uses
  file: { path: /srv/app/old, state: absent, only_empty: yes }
";

    type Actual = Found;

    fn id(&self) -> String {
        self.path.to_string()
    }

    fn validate(&self) -> Result<(), String> {
        match (self.state, &self.src) {
            (FileState::Link, None) => return Err("`state: link` needs `src`".to_owned()),
            (FileState::Link, Some(target)) if target.is_empty() || target.contains('\0') => {
                return Err("`src` is not a path".to_owned());
            }
            (FileState::Link, Some(_)) | (_, None) => {}
            (_, Some(_)) => {
                return Err(
                    "`src` goes with `state: link` only; contents are the matter of \
                            `copy`"
                        .to_owned(),
                );
            }
        }
        if self.force && self.state != FileState::Link {
            return Err("`force` goes with `state: link` only".to_owned());
        }
        if self.only_empty && self.state != FileState::Absent {
            return Err("`only_empty` goes with `state: absent` only".to_owned());
        }
        if self.mode.is_some() && self.state == FileState::Link {
            return Err(
                "a symbolic link has no mode; declare it on the path it leads to".to_owned(),
            );
        }
        if self.state == FileState::Absent {
            if SYSTEM.iter().any(|path| *self.path == *Path::new(path)) {
                return Err(format!(
                    "{} is part of the system and is never removed",
                    self.path
                ));
            }
            if self.owner.is_some() || self.group.is_some() || self.mode.is_some() {
                return Err("what is absent has no owner, group or mode".to_owned());
            }
        }
        Ok(())
    }

    fn footprint(&self) -> Option<Footprint> {
        Footprint::of_path(&self.path, "state")
    }

    fn observe(&self, host: &Host) -> Result<Found, Failure> {
        let metadata = host.metadata(&self.path)?;
        if metadata.is_none() && self.state == FileState::File {
            return Err(Failure::Missing(format!(
                "{} does not exist; make it with `copy` or `template`, or say `state: touch`",
                self.path
            )));
        }
        if metadata.is_none() && matches!(self.state, FileState::Touch | FileState::Link) {
            host.require_parent(&self.path)?;
        }
        let target = match &metadata {
            Some(found) if found.kind == FileKind::Link => Some(host.link_target(&self.path)?),
            _ => None,
        };
        Ok(Found { metadata, target })
    }

    fn drift(&self, actual: &Found) -> Vec<Drift> {
        let Some(wanted) = self.wanted() else {
            return actual
                .metadata
                .iter()
                .map(|found| Drift::remove("state", found.kind.name()))
                .collect();
        };
        let Some(found) = &actual.metadata else {
            return vec![Drift::create("state", wanted.name())];
        };
        if found.kind != wanted {
            let replaced = Drift::new(Change::Replace, "state", wanted.name(), found.kind.name());
            return vec![replaced];
        }
        let mut drift = Vec::new();
        if let (Some(wanted), Some(found)) = (&self.src, &actual.target)
            && found.as_os_str() != wanted.as_str()
        {
            drift.push(Drift::update("src", wanted, found.to_string_lossy()));
        }
        drift.extend(self.declared().drift(found));
        drift
    }

    fn path(&self) -> Option<&Path> {
        Some(&self.path)
    }

    fn makes_directory(&self) -> Option<&Path> {
        (self.state == FileState::Directory).then_some(&*self.path)
    }

    fn obstacle(&self, host: &Host, actual: &Found) -> Result<(), Failure> {
        let found = actual.metadata.as_ref().map(|found| found.kind);
        match (self.state, found) {
            (FileState::Absent, _) => host.may_remove(&self.path),
            (FileState::Directory, None) => host.may_make_directory(&self.path),
            (FileState::Link, None | Some(FileKind::Link)) => host.may_rename(&self.path),
            (FileState::Link, Some(FileKind::File)) if self.force => host.may_rename(&self.path),
            (_, Some(kind)) if Some(kind) != self.wanted() => Err(self.in_the_way(kind)),
            (_, Some(_)) => host.may_alter(&self.path),
            (_, None) => host.may_write(&self.path),
        }
    }

    fn apply(&self, host: &Host, actual: &Found) -> Result<Option<Output>, Failure> {
        let permissions = self.declared().resolve(host)?;
        let found = actual.metadata.as_ref().map(|found| found.kind);
        match (self.state, found) {
            (FileState::Absent, Some(FileKind::Directory)) if self.only_empty => {
                host.remove_empty_directory(&self.path)?;
            }
            (FileState::Absent, _) => host.remove(&self.path)?,
            (FileState::Link, None | Some(FileKind::Link)) => self.link(host, actual)?,
            (FileState::Link, Some(FileKind::File)) if self.force => self.link(host, actual)?,
            (FileState::Touch, None) => host.write(&self.path, b"", permissions)?,
            (FileState::Directory, None) => host.make_directory(&self.path, permissions)?,
            (_, Some(kind)) if Some(kind) == self.wanted() => {
                host.set_permissions(&self.path, permissions)?;
            }
            (_, Some(kind)) => return Err(self.in_the_way(kind)),
            (FileState::File, None) => {
                return Err(Failure::Missing(format!("{} does not exist", self.path)));
            }
        }
        if self.state == FileState::Link {
            host.set_link_owner(&self.path, permissions)?;
        }
        Ok(None)
    }
}

impl File {
    fn link(&self, host: &Host, actual: &Found) -> Result<(), Failure> {
        let target = self.src.as_deref().unwrap_or_default();
        if actual
            .target
            .as_ref()
            .is_some_and(|found| found.as_os_str() == target)
        {
            return Ok(());
        }
        host.make_link(&self.path, target.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;

    fn declared(fields: serde_json::Value) -> File {
        serde_json::from_value(fields).unwrap()
    }

    fn found(kind: FileKind) -> Found {
        let metadata = Metadata::of_root(kind, FileMode::FILE);
        let target = (kind == FileKind::Link).then(|| PathBuf::from("/old"));
        Found {
            metadata: Some(metadata),
            target,
        }
    }

    const NOTHING: Found = Found {
        metadata: None,
        target: None,
    };

    #[test]
    fn drift_says_what_is_made_changed_replaced_or_removed() {
        let directory = declared(json!({ "path": "/x", "state": "directory", "mode": "0755" }));
        assert_eq!(
            directory.drift(&NOTHING),
            [Drift::create("state", "directory")]
        );
        assert_eq!(
            directory.drift(&found(FileKind::Directory)),
            [Drift::update("mode", "0755", "0644")]
        );
        assert_eq!(
            directory.drift(&found(FileKind::Link)),
            [Drift::new(Change::Replace, "state", "directory", "link")]
        );

        let absent = declared(json!({ "path": "/x", "state": "absent" }));
        assert_eq!(absent.drift(&NOTHING), []);
        assert_eq!(absent.drift(&found(FileKind::Special)).len(), 1);

        let link = declared(json!({ "path": "/x", "state": "link", "src": "/new" }));
        assert_eq!(
            link.drift(&found(FileKind::Link)),
            [Drift::update("src", "/new", "/old")]
        );
    }

    #[test]
    fn validate_names_fields_that_do_not_go_together() {
        for (fields, expected) in [
            (json!({ "path": "/x", "state": "link" }), "needs `src`"),
            (
                json!({ "path": "/x", "src": "/y" }),
                "goes with `state: link` only",
            ),
            (
                json!({ "path": "/x", "force": true }),
                "goes with `state: link` only",
            ),
            (
                json!({ "path": "/etc/", "state": "absent" }),
                "is part of the system",
            ),
            (
                json!({ "path": "//", "state": "absent" }),
                "is part of the system",
            ),
            (
                json!({ "path": "/x", "state": "absent", "mode": "0644" }),
                "has no owner",
            ),
            (
                json!({ "path": "/x", "state": "link", "src": "y", "mode": "0644" }),
                "no mode",
            ),
        ] {
            let error = declared(fields.clone()).validate().unwrap_err();
            assert!(error.contains(expected), "{fields}: {error}");
        }
    }

    /// Applies until nothing differs, which must take one step.
    fn bring_about(file: &File, host: &Host) -> Result<(), Failure> {
        let actual = file.observe(host)?;
        assert_ne!(file.drift(&actual), []);
        file.apply(host, &actual)?;
        assert_eq!(file.drift(&file.observe(host)?), []);
        Ok(())
    }

    #[test]
    fn brings_about_every_state() {
        let base = tempfile::tempdir().unwrap();
        let host = Host::offline(base.path());
        let path = base.path().join("x");
        for fields in [
            json!({ "path": path, "state": "touch", "mode": "0600" }),
            json!({ "path": path, "mode": "0640" }),
            json!({ "path": path, "state": "link", "src": "y", "force": true }),
            json!({ "path": path, "state": "link", "src": "z" }),
            json!({ "path": path, "state": "absent" }),
            json!({ "path": path.join("a/b"), "state": "directory", "mode": "0700" }),
            json!({ "path": path, "state": "absent" }),
        ] {
            bring_about(&declared(fields), &host).unwrap();
        }
        assert_eq!(fs::read_dir(base.path()).unwrap().count(), 0, "leftovers");
    }

    #[test]
    fn refuses_what_is_in_the_way() {
        let base = tempfile::tempdir().unwrap();
        let host = Host::offline(base.path());
        let path = base.path().join("x");
        fs::create_dir(&path).unwrap();
        for state in ["touch", "file"] {
            let failure = bring_about(&declared(json!({ "path": path, "state": state })), &host);
            assert!(
                matches!(failure, Err(Failure::Refused(_))),
                "{state}: {failure:?}"
            );
        }
        assert!(path.is_dir());
    }

    #[test]
    fn a_file_that_is_not_there_is_missing_not_absent() {
        let base = tempfile::tempdir().unwrap();
        let file = declared(json!({ "path": base.path().join("x") }));
        let failure = file.observe(&Host::offline(base.path())).unwrap_err();
        assert!(matches!(failure, Failure::Missing(_)));
    }
}

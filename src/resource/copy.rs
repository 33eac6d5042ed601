//! A regular file with a declared content: `src` from `files/`, or `content` written in place.
//!
//! The file is replaced in one step: the new version is written beside it with its final owner,
//! mode, ACL and SELinux label, checked by `validate` if declared, and renamed once it is on the
//! disk. What is not declared stays, but for two: a file that was another user's becomes root's
//! (or that of the user fleet acts as), without the right to write for others, and setuid and
//! setgid bits go with the old content.
//! Large contents are named by their sha256 and sent only to hosts that lack them.
//!
//! `template` is this kind with `content` rendered on the controller.

use std::fs;
use std::io::{Read, Seek, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::Digest;

use super::content::{SHOWN_LIMIT, content_drift, put_in_place, validate_words};
use super::permissions::Declared;
use super::{Footprint, Resource};
use crate::host::{self, Draft, Failure, FileKind, FileMode, Host, HostPath, Metadata};
use crate::protocol::wire::PIECE;
use crate::protocol::{Change, Content, Drift, Output, Sha256, Source};

/// A regular file with a declared content.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "control", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Copy {
    /// The whole path of the file on the host. Its directory must be there.
    pub dest: HostPath,
    /// The file to take the content from, looked up in `files/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub src: Option<Source>,
    /// The content itself; instead of `src`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// The user it belongs to, by name or number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The group it belongs to, by name or number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Permission bits in octal, with a leading zero. A new file gets 0644 unless declared,
    /// whatever the umask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<FileMode>,
    /// Keep the version that is replaced beside it, under its name, the run's and a `~`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub backup: bool,
    /// A command that must accept the new version before it is put in place; `%s` stands for
    /// its path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validate: Option<String>,
}

/// What was found at `dest`.
#[derive(Clone, Debug)]
pub struct Found {
    metadata: Option<Metadata>,
    /// Of the content there; only known if its size is the declared one.
    sha256: Option<Sha256>,
    /// Both versions, when a diff is wanted and they differ.
    versions: Option<Versions>,
}

#[derive(Clone, Debug)]
struct Versions {
    old: Option<Vec<u8>>,
    new: Vec<u8>,
}

impl Copy {
    fn declared(&self) -> Declared<'_> {
        Declared {
            owner: self.owner.as_deref(),
            group: self.group.as_deref(),
            mode: self.mode,
        }
    }

    /// Names the declared content.
    fn wanted(&self) -> Result<Content, Failure> {
        match (&self.src, &self.content) {
            (Some(source), None) => source.content().cloned(),
            (None, content) => {
                let bytes = content.as_deref().unwrap_or_default().as_bytes();
                Ok(Content {
                    sha256: Sha256::of(bytes),
                    size: bytes.len() as u64,
                })
            }
            (Some(_), Some(_)) => Err(Failure::Unexpected(BOTH.to_owned())),
        }
    }

    /// Both versions for a diff, as far as they are short enough to show.
    fn versions(
        &self,
        host: &Host,
        wanted: &Content,
        found: Option<&mut host::Found>,
    ) -> Result<Option<Versions>, Failure> {
        let old_size = found.as_ref().map_or(0, |found| found.metadata.size);
        if !host.wants_diff() || wanted.size > SHOWN_LIMIT || old_size > SHOWN_LIMIT {
            return Ok(None);
        }
        let mut new = Vec::new();
        match &self.content {
            Some(content) => new.extend_from_slice(content.as_bytes()),
            None => host.fetch(wanted, &mut new, &self.dest)?,
        }
        let old = match found {
            Some(found) => found.read(&self.dest, SHOWN_LIMIT)?,
            None => None,
        };
        Ok(Some(Versions { old, new }))
    }
}

const BOTH: &str = "`src` and `content` exclude each other";

impl Resource for Copy {
    const KIND: &'static str = "copy";

    const EXAMPLE: &'static str = "\
- name: administrators may use sudo
  copy:
    dest: /etc/sudoers.d/admins
    content: |
      %wheel ALL=(ALL) ALL
    owner: root
    group: root
    mode: 0440
    backup: yes
    validate: visudo -cf %s

- name: the repository's key
  copy: { src: docker.asc, dest: /etc/pki/rpm-gpg/docker.asc }
";

    type Actual = Found;

    fn id(&self) -> String {
        self.dest.to_string()
    }

    fn validate(&self) -> Result<(), String> {
        match (&self.src, &self.content) {
            (Some(_), Some(_)) => return Err(BOTH.to_owned()),
            (None, None) => return Err("one of `src` and `content` is needed".to_owned()),
            _ => {}
        }
        self.validate
            .as_deref()
            .map_or(Ok(()), |command| validate_words(command).map(drop))
    }

    fn sources_mut(&mut self) -> Vec<&mut Source> {
        self.src.iter_mut().collect()
    }

    fn footprint(&self) -> Option<Footprint> {
        Footprint::of_path(&self.dest, "content")
    }

    fn observe(&self, host: &Host) -> Result<Found, Failure> {
        let wanted = self.wanted()?;
        let mut found = host.look(&self.dest)?;
        if found.is_none() {
            host.require_parent(&self.dest)?;
        }
        let sha256 = match &mut found {
            Some(host::Found {
                metadata,
                file: Some(file),
            }) if metadata.size == wanted.size => Some(hash(file, &self.dest)?),
            _ => None,
        };
        let is_file = |found: &host::Found| found.file.is_some();
        let versions = match sha256 {
            Some(sha256) if sha256 == wanted.sha256 => None,
            _ if found.as_ref().is_none_or(is_file) => {
                self.versions(host, &wanted, found.as_mut())?
            }
            _ => None,
        };
        Ok(Found {
            metadata: found.map(|found| found.metadata),
            sha256,
            versions,
        })
    }

    fn drift(&self, actual: &Found) -> Vec<Drift> {
        // A source that is still a path was reported by `observe`.
        let Ok(wanted) = self.wanted() else {
            return Vec::new();
        };
        let with_diff = |drift| match &actual.versions {
            Some(Versions { old, new }) => content_drift(drift, &self.dest, old.as_deref(), new),
            None => drift,
        };
        let Some(found) = &actual.metadata else {
            return vec![with_diff(Drift::create(
                "content",
                in_words(Some(&wanted.sha256), wanted.size),
            ))];
        };
        if found.kind != FileKind::File {
            return vec![Drift::new(
                Change::Replace,
                "state",
                "file",
                found.kind.name(),
            )];
        }
        let mut drift = Vec::new();
        if actual.sha256 != Some(wanted.sha256) {
            drift.push(with_diff(Drift::update(
                "content",
                in_words(Some(&wanted.sha256), wanted.size),
                in_words(actual.sha256.as_ref(), found.size),
            )));
            drift.extend(self.declared().drift_of_new_version(found));
        }
        drift.extend(self.declared().drift(found));
        drift
    }

    fn path(&self) -> Option<&Path> {
        Some(&self.dest)
    }

    fn obstacle(&self, host: &Host, actual: &Found) -> Result<(), Failure> {
        match (&actual.metadata, self.wanted()?.sha256) {
            (Some(_), wanted) if actual.sha256 == Some(wanted) => host.may_alter(&self.dest),
            _ => host.may_write(&self.dest),
        }
    }

    fn apply(&self, host: &Host, actual: &Found) -> Result<Option<Output>, Failure> {
        let wanted = self.wanted()?;
        let permissions = self.declared().resolve(host)?;
        if actual.sha256 == Some(wanted.sha256) {
            host.set_permissions(&self.dest, permissions)?;
            return Ok(None);
        }
        let draft = Draft::beside(&self.dest, permissions)?;
        let mut draft = draft.instead_of(actual.metadata.as_ref());
        match &self.content {
            Some(content) => draft
                .write_all(content.as_bytes())
                .map_err(|source| Failure::io("write", &self.dest, source))?,
            None => host.fetch(&wanted, &mut draft, &self.dest)?,
        }
        put_in_place(
            host,
            draft,
            &self.dest,
            self.validate.as_deref(),
            self.backup,
        )?;
        Ok(None)
    }
}

/// A content for people: enough of its hash to tell it from others, and its size.
fn in_words(sha256: Option<&Sha256>, size: u64) -> String {
    match sha256 {
        Some(sha256) => format!("sha256:{:.12} ({size} bytes)", sha256.to_string()),
        None => format!("{size} bytes"),
    }
}

/// Reads the file once, and leaves it to be read again.
fn hash(file: &mut fs::File, path: &Path) -> Result<Sha256, Failure> {
    let mut digest = sha2::Sha256::new();
    let mut piece = vec![0; PIECE];
    loop {
        match file
            .read(&mut piece)
            .map_err(|source| Failure::io("read", path, source))?
        {
            0 => break,
            length => digest.update(&piece[..length]),
        }
    }
    file.rewind()
        .map_err(|source| Failure::io("read", path, source))?;
    Ok(Sha256::from_digest(digest.finalize().into()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, symlink};

    use serde_json::json;

    use super::*;

    fn declared(fields: serde_json::Value) -> Copy {
        serde_json::from_value(fields).unwrap()
    }

    fn apply(copy: &Copy, host: &Host) -> Result<Vec<Drift>, Failure> {
        let actual = copy.observe(host)?;
        let drift = copy.drift(&actual);
        copy.apply(host, &actual)?;
        assert_eq!(copy.drift(&copy.observe(host)?), []);
        Ok(drift)
    }

    #[test]
    fn makes_and_replaces_a_file_and_keeps_what_is_not_declared() {
        let base = tempfile::tempdir().unwrap();
        let host = Host::offline(base.path());
        let path = base.path().join("x");
        let drift = apply(
            &declared(json!({ "dest": path, "content": "a\n", "mode": "0604" })),
            &host,
        );
        assert_eq!(
            drift.unwrap()[0].diff.as_deref().unwrap().lines().last(),
            Some("+a")
        );

        let drift = apply(&declared(json!({ "dest": path, "content": "b\n" })), &host).unwrap();
        assert_eq!(drift.len(), 1);
        assert!(
            drift[0]
                .expected
                .starts_with("sha256:0263829989b6 (2 bytes)"),
            "{drift:?}"
        );
        assert_eq!(
            fs::metadata(&path).unwrap().mode() & 0o7777,
            0o604,
            "mode was not declared"
        );

        let drift = apply(
            &declared(json!({ "dest": path, "content": "b\n", "mode": "0600" })),
            &host,
        );
        assert_eq!(drift.unwrap(), [Drift::update("mode", "0600", "0604")]);
        assert_eq!(fs::read_dir(base.path()).unwrap().count(), 1, "leftovers");
    }

    #[test]
    fn a_refused_version_leaves_the_old_one_and_nothing_else() {
        let base = tempfile::tempdir().unwrap();
        let host = Host::offline(base.path());
        let path = base.path().join("x");
        fs::write(&path, "old").unwrap();
        let copy =
            declared(json!({ "dest": path, "content": "new", "validate": "grep -q old %s" }));
        let failure = apply(&copy, &host).unwrap_err().to_string();
        assert!(
            failure.contains("`validate` refused it: `grep -q old"),
            "{failure}"
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(fs::read_dir(base.path()).unwrap().count(), 1, "leftovers");
    }

    #[test]
    fn keeps_a_backup_of_what_it_replaces() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("x");
        fs::write(&path, "old").unwrap();
        let copy = declared(json!({ "dest": path, "content": "new", "backup": true }));
        apply(&copy, &Host::offline(base.path())).unwrap();
        assert_eq!(
            fs::read_to_string(base.path().join("x.test~")).unwrap(),
            "old"
        );
    }

    #[test]
    fn refuses_what_is_no_regular_file() {
        let base = tempfile::tempdir().unwrap();
        let host = Host::offline(base.path());
        let link = base.path().join("link");
        symlink("target", &link).unwrap();
        let copy = declared(json!({ "dest": link, "content": "" }));
        let actual = copy.observe(&host).unwrap();
        let replaced = Drift::new(Change::Replace, "state", "file", "link");
        assert_eq!(copy.drift(&actual), [replaced]);
        let failure = copy.apply(&host, &actual).unwrap_err().to_string();
        assert!(failure.contains("is a symbolic link"), "{failure}");
        let foretold = copy.obstacle(&host, &actual).unwrap_err().to_string();
        assert_eq!(foretold, failure);

        let nowhere = declared(json!({ "dest": base.path().join("no/x"), "content": "" }));
        assert!(matches!(nowhere.observe(&host), Err(Failure::Missing(_))));
    }

    #[test]
    fn a_user_to_be_made_later_is_drift_in_a_plan_and_missing_in_apply() {
        let base = tempfile::tempdir().unwrap();
        let host = Host::offline(base.path());
        let path = base.path().join("x");
        fs::write(&path, "").unwrap();
        let copy = declared(json!({ "dest": path, "content": "", "owner": "no-such-user" }));
        let actual = copy.observe(&host).unwrap();
        assert_eq!(copy.drift(&actual)[0].expected, "no-such-user");
        assert!(matches!(
            copy.apply(&host, &actual),
            Err(Failure::Missing(_))
        ));
    }

    #[test]
    fn a_path_for_a_source_is_called_a_bug() {
        let copy = declared(json!({ "dest": "/x", "src": "files/x" }));
        let failure = copy
            .observe(&Host::offline("/".as_ref()))
            .unwrap_err()
            .to_string();
        assert!(failure.contains("this is a bug in fleet"), "{failure}");
    }

    #[test]
    fn validate_wants_one_content_and_a_place_for_the_path() {
        for (fields, expected) in [
            (json!({ "dest": "/x" }), "one of `src` and `content`"),
            (
                json!({ "dest": "/x", "src": "a", "content": "b" }),
                "exclude each other",
            ),
            (
                json!({ "dest": "/x", "content": "", "validate": "true" }),
                "needs `%s`",
            ),
        ] {
            let error = declared(fields.clone()).validate().unwrap_err();
            assert!(error.contains(expected), "{fields}: {error}");
        }
    }
}

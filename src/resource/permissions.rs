//! What every kind that owns a path has in common: owner, group and mode.

use crate::host::{Failure, FileKind, FileMode, Host, Metadata, Permissions};
use crate::protocol::Drift;

/// The declared owner, group and mode of one path; what is `None` is left as it is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Declared<'a> {
    pub(crate) owner: Option<&'a str>,
    pub(crate) group: Option<&'a str>,
    pub(crate) mode: Option<FileMode>,
}

impl Declared<'_> {
    /// Lists what differs from `found`. A user or group that does not exist yet is a
    /// difference like any other, so that a plan works on a host that is still empty.
    pub(crate) fn drift(self, found: &Metadata) -> Vec<Drift> {
        let differs =
            |wanted: &str, name: &str, id: u32| wanted != name && wanted.parse() != Ok(id);
        let mut drift = Vec::new();
        if let Some(owner) = self.owner
            && differs(owner, &found.owner, found.uid)
        {
            drift.push(Drift::update("owner", owner, &found.owner));
        }
        if let Some(group) = self.group
            && differs(group, &found.group, found.gid)
        {
            drift.push(Drift::update("group", group, &found.group));
        }
        // Who gets a file does not get what its setuid and setgid bits gave to the last owner.
        let is_file_given_away = found.kind == FileKind::File && !drift.is_empty();
        let mode = self.mode.unwrap_or(if is_file_given_away {
            found.mode.without_setid()
        } else {
            found.mode
        });
        if mode != found.mode {
            drift.push(Drift::update(
                "mode",
                mode.to_string(),
                found.mode.to_string(),
            ));
        }
        drift
    }

    /// Lists what a new version of `found` has that is not declared and is not as it was: see
    /// [`Draft`](crate::host::Draft).
    pub(crate) fn drift_of_new_version(self, found: &Metadata) -> Vec<Drift> {
        let mut drift = Vec::new();
        let kept = found.mode.without_setid();
        let mode = match (&found.new_owner, self.owner) {
            (Some(new_owner), None) => {
                drift.push(Drift::update("owner", new_owner, &found.owner));
                kept.without_writing_by_others()
            }
            _ => kept,
        };
        if self.mode.is_none() && mode != found.mode {
            drift.push(Drift::update(
                "mode",
                mode.to_string(),
                found.mode.to_string(),
            ));
        }
        drift
    }

    /// Finds the numbers behind the names.
    ///
    /// # Errors
    /// [`Failure::Missing`] for a user or group that does not exist.
    pub(crate) fn resolve(self, host: &Host) -> Result<Permissions, Failure> {
        Ok(Permissions {
            uid: self.owner.map(|name| host.user_id(name)).transpose()?,
            gid: self.group.map(|name| host.group_id(name)).transpose()?,
            mode: self.mode,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compares_names_and_numbers() {
        let found = Metadata {
            uid: 1000,
            gid: 1000,
            owner: "deploy".to_owned(),
            group: "1000".to_owned(),
            ..Metadata::of_root(FileKind::File, FileMode::FILE)
        };
        let same = Declared {
            owner: Some("1000"),
            group: Some("1000"),
            mode: Some(FileMode::FILE),
        };
        assert_eq!(same.drift(&found), []);
        assert_eq!(
            Declared {
                owner: Some("deploy"),
                ..same
            }
            .drift(&found),
            []
        );
        assert_eq!(Declared::default().drift(&found), []);

        let other = Declared {
            owner: Some("root"),
            group: Some("docker"),
            mode: Some(FileMode::PRIVATE),
        };
        assert_eq!(
            other.drift(&found),
            [
                Drift::update("owner", "root", "deploy"),
                Drift::update("group", "docker", "1000"),
                Drift::update("mode", "0600", "0644"),
            ]
        );
    }

    #[test]
    fn a_new_version_is_nobodys_who_was_there_first() {
        let found = Metadata {
            uid: 1000,
            owner: "mallory".to_owned(),
            new_owner: Some("root".to_owned()),
            ..Metadata::of_root(FileKind::File, FileMode::from_bits(0o4766))
        };
        assert_eq!(
            Declared::default().drift_of_new_version(&found),
            [
                Drift::update("owner", "root", "mallory"),
                Drift::update("mode", "0744", "4766"),
            ]
        );
        let declared = Declared {
            owner: Some("mallory"),
            ..Declared::default()
        };
        assert_eq!(
            declared.drift_of_new_version(&found),
            [Drift::update("mode", "0766", "4766")]
        );
        let whole = Declared {
            mode: Some(FileMode::from_bits(0o4755)),
            ..declared
        };
        assert_eq!(whole.drift_of_new_version(&found), []);
    }
}

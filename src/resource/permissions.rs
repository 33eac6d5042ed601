//! What every kind that owns a path has in common: owner, group and mode.

use crate::host::{Failure, FileMode, Host, Metadata, Permissions};
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
        if let Some(mode) = self.mode
            && mode != found.mode
        {
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
    use crate::host::FileKind;

    #[test]
    fn compares_names_and_numbers() {
        let found = Metadata {
            kind: FileKind::File,
            mode: FileMode::FILE,
            uid: 1000,
            gid: 1000,
            owner: "deploy".to_owned(),
            group: "1000".to_owned(),
            size: 0,
            mtime: 0,
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
}

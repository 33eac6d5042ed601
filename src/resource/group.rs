//! A group of the host itself (`/etc/group`).
//!
//! Groups that come from a directory service (LDAP, SSSD) count as existing, but are never
//! changed. `gid` is compared only if declared. Changing the number of a group does not change
//! the files that carry the old one.

use serde::{Deserialize, Serialize};

use super::presence::Presence;
use super::user::account::{self, Database, Origin, check_name};
use super::{AnyResource, Footprint, Removal, Resource};
use crate::host::{Command, Failure, Host};
use crate::protocol::{Drift, Output};

/// A group of the host itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "control", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// The group's name.
    pub name: String,
    /// Its number; chosen by the host unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
    /// Take the number from the range of system groups; counts only when the group is made.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub system: bool,
    /// `present` (the default) or `absent`.
    #[serde(default)]
    pub state: Presence,
}

/// The group, if there is one.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    gid: u32,
    origin: Origin,
}

impl Group {
    fn add(&self) -> Command {
        let mut command = Command::new(["groupadd"]);
        if self.system {
            command = command.arg("-r");
        }
        if let Some(gid) = self.gid {
            command = command.args(["-g".to_owned(), gid.to_string()]);
        }
        command.arg(&self.name)
    }
}

impl Resource for Group {
    const KIND: &'static str = "group";

    const EXAMPLE: &'static str = "\
- name: the application's group, the same number on all hosts
  group: { name: app, gid: 1500 }

- name: a group for a daemon
  group: { name: exporter, system: yes }

- name: the old application is gone
  group: { name: legacy, state: absent }
";

    type Actual = Option<Found>;

    fn id(&self) -> String {
        self.name.clone()
    }

    fn validate(&self) -> Result<(), String> {
        check_name("group", &self.name)
    }

    fn footprint(&self) -> Option<Footprint> {
        Some(Footprint {
            absence: AnyResource::Group(Self {
                name: self.name.clone(),
                gid: None,
                system: false,
                state: Presence::Absent,
            }),
            made_with: "state",
            removal: Removal::ByHand,
        })
    }

    fn observe(&self, host: &Host) -> Result<Option<Found>, Failure> {
        let Some(entry) = account::look_up(host, Database::Group, &self.name)? else {
            return Ok(None);
        };
        Ok(Some(Found {
            gid: entry.number(2)?,
            origin: entry.origin,
        }))
    }

    fn drift(&self, actual: &Option<Found>) -> Vec<Drift> {
        match (self.state, actual) {
            (Presence::Present, None) => vec![Drift::create("state", "present")],
            (Presence::Absent, Some(_)) => vec![Drift::remove("state", "present")],
            (Presence::Present, Some(found)) => self
                .gid
                .filter(|gid| *gid != found.gid)
                .map(|gid| Drift::update("gid", gid.to_string(), found.gid.to_string()))
                .into_iter()
                .collect(),
            (Presence::Absent, None) => Vec::new(),
        }
    }

    fn apply(&self, host: &Host, actual: &Option<Found>) -> Result<Option<Output>, Failure> {
        let command = match (self.state, actual) {
            (Presence::Absent, None) => return Ok(None),
            (Presence::Present, None) => self.add(),
            (
                _,
                Some(Found {
                    origin: Origin::Directory,
                    ..
                }),
            ) => {
                return Err(account::not_local("group", &self.name));
            }
            (Presence::Absent, Some(_)) => Command::new(["groupdel", &self.name]),
            (Presence::Present, Some(_)) => {
                let Some(gid) = self.gid else { return Ok(None) };
                Command::new(["groupmod", "-g", &gid.to_string(), &self.name])
            }
        };
        let output = command.run();
        host.forget_accounts();
        output.map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(gid: Option<u32>, state: Presence) -> Group {
        Group {
            name: "app".to_owned(),
            gid,
            system: false,
            state,
        }
    }

    #[test]
    fn compares_existence_and_number() {
        let found = Some(Found {
            gid: 1500,
            origin: Origin::Local,
        });
        let present = group(Some(1500), Presence::Present);
        assert_eq!(present.drift(&found), []);
        assert_eq!(present.drift(&None), [Drift::create("state", "present")]);
        assert_eq!(group(None, Presence::Present).drift(&found), []);
        assert_eq!(
            group(Some(7), Presence::Present).drift(&found),
            [Drift::update("gid", "7", "1500")]
        );
        let absent = group(None, Presence::Absent);
        assert_eq!(absent.drift(&found), [Drift::remove("state", "present")]);
        assert_eq!(absent.drift(&None), []);
    }

    #[test]
    fn is_found_on_this_host() {
        let directory = tempfile::tempdir().unwrap();
        let root = Group {
            name: "root".to_owned(),
            ..group(Some(0), Presence::Present)
        };
        let found = root.observe(&Host::offline(directory.path())).unwrap();
        assert_eq!(root.drift(&found), []);
    }
}

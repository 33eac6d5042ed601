//! A user of the host itself (`/etc/passwd`), with its groups and home directory.
//!
//! What is not declared is left as the host chooses it. `groups` are the user's further groups:
//! exactly these, or with `append` these among others. Groups must exist when the task is
//! applied; the user's own group of the same name is made with it, or used if it is there.
//!
//! The home directory is made from `/etc/skel` unless `create_home` is false, which it is for
//! `system` users by default. When `home` changes, the old directory is not moved.
//!
//! `state: absent` leaves the home directory unless `remove` is true. Users that come from a
//! directory service (LDAP, SSSD) count as existing, but are never changed.
//!
//! There is no field for a password: people log in with keys, and daemons do not log in.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::presence::Presence;
use super::{AnyResource, Footprint, Removal, Resource};
use crate::host::{Command, Failure, FileKind, Host, HostPath};
use crate::protocol::{Drift, Output};

pub(super) mod account;

use account::{Database, Origin, check_name};

/// A user of the host itself, with its groups and home directory.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "control", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct User {
    /// The user's name.
    pub name: String,
    /// The user's number; chosen by the host unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// The primary group, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Further groups, by name; `[]` means none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<String>>,
    /// Leave the user in groups that are not in `groups`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub append: bool,
    /// The home directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<HostPath>,
    /// Whether the home directory is to exist; true unless given, false for `system` users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create_home: Option<bool>,
    /// The login shell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<HostPath>,
    /// The full name, or what the user is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Take the number from the range of system users; counts only when the user is made.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub system: bool,
    /// `present` (the default) or `absent`.
    #[serde(default)]
    pub state: Presence,
    /// With `state: absent`: remove the home directory and mail too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub remove: bool,
}

/// A user, as found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    uid: u32,
    /// By name, or the number where it has none.
    group: String,
    groups: Vec<String>,
    home: String,
    home_exists: bool,
    shell: String,
    comment: String,
    origin: Origin,
}

impl User {
    fn creates_home(&self) -> bool {
        self.create_home.unwrap_or(!self.system)
    }

    /// The declared further groups, sorted, without the primary one, which would never be
    /// listed among them.
    fn further_groups(&self, primary: &str) -> Option<Vec<&str>> {
        let mut groups: Vec<_> = self.groups.as_ref()?.iter().map(String::as_str).collect();
        groups.retain(|group| *group != primary);
        groups.sort_unstable();
        groups.dedup();
        Some(groups)
    }

    fn group_drift(&self, found: &Found) -> Option<Drift> {
        let wanted = self.further_groups(self.group.as_deref().unwrap_or(&found.group))?;
        let mut actual: Vec<_> = found.groups.iter().map(String::as_str).collect();
        actual.sort_unstable();
        let same = if self.append {
            wanted.iter().all(|group| actual.contains(group))
        } else {
            wanted == actual
        };
        (!same).then(|| Drift::update("groups", listed(&wanted), listed(&actual)))
    }

    /// Options that useradd and usermod share, for the attributes that `differ`.
    fn options(&self, differs: impl Fn(&str) -> bool) -> Vec<String> {
        let groups = self.groups.as_ref().map(|groups| groups.join(","));
        let values = [
            ("uid", "-u", self.uid.map(|uid| uid.to_string())),
            ("group", "-g", self.group.clone()),
            ("groups", "-G", groups),
            ("home", "-d", self.home.as_ref().map(ToString::to_string)),
            ("shell", "-s", self.shell.as_ref().map(ToString::to_string)),
            ("comment", "-c", self.comment.clone()),
        ];
        let differing = values
            .into_iter()
            .filter(|(attribute, ..)| differs(attribute));
        differing
            .filter_map(|(_, flag, value)| Some([flag.to_owned(), value?]))
            .flatten()
            .collect()
    }

    fn add(&self, own_group_exists: bool) -> Command {
        let mut command = Command::new(["useradd"]).args(self.options(|_| true));
        if self.group.is_none() && own_group_exists {
            // useradd would refuse to make a group that is there already.
            command = command.args(["-g", &self.name]);
        }
        if self.system {
            command = command.arg("-r");
        }
        command
            .arg(if self.creates_home() { "-m" } else { "-M" })
            .arg(&self.name)
    }

    /// `None` if nothing that usermod changes differs.
    fn modify(&self, drift: &[Drift]) -> Option<Command> {
        let options =
            self.options(|attribute| drift.iter().any(|drift| drift.attribute == attribute));
        if options.is_empty() {
            return None;
        }
        let append = (self.append && options.iter().any(|option| option == "-G")).then_some("-a");
        Some(
            Command::new(["usermod"])
                .args(append)
                .args(options)
                .arg(&self.name),
        )
    }

    fn check_groups_exist(&self, host: &Host) -> Result<(), Failure> {
        for name in self.group.iter().chain(self.groups.iter().flatten()) {
            if account::look_up(host, Database::Group, name)?.is_none() {
                return Err(Failure::Missing(format!(
                    "the group `{name}` does not exist"
                )));
            }
        }
        Ok(())
    }
}

impl Resource for User {
    const KIND: &'static str = "user";

    const EXAMPLE: &'static str = "\
- name: who deploys
  user:
    name: deploy
    uid: 1500
    group: deploy
    groups: [docker, systemd-journal]
    append: yes
    home: /home/deploy
    create_home: yes
    shell: /bin/bash
    comment: deployment by CI

- name: a user for a daemon
  user: { name: exporter, system: yes, shell: /sbin/nologin }

- name: has left
  user: { name: jdoe, state: absent, remove: yes }
";

    type Actual = Option<Found>;

    fn id(&self) -> String {
        self.name.clone()
    }

    fn validate(&self) -> Result<(), String> {
        check_name("user", &self.name)?;
        for group in self.group.iter().chain(self.groups.iter().flatten()) {
            check_name("group", group)?;
        }
        if self.append && self.groups.is_none() {
            return Err("`append` is about `groups`, which is missing".to_owned());
        }
        if self.remove && self.state == Presence::Present {
            return Err("`remove` is for `state: absent`".to_owned());
        }
        let fields = [
            ("comment", self.comment.clone()),
            ("home", self.home.as_ref().map(ToString::to_string)),
            ("shell", self.shell.as_ref().map(ToString::to_string)),
        ];
        for (field, value) in fields {
            if value
                .is_some_and(|value| value.contains(|sign: char| sign == ':' || sign.is_control()))
            {
                return Err(format!("`{field}` contains a colon or a control character"));
            }
        }
        Ok(())
    }

    fn footprint(&self) -> Option<Footprint> {
        Some(Footprint {
            absence: AnyResource::User(Self {
                name: self.name.clone(),
                uid: None,
                group: None,
                groups: None,
                append: false,
                home: None,
                create_home: None,
                shell: None,
                comment: None,
                system: false,
                state: Presence::Absent,
                remove: false,
            }),
            made_with: "state",
            removal: Removal::ByHand,
        })
    }

    fn observe(&self, host: &Host) -> Result<Option<Found>, Failure> {
        let Some(entry) = account::look_up(host, Database::Passwd, &self.name)? else {
            return Ok(None);
        };
        let groups = Database::Group.read(host)?;
        let gid = entry.number(3)?;
        let home = entry.field(5).to_owned();
        // A relative or empty home directory is one that does not exist.
        let at_home = match home.parse::<HostPath>() {
            Ok(path) => host.metadata(&path)?,
            Err(_) => None,
        };
        Ok(Some(Found {
            uid: entry.number(2)?,
            group: account::group_name(&groups, gid).unwrap_or_else(|| gid.to_string()),
            groups: account::groups_with_member(&groups, &self.name),
            home_exists: at_home
                .is_some_and(|found| matches!(found.kind, FileKind::Directory | FileKind::Link)),
            home,
            shell: entry.field(6).to_owned(),
            comment: entry.field(4).to_owned(),
            origin: entry.origin,
        }))
    }

    fn makes_directory(&self) -> Option<&Path> {
        let home = self.home.as_deref()?;
        (self.state == Presence::Present && self.creates_home()).then_some(home)
    }

    fn drift(&self, actual: &Option<Found>) -> Vec<Drift> {
        let found = match (self.state, actual) {
            (Presence::Present, None) => return vec![Drift::create("state", "present")],
            (Presence::Absent, Some(_)) => return vec![Drift::remove("state", "present")],
            (Presence::Absent, None) => return Vec::new(),
            (Presence::Present, Some(found)) => found,
        };
        let values = [
            (
                "uid",
                self.uid.map(|uid| uid.to_string()),
                found.uid.to_string(),
            ),
            ("group", self.group.clone(), found.group.clone()),
            (
                "home",
                self.home.as_ref().map(ToString::to_string),
                found.home.clone(),
            ),
            (
                "shell",
                self.shell.as_ref().map(ToString::to_string),
                found.shell.clone(),
            ),
            ("comment", self.comment.clone(), found.comment.clone()),
        ];
        let mut drift: Vec<_> = values
            .into_iter()
            .filter_map(|(attribute, wanted, actual)| Some((attribute, wanted?, actual)))
            .filter(|(_, wanted, actual)| wanted != actual)
            .map(|(attribute, wanted, actual)| Drift::update(attribute, wanted, actual))
            .collect();
        drift.extend(self.group_drift(found));
        if self.creates_home() && !found.home_exists {
            let home = self
                .home
                .as_ref()
                .map_or_else(|| found.home.clone(), ToString::to_string);
            drift.push(Drift::create("home directory", home));
        }
        drift
    }

    fn apply(&self, host: &Host, actual: &Option<Found>) -> Result<Option<Output>, Failure> {
        if self.state == Presence::Present {
            self.check_groups_exist(host)?;
        }
        let output = match (self.state, actual) {
            (Presence::Absent, None) => return Ok(None),
            (Presence::Present, None) => {
                let own_group = account::look_up(host, Database::Group, &self.name)?;
                self.add(own_group.is_some()).run().map(Some)
            }
            (
                _,
                Some(Found {
                    origin: Origin::Directory,
                    ..
                }),
            ) => {
                return Err(account::not_local("user", &self.name));
            }
            (Presence::Absent, Some(_)) => {
                let remove = self.remove.then_some("-r");
                Command::new(["userdel"])
                    .args(remove)
                    .arg(&self.name)
                    .run()
                    .map(Some)
            }
            (Presence::Present, Some(_)) => {
                let drift = self.drift(actual);
                self.modify(&drift).map(|command| command.run()).transpose()
            }
        };
        host.forget_accounts();
        let output = output?;
        // Also what a run that was killed inside useradd has left undone.
        if self.state == Presence::Present && self.creates_home() {
            let now = self.observe(host)?;
            if now.is_some_and(|found| !found.home_exists) {
                return Command::new(["mkhomedir_helper", &self.name, "0077"])
                    .run()
                    .map(Some);
            }
        }
        Ok(output)
    }
}

fn listed(groups: &[&str]) -> String {
    match groups {
        [] => "none".to_owned(),
        groups => groups.join(", "),
    }
}

#[cfg(test)]
mod tests;

//! Users and groups by name and number.
//!
//! The files come first: reading them forks nothing. `getent` is asked for what is not in them
//! (LDAP, sssd); a static binary cannot load the modules that would answer directly.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Command, Failure, Host};

/// The two name spaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Database {
    Passwd,
    Group,
}

impl Database {
    const fn name(self) -> &'static str {
        match self {
            Self::Passwd => "passwd",
            Self::Group => "group",
        }
    }

    const fn noun(self) -> &'static str {
        match self {
            Self::Passwd => "user",
            Self::Group => "group",
        }
    }
}

/// What was looked up so far. Forgotten when a kind changes accounts.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    by_name: HashMap<(Database, String), Option<u32>>,
    by_id: HashMap<(Database, u32), Option<String>>,
}

impl Accounts {
    /// The number of a user or group; a text of digits only is the number itself.
    pub(super) fn id(&mut self, database: Database, name: &str) -> Result<u32, Failure> {
        if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit()) {
            return name.parse().map_err(|_| {
                Failure::Refused(format!("`{name}` is not a {} id", database.noun()))
            });
        }
        let key = (database, name.to_owned());
        let id = if let Some(id) = self.by_name.get(&key) {
            *id
        } else {
            let id = look_up(database, name, |entry, id, _| (entry == name).then_some(id))?;
            self.by_name.insert(key, id);
            id
        };
        id.ok_or_else(|| {
            Failure::Missing(format!("the {} `{name}` does not exist", database.noun()))
        })
    }

    /// The name of a user or group; its number where it has none.
    pub(super) fn name(&mut self, database: Database, id: u32) -> Result<String, Failure> {
        let name = if let Some(name) = self.by_id.get(&(database, id)) {
            name.clone()
        } else {
            let name = line_of(database, id)?.map(|(name, _)| name);
            self.by_id.insert((database, id), name.clone());
            name
        };
        Ok(name.unwrap_or_else(|| id.to_string()))
    }
}

impl Host {
    /// A program to run as another user. Its environment has that user's `HOME`.
    ///
    /// # Errors
    /// [`Failure::Missing`] if there is no such user; [`Failure::Refused`] unless the helper
    /// is root or that user.
    pub fn as_user(&self, user: &str, argv: &[String]) -> Result<Command, Failure> {
        let uid = self.user_id(user)?;
        if rustix::process::geteuid().as_raw() == uid {
            return Ok(Command::new(argv));
        }
        if !self.is_root() {
            return Err(Failure::Refused(format!(
                "only root may run a command as `{user}`; say `become: yes`"
            )));
        }
        let (name, home) = account(uid)?;
        Ok(Command::new(["runuser", "-u", &name, "--"])
            .args(argv)
            .environment("HOME", home)
            .environment("USER", name.clone())
            .environment("LOGNAME", name))
    }
}

impl Host {
    /// The home directory of the user with this uid.
    ///
    /// # Errors
    /// [`Failure::Missing`] if there is no such user.
    pub fn home_directory(&self, uid: u32) -> Result<PathBuf, Failure> {
        let (name, home) = account(uid)?;
        if home.starts_with('/') {
            return Ok(home.into());
        }
        Err(Failure::Missing(format!(
            "the user `{name}` has no home directory"
        )))
    }
}

/// The name of a user or group, and what its line says after the number; `None` where nobody knows
/// of it or can be asked.
#[cfg(feature = "control")]
pub(crate) fn account_of(database: Database, id: u32) -> Option<(String, String)> {
    line_of(database, id).ok().flatten()
}

/// The name that a number has, and what its line says after the number.
fn line_of(database: Database, id: u32) -> Result<Option<(String, String)>, Failure> {
    look_up(database, &id.to_string(), |name, found, rest| {
        (found == id).then(|| (name.to_owned(), rest.to_owned()))
    })
}

/// Name and home directory of a user.
fn account(uid: u32) -> Result<(String, String), Failure> {
    let found = line_of(Database::Passwd, uid)?.map(|(name, rest)| {
        let home = rest.split(':').nth(2).unwrap_or("/").to_owned();
        (name, home)
    });
    found.ok_or_else(|| Failure::Missing(format!("the user with the id {uid} does not exist")))
}

fn look_up<T>(
    database: Database,
    key: &str,
    wanted: impl Fn(&str, u32, &str) -> Option<T>,
) -> Result<Option<T>, Failure> {
    let path = Path::new("/etc").join(database.name());
    let bytes = fs::read(&path).map_err(|source| Failure::io("read", &path, source))?;
    if let Some(found) = find(&String::from_utf8_lossy(&bytes), &wanted) {
        return Ok(Some(found));
    }
    if key.starts_with('-') {
        return Ok(None);
    }
    match Command::new(["getent", database.name(), key]).output() {
        Ok(output) if output.rc == 0 => Ok(find(&output.stdout, &wanted)),
        // 2: not found, as documented.
        Ok(output) if output.rc == 2 => Ok(None),
        Ok(output) => Err(Failure::Unexpected(format!(
            "`getent {} {key}` ended with status {}",
            database.name(),
            output.rc
        ))),
        Err(Failure::Missing(_)) => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// The name of a user in `/etc/passwd`, without asking further; the number where it has none.
pub(super) fn local_user(uid: u32) -> String {
    let bytes = fs::read("/etc/passwd").unwrap_or_default();
    find(&String::from_utf8_lossy(&bytes), |name, id, _| {
        (id == uid).then(|| name.to_owned())
    })
    .unwrap_or_else(|| uid.to_string())
}

/// Searches lines of `name:password:id:rest`, which is where both databases agree.
fn find<T>(text: &str, wanted: impl Fn(&str, u32, &str) -> Option<T>) -> Option<T> {
    text.lines().find_map(|line| {
        let mut fields = line.splitn(4, ':');
        let name = fields.next()?;
        let id = fields.nth(1)?.parse().ok()?;
        wanted(name, id, fields.next().unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_names_and_numbers() {
        let mut accounts = Accounts::default();
        assert_eq!(accounts.id(Database::Passwd, "root").unwrap(), 0);
        assert_eq!(accounts.id(Database::Group, "4711").unwrap(), 4711);
        assert_eq!(accounts.name(Database::Group, 0).unwrap(), "root");
        assert_eq!(accounts.name(Database::Passwd, 987_654).unwrap(), "987654");
    }

    #[test]
    fn says_what_does_not_exist() {
        let failure = Accounts::default()
            .id(Database::Group, "no-such-group")
            .unwrap_err();
        assert!(matches!(failure, Failure::Missing(_)));
        assert_eq!(
            failure.to_string(),
            "the group `no-such-group` does not exist"
        );
    }

    #[test]
    fn passes_over_lines_that_are_none() {
        let text = "# comment\n+::::::\nbad\nx:y\nuser:x:notanumber:\nreal:x:7:\n";
        assert_eq!(
            find(text, |name, id, _| (id == 7).then(|| name.to_owned())).unwrap(),
            "real"
        );
        assert_eq!(
            find(text, |name, _, _| (name == "user").then_some(())),
            None
        );
    }

    #[test]
    fn fuzz_accounts() {
        let samples = [
            "root:x:0:0:root:/root:/bin/sh\n+::::::\n",
            "wheel:x:10:a,b\n",
        ];
        crate::fuzz::feed("accounts", samples, |bytes| {
            find(&String::from_utf8_lossy(bytes), |_, id, rest| {
                (id == 47 && rest.is_empty()).then_some(())
            });
        });
    }
}

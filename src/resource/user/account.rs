//! Looking up entries of passwd and group, for the kinds `user` and `group`.

use std::path::Path;

use crate::host::{Command, Failure, Host};

/// Longer account files are none.
const LIMIT: u64 = 16 << 20;

/// Which of the two lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Database {
    /// Users.
    Passwd,
    /// Groups.
    Group,
}

/// Where an entry comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The host's own file, which useradd and the like change.
    Local,
    /// A directory service.
    Directory,
}

/// One line of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    fields: Vec<String>,
    pub(crate) origin: Origin,
}

impl Database {
    fn name(self) -> &'static str {
        match self {
            Self::Passwd => "passwd",
            Self::Group => "group",
        }
    }

    fn fields(self) -> usize {
        match self {
            Self::Passwd => 7,
            Self::Group => 4,
        }
    }

    /// The host's own file.
    pub(crate) fn read(self, host: &Host) -> Result<String, Failure> {
        let path = format!("/etc/{}", self.name());
        let bytes = host.read(Path::new(&path), LIMIT)?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

impl Entry {
    fn parse(database: Database, line: &str, origin: Origin) -> Option<Self> {
        let fields: Vec<_> = line.split(':').map(str::to_owned).collect();
        (fields.len() == database.fields()).then_some(Self { fields, origin })
    }

    /// One field, counted from 0; [`parse`](Self::parse) has seen that all are there.
    pub(crate) fn field(&self, index: usize) -> &str {
        &self.fields[index]
    }

    /// One field that is a number.
    pub(crate) fn number(&self, index: usize) -> Result<u32, Failure> {
        let field = self.field(index);
        field.parse().map_err(|_| {
            Failure::Unexpected(format!(
                "the entry of `{}` has the number `{field}`",
                self.field(0)
            ))
        })
    }
}

/// The entry of one name: from the host's own file, else from wherever nsswitch.conf leads.
pub(crate) fn look_up(
    host: &Host,
    database: Database,
    name: &str,
) -> Result<Option<Entry>, Failure> {
    if let Some(entry) = find(database, &database.read(host)?, name) {
        return Ok(Some(entry));
    }
    let command = Command::new(["getent", database.name(), name]);
    let output = command.output()?;
    match output.rc {
        0 => {
            let entry = Entry::parse(database, output.stdout.trim_end(), Origin::Directory);
            entry.map(Some).ok_or_else(|| {
                Failure::Unexpected(format!("getent printed `{}`", output.stdout.trim_end()))
            })
        }
        // "One or more supplied key could not be found", which is the only code for that.
        2 => Ok(None),
        _ => command.run().map(|_| None),
    }
}

fn find(database: Database, text: &str, name: &str) -> Option<Entry> {
    let entries = text
        .lines()
        .filter_map(|line| Entry::parse(database, line, Origin::Local));
    entries.into_iter().find(|entry| entry.field(0) == name)
}

/// Groups that list `user` as a member, in the order of the file.
pub(crate) fn groups_with_member(text: &str, user: &str) -> Vec<String> {
    text.lines()
        .filter_map(|line| Entry::parse(Database::Group, line, Origin::Local))
        .filter(|entry| entry.field(3).split(',').any(|member| member == user))
        .map(|entry| entry.field(0).to_owned())
        .collect()
}

/// The name of the group with a number, in the host's own file.
pub(crate) fn group_name(text: &str, gid: u32) -> Option<String> {
    text.lines()
        .filter_map(|line| Entry::parse(Database::Group, line, Origin::Local))
        .find(|entry| entry.field(2).parse() == Ok(gid))
        .map(|entry| entry.field(0).to_owned())
}

/// Accepts the names that useradd accepts on every distribution, and digits nowhere in front:
/// these words become arguments and lines of files.
pub(crate) fn check_name(what: &str, name: &str) -> Result<(), String> {
    let fits = |sign: char| sign.is_ascii_alphanumeric() || "_.-".contains(sign);
    let begins_well = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    if begins_well && name.len() <= 32 && name.chars().all(fits) {
        return Ok(());
    }
    Err(format!(
        "`{name}` is not the name of a {what}: up to 32 letters, digits, `_`, `.` and `-`, \
         beginning with a letter or `_`"
    ))
}

/// The refusal to change what the host does not own.
pub(crate) fn not_local(what: &str, name: &str) -> Failure {
    Failure::Refused(format!(
        "the {what} `{name}` comes from a directory service, not from this host; change it there"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: &str =
        "root:x:0:\ndocker:x:990:app,deploy\nbroken\nwheel:x:10:deploy\napp:x:1500:\n";

    #[test]
    fn finds_members_and_names() {
        assert_eq!(groups_with_member(GROUP, "deploy"), ["docker", "wheel"]);
        assert_eq!(groups_with_member(GROUP, "dep"), Vec::<String>::new());
        assert_eq!(group_name(GROUP, 1500).as_deref(), Some("app"));
        assert_eq!(group_name(GROUP, 1), None);
        let entry = find(Database::Group, GROUP, "docker").unwrap();
        assert_eq!(
            (entry.number(2).unwrap(), entry.origin),
            (990, Origin::Local)
        );
        assert_eq!(find(Database::Group, GROUP, "broken"), None);
    }

    #[test]
    fn names_are_those_of_useradd() {
        for name in ["app", "_chrony", "systemd-network", "www.data", "a"] {
            assert_eq!(check_name("user", name), Ok(()), "{name}");
        }
        let long = "a".repeat(33);
        for name in [
            "", "-r", "1app", "a:b", "a b", "a\n", "ä", "a,b", "../x", &long,
        ] {
            assert!(check_name("user", name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn tells_what_is_not_there_from_what_could_not_be_asked() {
        let directory = tempfile::tempdir().unwrap();
        let host = Host::offline(directory.path());
        assert_eq!(
            look_up(&host, Database::Passwd, "fleet-no-such").unwrap(),
            None
        );
        let root = look_up(&host, Database::Passwd, "root").unwrap().unwrap();
        assert_eq!(root.field(5), "/root");
    }

    #[test]
    fn fuzz_group_file() {
        crate::fuzz::feed("group_file", [GROUP], |bytes| {
            let text = String::from_utf8_lossy(bytes);
            groups_with_member(&text, "app");
            group_name(&text, 10);
            find(Database::Group, &text, "wheel");
            find(Database::Passwd, &text, "wheel");
        });
    }
}

//! The lists that keep yum and dnf from moving a pinned package, where their versionlock plugin
//! is installed. Without the plugin there is nothing to lock and nothing is written.

use std::path::{Path, PathBuf};

use crate::host::rpm::Nevra;
use crate::host::{Failure, Host, Permissions};

/// Longer lists are not ours to rewrite.
const LIMIT: u64 = 1 << 20;

/// Whose list it is; they write the same facts in another order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    /// `3:docker-ce-20.10.24-3.el7.x86_64`
    Yum,
    /// `docker-ce-3:20.10.24-3.el7.x86_64`
    Dnf,
}

/// The configuration of a plugin, which is there when the plugin is, and its list by default.
const PLUGINS: [(Dialect, &str, &str); 2] = [
    (
        Dialect::Yum,
        "/etc/yum/pluginconf.d/versionlock.conf",
        "/etc/yum/pluginconf.d/versionlock.list",
    ),
    (
        Dialect::Dnf,
        "/etc/dnf/plugins/versionlock.conf",
        "/etc/dnf/plugins/versionlock.list",
    ),
];

/// One plugin's list, as found.
#[derive(Clone, Debug)]
pub(super) struct LockList {
    path: PathBuf,
    dialect: Dialect,
    text: String,
}

/// Reads the lists of the plugins that are installed.
pub(super) fn lists(host: &Host) -> Result<Vec<LockList>, Failure> {
    let mut lists = Vec::new();
    for (dialect, configuration, by_default) in PLUGINS {
        let configuration = text(host, Path::new(configuration))?;
        let path = configuration
            .as_deref()
            .and_then(list_path)
            .unwrap_or(by_default.into());
        // Where dnf took yum's place, yum's directory may be a link to dnf's: one list, and dnf,
        // which reads it, decides the dialect.
        let path = host.real_path(&path).unwrap_or(path);
        lists.retain(|list: &LockList| list.path != path);
        let list = text(host, &path)?;
        if configuration.is_some() || list.is_some() {
            lists.push(LockList {
                path,
                dialect,
                text: list.unwrap_or_default(),
            });
        }
    }
    Ok(lists)
}

fn text(host: &Host, path: &Path) -> Result<Option<String>, Failure> {
    host.read(path, LIMIT)?
        .map(String::from_utf8)
        .transpose()
        .map_err(|_| Failure::Unexpected(format!("{} is not UTF-8 text", path.display())))
}

/// `locklist = PATH` of a plugin's configuration.
fn list_path(configuration: &str) -> Option<PathBuf> {
    let value = configuration.lines().find_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == "locklist").then(|| value.trim())
    })?;
    value.starts_with('/').then(|| value.into())
}

impl LockList {
    /// The entry that pins this package.
    pub(super) fn entry(&self, package: &Nevra) -> String {
        let Nevra { name, evr, arch } = package;
        let (epoch, version, release) = (evr.epoch, &evr.version, &evr.release);
        match self.dialect {
            Dialect::Yum => format!("{epoch}:{name}-{version}-{release}.{arch}"),
            Dialect::Dnf => format!("{name}-{epoch}:{version}-{release}.{arch}"),
        }
    }

    /// What is pinned of this name now.
    pub(super) fn entries(&self, name: &str) -> Vec<&str> {
        self.text
            .lines()
            .map(str::trim)
            .filter(|line| pins(line, name))
            .collect()
    }

    /// Replaces the entries of some packages; those of others, comments and order are kept.
    /// `None` takes the entries of a name out.
    pub(super) fn write(
        &self,
        host: &Host,
        wanted: &[(&str, Option<String>)],
    ) -> Result<(), Failure> {
        let text = self.updated(wanted);
        if text == self.text {
            return Ok(());
        }
        host.write(&self.path, text.as_bytes(), Permissions::default())
    }

    fn updated(&self, wanted: &[(&str, Option<String>)]) -> String {
        let kept = self
            .text
            .lines()
            .filter(|line| !wanted.iter().any(|(name, _)| pins(line.trim(), name)));
        let added = wanted.iter().filter_map(|(_, entry)| entry.as_deref());
        kept.chain(added).flat_map(|line| [line, "\n"]).collect()
    }
}

/// Whether a line pins a version of the package `name`, in either dialect and with wildcards.
/// Lines that exclude a version (`!…`) pin nothing.
fn pins(line: &str, name: &str) -> bool {
    let Some((name_version, _release_arch)) = line.rsplit_once('-') else {
        return false;
    };
    let Some((name_part, _version)) = name_version.rsplit_once('-') else {
        return false;
    };
    let pinned = match name_part.split_once(':') {
        Some((epoch, rest)) if epoch.bytes().all(|digit| digit.is_ascii_digit()) => rest,
        _ => name_part,
    };
    pinned == name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::evr::Evr;

    fn list(dialect: Dialect, text: &str) -> LockList {
        LockList {
            path: "/nowhere".into(),
            dialect,
            text: text.to_owned(),
        }
    }

    #[test]
    fn pins_in_the_words_of_each_plugin() {
        let package = Nevra {
            name: "docker-ce".to_owned(),
            evr: Evr {
                epoch: 3,
                version: "20.10.24".to_owned(),
                release: "3.el7".to_owned(),
            },
            arch: "x86_64".to_owned(),
        };
        for (dialect, entry) in [
            (Dialect::Yum, "3:docker-ce-20.10.24-3.el7.x86_64"),
            (Dialect::Dnf, "docker-ce-3:20.10.24-3.el7.x86_64"),
        ] {
            assert_eq!(list(dialect, "").entry(&package), entry);
            assert_eq!(
                list(dialect, &format!("{entry}\n")).entries("docker-ce"),
                [entry]
            );
        }
    }

    #[test]
    fn tells_packages_with_similar_names_apart() {
        let cases = [
            ("3:docker-ce-20.10.24-3.el7.*", true),
            ("docker-ce-3:20.10.24-3.el7.*", true),
            ("docker-ce-20.10.24-3.el7.x86_64", true),
            ("1:docker-ce-cli-20.10.24-3.el7.x86_64", false),
            ("!3:docker-ce-20.10.24-3.el7.x86_64", false),
            ("# docker-ce-20.10.24-3.el7", false),
            ("docker-ce", false),
            ("", false),
        ];
        for (line, expected) in cases {
            assert_eq!(pins(line, "docker-ce"), expected, "{line}");
        }
    }

    #[test]
    fn keeps_what_belongs_to_others() {
        let before = "# ours\n0:bash-4.2.46-35.el7_9.x86_64\n3:docker-ce-19.03.15-3.el7.*\n\
                      !3:docker-ce-24.0.0-1.el7.*";
        let list = list(Dialect::Yum, before);
        assert_eq!(
            list.updated(&[(
                "docker-ce",
                Some("3:docker-ce-20.10.24-3.el7.x86_64".to_owned())
            )]),
            "# ours\n0:bash-4.2.46-35.el7_9.x86_64\n!3:docker-ce-24.0.0-1.el7.*\n\
             3:docker-ce-20.10.24-3.el7.x86_64\n"
        );
        assert_eq!(
            list.updated(&[("docker-ce", None), ("bash", None)]),
            "# ours\n!3:docker-ce-24.0.0-1.el7.*\n"
        );
    }

    #[test]
    fn finds_the_list_where_the_plugin_was_told_to_keep_it() {
        let debian = "[main]\nenabled = 1\nlocklist = /etc/dnf/plugins/versionlock.list\n";
        assert_eq!(
            list_path(debian).unwrap(),
            Path::new("/etc/dnf/plugins/versionlock.list")
        );
        assert_eq!(list_path("[main]\n#locklist=/x\nlocklist=relative\n"), None);
    }
}

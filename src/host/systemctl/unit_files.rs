//! Files of units on the disk, where systemd looks for them: what it has read may be older.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

/// Where units are looked for, those first that hide others of the same name.
const DIRECTORIES: [&str; 5] = [
    "etc/systemd/system",
    "run/systemd/system",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
];

/// More links than that lead nowhere.
const LONGEST_WAY: usize = 8;

/// What is found under a unit's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum UnitFile {
    /// Its file.
    Own(PathBuf),
    /// A link to a file that is nowhere where systemd looks.
    Linked(PathBuf),
    /// A link to a unit of another name.
    Alias(String),
    /// A link to `/dev/null`, or an empty file.
    Masked {
        /// Until the next boot.
        runtime: bool,
    },
}

/// What is found below `root`: of an instance, its template's file if it has none of its own.
pub(crate) fn find(root: &Path, name: &str) -> Option<UnitFile> {
    let of = |name: &str| {
        DIRECTORIES
            .iter()
            .find_map(|directory| look(root, &root.join(directory), name))
    };
    of(name).or_else(|| of(&template(name)?))
}

fn look(root: &Path, directory: &Path, name: &str) -> Option<UnitFile> {
    let path = directory.join(name);
    let link = fs::symlink_metadata(&path).ok()?;
    let runtime = directory == root.join("run/systemd/system");
    let masked = UnitFile::Masked { runtime };
    if !link.is_symlink() {
        let is_empty = link.is_file() && link.len() == 0;
        return Some(if is_empty {
            masked
        } else {
            UnitFile::Own(path)
        });
    }
    let target = fs::read_link(&path).ok()?;
    let dev_null = Path::new("/dev/null");
    if target == dev_null || fs::canonicalize(&path).is_ok_and(|real| real == dev_null) {
        return Some(masked);
    }
    let other = target.file_name().and_then(OsStr::to_str)?;
    if other != name && Some(other.to_owned()) != template(name) {
        return Some(UnitFile::Alias(other.to_owned()));
    }
    // Written from the root that systemd will have.
    let target = match target.strip_prefix("/") {
        Ok(below) => root.join(below),
        Err(_) => directory.join(target),
    };
    let is_looked_at = |known: &&str| {
        let known = fs::canonicalize(root.join(known));
        target
            .parent()
            .and_then(|parent| fs::canonicalize(parent).ok())
            == known.ok()
    };
    Some(if DIRECTORIES.iter().any(is_looked_at) {
        UnitFile::Own(target)
    } else {
        UnitFile::Linked(target)
    })
}

/// `getty@tty1.service` is made of `getty@.service`.
fn template(name: &str) -> Option<String> {
    let (prefix, rest) = name.split_once('@')?;
    let (instance, suffix) = rest.rsplit_once('.')?;
    (!instance.is_empty()).then(|| format!("{prefix}@.{suffix}"))
}

/// Whether it is an instance of a template.
pub(super) fn is_instance(name: &str) -> bool {
    template(name).is_some()
}

/// The unit behind a name and all links to other names.
pub(crate) fn real_name(root: &Path, name: &str) -> String {
    let mut name = name.to_owned();
    for _ in 0..LONGEST_WAY {
        match find(root, &name) {
            Some(UnitFile::Alias(other)) => name = other,
            _ => break,
        }
    }
    name
}

/// The units that are enabled along with this one: `Also=` in its `[Install]` section.
pub(super) fn also(root: &Path, name: &str) -> Vec<String> {
    let Some(UnitFile::Own(path) | UnitFile::Linked(path)) = find(root, name) else {
        return Vec::new();
    };
    let text = fs::read(path).unwrap_or_default();
    also_in(&String::from_utf8_lossy(&text), name)
}

fn also_in(text: &str, name: &str) -> Vec<String> {
    let prefix = name.split(['@', '.']).next().unwrap_or_default();
    let mut also = Vec::new();
    let mut section = "";
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
        }
        let value = line.split_once('=').filter(|(key, _)| key.trim() == "Also");
        if let (Some((_, value)), "[Install]") = (value, section) {
            // An empty one takes back those before it.
            if value.trim().is_empty() {
                also.clear();
            }
            let units = value.split_whitespace();
            also.extend(units.map(|unit| unit.replace("%p", prefix).replace("%n", name)));
        }
    }
    also.retain(|unit| unit != name);
    also
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_name_leads_to_a_file_a_link_or_a_mask() {
        let base = tempfile::tempdir().unwrap();
        let root = base.path();
        let [etc, run, _, lib, _] = DIRECTORIES.map(|directory| root.join(directory));
        for directory in [&etc, &run, &lib, &root.join("srv")] {
            fs::create_dir_all(directory).unwrap();
        }
        for path in [
            lib.join("real.service"),
            lib.join("tmpl@.service"),
            lib.join("off.service"),
            etc.join("own.service"),
            root.join("srv/linked.service"),
        ] {
            fs::write(path, "[Service]\n").unwrap();
        }
        fs::write(etc.join("empty.service"), "").unwrap();
        symlink("real.service", lib.join("aka.service")).unwrap();
        symlink(
            "/usr/lib/systemd/system/aka.service",
            etc.join("aka2.service"),
        )
        .unwrap();
        symlink("/srv/linked.service", etc.join("linked.service")).unwrap();
        symlink(
            "/usr/lib/systemd/system/real.service",
            etc.join("real.service"),
        )
        .unwrap();
        symlink("/dev/null", etc.join("off.service")).unwrap();
        symlink("/dev/null", run.join("soon.service")).unwrap();
        symlink("loop2.service", etc.join("loop1.service")).unwrap();
        symlink("loop1.service", etc.join("loop2.service")).unwrap();

        let masked = |runtime| Some(UnitFile::Masked { runtime });
        for (name, expected) in [
            ("own.service", Some(UnitFile::Own(etc.join("own.service")))),
            (
                "real.service",
                Some(UnitFile::Own(lib.join("real.service"))),
            ),
            (
                "aka.service",
                Some(UnitFile::Alias("real.service".to_owned())),
            ),
            (
                "linked.service",
                Some(UnitFile::Linked(root.join("srv/linked.service"))),
            ),
            (
                "tmpl@b.service",
                Some(UnitFile::Own(lib.join("tmpl@.service"))),
            ),
            ("off.service", masked(false)),
            ("empty.service", masked(false)),
            ("soon.service", masked(true)),
            ("none.service", None),
            ("none@a.service", None),
        ] {
            assert_eq!(find(root, name), expected, "{name}");
        }
        for (name, expected) in [
            ("aka2.service", "real.service"),
            ("real.service", "real.service"),
            ("none.service", "none.service"),
        ] {
            assert_eq!(real_name(root, name), expected);
        }
        assert!(real_name(root, "loop1.service").starts_with("loop"));
    }

    #[test]
    fn what_is_enabled_along_is_read_from_its_section() {
        let text = "[Unit]\nAlso=no.service\n[Install]\n# Also=no.socket\n\
            Also = a.socket b.socket\nAlso=%p.path x.service\n[Service]\nAlso=no\n";
        assert_eq!(
            also_in(text, "x.service"),
            ["a.socket", "b.socket", "x.path"]
        );
        assert_eq!(
            also_in("[Install]\nAlso=a\nAlso=\nAlso=b\n", "x.service"),
            ["b"]
        );
        assert_eq!(
            also_in("[Install]\nWantedBy=a.target\n", "x.service"),
            [""; 0]
        );
    }
}

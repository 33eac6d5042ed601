//! What boot sets: systemd-sysctl reads `sysctl.d`, and the last word about a parameter counts.
//!
//! A pattern (`net.ipv4.conf.*.rp_filter`) never overrules a line for the parameter itself, and
//! systemd 219 knows none: so patterns are passed over, and a parameter that only a pattern sets
//! gets a line of its own.

use std::path::{Path, PathBuf};

use crate::host::config_dirs::{ConfigFile, is_read, real_path};

/// Directories whose `*.conf` outlive a reboot, those first that hide files of the same name.
pub(super) const DIRECTORIES: [&str; 5] = [
    "/etc/sysctl.d",
    "/run/sysctl.d",
    "/usr/local/lib/sysctl.d",
    "/usr/lib/sysctl.d",
    "/lib/sysctl.d",
];

/// Read where something in `sysctl.d` links to it, which is so on some distributions.
pub(super) const LINKED: &str = "/etc/sysctl.conf";

/// Says which value a file sets; `None` that the parameter is not to be set.
pub(super) type Word = (PathBuf, Option<String>);

/// What other files mean for the line in the task's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Boot {
    /// The last word of a file that overrules the task's own.
    pub later: Option<Word>,
    /// Why boot does not read the task's own file, if it does not.
    pub unread: Option<String>,
}

impl Boot {
    /// `files` are those that boot reads, in their order; `own` need not be one of them yet.
    pub(super) fn of(files: &[ConfigFile], own: &Path, path: &str) -> Self {
        let last_word = |files: &[ConfigFile]| {
            let word = |file: &ConfigFile| Some((file.path.clone(), value_in(&file.text, path)?));
            files.iter().rev().find_map(word)
        };
        let real = real_path(own);
        if let Some(at) = files.iter().rposition(|file| file.real == real) {
            return Self {
                later: last_word(&files[at + 1..]),
                unread: None,
            };
        }
        let rank = |path: &Path| {
            let directory = path.parent()?;
            DIRECTORIES
                .iter()
                .position(|known| directory == Path::new(known))
        };
        let is_same_name = |file: &&ConfigFile| file.path.file_name() == own.file_name();
        let unread = match (rank(own), files.iter().find(is_same_name)) {
            (Some(_), _) if !is_read(own) => Some("its name does not end in `.conf`".to_owned()),
            (Some(own), Some(other)) if rank(&other.path) < Some(own) => Some(format!(
                "{} hides it, by the same name",
                other.path.display()
            )),
            (Some(_), _) => None,
            (None, _) => Some("nothing in /etc/sysctl.d links to it".to_owned()),
        };
        let after = if unread.is_none() {
            let after = files.partition_point(|file| file.path.file_name() <= own.file_name());
            &files[after..]
        } else {
            // Whatever any file says is what boot does.
            files
        };
        Self {
            later: last_word(after),
            unread,
        }
    }
}

/// The path below `/proc/sys`.
pub(super) fn key_path(name: &str) -> String {
    let path = with_slashes(name);
    let parts = path.split('/').filter(|part| !matches!(*part, "" | "."));
    parts.collect::<Vec<_>>().join("/")
}

/// By the rule of sysctl.d(5): the first separator in the name is the separator, and the other sign
/// stands for itself.
pub(super) fn with_slashes(name: &str) -> String {
    match name.find(['.', '/']).map(|first| name.as_bytes()[first]) {
        Some(b'.') => name
            .chars()
            .map(|sign| match sign {
                '.' => '/',
                '/' => '.',
                other => other,
            })
            .collect(),
        _ => name.to_owned(),
    }
}

pub(super) fn one_line(value: &str) -> String {
    value.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The parameter (as a path) and the value of one line. A leading `-` means that errors are to be
/// ignored, and without a value that the parameter is not to be set.
fn assignment(line: &[u8]) -> Option<(String, Option<String>)> {
    let line = String::from_utf8_lossy(line.trim_ascii());
    if line.starts_with(['#', ';']) {
        return None;
    }
    let of = |key: &str| key_path(key.trim_ascii());
    match line.split_once('=') {
        Some((key, value)) => {
            let key = key.strip_prefix('-').unwrap_or(key);
            Some((of(key), Some(one_line(value))))
        }
        None => line.strip_prefix('-').map(|key| (of(key), None)),
    }
}

/// Whether a line is about the parameter.
pub(super) fn is_about(line: &[u8], path: &str) -> bool {
    assignment(line).is_some_and(|(key, _)| key == path)
}

/// The last word of a text about the parameter.
#[expect(
    clippy::option_option,
    reason = "nothing said, and said not to be set, are two things"
)]
pub(super) fn value_in(text: &[u8], path: &str) -> Option<Option<String>> {
    let lines = text.split(|byte| *byte == b'\n');
    let (_, value) = lines.filter_map(assignment).rfind(|(key, _)| key == path)?;
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> ConfigFile {
        ConfigFile {
            path: path.into(),
            real: path.into(),
            text: text.as_bytes().to_vec(),
        }
    }

    fn word(path: &str, value: &str) -> Word {
        (path.into(), Some(value.to_owned()))
    }

    #[test]
    fn lines_are_read_as_systemd_reads_them() {
        for (line, expected) in [
            ("vm.swappiness=1", Some(Some("1"))),
            (" -vm/swappiness = 1\r", Some(Some("1"))),
            ("/vm//swappiness = 1", Some(Some("1"))),
            (
                "vm.swappiness = 1 # no comment",
                Some(Some("1 # no comment")),
            ),
            ("-vm.swappiness", Some(None)),
            ("vm.swappiness", None),
            ("# vm.swappiness = 1", None),
            ("; vm.swappiness = 1", None),
            ("\u{feff}vm.swappiness = 1", None),
            ("vm.* = 1", None),
        ] {
            let found = value_in(line.as_bytes(), "vm/swappiness");
            let expected = expected.map(|value| value.map(str::to_owned));
            assert_eq!(found, expected, "{line}");
        }
    }

    #[test]
    fn a_file_read_later_overrules() {
        let default = file("/usr/lib/sysctl.d/50-default.conf", "vm.swappiness = 30");
        let own = file("/etc/sysctl.d/90-own.conf", "vm.swappiness = 10");
        let last = file("/etc/sysctl.d/99-last.conf", "#\nvm.swappiness=60");
        let excluding = file("/etc/sysctl.d/99-last.conf", "-vm.swappiness");
        let of = |files: &[&ConfigFile]| {
            let files: Vec<_> = files.iter().copied().cloned().collect();
            Boot::of(
                &files,
                Path::new("/etc/sysctl.d/90-own.conf"),
                "vm/swappiness",
            )
        };
        assert_eq!(of(&[&default, &own]), Boot::default());
        // Not there yet, but its place in the order is known.
        assert_eq!(of(&[&default]), Boot::default());
        for files in [&[&default, &own, &last][..], &[&last]] {
            let word = word("/etc/sysctl.d/99-last.conf", "60");
            assert_eq!(of(files).later, Some(word));
        }
        let word = Some((excluding.path.clone(), None));
        assert_eq!(of(&[&own, &excluding]).later, word);
    }

    #[test]
    fn a_file_that_boot_does_not_read_decides_nothing() {
        let other = file("/etc/sysctl.d/97-other.conf", "vm.swappiness = 111");
        let linked = ConfigFile {
            real: LINKED.into(),
            ..file("/etc/sysctl.d/99-sysctl.conf", "vm.swappiness = 10")
        };
        let of = |files: &[ConfigFile], own: &str| Boot::of(files, Path::new(own), "vm/swappiness");
        // By the name of the link, not by its own.
        assert_eq!(of(&[other.clone(), linked], LINKED), Boot::default());
        let alone = of(std::slice::from_ref(&other), LINKED);
        assert_eq!(
            alone.later,
            Some(word("/etc/sysctl.d/97-other.conf", "111"))
        );
        assert!(alone.unread.unwrap().contains("links to it"));

        let hidden = of(
            std::slice::from_ref(&other),
            "/usr/lib/sysctl.d/97-other.conf",
        );
        let why = "/etc/sysctl.d/97-other.conf hides it, by the same name";
        assert_eq!(hidden.unread.as_deref(), Some(why));
        let hiding = file("/usr/lib/sysctl.d/97-other.conf", "vm.swappiness = 1");
        assert_eq!(
            of(&[hiding], "/etc/sysctl.d/97-other.conf"),
            Boot::default()
        );
        assert!(of(&[], "/etc/sysctl.d/95-mine").unread.is_some());
        assert!(of(&[], "/etc/mine.conf").unread.is_some());
    }

    #[test]
    fn fuzz_sysctl_d() {
        let sample =
            "# comment\n-net.ipv4.ip_forward = 1\n; x\nnet/ipv4/conf/eth0.1/rp_filter=0\r\n";
        crate::fuzz::feed("sysctl_d", [sample], |bytes| {
            value_in(bytes, "net/ipv4/ip_forward");
            for line in bytes.split(|byte| *byte == b'\n') {
                is_about(line, "net/ipv4/ip_forward");
            }
        });
    }
}

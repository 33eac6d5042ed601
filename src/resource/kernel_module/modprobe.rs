//! What `modprobe.d` says about a module, in the order in which modprobe reads it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::host::config_dirs::ConfigFile;

/// Programs that stand for "never" in an `install` line.
const NOTHING: [&str; 6] = [
    "/bin/true",
    "/bin/false",
    "/usr/bin/true",
    "/usr/bin/false",
    "/sbin/nologin",
    "/usr/sbin/nologin",
];

/// What keeps a module out or gives it parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// Boot does not load it: `blacklist NAME`, in this file.
    pub blacklisted: Option<PathBuf>,
    /// Nobody loads it by its name: this file, and the line.
    pub never: Option<(PathBuf, String)>,
    /// The last value of each parameter, and the file that gives it.
    pub parameters: BTreeMap<String, (String, PathBuf)>,
}

/// Reads all files; `name` is as the kernel writes it.
pub(super) fn read(files: &[ConfigFile], name: &str) -> Said {
    let mut said = Said::default();
    for file in files {
        for line in logical_lines(&file.text) {
            match words(&line, name) {
                Some(("blacklist", _)) => said.blacklisted = Some(file.path.clone()),
                Some(("install", rest)) if NOTHING.contains(&rest.first().map_or("", |w| w)) => {
                    said.never = Some((file.path.clone(), line));
                }
                Some(("options", rest)) => {
                    for word in rest {
                        let (parameter, value) = word.split_once('=').unwrap_or((word, ""));
                        let value = (value.to_owned(), file.path.clone());
                        said.parameters.insert(kernel_name(parameter), value);
                    }
                }
                _ => {}
            }
        }
    }
    said
}

/// `-` and `_` mean the same in names of modules and parameters.
pub(super) fn kernel_name(name: &str) -> String {
    name.replace('-', "_")
}

/// Whether a line gives parameters to the module.
pub(super) fn is_options_of(line: &[u8], name: &str) -> bool {
    matches!(
        words(&String::from_utf8_lossy(line), name),
        Some(("options", _))
    )
}

/// The command of a line about the module, and what follows the name.
fn words<'l>(line: &'l str, name: &str) -> Option<(&'l str, Vec<&'l str>)> {
    let mut words = line.split_ascii_whitespace();
    let (command, module) = (words.next()?, words.next()?);
    (kernel_name(module) == name).then(|| (command, words.collect()))
}

/// Lines, with those joined that end in a backslash.
fn logical_lines(text: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(text);
    let mut lines = Vec::new();
    let mut joined = String::new();
    for line in text.lines() {
        if let Some(part) = line.strip_suffix('\\') {
            joined.push_str(part);
        } else {
            joined.push_str(line);
            lines.push(std::mem::take(&mut joined).trim().to_owned());
        }
    }
    lines.push(joined);
    lines
}

/// What the running kernel's directory of modules says of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// There is a module of that name.
    Module,
    /// It is another name of this module.
    Alias(String),
    Unknown,
}

/// `dependencies` is `modules.dep`, `aliases` is `modules.alias`.
pub(super) fn look_up(dependencies: &str, aliases: &str, name: &str) -> Known {
    let modules = dependencies
        .lines()
        .filter_map(|line| line.split(':').next());
    if modules.filter_map(module_of).any(|module| module == name) {
        return Known::Module;
    }
    let alias = aliases.lines().find_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let is_meant = words.next() == Some("alias")
            && words.next().is_some_and(|alias| kernel_name(alias) == name);
        words.next().filter(|_| is_meant)
    });
    alias.map_or(Known::Unknown, |module| Known::Alias(module.to_owned()))
}

/// The module in a file like `kernel/net/ipv4/tcp_bbr.ko.xz`.
pub(super) fn module_of(path: &str) -> Option<String> {
    let file = Path::new(path).file_name()?.to_str()?;
    let (module, _) = file.split_once(".ko")?;
    Some(kernel_name(module))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> ConfigFile {
        ConfigFile {
            path: path.into(),
            text: text.as_bytes().to_vec(),
            ..ConfigFile::default()
        }
    }

    #[test]
    fn reads_what_modprobe_would_do() {
        let said = read(
            &[
                file(
                    "/a.conf",
                    "options dm-thin-pool a=1 b=2\n#blacklist dm_thin_pool\n",
                ),
                file(
                    "/b.conf",
                    "options dm_thin_pool \\\n  b=3\r\ninstall dm-thin-pool /bin/true # no\n",
                ),
                file(
                    "/c.conf",
                    "blacklist dm-thin-pool\ninstall other /bin/false\nblacklist dm\n",
                ),
            ],
            "dm_thin_pool",
        );
        assert_eq!(said.blacklisted.as_deref(), Some(Path::new("/c.conf")));
        let (never, line) = said.never.unwrap();
        assert_eq!(never, Path::new("/b.conf"));
        assert_eq!(line, "install dm-thin-pool /bin/true # no");
        let parameters: Vec<_> = said
            .parameters
            .iter()
            .map(|(name, (value, file))| format!("{name}={value} {}", file.display()))
            .collect();
        assert_eq!(parameters, ["a=1 /a.conf", "b=3 /b.conf"]);
        let own = "install dm-thin-pool /sbin/modprobe --ignore-install dm-thin-pool";
        assert_eq!(
            read(&[file("/a.conf", own)], "dm_thin_pool"),
            Said::default()
        );
    }

    #[test]
    fn a_name_is_that_of_a_module_or_an_alias() {
        let dependencies = "kernel/drivers/md/dm-thin-pool.ko.xz: kernel/drivers/md/dm-mod.ko.xz\n\
                            kernel/drivers/net/dummy.ko:\n";
        let aliases = "# Aliases\nalias net-pf-10 ipv6\nalias pci:v*d* e1000\n";
        for (name, expected) in [
            ("dm_thin_pool", Known::Module),
            ("dummy", Known::Module),
            ("dm_mod", Known::Unknown),
            ("net_pf_10", Known::Alias("ipv6".to_owned())),
            ("dumm", Known::Unknown),
        ] {
            assert_eq!(look_up(dependencies, aliases, name), expected, "{name}");
        }
    }

    #[test]
    fn fuzz_modprobe_d() {
        let sample = "options loop max_loop=8\\\n max_part=1\nblacklist x\ninstall y /bin/true\nalias a* b\n";
        let dependencies = "kernel/fs/fuse.ko.xz: kernel/a.ko\n";
        crate::fuzz::feed("modprobe_d", [sample, dependencies], |bytes| {
            let text = String::from_utf8_lossy(bytes);
            read(&[file("/etc/modprobe.d/x.conf", &text)], "loop");
            look_up(&text, &text, "fuse");
            module_of(&text);
        });
    }
}

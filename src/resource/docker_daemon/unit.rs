//! How systemd starts dockerd: the unit's files laid over each other, and the flags that result.
//!
//! Worked out from the texts, not asked from systemd: the question is what will hold once the
//! declared drop-ins are in place.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Map, Value};

use super::flags::{self, Flag};
use super::keys::KEYS;

/// One file of the unit.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    pub(super) path: PathBuf,
    pub(super) text: String,
    /// Whether it is as somebody declared.
    pub(super) is_declared: bool,
}

/// What the unit's files say in the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Effective {
    /// The command that starts dockerd, variables filled in.
    pub(super) argv: Vec<String>,
    /// Files of variables that the unit reads.
    pub(super) environment_files: Vec<PathBuf>,
    /// The variables that dockerd gets.
    pub(super) environment: BTreeMap<String, String>,
}

/// Lays unit files over each other, in the order systemd reads them. `read` gives the text of a
/// file of variables.
pub(super) fn effective<'a>(
    texts: impl IntoIterator<Item = &'a str>,
    read: impl Fn(&str) -> Option<String>,
) -> Effective {
    let mut command = String::new();
    let mut files: Vec<PathBuf> = Vec::new();
    let mut variables = BTreeMap::new();
    for text in texts {
        for (name, value) in service_settings(text) {
            match (name.as_str(), value.as_str()) {
                ("ExecStart", _) => command = value,
                ("EnvironmentFile", "") => files.clear(),
                ("EnvironmentFile", path) => files.push(path.trim_start_matches('-').into()),
                ("Environment", "") => variables.clear(),
                ("Environment", words) => {
                    for word in shlex::split(words).unwrap_or_default() {
                        if let Some((name, value)) = word.split_once('=') {
                            variables.insert(name.to_owned(), value.to_owned());
                        }
                    }
                }
                _ => {}
            }
        }
    }
    for file in &files {
        let text = file.to_str().and_then(&read).unwrap_or_default();
        variables.extend(assignments(&text));
    }
    let path = command.trim_start_matches(['-', '@', ':', '+', '!']);
    // Unbalanced quotes: systemd will say so itself.
    let mut words = shlex::split(path).unwrap_or_default();
    let begin = &command[..command.len() - path.len()];
    if begin.contains('@') && words.len() > 1 {
        // The name that the program gets to see is none of its flags.
        words.remove(1);
    }
    Effective {
        argv: words
            .iter()
            .flat_map(|word| filled_in(word, &variables))
            .collect(),
        environment_files: files,
        environment: variables,
    }
}

/// The settings of the section `[Service]`, in order.
fn service_settings(text: &str) -> Vec<(String, String)> {
    let mut settings = Vec::new();
    let mut in_service = false;
    for line in logical_lines(text) {
        let line = line.trim();
        if line.starts_with('[') {
            in_service = line == "[Service]";
        } else if in_service && let Some((name, value)) = line.split_once('=') {
            settings.push((name.trim_end().to_owned(), value.trim_start().to_owned()));
        }
    }
    settings
}

/// Lines without comments, those that end in a backslash joined with the next.
fn logical_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut open = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with(['#', ';']) {
            continue;
        }
        if let Some(begun) = line.strip_suffix('\\') {
            open.push_str(begun);
            open.push(' ');
        } else {
            open.push_str(line);
            lines.push(std::mem::take(&mut open));
        }
    }
    lines.push(open);
    lines
}

/// `NAME=value` lines, quotes around a value taken off.
fn assignments(text: &str) -> Vec<(String, String)> {
    let unquoted = |value: &str| {
        ['"', '\'']
            .iter()
            .find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote))
            .unwrap_or(value)
            .to_owned()
    };
    logical_lines(text)
        .iter()
        .filter_map(|line| line.trim().split_once('='))
        .map(|(name, value)| (name.trim().to_owned(), unquoted(value.trim())))
        .collect()
}

/// `$NAME` alone becomes the words of the variable, `${NAME}` its text, as systemd does it.
fn filled_in(word: &str, variables: &BTreeMap<String, String>) -> Vec<String> {
    let value = |name: &str| variables.get(name).map_or("", String::as_str);
    if let Some(name) = word.strip_prefix('$')
        && !name.starts_with(['{', '$'])
    {
        return shlex::split(value(name)).unwrap_or_default();
    }
    let mut text = String::new();
    let mut rest = word;
    while let Some((before, after)) = rest.split_once("${") {
        text.push_str(before);
        let Some((name, behind)) = after.split_once('}') else {
            rest = after;
            break;
        };
        text.push_str(value(name));
        rest = behind;
    }
    text.push_str(rest);
    vec![text]
}

impl Effective {
    /// The path of the program; `dockerd` where the unit says none.
    pub(super) fn program(&self) -> &str {
        self.argv.first().map_or("dockerd", String::as_str)
    }

    /// The flags that dockerd gets.
    pub(super) fn flags(&self) -> Vec<Flag> {
        flags::parse(self.argv.get(1..).unwrap_or_default())
    }

    /// Why dockerd would not start with `config`, or would not read it, for each reason.
    pub(super) fn conflicts(&self, config: &Map<String, Value>) -> Vec<String> {
        let flags = self.flags();
        let mut conflicts = Vec::new();
        for key in KEYS.iter().filter(|key| config.contains_key(key.name)) {
            let names: &[&str] = match key.name {
                // Its entries count by themselves.
                "proxies" => &["http-proxy", "https-proxy", "no-proxy"],
                _ => &[key.flag],
            };
            let (taken, kept): (Vec<_>, Vec<_>) = flags
                .iter()
                .partition(|flag| names.contains(&flag.name.as_str()));
            if taken.is_empty() {
                continue;
            }
            let words = |flags: Vec<&Flag>| {
                let words: Vec<_> = flags.into_iter().map(Flag::written).collect();
                words.join(" ")
            };
            let without = format!("{} {}", self.program(), words(kept));
            conflicts.push(format!(
                "`{}` is also a flag of the unit docker.service (`{}`), and dockerd does not start \
                 with both; leave it out of `config`, or clear the flag by a file in `drop_ins`:\
                 \n    [Service]\n    ExecStart=\n    ExecStart={}",
                key.name,
                words(taken),
                without.trim_end()
            ));
        }
        for flag in &flags {
            let is_usual = flag.value.as_deref() == Some("/etc/docker/daemon.json");
            if flag.name == "config-file" && !is_usual {
                conflicts.push(format!(
                    "the unit docker.service starts dockerd with `{}`, \
                     so it does not read /etc/docker/daemon.json",
                    flag.written()
                ));
            }
        }
        conflicts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIT: &str = "[Unit]\nDescription=ExecStart=no\n[Service]\nType=notify\n# ExecStart=/no\n\
        ExecStart=/usr/bin/dockerd -H fd:// \\\n  --containerd=/run/containerd/containerd.sock\n\
        [Install]\nWantedBy=multi-user.target\n";

    fn conflicts(texts: &[&str], config: &str) -> Vec<String> {
        effective(texts.iter().copied(), |_| None).conflicts(&serde_json::from_str(config).unwrap())
    }

    #[test]
    fn a_key_that_is_also_a_flag_is_found_and_the_way_out_shown() {
        assert_eq!(
            conflicts(
                &[UNIT],
                r#"{"hosts": ["tcp://0.0.0.0:2376"], "debug": true}"#
            ),
            [
                "`hosts` is also a flag of the unit docker.service (`-H fd://`), and dockerd does not \
              start with both; leave it out of `config`, or clear the flag by a file in `drop_ins`:\
              \n    [Service]\n    ExecStart=\n    \
              ExecStart=/usr/bin/dockerd --containerd=/run/containerd/containerd.sock"
            ]
        );
        let cleared = "[Service]\nExecStart=\nExecStart=/usr/bin/dockerd\n";
        assert!(conflicts(&[UNIT, cleared], r#"{"hosts": [], "containerd": "x"}"#).is_empty());
    }

    #[test]
    fn flags_are_recognized_however_they_are_written() {
        for (flags, key) in [
            ("--log-opt max-size=1m", "log-opts"),
            ("--log-opt=max-size=1m", "log-opts"),
            ("--insecure-registry x", "insecure-registries"),
            ("-D", "debug"),
            ("-s overlay2", "storage-driver"),
            ("--live-restore", "live-restore"),
            ("--add-runtime a=b", "runtimes"),
            ("--http-proxy=http://p", "proxies"),
        ] {
            let unit = format!("[Service]\nExecStart=/usr/bin/dockerd {flags}\n");
            let found = conflicts(&[&unit], &format!(r#"{{"{key}": null}}"#));
            assert!(
                found.len() == 1 && found[0].contains(flags),
                "{flags}: {found:?}"
            );
        }
        assert!(conflicts(&[UNIT], r#"{"host-gateway-ip": "10.0.0.1"}"#).is_empty());
    }

    #[test]
    fn variables_from_files_count_as_the_flags_they_become() {
        let unit = "[Service]\nEnvironmentFile=-/etc/sysconfig/docker\nEnvironmentFile=/etc/x\n\
            ExecStart=/usr/bin/dockerd-current --data-root=${ROOT} $OPTIONS\n";
        let read = |path: &str| match path {
            "/etc/sysconfig/docker" => {
                Some("# x\nOPTIONS='--selinux-enabled --log-driver=journald'\n".to_owned())
            }
            _ => Some("ROOT=/srv/docker\n".to_owned()),
        };
        let effective = effective([unit], read);
        assert_eq!(
            effective.argv,
            [
                "/usr/bin/dockerd-current",
                "--data-root=/srv/docker",
                "--selinux-enabled",
                "--log-driver=journald"
            ]
        );
        let config = serde_json::from_str(r#"{"log-driver": "json-file"}"#).unwrap();
        assert_eq!(effective.conflicts(&config).len(), 1);
        assert_eq!(effective.environment_files.len(), 2);
    }

    #[test]
    fn another_configuration_file_is_told() {
        let unit =
            |path: &str| format!("[Service]\nExecStart=/usr/bin/dockerd --config-file {path}\n");
        let found = conflicts(&[&unit("/srv/d.json")], "{}");
        assert!(
            found[0].contains("`--config-file /srv/d.json`"),
            "{found:?}"
        );
        assert!(conflicts(&[&unit("/etc/docker/daemon.json")], "{}").is_empty());
    }
}

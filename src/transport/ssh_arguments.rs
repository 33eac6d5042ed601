//! `ansible_ssh_common_args`: which options of `ssh` a user may set, and which fleet must own.
//!
//! The words go to `ssh` as they are, so everything OpenSSH knows works the way its manual says.
//! What would break the connection fleet needs, or let in a host whose key nobody enrolled, is
//! refused with the way out instead of being overruled in silence; also where it stands in the file
//! of `-F` or in the `ssh` of a `ProxyCommand`.

use std::path::Path;

use crate::trust;

/// Options for `ssh` from the inventory, checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SshArguments {
    /// Words for ssh, before the destination. `-F` is not among them.
    pub(super) words: Vec<String>,
    /// From `-F`: replaces the user's `ssh_config`.
    pub(super) config: Option<String>,
    /// Files of known keys that were named.
    known_hosts: Vec<String>,
}

/// Options of one letter that take a value and are the user's to set.
const WITH_VALUE: &str = "oFJpilbBcmI";

/// Options of one letter without a value that are the user's to set.
const WITHOUT_VALUE: &str = "46AaCkKxX";

/// What fleet sets itself: multiplexing, no prompts, no terminal, one command.
const OWNED: &[&str] = &[
    "batchmode",
    "controlmaster",
    "controlpath",
    "controlpersist",
    "escapechar",
    "forkafterauthentication",
    "localcommand",
    "loglevel",
    "logverbose",
    "permitlocalcommand",
    "remotecommand",
    "requesttty",
    "sessiontype",
    "stdinnull",
];

/// How to make a host known: what every refusal ends with.
const ENROLL: &str = "add the hosts' keys to known_hosts instead (`ssh-keyscan HOST`, compared with \
    `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on the host)";

impl SshArguments {
    /// Checks the words of `ansible_ssh_common_args`, already split as a shell would.
    ///
    /// # Errors
    /// The sentence to show: which word, why not, and what to do instead.
    pub fn parse(words: &[String]) -> Result<Self, String> {
        let mut parsed = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let Some(mut letters) = word.strip_prefix('-').filter(|rest| !rest.is_empty()) else {
                return Err(format!("`{word}` is no option of ssh"));
            };
            while let Some(letter) = letters.chars().next() {
                letters = &letters[letter.len_utf8()..];
                if WITHOUT_VALUE.contains(letter) {
                    parsed.words.push(format!("-{letter}"));
                    continue;
                }
                if !WITH_VALUE.contains(letter) {
                    return Err(format!(
                        "`-{letter}` cannot be used here: `-o`, `-F`, `-J`, `-p`, `-i`, `-l` and a \
                         few more can; write others as `-o Name=value`"
                    ));
                }
                let value = match letters {
                    "" => words
                        .next()
                        .ok_or_else(|| format!("`-{letter}` lacks its value"))?,
                    attached => attached,
                };
                parsed.option(letter, value)?;
                break;
            }
        }
        Ok(parsed)
    }

    /// Looks into the files that are named: the configuration may run programs, and known keys
    /// decide who is let in.
    ///
    /// # Errors
    /// The sentence to show, as for [`parse`](Self::parse).
    pub fn check_files(&self) -> Result<(), String> {
        let home = std::env::home_dir().unwrap_or_default();
        let place = |name: &str| match name.strip_prefix("~/") {
            Some(rest) => home.join(rest),
            None => Path::new(name).to_owned(),
        };
        for name in self.config.iter().chain(&self.known_hosts) {
            trust::check(&place(name))
                .map_err(|distrust| format!("`{name}`: {distrust}; {}", distrust.help))?;
        }
        let Some(name) = self.config.as_ref().filter(|name| *name != "none") else {
            return Ok(());
        };
        // What cannot be read is ssh's to complain about.
        let text = std::fs::read_to_string(place(name)).unwrap_or_default();
        for (number, line) in text.lines().enumerate() {
            let Some((keyword, value)) = split(line.trim()) else {
                continue;
            };
            if let Some(reason) = weakness(keyword, value) {
                let number = number + 1;
                return Err(format!("line {number} of `{name}`: {reason}; {ENROLL}"));
            }
        }
        Ok(())
    }

    fn option(&mut self, letter: char, value: &str) -> Result<(), String> {
        if value.chars().any(char::is_control) {
            return Err(format!(
                "the value of `-{letter}` contains a control character"
            ));
        }
        match letter {
            'F' => self.config = Some(value.to_owned()),
            'o' => self.keyword(value)?,
            _ => self.words.extend([format!("-{letter}"), value.to_owned()]),
        }
        Ok(())
    }

    /// One `-o Name=value` or `-o 'Name value'`.
    fn keyword(&mut self, option: &str) -> Result<(), String> {
        let (name, value) = split(option.trim())
            .ok_or_else(|| format!("`-o {option}` lacks a value: write `-o Name=value`"))?;
        if !name.chars().all(|letter| letter.is_ascii_alphanumeric()) {
            return Err(format!("`{name}` is no name of an option for `-o`"));
        }
        let lower = name.to_ascii_lowercase();
        if OWNED.contains(&lower.as_str()) {
            return Err(format!(
                "`-o {name}` cannot be set: fleet sets it itself; remove it"
            ));
        }
        if let Some(reason) = weakness(name, value) {
            return Err(format!("{reason}; {ENROLL}"));
        }
        match lower.as_str() {
            // fleet says `yes` before it.
            "stricthostkeychecking" => return Ok(()),
            "userknownhostsfile" | "globalknownhostsfile" => {
                let files = words(value).map(str::to_owned);
                self.known_hosts
                    .extend(files.filter(|file| !file.starts_with("/dev/")));
            }
            _ => {}
        }
        self.words.extend(["-o".to_owned(), option.to_owned()]);
        Ok(())
    }
}

/// Name and value, as ssh divides them.
fn split(option: &str) -> Option<(&str, &str)> {
    let (name, value) =
        option.split_once(|letter: char| letter == '=' || letter.is_whitespace())?;
    let value = value.trim_start_matches(|letter: char| letter == '=' || letter.is_whitespace());
    Some((name, value.trim()))
}

/// The words of a value, without quotes.
fn words(value: &str) -> impl Iterator<Item = &str> {
    value
        .split(|letter: char| letter.is_whitespace() || "\"'".contains(letter))
        .filter(|word| !word.is_empty())
}

/// How an option would let in a host whose key nobody enrolled; `None` if it would not.
fn weakness(name: &str, value: &str) -> Option<String> {
    let lower = name.to_ascii_lowercase();
    let first = words(value).next().unwrap_or_default().to_ascii_lowercase();
    let is = |values: &[&str]| values.contains(&first.as_str());
    let why = match lower.as_str() {
        "stricthostkeychecking" if !is(&["yes", "true", "ask"]) => {
            "it would accept a key that nobody has compared"
        }
        "userknownhostsfile" if words(value).any(|file| file == "none" || is_no_file(file)) => {
            "no key is known there"
        }
        "nohostauthenticationforlocalhost" if !is(&["no", "false"]) => {
            "it would accept any key of this machine's ports"
        }
        "checkhostip" if !is(&["yes", "true"]) => {
            "it would overlook a key recorded for the address"
        }
        "verifyhostkeydns" if !is(&["no", "false"]) => "it would accept a key that DNS names",
        "knownhostscommand" if !is(&["none"]) => "a program would say which keys are known",
        "revokedhostkeys" if first == "none" || is_no_file(&first) => {
            "it would accept a key that was revoked"
        }
        "proxycommand" => return weakness_of_command(value),
        _ => return None,
    };
    Some(format!("`{name}={value}` is refused: {why}"))
}

fn is_no_file(name: &str) -> bool {
    name.starts_with("/dev/") || name.starts_with("/proc/")
}

/// The same for the options of an `ssh` that a `ProxyCommand` runs.
fn weakness_of_command(command: &str) -> Option<String> {
    let all: Vec<&str> = words(command).collect();
    all.iter().enumerate().find_map(|(at, word)| {
        let option = word.strip_prefix("-o").unwrap_or(word);
        let (name, value) = match option.split_once('=') {
            Some((name, "")) => (name, *all.get(at + 1)?),
            Some(pair) => pair,
            None => (option, *all.get(at + 1)?),
        };
        let inner = !name.eq_ignore_ascii_case("proxycommand");
        let reason = inner.then(|| weakness(name, value))??;
        Some(format!("in `ProxyCommand`, {reason}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<SshArguments, String> {
        SshArguments::parse(&shlex::split(text).unwrap())
    }

    #[test]
    fn options_reach_ssh_in_the_order_written() {
        let parsed =
            parse("-o ProxyCommand='nc -X 5 %h %p' -J me@bastion:2222 -4Ci key -p22").unwrap();
        assert_eq!(
            parsed.words,
            [
                "-o",
                "ProxyCommand=nc -X 5 %h %p",
                "-J",
                "me@bastion:2222",
                "-4",
                "-C",
                "-i",
                "key",
                "-p",
                "22"
            ]
        );
    }

    #[test]
    fn a_configuration_file_is_kept_apart() {
        let parsed = parse("-F /etc/fleet/ssh_config -oUser=deploy").unwrap();
        assert_eq!(parsed.config.as_deref(), Some("/etc/fleet/ssh_config"));
        assert_eq!(parsed.words, ["-o", "User=deploy"]);
    }

    #[test]
    fn no_option_lets_in_a_host_whose_key_nobody_enrolled() {
        for option in [
            "StrictHostKeyChecking=accept-new",
            "stricthostkeychecking accept-new",
            "StrictHostKeyChecking=no",
            "StrictHostKeyChecking=off",
            "StrictHostKeyChecking=No",
            "StrictHostKeyChecking=\"no\"",
            "StrictHostKeyChecking== no",
            "UserKnownHostsFile=/dev/null",
            "UserKnownHostsFile=\"/dev/null\"",
            "userknownhostsfile ~/.ssh/known_hosts /dev/null",
            "UserKnownHostsFile=none",
            "NoHostAuthenticationForLocalhost=yes",
            "CheckHostIP=no",
            "VerifyHostKeyDNS=yes",
            "VerifyHostKeyDNS=ask",
            "KnownHostsCommand=/bin/cat %H",
            "RevokedHostKeys=/dev/null",
            "ProxyCommand=ssh -o StrictHostKeyChecking=no -W %h:%p bastion",
            "ProxyCommand=ssh -oUserKnownHostsFile=/dev/null -W %h:%p bastion",
            "ProxyCommand=sh -c \"ssh -o \\\"StrictHostKeyChecking no\\\" bastion\"",
        ] {
            let words = ["-o".to_owned(), option.to_owned()];
            let error = SshArguments::parse(&words).expect_err(option);
            assert!(error.contains("is refused: "), "{option}: {error}");
            assert!(error.contains("`ssh-keyscan HOST`"), "{option}: {error}");
        }
    }

    #[test]
    fn what_is_as_strict_may_be_said() {
        for option in [
            "StrictHostKeyChecking=yes",
            "StrictHostKeyChecking=ask",
            "UserKnownHostsFile=/etc/fleet/known_hosts",
            "GlobalKnownHostsFile=/dev/null",
            "NoHostAuthenticationForLocalhost=no",
            "CheckHostIP=yes",
            "VerifyHostKeyDNS=no",
            "HostKeyAlias=web01",
            "ForwardAgent=yes",
            "ProxyCommand=ssh -o StrictHostKeyChecking=yes -W %h:%p bastion",
            "ProxyCommand=nc -X 5 %h %p",
        ] {
            let words = ["-o".to_owned(), option.to_owned()];
            assert!(SshArguments::parse(&words).is_ok(), "{option}");
        }
        assert!(
            parse("-o StrictHostKeyChecking=yes")
                .unwrap()
                .words
                .is_empty()
        );
    }

    #[test]
    fn the_file_of_options_is_held_to_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ssh.cfg");
        let parsed = parse(&format!("-F {}", file.display())).unwrap();
        assert_eq!(
            parsed.check_files(),
            Ok(()),
            "ssh says that it is not there"
        );
        std::fs::write(&file, "Host *\n  GlobalKnownHostsFile /dev/null\n").unwrap();
        assert_eq!(parsed.check_files(), Ok(()));
        std::fs::write(&file, "Host *\n  StrictHostKeyChecking no\n").unwrap();
        let error = parsed.check_files().unwrap_err();
        let place = format!("line 2 of `{}`: ", file.display());
        assert!(error.starts_with(&place), "{error}");
    }

    #[test]
    fn files_that_others_may_write_are_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("named");
        std::fs::write(&file, "").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666)).unwrap();
        for option in ["-F ", "-o UserKnownHostsFile="] {
            let parsed = parse(&format!("{option}{}", file.display())).unwrap();
            let error = parsed.check_files().unwrap_err();
            assert!(error.contains("everybody may write to it"), "{error}");
        }
    }

    #[test]
    fn what_cannot_work_is_refused_by_name() {
        for (text, expected) in [
            ("-o ControlMaster=auto", "`-o ControlMaster` cannot be set"),
            ("-oBatchMode=no", "`-o BatchMode` cannot be set"),
            ("-o 'remotecommand  sh'", "`-o remotecommand` cannot be set"),
            ("-t", "`-t` cannot be used here"),
            ("-4t", "`-t` cannot be used here"),
            ("-p", "`-p` lacks its value"),
            ("-o User", "`-o User` lacks a value"),
            ("host", "`host` is no option of ssh"),
            ("--", "`--` cannot be used here"),
            ("-o '\"ControlMaster\" auto'", "is no name of an option"),
            ("-o 'User=a\nb'", "contains a control character"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}

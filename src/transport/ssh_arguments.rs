//! `ansible_ssh_common_args`: which options of `ssh` a user may set, and which fleet must own.
//!
//! The words go to `ssh` as they are, so everything OpenSSH knows works the way its manual says.
//! What would break the connection fleet needs, or turn off the check of host keys, is refused
//! with the way out instead of being overruled in silence.

/// Options for `ssh` from the inventory, checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SshArguments {
    /// Words for ssh, before the destination. `-F` is not among them.
    pub(super) words: Vec<String>,
    /// From `-F`: replaces the user's `ssh_config`.
    pub(super) config: Option<String>,
    /// From `-o StrictHostKeyChecking`.
    pub(super) host_keys: HostKeys,
}

/// What happens to a host whose key is not known. A changed key is always refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum HostKeys {
    /// It is refused.
    #[default]
    Strict,
    /// Its key is recorded and trusted from then on.
    AcceptNew,
}

impl HostKeys {
    /// The value for `-o StrictHostKeyChecking=`.
    pub(super) const fn value(self) -> &'static str {
        match self {
            Self::Strict => "yes",
            Self::AcceptNew => "accept-new",
        }
    }
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
        let (name, value) = option
            .trim()
            .split_once(|letter: char| letter == '=' || letter.is_whitespace())
            .ok_or_else(|| format!("`-o {option}` lacks a value: write `-o Name=value`"))?;
        let value = value.trim_start_matches(['=', ' ']);
        if !name.chars().all(|letter| letter.is_ascii_alphanumeric()) {
            return Err(format!("`{name}` is no name of an option for `-o`"));
        }
        let lower = name.to_ascii_lowercase();
        if OWNED.contains(&lower.as_str()) {
            return Err(format!(
                "`-o {name}` cannot be set: fleet sets it itself; remove it"
            ));
        }
        if lower != "stricthostkeychecking" {
            self.words.extend(["-o".to_owned(), option.to_owned()]);
            return Ok(());
        }
        // As everywhere in ssh, the first value wins; there is one at most worth having.
        match value.trim_matches('"').trim().to_ascii_lowercase().as_str() {
            "accept-new" => self.host_keys = HostKeys::AcceptNew,
            "yes" | "ask" => self.host_keys = HostKeys::Strict,
            other => {
                return Err(format!(
                    "`StrictHostKeyChecking={other}` is refused: it would accept a changed host \
                     key; enroll the hosts' keys in known_hosts, or use `accept-new`, which \
                     records the key of a new host and still refuses a changed one"
                ));
            }
        }
        Ok(())
    }
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
        assert_eq!(parsed.host_keys, HostKeys::Strict);
    }

    #[test]
    fn a_configuration_file_is_kept_apart() {
        let parsed = parse("-F /etc/fleet/ssh_config -oUser=deploy").unwrap();
        assert_eq!(parsed.config.as_deref(), Some("/etc/fleet/ssh_config"));
        assert_eq!(parsed.words, ["-o", "User=deploy"]);
    }

    #[test]
    fn new_keys_may_be_accepted_and_changed_ones_never() {
        for (text, expected) in [
            ("-o StrictHostKeyChecking=accept-new", HostKeys::AcceptNew),
            ("-o 'stricthostkeychecking accept-new'", HostKeys::AcceptNew),
            ("-o StrictHostKeyChecking=yes", HostKeys::Strict),
        ] {
            let parsed = parse(text).unwrap();
            assert_eq!(
                (parsed.host_keys, parsed.words.len()),
                (expected, 0),
                "{text}"
            );
        }
        for value in ["no", "off", "No", "\"no\"", "= no"] {
            let error = parse(&format!("-o 'StrictHostKeyChecking={value}'")).unwrap_err();
            assert!(error.contains("`accept-new`"), "{value}: {error}");
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

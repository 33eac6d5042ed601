//! How a host is reached, from Ansible's own variables.

use std::net::Ipv6Addr;
use std::path::PathBuf;

use serde_json::Value;

use super::HostName;

/// How to reach a host and whom to become there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// By SSH or as a child process.
    pub method: Method,
    /// `ansible_host`, or the host's name.
    pub host: String,
    /// `ansible_port`; SSH's own default (its configuration included) if not given.
    pub port: Option<u16>,
    /// `ansible_user`; as for the port.
    pub user: Option<String>,
    /// `ansible_ssh_private_key_file`.
    pub private_key_file: Option<PathBuf>,
    /// `ansible_ssh_common_args` and `ansible_ssh_extra_args` as words.
    pub common_args: Vec<String>,
    /// `ansible_become`; the play decides if not given.
    pub r#become: Option<bool>,
    /// `ansible_become_user`; as for `become`.
    pub become_user: Option<String>,
}

/// What carries the helper's conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// OpenSSH.
    Ssh,
    /// A child process on this machine.
    Local,
}

impl Connection {
    /// Reads a connection from rendered variables; `lookup` gives the value of one by its name.
    /// Ansible's older names (`ansible_ssh_host`) are understood, variables about other things
    /// (`ansible_python_interpreter`) never asked for.
    ///
    /// # Errors
    /// The variable, its value and what is expected, without a place.
    pub fn from_values(
        host: &HostName,
        lookup: impl Fn(&str) -> Option<Value>,
    ) -> Result<Self, String> {
        let text = |names: &[&'static str]| first(&lookup, names, as_text);
        let truth = |names: &[&'static str]| first(&lookup, names, as_truth);
        let method = match text(&["ansible_connection"])? {
            None => Method::Ssh,
            Some((name, value)) => match value.strip_prefix("ansible.builtin.").unwrap_or(&value) {
                "ssh" | "smart" => Method::Ssh,
                "local" => Method::Local,
                _ => {
                    return Err(format!(
                        "`{name}` is `{value}`: only `ssh` and `local` are supported"
                    ));
                }
            },
        };
        if let Some((name, value)) = text(&["ansible_become_method"])?
            && value.strip_prefix("ansible.builtin.").unwrap_or(&value) != "sudo"
        {
            return Err(format!("`{name}` is `{value}`: only `sudo` is supported"));
        }
        let checking = ["ansible_host_key_checking", "ansible_ssh_host_key_checking"];
        if let Some((name, false)) = truth(&checking)? {
            return Err(format!(
                "`{name}` is `false`: host keys are always checked; remove it, and add the hosts' \
                 keys to known_hosts (`ssh-keyscan`)"
            ));
        }
        let mut common_args = Vec::new();
        for name in ["ansible_ssh_common_args", "ansible_ssh_extra_args"] {
            if let Some((name, value)) = text(&[name])? {
                let words = shlex::split(&value);
                common_args
                    .extend(words.ok_or(format!("`{name}` is `{value}`: a quote is not closed"))?);
            }
        }
        let word = |names: &[&'static str]| text(names)?.map(safe_word).transpose();
        Ok(Self {
            method,
            host: text(&["ansible_host", "ansible_ssh_host"])?
                .map(address)
                .transpose()?
                .unwrap_or_else(|| host.to_string()),
            port: first(&lookup, &["ansible_port", "ansible_ssh_port"], as_port)?
                .map(|(_, port)| port),
            user: word(&["ansible_user", "ansible_ssh_user"])?,
            private_key_file: text(&["ansible_ssh_private_key_file", "ansible_private_key_file"])?
                .map(|(_, path)| path.into()),
            common_args,
            r#become: truth(&["ansible_become"])?.map(|(_, value)| value),
            become_user: word(&["ansible_become_user"])?,
        })
    }
}

/// The first variable that is set, as read by `read`; an empty text or null is not set.
fn first<T>(
    lookup: &impl Fn(&str) -> Option<Value>,
    names: &[&'static str],
    read: impl Fn(&Value) -> Result<T, &'static str>,
) -> Result<Option<(&'static str, T)>, String> {
    for name in names {
        match lookup(name) {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) if text.is_empty() => {}
            Some(value) => {
                let read = read(&value).map_err(|want| format!("`{name}` is `{value}`: {want}"))?;
                return Ok(Some((name, read)));
            }
        }
    }
    Ok(None)
}

fn as_text(value: &Value) -> Result<String, &'static str> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err("expected text"),
    }
}

fn as_truth(value: &Value) -> Result<bool, &'static str> {
    match value {
        Value::Bool(bool) => Ok(*bool),
        // `-e ansible_become=yes` is text.
        Value::String(text) => match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Ok(true),
            "false" | "no" | "off" | "0" => Ok(false),
            _ => Err("expected `true` or `false`"),
        },
        _ => Err("expected `true` or `false`"),
    }
}

fn as_port(value: &Value) -> Result<u16, &'static str> {
    let text = as_text(value)?;
    text.parse()
        .ok()
        .filter(|port| *port != 0)
        .ok_or("expected a port from 1 to 65535")
}

/// An address as ssh takes it: `[::1]` without the brackets, and no port behind it.
fn address((name, value): (&str, String)) -> Result<String, String> {
    let value = safe_word((name, value))?;
    let bare = value
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let is_ipv6 = |text: &str| {
        text.split('%')
            .next()
            .is_some_and(|it| it.parse::<Ipv6Addr>().is_ok())
    };
    if let Some(bare) = bare.filter(|bare| is_ipv6(bare)) {
        return Ok(bare.to_owned());
    }
    match value.rsplit_once(':') {
        Some((host, port)) if !is_ipv6(&value) && port.parse::<u16>().is_ok() => Err(format!(
            "`{name}` is `{value}`: write the port apart, `{name}: \"{}\"` and `ansible_port: {port}`",
            host.trim_matches(['[', ']'])
        )),
        _ => Ok(value),
    }
}

/// Refuses what ssh or sudo would take for an option or for several words.
fn safe_word((name, value): (&str, String)) -> Result<String, String> {
    if value.starts_with('-') || value.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(format!(
            "`{name}` is `{value}`: it begins with `-` or holds white space"
        ));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn connection(values: &Value) -> Result<Connection, String> {
        let host = "web01".parse().unwrap();
        Connection::from_values(&host, |name| values.get(name).cloned())
    }

    #[test]
    fn nothing_set_leaves_everything_to_ssh() {
        let connection = connection(&json!({})).unwrap();
        assert_eq!(
            (connection.method, connection.host.as_str()),
            (Method::Ssh, "web01")
        );
        assert_eq!(
            (connection.port, connection.user, connection.r#become),
            (None, None, None)
        );
    }

    #[test]
    fn ansibles_variables() {
        let connection = connection(&json!({
            "ansible_host": "10.0.0.1", "ansible_port": "2222", "ansible_ssh_user": "ops",
            "ansible_ssh_private_key_file": "~/.ssh/key", "ansible_become": "yes",
            "ansible_become_user": "root", "ansible_become_method": "sudo",
            "ansible_ssh_common_args": "-o 'ProxyJump bastion'", "ansible_ssh_extra_args": "-4",
            "ansible_python_interpreter": "/usr/bin/python3", "ansible_connection": "smart",
        }));
        assert_eq!(
            connection.unwrap(),
            Connection {
                method: Method::Ssh,
                host: "10.0.0.1".to_owned(),
                port: Some(2222),
                user: Some("ops".to_owned()),
                private_key_file: Some("~/.ssh/key".into()),
                common_args: ["-o", "ProxyJump bastion", "-4"]
                    .map(str::to_owned)
                    .to_vec(),
                r#become: Some(true),
                become_user: Some("root".to_owned()),
            }
        );
    }

    #[test]
    fn an_address_may_stand_in_brackets_and_has_no_port() {
        for (written, expected) in [
            ("[::1]", Ok("::1")),
            ("::1", Ok("::1")),
            ("fe80::1%eth0", Ok("fe80::1%eth0")),
            ("[fe80::1%eth0]", Ok("fe80::1%eth0")),
            ("10.0.0.1", Ok("10.0.0.1")),
            (
                "[::1]:22",
                Err("`ansible_host: \"::1\"` and `ansible_port: 22`"),
            ),
            (
                "10.0.0.1:2222",
                Err("`ansible_host: \"10.0.0.1\"` and `ansible_port: 2222`"),
            ),
            (
                "web.lab:22",
                Err("`ansible_host: \"web.lab\"` and `ansible_port: 22`"),
            ),
        ] {
            let host = connection(&json!({ "ansible_host": written })).map(|it| it.host);
            match (host, expected) {
                (Ok(host), Ok(expected)) => assert_eq!(host, expected),
                (Err(error), Err(expected)) => assert!(error.contains(expected), "{error}"),
                (found, _) => panic!("{written}: {found:?}"),
            }
        }
    }

    #[test]
    fn what_cannot_be_honoured_is_refused() {
        let cases = [
            (
                "ansible_connection",
                json!("winrm"),
                "`ansible_connection` is `winrm`: only `ssh` and `local` are supported",
            ),
            (
                "ansible_become_method",
                json!("su"),
                "`ansible_become_method` is `su`: only `sudo` is supported",
            ),
            (
                "ansible_port",
                json!(0),
                "`ansible_port` is `0`: expected a port from 1 to 65535",
            ),
            (
                "ansible_port",
                json!("ssh"),
                "`ansible_port` is `\"ssh\"`: expected a port from 1 to 65535",
            ),
            (
                "ansible_become",
                json!("maybe"),
                "`ansible_become` is `\"maybe\"`: expected `true` or `false`",
            ),
            (
                "ansible_ssh_common_args",
                json!("-o 'x"),
                "`ansible_ssh_common_args` is `-o 'x`: a quote is not closed",
            ),
            (
                "ansible_host",
                json!("-oProxyCommand=x"),
                "`ansible_host` is `-oProxyCommand=x`: it begins with `-` or holds white space",
            ),
            (
                "ansible_ssh_host_key_checking",
                json!("no"),
                "`ansible_ssh_host_key_checking` is `false`: host keys are always checked; remove \
                 it, and add the hosts' keys to known_hosts (`ssh-keyscan`)",
            ),
            (
                "ansible_user",
                json!(["a"]),
                "`ansible_user` is `[\"a\"]`: expected text",
            ),
        ];
        for (name, value, message) in cases {
            assert_eq!(connection(&json!({ name: value })).unwrap_err(), message);
        }
    }
}

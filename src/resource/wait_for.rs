//! Waits until a TCP port answers or a path is there, or until neither is.
//!
//! `check` looks once and reports what is not as declared; `apply` waits for it, at most
//! `timeout` seconds. A host is an address or a name that the managed host can resolve.

use std::io::{self, BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use regex_lite::Regex;
use serde::{Deserialize, Serialize};

use super::Resource;
use crate::host::{Command, Failure, Host, HostPath};
use crate::protocol::{Drift, Output};

/// How long one attempt to connect may take.
const CONNECT: Duration = Duration::from_secs(3);

/// Time between two looks.
const PAUSE: Duration = Duration::from_millis(250);

/// Waits until a TCP port answers or a path is there, or until neither is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "control", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct WaitFor {
    /// The TCP port to connect to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Where the port is, seen from the managed host; 127.0.0.1 unless declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The path to look for; instead of `port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<HostPath>,
    /// With `path`: a line of the file must match this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search_regex: Option<String>,
    /// `started` or `present` (the default) waits until it is there, `stopped` or `absent`
    /// until it is not.
    #[serde(default)]
    pub state: WaitState,
    /// How many seconds to wait at most; 300 unless declared.
    #[serde(default = "default_timeout")]
    pub timeout: u64,
    /// How many seconds to wait before looking again for the first time.
    #[serde(default)]
    pub delay: u64,
}

const fn default_timeout() -> u64 {
    300
}

/// What a [`WaitFor`] waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "control", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum WaitState {
    /// The port answers, the path exists.
    #[default]
    #[serde(alias = "present")]
    Started,
    /// The port does not answer, the path does not exist.
    #[serde(alias = "absent")]
    Stopped,
}

/// What one look showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    there: bool,
    /// In words.
    state: String,
}

impl WaitFor {
    fn look(&self, host: &Host, limit: Duration) -> Result<Seen, Failure> {
        match (self.port, &self.path) {
            (Some(port), _) => {
                let name = self.host.as_deref().unwrap_or("127.0.0.1");
                Ok(connect(&addresses(name)?, port, limit))
            }
            (None, Some(path)) => {
                let found = match &self.search_regex {
                    None => host.metadata(path)?.is_some(),
                    Some(pattern) => {
                        let regex = Regex::new(pattern)
                            .map_err(|error| Failure::Unexpected(error.to_string()))?;
                        has_line(host, path, &regex)?
                    }
                };
                Ok(Seen {
                    there: found,
                    state: if found { "present" } else { "absent" }.to_owned(),
                })
            }
            (None, None) => Err(Failure::Unexpected(NEITHER.to_owned())),
        }
    }

    fn is_as_declared(&self, seen: &Seen) -> bool {
        seen.there == (self.state == WaitState::Started)
    }
}

const NEITHER: &str = "one of `port` and `path` is needed";

impl Resource for WaitFor {
    const KIND: &'static str = "wait_for";

    const EXAMPLE: &'static str = "\
- name: the registry answers
  wait_for: { port: 5000, host: registry.example.net, state: started, timeout: 60, delay: 1 }

- name: the service says that it is ready
  wait_for:
    path: /var/log/app.log
    search_regex: ready in \\d+ ms
";

    type Actual = Seen;

    fn id(&self) -> String {
        match (self.port, &self.path) {
            (Some(port), _) => {
                format!("{}:{port}", self.host.as_deref().unwrap_or("127.0.0.1"))
            }
            (None, Some(path)) => path.to_string(),
            (None, None) => String::new(),
        }
    }

    fn validate(&self) -> Result<(), String> {
        match (self.port, &self.path) {
            (None, None) => return Err(NEITHER.to_owned()),
            (Some(_), Some(_)) => return Err("`port` and `path` exclude each other".to_owned()),
            (Some(0), None) => return Err("`port: 0` is not a port".to_owned()),
            (None, Some(_)) if self.host.is_some() => {
                return Err("`host` goes with `port` only".to_owned());
            }
            (Some(_), None) if self.search_regex.is_some() => {
                return Err("`search_regex` goes with `path` only".to_owned());
            }
            _ => {}
        }
        if self
            .host
            .as_deref()
            .is_some_and(|host| host.is_empty() || host.starts_with('-'))
        {
            return Err("`host` is not a name or address".to_owned());
        }
        match self.search_regex.as_deref().map(Regex::new) {
            Some(Err(error)) => Err(format!(
                "`search_regex` is not a regular expression: {error}"
            )),
            _ => Ok(()),
        }
    }

    fn time_limit(&self) -> Option<Duration> {
        Some(Duration::from_secs(self.timeout))
    }

    fn observe(&self, host: &Host) -> Result<Seen, Failure> {
        self.look(host, CONNECT)
    }

    fn drift(&self, actual: &Seen) -> Vec<Drift> {
        if self.is_as_declared(actual) {
            return Vec::new();
        }
        let expected = match (self.state, self.port.is_some()) {
            (WaitState::Started, true) => "started",
            (WaitState::Started, false) => "present",
            (WaitState::Stopped, true) => "stopped",
            (WaitState::Stopped, false) => "absent",
        };
        vec![Drift::update("state", expected, &actual.state)]
    }

    fn apply(&self, host: &Host, _: &Seen) -> Result<Option<Output>, Failure> {
        let begin = Instant::now();
        let limit = Duration::from_secs(self.timeout);
        thread::sleep(Duration::from_secs(self.delay).min(limit));
        loop {
            let left = limit.saturating_sub(begin.elapsed());
            let seen = self.look(host, CONNECT.min(left).max(PAUSE))?;
            if self.is_as_declared(&seen) {
                return Ok(None);
            }
            if left.is_zero() {
                return Err(Failure::Refused(format!(
                    "{} is still {} after {} s",
                    self.id(),
                    seen.state,
                    self.timeout
                )));
            }
            thread::sleep(PAUSE.min(left));
        }
    }
}

/// A static binary has no resolver of its own: literals and `localhost` are known, for all else
/// the host's `getent` is asked.
fn addresses(name: &str) -> Result<Vec<IpAddr>, Failure> {
    if let Ok(address) = name.parse() {
        return Ok(vec![address]);
    }
    if name == "localhost" {
        return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    let output = Command::new(["getent", "ahosts", name])
        .timeout(Duration::from_secs(30))
        .output()?;
    let mut addresses: Vec<IpAddr> = output
        .stdout
        .lines()
        .filter_map(|line| line.split_whitespace().next()?.parse().ok())
        .collect();
    // One line per socket type.
    addresses.dedup();
    if addresses.is_empty() {
        return Err(Failure::Missing(format!(
            "the name `{name}` cannot be resolved"
        )));
    }
    Ok(addresses)
}

fn connect(addresses: &[IpAddr], port: u16, limit: Duration) -> Seen {
    let mut state = String::new();
    for address in addresses {
        match TcpStream::connect_timeout(&SocketAddr::new(*address, port), limit) {
            Ok(_) => {
                return Seen {
                    there: true,
                    state: "started".to_owned(),
                };
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                "stopped (connection refused)".clone_into(&mut state);
            }
            Err(error) => state = format!("stopped ({error})"),
        }
    }
    Seen {
        there: false,
        state,
    }
}

/// Whether any line matches; a file of any size, piece by piece.
fn has_line(host: &Host, path: &HostPath, regex: &Regex) -> Result<bool, Failure> {
    const LONGEST: u64 = 64 * 1024;
    let Some(file) = host.open(path)? else {
        return Ok(false);
    };
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    loop {
        line.clear();
        io::Read::take(&mut reader, LONGEST)
            .read_until(b'\n', &mut line)
            .map_err(|source| Failure::io("read", path, source))?;
        if line.is_empty() {
            return Ok(false);
        }
        if regex.is_match(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r'])) {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::net::TcpListener;

    use serde_json::json;

    use super::*;

    fn declared(fields: serde_json::Value) -> WaitFor {
        serde_json::from_value(fields).unwrap()
    }

    #[test]
    fn sees_whether_a_port_answers() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let host = Host::offline("/".as_ref());
        let task = declared(json!({ "port": port, "host": "localhost" }));
        assert_eq!(task.drift(&task.observe(&host).unwrap()), []);

        drop(listener);
        let drift = task.drift(&task.observe(&host).unwrap());
        assert_eq!(
            (&*drift[0].expected, &drift[0].actual[..7]),
            ("started", "stopped")
        );
        let stopped = declared(json!({ "port": port, "state": "stopped" }));
        assert_eq!(stopped.drift(&stopped.observe(&host).unwrap()), []);
    }

    #[test]
    fn waits_for_a_line_and_gives_up_in_time() {
        let base = tempfile::tempdir().unwrap();
        let host = Host::offline(base.path());
        let path = base.path().join("log");
        let task = declared(json!({ "path": path, "search_regex": "^ready$", "timeout": 20 }));
        let before = task.observe(&host).unwrap();
        assert!(!before.there);
        let writer = thread::spawn(move || {
            fs::write(&path, "starting\n").unwrap();
            thread::sleep(Duration::from_millis(50));
            fs::write(&path, "starting\nready\n").unwrap();
        });
        task.apply(&host, &before).unwrap();
        writer.join().unwrap();

        let never = declared(json!({ "path": base.path().join("no"), "timeout": 0 }));
        let failure = never.apply(&host, &before).unwrap_err().to_string();
        assert!(failure.ends_with("is still absent after 0 s"), "{failure}");
    }

    #[test]
    fn validate_names_what_does_not_go_together() {
        for (fields, expected) in [
            (json!({}), "one of `port` and `path`"),
            (json!({ "port": 1, "path": "/x" }), "exclude"),
            (json!({ "port": 0 }), "`port: 0` is not a port"),
            (
                json!({ "path": "/x", "host": "h" }),
                "`host` goes with `port`",
            ),
            (
                json!({ "port": 1, "search_regex": "x" }),
                "goes with `path`",
            ),
            (
                json!({ "path": "/x", "search_regex": "(" }),
                "regular expression",
            ),
            (json!({ "port": 1, "host": "-v" }), "not a name"),
        ] {
            let error = declared(fields.clone()).validate().unwrap_err();
            assert!(error.contains(expected), "{fields}: {error}");
        }
    }
}

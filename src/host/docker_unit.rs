//! Whether the Docker engine runs, asked of systemd: a connection to its socket would start it.

use std::fmt;
use std::path::Path;

use super::systemctl::{self, Unit};
use super::{Failure, Host};

/// The unit of the engine.
pub(crate) const UNIT: &str = "docker.service";

/// The unit of its socket.
pub(crate) const SOCKET: &str = "docker.socket";

/// Whether systemd runs this host.
pub(crate) fn is_systemd() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// A dockerd that systemd did not start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stray {
    /// The number of its process.
    pub(crate) process: u32,
    /// The words it was started with.
    pub(crate) command: String,
}

impl fmt::Display for Stray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} (`{}`)", self.process, self.command)
    }
}

/// Where dockerd notes the number of its process.
const PID_FILE: &str = "/var/run/docker.pid";

/// More than the words of any command line that is shown.
const LONGEST: u64 = 1 << 20;

/// The dockerd that runs although its unit is down: somebody started it by hand.
///
/// # Errors
/// If what it left cannot be read.
pub(crate) fn stray(host: &Host) -> Result<Option<Stray>, Failure> {
    let noted = host.read(Path::new(PID_FILE), LONGEST)?;
    let noted = String::from_utf8_lossy(&noted.unwrap_or_default()).into_owned();
    let Ok(process) = noted.trim().parse::<u32>() else {
        return Ok(None);
    };
    let words = command_line(host, &process.to_string())?;
    Ok(is_dockerd(&words).then(|| Stray {
        process,
        command: words.join(" "),
    }))
}

/// The number may be that of another program by now.
fn is_dockerd(words: &[String]) -> bool {
    let program = words.first().map(Path::new).and_then(Path::file_name);
    program.is_some_and(|name| name.to_string_lossy().starts_with("dockerd"))
}

/// The words that a process was started with; none if there is no such process.
///
/// # Errors
/// If they cannot be read.
pub(crate) fn command_line(host: &Host, process: &str) -> Result<Vec<String>, Failure> {
    if process.is_empty() || !process.bytes().all(|sign| sign.is_ascii_digit()) {
        return Ok(Vec::new());
    }
    let path = format!("/proc/{process}/cmdline");
    let bytes = host.read(Path::new(&path), LONGEST)?.unwrap_or_default();
    Ok(words(&bytes))
}

/// Each ends in a zero byte.
fn words(command_line: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(command_line);
    match text.trim_end_matches('\0') {
        "" => Vec::new(),
        text => text.split('\0').map(str::to_owned).collect(),
    }
}

/// The unit docker.service; nothing on a host without systemd. That of the socket is asked for with
/// it.
///
/// # Errors
/// [`Failure::Missing`] if there is no engine, or it does not run.
pub(crate) fn running(host: &Host) -> Result<Unit, Failure> {
    if !is_systemd() {
        return Ok(Unit::default());
    }
    let unit = systemctl::unit(host, UNIT, || vec![SOCKET.to_owned()])?;
    match unit.load.as_str() {
        // Something else may serve the socket: then it answers.
        "not-found" if Path::new("/var/run/docker.sock").exists() => Ok(unit),
        "not-found" => Err(Failure::Missing(
            "there is no Docker engine on this host".to_owned(),
        )),
        _ if unit.is_up() => Ok(unit),
        _ => Err(Failure::Missing(match stray(host)? {
            Some(stray) if unit.is_down() => format!(
                "docker.service is {}, and a dockerd that systemd did not start runs: {stray}",
                unit.state()
            ),
            _ => format!(
                "the Docker engine does not run: docker.service is {}",
                unit.state()
            ),
        })),
    }
}

/// The unit of the engine's socket; nothing on a host without systemd.
///
/// # Errors
/// [`Failure::Command`] if systemd does not answer.
pub(crate) fn socket(host: &Host) -> Result<Unit, Failure> {
    if !is_systemd() {
        return Ok(Unit::default());
    }
    systemctl::unit(host, SOCKET, Vec::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dockerd_is_told_from_a_program_that_has_its_number_now() {
        let said = |line: &[u8]| is_dockerd(&words(line));
        assert!(said(b"/usr/bin/dockerd\0-D\0"));
        assert!(said(b"dockerd-current\0"));
        assert!(!said(b"/usr/sbin/sshd\0-D\0"));
        assert!(!said(b""));
        let stray = Stray {
            process: 123,
            command: words(b"dockerd\0--debug\0").join(" "),
        };
        assert_eq!(stray.to_string(), "process 123 (`dockerd --debug`)");
    }
}

//! Whether the Docker engine runs, asked of systemd: a connection to its socket would start it.

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
        _ => Err(Failure::Missing(format!(
            "the Docker engine does not run: docker.service is {}",
            unit.state()
        ))),
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

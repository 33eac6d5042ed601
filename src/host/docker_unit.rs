//! Whether the Docker engine runs, asked of systemd: a connection to its socket would start it.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Failure, systemctl};

/// Whether systemd runs this host.
pub(crate) fn is_systemd() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// The properties of docker.service; none on a host without systemd.
///
/// # Errors
/// [`Failure::Missing`] if there is no engine, or it does not run.
pub(crate) fn running() -> Result<BTreeMap<String, String>, Failure> {
    if !is_systemd() {
        return Ok(BTreeMap::new());
    }
    let names = "LoadState,ActiveState,SubState,MainPID,FragmentPath,DropInPaths";
    let unit = systemctl::properties("docker.service", names)?;
    let property = |name: &str| unit.get(name).map_or("", String::as_str);
    match (property("LoadState"), property("ActiveState")) {
        // Something else may serve the socket: then it answers.
        ("not-found", _) if Path::new("/var/run/docker.sock").exists() => Ok(unit),
        ("not-found", _) => Err(Failure::Missing(
            "there is no Docker engine on this host".to_owned(),
        )),
        (_, "active" | "reloading" | "refreshing") => Ok(unit),
        (_, state) => Err(Failure::Missing(format!(
            "the Docker engine does not run: docker.service is {state} ({})",
            property("SubState")
        ))),
    }
}

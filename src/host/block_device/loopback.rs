//! Docker's loopback mode: a thin pool on two sparse files, which is what devicemapper falls back
//! to without a pool of its own.

use std::path::Path;

use super::{entries, read_if_any};
use crate::host::Failure;

/// The mapped device of a pool that Docker keeps in loopback files, if there is one.
pub(crate) fn docker_pool() -> Result<Option<String>, Failure> {
    for name in entries(Path::new("/sys/class/block"))? {
        if !name.starts_with("dm-") {
            continue;
        }
        let directory = Path::new("/sys/class/block").join(&name);
        let mapped = read_if_any(&directory.join("dm/name"))?.unwrap_or_default();
        let below = entries(&directory.join("slaves"))?;
        if is_docker_pool(mapped.trim(), &below) {
            return Ok(Some(format!(
                "{} on {}",
                mapped.trim(),
                below.join(" and ")
            )));
        }
    }
    Ok(None)
}

/// Docker names it `docker-MAJOR:MINOR-INODE-pool`, after its own directory.
fn is_docker_pool(mapped: &str, below: &[String]) -> bool {
    let named = mapped.starts_with("docker-") && mapped.ends_with("-pool") && mapped.contains(':');
    named && below.iter().any(|device| device.starts_with("loop"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_docker_s_own_pool_on_loop_devices_counts() {
        let loops = ["loop0".to_owned(), "loop1".to_owned()];
        assert!(is_docker_pool("docker-253:0-33821-pool", &loops));
        assert!(!is_docker_pool(
            "docker-253:0-33821-pool",
            &["vdb".to_owned()]
        ));
        assert!(!is_docker_pool("docker-thinpool", &loops));
        assert!(!is_docker_pool("docker-253:0-33821-0a1b", &loops));
    }
}

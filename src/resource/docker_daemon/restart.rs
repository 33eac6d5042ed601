//! Having the daemon take over what its files say, so that what ran before runs after.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Map, Value};

use super::found::{Found, Running};
use super::{DAEMON_JSON, DockerDaemon, UNIT, access, flags};
use crate::host::{Failure, Host, Snapshot, docker, systemctl};
use crate::protocol::Output;

/// How long a daemon may take to read its configuration again.
const RELOAD: Duration = Duration::from_secs(30);

/// Starts or restarts the daemon and waits until it answers, at most `limit` for systemd's word:
/// its unit sets no limit, so one that hangs would start for ever.
pub(super) fn restart(host: &Host, limit: Duration) -> Result<Output, Failure> {
    let output = systemctl::bring_up_within("restart", UNIT, limit)?;
    docker::info(host)?;
    Ok(output)
}

/// Has the daemon read its configuration again and waits until it has.
pub(super) fn reload() -> Result<Output, Failure> {
    let begin = SystemTime::now();
    let output = systemctl::tell("reload", UNIT)?;
    let deadline = Instant::now() + RELOAD;
    while !docker::has_reloaded_since(begin)? {
        if Instant::now() >= deadline {
            return Err(Failure::Unexpected(format!(
                "the daemon did not take its configuration over within {} s of `systemctl reload`{}",
                RELOAD.as_secs(),
                systemctl::journal(UNIT)
            )));
        }
        thread::sleep(Duration::from_millis(200));
    }
    Ok(output)
}

/// Has a daemon that would leave its containers running give that up, if the one that comes would
/// not take them over: it kills what it finds running, and that counts as stopped by hand, so it
/// stays down whatever its restart policy says. One that stops them itself starts them again.
///
/// The file is put back when the daemon has read it, so that what is killed here leaves a daemon
/// and a file that the next apply knows what to do with.
pub(super) fn give_up_live_restore(
    declared: &DockerDaemon,
    host: &Host,
    found: &Found,
) -> Result<(), Failure> {
    let Some(daemon) = &found.running else {
        return Ok(());
    };
    let Some(config) = interim(declared, found, daemon) else {
        return Ok(());
    };
    let path = Path::new(DAEMON_JSON);
    let before = Snapshot::take(host, [path])?;
    let json = serde_json::to_vec_pretty(&config).expect("all keys are text");
    host.write(path, &json, access::of_new_version(&found.access, path))?;
    reload()?;
    before.restore()
}

/// The configuration of before without live-restore; `None` if there is nothing to give up, or if
/// the daemon would not: what is also a flag, it does not read.
pub(super) fn interim(
    declared: &DockerDaemon,
    found: &Found,
    daemon: &Running,
) -> Option<Map<String, Value>> {
    let has_it = daemon.told.info["LiveRestoreEnabled"] == true;
    let running_flags = flags::parse(daemon.argv.get(1..).unwrap_or_default());
    let by_flag = running_flags.iter().any(|flag| flag.name == "live-restore");
    if !has_it || by_flag || daemon.containers.is_empty() || declared.wants_live_restore(found) {
        return None;
    }
    let read = daemon.read.clone().or_else(|| found.daemon_json.settings());
    let mut config = read.unwrap_or_default();
    config.insert("live-restore".to_owned(), Value::Bool(false));
    Some(config)
}

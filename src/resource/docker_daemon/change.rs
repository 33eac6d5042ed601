//! Making the change so that it can be taken back, by this helper or the next one.
//!
//! Whatever moment the helper is killed at, the next apply finds either files that differ, or a
//! daemon that has not read them, or a daemon that is down; and in fleet's own directory the
//! files to put back if the new ones turn out to be bad.

use std::path::{Path, PathBuf};

use super::flags::HiddenUnit;
use super::found::{self, Found};
use super::memory::{Before, HasRead, Memory};
use super::restart::{give_up_live_restore, reload, restart};
use super::work::{Fate, Means};
use super::{
    DAEMON_JSON, DEFAULT_LIMIT, DROP_INS, DaemonState, DockerDaemon, SOCKET, SYSCONFIG, UNIT,
    access, ask,
};
use crate::host::docker_containers::{Comeback, Container, bring_back, named};
use crate::host::{Failure, Host, Permissions, Snapshot, WayBack, docker, remove_file, systemctl};
use crate::protocol::Output;

/// One file to write, or to remove.
type Write = (PathBuf, Option<Vec<u8>>);

/// Brings the daemon from `found` to what is declared.
pub(super) fn change(
    declared: &DockerDaemon,
    host: &Host,
    found: &Found,
) -> Result<Option<Output>, Failure> {
    check_possible(declared, found)?;
    let writes = writes(declared, found);
    let mut memory = found.memory.clone();
    let Some(unit) = &found.unit else {
        // Before the engine is installed there is nothing to disturb.
        put(host, found, &writes)?;
        access::mend(host, found)?;
        return Ok(None);
    };
    let work = declared.work(found);
    let wants_up = declared.wants_up(found);
    let must_start = wants_up && found.running.is_none();
    if !writes.is_empty() || work.is_some() || must_start {
        remember(declared, host, found, &mut memory)?;
    }
    let means = work.as_ref().map_or(Means::Restart, |work| work.means);
    let ends = wants_up && found.running.is_some() && work.is_some() && means == Means::Restart;
    if ends && let Err(cause) = give_up_live_restore(declared, host, found) {
        return Err(roll_back(declared, host, memory, Means::Reload, &cause));
    }
    if let Err(failure) = put(host, found, &writes).and_then(|()| access::mend(host, found)) {
        // Half of a change is none: the daemon might not start with it.
        if let Some(before) = &memory.before {
            before.files.restore()?;
        }
        return Err(failure);
    }
    let unit_files_changed = writes.iter().any(|(path, _)| path.starts_with(DROP_INS));
    if unit_files_changed || unit.stale {
        systemctl::daemon_reload()?;
    }

    let mut output = None;
    let in_effect = work.is_none();
    if wants_up {
        let taken = match means {
            _ if found.running.is_some() && in_effect => Ok(None),
            Means::Reload => reload().map(Some),
            Means::Restart => restart(host, declared.limit()).map(Some),
        };
        // One that was down could not be asked before.
        let taken = taken.and_then(|done| match asked(declared, host, found)? {
            Some(unknown) => Err(Failure::Refused(ask::no_log_driver(&unknown))),
            None => Ok(done),
        });
        match taken {
            Ok(done) => output = done,
            Err(cause) => return Err(roll_back(declared, host, memory, means, &cause)),
        }
        memory.read = has_read(declared, host, found)?;
    } else if declared.state == Some(DaemonState::Stopped) {
        // The socket first: it would start the daemon again.
        if found.socket {
            output = Some(systemctl::tell("stop", SOCKET)?);
        }
        if !unit.is_down() {
            output = Some(systemctl::tell_within("stop", UNIT, declared.limit())?);
        }
    }
    if memory.before.take().is_some() || memory != found.memory {
        memory.save(host)?;
    }
    match declared.enabled {
        Some(true) if unit.file != "enabled" => output = Some(systemctl::tell("enable", UNIT)?),
        Some(false) if unit.file == "enabled" => output = Some(systemctl::tell("disable", UNIT)?),
        _ => {}
    }
    if ends && let Some(daemon) = &found.running {
        let comes_back = |one: &&Container| one.comeback == Comeback::ByItself;
        bring_back(host, daemon.containers.iter().filter(comes_back))?;
    }
    Ok(output)
}

/// Refuses what cannot end well, before anything is changed.
pub(super) fn check_possible(declared: &DockerDaemon, found: &Found) -> Result<(), Failure> {
    if found.unit.is_none() {
        if declared.needs_unit() {
            return Err(Failure::Missing(format!(
                "no engine is installed: there is no unit {UNIT}"
            )));
        }
        return Ok(());
    }
    if let Some(installed) = &found.installed
        && *installed != declared.engine_version
    {
        return Err(Failure::Refused(format!(
            "the engine on this host is {installed}, and the configuration is declared for {}; \
             install that version first",
            declared.engine_version
        )));
    }
    check_lasting(declared, found)
}

/// The part of it that no earlier task of a playbook does away with, as installing an engine does:
/// a plan shows it.
pub(super) fn check_lasting(declared: &DockerDaemon, found: &Found) -> Result<(), Failure> {
    let mut unit = found.unit.iter();
    if let Some(refusal) = undeclared(found) {
        return Err(Failure::Refused(refusal));
    }
    if let Some(unknown) = declared.unknown_log_driver(found) {
        return Err(Failure::Refused(ask::no_log_driver(&unknown)));
    }
    if declared.needs_unit() && unit.any(|unit| unit.load == "masked") {
        return Err(Failure::Refused(format!(
            "the unit {UNIT} is masked; `systemctl unmask {UNIT}` if the daemon is to run"
        )));
    }
    if let Some(running) = &found.running
        && declared.wants_up(found)
        && declared.would_end(found)
        && let Fate::KeptInTheWay(keys) = declared.fate(found)
    {
        return Err(Failure::Refused(format!(
            "`{}` would not take effect while containers run: with live-restore the daemon keeps \
             the network they are on; stop them ({}), apply, and start them again",
            keys.join("`, `"),
            named(&running.containers)
        )));
    }
    Ok(())
}

/// What decides how dockerd runs, is nobody's declaration, and is not fleet's to remove.
fn undeclared(found: &Found) -> Option<String> {
    let mut reasons = Vec::new();
    if let Some(HiddenUnit { packaged, by }) = &found.hidden_unit {
        reasons.push(format!(
            "the unit {UNIT} is {}, which hides {}; remove it, and declare what it was for in \
             `drop_ins`",
            by.display(),
            packaged.display()
        ));
    }
    for undeclared in &found.undeclared {
        let field = if undeclared.path.starts_with(SYSCONFIG) {
            "sysconfig"
        } else {
            "drop_ins"
        };
        reasons.push(format!(
            "the unit {UNIT} gives dockerd the flag `{}`, which is not declared; remove it from \
             {}, or declare it in `{field}`",
            undeclared.flag.written(),
            undeclared.path.display()
        ));
    }
    if let Some(stray) = &found.stray {
        reasons.push(format!(
            "a dockerd that systemd did not start runs: {stray}; end it (`kill {}`)",
            stray.process
        ));
    }
    (!reasons.is_empty()).then(|| reasons.join("\n"))
}

/// The log driver that the daemon that runs now does not have, if it could not be asked before.
fn asked(
    declared: &DockerDaemon,
    host: &Host,
    found: &Found,
) -> Result<Option<(String, String)>, Failure> {
    if found.running.is_some() {
        return Ok(None);
    }
    Ok(declared.unknown_log_driver_to(found, &docker::info(host)?))
}

/// Notes, on the disk, what the process that runs has read and the files to go back to.
fn remember(
    declared: &DockerDaemon,
    host: &Host,
    found: &Found,
    memory: &mut Memory,
) -> Result<(), Failure> {
    memory.read = found.running.as_ref().and_then(|daemon| {
        let config = daemon.read.clone()?;
        let process = daemon.process.clone();
        Some(HasRead { process, config })
    });
    let now = Before {
        up: found.running.is_some(),
        files: files_of(declared, host, found)?,
    };
    memory.before = Some(match memory.before.take() {
        // A change that was interrupted: what it began to write is not to go back to.
        Some(mut before) if !found.is_proven() => {
            before.files.complete(now.files);
            before
        }
        _ => now,
    });
    memory.save(host)
}

/// All files that a change may write, as they are.
fn files_of(declared: &DockerDaemon, host: &Host, found: &Found) -> Result<Snapshot, Failure> {
    let drop_ins = found.drop_ins.keys();
    let own = declared.drop_ins.iter().flatten().map(|(name, _)| name);
    let unit_files = drop_ins
        .chain(own)
        .map(|name| Path::new(DROP_INS).join(name));
    let sysconfig = declared.sysconfig.keys();
    let sysconfig = sysconfig.map(|name| Path::new(SYSCONFIG).join(name));
    let paths: Vec<_> = unit_files
        .chain(sysconfig)
        .chain([PathBuf::from(DAEMON_JSON)])
        .collect();
    Snapshot::take(host, paths.iter().map(PathBuf::as_path))
}

/// A daemon that is restarted sets up its bridge and the firewall anew, perhaps in the way of the
/// connection. A configuration that it was not proven to run with is no way back.
pub(super) fn way_back(
    declared: &DockerDaemon,
    host: &Host,
    found: &Found,
) -> Result<Option<WayBack>, Failure> {
    let restarts = found.running.is_some()
        && declared.wants_up(found)
        && declared.would_end(found)
        && found.is_proven();
    if !restarts {
        return Ok(None);
    }
    Ok(Some(WayBack {
        files: files_of(declared, host, found)?,
        restart: Some(UNIT.to_owned()),
        ..WayBack::default()
    }))
}

fn writes(declared: &DockerDaemon, found: &Found) -> Vec<Write> {
    let mut writes: Vec<Write> = declared
        .text_files(found)
        .into_iter()
        .filter(|(_, old, new)| old != new)
        .map(|(path, _, new)| (path, new.map(|text| text.as_bytes().to_vec())))
        .collect();
    if let Some(config) = &declared.config
        && found.daemon_json.settings().as_ref() != Some(config)
    {
        let mut json = serde_json::to_vec_pretty(config).expect("all keys are text");
        json.push(b'\n');
        writes.push((DAEMON_JSON.into(), Some(json)));
    }
    writes
}

fn put(host: &Host, found: &Found, writes: &[Write]) -> Result<(), Failure> {
    for (path, bytes) in writes {
        let Some(bytes) = bytes else {
            remove_file(path)?;
            continue;
        };
        if let Some(directory) = path.parent() {
            host.make_directory(directory, Permissions::default())?;
        }
        host.write(path, bytes, access::of_new_version(&found.access, path))?;
    }
    Ok(())
}

/// What the process that runs now has in effect.
fn has_read(
    declared: &DockerDaemon,
    host: &Host,
    found: &Found,
) -> Result<Option<HasRead>, Failure> {
    let process = found::process(host, &systemctl::settled(host, UNIT, Vec::new)?)?;
    Ok(declared
        .target(found)
        .map(|config| HasRead { process, config }))
}

/// Puts the files of before back and the daemon up again, if it was. Answers why the change
/// failed, and how it ended.
fn roll_back(
    declared: &DockerDaemon,
    host: &Host,
    mut memory: Memory,
    means: Means,
    cause: &Failure,
) -> Failure {
    let Some(before) = memory.before.take() else {
        return Failure::Unexpected(cause.to_string());
    };
    let undo = || {
        before.files.restore()?;
        systemctl::daemon_reload()?;
        match means {
            // It has gone on with the settings of before; this is for those it took over.
            Means::Reload => systemctl::tell("reload", UNIT)?,
            Means::Restart => {
                // One that hangs may not listen to being told to end.
                systemctl::kill_if_stuck(UNIT)?;
                if before.up {
                    // A limit too short for what is declared must not end what ran before, too.
                    restart(host, declared.limit().max(DEFAULT_LIMIT))?
                } else {
                    // Systemd would go on trying.
                    systemctl::tell_within("stop", UNIT, declared.limit())?
                }
            }
        };
        memory.save(host)
    };
    let undone = match undo() {
        Ok(()) if before.up => "the files of before are back and it runs with them".to_owned(),
        Ok(()) => "the files of before are back and it is down, as it was".to_owned(),
        Err(failure) => format!("nor could what was before be brought back ({failure})"),
    };
    let failed = match means {
        Means::Reload => "take over",
        Means::Restart => "come up with",
    };
    Failure::Unexpected(format!(
        "the daemon did not {failed} what is declared; {undone}: {cause}"
    ))
}

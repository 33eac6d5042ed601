//! The lock of rpm's transactions.
//!
//! rpm waits for it without an end, and rpm in a transaction must not be killed, so whether to
//! wait on is decided before rpm is started. Who holds it is read from `/proc/locks`, which
//! takes no lock itself.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::host::{Command, Failure, Host};

/// How long another transaction may go on.
const PATIENCE: Duration = Duration::from_mins(5);

/// Waits until no process holds the lock.
///
/// # Errors
/// [`Failure::Refused`] naming the holder once patience is over.
pub(crate) fn wait_until_free(host: &Host) -> Result<(), Failure> {
    let database = Command::new(["rpm", "--eval", "%{_dbpath}"]).run()?;
    let path = PathBuf::from(database.stdout.trim_end()).join(".rpm.lock");
    let deadline = Instant::now() + PATIENCE;
    while let Some(pid) = holder(host, &path)? {
        if Instant::now() >= deadline {
            return Err(Failure::Refused(format!(
                "the rpm database has been in use by {} for {} s; nothing was changed",
                describe(host, pid),
                PATIENCE.as_secs()
            )));
        }
        thread::sleep(Duration::from_millis(500));
    }
    Ok(())
}

fn holder(host: &Host, path: &Path) -> Result<Option<u32>, Failure> {
    let found = match fs::metadata(path) {
        Ok(found) => found,
        // No transaction has ever been made.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(Failure::io("look at", path, source)),
    };
    let device = found.dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let locks = host
        .read(Path::new("/proc/locks"), 1 << 20)?
        .unwrap_or_default();
    let file = format!("{major:02x}:{minor:02x}:{}", found.ino());
    Ok(parse_holder(&String::from_utf8_lossy(&locks), &file))
}

/// Lines are `1: POSIX  ADVISORY  WRITE 4711 fe:00:131083 0 EOF`; those of waiting processes
/// have an arrow after the number.
fn parse_holder(locks: &str, file: &str) -> Option<u32> {
    locks.lines().find_map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        let [_, class, _, _, pid, locked, ..] = words[..] else {
            return None;
        };
        (class != "->" && locked == file).then(|| pid.parse().ok())?
    })
}

fn describe(host: &Host, pid: u32) -> String {
    let comm = host
        .read(Path::new(&format!("/proc/{pid}/comm")), 64)
        .ok()
        .flatten();
    let comm = comm.map(|name| String::from_utf8_lossy(&name).trim().to_owned());
    match comm.filter(|name| !name.is_empty()) {
        Some(name) => format!("`{name}` (pid {pid})"),
        None => format!("the process {pid}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_who_holds_the_lock_and_not_who_waits_for_it() {
        let locks = "1: FLOCK  ADVISORY  WRITE 393 fe:00:131124 0 EOF\n\
                     2: OFDLCK ADVISORY  READ -1 00:05:4 0 EOF\n\
                     3: POSIX  ADVISORY  WRITE 4711 fe:00:131083 0 EOF\n\
                     3: -> POSIX  ADVISORY  WRITE 4712 fe:00:77 0 EOF\n";
        assert_eq!(parse_holder(locks, "fe:00:131083"), Some(4711));
        assert_eq!(parse_holder(locks, "fe:00:77"), None);
        assert_eq!(parse_holder(locks, "fd:00:131083"), None);
        assert_eq!(parse_holder("", "fe:00:131083"), None);
    }

    #[test]
    fn fuzz_proc_locks() {
        let sample = "1: POSIX  ADVISORY  WRITE 4711 fe:00:131083 0 EOF\n1: -> FLOCK ADVISORY READ 9 0:1:2 0 EOF\n";
        crate::fuzz::feed("proc_locks", [sample], |bytes| {
            parse_holder(&String::from_utf8_lossy(bytes), "fe:00:131083");
        });
    }
}

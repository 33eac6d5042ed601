//! Whether a unit runs what is on the disk.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::host::systemctl::Unit;
use crate::host::{Failure, HostPath};

/// The clock that stamps files ticks more coarsely than the one that stamps processes, and may
/// have been set since.
const TOLERANCE: Duration = Duration::from_secs(1);

/// What is newer than the unit's main process; nothing for a unit without one.
pub(super) fn newer_than_process(
    unit: &Unit,
    config_files: &[HostPath],
) -> Result<Vec<String>, Failure> {
    let process = unit.main_process.as_str();
    let (Some(started), false) = (unit.start_time(), matches!(process, "" | "0")) else {
        return Ok(Vec::new());
    };
    let mut newer = Vec::new();
    if program_was_replaced(process)? {
        newer.push("its program".to_owned());
    }
    let unit_files = [&unit.fragment].into_iter().chain(&unit.drop_ins);
    let unit_files = unit_files.map(PathBuf::as_path);
    for path in unit_files.chain(config_files.iter().map(|path| &**path)) {
        if changed_after(path, started)? {
            newer.push(path.display().to_string());
        }
    }
    Ok(newer)
}

/// Whether the file that a process runs was removed or replaced. A package keeps the times its
/// files had when it was built, so they tell nothing.
fn program_was_replaced(process: &str) -> Result<bool, Failure> {
    let path = Path::new("/proc").join(process).join("exe");
    match fs::read_link(&path) {
        Ok(program) => Ok(program.to_string_lossy().ends_with(" (deleted)")),
        // It ended meanwhile, and what comes after it is new.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(Failure::io("look at", &path, source)),
    }
}

fn changed_after(path: &Path, started: SystemTime) -> Result<bool, Failure> {
    match fs::metadata(path).and_then(|found| found.modified()) {
        Ok(changed) => Ok(changed > started + TOLERANCE),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(Failure::io("look at", path, source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_newer_only_if_it_was_changed_after_the_start() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("unit");
        fs::write(&path, "").unwrap();
        let written = fs::metadata(&path).unwrap().modified().unwrap();
        for (started, expected) in [
            (written + Duration::from_secs(5), false),
            (written, false),
            (written - Duration::from_secs(5), true),
        ] {
            assert_eq!(changed_after(&path, started).unwrap(), expected);
        }
        assert!(!changed_after(&base.path().join("none"), written).unwrap());
    }

    #[test]
    fn a_process_whose_program_was_removed_is_recognized() {
        let base = tempfile::tempdir().unwrap();
        let program = base.path().join("program");
        fs::copy("/bin/sleep", &program).unwrap();
        #[expect(clippy::disallowed_methods, reason = "a process to look at")]
        let mut child = std::process::Command::new(&program)
            .arg("60")
            .spawn()
            .unwrap();
        let process = child.id().to_string();
        assert!(!program_was_replaced(&process).unwrap());
        fs::remove_file(&program).unwrap();
        assert!(program_was_replaced(&process).unwrap());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!program_was_replaced(&process).unwrap());
    }
}

//! Why a program that is there does not start.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::StatVfsMountFlags;

use super::Failure;

/// No line that names an interpreter is longer.
const LONGEST_LINE: u64 = 256;

/// The true cause behind what the kernel says of a program given by its path, where that leads
/// astray.
pub(super) fn cause(program: &OsStr, error: &io::Error) -> Option<Failure> {
    let path = Path::new(program);
    let found = path.metadata().ok().filter(|_| path.is_absolute())?;
    let shown = path.display();
    match error.kind() {
        io::ErrorKind::NotFound => {
            let interpreter = interpreter(path)?;
            Some(Failure::Missing(format!(
                "the program `{interpreter}`, which {shown} names in its first line, is not \
                 installed"
            )))
        }
        io::ErrorKind::PermissionDenied if found.permissions().mode() & 0o111 == 0 => Some(
            Failure::Refused(format!("{shown} is not executable; give it the mode 0755")),
        ),
        io::ErrorKind::PermissionDenied if is_on_noexec(path) => Some(Failure::Refused(format!(
            "{shown} is on a file system that is mounted `noexec`, so nothing on it can be run; \
             put the program elsewhere"
        ))),
        _ => None,
    }
}

fn is_on_noexec(path: &Path) -> bool {
    rustix::fs::statvfs(path).is_ok_and(|found| found.f_flag.contains(StatVfsMountFlags::NOEXEC))
}

/// What `#!` names in the first line of a script.
fn interpreter(script: &Path) -> Option<String> {
    let mut line = Vec::new();
    let file = File::open(script).ok()?.take(LONGEST_LINE);
    BufReader::new(file).read_until(b'\n', &mut line).ok()?;
    let line = line.strip_prefix(b"#!")?;
    // A carriage return is part of the name, and mostly the reason why there is no such program.
    let line = String::from_utf8_lossy(line)
        .trim_end_matches('\n')
        .replace('\r', "\\r");
    line.split_ascii_whitespace().next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};

    use super::*;

    const NOENT: i32 = 2;
    const ACCES: i32 = 13;

    #[test]
    fn a_script_tells_which_program_it_lacks() {
        let base = tempfile::tempdir().unwrap();
        let script = base.path().join("script");
        let told = |text: &str, mode: u32, errno: i32| {
            fs::write(&script, text).unwrap();
            fs::set_permissions(&script, Permissions::from_mode(mode)).unwrap();
            let error = io::Error::from_raw_os_error(errno);
            cause(script.as_os_str(), &error).map(|failure| failure.to_string())
        };
        for (text, expected) in [
            ("#!/no/such/sh -e\n", "the program `/no/such/sh`, which "),
            ("#! /bin/sh\r\necho\r\n", "the program `/bin/sh\\r`, which "),
        ] {
            let told = told(text, 0o755, NOENT).unwrap();
            assert!(told.starts_with(expected), "{told}");
        }
        assert_eq!(told("no script", 0o755, NOENT), None);
        let not_executable = told("#!/bin/sh\n", 0o644, ACCES).unwrap();
        assert!(not_executable.ends_with("is not executable; give it the mode 0755"));
        let noexec = told("#!/bin/sh\n", 0o755, ACCES);
        assert_eq!(noexec.is_some(), is_on_noexec(&script));
        let gone = io::Error::from_raw_os_error(NOENT);
        assert!(cause(OsStr::new("/no/such/program"), &gone).is_none());
        assert!(cause(OsStr::new("ls"), &gone).is_none());
    }
}

//! Lets somebody edit a text that must not reach a disk.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::{cannot, refuse};
use crate::error::Error;
use crate::secret::Secret;

/// Memory that looks like a directory. Anywhere else, a deleted file stays on the disk.
const MEMORY: &str = "/dev/shm";

/// The magic number of tmpfs.
const TMPFS: u64 = 0x0102_1994;

/// Opens `text` in `command` as a file called `name`, and gives what became of it. The file is
/// private, in memory, and gone afterwards whatever happens short of a kill.
pub(super) fn edit(
    command: &str,
    name: &OsStr,
    text: &Secret,
    check: impl Fn(&Secret) -> Result<(), Error>,
) -> Result<Secret, Error> {
    let memory = Path::new(MEMORY);
    let in_memory = rustix::fs::statfs(memory)
        .is_ok_and(|stat| u64::try_from(stat.f_type).is_ok_and(|kind| kind == TMPFS));
    if !in_memory {
        return Err(refuse(format!(
            "`{MEMORY}` is not memory here, and an unencrypted file must not touch a disk"
        ))
        .hint("mount a tmpfs there, or edit on another machine"));
    }
    // Made with mode 0700.
    let folder = tempfile::Builder::new()
        .prefix("fleet-secret-")
        .tempdir_in(memory)
        .map_err(|error| cannot("make a directory in", memory, error))?;
    let path = folder.path().join(name);
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .and_then(|mut file| file.write_all(text.expose().as_bytes()))
        .map_err(|error| cannot("write", &path, error))?;
    start(command, &path)?;
    let mut edited = String::new();
    fs::File::open(&path)
        .and_then(|file| file.take(16 << 20).read_to_string(&mut edited))
        .map_err(|error| cannot("read", &path, error))?;
    let edited = Secret::new(edited);
    check(&edited).map_err(|error| error.hint("nothing was written; the file is as it was"))?;
    folder
        .close()
        .map_err(|error| cannot("remove", memory, error))?;
    Ok(edited)
}

fn start(command: &str, path: &Path) -> Result<(), Error> {
    let words = shlex::split(command)
        .filter(|words| !words.is_empty())
        .ok_or_else(|| refuse(format!("`{command}` is no command to edit with")))?;
    #[expect(
        clippy::disallowed_methods,
        reason = "an editor takes the terminal and as long as it likes"
    )]
    let status = std::process::Command::new(&words[0])
        .args(&words[1..])
        .arg(path)
        .status()
        .map_err(|error| {
            refuse(format!("cannot start the editor `{}`", words[0])).caused_by(error)
        })?;
    if status.success() {
        Ok(())
    } else {
        Err(
            refuse(format!("the editor `{}` failed ({status})", words[0]))
                .hint("nothing was written; the file is as it was"),
        )
    }
}

//! A journal's lock. It belongs to the open file, which a program that was just forked has as well:
//! closing the file alone would end it some time later.

use std::fs::{File, TryLockError};
use std::io;
use std::ops::Deref;

/// A file that is locked until this is dropped, and not a moment longer.
#[derive(Debug)]
pub(super) struct Locked(File);

impl Locked {
    /// Locks it against everybody else, and waits for whoever reads it.
    pub(super) fn when_free(file: File) -> io::Result<Self> {
        file.lock().map(|()| Self(file))
    }

    /// Locks it against everybody else, if nobody has it.
    pub(super) fn alone(file: File) -> Result<Self, TryLockError> {
        file.try_lock().map(|()| Self(file))
    }

    /// Locks it against those who want it alone.
    pub(super) fn shared(file: File) -> Result<Self, TryLockError> {
        file.try_lock_shared().map(|()| Self(file))
    }

    /// One that is none, for tests with a device.
    #[cfg(test)]
    pub(super) fn not_at_all(file: File) -> Self {
        Self(file)
    }
}

impl Deref for Locked {
    type Target = File;

    fn deref(&self) -> &File {
        &self.0
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_ends_when_it_is_dropped_whoever_else_has_the_file_open() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let open = || File::open(file.path()).unwrap();
        let locked = Locked::alone(open()).unwrap();
        let forked = locked.try_clone().unwrap();
        assert!(Locked::shared(open()).is_err());
        drop(locked);
        assert!(Locked::alone(open()).is_ok());
        drop(forked);
    }

    #[test]
    fn whoever_begins_a_journal_waits_for_who_reads_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let open = || File::open(file.path()).unwrap();
        let reading = Locked::shared(open()).unwrap();
        let (file, reader) = (open(), open());
        let waits = std::thread::spawn(move || Locked::when_free(file).map(drop));
        std::thread::sleep(std::time::Duration::from_millis(50));
        assert!(!waits.is_finished());
        assert!(Locked::shared(reader).is_ok(), "readers do not wait");
        drop(reading);
        waits.join().unwrap().unwrap();
    }
}

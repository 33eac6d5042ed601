//! Lines that are written while a run goes on, by a thread of their own: a reader that takes its
//! time (`fleet check --format jsonl | less`) must not hold up the hosts.

use std::io::Write as _;
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;

use super::destination::Destination;
use super::output::Output;
use crate::error::{Error, ErrorKind};
use crate::secret::Redactor;

/// Somewhere lines go.
pub(super) struct Sink(Box<Write>);

/// Writes one line.
type Write = dyn FnMut(&str) -> Result<(), Error> + Send;

impl Sink {
    /// This process's stdout.
    pub(super) fn stdout(redactor: &Redactor) -> Self {
        let mut output = Output::stdout(redactor.clone());
        Self(Box::new(move |line| output.write(line)))
    }

    /// A file.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(super) fn file(to: &Destination, redactor: &Redactor) -> Result<Self, Error> {
        let mut file = to.open()?;
        let (to, redactor) = (to.clone(), redactor.clone());
        Ok(Self(Box::new(move |line| {
            let written = file.write_all(redactor.redact(line).as_bytes());
            written.map_err(|error| to.failed(error))
        })))
    }
}

/// Writes lines to all of its sinks, in the order in which they were sent.
#[derive(Debug)]
pub(super) struct Stream {
    lines: Sender<String>,
    writer: JoinHandle<Vec<Error>>,
}

impl Stream {
    pub(super) fn start(mut sinks: Vec<Sink>) -> Self {
        let (lines, written) = mpsc::channel::<String>();
        let writer = std::thread::spawn(move || {
            let mut errors = Vec::new();
            for line in written {
                // What could not take one line gets no other: a gap would look like the truth.
                sinks.retain_mut(|Sink(write)| match write(&line) {
                    Ok(()) => true,
                    Err(error) => {
                        errors.push(error);
                        false
                    }
                });
            }
            errors
        });
        Self { lines, writer }
    }

    /// Sends a line that ends with a line break.
    pub(super) fn send(&self, line: String) {
        // The writer reads until this end is gone.
        let _ = self.lines.send(line);
    }

    /// Sends the last line, waits until all are written, and says what could not be.
    pub(super) fn end(self, last: String) -> Vec<Error> {
        self.send(last);
        drop(self.lines);
        let gone = |_| {
            vec![Error::new(
                ErrorKind::Internal,
                "the writer of lines has died",
            )]
        };
        self.writer.join().unwrap_or_else(gone)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn a_full_disk_loses_its_lines_and_nobody_elses() {
        let disks = [2, 9].map(|room| (room, Arc::new(Mutex::new(String::new()))));
        let sinks = disks.each_ref().map(|(room, written)| {
            let (mut room, written) = (*room, Arc::clone(written));
            Sink(Box::new(move |line: &str| {
                if room == 0 {
                    return Err(Error::new(ErrorKind::Internal, "full"));
                }
                room -= 1;
                written.lock().unwrap().push_str(line);
                Ok(())
            }))
        });
        let stream = Stream::start(sinks.into());
        for line in ["a\n", "b\n", "c\n"] {
            stream.send(line.to_owned());
        }
        let errors = stream.end("last\n".to_owned());
        assert_eq!(errors.len(), 1);
        assert_eq!(*disks[0].1.lock().unwrap(), "a\nb\n");
        assert_eq!(*disks[1].1.lock().unwrap(), "a\nb\nc\nlast\n");
    }
}

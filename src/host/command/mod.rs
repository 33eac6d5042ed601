//! Running programs on the host: argv only, bounded in time and output, never through a shell.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io::{self, Read, Write};
use std::mem;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{self, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::{Failure, start_failure};
use crate::protocol::Output;

/// How long a program may run unless told otherwise.
const DEFAULT_TIMEOUT: Duration = Duration::from_mins(10);

/// How long a program that was asked to end (SIGTERM) may take before it is killed.
const GRACE: Duration = Duration::from_secs(5);

/// Longer than any program that is not a service may run.
const LONGEST_TIMEOUT: Duration = Duration::from_hours(30 * 24);

/// How long to wait for output after the end of the program that was started.
const LINGER: Duration = Duration::from_secs(3);

/// Between two looks whether a program has ended; doubled up to the longest.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// A program to run. Standard input is empty unless given, output is captured.
#[derive(Clone, Debug)]
#[must_use = "a command does nothing until run"]
pub struct Command {
    argv: Vec<OsString>,
    stdin: Vec<u8>,
    directory: Option<PathBuf>,
    environment: BTreeMap<String, String>,
    timeout: Duration,
    keep: usize,
}

/// A program that did not do what was asked of it.
#[derive(Debug)]
pub struct CommandFailure {
    /// What was run.
    pub argv: Vec<OsString>,
    /// How it ended.
    pub reason: CommandEnd,
    /// What it printed until then.
    pub output: Output,
}

/// How a program that failed ended.
#[derive(Debug)]
pub enum CommandEnd {
    /// It could not be started.
    Start(io::Error),
    /// It ended with a status other than 0.
    Status,
    /// It ran longer than allowed and was killed.
    Timeout(Duration),
    /// Its pipes broke.
    Io(io::Error),
}

impl std::error::Error for CommandFailure {}

impl fmt::Display for CommandFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: Vec<_> = self
            .argv
            .iter()
            .map(|word| word.to_string_lossy())
            .collect();
        write!(f, "`{}` ", shown.join(" "))?;
        match &self.reason {
            CommandEnd::Start(error) => write!(f, "could not be started: {error}")?,
            CommandEnd::Status => write!(f, "ended with status {}", self.output.rc)?,
            CommandEnd::Timeout(limit) => {
                write!(f, "was stopped after {} s without an end", limit.as_secs())?;
            }
            CommandEnd::Io(error) => write!(f, "lost its pipes: {error}")?,
        }
        let said = match self.output.stderr.trim() {
            "" => self.output.stdout.trim(),
            stderr => stderr,
        };
        let lines: Vec<_> = said.lines().collect();
        for line in lines.iter().skip(lines.len().saturating_sub(10)) {
            write!(f, "\n    {line}")?;
        }
        Ok(())
    }
}

impl Command {
    /// A program by name (looked up in PATH) or path, and its arguments.
    pub fn new<I>(argv: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<OsString>,
    {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            stdin: Vec::new(),
            directory: None,
            environment: BTreeMap::new(),
            timeout: DEFAULT_TIMEOUT,
            keep: Output::LIMIT,
        }
    }

    /// The program and its arguments.
    pub(crate) fn argv(&self) -> &[OsString] {
        &self.argv
    }

    /// Appends one argument.
    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.argv.push(argument.into());
        self
    }

    /// Appends several arguments.
    pub fn args<I>(mut self, arguments: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<OsString>,
    {
        self.argv.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// What the program reads on standard input. The place for secrets, never argv.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// Where the program runs; `/` unless told otherwise.
    pub fn directory(mut self, path: impl Into<PathBuf>) -> Self {
        self.directory = Some(path.into());
        self
    }

    /// Sets one environment variable. Others are inherited, with `LC_ALL=C`.
    pub fn environment(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    /// How long the program may run before it and its children are ended; at most 30 days.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = Self::longest(limit);
        self
    }

    /// As long as this, or as long as a program may run at all.
    #[must_use]
    pub fn longest(limit: Duration) -> Duration {
        limit.min(LONGEST_TIMEOUT)
    }

    /// How many bytes of each stream are kept, if not [`Output::LIMIT`].
    pub fn keep(mut self, bytes: usize) -> Self {
        self.keep = bytes;
        self
    }

    /// Runs the program and returns what it left, whatever its status.
    ///
    /// A program that ends and leaves others behind with its output open (a daemon) has ended;
    /// what those print is not waited for.
    ///
    /// # Errors
    /// [`Failure::Missing`] if there is no such program; [`Failure::Command`] if it could not
    /// be started or ran out of time.
    pub fn output(&self) -> Result<Output, Failure> {
        let mut child = self.spawn()?;
        let streams = [Stream::default(), Stream::default()];
        let end = self.attend(&mut child, &streams);
        let rc = match &end {
            Ok(status) => status
                .code()
                .unwrap_or_else(|| 128 + status.signal().unwrap_or_default()),
            Err(_) => -1,
        };
        if end.is_err() {
            end_group(&mut child);
        }
        let [stdout, stderr] = streams.map(|stream| stream.take());
        let output = Output {
            rc,
            stdout: String::from_utf8_lossy(&stdout.bytes).into_owned(),
            stderr: String::from_utf8_lossy(&stderr.bytes).into_owned(),
            truncated: stdout.is_truncated() || stderr.is_truncated(),
        };
        match end {
            Ok(_) => Ok(output),
            Err(reason) => Err(CommandFailure {
                argv: self.argv.clone(),
                reason,
                output,
            }
            .into()),
        }
    }

    /// Moves bytes in and out until the program has ended.
    fn attend(
        &self,
        child: &mut process::Child,
        streams: &[Stream; 2],
    ) -> Result<ExitStatus, CommandEnd> {
        if let Some(mut pipe) = child.stdin.take() {
            let bytes = self.stdin.clone();
            // A program may exit without reading its input: EPIPE is no failure.
            start(move || drop(pipe.write_all(&bytes)))?;
        }
        let (sender, closed) = mpsc::channel();
        let pipes: [Option<Box<dyn Read + Send>>; 2] = [
            child.stdout.take().map(|pipe| Box::new(pipe) as _),
            child.stderr.take().map(|pipe| Box::new(pipe) as _),
        ];
        for (pipe, stream) in pipes.into_iter().zip(streams) {
            let (sender, stream, keep) = (sender.clone(), stream.clone(), self.keep);
            start(move || {
                let read = pipe.map_or(Ok(()), |pipe| stream.read(pipe, keep));
                // The receiver is gone after a timeout, when nobody waits for the end.
                drop(sender.send(read));
            })?;
        }
        drop(sender);

        let deadline = Instant::now() + self.timeout;
        let mut pause = SHORTEST_PAUSE;
        let status = loop {
            if let Some(status) = child.try_wait().map_err(CommandEnd::Io)? {
                break status;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(CommandEnd::Timeout(self.timeout));
            }
            // Mostly a program closes its output by ending, so this wakes at the right moment;
            // the pauses are for programs that close it and live on.
            match closed.recv_timeout(pause.min(left)) {
                Ok(read) => read.map_err(CommandEnd::Io)?,
                Err(RecvTimeoutError::Timeout) => pause = (pause * 2).min(LONGEST_PAUSE),
                Err(RecvTimeoutError::Disconnected) => thread::sleep(pause.min(left)),
            }
        };
        let deadline = Instant::now() + LINGER;
        while let Ok(read) = closed.recv_timeout(deadline.saturating_duration_since(Instant::now()))
        {
            read.map_err(CommandEnd::Io)?;
        }
        Ok(status)
    }

    /// Runs the program and returns what it left, if it succeeded.
    ///
    /// # Errors
    /// As [`output`](Self::output), and [`Failure::Command`] for a status other than 0.
    pub fn run(&self) -> Result<Output, Failure> {
        let output = self.output()?;
        if output.rc == 0 {
            return Ok(output);
        }
        Err(CommandFailure {
            argv: self.argv.clone(),
            reason: CommandEnd::Status,
            output,
        }
        .into())
    }

    fn spawn(&self) -> Result<process::Child, Failure> {
        let program = &self.argv[0];
        #[expect(
            clippy::disallowed_methods,
            reason = "the one place that starts programs"
        )]
        process::Command::new(program)
            .args(&self.argv[1..])
            .current_dir(self.directory.as_deref().unwrap_or("/".as_ref()))
            .env("LC_ALL", "C")
            .envs(&self.environment)
            .stdin(if self.stdin.is_empty() {
                Stdio::null()
            } else {
                Stdio::piped()
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Its own group, so that a timeout ends its children too.
            .process_group(0)
            .spawn()
            .map_err(|error| {
                if let Some(cause) = start_failure::cause(program, &error) {
                    return cause;
                }
                if error.kind() == io::ErrorKind::NotFound && self.directory.is_none() {
                    return Failure::Missing(missing(&program.to_string_lossy()));
                }
                Failure::Command(CommandFailure {
                    argv: self.argv.clone(),
                    reason: CommandEnd::Start(error),
                    output: Output::default(),
                })
            })
    }
}

/// Why there is no such program, as far as its name tells.
fn missing(program: &str) -> String {
    let reason = if program.contains(char::is_whitespace) {
        ": the name has a blank in it; write the program and each argument as a word of its own"
    } else {
        ""
    };
    format!("the program `{program}` is not installed{reason}")
}

/// What a program printed on one stream so far. Shared with the thread that reads it.
#[derive(Clone, Default)]
struct Stream(Arc<Mutex<Captured>>);

#[derive(Default)]
struct Captured {
    bytes: Vec<u8>,
    /// More came than is kept.
    cut: bool,
    /// Everything was read.
    ended: bool,
}

impl Captured {
    fn is_truncated(&self) -> bool {
        self.cut || !self.ended
    }
}

impl Stream {
    /// Reads a pipe to its end, keeping the first bytes and dropping the rest.
    fn read(&self, mut pipe: Box<dyn Read + Send>, keep: usize) -> io::Result<()> {
        let mut piece = vec![0; 16 * 1024];
        loop {
            let length = match pipe.read(&mut piece) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            let mut captured = self.captured();
            if length == 0 {
                captured.ended = true;
                return Ok(());
            }
            let kept = length.min(keep.saturating_sub(captured.bytes.len()));
            captured.bytes.extend_from_slice(&piece[..kept]);
            captured.cut |= kept < length;
        }
    }

    fn take(&self) -> Captured {
        mem::take(&mut *self.captured())
    }

    fn captured(&self) -> MutexGuard<'_, Captured> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts a thread; on a host at its limit of threads that is an error, not a panic.
fn start(work: impl FnOnce() + Send + 'static) -> Result<(), CommandEnd> {
    let started = thread::Builder::new().spawn(work);
    started.map(drop).map_err(CommandEnd::Io)
}

/// Ends a program and everything it started: politely, then for sure.
fn end_group(child: &mut process::Child) {
    use rustix::process::{Pid, Signal, kill_process_group};
    let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) else {
        return;
    };
    // Errors mean that nothing is left to end.
    let _ = kill_process_group(group, Signal::TERM);
    let deadline = Instant::now() + GRACE;
    while Instant::now() < deadline {
        if matches!(child.try_wait(), Ok(Some(_)) | Err(_)) {
            break;
        }
        thread::sleep(Duration::from_millis(20));
    }
    let _ = kill_process_group(group, Signal::KILL);
    let _ = child.wait();
}

#[cfg(test)]
mod tests;

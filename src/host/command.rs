//! Running programs on the host: argv only, bounded in time and output, never through a shell.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io::{self, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{self, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::Failure;
use crate::protocol::Output;

/// How long a program may run unless told otherwise.
const DEFAULT_TIMEOUT: Duration = Duration::from_mins(10);

/// How long a program that was asked to end (SIGTERM) may take before it is killed.
const GRACE: Duration = Duration::from_secs(5);

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

    /// How long the program may run before it and its children are ended.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// How many bytes of each stream are kept, if not [`Output::LIMIT`].
    pub fn keep(mut self, bytes: usize) -> Self {
        self.keep = bytes;
        self
    }

    /// Runs the program and returns what it left, whatever its status.
    ///
    /// # Errors
    /// [`Failure::Missing`] if there is no such program; [`Failure::Command`] if it could not
    /// be started or ran out of time.
    pub fn output(&self) -> Result<Output, Failure> {
        let mut child = self.spawn()?;
        let failure = |reason, output| {
            Failure::Command(CommandFailure {
                argv: self.argv.clone(),
                reason,
                output,
            })
        };
        let deadline = Instant::now() + self.timeout;

        let stdin = child.stdin.take();
        let bytes = self.stdin.clone();
        // A program may exit without reading its input: EPIPE is no failure.
        thread::spawn(move || stdin.map(|mut pipe| pipe.write_all(&bytes)));

        let (sender, receiver) = mpsc::channel();
        let streams: [(usize, Option<Box<dyn Read + Send>>); 2] = [
            (0, child.stdout.take().map(|pipe| Box::new(pipe) as _)),
            (1, child.stderr.take().map(|pipe| Box::new(pipe) as _)),
        ];
        for (index, stream) in streams {
            let sender = sender.clone();
            let keep = self.keep;
            thread::spawn(move || {
                let captured =
                    stream.map_or_else(|| Ok(Captured::default()), |pipe| capture(pipe, keep));
                // The receiver is gone only after a timeout, when nobody wants the output.
                let _ = sender.send((index, captured));
            });
        }
        drop(sender);

        let mut captured = [Captured::default(), Captured::default()];
        for _ in 0..captured.len() {
            let left = deadline.saturating_duration_since(Instant::now());
            match receiver.recv_timeout(left) {
                Ok((index, Ok(stream))) => captured[index] = stream,
                Ok((_, Err(error))) => {
                    end_group(&mut child);
                    return Err(failure(CommandEnd::Io(error), into_output(-1, captured)));
                }
                Err(_) => {
                    end_group(&mut child);
                    return Err(failure(
                        CommandEnd::Timeout(self.timeout),
                        into_output(-1, captured),
                    ));
                }
            }
        }
        let status = loop {
            match child.try_wait() {
                Ok(Some(status)) => break status,
                // Both pipes are closed, so the end is near; a program that closes its output
                // and lives on is the rare case this poll is for.
                Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(2)),
                Ok(None) => {
                    end_group(&mut child);
                    return Err(failure(
                        CommandEnd::Timeout(self.timeout),
                        into_output(-1, captured),
                    ));
                }
                Err(error) => {
                    return Err(failure(CommandEnd::Io(error), into_output(-1, captured)));
                }
            }
        };
        let rc = status
            .code()
            .unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
        Ok(into_output(rc, captured))
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
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Its own group, so that a timeout ends its children too.
            .process_group(0)
            .spawn()
            .map_err(|error| {
                if error.kind() == io::ErrorKind::NotFound && self.directory.is_none() {
                    return Failure::Missing(format!(
                        "the program `{}` is not installed",
                        program.to_string_lossy()
                    ));
                }
                Failure::Command(CommandFailure {
                    argv: self.argv.clone(),
                    reason: CommandEnd::Start(error),
                    output: Output::default(),
                })
            })
    }
}

#[derive(Default)]
struct Captured {
    bytes: Vec<u8>,
    truncated: bool,
}

/// Reads a stream to its end, keeping its first bytes and dropping the rest.
fn capture(mut stream: Box<dyn Read + Send>, keep: usize) -> io::Result<Captured> {
    let mut captured = Captured::default();
    stream
        .by_ref()
        .take(keep as u64)
        .read_to_end(&mut captured.bytes)?;
    captured.truncated = io::copy(&mut stream, &mut io::sink())? > 0;
    Ok(captured)
}

fn into_output(rc: i32, [stdout, stderr]: [Captured; 2]) -> Output {
    Output {
        rc,
        stdout: String::from_utf8_lossy(&stdout.bytes).into_owned(),
        stderr: String::from_utf8_lossy(&stderr.bytes).into_owned(),
        truncated: stdout.truncated || stderr.truncated,
    }
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
mod tests {
    use super::*;

    #[test]
    fn captures_both_streams_and_the_status() {
        let output = Command::new(["sh", "-c", "echo out; echo err >&2; exit 3"])
            .output()
            .unwrap();
        assert_eq!(
            (output.rc, output.stdout.as_str(), output.stderr.as_str()),
            (3, "out\n", "err\n")
        );
    }

    #[test]
    fn names_a_program_that_is_not_there() {
        let failure = Command::new(["fleet-no-such-program"])
            .output()
            .unwrap_err();
        assert_eq!(
            failure.to_string(),
            "the program `fleet-no-such-program` is not installed"
        );
    }

    #[test]
    fn cuts_endless_output_and_says_so() {
        let output = Command::new(["sh", "-c", "head -c 1000000 /dev/zero"])
            .output()
            .unwrap();
        assert_eq!(
            (output.stdout.len(), output.truncated),
            (Output::LIMIT, true)
        );
    }

    #[test]
    fn ends_a_program_and_its_children_at_the_deadline() {
        let begin = Instant::now();
        let failure = Command::new(["sh", "-c", "sleep 60 & wait"])
            .timeout(Duration::from_millis(200))
            .output()
            .unwrap_err();
        assert!(
            failure.to_string().contains("was stopped after"),
            "{failure}"
        );
        assert!(begin.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn gives_bytes_to_a_program_that_reads_none_of_them() {
        Command::new(["true"])
            .stdin(vec![b'x'; 1 << 20])
            .run()
            .unwrap();
    }
}

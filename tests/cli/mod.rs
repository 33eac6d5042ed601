//! The real binary, as a user meets it: arguments in; stdout, stderr and an exit code out.

#![expect(
    clippy::unwrap_used,
    reason = "a fixture that fails is a test that fails"
)]

mod help;
mod hosts;
mod output;
mod plays;
mod trust;
mod usage;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// One invocation of fleet, in an empty directory and an empty environment.
pub(crate) struct Fleet {
    command: Command,
    directory: tempfile::TempDir,
    stdout: Option<Stdio>,
}

/// What came of it.
#[must_use]
pub(crate) struct Ended {
    pub stdout: String,
    pub stderr: String,
    pub code: i32,
}

impl Fleet {
    pub(crate) fn new<'a>(args: impl IntoIterator<Item = &'a str>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        #[expect(
            clippy::disallowed_methods,
            reason = "the test starts the binary it tests"
        )]
        let mut command = Command::new(env!("CARGO_BIN_EXE_fleet"));
        command
            .args(args)
            .env_clear()
            .env("HOME", directory.path())
            .env("PATH", "/usr/bin:/bin")
            .current_dir(directory.path())
            .stdin(Stdio::null());
        Self {
            command,
            directory,
            stdout: None,
        }
    }

    /// Runs fleet on a terminal, whose stdout and stderr are one.
    pub(crate) fn on_a_terminal(args: &str, variables: &[(&str, &str)]) -> Ended {
        let mut fleet = Self::new([]);
        #[expect(
            clippy::disallowed_methods,
            reason = "the test starts the binary it tests"
        )]
        let mut command = Command::new("script");
        command
            .args(["--quiet", "--return", "--command"])
            .arg(format!("{} {args}", env!("CARGO_BIN_EXE_fleet")))
            .arg("/dev/null")
            .env_clear()
            .env("HOME", fleet.directory.path())
            .env("PATH", "/usr/bin:/bin")
            .envs(variables.iter().copied())
            .current_dir(fleet.directory.path())
            .stdin(Stdio::null());
        fleet.command = command;
        fleet.run()
    }

    /// Puts a file where fleet is started.
    pub(crate) fn file(self, path: &str, text: &str) -> Self {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Sends stdout elsewhere; the result then has none.
    pub(crate) fn stdout(mut self, file: std::fs::File) -> Self {
        self.stdout = Some(file.into());
        self
    }

    pub(crate) fn run(mut self) -> Ended {
        self.command
            .stdout(self.stdout.take().unwrap_or_else(Stdio::piped))
            .stderr(Stdio::piped());
        let output = self.command.spawn().unwrap().wait_with_output().unwrap();
        // Places in temporary directories differ from run to run.
        let here = self.directory.path().to_string_lossy().into_owned();
        let text = |bytes| String::from_utf8(bytes).unwrap().replace(&here, "[HERE]");
        Ended {
            stdout: text(output.stdout),
            stderr: text(output.stderr),
            code: output.status.code().expect("fleet was killed"),
        }
    }

    /// Runs fleet with a stdout that is closed after `bytes` have been read.
    pub(crate) fn run_with_impatient_reader(mut self, bytes: usize) -> Ended {
        let mut child = self
            .command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut read = vec![0; bytes];
        let mut stdout = child.stdout.take().unwrap();
        stdout.read_exact(&mut read).unwrap();
        drop(stdout);
        let mut stderr = String::new();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut stderr)
            .unwrap();
        let code = child.wait().unwrap().code().expect("fleet was killed");
        Ended {
            stdout: String::from_utf8_lossy(&read).into_owned(),
            stderr,
            code,
        }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }
}

impl Ended {
    /// Itself, if fleet ended with this code.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}", self.all());
        self
    }

    /// Exit code, stdout and stderr in one text, for snapshots.
    pub(crate) fn all(&self) -> String {
        let Self {
            stdout,
            stderr,
            code,
        } = self;
        format!("exit {code}\n----- stdout\n{stdout}----- stderr\n{stderr}")
    }
}

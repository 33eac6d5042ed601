//! The helper as the controller meets it: a process, two pipes and the protocol.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufReader, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use fleet::protocol::wire;
use fleet::protocol::{Begin, Claim, Event, Message, Mode, Outcome, Status, Task, TaskId};
use fleet::resource::AnyResource;
use serde_json::{Value, json};

mod confirmation;
mod contents;
mod conversation;
mod faults;
mod handlers;
mod lock;
mod lost_connection;
mod questions;
mod stop;

/// No test waits longer for a helper.
const DEADLINE: Duration = Duration::from_mins(1);

/// A host of its own: a directory to declare things in, and fleet's state beside it.
struct Machine {
    base: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        let base = tempfile::tempdir().unwrap();
        fs::create_dir(base.path().join("root")).unwrap();
        Self { base }
    }

    fn root(&self) -> PathBuf {
        self.base.path().join("root")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    fn state(&self) -> PathBuf {
        self.base.path().join("state")
    }

    /// Puts a program in the way of the host's own: a shell script that runs in the root.
    fn program(&self, name: &str, script: &str) {
        let directory = self.base.path().join("bin");
        fs::create_dir_all(&directory).unwrap();
        let path = directory.join(name);
        let root = self.root();
        fs::write(
            &path,
            format!("#!/bin/sh\ncd {}\n{script}\n", root.display()),
        )
        .unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// A helper that has greeted and was told how to run.
    fn helper(&self, mode: Mode) -> Helper {
        let mut helper = Helper::start(&self.state());
        helper.greeting = helper.next();
        assert!(
            matches!(helper.greeting, Some(Event::Hello { .. })),
            "{:?}",
            helper.greeting
        );
        helper.send(&begin(mode, None));
        helper.beginning = helper.next();
        helper
    }

    /// Runs tasks to the end.
    fn run(&self, mode: Mode, tasks: &[Task]) -> Vec<Outcome> {
        let mut helper = self.helper(mode);
        for task in tasks {
            helper.send(&Message::Task(Box::new(task.clone())));
        }
        helper.send(&Message::End);
        helper.outcomes()
    }

    /// Every path below with what identifies its content and its attributes.
    fn snapshot(&self) -> BTreeMap<PathBuf, (u64, u32, i64, Vec<u8>)> {
        fn walk(path: &Path, found: &mut BTreeMap<PathBuf, (u64, u32, i64, Vec<u8>)>) {
            for entry in fs::read_dir(path).unwrap() {
                let path = entry.unwrap().path();
                let metadata = fs::symlink_metadata(&path).unwrap();
                let bytes = if metadata.is_file() {
                    fs::read(&path).unwrap()
                } else {
                    Vec::new()
                };
                let about = (
                    metadata.ino(),
                    metadata.mode(),
                    metadata.ctime_nsec(),
                    bytes,
                );
                found.insert(path.clone(), about);
                if metadata.is_dir() {
                    walk(&path, found);
                }
            }
        }
        let mut found = BTreeMap::new();
        walk(self.base.path(), &mut found);
        found
    }
}

fn begin(mode: Mode, claim: Option<Claim>) -> Message {
    Message::Begin(Begin {
        mode,
        diff: true,
        run_id: "test".to_owned(),
        claim,
        playbook: None,
    })
}

/// A running helper.
struct Helper {
    child: Child,
    stdin: Option<ChildStdin>,
    /// Until nobody listens any more.
    stdout: Option<BufReader<ChildStdout>>,
    greeting: Option<Event>,
    beginning: Option<Event>,
    /// Dropped when the helper is: ends the watch over it.
    _watch: mpsc::Sender<()>,
}

impl Helper {
    #[expect(clippy::disallowed_methods, reason = "the process under test")]
    fn start(state: &Path) -> Self {
        // Where a test puts programs of its own.
        let mut path = state.with_file_name("bin").into_os_string();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        let mut child = Command::new(env!("CARGO_BIN_EXE_fleet-helper"))
            .arg("serve")
            .env("FLEET_STATE_DIR", state)
            .env("PATH", path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (watch, over) = mpsc::channel();
        let pid = rustix::process::Pid::from_child(&child);
        thread::spawn(move || {
            if over.recv_timeout(DEADLINE) == Err(mpsc::RecvTimeoutError::Timeout) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        });
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().map(BufReader::new);
        Self {
            child,
            stdin,
            stdout,
            greeting: None,
            beginning: None,
            _watch: watch,
        }
    }

    fn pending(&self) -> Vec<String> {
        match &self.beginning {
            Some(Event::Begun { pending, .. }) => pending.clone(),
            other => panic!("no beginning but {other:?}"),
        }
    }

    fn send(&mut self, message: &Message) {
        self.send_bytes(&wire::encode(message));
    }

    fn send_bytes(&mut self, bytes: &[u8]) {
        self.stdin.as_mut().unwrap().write_all(bytes).unwrap();
    }

    fn hang_up(&mut self) {
        self.stdin = None;
    }

    fn close_ears(&mut self) {
        self.stdout = None;
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The next event; `None` at the end of the stream.
    fn next(&mut self) -> Option<Event> {
        let line = wire::read_line(self.stdout.as_mut().unwrap()).unwrap()?;
        Some(wire::decode(&line).unwrap())
    }

    /// The outcome of the next task to finish.
    fn finished(&mut self, task: TaskId) -> Outcome {
        loop {
            match self.next().expect("the task is over before the stream") {
                Event::Finished { id, outcome, .. } if id == task => return outcome,
                Event::Started { .. } => {}
                event => panic!("unexpected {event:?}"),
            }
        }
    }

    /// The outcomes of all tasks; the stream must end with `Done`.
    fn outcomes(mut self) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        loop {
            match self.next().expect("Done before the end of the stream") {
                Event::Finished { outcome, .. } => outcomes.push(outcome),
                Event::Started { id } => assert_eq!(id as usize, outcomes.len()),
                Event::Done { .. } => break,
                event => panic!("unexpected {event:?}"),
            }
        }
        assert!(self.next().is_none(), "Done is the last event");
        assert!(self.child.wait().unwrap().success());
        outcomes
    }

    /// The rest of the events, the exit status and what was said on stderr.
    fn rest(mut self) -> (Vec<Event>, ExitStatus, String) {
        let events = std::iter::from_fn(|| self.next()).collect();
        let mut said = String::new();
        self.child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        (events, self.child.wait().unwrap(), said)
    }
}

/// Dropping a `Child` ends nothing.
impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[expect(clippy::needless_pass_by_value, reason = "`json!` in place reads best")]
fn task(id: TaskId, kind: &str, declared: Value) -> Task {
    let resource: AnyResource =
        serde_json::from_value(json!({ "kind": kind, "declared": declared })).unwrap();
    resource.validate().unwrap();
    Task::new(id, resource)
}

fn statuses(outcomes: &[Outcome]) -> Vec<Status> {
    outcomes.iter().map(|outcome| outcome.status).collect()
}

fn message(outcome: &Outcome) -> &str {
    outcome.message.as_deref().unwrap_or_default()
}

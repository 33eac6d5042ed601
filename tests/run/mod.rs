//! The real fleet and the real helper, end to end: on this machine (`ansible_connection: local`)
//! and over loopback sshds. Everything they touch is below one temporary directory.

mod answers;
mod compare;
mod exec;
mod exit_codes;
mod formats;
mod handlers;
mod hostile;
mod interrupt;
mod killed;
mod lock;
mod lost_connection;
mod machines;
mod memory;
mod orphans;
mod registered;
mod report;
mod rollout;
mod secrets;
mod selection;
mod several_hosts;
mod waivers;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cli::Ended;

/// Waits until something is so: for as long as a computer may take that does much else besides.
pub(crate) fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(2);
    while !done() {
        assert!(Instant::now() < deadline, "{what}: not in time");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A directory with an inventory and playbooks, and hosts whose state is below it.
pub(crate) struct Site {
    directory: tempfile::TempDir,
}

impl Site {
    /// One host, `node1`, which is this machine.
    pub(crate) fn local() -> Self {
        Self::with_hosts(&["node1"])
    }

    /// These hosts, all of which are this machine.
    pub(crate) fn with_hosts(names: &[&str]) -> Self {
        let hosts: Vec<_> = names
            .iter()
            .map(|name| format!("    {name}: {{ansible_connection: local}}\n"))
            .collect();
        Self::with_inventory(&format!("all:\n  hosts:\n{}", hosts.concat()))
    }

    pub(crate) fn with_inventory(text: &str) -> Self {
        let site = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        site.file("inventory/hosts.yml", text)
    }

    /// A site whose `play.yml` is one play on all hosts with these tasks (and handlers).
    pub(crate) fn with_tasks(tasks: &str) -> Self {
        Self::local().tasks(tasks)
    }

    /// Replaces the tasks of `play.yml`.
    pub(crate) fn tasks(self, tasks: &str) -> Self {
        self.file("play.yml", &format!("- hosts: all\n  tasks:\n{tasks}"))
    }

    pub(crate) fn file(self, path: &str, text: &str) -> Self {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    /// What a file holds; empty if there is none.
    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_default()
    }

    /// fleet, started at the site. Playbooks know the site as `here`.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        self.command_of(Path::new(env!("CARGO_BIN_EXE_fleet")), args)
    }

    /// Another copy of fleet, started in the same way.
    pub(crate) fn command_of(&self, fleet: &Path, args: &[&str]) -> Command {
        #[expect(
            clippy::disallowed_methods,
            reason = "the test starts the binary it tests"
        )]
        let mut command = Command::new(fleet);
        command
            .args(args)
            .env_clear()
            .env("HOME", self.directory.path())
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("FLEET_STATE_DIR", self.path("state"))
            .current_dir(self.directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub(crate) fn start(&self, args: &[&str]) -> Child {
        self.command(args).spawn().unwrap()
    }

    pub(crate) fn fleet(&self, args: &[&str]) -> Ended {
        self.end_of(self.start(args))
    }

    pub(crate) fn end_of(&self, child: Child) -> Ended {
        let output = child.wait_with_output().unwrap();
        // Places in temporary directories differ from run to run.
        let here = self.directory.path().to_string_lossy().into_owned();
        let text = |bytes| String::from_utf8(bytes).unwrap().replace(&here, "[HERE]");
        Ended {
            stdout: text(output.stdout),
            stderr: text(output.stderr),
            code: output.status.code().expect("fleet was killed"),
        }
    }

    /// Runs `play.yml`.
    pub(crate) fn play(&self, verb: &str, args: &[&str]) -> Ended {
        let here = format!("here={}", self.directory.path().display());
        let mut all = vec![verb, "play.yml", "-e", &here];
        if verb == "apply" {
            all.push("--yes");
        }
        all.extend(args);
        self.fleet(&all)
    }

    pub(crate) fn apply(&self) -> Ended {
        self.play("apply", &[])
    }

    pub(crate) fn check(&self) -> Ended {
        self.play("check", &[])
    }

    /// Runs `play.yml` and gives the JSON document and the exit code.
    pub(crate) fn json(&self, verb: &str, args: &[&str]) -> (Value, i32) {
        let args = [&["--format", "json"], args].concat();
        let ended = self.play(verb, &args);
        let document = serde_json::from_str(&ended.stdout).unwrap_or_else(|error| {
            panic!("{error}: {}", ended.all());
        });
        (document, ended.code)
    }

    /// The status of every task of the first host, as `name: status`, all of them.
    pub(crate) fn statuses(&self, verb: &str, args: &[&str]) -> Vec<String> {
        let args = [&["-v"], args].concat();
        let (document, _) = self.json(verb, &args);
        let resources = document["hosts"][0]["resources"].as_array().unwrap();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        resources
            .iter()
            .map(|found| format!("{}: {}", text(&found["task"]), text(&found["status"])))
            .collect()
    }
}

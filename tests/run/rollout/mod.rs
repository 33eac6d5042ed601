//! How an apply goes over its hosts: batches, budgets, pauses, and going on after any end.

mod batches;
mod budget;
mod journal;
mod killed;
mod resume;

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Stdio};

use serde_json::Value;

use super::Site;
use crate::cli::Ended;
use crate::sshd::free_port;

/// Some hosts, each with a state and a lock of its own. Those whose names begin with `gone` are
/// not reached.
pub(super) struct Fleet {
    pub(super) site: Site,
}

impl Fleet {
    /// `play` is one play without its `hosts`.
    pub(super) fn new(names: &[&str], play: &str) -> Self {
        let host = |name: &&str| {
            if name.starts_with("gone") {
                let port = free_port();
                return format!("    {name}: {{ansible_host: 127.0.0.1, ansible_port: {port}}}\n");
            }
            format!("    {name}: {{ansible_connection: local, ansible_become: true}}\n")
        };
        let hosts: Vec<_> = names.iter().map(host).collect();
        let site = Site::with_inventory(&format!("all:\n  hosts:\n{}", hosts.concat()))
            // A directory above may have a project of its own.
            .file("fleet.yml", "memory: {keep_days: 365}\n")
            .file("play.yml", &format!("- name: roll\n  hosts: all\n{play}"))
            // Each time it is another machine.
            .file(
                "bin/sudo",
                "#!/bin/sh\nwhile [ \"$1\" != -- ]; do shift; done; shift\n\
                 FLEET_STATE_DIR=${FLEET_STATE_DIR}$$ exec \"$@\"\n",
            );
        fs::set_permissions(site.path("bin/sudo"), fs::Permissions::from_mode(0o755)).unwrap();
        Self { site }
    }

    pub(super) fn start(&self, args: &[&str]) -> Child {
        let path = format!("{}:/usr/bin:/bin", self.site.path("bin").display());
        self.site.command(args).env("PATH", path).spawn().unwrap()
    }

    /// Runs fleet with the playbooks' `here`.
    pub(super) fn run(&self, args: &[&str]) -> Ended {
        let here = format!("here={}", self.site.path("").display());
        self.bare(&[args, &["-e", &here]].concat())
    }

    pub(super) fn bare(&self, args: &[&str]) -> Ended {
        self.site.end_of(self.start(args))
    }

    pub(super) fn apply(&self, more: &[&str]) -> Ended {
        self.run(&[&["apply", "play.yml", "--yes"], more].concat())
    }

    /// Starts an apply that somebody else is to end.
    pub(super) fn start_apply(&self, more: &[&str]) -> Child {
        let here = format!("here={}", self.site.path("").display());
        self.start(&[&["apply", "play.yml", "--yes", "-e", &here], more].concat())
    }

    /// Runs fleet on a terminal, on which each of these is typed when fleet asks; stdout and stderr
    /// are one.
    pub(super) fn on_a_terminal(&self, args: &[&str], answers: &[&str]) -> Ended {
        let here = format!("here={}", self.site.path("").display());
        let words: Vec<_> = [args, &["-e", &here]].concat();
        let words = words.iter().map(|word| format!("'{word}'"));
        let line = words.collect::<Vec<_>>().join(" ");
        let fleet = env!("CARGO_BIN_EXE_fleet");
        let path = format!("{}:/usr/bin:/bin", self.site.path("bin").display());
        let mut command = self.site.command_of(Path::new("script"), &[]);
        command
            .args(["--quiet", "--return", "--command"])
            .args([&*format!("{fleet} {line}"), "/dev/null"])
            .env("PATH", path)
            .env("TERM", "dumb")
            .stdin(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // Open to the end: where it ends, so does the terminal.
        let mut keyboard = child.stdin.take().unwrap();
        let mut screen = child.stdout.take().unwrap();
        let mut answers = answers.iter();
        let (mut seen, mut byte) = (Vec::new(), [0]);
        while screen.read(&mut byte).unwrap() == 1 {
            seen.push(byte[0]);
            if seen.ends_with(b"[y/N] ")
                && let Some(answer) = answers.next()
            {
                keyboard.write_all(answer.as_bytes()).unwrap();
            }
        }
        let stdout = String::from_utf8(seen).unwrap();
        Ended {
            stdout,
            ..self.site.end_of(child)
        }
    }

    /// Applies and gives the document and the exit code.
    pub(super) fn json(&self, more: &[&str]) -> (Value, i32) {
        let ended = self.apply(&[&["--format", "json"], more].concat());
        (parsed(&ended), ended.code)
    }

    pub(super) fn show(&self, id: &str) -> Value {
        let ended = self.bare(&["runs", "show", id, "--format", "json"]);
        assert_eq!(ended.code, 0, "{}", ended.all());
        parsed(&ended)
    }

    /// What the latest journal says, as `host: outcome`.
    pub(super) fn outcomes(&self) -> Vec<String> {
        let ended = self.bare(&["runs", "show", "--format", "json"]);
        assert_eq!(ended.code, 0, "{}", ended.all());
        outcomes(&parsed(&ended))
    }

    /// The hosts that wrote into `log`, in that order.
    pub(super) fn log(&self) -> Vec<String> {
        self.site.read("log").lines().map(str::to_owned).collect()
    }
}

pub(super) fn parsed(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {}", ended.all()))
}

/// `host: outcome` of a journal.
pub(super) fn outcomes(document: &Value) -> Vec<String> {
    let hosts = document["hosts"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    hosts
        .map(|host| format!("{}: {}", text(&host["host"]), text(&host["outcome"])))
        .collect()
}

pub(super) fn id_of(document: &Value) -> String {
    document["run_id"].as_str().unwrap().to_owned()
}

/// A task that writes the host's name into `log`.
pub(super) const LOG: &str = "    - shell: \"echo {{ inventory_hostname }} >> {{ here }}/log\"\n";

//! One lab machine, put back to its pristine state for every test.

use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

/// The machine all tests share. Whoever holds it has it alone.
static MACHINE: Mutex<()> = Mutex::new(());

/// A pristine, running machine; the next test waits until this is dropped.
pub(crate) struct Machine {
    _alone: MutexGuard<'static, ()>,
    files: tempfile::TempDir,
}

/// A pristine machine beside the one that tests share; it is down again when this is dropped.
pub(crate) struct Beside {
    name: &'static str,
}

/// What a machine has of its own.
#[derive(Clone, Copy)]
enum Kind {
    /// Everything but a kernel; a virtual machine where this computer cannot run containers.
    Container,
    /// A kernel and disks too.
    Vm,
}

/// What one run of fleet left.
#[must_use = "insist on the exit status"]
pub(crate) struct Run {
    arguments: Vec<String>,
    output: Output,
}

impl Machine {
    /// Its name in the lab and in the inventory.
    pub(crate) const NAME: &str = "node1";

    /// Takes the machine and puts it back to what it was right after its first boot.
    pub(crate) fn pristine() -> Self {
        let machine = Self::taken();
        succeed(&mut reset_to(Kind::Container));
        machine
    }

    /// The same with a kernel of its own. Only tests in `on_vm` may want one: the others run where
    /// machines are cheap.
    pub(crate) fn pristine_vm() -> Self {
        Self::pristine_vm_with("")
    }

    /// The same, its kernel started with these arguments.
    pub(crate) fn pristine_vm_with(kernel_arguments: &str) -> Self {
        let machine = Self::taken();
        let mut reset = reset_to(Kind::Vm);
        succeed(reset.env("FLEET_LAB_KERNEL_ARGS", kernel_arguments));
        machine
    }

    /// The same with these tasks applied. The first who wants them applies them, which may take
    /// minutes; who comes later on the same machine begins with the snapshot of that.
    pub(crate) fn with(tasks: &str) -> Self {
        let snapshot = snapshot_of(tasks);
        let machine = Self::taken();
        let kind = Kind::Container.name();
        let kept = ["--kind", kind, "--to", &snapshot, Self::NAME];
        if !lab("reset").args(kept).output().unwrap().status.success() {
            succeed(&mut reset_to(Kind::Container));
            let playbook = machine.playbook(tasks);
            let _ = machine.fleet(&["apply", &playbook, "-y"]).exits(0);
            succeed(lab("snapshot").args([&snapshot, Self::NAME]));
        }
        machine
    }

    fn taken() -> Self {
        Self {
            // A test that failed has poisoned the lock; the reset makes that harmless.
            _alone: MACHINE.lock().unwrap_or_else(PoisonError::into_inner),
            files: tempfile::tempdir().unwrap(),
        }
    }

    /// Runs a command on the machine as root and returns what it printed.
    pub(crate) fn sh(&self, command: &str) -> String {
        self.sh_reading("", command)
    }

    /// The same with something to read on standard input.
    pub(crate) fn sh_reading(&self, input: &str, command: &str) -> String {
        let mut child = self
            .shell()
            .arg(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // One that ends before it has read everything breaks the pipe; its status tells why.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "`{command}` on the machine: {}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// A shell of root's on the machine, or whatever command is added to it.
    pub(crate) fn shell(&self) -> Command {
        let mut command = lab("ssh");
        command.arg(Self::NAME);
        command
    }

    /// Runs fleet on the lab's inventory.
    pub(crate) fn fleet(&self, arguments: &[&str]) -> Run {
        self.fleet_reading("", arguments)
    }

    /// The same with something to read on standard input.
    pub(crate) fn fleet_reading(&self, input: &str, arguments: &[&str]) -> Run {
        let mut child = self.start(arguments);
        // One that ends before it has read everything breaks the pipe; its status tells why.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        Run::of(arguments, child.wait_with_output().unwrap())
    }

    /// Starts fleet and leaves it running.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// fleet on the lab's inventory, for who runs it in a way of their own.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = fleet();
        command
            .arg(arguments[0])
            .arg("-i")
            .arg(self.inventory())
            .args(&arguments[1..]);
        command
    }

    /// The lab's inventory.
    pub(crate) fn inventory(&self) -> PathBuf {
        state().join("inventory")
    }

    /// Writes a playbook of one play with these tasks and returns its path.
    pub(crate) fn playbook(&self, tasks: &str) -> String {
        let mut text = String::from("- name: Test\n  hosts: node1\n  become: true\n  tasks:\n");
        for line in tasks.lines() {
            writeln!(text, "    {line}").unwrap();
        }
        self.write("playbook.yml", &text)
    }

    /// Writes a file beside the playbook and returns its path.
    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// A file beside the playbook.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// A variable of the lab's inventory, as `fleet inventory --host` gives it.
    pub(crate) fn variable(&self, name: &str) -> Value {
        let run = self.fleet(&["inventory", "--host", Self::NAME]).exits(0);
        run.json()[name].clone()
    }
}

impl Kind {
    /// What the lab calls it here.
    fn name(self) -> &'static str {
        match self {
            Self::Container if std::env::var_os("FLEET_LAB_NO_CONTAINERS").is_none() => "container",
            Self::Container | Self::Vm => "vm",
        }
    }
}

impl Beside {
    /// Boots it.
    pub(crate) fn up(name: &'static str) -> Self {
        // First, so that it goes down again when it does not come up as it should.
        let beside = Self { name };
        let kind = Kind::Container.name();
        succeed(lab("up").args(["--fresh", "--kind", kind, name]));
        beside
    }

    /// A shell of root's on it, or whatever command is added.
    pub(crate) fn shell(&self) -> Command {
        let mut command = lab("ssh");
        command.arg(self.name);
        command
    }

    /// Cuts its power.
    pub(crate) fn power_off(&self) {
        succeed(lab("down").arg(self.name));
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // Whatever else went wrong is what the test should tell.
        let _ = lab("down").arg(self.name).output();
    }
}

impl Run {
    /// What a run of fleet with these arguments left.
    pub(crate) fn of(arguments: &[&str], output: Output) -> Self {
        Self {
            arguments: arguments.iter().map(ToString::to_string).collect(),
            output,
        }
    }

    /// Insists on the exit status.
    #[track_caller]
    pub(crate) fn exits(self, status: i32) -> Self {
        assert_eq!(
            self.output.status.code(),
            Some(status),
            "`fleet {}`\n--- stdout\n{}--- stderr\n{}",
            self.arguments.join(" "),
            self.stdout(),
            self.stderr()
        );
        self
    }

    /// The exit status.
    pub(crate) fn status(&self) -> i32 {
        self.output.status.code().unwrap_or(-1)
    }

    pub(crate) fn stdout(&self) -> String {
        String::from_utf8(self.output.stdout.clone()).unwrap()
    }

    pub(crate) fn stderr(&self) -> String {
        String::from_utf8(self.output.stderr.clone()).unwrap()
    }

    /// The report, of a run with `--format json`.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.output.stdout).unwrap_or_else(|error| {
            panic!(
                "{error}\n--- stdout\n{}--- stderr\n{}",
                self.stdout(),
                self.stderr()
            )
        })
    }

    /// `kind id: attribute expected ← actual` of everything that is not ok, in order.
    #[track_caller]
    pub(crate) fn findings(&self) -> Vec<String> {
        let report = self.json();
        let mut findings = Vec::new();
        for resource in report["hosts"][0]["resources"].as_array().unwrap() {
            let text = |key: &str| resource[key].as_str().unwrap_or_default().to_owned();
            let name = format!("{} {}", text("kind"), text("id"));
            let drift = resource["drift"].as_array().unwrap();
            if drift.is_empty() {
                findings.push(format!("{name}: {}", text("status")));
            }
            for drift in drift {
                let value = |key: &str| drift[key].as_str().unwrap_or_default().to_owned();
                findings.push(format!(
                    "{name}: {} {} ← {}",
                    value("attribute"),
                    value("expected"),
                    value("actual")
                ));
            }
        }
        findings
    }

    /// The message of the first resource that failed.
    #[track_caller]
    pub(crate) fn failure(&self) -> String {
        let report = self.json();
        report["hosts"][0]["resources"]
            .as_array()
            .unwrap()
            .iter()
            .find(|resource| resource["status"] == "failed")
            .and_then(|resource| resource["message"].as_str())
            .unwrap_or_else(|| panic!("nothing failed: {report:#}"))
            .to_owned()
    }
}

/// Machines of the tests live beside those of a demo, never in their place; two runs at once need
/// a `FLEET_LAB_TEST_STATE` each. The rest is where `tests/lab/lib/common.sh` has it.
pub(crate) fn state() -> PathBuf {
    let given = |name: &str| std::env::var_os(name).map(PathBuf::from);
    given("FLEET_LAB_TEST_STATE").unwrap_or_else(|| {
        given("FLEET_LAB_CACHE")
            .unwrap_or_else(|| {
                given("XDG_CACHE_HOME")
                    .unwrap_or_else(|| given("HOME").expect("HOME is set").join(".cache"))
                    .join("fleet-lab")
            })
            .join("test-state")
    })
}

/// The ssh clients that know this lab's machines, each with its command line.
pub(crate) fn ssh_processes() -> Vec<(i32, String)> {
    // With the slash: the states of other runs begin with the same letters.
    let ours = format!("{}/", state().display());
    let found = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry.ok()?;
        let bytes = std::fs::read(entry.path().join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&bytes).replace('\0', " ");
        let id = entry.file_name().to_str()?.parse().ok()?;
        (line.starts_with("ssh ") && line.contains(&ours)).then_some((id, line))
    };
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(found)
        .collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where fleet and its helper are that the tests try.
fn programs() -> PathBuf {
    std::env::var_os("FLEET_BIN").map_or_else(|| root().join("target/lab"), PathBuf::from)
}

pub(crate) fn fleet() -> Command {
    let mut command = Command::new(programs().join("fleet"));
    command.current_dir(root());
    command
}

/// A name for what these tasks make, done by this build of fleet.
fn snapshot_of(tasks: &str) -> String {
    let mut hasher = DefaultHasher::new();
    let helper = std::fs::metadata(programs().join("fleet-helper-x86_64")).unwrap();
    (tasks, helper.modified().unwrap()).hash(&mut hasher);
    format!("made-{:016x}", hasher.finish())
}

/// One of the lab's scripts, for the machines of the tests.
pub(crate) fn lab(script: &str) -> Command {
    let mut command = Command::new(root().join("tests/lab").join(script));
    command.env("FLEET_LAB_STATE", state());
    command
}

fn reset_to(kind: Kind) -> Command {
    let mut reset = lab("reset");
    reset.args(["--kind", kind.name(), Machine::NAME]);
    reset
}

#[track_caller]
pub(crate) fn succeed(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

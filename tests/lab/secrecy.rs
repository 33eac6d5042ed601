//! Looks for secrets everywhere a run of fleet could have left them, while it runs and after it:
//! what it prints, its files on this machine, every process here and there, every file there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use crate::machine::{Machine, Run};

/// What the watcher keeps on the machine: in memory, and gone at the end.
const KEPT: &str = "/run/secrecy";

/// Looks at all processes of the machine, over and over. One line per hit: the file, what was
/// found in it, and the control groups of the process, noted before: it may be gone by then.
const LOOK: &str = r#"
while test -e /run/secrecy/forms; do
  cd /proc; grep -sH / [0-9]*/cgroup >/run/secrecy/groups
  grep -aoHFsf /run/secrecy/forms [0-9]*/cmdline [0-9]*/environ | sort -u | while read -r hit; do
    process=${hit%%/*}
    echo "$hit $({ grep "^$process/" /run/secrecy/groups; cat $process/cgroup 2>/dev/null; } | tr '\n' ' ')"
  done >>/run/secrecy/seen
  echo >>/run/secrecy/looks
  sleep 0.1
done"#;

/// Watches from its making to [`end`](Self::end).
pub(crate) struct Watch<'m> {
    machine: &'m Machine,
    forms: Vec<String>,
    /// Everything fleet keeps on this machine: its home, its temporary files, where it runs.
    home: tempfile::TempDir,
    /// Marks the processes that fleet starts here.
    mark: String,
    running: Arc<AtomicBool>,
    here: Option<JoinHandle<Vec<String>>>,
}

/// Every way in which a text could have been written.
pub(crate) fn forms(secret: &str) -> Vec<String> {
    let json = serde_json::Value::from(secret).to_string();
    let percent = |hex: fn(u8) -> String| -> String {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let one = |byte| {
            if plain(byte) {
                char::from(byte).to_string()
            } else {
                format!("%{}", hex(byte))
            }
        };
        secret.bytes().map(one).collect()
    };
    let mut forms = BTreeSet::from([
        secret.to_owned(),
        json[1..json.len() - 1].to_owned(),
        percent(|byte| format!("{byte:02X}")),
        percent(|byte| format!("{byte:02x}")),
        hexadecimal(secret),
    ]);
    // In base64 it looks different after one, two or three bytes of something else. The characters
    // at both ends have bits of the neighbours in them.
    for before in 0..3 {
        let padded = [&b"..."[..before], secret.as_bytes()].concat();
        for text in [
            STANDARD_NO_PAD.encode(&padded),
            URL_SAFE_NO_PAD.encode(&padded),
        ] {
            let (first, last) = ((before * 8).div_ceil(6), padded.len() * 8 / 6);
            forms.insert(text[first..last].to_owned());
        }
    }
    forms.into_iter().collect()
}

fn hexadecimal(text: &str) -> String {
    let digits: Vec<_> = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    digits.concat()
}

impl<'m> Watch<'m> {
    pub(crate) fn begin(machine: &'m Machine, secrets: &[&str]) -> Self {
        let forms: Vec<_> = secrets.iter().flat_map(|secret| forms(secret)).collect();
        let script =
            format!("mkdir {KEPT} && cat >{KEPT}/forms && cat >{KEPT}/look <<'EOF'\n{LOOK}\nEOF\n");
        machine.sh_reading(&forms.join("\n"), &script);
        machine.sh(&format!(
            "setsid sh {KEPT}/look </dev/null >/dev/null 2>&1 &"
        ));
        let home = tempfile::tempdir().unwrap();
        let mark = format!("SECRECY={}", home.path().display());
        let running = Arc::new(AtomicBool::new(true));
        let here = {
            let (running, forms) = (Arc::clone(&running), forms.clone());
            let (mark, home) = (mark.clone(), home.path().to_owned());
            thread::spawn(move || {
                let mut found = BTreeSet::new();
                let mut looks = 0;
                while running.load(Ordering::Relaxed) {
                    looks += look_here(&mark, &home, &forms, &mut found);
                    thread::sleep(Duration::from_millis(20));
                }
                assert!(looks > 50, "fleet's processes were seen {looks} times");
                found.into_iter().collect()
            })
        };
        Self {
            machine,
            forms,
            home,
            mark,
            running,
            here: Some(here),
        }
    }

    /// Runs fleet where everything it writes is seen, and insists that it prints no secret.
    pub(crate) fn fleet(&self, arguments: &[&str]) -> Run {
        let home = self.home.path();
        let mut command = self.machine.command(arguments);
        let (mark, value) = self.mark.split_once('=').unwrap();
        command
            .current_dir(home)
            .env(mark, value)
            .stdin(Stdio::null());
        for name in [
            "HOME",
            "TMPDIR",
            "XDG_RUNTIME_DIR",
            "XDG_CACHE_HOME",
            "XDG_STATE_HOME",
        ] {
            command.env(name, home);
        }
        let run = Run::of(arguments, command.output().unwrap());
        for printed in [run.stdout(), run.stderr()] {
            assert_eq!(within(printed.as_bytes(), &self.forms), None, "{printed}");
        }
        run
    }

    /// What was seen in processes on the machine, and the files there that have a secret in them.
    /// Insists that there was nothing on this machine.
    pub(crate) fn end(mut self) -> (Vec<String>, Vec<String>) {
        self.running.store(false, Ordering::Relaxed);
        let here = self.here.take().unwrap().join().unwrap();
        assert_eq!(here, [""; 0], "on this machine");
        let looks = self.machine.sh(&format!("wc -l <{KEPT}/looks"));
        assert!(looks.trim().parse::<usize>().unwrap() > 50, "{looks} looks");
        let lines = |text: String| text.lines().map(str::to_owned).collect();
        let processes = self
            .machine
            .sh(&format!("sort -u {KEPT}/seen; rm -r {KEPT}; sync"));
        // The journal is compressed; what is in `merged` is in `diff` too.
        let files = self.machine.sh_reading(
            &self.forms.join("\n"),
            "cat >/run/forms; { find / \\( -path /proc -o -path /sys -o -name merged -o -path /run/forms \\) -prune \
             -o -type f -print0 | xargs -0 grep -laFsf /run/forms; \
             journalctl --no-pager -o export | grep -aoFf /run/forms | sed 's/^/journal: /'; } | sort -u; rm /run/forms",
        );
        (lines(processes), lines(files))
    }
}

/// The first form that is in `text`.
fn within<'f>(text: &[u8], forms: &'f [String]) -> Option<&'f str> {
    let text = String::from_utf8_lossy(text);
    let found = forms.iter().find(|form| text.contains(form.as_str()));
    found.map(String::as_str)
}

/// One look at the processes with the mark, and at the files they have; returns how many processes
/// there were.
fn look_here(mark: &str, home: &Path, forms: &[String], found: &mut BTreeSet<String>) -> usize {
    let mut seen = 0;
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let read = |file: &str| fs::read(process.path().join(file)).unwrap_or_default();
        let environment = read("environ");
        if !String::from_utf8_lossy(&environment).contains(mark) {
            continue;
        }
        seen += 1;
        for text in [environment, read("cmdline")] {
            if within(&text, forms).is_some() {
                found.insert(String::from_utf8_lossy(&text).replace('\0', " "));
            }
        }
    }
    let mut folders = vec![home.to_owned()];
    while let Some(folder) = folders.pop() {
        // What is gone by now was seen before or never held anything.
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let kind = entry.file_type().ok();
            if kind.is_some_and(|kind| kind.is_dir()) {
                folders.push(path);
            } else if kind.is_some_and(|kind| kind.is_file())
                && within(&fs::read(&path).unwrap_or_default(), forms).is_some()
            {
                found.insert(path.display().to_string());
            }
        }
    }
    seen
}

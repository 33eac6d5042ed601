//! Some hosts are not what they should be: whatever they say, the run ends, the report is written,
//! and the other host is in it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant};

use fleet::protocol::{Event, Facts, Outcome, wire};
use serde_json::{Value, json};

use super::Site;
use crate::cli::Ended;

/// More than fleet needs for what is honest, in KiB.
const MEMORY: u64 = 400 * 1024;

/// The host `good`, others that are not, and a copy of fleet that brings a helper which says on each
/// of those what its script prints.
struct Many {
    site: Site,
    fleet: PathBuf,
}

impl Many {
    fn new(scripts: &[String]) -> Self {
        let names: Vec<_> = (0..scripts.len()).map(|at| format!("evil{at}")).collect();
        let mut hosts = vec!["good"];
        hosts.extend(names.iter().map(String::as_str));
        let begun = Event::Begun {
            pending: Vec::new(),
            running: None,
        };
        let site = Site::with_hosts(&hosts)
            .tasks("    - copy: {content: \"as declared\\n\", dest: \"{{ here }}/file\"}\n")
            .file("bin/hello", &text(&hello(&Facts::default())))
            .file("bin/begun", &text(&wire::encode(&begun)));
        let fleet = site.path("bin/fleet");
        fs::copy(env!("CARGO_BIN_EXE_fleet"), &fleet).unwrap();
        let here = site.path("bin").display().to_string();
        let real = env!("CARGO_BIN_EXE_fleet-helper");
        let cases = names.iter().zip(scripts);
        let cases: Vec<_> = cases
            .map(|(name, script)| format!("*' on {name}\"'*)\n{script}\n;;\n"))
            .collect();
        let helper = format!(
            "#!/bin/sh\ncd '{here}'\ncase \"$*\" in\n{}*) exec '{real}' \"$@\" ;;\nesac\n",
            cases.concat()
        );
        fs::write(site.path("bin/fleet-helper"), helper).unwrap();
        let executable = fs::Permissions::from_mode(0o755);
        fs::set_permissions(site.path("bin/fleet-helper"), executable).unwrap();
        Self { site, fleet }
    }

    fn start(&self, verb: &str, args: &[&str]) -> Child {
        let here = format!("here={}", self.site.path("").display());
        let mut all = vec![verb, "play.yml", "-e", &here, "--format", "json"];
        if verb == "apply" {
            all.push("--yes");
        }
        all.extend(args);
        let mut command = self.site.command_of(&self.fleet, &all);
        command.stdout(fs::File::create(self.site.path("report")).unwrap());
        command.spawn().unwrap()
    }

    /// How the run ends, and the errors of all hosts but `good`, which is as it is.
    fn end_of(&self, mut child: Child, longest: Duration) -> (Ended, Vec<Value>) {
        let begin = Instant::now();
        let mut most = 0;
        while child.try_wait().unwrap().is_none() {
            most = memory(child.id()).max(most);
            if begin.elapsed() > longest {
                child.kill().unwrap();
                panic!("it did not end");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(most < MEMORY, "{most} KiB");
        let ended = self.site.end_of(child);
        let report = self.site.read("report");
        let report: Value = serde_json::from_str(&report)
            .unwrap_or_else(|error| panic!("{error}: {report} {}", ended.all()));
        let good = &report["hosts"][0];
        assert_eq!(good["host"], "good");
        assert_eq!(good["error"], Value::Null, "{good:#}");
        let others = report["hosts"].as_array().unwrap().iter().skip(1);
        (ended, others.map(|host| host["error"].clone()).collect())
    }
}

/// The most memory that a process has had, in KiB.
fn memory(id: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok())
        .unwrap_or_default()
}

fn hello(facts: &Facts) -> Vec<u8> {
    let facts = Box::new(facts.clone());
    wire::encode(&Event::Hello { facts })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Says these events after the greeting, and then the last of them for ever.
fn says(events: &[Value]) -> String {
    let lines: Vec<_> = events
        .iter()
        .map(|event| format!("echo '{event}'\n"))
        .collect();
    let last = events.last().unwrap();
    format!("cat hello\n{}exec yes '{last}'", lines.concat())
}

#[test]
fn a_host_that_says_what_it_was_not_asked_is_given_up_and_the_others_are_reported() {
    let begun = json!({"event": "begun", "pending": [], "running": null});
    let started = json!({"event": "started", "id": 0});
    let turn = json!({"event": "awaits_turn"});
    let advanced = json!({"event": "advanced", "step": "unpack", "done": 1, "total": 2});
    let need = json!({"event": "need", "sha256": "0".repeat(64)});
    let unconfirmed = json!({"event": "unconfirmed", "within_ms": 600_000});
    let stopped = json!({"event": "stopped"});
    let over = |id: u32| json!({"event": "finished", "id": id, "outcome": Outcome::default()});
    let [begun, started] = &[begun, started];
    let cases = [
        ("check", vec![turn.clone()], "no beginning"),
        ("apply", vec![turn], "that it waits, again and again"),
        (
            "check",
            vec![begun.clone(), need.clone()],
            "a question for a content",
        ),
        (
            "apply",
            vec![begun.clone(), started.clone(), need],
            "a question for a content",
        ),
        (
            "check",
            vec![begun.clone(), advanced.clone()],
            "a task not begun",
        ),
        (
            "apply",
            vec![begun.clone(), started.clone(), advanced],
            "again and again",
        ),
        (
            "check",
            vec![begun.clone(), started.clone(), unconfirmed.clone()],
            "a wish to be",
        ),
        (
            "apply",
            vec![begun.clone(), started.clone(), unconfirmed],
            "a wish to be confirmed",
        ),
        (
            "check",
            vec![begun.clone(), started.clone()],
            "the beginning of another task",
        ),
        (
            "check",
            vec![begun.clone(), over(0)],
            "the end of another task",
        ),
        (
            "check",
            vec![begun.clone(), over(1)],
            "the end of another task",
        ),
        ("apply", vec![begun.clone(), stopped], "that it stops"),
    ];
    for verb in ["check", "apply"] {
        let cases: Vec<_> = cases.iter().filter(|case| case.0 == verb).collect();
        let scripts: Vec<_> = cases.iter().map(|(_, events, _)| says(events)).collect();
        let many = Many::new(&scripts);
        let (_, errors) = many.end_of(many.start(verb, &[]), Duration::from_mins(1));
        for ((_, events, words), error) in cases.into_iter().zip(errors) {
            let message = error["message"].as_str().unwrap_or_default();
            assert!(message.contains(words), "{verb} {events:?}: {error:#}");
        }
    }
}

#[test]
fn a_host_that_says_too_much_fills_no_memory_and_costs_no_report() {
    let outcome = r#"{"event":"finished","id":0,"outcome":{"status":"drift","drift":["#;
    let drift = r#"{"attribute":"","expected":"","actual":""}"#;
    let facts = text(&hello(&Facts::default()));
    let (before, after) = facts.split_once(r#""addresses":{"#).unwrap();
    let many = |what: &str, count: u32| format!("yes '{what},' | head -n {count} | tr -d '\\n'");
    let cases = [
        (
            format!(
                "cat hello begun; printf '%s' '{outcome}'; {}",
                many(drift, 2_000_000)
            ),
            "longer than",
        ),
        (
            format!(
                "cat hello begun; printf '%s' '{outcome}'; {}; echo '{drift}]}}}}'",
                many(drift, 400_000)
            ),
            "more than 250000 values",
        ),
        (
            format!(
                "printf '%s' '{before}\"addresses\":{{'; seq -f '\"%.0f\":[],' 900000 | tr -d '\\n'; \
                 echo '\"x\":[]{}'",
                after.trim_end()
            ),
            "more than 250000 values",
        ),
        (
            "cat hello begun; printf '{\"event\":\"'; yes x | tr -d '\\n'".to_owned(),
            "longer than",
        ),
    ];
    let scripts: Vec<_> = cases.iter().map(|(script, _)| script.clone()).collect();
    let many = Many::new(&scripts);
    let (_, errors) = many.end_of(many.start("check", &[]), Duration::from_secs(100));
    for ((script, words), error) in cases.iter().zip(errors) {
        let message = error["message"].as_str().unwrap_or_default();
        assert!(message.contains(words), "{script:.80}: {error:#}");
    }
}

#[test]
fn a_host_that_is_never_done_has_its_time() {
    let started = "cat hello begun; echo '{\"event\":\"started\",\"id\":0}'";
    let advanced = r#"{"event":"advanced","step":"unpack","done":1,"total":2}"#;
    let scripts = [
        "sleep 60".to_owned(),
        format!("{started}; sleep 60"),
        format!("{started}; while echo '{advanced}'; do sleep 0.6; done"),
    ];
    for verb in ["check", "apply"] {
        let many = Many::new(&scripts);
        let child = many.start(verb, &["--host-timeout", "4"]);
        let (_, errors) = many.end_of(child, Duration::from_secs(30));
        for (script, error) in scripts.iter().zip(errors) {
            let message = error["message"].as_str().unwrap_or_default();
            assert!(message.contains("--host-timeout"), "{script}: {error:#}");
        }
    }
}

/// What a service manager sends once.
#[test]
#[ignore = "make test-long: waits as long as a service manager may"]
fn long_a_host_that_is_never_done_does_not_hold_up_the_end() {
    let script = "cat hello begun; echo '{\"event\":\"started\",\"id\":0}'; sleep 600";
    let many = Many::new(&[script.to_owned()]);
    let child = many.start("apply", &[]);
    super::eventually("the other host is done", || many.site.path("file").exists());
    std::thread::sleep(Duration::from_secs(2));
    let id = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    let (ended, errors) = many.end_of(child, Duration::from_secs(40));
    assert_eq!(ended.code, 130, "{}", ended.all());
    assert_eq!(errors[0]["class"], "abandoned", "{errors:?}");
}

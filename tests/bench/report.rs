//! What reports cost: 2,000 hosts with 100 findings each, in every format, and what it costs to
//! remember them. Prints the time each takes, its size, and the most memory that a process has had
//! which made nothing else; `nothing` is what the report itself needs.
//!
//! `cargo bench --bench report -- [HOSTS [FINDINGS]]`

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a program that a person starts to read what it prints"
)]

#[path = "../html/story.rs"]
#[expect(dead_code, reason = "the tests of the page use the rest")]
mod story;

use std::process::{Command, Stdio};
use std::time::Instant;

use fleet::memory::{Known, Query, RunEntry, Scope, Sqlite, Store as _, digest};
use fleet::report::{
    RunReport, TextOptions, host_line, render, summary_line, to_html, to_json, to_junit, to_nagios,
    to_prometheus,
};

/// Makes something of the report and says how many bytes it has.
type Step = fn(&RunReport) -> u64;

const STEPS: [(&str, Step); 9] = [
    ("nothing", |_| 0),
    ("text", |report| {
        bytes(&render(report, TextOptions::default()))
    }),
    ("json", |report| bytes(&to_json(report))),
    ("jsonl", |report| {
        let hosts = report.hosts.iter();
        let lines = hosts.map(|host| bytes(&host_line(&report.run_id, host)));
        lines.chain([bytes(&summary_line(report))]).sum()
    }),
    ("junit", |report| bytes(&to_junit(report))),
    ("prometheus", |report| bytes(&to_prometheus(report))),
    ("nagios", |report| bytes(&to_nagios(report))),
    ("html", |report| bytes(&to_html(report))),
    ("the store", remember),
];

fn main() {
    // cargo passes flags of its own.
    let arguments: Vec<String> = std::env::args().collect();
    let mut sizes = arguments
        .iter()
        .filter_map(|argument| argument.parse().ok());
    let hosts = sizes.next().unwrap_or(2_000);
    let each = sizes.next().unwrap_or(100);
    let one = STEPS
        .iter()
        .find(|(name, _)| arguments.last().is_some_and(|last| last == name));
    match one {
        Some((name, step)) => measure(name, *step, hosts, each),
        None => table(hosts, each),
    }
}

/// A process for each, because the most memory that a process had is never taken back.
fn table(hosts: usize, each: usize) {
    println!("{hosts} hosts, {each} findings each, half of them like no other host's");
    println!(
        "{:<12}{:>10}{:>12}{:>14}",
        "", "time", "size", "most memory"
    );
    for (name, _) in STEPS {
        #[expect(
            clippy::disallowed_methods,
            reason = "not a program of a host, but this one"
        )]
        let status = Command::new(std::env::current_exe().unwrap())
            .args([&hosts.to_string(), &each.to_string(), name])
            .stdin(Stdio::null())
            .status();
        assert!(status.unwrap().success(), "{name}");
    }
}

fn measure(name: &str, step: Step, hosts: usize, each: usize) {
    let report = story::worst_night(hosts, each);
    let begin = Instant::now();
    let size = step(&report).div_ceil(1 << 10);
    let time = begin.elapsed().as_secs_f64();
    println!(
        "{name:<12}{time:>8.2} s{size:>9} KB{:>11} MB",
        most_memory()
    );
}

/// The night is remembered where nothing is remembered yet: every finding is new.
fn remember(report: &RunReport) -> u64 {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("memory.db");
    std::fs::write(&path, "").unwrap();
    let mut store = Sqlite::open(&path).unwrap();
    let known = Known::new(store.findings(&Query::default()).unwrap());
    let learned = digest(report, "site.yml", Scope::Whole, &known);
    let run = RunEntry::of(report, "site.yml");
    store.record(&run, &learned, report.started_at).unwrap();
    drop(store);
    std::fs::metadata(path).unwrap().len()
}

fn bytes(text: &str) -> u64 {
    text.len() as u64
}

/// The largest resident set so far, in megabytes.
fn most_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes: u64 = line
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    kilobytes >> 10
}

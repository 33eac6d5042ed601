//! What reports cost: 2,000 hosts with 100 findings each, in every format. Prints the time each
//! takes, its size, and the most memory the process has had by then.
//!
//! `cargo bench --bench report [HOSTS [FINDINGS]]`

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a program that a person starts to read what it prints"
)]

#[path = "../html/story.rs"]
#[expect(dead_code, reason = "the tests of the page use the rest")]
mod story;

use std::time::Instant;

use fleet::report::{
    RunReport, TextOptions, host_line, render, summary_line, to_html, to_json, to_junit, to_nagios,
    to_prometheus,
};

type Renderer = fn(&RunReport) -> String;

const FORMATS: [(&str, Renderer); 7] = [
    ("text", |report| render(report, TextOptions::default())),
    ("json", to_json),
    ("jsonl", |report| {
        let hosts = report.hosts.iter();
        let lines = hosts.map(|host| host_line(&report.run_id, host));
        lines.chain([summary_line(report)]).collect()
    }),
    ("junit", to_junit),
    ("prometheus", to_prometheus),
    ("nagios", to_nagios),
    ("html", to_html),
];

fn main() {
    // cargo passes flags of its own.
    let mut sizes = std::env::args().filter_map(|argument| argument.parse().ok());
    let hosts = sizes.next().unwrap_or(2_000);
    let each = sizes.next().unwrap_or(100);
    let report = story::worst_night(hosts, each);
    println!("{hosts} hosts, {each} findings each, half of them like no other host's");
    println!(
        "{:<12}{:>10}{:>12}{:>14}",
        "", "time", "size", "most memory"
    );
    println!(
        "{:<12}{:>10}{:>12}{:>11} MB",
        "the report",
        "",
        "",
        most_memory()
    );
    for (name, renderer) in FORMATS {
        let begin = Instant::now();
        let size = renderer(&report).len();
        let time = begin.elapsed().as_secs_f64();
        let size = size.div_ceil(1 << 10);
        println!(
            "{name:<12}{time:>8.2} s{size:>9} KB{:>11} MB",
            most_memory()
        );
    }
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

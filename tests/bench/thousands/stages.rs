//! One run from reading the inventory to writing the report, each stage timed.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use fleet::diagnostic::Diagnostics;
use fleet::inventory::{Inventory, VarMap};
use fleet::playbook::{self, Globals, TagFilter, play_hosts};
use fleet::report::{Silent, TextOptions, render, to_json};
use fleet::run::{Job, Run, Work};
use fleet::secret::Vault;
use fleet::transport::{self, Helpers, Transport};
use rustix::time::ClockId;

use super::options;
use super::stand_in::{Hosts, cpu};
use super::written;

/// How long each stage took.
pub(crate) struct Stages {
    hosts: usize,
    read: Duration,
    validate: Duration,
    prepare: Duration,
    perform: Duration,
    /// CPU time of the run itself, without that of the hosts.
    controller: Duration,
    report: Duration,
    /// The most memory the process has had, in bytes, after reading and at the end.
    memory: [u64; 2],
}

impl Stages {
    pub(crate) const HEADS: [&'static str; 8] = [
        "read inventory",
        "validate",
        "prepare",
        "run",
        "CPU of the run per host",
        "report (text and JSON)",
        "memory before the run",
        "at the end",
    ];

    pub(crate) fn cells(&self) -> Vec<String> {
        let time = |time: Duration| format!("{:.2} s", time.as_secs_f64());
        let memory = |bytes: u64| format!("{} MiB", bytes >> 20);
        let each = self.controller.as_secs_f64() * 1000.0 / self.hosts as f64;
        vec![
            time(self.read),
            time(self.validate),
            time(self.prepare),
            time(self.perform),
            format!("{each:.2} ms"),
            time(self.report),
            memory(self.memory[0]),
            memory(self.memory[1]),
        ]
    }
}

pub(crate) fn measure(hosts: usize) -> Stages {
    let folder = tempfile::tempdir().unwrap();
    written::write(folder.path(), hosts);
    let file = |name: &str| folder.path().join(name);
    let mut diagnostics = Diagnostics::new();
    let vault = Vault::default();

    let begin = Instant::now();
    let sources = [file("hosts.yml").to_str().unwrap().to_owned()];
    let inventory = Inventory::load(&sources, &vault, &mut diagnostics);
    let read = begin.elapsed();

    let begin = Instant::now();
    let playbook = playbook::load(&file("play.yml"), &vault, &mut diagnostics);
    let globals = Globals::new(&inventory, VarMap::default());
    let tags = TagFilter::default();
    playbook::validate(
        &playbook,
        &inventory,
        &globals,
        None,
        &tags,
        &mut diagnostics,
    );
    assert!(!diagnostics.has_errors(), "{:?}", diagnostics.into_vec());
    let validate = begin.elapsed();

    let begin = Instant::now();
    let selected: BTreeSet<_> = play_hosts(&playbook.plays[0], &inventory, None)
        .unwrap()
        .into_iter()
        .collect();
    let job = Job::Plays {
        playbook: &playbook,
        hosts: vec![selected],
        tags,
    };
    let work = Work {
        globals: &globals,
        job,
        hosts: inventory.hosts().cloned().collect(),
    };
    let run = Run::prepare(&work, options::check()).unwrap();
    let prepare = begin.elapsed();

    let stand_ins = Hosts::start();
    let answer = stand_ins.answer();
    let transport = Transport::new(transport::Options::default(), Helpers::default())
        .unwrap()
        .with_stand_in(move |_| answer());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let before = most_memory();
    let spent = cpu(ClockId::ProcessCPUTime);
    let begin = Instant::now();
    let report = runtime.block_on(run.perform(&transport, &Silent, None, None));
    let perform = begin.elapsed();
    let spent = cpu(ClockId::ProcessCPUTime).saturating_sub(spent);
    let controller = spent.saturating_sub(stand_ins.end());

    let ok: usize = report.hosts.iter().map(|host| host.counts.ok).sum();
    assert_eq!(ok, hosts * 50, "not everything was checked");

    let begin = Instant::now();
    assert!(!render(&report, TextOptions::default()).is_empty());
    assert!(!to_json(&report).is_empty());
    Stages {
        hosts,
        read,
        validate,
        prepare,
        perform,
        controller,
        report: begin.elapsed(),
        memory: [before, most_memory()],
    }
}

/// The largest resident set so far, in bytes.
fn most_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.unwrap().trim().trim_end_matches(" kB");
    kibibytes.parse::<u64>().unwrap() << 10
}

//! What the parts of the controller cost, each alone and over and over, so that a change of a few
//! percent shows. What they cost together is told by `thousands`.
//!
//! `cargo bench --bench controller [-- PART]`

#![allow(
    clippy::unwrap_used,
    reason = "a program that a person starts to read what it prints"
)]

#[path = "thousands/options.rs"]
mod options;
#[path = "../html/story.rs"]
#[expect(dead_code, reason = "the tests of the page use the rest")]
mod story;
#[path = "thousands/fleet.rs"]
mod written;

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use fleet::diagnostic::Diagnostics;
use fleet::inventory::{HostName, Inventory, Layer, VarMap, extra_vars};
use fleet::playbook::{
    self, Globals, Playbook, Prepared, Results, Shared, TagFilter, TaskNames, play_hosts,
};
use fleet::report::{
    RunReport, TextOptions, host_line, render, summary_line, to_html, to_json, to_junit, to_nagios,
    to_prometheus,
};
use fleet::run::{Job, Run, Work};
use fleet::secret::Vault;
use fleet::template::{Data, Engine, Rendered, Secrets};
use fleet::yaml::Span;
use tempfile::TempDir;

/// Few hosts, and so many that what does not grow with them no longer counts.
const HOSTS: [usize; 2] = [100, 1_000];

/// What `thousands` declares on each host.
const RESOURCES: usize = 50;

fn main() {
    // Enough to tell changes of a few percent, and all of it within a minute.
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    inventory(&mut criterion);
    precedence(&mut criterion);
    planning(&mut criterion);
    template(&mut criterion);
    report(&mut criterion);
    criterion.final_summary();
}

/// A fleet on the disk, as `thousands` has it.
struct Fleet {
    folder: TempDir,
    hosts: usize,
}

impl Fleet {
    fn of(hosts: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        written::write(folder.path(), hosts);
        Self { folder, hosts }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn inventory(&self) -> Inventory {
        let mut diagnostics = Diagnostics::new();
        let sources = [self.path().join("hosts.yml").display().to_string()];
        let inventory = Inventory::load(&sources, &Vault::default(), &mut diagnostics);
        assert!(!diagnostics.has_errors(), "{:?}", diagnostics.into_vec());
        assert_eq!(inventory.hosts().len(), self.hosts);
        inventory
    }

    fn playbook(&self, name: &str) -> Playbook {
        let mut diagnostics = Diagnostics::new();
        let path = self.path().join(name);
        let playbook = playbook::load(&path, &Vault::default(), &mut diagnostics);
        assert!(!diagnostics.has_errors(), "{:?}", diagnostics.into_vec());
        playbook
    }

    /// A playbook of this template and nothing else.
    fn one_template(&self, template: &str) -> Playbook {
        let task = format!("template: {{src: {template}, dest: /etc/bench.conf}}");
        let play = format!("- hosts: all\n  tasks:\n    - {task}\n      loop: [1]\n");
        fs::write(self.path().join("one.yml"), play).unwrap();
        self.playbook("one.yml")
    }
}

/// Files of hosts and groups become an inventory.
fn inventory(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("inventory");
    for hosts in HOSTS {
        let fleet = Fleet::of(hosts);
        group.throughput(Throughput::Elements(hosts as u64));
        group.bench_function(BenchmarkId::new("read", hosts), |bencher| {
            bencher.iter(|| fleet.inventory());
        });
    }
}

/// Which of the definitions of a variable holds on a host.
fn precedence(criterion: &mut Criterion) {
    let inventory = Fleet::of(HOSTS[0]).inventory();
    // Ten names on every level that playbooks and roles have beside the inventory's.
    let names: Vec<_> = (0..10).map(|name| format!("name{name}=value")).collect();
    let above = Arc::new(extra_vars(&names, &Vault::default()).unwrap());
    let levels = [
        Layer::RoleDefaults,
        Layer::PlayVars,
        Layer::VarsFiles,
        Layer::RoleVars,
        Layer::RoleParameters,
        Layer::TaskVars,
    ];
    let variables = |host: &HostName| {
        levels
            .into_iter()
            .fold(inventory.variables(host), |variables, level| {
                variables.with(level, Arc::clone(&above))
            })
    };
    let mut group = criterion.benchmark_group("precedence");
    group.throughput(Throughput::Elements(HOSTS[0] as u64));
    group.bench_function("all levels of each host", |bencher| {
        bencher.iter(|| inventory.hosts().map(variables).map(black_box).count());
    });
    group.throughput(Throughput::Elements(1));
    let of_one = variables(inventory.hosts().next().unwrap());
    for (what, name) in [("of the last level", "name0"), ("of the group all", "site")] {
        group.bench_function(BenchmarkId::new("a variable", what), |bencher| {
            bencher.iter(|| of_one.get(black_box(name)).unwrap());
        });
    }
    group.bench_function("all variables", |bencher| {
        bencher.iter(|| of_one.effective());
    });
}

/// From a playbook's text to everything that is known before the first host is contacted.
fn planning(criterion: &mut Criterion) {
    let fleet = Fleet::of(HOSTS[0]);
    let inventory = fleet.inventory();
    let playbook = fleet.playbook("play.yml");
    let mut group = criterion.benchmark_group("planning");
    group.bench_function("load", |bencher| {
        bencher.iter(|| fleet.playbook("play.yml"));
    });
    group.throughput(Throughput::Elements((fleet.hosts * RESOURCES) as u64));
    group.bench_function("validate", |bencher| {
        bencher.iter(|| validate(&playbook, &inventory));
    });
    group.throughput(Throughput::Elements(fleet.hosts as u64));
    let globals = Globals::new(&inventory, VarMap::default());
    let selected = play_hosts(&playbook.plays[0], &inventory, None).unwrap();
    let work = Work {
        globals: &globals,
        job: Job::Plays {
            playbook: &playbook,
            hosts: vec![selected.into_iter().collect()],
            tags: TagFilter::default(),
        },
        hosts: inventory.hosts().cloned().collect(),
    };
    group.bench_function("prepare", |bencher| {
        bencher.iter(|| Run::prepare(&work, options::check()).unwrap());
    });
}

/// With nothing compiled yet, as at the beginning of a run.
fn validate(playbook: &Playbook, inventory: &Inventory) {
    let mut diagnostics = Diagnostics::new();
    let globals = Globals::new(inventory, VarMap::default());
    let tags = TagFilter::default();
    playbook::validate(playbook, inventory, &globals, None, &tags, &mut diagnostics);
    assert!(!diagnostics.has_errors(), "{:?}", diagnostics.into_vec());
}

/// A template is compiled once, and rendered once for all hosts that see the same values, before
/// the first contact and in the run: the more they share, the less a host costs.
fn template(criterion: &mut Criterion) {
    let fleet = Fleet::of(HOSTS[1]);
    let inventory = fleet.inventory();
    let mut group = criterion.benchmark_group("template");
    let globals = Globals::new(&inventory, VarMap::default());
    let host = globals.host(inventory.hosts().next().unwrap());
    let path = fleet.path().join("templates/host.conf");
    let file = globals.engine.file(&path).unwrap();
    let span = Span {
        start: 0,
        end: file.text.len(),
        file: Arc::clone(&file),
    };
    let playbook = fleet.one_template("host.conf");
    let play = &playbook.plays[0];
    let task = play.tasks().next().unwrap();
    let results = Results::default();
    let names = || {
        let names = TaskNames::new(&globals, &host, &results, play, task);
        names.with_item(Some(Data::from(1)))
    };
    group.bench_function("compile", |bencher| {
        bencher.iter_batched(
            || Engine::new(Secrets::Later),
            |engine| engine.compile_text(&file.text, &span),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("render", |bencher| {
        bencher.iter(|| {
            let names = names();
            let text = names.scope().render_file(&span);
            assert!(matches!(text, Ok(Rendered::Value(_))), "{text:?}");
        });
    });
    group.bench_function("task", |bencher| {
        bencher.iter(|| {
            let names = names();
            let task = playbook::prepare(task, &names.scope(), &globals.contents);
            let Ok(Rendered::Value(Prepared::Resource(resource))) = task else {
                panic!("{task:?}");
            };
            globals.contents.lower(*resource).unwrap()
        });
    });
    group.throughput(Throughput::Elements(fleet.hosts as u64));
    for (values, template) in [
        ("the same for all", "site.conf"),
        ("of each rack", "rack.conf"),
        ("of each host", "host.conf"),
    ] {
        let playbook = fleet.one_template(template);
        group.bench_function(BenchmarkId::new("check on all hosts", values), |bencher| {
            bencher.iter(|| validate(&playbook, &inventory));
        });
        group.bench_function(BenchmarkId::new("run on all hosts", values), |bencher| {
            bencher.iter(|| prepare(&playbook, &globals, &inventory));
        });
    }
}

/// As a run does it for each host; what goes over the wire is not made.
fn prepare(playbook: &Playbook, globals: &Globals<'_>, inventory: &Inventory) {
    let shared = Shared::default();
    let play = &playbook.plays[0];
    let task = play.tasks().next().unwrap();
    let results = Results::default();
    for host in inventory.hosts() {
        let host = globals.host(host);
        let names = TaskNames::new(globals, &host, &results, play, task);
        let names = names.with_item(Some(Data::from(1)));
        let prepared = shared.prepare(task, &names, &globals.contents);
        assert!(matches!(prepared, Ok(Rendered::Value(_))), "{prepared:?}");
    }
}

/// Every format of the same findings.
fn report(criterion: &mut Criterion) {
    const FINDINGS: usize = 100;
    type Format = fn(&RunReport) -> String;
    let formats: [(&str, Format); 7] = [
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
    let night = story::worst_night(HOSTS[0], FINDINGS);
    let mut group = criterion.benchmark_group("report");
    group.throughput(Throughput::Elements((HOSTS[0] * FINDINGS) as u64));
    for (name, format) in formats {
        group.bench_function(name, |bencher| bencher.iter(|| format(&night)));
    }
}

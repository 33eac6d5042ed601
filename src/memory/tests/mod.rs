use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;
use crate::protocol::{Drift, Status};
use crate::report::fixture::{differences, host, locked, resource, run, unreachable};
use crate::report::{CutShort, HostReport, ResourceReport, RunReport};

mod killed;

const PLAYBOOK: &str = "site.yml";

fn start() -> Timestamp {
    "2026-11-21T02:00:00Z".parse().unwrap()
}

fn minutes(count: i64) -> Timestamp {
    start() + SignedDuration::from_mins(count)
}

fn project() -> (tempfile::TempDir, Project) {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("fleet.yml"), "").unwrap();
    let project = Project::of_playbook(&directory.path().join(PLAYBOOK));
    (directory, project)
}

fn file(id: &str, status: Status) -> ResourceReport {
    let drift = match status {
        Status::Drift => differences([Drift::update("mode", "0600", "0644")]),
        _ => Vec::new(),
    };
    ResourceReport {
        id: id.to_owned(),
        task: format!("the file {id}"),
        drift,
        ..resource(status)
    }
}

/// What `fleet check` does with the report of a run that began at `at`.
fn remember(
    store: &mut dyn Store,
    at: Timestamp,
    scope: Scope,
    hosts: Vec<HostReport>,
) -> RunReport {
    let mut report = run(Command::Check, hosts);
    report.started_at = at;
    report.run_id = at.to_string();
    let query = Query {
        playbook: Some(PLAYBOOK.to_owned()),
        ..Query::default()
    };
    let known = Known::new(store.findings(&query).unwrap());
    let digest = digest(&report, PLAYBOOK, scope, &known);
    known.date(&mut report, PLAYBOOK);
    let entry = RunEntry::of(&report, PLAYBOOK);
    store
        .record(&entry, &digest, Timestamp::UNIX_EPOCH)
        .unwrap();
    report
}

/// All findings, as `host id first–last`, with `gone` when they were resolved.
fn history(store: &dyn Store) -> Vec<String> {
    let all = Query {
        resolved: true,
        ..Query::default()
    };
    let minute = |seen: &Sighting| seen.at.duration_since(start()).as_mins();
    let line = |finding: Finding| {
        let Subject { host, id, .. } = finding.seen.subject;
        let (first, last) = (minute(&finding.first_seen), minute(&finding.last_seen));
        let gone = finding
            .resolved
            .map(|gone| format!(" gone {}", minute(&gone)));
        format!("{host} {id} {first}–{last}{}", gone.unwrap_or_default())
    };
    store
        .findings(&all)
        .unwrap()
        .into_iter()
        .map(line)
        .collect()
}

#[test]
fn a_finding_is_open_from_the_first_check_that_saw_it_to_the_one_that_saw_it_gone() {
    let (_directory, project) = project();
    let mut store = project.store().unwrap();
    let steps: [(Vec<HostReport>, &[&str]); 8] = [
        (vec![host("a", [file("/x", Status::Drift)])], &["a /x 0–0"]),
        (vec![host("a", [file("/x", Status::Drift)])], &["a /x 0–1"]),
        // Not to have looked is not to have seen it gone.
        (vec![unreachable("a")], &["a /x 0–1"]),
        (vec![locked("a")], &["a /x 0–1"]),
        (
            vec![host("a", [file("/x", Status::Unknown)])],
            &["a /x 0–1"],
        ),
        (vec![host("b", [])], &["a /x 0–1"]),
        (vec![host("a", [])], &["a /x 0–1 gone 6"]),
        (
            vec![host("a", [file("/x", Status::Drift)])],
            &["a /x 0–1 gone 6", "a /x 7–7"],
        ),
    ];
    for (minute, (hosts, expected)) in (0..).zip(steps) {
        remember(&mut store, minutes(minute), Scope::Whole, hosts);
        assert_eq!(history(&store), expected, "after {minute}");
    }
}

#[test]
fn what_an_apply_mended_is_gone_and_what_it_failed_at_is_not() {
    let (_directory, project) = project();
    let mut store = project.store().unwrap();
    let found = ["/x", "/y", "/z"].map(|id| file(id, Status::Drift));
    remember(&mut store, minutes(0), Scope::Whole, vec![host("a", found)]);
    // `/z` was not reached after the failure, and nothing is said of it.
    let after = [file("/x", Status::Changed), file("/y", Status::Failed)];
    remember(&mut store, minutes(1), Scope::Whole, vec![host("a", after)]);
    assert_eq!(history(&store), ["a /x 0–0 gone 1", "a /y 0–0", "a /z 0–0"]);
}

#[test]
fn an_orphan_is_open_until_it_is_pruned() {
    let (_directory, project) = project();
    let mut store = project.store().unwrap();
    let orphan = |status| ResourceReport {
        drift: differences([Drift::remove("orphan", "made by `a`, no longer declared")]),
        message: (status == Status::Ok).then(|| "`apply --prune` removes it".to_owned()),
        ..file("/x", status)
    };
    // Found by a check, left by an apply that was not to prune, removed by one that was.
    for (minute, status, expected) in [
        (0, Status::Drift, "a /x 0–0"),
        (1, Status::Ok, "a /x 0–0"),
        (2, Status::Drift, "a /x 0–2"),
        (3, Status::Changed, "a /x 0–2 gone 3"),
    ] {
        let found = vec![host("a", [orphan(status)])];
        remember(&mut store, minutes(minute), Scope::Whole, found);
        assert_eq!(history(&store), [expected], "after {minute}");
    }
}

#[test]
fn a_check_of_some_tags_closes_only_what_it_looked_at() {
    let (_directory, project) = project();
    let mut store = project.store().unwrap();
    let found = ["/x", "/y"].map(|id| file(id, Status::Drift));
    remember(&mut store, minutes(0), Scope::Whole, vec![host("a", found)]);
    let mut looked = HostReport::new("a");
    looked.record(file("/x", Status::Ok), crate::report::Keep::All);
    remember(&mut store, minutes(1), Scope::Tags, vec![looked]);
    assert_eq!(history(&store), ["a /x 0–0 gone 1", "a /y 0–0"]);
}

#[test]
fn what_an_interrupted_check_did_not_come_to_stays_open() {
    let (_directory, project) = project();
    let mut store = project.store().unwrap();
    let found = vec![host("a", [file("/x", Status::Drift)])];
    remember(&mut store, minutes(0), Scope::Whole, found);
    // The play that would have become somebody else on this host had not begun.
    let mut report = run(Command::Check, vec![host("a", [])]);
    report.cut_short = Some(CutShort::Interrupted);
    let known = Known::new(store.findings(&Query::default()).unwrap());
    let learned = digest(&report, PLAYBOOK, Scope::Whole, &known);
    assert_eq!(learned, Digest::default());
}

#[test]
fn a_task_that_could_not_be_rendered_keeps_its_findings_open() {
    let (_directory, project) = project();
    let mut store = project.store().unwrap();
    remember(
        &mut store,
        minutes(0),
        Scope::Whole,
        vec![host("a", [file("/x", Status::Drift)])],
    );
    // Without a rendered path, all that is known is the task.
    let unknown = ResourceReport {
        id: "the file /x".to_owned(),
        ..file("/x", Status::Unknown)
    };
    remember(
        &mut store,
        minutes(1),
        Scope::Whole,
        vec![host("a", [unknown])],
    );
    assert_eq!(history(&store), ["a /x 0–0"]);
}

#[test]
fn a_run_that_began_earlier_and_ended_later_changes_nothing() {
    let (_directory, project) = project();
    let mut store = project.store().unwrap();
    let drifted = || vec![host("a", [file("/x", Status::Drift)])];
    remember(&mut store, minutes(5), Scope::Whole, drifted());
    remember(&mut store, minutes(4), Scope::Whole, vec![host("a", [])]);
    assert_eq!(history(&store), ["a /x 5–5"]);
    remember(&mut store, minutes(6), Scope::Whole, vec![host("a", [])]);
    remember(&mut store, minutes(5), Scope::Whole, drifted());
    assert_eq!(history(&store), ["a /x 5–5 gone 6"]);
}

#[test]
fn differences_are_dated_by_the_first_check_that_saw_them() {
    let (_directory, project) = project();
    let mut store = project.store().unwrap();
    let seen = |report: &RunReport| {
        let found = report.hosts[0].resources.iter();
        found
            .map(|found| found.drift[0].first_seen.unwrap())
            .collect::<Vec<_>>()
    };
    let one = vec![host("a", [file("/x", Status::Drift)])];
    let report = remember(&mut store, minutes(0), Scope::Whole, one);
    assert_eq!(seen(&report), [minutes(0)]);
    let two = vec![host(
        "a",
        [file("/x", Status::Drift), file("/y", Status::Drift)],
    )];
    let report = remember(&mut store, minutes(1), Scope::Whole, two);
    assert_eq!(seen(&report), [minutes(0), minutes(1)]);
}

#[test]
fn what_is_old_is_forgotten_unless_it_is_still_seen() {
    let (_directory, project) = project();
    let mut store = project.store().unwrap();
    let found = |ids: &[&str]| vec![host("a", ids.iter().map(|id| file(id, Status::Drift)))];
    remember(
        &mut store,
        minutes(0),
        Scope::Whole,
        found(&["/long", "/short"]),
    );
    remember(&mut store, minutes(1), Scope::Whole, found(&["/long"]));
    remember(&mut store, minutes(9), Scope::Whole, found(&["/long"]));
    let report = run(Command::Check, vec![]);
    let entry = RunEntry::of(&report, PLAYBOOK);
    store
        .record(&entry, &Digest::default(), minutes(5))
        .unwrap();
    assert_eq!(history(&store), ["a /long 0–9"]);
    let starts: Vec<_> = store
        .runs(9)
        .unwrap()
        .into_iter()
        .map(|run| run.started_at)
        .collect();
    assert_eq!(starts, [minutes(9)]);
}

#[test]
fn secrets_and_long_values_are_not_remembered() {
    let (_directory, project) = project();
    let mut store = project.store().unwrap();
    let drift = [
        Drift {
            sensitive: true,
            ..Drift::update("password", "hunter2", "letmein")
        },
        Drift::update("content", "x".repeat(100_000), "ä".repeat(100_000)),
    ];
    let found = ResourceReport {
        drift: differences(drift),
        ..resource(Status::Drift)
    };
    remember(
        &mut store,
        minutes(0),
        Scope::Whole,
        vec![host("a", [found])],
    );
    drop(store);
    let bytes = fs::read(project.root().join(".fleet/memory.db")).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    assert!(!text.contains("hunter2") && !text.contains("letmein"));
    assert!(bytes.len() < 60_000, "{} bytes", bytes.len());
}

#[test]
fn the_store_is_for_its_owner_only() {
    let (directory, project) = project();
    assert!(project.existing_store().unwrap().is_none());
    drop(project.store().unwrap());
    let mode = |path: &str| {
        let found = fs::metadata(directory.path().join(path)).unwrap();
        found.permissions().mode() & 0o777
    };
    assert_eq!(mode(".fleet"), 0o700);
    assert_eq!(mode(".fleet/memory.db"), 0o600);
    assert!(project.existing_store().unwrap().is_some());
}

#[test]
fn what_is_no_store_is_refused_with_a_way_out() {
    let (directory, project) = project();
    let shown = |error: &MemoryError| {
        let text = error.to_string();
        text.replace(&*project.root().to_string_lossy(), "[HERE]")
    };
    fs::write(directory.path().join(".fleet"), "").unwrap();
    let error = project.store().unwrap_err();
    assert_eq!(
        shown(&error),
        "cannot use `[HERE]/.fleet`: it is no directory"
    );

    fs::remove_file(directory.path().join(".fleet")).unwrap();
    std::os::unix::fs::symlink("/tmp", directory.path().join(".fleet")).unwrap();
    let error = project.store().unwrap_err();
    assert_eq!(
        shown(&error),
        "cannot use `[HERE]/.fleet`: it is no directory"
    );

    fs::remove_file(directory.path().join(".fleet")).unwrap();
    drop(project.store().unwrap());
    let path = directory.path().join(".fleet/memory.db");
    let later = rusqlite::Connection::open(&path).unwrap();
    later.pragma_update(None, "user_version", 7).unwrap();
    drop(later);
    let error = project.store().unwrap_err();
    assert_eq!(
        shown(&error),
        "`[HERE]/.fleet/memory.db` was written by a newer fleet (format 7)"
    );

    fs::write(&path, "something else".repeat(1_000)).unwrap();
    let error = project.store().unwrap_err();
    assert_eq!(shown(&error), "cannot open `[HERE]/.fleet/memory.db`");
    assert!(error.hint().unwrap().starts_with("move it away"));
}

#[test]
fn a_column_that_was_edited_by_hand_is_an_error() {
    let (directory, project) = project();
    let mut store = project.store().unwrap();
    remember(
        &mut store,
        minutes(0),
        Scope::Whole,
        vec![host("a", [file("/x", Status::Drift)])],
    );
    let path = directory.path().join(".fleet/memory.db");
    let other = rusqlite::Connection::open(path).unwrap();
    other
        .execute(
            "UPDATE findings SET severity = 'awful', first_seen_at = 'once'",
            [],
        )
        .unwrap();
    assert!(store.findings(&Query::default()).is_err());
    assert!(store.runs(1).is_ok());
}

#[test]
fn a_project_is_found_from_wherever_fleet_is_started() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().canonicalize().unwrap();
    fs::create_dir_all(root.join("site/playbooks")).unwrap();
    let playbook = root.join("site/playbooks/host.yml");
    fs::write(&playbook, "").unwrap();
    // Nothing says where the project begins, and fleet was not started in it.
    assert_eq!(
        Project::of_playbook(&playbook).root(),
        root.join("site/playbooks")
    );
    fs::create_dir(root.join("site/.fleet")).unwrap();
    let project = Project::of_playbook(&playbook);
    assert_eq!(project.root(), root.join("site"));
    assert_eq!(project.name_of(&playbook), "playbooks/host.yml");
    assert_eq!(
        project.name_of(Path::new("/elsewhere/x.yml")),
        "/elsewhere/x.yml"
    );
}

#[test]
fn how_long_is_kept_is_a_setting() {
    let (directory, project) = project();
    let days = |text: &str| {
        fs::write(directory.path().join("fleet.yml"), text).unwrap();
        let before = project
            .forget_before(start())
            .map_err(|errors| errors[0].message.clone())?;
        Ok::<_, String>(start().duration_since(before).as_hours() / 24)
    };
    assert_eq!(days("forks: 9\n"), Ok(365));
    assert_eq!(days("memory: {keep_days: 30}\n"), Ok(30));
    assert_eq!(
        days("memory: {keep: 30}\n"),
        Err("unknown key `keep`".to_owned())
    );
}

/// What a check can say of one resource.
#[derive(Clone, Copy, Debug)]
enum Told {
    Drift,
    InSync,
    Unknown,
    Unreachable,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever a series of checks says, a finding is open exactly from the check that saw it
    /// first to the one that saw it gone.
    #[test]
    fn the_store_agrees_with_a_plain_list(
        checks in prop::collection::vec(prop::collection::vec(
            prop_oneof![Just(Told::Drift), Just(Told::InSync), Just(Told::Unknown), Just(Told::Unreachable)],
            3,
        ), 1..8),
    ) {
        let (_directory, project) = project();
        let mut store = project.store().unwrap();
        let mut open: BTreeMap<String, Timestamp> = BTreeMap::new();
        for (minute, check) in (0..).zip(&checks) {
            let mut hosts = Vec::new();
            for (name, told) in ["a", "b", "c"].into_iter().zip(check) {
                hosts.push(match told {
                    Told::Drift => host(name, [file("/x", Status::Drift)]),
                    Told::InSync => host(name, []),
                    Told::Unknown => host(name, [file("/x", Status::Unknown)]),
                    Told::Unreachable => unreachable(name),
                });
                match told {
                    Told::Drift => _ = open.entry(name.to_owned()).or_insert(minutes(minute)),
                    Told::InSync => _ = open.remove(name),
                    Told::Unknown | Told::Unreachable => {}
                }
            }
            remember(&mut store, minutes(minute), Scope::Whole, hosts);
            let found = store.findings(&Query::default()).unwrap().into_iter();
            let found: BTreeMap<_, _> = found
                .map(|finding| (finding.seen.subject.host, finding.first_seen.at))
                .collect();
            prop_assert_eq!(&found, &open);
        }
    }
}

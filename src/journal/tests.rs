use std::fs;
use std::io::Write as _;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;

use super::Outcome::{Done, Failed, Unknown, Untouched};
use super::*;

const YEAR: Duration = Duration::from_hours(365 * 24);

fn asked(run_id: &str, hosts: &[&str]) -> Asked {
    let hosts: Vec<_> = hosts.iter().map(|&host| host.to_owned()).collect();
    Asked {
        run_id: run_id.to_owned(),
        started_at: jiff::Timestamp::UNIX_EPOCH,
        playbook: "site.yml".to_owned(),
        directory: "/srv".into(),
        arguments: serde_json::json!({"limit": "web*"}),
        variables: vec!["here".to_owned()],
        plays: vec![Batches {
            play: "all".to_owned(),
            batches: vec![hosts.clone()],
        }],
        hosts,
        seed: 7,
        resumes: None,
    }
}

fn create(directory: &std::path::Path, id: &str, hosts: &[&str]) -> Journal {
    Journal::create(directory, &asked(id, hosts), BTreeMap::new(), YEAR).unwrap()
}

fn outcomes(past: &Past) -> Vec<Outcome> {
    let hosts = past.asked.hosts.iter();
    hosts.map(|host| past.outcome(host)).collect()
}

#[test]
fn what_was_written_is_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut journal = create(directory.path(), "r1", &["a", "b", "c", "d"]);
    let past = Past::load(directory.path(), "r1").unwrap();
    assert_eq!(past.asked, asked("r1", &["a", "b", "c", "d"]));
    assert!(past.is_running && past.over.is_none());
    assert_eq!(outcomes(&past), [Outcome::Untouched; 4]);

    journal.begin(&["a", "b"]).unwrap();
    journal.end("a", Outcome::Done);
    journal.begin(&["c"]).unwrap();
    journal.end("c", Outcome::Failed);
    let past = Past::load(directory.path(), "r1").unwrap();
    assert_eq!(
        outcomes(&past),
        [Done, Unknown, Unknown, Untouched],
        "the end of c waits"
    );
    journal.close(8, Some("max_fail")).unwrap();
    let past = Past::load(directory.path(), "r1").unwrap();
    assert_eq!(outcomes(&past), [Done, Unknown, Failed, Untouched]);
    assert_eq!(past.hosts(&[Unknown, Untouched]), ["b", "d"]);
    assert!(!past.is_running);
    assert_eq!(past.over, Some((8, Some("max_fail".to_owned()))));
}

#[test]
fn only_its_owner_reads_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let runs = directory.path().join("runs");
    create(&runs, "r1", &["a"]);
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&runs), mode(&runs.join("r1.jsonl"))), (0o700, 0o600));
}

#[test]
fn a_run_that_goes_on_with_another_knows_what_came_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let mut first = create(directory.path(), "r1", &["a", "b", "c"]);
    first.begin(&["a", "b"]).unwrap();
    first.end("a", Outcome::Done);
    let past = Past::load(directory.path(), "r1").unwrap();
    let error = past.hand_over("r2").unwrap_err();
    assert!(matches!(error, JournalError::Running { .. }), "{error}");
    first.close(130, Some("interrupted")).unwrap();

    let past = Past::load(directory.path(), "r1").unwrap();
    let again = Past::load(directory.path(), "r1").unwrap();
    past.hand_over("r2").unwrap();
    again.hand_over("r3").unwrap_err();
    let second = Asked {
        resumes: Some("r1".to_owned()),
        ..asked("r2", &["a", "b", "c"])
    };
    let mut second = Journal::create(directory.path(), &second, past.outcomes(), YEAR).unwrap();
    second.begin(&["b"]).unwrap();
    let past = Past::load(directory.path(), "r2").unwrap();
    assert_eq!(
        outcomes(&past),
        [Outcome::Done, Outcome::Unknown, Outcome::Untouched]
    );
    let first = Past::load(directory.path(), "r1").unwrap();
    assert_eq!(first.resumed_by.as_deref(), Some("r2"));
    let unfinished = unfinished(directory.path()).unwrap();
    let ids: Vec<_> = unfinished.iter().map(|past| &*past.asked.run_id).collect();
    assert_eq!(ids, ["r2"], "with r1 somebody else goes on");
}

/// Whatever a kill leaves of the last line, the lines before it count.
#[test]
fn a_journal_cut_off_anywhere_is_read_up_to_there() {
    let directory = tempfile::tempdir().unwrap();
    let mut journal = create(directory.path(), "r1", &["a", "b"]);
    let path = directory.path().join("r1.jsonl");
    let begin = usize::try_from(fs::metadata(&path).unwrap().len()).unwrap();
    journal.begin(&["a"]).unwrap();
    journal.end("a", Outcome::Done);
    journal.begin(&["b"]).unwrap();
    drop(journal);
    let whole = fs::read(&path).unwrap();
    let mut seen = Vec::new();
    for end in begin..=whole.len() {
        fs::write(&path, &whole[..end]).unwrap();
        let past = Past::load(directory.path(), "r1").unwrap();
        seen.push(outcomes(&past));
        past.hand_over("r2").unwrap();
        let after = Past::load(directory.path(), "r1").unwrap();
        assert_eq!(outcomes(&after), outcomes(&past));
        assert_eq!(after.resumed_by.as_deref(), Some("r2"));
    }
    seen.dedup();
    assert_eq!(
        seen,
        [
            [Untouched, Untouched],
            [Unknown, Untouched],
            [Done, Untouched],
            [Done, Unknown]
        ]
    );
}

#[test]
fn a_full_disk_lets_nothing_begin() {
    let mut journal = Journal::to("/dev/full".as_ref());
    let error = journal.begin(&["a"]).unwrap_err();
    assert!(error.hint().contains("make room"), "{error}");
    journal.begin(&["a"]).unwrap_err();
}

#[test]
fn what_makes_no_sense_is_told_with_its_line() {
    let directory = tempfile::tempdir().unwrap();
    create(directory.path(), "r1", &["a"])
        .begin(&["a"])
        .unwrap();
    let path = directory.path().join("r1.jsonl");
    let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(b"{\"entry\":\"begn\"}\n").unwrap();
    let error = Past::load(directory.path(), "r1").unwrap_err().to_string();
    assert!(
        error.contains("r1.jsonl:3: unknown variant `begn`"),
        "{error}"
    );
    assert_eq!(unfinished(directory.path()).unwrap().len(), 0);

    fs::write(&path, "").unwrap();
    let error = Past::load(directory.path(), "r1").unwrap_err().to_string();
    assert!(error.contains("r1.jsonl:1:"), "{error}");
    fs::write(&path, "{\"entry\":\"asked\",\"format\":3,\"new\":1}\n").unwrap();
    let error = Past::load(directory.path(), "r1").unwrap_err().to_string();
    assert!(error.contains("newer fleet (format 3)"), "{error}");
}

#[test]
fn only_what_is_there_is_a_run() {
    let directory = tempfile::tempdir().unwrap();
    let runs = directory.path().join("runs");
    create(&runs, "20261121T1000Z-0001", &["a"]);
    fs::write(directory.path().join("secret.jsonl"), "").unwrap();
    for id in ["../secret", "", ".", "nothing-like-it"] {
        let error = Past::load(&runs, id).unwrap_err();
        assert!(
            matches!(error, JournalError::NoSuchRun { near: None, .. }),
            "{error}"
        );
    }
    let error = Past::load(&runs, "20261121T1000Z-0002").unwrap_err();
    assert_eq!(error.hint(), "did you mean `20261121T1000Z-0001`?");
    assert_eq!(
        latest(&runs).unwrap().as_deref(),
        Some("20261121T1000Z-0001")
    );
    assert_eq!(latest(&directory.path().join("none")).unwrap(), None);
}

#[test]
fn old_journals_go() {
    let directory = tempfile::tempdir().unwrap();
    for id in ["r1", "r2"] {
        create(directory.path(), id, &["a"]);
    }
    let old = fs::File::options()
        .append(true)
        .open(directory.path().join("r1.jsonl"));
    old.unwrap()
        .set_modified(SystemTime::now() - 2 * YEAR)
        .unwrap();
    create(directory.path(), "r3", &["a"]);
    assert!(!directory.path().join("r1.jsonl").exists());
    assert!(directory.path().join("r2.jsonl").exists());
}

proptest! {
    /// A host is done only if it was said to be, and untouched only if it was never begun.
    #[test]
    fn a_host_is_what_was_last_said_of_it(steps in prop::collection::vec((0_usize..4, prop::option::of(0_usize..3)), 0..20)) {
        let names = ["a", "b", "c", "d"];
        let ends = [Outcome::Done, Outcome::Failed, Outcome::Unreachable];
        let directory = tempfile::tempdir().unwrap();
        let mut journal = create(directory.path(), "r1", &names);
        let mut expected = [Outcome::Untouched; 4];
        for (host, end) in steps {
            match end {
                None => {
                    journal.begin(&[names[host]]).unwrap();
                    expected[host] = Outcome::Unknown;
                }
                Some(end) if expected[host] == Outcome::Unknown => {
                    journal.end(names[host], ends[end]);
                    expected[host] = ends[end];
                }
                Some(_) => {}
            }
        }
        journal.close(0, None).unwrap();
        prop_assert_eq!(outcomes(&Past::load(directory.path(), "r1").unwrap()), expected);
    }
}

//! What is only reported, and what is foretold.

use serde::{Deserialize, Serialize};

use super::*;
use crate::host::WayBack;

/// Finds what nobody repairs.
#[derive(Serialize, Deserialize)]
struct Audit;

impl Resource for Audit {
    const KIND: &'static str = "audit";
    const EXAMPLE: &'static str = "";
    type Actual = ();

    fn id(&self) -> String {
        String::new()
    }

    fn observe(&self, _: &Host) -> Result<(), Failure> {
        Ok(())
    }

    fn drift(&self, (): &()) -> Vec<Drift> {
        vec![Drift::reported("door", "closed", "open")]
    }

    fn apply(&self, _: &Host, (): &()) -> Result<Option<Output>, Failure> {
        panic!("what is only reported is never applied");
    }
}

/// Cuts the host off, one way or the other.
#[derive(Serialize, Deserialize)]
struct Risky;

impl Resource for Risky {
    const KIND: &'static str = "risky";
    const EXAMPLE: &'static str = "";
    type Actual = bool;

    fn id(&self) -> String {
        String::new()
    }

    fn way_back(&self, _: &Host, risky: &bool) -> Result<Option<WayBack>, Failure> {
        Ok(risky.then(WayBack::default))
    }

    fn observe(&self, _: &Host) -> Result<bool, Failure> {
        Ok(true)
    }

    fn drift(&self, _: &bool) -> Vec<Drift> {
        vec![Drift::update("door", "closed", "open")]
    }

    fn apply(&self, _: &Host, _: &bool) -> Result<Option<Output>, Failure> {
        Ok(None)
    }
}

#[test]
fn a_check_foretells_what_will_have_to_be_confirmed() {
    let base = tempfile::tempdir().unwrap();
    let mut delivery = Delivery::default();
    let pending = Pending::load(base.path(), None).unwrap();
    let run = Run::new(Host::offline(base.path()), pending, None, &mut delivery);
    let foretold = |risky| run.foretell(&Risky, &risky, Risky.drift(&risky)).message;
    let expected = "may cut the host off: taken back unless fleet can connect anew within 60 s";
    assert_eq!(foretold(true).as_deref(), Some(expected));
    assert_eq!(foretold(false), None);
}

/// Differs, and is not to be changed.
#[derive(Serialize, Deserialize)]
struct Blocked;

impl Resource for Blocked {
    const KIND: &'static str = "blocked";
    const EXAMPLE: &'static str = "";
    type Actual = ();

    fn id(&self) -> String {
        String::new()
    }

    fn obstacle(&self, _: &Host, (): &()) -> Result<(), Failure> {
        Err(Failure::Refused("the door is locked".to_owned()))
    }

    fn observe(&self, _: &Host) -> Result<(), Failure> {
        Ok(())
    }

    fn drift(&self, (): &()) -> Vec<Drift> {
        vec![Drift::update("door", "closed", "open")]
    }

    fn apply(&self, _: &Host, (): &()) -> Result<Option<Output>, Failure> {
        panic!("what is refused is never applied");
    }
}

#[test]
fn what_apply_refuses_is_drift_in_a_check_and_says_so() {
    let base = tempfile::tempdir().unwrap();
    let task: Task = serde_json::from_value(serde_json::json!({
        "id": 0, "resource": { "kind": "file", "declared": { "path": "/" } }
    }))
    .unwrap();
    for (host, status, message) in [
        (
            Host::offline(base.path()),
            Status::Failed,
            "the door is locked",
        ),
        (
            Host::offline_in(base.path(), Mode::Check),
            Status::Drift,
            "apply refuses this: the door is locked",
        ),
    ] {
        let mut delivery = Delivery::default();
        let pending = Pending::load(base.path(), None).unwrap();
        let mut run = Run::new(host, pending, None, &mut delivery);
        let outcome = run.reconcile(&task, &Blocked).outcome;
        assert_eq!(
            (outcome.status, outcome.message.as_deref()),
            (status, Some(message))
        );
        assert_eq!(outcome.drift.len(), 1);
        assert!(!outcome.would_change(), "no handler is foretold");
    }
}

#[test]
fn what_is_only_reported_is_drift_in_apply_too_and_no_failure() {
    let base = tempfile::tempdir().unwrap();
    let host = Host::offline(base.path());
    assert_eq!(host.mode(), Mode::Apply);
    let mut delivery = Delivery::default();
    let pending = Pending::load(base.path(), None).unwrap();
    let mut run = Run::new(host, pending, None, &mut delivery);
    let task: Task = serde_json::from_value(serde_json::json!({
        "id": 0, "notify": ["restart"],
        "resource": { "kind": "file", "declared": { "path": "/" } }
    }))
    .unwrap();
    let work = run.reconcile(&task, &Audit);
    assert_eq!(work.outcome.status, Status::Drift);
    assert_eq!(work.outcome.drift.len(), 1);
    assert!(!work.outcome.would_change());
    assert!(!run.pending.any(&task.notify), "nobody is notified");
}

/// What came of tasks in a check, with what they would do.
fn check(base: &std::path::Path, tasks: &serde_json::Value) -> Vec<Outcome> {
    let mut delivery = Delivery::default();
    let pending = Pending::load(base, None).unwrap();
    let host = Host::offline_in(base, Mode::Check);
    let mut run = Run::new(host, pending, None, &mut delivery);
    let tasks = tasks.as_array().unwrap().iter();
    tasks
        .map(|resource| {
            let task = serde_json::json!({ "id": 0, "resource": resource });
            let task: Task = serde_json::from_value(task).unwrap();
            let outcome = run.outcome(&task, None).outcome;
            run.earlier_drift |= outcome.would_change();
            outcome
        })
        .collect()
}

#[test]
fn a_check_refuses_what_apply_would_refuse() {
    use std::fs;
    let base = tempfile::tempdir().unwrap();
    let path = |name: &str| base.path().join(name);
    fs::create_dir(path("directory")).unwrap();
    fs::write(path("file"), "").unwrap();
    std::os::unix::fs::symlink("file", path("link")).unwrap();
    let kind = |kind: &str, declared| serde_json::json!({ "kind": kind, "declared": declared });
    let copy = |name: &str| {
        kind(
            "copy",
            serde_json::json!({ "dest": path(name), "content": "x" }),
        )
    };
    let line = |name: &str| {
        kind(
            "lineinfile",
            serde_json::json!({ "path": path(name), "line": "x" }),
        )
    };
    let file = |name: &str, state: &str| {
        kind(
            "file",
            serde_json::json!({ "path": path(name), "state": state }),
        )
    };
    let tasks = serde_json::json!([
        copy("directory"),
        copy("link"),
        copy("file/x"),
        line("directory"),
        line("link"),
        file("link", "directory"),
        file("directory", "touch"),
        file("file/x/y", "directory"),
    ]);
    for (outcome, task) in check(base.path(), &tasks)
        .iter()
        .zip(tasks.as_array().unwrap())
    {
        // What differs is known, so it is drift, and stays; below a file nothing can be looked at.
        let below_a_file = task.to_string().contains("/file/x\"");
        let expected = if below_a_file {
            Status::Unknown
        } else {
            Status::Drift
        };
        assert_eq!(outcome.status, expected, "{task}");
        let message = outcome.message.as_deref().unwrap();
        assert!(
            message.starts_with(crate::protocol::REFUSED),
            "{task}: {message}"
        );
        assert!(message.contains(base.path().to_str().unwrap()), "{message}");
    }
    // What an earlier task takes out of the way is in nobody's way.
    let cleared = check(
        base.path(),
        &serde_json::json!([file("link", "absent"), copy("link")]),
    );
    assert_eq!(cleared[1].status, Status::Drift, "{cleared:?}");
}

#[test]
fn a_check_knows_the_directories_that_its_own_tasks_will_have_made() {
    use Status::{Drift, Unknown};
    let base = tempfile::tempdir().unwrap();
    let path = |name: &str| base.path().join(name);
    let outcomes = check(
        base.path(),
        &serde_json::json!([
            { "kind": "file", "declared": { "path": path("a/b"), "state": "directory" } },
            { "kind": "copy", "declared": { "dest": path("a/b/x"), "content": "new\n" } },
            { "kind": "copy", "declared": { "dest": path("a/y"), "content": "new\n" } },
            { "kind": "copy", "declared": { "dest": path("c/y"), "content": "new\n" } },
            { "kind": "lineinfile", "declared": { "path": path("a/l"), "line": "x", "create": true } },
        ]),
    );
    let statuses: Vec<_> = outcomes.iter().map(|outcome| outcome.status).collect();
    assert_eq!(statuses, [Drift, Drift, Drift, Unknown, Drift]);
    let diff = outcomes[1].drift[0].diff.as_deref().unwrap();
    assert!(diff.ends_with("+new\n"), "{diff}");
    assert!(!path("a").exists());
}

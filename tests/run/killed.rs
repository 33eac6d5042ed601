//! Two applies of which one, or its helper, is killed: exactly one writes, and the lock is not left
//! behind.

use std::fs;
use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::Site;
use crate::cli::Ended;

/// A host with a task that runs until it is told that it is enough.
fn site() -> Site {
    Site::with_tasks(
        r#"
    - shell: "echo run >> {{ here }}/begun; while ! test -e {{ here }}/enough; do sleep 0.05; done"
"#,
    )
}

fn start(site: &Site) -> Child {
    let here = format!("here={}", site.path("").display());
    site.start(&[
        "apply",
        "play.yml",
        "--yes",
        "-e",
        &here,
        "--lock-timeout",
        "0",
    ])
}

/// One that is in the middle of its task.
fn busy(site: &Site) -> Child {
    let child = start(site);
    eventually("the task begins", || site.path("begun").exists());
    child
}

fn kill_helper(site: &Site) {
    let holder: serde_json::Value = serde_json::from_str(&site.read("state/lock")).unwrap();
    let helper = i32::try_from(holder["pid"].as_u64().unwrap()).unwrap();
    kill_process(Pid::from_raw(helper).unwrap(), Signal::KILL).unwrap();
}

fn is_free(site: &Site, wait: &str) {
    fs::write(site.path("enough"), "").unwrap();
    let ended = site.play("apply", &["--lock-timeout", wait]);
    assert_eq!(ended.code, 0, "{}", ended.all());
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}: not within a minute");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Started in the same moment; whoever comes first ends last.
#[test]
fn of_two_at_once_exactly_one_writes_and_the_other_exits_5() {
    let site = site();
    let mut both = [start(&site), start(&site)];
    eventually("one is refused", || {
        let mut ended = both.iter_mut().map(|child| child.try_wait().unwrap());
        ended.any(|status| status.is_some()) && site.path("begun").exists()
    });
    fs::write(site.path("enough"), "").unwrap();
    let ended = both.map(|child| site.end_of(child));
    let all = ended.each_ref().map(Ended::all).concat();
    let mut codes = ended.map(|ended| ended.code);
    codes.sort_unstable();
    assert_eq!(codes, [0, 5], "{all}");
    assert_eq!(site.read("begun"), "run\n", "{all}");
}

#[test]
fn the_lock_is_free_at_once_when_the_helper_is_killed_and_the_controller_tells_it() {
    let site = site();
    let first = busy(&site);
    kill_helper(&site);
    let first = site.end_of(first);
    assert!([2, 4].contains(&first.code), "{}", first.all());
    assert!(first.stdout.contains("node1"), "{}", first.all());
    is_free(&site, "0");
}

/// What has begun is never done by two: the helper ends its task first.
#[test]
fn the_lock_is_free_when_the_controller_is_killed_and_the_task_has_ended() {
    let site = site();
    let mut first = busy(&site);
    first.kill().unwrap();
    first.wait().unwrap();
    let second = site.play("apply", &["--lock-timeout", "0"]);
    assert_eq!(second.code, 5, "{}", second.all());
    assert_eq!(site.read("begun"), "run\n");
    is_free(&site, "20s");
}

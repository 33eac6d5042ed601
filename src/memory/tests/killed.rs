//! Processes that write are killed.

use std::time::Duration;

use super::*;

/// Which store the writer below is to write to.
const WRITE_TO: &str = "FLEET_TEST_WRITE_TO";

/// Not a test of its own: another process, which writes run after run, each with findings that
/// belong together, until it is killed.
#[test]
fn writer() {
    let Some(root) = std::env::var_os(WRITE_TO) else {
        return;
    };
    let project = Project::of_playbook(&Path::new(&root).join(PLAYBOOK));
    let mut store = project.store().unwrap();
    loop {
        let ids: Vec<_> = (0..40).map(|at| format!("/file{at}")).collect();
        let found = ids.iter().map(|id| file(id, Status::Drift));
        remember(
            &mut store,
            Timestamp::now(),
            Scope::Whole,
            vec![host("a", found)],
        );
        remember(
            &mut store,
            Timestamp::now(),
            Scope::Whole,
            vec![host("a", [])],
        );
    }
}

#[test]
fn writers_killed_at_any_moment_leave_whole_runs_and_nothing_else() {
    let (directory, project) = project();
    drop(project.store().unwrap());
    let start = || {
        #[expect(
            clippy::disallowed_methods,
            reason = "to be killed, which bounds its time"
        )]
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        command
            .args(["memory::tests::killed::writer", "--exact", "--nocapture"])
            .env(WRITE_TO, directory.path())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null());
        command.spawn().unwrap()
    };
    let mut runs = 0;
    for _ in 0..10 {
        let mut writers = [start(), start(), start()];
        let enough = |store: &Sqlite| store.runs(u32::MAX).unwrap().len() > runs + 4;
        let store = project.store().unwrap();
        while !enough(&store) {
            let ended = writers
                .iter_mut()
                .any(|writer| writer.try_wait().unwrap().is_some());
            assert!(!ended, "a writer failed");
            std::thread::sleep(Duration::from_millis(fastrand::u64(1..20)));
        }
        for writer in &mut writers {
            writer.kill().unwrap();
            writer.wait().unwrap();
        }
        drop(store);

        let store = project.store().unwrap();
        runs = store.runs(u32::MAX).unwrap().len();
        let path = directory.path().join(".fleet/memory.db");
        let other = rusqlite::Connection::open(path).unwrap();
        let sound: String = other
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap();
        assert_eq!(sound, "ok");
        // A run wrote all of its findings or none, and is among the runs.
        let torn = "SELECT count(*) FROM (
             SELECT count(*) AS found FROM findings GROUP BY first_seen_run HAVING found <> 40
             UNION ALL
             SELECT 1 FROM findings WHERE last_seen_run NOT IN (SELECT run FROM runs)
         )";
        let torn: i64 = other.query_row(torn, [], |row| row.get(0)).unwrap();
        assert_eq!(torn, 0);
    }
}

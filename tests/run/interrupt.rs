//! Ctrl-C.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{Site, eventually};
use crate::sshd::Sshd;

#[test]
fn an_interrupted_run_reports_what_it_knows_and_leaves_no_ssh_behind() {
    for signal in [Signal::INT, Signal::TERM] {
        let sshd = Sshd::start();
        let site = Site::with_inventory(&format!(
            "all:\n  hosts:\n    node1: {{ansible_host: 127.0.0.1, ansible_port: {}, \
             ansible_ssh_private_key_file: {}}}\n",
            sshd.port(),
            sshd.path("user_key").display()
        ))
        .tasks(
            r#"
    - name: before
      copy: {content: x, dest: "{{ here }}/before"}
    - name: endless
      shell: "touch {{ here }}/started; exec sleep 5"
"#,
        );
        let ssh_config = sshd.path("ssh_config").display().to_string();
        let here = format!("here={}", site.path("").display());
        let child = site.start(&[
            "apply",
            "play.yml",
            "--yes",
            "-e",
            &here,
            "--format",
            "json",
            "--ssh-config",
            &ssh_config,
        ]);
        eventually("the task begins", || site.path("started").exists());
        let id = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        let begin = Instant::now();
        kill_process(id, signal).unwrap();
        std::thread::sleep(Duration::from_millis(200));
        // The first lets the task end, the second does not wait for that.
        kill_process(id, signal).unwrap();
        let ended = site.end_of(child);
        assert!(
            begin.elapsed() < Duration::from_secs(3),
            "{:?}",
            begin.elapsed()
        );
        assert_eq!(ended.code, 130, "{}", ended.all());
        let document: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!(document["interrupted"], true);
        assert_eq!(document["exit_code"], 130);
        let host = &document["hosts"][0];
        assert_eq!(host["host"], "node1", "{document:#}");
        assert_eq!(host["status"], "failed", "{document:#}");
        assert_eq!(
            host["counts"]["changed"], 1,
            "what was done is told: {document:#}"
        );
        assert!(
            host["error"]["message"]
                .as_str()
                .unwrap()
                .contains("interrupted"),
            "{document:#}"
        );
        eventually("ssh ends", || sshd.is_left_alone());
    }
}

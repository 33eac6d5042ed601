//! Ctrl-C.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::machines::Machines;
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

/// Machines of their own, over ssh: two under way and one that is not begun.
#[test]
fn interrupted_once_each_host_ends_its_task_and_is_free() {
    let machines = Machines::start(3);
    let site = Site::with_inventory(&machines.inventory())
        .file("fleet.yml", "memory: {keep_days: 365}\n")
        .file(
            "play.yml",
            r#"
- hosts: all
  serial: 2
  tasks:
    - name: first
      shell: "echo first >> {{ here }}/{{ inventory_hostname }}"
      notify: restart
    - name: items
      shell: "echo begun {{ item }} >> {{ here }}/{{ inventory_hostname }}; while ! test -e {{ here }}/go; do sleep 0.05; done; echo over {{ item }} >> {{ here }}/{{ inventory_hostname }}"
      loop: [1, 2]
    - name: last
      shell: "echo last >> {{ here }}/{{ inventory_hostname }}"
  handlers:
    - name: restart
      shell: "echo restart >> {{ here }}/{{ inventory_hostname }}"
- hosts: all
  tasks:
    - shell: "echo second play >> {{ here }}/{{ inventory_hostname }}"
"#,
        );
    let here = format!("here={}", site.path("").display());
    let ssh_config = machines.ssh_config();
    let mut child = site.start(&[
        "apply",
        "play.yml",
        "--yes",
        "-e",
        &here,
        "--ssh-config",
        &ssh_config,
        "--format",
        "json",
        "--lock-timeout",
        "0",
    ]);
    eventually("both begin", || {
        ["node0", "node1"].map(|name| site.read(name)) == ["first\nbegun 1\n"; 2]
    });
    let id = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(id, Signal::INT).unwrap();
    let mut said = String::new();
    let mut stderr = std::io::BufReader::new(child.stderr.take().unwrap());
    std::io::BufRead::read_line(&mut stderr, &mut said).unwrap();
    assert!(said.contains("nothing else is begun"), "{said}");
    // The hosts hear of it a moment later.
    std::thread::sleep(Duration::from_secs(1));
    std::fs::write(site.path("go"), "").unwrap();
    let ended = site.end_of(child);
    assert_eq!(ended.code, 130, "{}", ended.all());
    let document: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    let cut = &document["cut_short"];
    assert_eq!(cut["interrupted"], serde_json::json!(["node0", "node1"]));
    assert_eq!(cut["untouched"], serde_json::json!(["node2"]));
    for (at, name) in ["node0", "node1"].into_iter().enumerate() {
        assert_eq!(site.read(name), "first\nbegun 1\nover 1\n");
        assert_eq!(
            document["hosts"][at]["error"]["message"],
            "interrupted after the task `items`: 2 tasks done, and nothing else begun"
        );
    }
    assert_eq!(site.read("node2"), "");

    // Whoever comes next need not wait for the lock, as it would not, and runs the handlers that are pending.
    let run_id = document["run_id"].as_str().unwrap();
    let ended = site.fleet(&["apply", "--resume", run_id, "--yes", "-e", &here]);
    assert_eq!(ended.code, 0, "{}", ended.all());
    let rest = "first\nbegun 1\nover 1\nbegun 2\nover 2\nlast\nrestart\nsecond play\n";
    for name in ["node0", "node1"] {
        assert_eq!(site.read(name), format!("first\nbegun 1\nover 1\n{rest}"));
    }
    assert_eq!(site.read("node2"), rest);
}

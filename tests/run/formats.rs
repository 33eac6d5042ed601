//! One run, told in every format: they agree with one another and with the exit code.

use std::io::{BufRead, BufReader, Read};

use serde_json::Value;

use super::Site;

/// Three hosts that drift, two ways; one way is waived on one of them.
fn site() -> Site {
    Site::with_hosts(&["web1", "web2", "db1"])
        .tasks(
            r#"
    - name: limits
      copy: {content: "new\n", dest: "{{ here }}/{{ inventory_hostname }}"}
      severity: high
    - name: notes
      copy: {content: "new\n", dest: "{{ here }}/notes"}
      severity: low
"#,
        )
        .file("web1", "old\n")
        .file("web2", "new\n")
        .file("db1", "old\n")
        .file("notes", "old\n")
        .file(
            "waivers.yml",
            "- {hosts: db1, reason: moving, owner: ops, expires: 2099-01-01}\n",
        )
}

fn documents(lines: &str) -> Vec<Value> {
    let parse = |line| serde_json::from_str(line).unwrap();
    lines.lines().map(parse).collect()
}

#[test]
fn one_run_goes_everywhere_at_once() {
    let site = site();
    let ended = site.play(
        "check",
        &[
            "--output",
            "json=out.json",
            "--output",
            "jsonl=out.jsonl",
            "--output",
            "junit=out.xml",
            "--output",
            "prometheus=out.prom",
            "--output",
            "nagios=out.nagios",
            "--output",
            "html=out.html",
            "--output",
            "text=out.txt",
        ],
    );
    assert_eq!(ended.code, 2, "{}", ended.all());
    assert_eq!(
        ended.stdout,
        site.read("out.txt")
            .replace(site.path("").to_str().unwrap(), "[HERE]/")
            .replace("[HERE]//", "[HERE]/")
    );
    assert!(
        ended
            .stdout
            .contains("Drift: 3 resources on 2 of 3 hosts; 2 resources waived on 1 host.")
    );
    let document: Value = serde_json::from_str(&site.read("out.json")).unwrap();
    assert_eq!(document["exit_code"], 2);
    assert_eq!(document["summary"]["drifted"], 2);
    let xml = site.read("out.xml");
    assert!(
        xml.contains(r#"tests="6" failures="3" errors="0""#),
        "{xml}"
    );
    let metrics = site.read("out.prom");
    for line in [
        r#"fleet_drift_items{host="web1",severity="high",playbook="play.yml"} 1"#,
        r#"fleet_drift_items{host="db1",severity="high",playbook="play.yml"} 0"#,
        r#"fleet_waived_items{host="db1",playbook="play.yml"} 2"#,
        r#"fleet_exit_code{playbook="play.yml"} 2"#,
    ] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
    let line = site.read("out.nagios");
    assert!(
        line.starts_with("FLEET CRITICAL - Drift: 3 resources"),
        "{line}"
    );
    assert!(site.read("out.html").contains("<h1"));
}

#[test]
fn the_lines_are_what_the_document_has_of_each_host() {
    let site = site();
    let ended = site.play(
        "check",
        &[
            "--format",
            "jsonl",
            "--output",
            "json=out.json",
            "--min-severity",
            "medium",
        ],
    );
    assert_eq!(ended.code, 2, "{}", ended.all());
    let document: Value = serde_json::from_str(
        &site
            .read("out.json")
            .replace(site.path("").to_str().unwrap(), "[HERE]/"),
    )
    .unwrap();
    let mut lines = documents(&ended.stdout.replace("[HERE]//", "[HERE]/"));
    let summary = lines.pop().unwrap();
    assert_eq!(summary["type"], "summary");
    assert_eq!(summary["summary"], document["summary"]);
    assert_eq!(lines.len(), 3);
    for host in document["hosts"].as_array().unwrap() {
        let line = lines
            .iter()
            .find(|line| line["host"] == host["host"])
            .unwrap();
        for key in ["status", "counts", "resources"] {
            assert_eq!(line[key], host[key], "{key} of {}", host["host"]);
        }
        assert_eq!(line["run_id"], document["run_id"]);
    }
    // The waiver and the age are in both.
    let text = document.to_string();
    assert!(
        text.contains("moving") && text.contains("first_seen"),
        "{text}"
    );
}

#[test]
fn a_host_is_told_as_soon_as_it_is_done() {
    // A check: both are the same machine, where only one apply at a time has the lock.
    let site = Site::with_hosts(&["slow", "quick"]).tasks(
        "    - command: sleep 20\n      changed_when: false\n      when: inventory_hostname == 'slow'\n",
    );
    let mut child = site.start(&["check", "play.yml", "--format", "jsonl"]);
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    lines.read_line(&mut first).unwrap();
    let first: Value = serde_json::from_str(&first).unwrap();
    assert_eq!(
        (&first["type"], &first["host"]),
        (&"host".into(), &"quick".into())
    );
    assert!(
        child.try_wait().unwrap().is_none(),
        "the run was over already"
    );

    // Interrupted, the rest is told all the same.
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    let rest = documents(&rest);
    assert_eq!(rest[0]["host"], "slow");
    assert_eq!(rest[1]["exit_code"], 130);
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn a_host_of_several_plays_is_told_once_when_the_last_is_done() {
    let play = "- hosts: all\n  tasks:\n    - command: \"true\"\n";
    let site = Site::with_hosts(&["a", "b"]).file("play.yml", &play.repeat(3));
    let ended = site.play("apply", &["--format", "jsonl"]);
    let lines = documents(&ended.stdout);
    assert_eq!(lines.len(), 3, "{}", ended.all());
    for line in &lines[..2] {
        assert_eq!(line["counts"]["changed"], 3, "{line}");
    }
}

#[test]
fn as_a_plugin_it_exits_as_plugins_do() {
    let exits = |site: &Site, args: &[&str]| {
        let ended = site.play("check", &[&["--format", "nagios"], args].concat());
        let word = ended.stdout.split(" - ").next().unwrap().to_owned();
        assert_eq!(ended.stdout.lines().count(), 1, "{}", ended.all());
        (word, ended.code)
    };
    let site = site();
    let is = |word: &str, code| (format!("FLEET {word}"), code);
    assert_eq!(exits(&site, &[]), is("CRITICAL", 2));
    assert_eq!(exits(&site, &["-l", "db1"]), is("WARNING", 1));
    let site = site.file("web2", "new\n").file("notes", "new\n");
    assert_eq!(exits(&site, &["-l", "web2"]), is("OK", 0));
    // Nothing is known of the hosts, which is not the WARNING that 1 would be.
    assert_eq!(exits(&site, &["-l", "nowhere"]), is("UNKNOWN", 3));
    assert_eq!(
        exits(&site, &["--output", "json=missing/x"]),
        is("UNKNOWN", 3)
    );
}

/// `fleet check | head -0`: no panic, no word about it, and the code tells what was found.
#[test]
fn a_reader_that_went_away_changes_nothing_about_the_verdict() {
    let site = site();
    for format in ["text", "json", "jsonl", "junit", "html"] {
        let here = format!("here={}", site.path("").display());
        let mut check = site.start(&["check", "play.yml", "-e", &here, "--format", format]);
        drop(check.stdout.take());
        let ended = site.end_of(check);
        assert_eq!(ended.code, 2, "{format}: {}", ended.all());
        let progress = |line: &str| line.starts_with('[');
        assert!(ended.stderr.lines().all(progress), "{}", ended.all());
    }
}

#[test]
fn a_report_that_cannot_be_written_is_told_and_never_a_success() {
    let site = site();
    for (args, code) in [
        (["--output", "json=/dev/full", "-l", "web1"], 2),
        (["--output", "json=/dev/full", "-l", "db1"], 1),
        (["--output", "jsonl=/dev/full", "-l", "db1"], 1),
    ] {
        let ended = site.play("check", &args);
        assert_eq!(ended.code, code, "{}", ended.all());
        assert!(
            ended
                .stderr
                .contains("`/dev/full`\n  caused by: No space left on device"),
            "{}",
            ended.all()
        );
        assert!(
            ended.stdout.contains(" on 1 host") || ended.stdout.contains("Drift: 2"),
            "the report was lost: {}",
            ended.all()
        );
    }
    let before = site.play("apply", &["--output", "html=missing/report.html"]);
    assert_eq!((before.code, &*before.stdout), (1, ""), "{}", before.all());
    assert!(
        before.stderr.contains("missing/report.html"),
        "{}",
        before.stderr
    );
    assert_eq!(site.read("web1"), "old\n", "a host was touched");
}

#[test]
fn what_has_no_findings_has_no_such_report() {
    let site = Site::local();
    for args in [["--format", "junit"], ["--output", "html=x"]] {
        let ended = site.fleet(&[&["exec", "all"], &args[..], &["--", "true"]].concat());
        assert_eq!(ended.code, 1, "{}", ended.all());
        assert!(ended.stderr.contains("has no findings"), "{}", ended.stderr);
    }
    let ended = site.fleet(&["exec", "all", "--format", "jsonl", "--", "echo", "hi"]);
    let lines = documents(&ended.stdout);
    assert_eq!(lines[0]["resources"][0]["output"]["stdout"], "hi\n");
}

use std::time::Duration;

use super::*;
use crate::protocol::{Drift, Output, Severity, Status};
use crate::report::fixture::{differences, findings, host, resource, run, unreachable, waived};
use crate::report::{Command, CutShort, ErrorClass, HostError, HostReport, ResourceReport};

mod plan;

fn normal(report: &RunReport) -> String {
    render(report, TextOptions::default())
}

fn with(report: &RunReport, verbosity: Verbosity) -> String {
    render(
        report,
        TextOptions {
            verbosity,
            ..TextOptions::default()
        },
    )
}

fn in_sync(count: usize) -> Vec<HostReport> {
    (1..=count)
        .map(|n| host(&format!("web{n:02}"), [resource(Status::Ok)]))
        .collect()
}

fn said(status: Status, message: &str) -> ResourceReport {
    ResourceReport {
        message: Some(message.to_owned()),
        ..resource(status)
    }
}

#[test]
fn a_check_shows_each_difference_with_its_symbol() {
    let report = run(Command::Check, vec![host("node1", findings(Status::Drift))]);
    insta::assert_snapshot!(normal(&report), @"
    ~ file /etc/sysctl.d/90-fleet.conf  mode: 0644 → 0600   [node1]
    ~ file /etc/sysctl.d/90-fleet.conf  owner: nobody → root   [node1]
        → notifies docker : restart docker
    + file /data/logs  state: absent → directory   [node1]
    - user guest  state: present → absent   [node1]
    -/+ docker_daemon docker  driver: devicemapper → overlay2   [node1]
    ~ docker_login registry.example  password: (secret changed)   [node1]

    PLAY RECAP *********************************************************************
    node1                      : ok=0    changed=0    unreachable=0    failed=0    skipped=0    rescued=0    ignored=0    drift=5    waived=0

    Drift: 5 resources on 1 of 1 host.
    ");
}

#[test]
fn the_same_difference_is_shown_once_for_all_hosts() {
    let one = || findings(Status::Drift).into_iter().take(1);
    let mut hosts: Vec<_> = (1..=37)
        .map(|n| host(&format!("web{n:02}"), one()))
        .collect();
    hosts.extend([host("db1", findings(Status::Drift).into_iter().take(2))]);
    insta::assert_snapshot!(with(&run(Command::Check, hosts), Verbosity::Quiet), @"
    ~ file /etc/sysctl.d/90-fleet.conf  mode: 0644 → 0600   [38 hosts: web01 … db1]
    ~ file /etc/sysctl.d/90-fleet.conf  owner: nobody → root   [38 hosts: web01 … db1]
    + file /data/logs  state: absent → directory   [db1]

    Drift: 39 resources on 38 of 38 hosts.
    ");
}

#[test]
fn findings_follow_the_playbook_and_not_the_hosts() {
    let mut findings = findings(Status::Drift).into_iter().skip(1).take(2);
    let (early, late) = (findings.next().unwrap(), findings.next().unwrap());
    let hosts = vec![host("a", [late.clone()]), host("b", [early, late])];
    insta::assert_snapshot!(with(&run(Command::Check, hosts), Verbosity::Quiet), @"
    + file /data/logs  state: absent → directory   [b]
    - user guest  state: present → absent   [a, b]

    Drift: 3 resources on 2 of 2 hosts.
    ");
}

#[test]
fn a_failure_names_its_task_and_says_everything_it_knows() {
    let mut failed = said(
        Status::Failed,
        "`rpm -U` exited with 3:\n  package is broken\x1b[2J\n",
    );
    failed.drift = findings(Status::Drift).remove(0).drift;
    let mut ignored = said(Status::Failed, "no such unit");
    ignored.ignored = true;
    ignored.id = "/other".to_owned();
    let changed = resource(Status::Changed);
    let report = run(
        Command::Apply,
        vec![host("node1", [changed, failed, ignored])],
    );
    insta::assert_snapshot!(normal(&report), @r"
    ~ file /etc/limits  changed   [node1]
    ! file /etc/limits  failed: host_baseline : set the limits   [node1]
        `rpm -U` exited with 3:
          package is broken\x1b[2J
        ~ mode: 0644 → 0600
        ~ owner: nobody → root
    ! file /other  failed (ignored): host_baseline : set the limits   [node1]
        no such unit

    PLAY RECAP *********************************************************************
    node1                      : ok=2    changed=1    unreachable=0    failed=1    skipped=0    rescued=0    ignored=1    drift=0    waived=0

    Applied: 1 resource changed on 1 of 1 host; 1 resource failed and ignored on 1 host; 1 host failed.
    ");
}

#[test]
fn hosts_without_a_result_come_last_with_the_reason() {
    let stopped = HostReport {
        error: Some(HostError {
            class: ErrorClass::Stopped,
            message: "no space left on device".to_owned(),
        }),
        ..HostReport::new("c")
    };
    let hosts = vec![
        unreachable("a"),
        in_sync(1).remove(0),
        unreachable("b"),
        stopped,
    ];
    insta::assert_snapshot!(normal(&run(Command::Check, hosts)), @"
    ! unreachable: no answer in time   [a, b]
        no answer within 10 s
    ! stopped   [c]
        no space left on device

    PLAY RECAP *********************************************************************
    a                          : ok=0    changed=0    unreachable=1    failed=0    skipped=0    rescued=0    ignored=0    drift=0    waived=0
    b                          : ok=0    changed=0    unreachable=1    failed=0    skipped=0    rescued=0    ignored=0    drift=0    waived=0
    c                          : ok=0    changed=0    unreachable=0    failed=1    skipped=0    rescued=0    ignored=0    drift=0    waived=0

    No drift on 1 of 4 hosts; 1 host failed; 2 hosts unreachable.
    ");
}

#[test]
fn diffs_are_shown_when_asked_for_and_secrets_never() {
    let mut resources = findings(Status::Drift);
    resources.drain(..4);
    let mut content = resource(Status::Drift);
    let mut drift = crate::protocol::Drift::update("content", "9 bytes", "4 bytes");
    drift.diff = Some("--- /etc/limits\n+++ /etc/limits\n@@ -1 +1 @@\n-old\n+new\n".to_owned());
    content.drift.extend(differences([drift]));
    resources.push(content);
    let report = run(Command::Check, vec![host("node1", resources)]);
    let options = TextOptions {
        diff: true,
        verbosity: Verbosity::Quiet,
        ..TextOptions::default()
    };
    let text = render(&report, options);
    assert!(!text.contains("hunter2"), "{text}");
    insta::assert_snapshot!(text, @"
    ~ file /etc/limits  content: 4 bytes → 9 bytes   [node1]
        --- /etc/limits
        +++ /etc/limits
        @@ -1 +1 @@
        -old
        +new
    ~ docker_login registry.example  password: (secret changed)   [node1]

    Drift: 2 resources on 1 of 1 host.
    ");
    assert!(!normal(&report).contains("@@"));
}

#[test]
fn verbose_names_every_host_and_shows_what_was_skipped_and_printed() {
    let mut printed = resource(Status::Changed);
    printed.output = Some(Output {
        stdout: "one\ntwo\n".to_owned(),
        stderr: "three".to_owned(),
        ..Output::default()
    });
    let skipped = said(Status::Skipped, "the condition is false");
    let hosts = ["a", "b", "c", "d"].map(|name| host(name, [printed.clone(), skipped.clone()]));
    insta::assert_snapshot!(with(&run(Command::Apply, hosts.into()), Verbosity::Verbose), @"
    ~ file /etc/limits  changed   [a, b, c, d]
        stdout: one
        stdout: two
        stderr: three
      file /etc/limits  skipped: the condition is false   [a, b, c, d]

    PLAY RECAP *********************************************************************
    a                          : ok=1    changed=1    unreachable=0    failed=0    skipped=1    rescued=0    ignored=0    drift=0    waived=0
    b                          : ok=1    changed=1    unreachable=0    failed=0    skipped=1    rescued=0    ignored=0    drift=0    waived=0
    c                          : ok=1    changed=1    unreachable=0    failed=0    skipped=1    rescued=0    ignored=0    drift=0    waived=0
    d                          : ok=1    changed=1    unreachable=0    failed=0    skipped=1    rescued=0    ignored=0    drift=0    waived=0

    Applied: 4 resources changed on 4 of 4 hosts.
    ");
}

#[test]
fn verbose_says_what_the_run_cost_the_hosts() {
    let mut hosts = ["a", "b", "c"].map(|name| host(name, []));
    hosts[0].cpu = Some(Duration::from_millis(20));
    hosts[2].cpu = Some(Duration::from_millis(310));
    let mut report = run(Command::Check, hosts.into());
    let text = with(&report, Verbosity::Verbose);
    insta::assert_snapshot!(text.lines().next().unwrap_or_default(), @"CPU time of helpers: 0.33 s on 2 hosts, the most 0.31 s on c");
    assert!(!normal(&report).contains("CPU"));

    report.hosts[0].cpu = Some(Duration::MAX);
    assert!(
        with(&report, Verbosity::Verbose).contains("on 2 hosts"),
        "a host may say anything"
    );
}

#[test]
fn colour_adds_nothing_but_colour() {
    let hosts = vec![host("node1", findings(Status::Drift)), unreachable("node2")];
    let report = run(Command::Check, hosts);
    let coloured = render(
        &report,
        TextOptions {
            color: true,
            ..TextOptions::default()
        },
    );
    assert_ne!(coloured, normal(&report));
    assert_eq!(console::strip_ansi_codes(&coloured), normal(&report));
}

#[test]
fn a_quiet_run_in_sync_says_nothing_and_any_other_does() {
    assert_eq!(with(&run(Command::Check, in_sync(3)), Verbosity::Quiet), "");
    let mut interrupted = run(Command::Check, in_sync(3));
    interrupted.cut_short = Some(CutShort::Interrupted);
    assert_eq!(
        with(&interrupted, Verbosity::Quiet),
        "No drift. 3 hosts match; interrupted before the end.\n"
    );
    for status in [
        Status::Drift,
        Status::Changed,
        Status::Failed,
        Status::Unknown,
    ] {
        let report = run(Command::Apply, vec![host("a", [resource(status)])]);
        assert_ne!(with(&report, Verbosity::Quiet), "", "{status:?}");
    }
}

#[test]
fn the_summary_line_is_one_good_sentence() {
    use Command::{Apply, Check, Exec, Plan};
    let would_run = || ResourceReport {
        would_run: true,
        ..resource(Status::Skipped)
    };
    let ignored = || ResourceReport {
        ignored: true,
        ..resource(Status::Failed)
    };
    let of = |status| host("x", [resource(status)]);
    let three = || vec![of(Status::Ok), of(Status::Ok), unreachable("y")];
    let cases = [
        (Check, in_sync(40), "No drift. 40 hosts match."),
        (Check, in_sync(1), "No drift. 1 host matches."),
        (
            Check,
            three(),
            "No drift on 2 of 3 hosts; 1 host unreachable.",
        ),
        (Check, vec![unreachable("y")], "1 host unreachable."),
        (
            Check,
            vec![of(Status::Drift), of(Status::Unknown), of(Status::Unknown)],
            "Drift: 1 resource on 1 of 3 hosts; 2 resources could not be told on 2 hosts.",
        ),
        (Plan, in_sync(2), "Nothing to change. 2 hosts match."),
        (
            Plan,
            vec![of(Status::Drift)],
            "Plan: 1 resource on 1 of 1 host: 0 to add, 1 to change, 0 to destroy.",
        ),
        (
            Plan,
            vec![host("x", [would_run(), would_run()])],
            "2 resources would run.",
        ),
        (Apply, in_sync(2), "Nothing to change. 2 hosts match."),
        (
            Apply,
            vec![of(Status::Changed)],
            "Applied: 1 resource changed on 1 of 1 host.",
        ),
        (
            Apply,
            vec![of(Status::Changed), of(Status::Failed), of(Status::Failed)],
            "Applied: 1 resource changed on 1 of 3 hosts; 2 hosts failed.",
        ),
        (Apply, vec![of(Status::Failed)], "1 host failed."),
        (
            Apply,
            vec![of(Status::Ok), of(Status::Failed)],
            "Nothing to change on 1 of 2 hosts; 1 host failed.",
        ),
        (
            Apply,
            vec![host("x", [resource(Status::Ok), ignored()])],
            "1 resource failed and ignored on 1 host.",
        ),
        (
            Check,
            vec![host("x", [resource(Status::Ok), ignored()])],
            "No drift found; 1 resource failed and ignored on 1 host.",
        ),
        (
            Apply,
            vec![of(Status::Unknown)],
            "1 resource could not be told on 1 host.",
        ),
        (
            Apply,
            vec![of(Status::Skipped)],
            "Nothing was looked at on 1 host.",
        ),
        (
            Check,
            vec![host("x", [])],
            "Nothing was looked at on 1 host.",
        ),
        (
            Check,
            vec![of(Status::Ok), of(Status::Skipped)],
            "No drift on 1 of 2 hosts; nothing was looked at on 1 host.",
        ),
        (Exec, three(), "2 of 3 hosts answered; 1 host unreachable."),
    ];
    for (command, hosts, expected) in cases {
        assert_eq!(summary::line(&run(command, hosts)), expected);
    }
}

/// One resource is waived as a whole, one in part, and one difference was left out.
fn waived_in_part() -> RunReport {
    let mut node = host("node1", findings(Status::Drift));
    node.waive(|resource, found| {
        let covered = resource.id == "/data/logs" || found.drift.attribute == "owner";
        covered.then(waived)
    });
    node.hide_unless(|found| found.drift.attribute != "driver");
    let mut report = run(Command::Check, vec![node]);
    report.waivers.push(WaiverRemark {
        waiver: waived(),
        subject: "all: file /var/old*".to_owned(),
        issue: WaiverIssue::Unused,
    });
    report
}

#[test]
fn what_is_waived_is_shown_and_counted_apart() {
    insta::assert_snapshot!(normal(&waived_in_part()), @"
    ~ file /etc/sysctl.d/90-fleet.conf  mode: 0644 → 0600   [node1]
    = file /etc/sysctl.d/90-fleet.conf  owner: nobody → root  (waived by ops until 2099-12-31: until the new disks are in)   [node1]
        → notifies docker : restart docker
    = file /data/logs  state: absent → directory  (waived by ops until 2099-12-31: until the new disks are in)   [node1]
    - user guest  state: present → absent   [node1]
    ~ docker_login registry.example  password: (secret changed)   [node1]

    waiver waivers.yml:1 for all: file /var/old* of ops: unused: there was nothing to waive

    PLAY RECAP *********************************************************************
    node1                      : ok=0    changed=0    unreachable=0    failed=0    skipped=0    rescued=0    ignored=0    drift=3    waived=1

    Drift: 3 resources on 1 of 1 host; 1 resource waived on 1 host; 1 resource not shown, as asked.
    ");
}

#[test]
fn only_open_drift_is_bad_news() {
    insta::assert_snapshot!(with(&waived_in_part(), Verbosity::Quiet), @"
    ~ file /etc/sysctl.d/90-fleet.conf  mode: 0644 → 0600   [node1]
    - user guest  state: present → absent   [node1]
    ~ docker_login registry.example  password: (secret changed)   [node1]

    Drift: 3 resources on 1 of 1 host; 1 resource waived on 1 host; 1 resource not shown, as asked.
    ");
    let mut node = host("node1", findings(Status::Drift));
    node.waive(|_, _| Some(waived()));
    let report = run(Command::Check, vec![node]);
    assert_eq!(with(&report, Verbosity::Quiet), "");
    assert_eq!(report.exit_code() as u8, 0);
}

#[test]
fn an_expired_waiver_is_bad_news_while_there_is_drift() {
    let mut report = waived_in_part();
    report.waivers[0].issue = WaiverIssue::Expired;
    let said = "expired: what it covered is drift again";
    assert!(with(&report, Verbosity::Quiet).contains(said));
    report.hosts = vec![host("node1", [])];
    assert_eq!(with(&report, Verbosity::Quiet), "");
}

#[test]
fn what_is_worse_than_usual_says_so() {
    let mut node = host("node1", findings(Status::Drift).into_iter().take(1));
    for (found, severity) in node.resources[0]
        .drift
        .iter_mut()
        .zip([Severity::High, Severity::Low])
    {
        found.severity = severity;
    }
    insta::assert_snapshot!(with(&run(Command::Check, vec![node]), Verbosity::Quiet), @"
    ~ file /etc/sysctl.d/90-fleet.conf  mode: 0644 → 0600  (high)   [node1]
    ~ file /etc/sysctl.d/90-fleet.conf  owner: nobody → root   [node1]

    Drift: 1 resource on 1 of 1 host.
    ");
}

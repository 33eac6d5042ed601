//! What a plan promises, and what it does not.

use super::*;

#[test]
fn a_check_says_of_a_difference_that_apply_refuses_it() {
    let refused = ResourceReport {
        message: Some("apply refuses this: remove the link first".to_owned()),
        ..findings(Status::Drift).into_iter().next().unwrap()
    };
    let report = run(Command::Check, vec![host("node1", [refused])]);
    insta::assert_snapshot!(with(&report, Verbosity::Quiet), @"
    ~ file /etc/sysctl.d/90-fleet.conf  mode: 0644 → 0600   [node1]
    ~ file /etc/sysctl.d/90-fleet.conf  owner: nobody → root   [node1]
        apply refuses this: remove the link first

    Drift: 1 resource on 1 of 1 host; 1 resource on 1 host that apply refuses to change.
    ");
    let plan = RunReport {
        command: Command::Plan,
        ..report
    };
    insta::assert_snapshot!(with(&plan, Verbosity::Quiet), @"
    ~ file /etc/sysctl.d/90-fleet.conf  mode: 0644 → 0600   [node1]
    ~ file /etc/sysctl.d/90-fleet.conf  owner: nobody → root   [node1]
        apply refuses this: remove the link first

    Nothing to change; 1 resource on 1 host that apply refuses to change.
    ");
}

#[test]
fn the_plan_counts_what_it_shows() {
    let mut resources = findings(Status::Drift);
    resources.push(ResourceReport {
        would_run: true,
        ..said(Status::Skipped, "runs every time")
    });
    resources.push(said(Status::Skipped, "the condition is false"));
    resources.push(said(
        Status::Unknown,
        "cannot be known before apply: unit docker",
    ));
    let report = run(
        Command::Plan,
        vec![host("node1", resources), host("node2", [])],
    );
    insta::assert_snapshot!(with(&report, Verbosity::Quiet), @"
      file /etc/limits  runs every time   [node1]
    ? file /etc/limits  cannot be known before apply: unit docker   [node1]
    ~ file /etc/sysctl.d/90-fleet.conf  mode: 0644 → 0600   [node1]
    ~ file /etc/sysctl.d/90-fleet.conf  owner: nobody → root   [node1]
    + file /data/logs  state: absent → directory   [node1]
    - user guest  state: present → absent   [node1]
    -/+ docker_daemon docker  driver: devicemapper → overlay2   [node1]
    ~ docker_login registry.example  password: (secret changed)   [node1]

    Plan: 5 resources on 1 of 2 hosts: 1 to add, 2 to change, 1 to replace, 1 to destroy; 1 resource would run; 1 resource could not be told on 1 host; nothing was looked at on 1 host.
    ");
}

#[test]
fn what_an_audit_finds_is_no_part_of_the_plan() {
    let found = || ResourceReport {
        drift: differences([Drift::reported("container web privileged", "false", "true")]),
        ..resource(Status::Drift)
    };
    let plan = run(Command::Plan, vec![host("node1", [found()])]);
    insta::assert_snapshot!(with(&plan, Verbosity::Quiet), @"
    * file /etc/limits  container web privileged: true → false   [node1]

    Nothing to change; 1 resource with findings on 1 host that fleet does not repair.
    ");
    let apply = run(
        Command::Apply,
        vec![host("node1", [found(), resource(Status::Changed)])],
    );
    insta::assert_snapshot!(with(&apply, Verbosity::Quiet), @"
    * file /etc/limits  container web privileged: true → false   [node1]
    ~ file /etc/limits  changed   [node1]

    Applied: 1 resource changed on 1 of 1 host; 1 resource with findings on 1 host that fleet does not repair.
    ");
}

//! Hosts of one pool are replaced, some at a time: what happens, and what is left alone.

use std::time::Duration;

use futures_util::FutureExt;

use super::fault::Fault;
use super::simulation::Lab;
use crate::protocol::balancer::{Admin, Cause};
use crate::report::ExitCode;
use crate::swap::fleet::Fleet;
use crate::swap::perform::Asked;
use crate::swap::replace::{Call, Record};
use crate::swap::report::{Action, Hosts, Report, Verdict};
use crate::swap::setup::Replacement;
use crate::swap::trouble::Class;

mod moments;

/// One pool of so many servers, all of which serve.
fn pool(balancers: usize, size: usize, may_miss: usize) -> Lab {
    let floor = size.saturating_sub(may_miss).max(1);
    let mut lab = Lab::new(balancers, size, 0, floor);
    lab.rules.pools.truncate(1);
    lab
}

fn asked(action: Action) -> Asked {
    Asked {
        action,
        wish: None,
        adopt: false,
        anew: false,
        run_id: "run".to_owned(),
    }
}

/// One call for these hosts; `None` if it was killed.
fn call_for(lab: &mut Lab, asked: &Asked, hosts: &[String], batch: usize) -> Option<Report> {
    let (rules, terms) = (lab.rules.clone(), lab.terms.clone());
    let mut report = Report::new(asked, "orders".to_owned(), "replace.yml".to_owned());
    let mut call = Call {
        asked,
        rules: &rules,
        terms: &terms,
        replacement: &Replacement {
            hosts: hosts.to_vec(),
            batch,
        },
        previous: lab.journal::<Record>(),
        report: &mut report,
        confirm: &mut |_| true,
    };
    let world = lab.look().now_or_never()?;
    assert!(call.go(lab, world).now_or_never()?);
    Some(report)
}

fn call(lab: &mut Lab, batch: usize) -> Option<Report> {
    let hosts = lab.rules.pools[0].hosts();
    call_for(lab, &asked(Action::Replace), &hosts, batch)
}

fn class(report: &Report) -> Option<Class> {
    report.trouble.as_ref().map(|trouble| trouble.class)
}

fn names(report: &Report) -> Vec<&'static str> {
    report.steps.iter().map(|step| step.name).collect()
}

fn host(number: usize) -> String {
    format!("blue{number}.example")
}

fn hosts(report: &Report) -> Hosts {
    report.hosts.clone().unwrap()
}

/// Servers that were left out of service although nothing was begun on them, and by nobody else.
fn stranded(lab: &Lab) -> Vec<String> {
    let out = lab.servers.iter().filter(|(slot, server)| {
        server.admin != Admin::Ready
            && !lab.begun.contains(&slot.name.server)
            && !lab.lost.contains(&slot.balancer)
            && !lab.taken.contains(slot)
    });
    out.map(|(slot, _)| format!("{slot:?}")).collect()
}

#[test]
fn a_host_is_drained_replaced_proven_and_back_before_the_next() {
    let mut lab = pool(2, 3, 1);
    let report = call(&mut lab, 1).unwrap();
    let one = [
        "drain", "sessions", "maint", "deploy", "gate", "health", "ready", "settle",
    ];
    assert_eq!(names(&report), [one, one, one].concat());
    assert_eq!(report.verdict, Verdict::Replaced);
    assert_eq!(report.exit_code(), ExitCode::AsDeclared);
    assert_eq!(hosts(&report).done, [host(1), host(2), host(3)]);
    assert_eq!(lab.serving("lb2"), ["blue1", "blue2", "blue3"]);
    assert_eq!(lab.violations, Vec::<String>::new());
}

#[test]
fn a_batch_is_as_large_as_it_is_said_to_be() {
    let mut lab = pool(1, 5, 2);
    let report = call(&mut lab, 2).unwrap();
    let deployed: Vec<_> = report
        .steps
        .iter()
        .filter(|step| step.name == "deploy")
        .map(|step| step.text.as_str())
        .collect();
    assert_eq!(
        deployed,
        [
            "deploy to blue1.example, blue2.example",
            "deploy to blue3.example, blue4.example",
            "deploy to blue5.example"
        ]
    );
    assert_eq!(lab.violations, Vec::<String>::new());
}

#[test]
fn the_next_run_begins_anew() {
    let mut lab = pool(1, 2, 1);
    call(&mut lab, 1).unwrap();
    let again = call(&mut lab, 1).unwrap();
    let deploys = names(&again)
        .iter()
        .filter(|name| **name == "deploy")
        .count();
    assert_eq!(deploys, 2);
}

#[test]
fn a_plan_changes_nothing_and_says_what_is_then_done() {
    let mut lab = pool(2, 3, 1);
    let before = lab.servers.clone();
    let all = lab.rules.pools[0].hosts();
    let plan = call_for(&mut lab, &asked(Action::Plan), &all, 1).unwrap();
    assert_eq!(plan.exit_code(), ExitCode::NotAsDeclared);
    assert_eq!(lab.servers, before);
    assert!(lab.journals.is_empty());
    let done = call(&mut lab, 1).unwrap();
    let texts = |report: &Report| {
        let steps = report.steps.iter().map(|step| step.text.clone());
        steps.collect::<Vec<_>>()
    };
    assert_eq!(texts(&plan), texts(&done));
}

#[test]
fn what_fails_after_its_deployment_was_begun_stays_out_and_nothing_more_is_begun() {
    for (step, trouble) in [("deploy", Class::Deploy), ("health", Class::Health)] {
        let mut lab = pool(2, 3, 1);
        if step == "deploy" {
            lab.failing.insert(host(2));
        } else {
            lab.sick.insert("blue2".to_owned());
        }
        let report = call(&mut lab, 1).unwrap();
        assert_eq!(
            (report.verdict, class(&report)),
            (Verdict::Stopped, Some(trouble))
        );
        assert_eq!(report.exit_code(), ExitCode::NotAsDeclared);
        let expected = Hosts {
            done: vec![host(1)],
            failed: vec![host(2)],
            unfinished: vec![],
            untouched: vec![host(3)],
        };
        assert_eq!(hosts(&report), expected);
        assert_eq!(lab.serving("lb1"), ["blue1", "blue3"]);

        lab.failing.clear();
        lab.sick.clear();
        lab.begun.clear();
        let report = call(&mut lab, 1).unwrap();
        assert_eq!(report.verdict, Verdict::Replaced, "{report:?}");
        // What this run has done is not done again.
        assert!(!lab.begun.contains("blue1"));
        assert_eq!(lab.serving("lb2"), ["blue1", "blue2", "blue3"]);
        assert_eq!(lab.violations, Vec::<String>::new());
    }
}

#[test]
fn a_gate_that_is_not_clean_keeps_the_host_out() {
    let mut lab = pool(1, 2, 1);
    lab.broken.insert("gate");
    let report = call(&mut lab, 1).unwrap();
    assert_eq!(class(&report), Some(Class::Gate));
    assert_eq!(hosts(&report).failed, [host(1)]);
    assert_eq!(lab.serving("lb1"), ["blue2"]);
}

#[test]
fn a_server_that_does_not_stay_up_is_taken_out_again() {
    let mut lab = pool(1, 3, 1);
    let ready = {
        let mut whole = lab.clone();
        call(&mut whole, 1).unwrap();
        whole.readied[0]
    };
    lab.faults.insert(ready + 1, Fault::Dies { server: 0 });
    let report = call(&mut lab, 1).unwrap();
    assert_eq!(
        (report.verdict, class(&report)),
        (Verdict::Stopped, Some(Class::Health)),
        "{report:?}"
    );
    assert_eq!(hosts(&report).failed, [host(1)]);
    assert_eq!(lab.slot("lb1", "blue1").admin, Admin::Maint);
    assert_eq!(lab.serving("lb1"), ["blue2", "blue3"]);
}

#[test]
fn a_drain_that_never_ends_puts_the_host_back() {
    let mut lab = pool(2, 3, 1);
    lab.clinging.insert("blue2".to_owned());
    let report = call(&mut lab, 1).unwrap();
    assert_eq!(
        (report.verdict, class(&report)),
        (Verdict::Stopped, Some(Class::Drain))
    );
    assert_eq!(hosts(&report).untouched, [host(2), host(3)]);
    assert_eq!(lab.serving("lb1"), ["blue1", "blue2", "blue3"]);
}

#[test]
fn too_few_servers_are_refused_before_anything_is_touched() {
    let mut lab = pool(1, 3, 1);
    lab.slot("lb1", "blue3").up = false;
    lab.slot("lb1", "blue3").admin = Admin::Maint;
    let before = lab.servers.clone();
    let report = call(&mut lab, 1).unwrap();
    assert_eq!(
        (report.verdict, class(&report)),
        (Verdict::Refused, Some(Class::Budget))
    );
    assert_eq!(lab.servers, before);
    let next = lab.journal::<Record>();
    assert!(next.is_none_or(|record| record.over));
}

#[test]
fn what_somebody_took_out_stays_out_as_it_is_and_is_told() {
    let mut lab = pool(2, 4, 2);
    let server = lab.slot("lb1", "blue2");
    (server.admin, server.up) = (Admin::Maint, false);
    let report = call(&mut lab, 1).unwrap();
    assert_eq!(
        (report.verdict, class(&report)),
        (Verdict::Incomplete, Some(Class::Held))
    );
    assert_eq!(report.exit_code(), ExitCode::NotAsDeclared);
    assert!(!lab.begun.contains("blue2"));
    assert_eq!(lab.serving("lb1"), ["blue1", "blue3", "blue4"]);
    assert_eq!(hosts(&report).untouched, [host(2)]);
    assert!(
        report
            .remarks
            .iter()
            .any(|remark| remark.contains("orders/blue2 on lb1"))
    );
    // It is over: the next one begins with all of them.
    lab.begun.clear();
    call(&mut lab, 1).unwrap();
    assert!(lab.begun.contains("blue1"));
}

#[test]
fn what_the_configuration_disables_is_not_brought_into_service() {
    let mut lab = pool(1, 3, 2);
    let server = lab.slot("lb1", "blue3");
    (server.admin, server.cause, server.up) = (Admin::Maint, Cause::Configuration, false);
    let report = call(&mut lab, 1).unwrap();
    assert_eq!(report.verdict, Verdict::Incomplete);
    assert_eq!(lab.serving("lb1"), ["blue1", "blue2"]);
}

#[test]
fn what_somebody_gave_no_weight_is_left_so() {
    let mut lab = pool(1, 3, 2);
    lab.slot("lb1", "blue1").weight = 0;
    let report = call(&mut lab, 1).unwrap();
    assert_eq!(report.verdict, Verdict::Incomplete);
    assert_eq!(hosts(&report).untouched, [host(1)]);
    assert_eq!(lab.serving("lb1"), ["blue2", "blue3"]);
}

#[test]
fn a_server_that_is_down_is_replaced_first() {
    let mut lab = pool(1, 3, 1);
    lab.slot("lb1", "blue3").up = false;
    let report = call(&mut lab, 1).unwrap();
    assert_eq!(report.verdict, Verdict::Replaced, "{report:?}");
    let first = report.steps.iter().find(|step| step.name == "deploy");
    assert_eq!(first.unwrap().text, "deploy to blue3.example");
    assert_eq!(lab.violations, Vec::<String>::new());
}

#[test]
fn a_limit_takes_some_and_does_not_leave_behind_what_is_half_done() {
    let mut lab = pool(1, 3, 1);
    lab.failing.insert(host(2));
    call(&mut lab, 1).unwrap();
    let report = call_for(&mut lab, &asked(Action::Replace), &[host(3)], 1).unwrap();
    assert_eq!(class(&report), Some(Class::Budget), "{report:?}");
    let told = |remark: &String| remark.starts_with("blue2.example is left out of service");
    assert!(report.remarks.iter().any(told), "{report:?}");
    // Begun anew for another one, the broken one still gets no traffic.
    let anew = Asked {
        anew: true,
        ..asked(Action::Replace)
    };
    lab.failing.clear();
    let report = call_for(&mut lab, &anew, &[host(3)], 1).unwrap();
    assert_eq!(class(&report), Some(Class::Budget), "{report:?}");
    lab.sick.insert("blue2".to_owned());
    let report = call_for(&mut lab, &anew, &[host(2)], 1).unwrap();
    assert_eq!(hosts(&report).failed, [host(2)]);
    assert_eq!(lab.serving("lb1"), ["blue1", "blue3"]);
    assert_eq!(lab.violations, Vec::<String>::new());
}

#[test]
fn what_was_drained_when_it_was_killed_goes_back_if_the_next_run_fails() {
    let mut lab = pool(1, 3, 2);
    lab.clinging.insert("blue1".to_owned());
    lab.faults.insert(5, Fault::Kill);
    assert!(call(&mut lab, 2).is_none());
    assert_eq!(lab.serving("lb1"), ["blue3"]);
    lab.come_back();
    let anew = Asked {
        anew: true,
        ..asked(Action::Replace)
    };
    // Of two that are out, it takes one, which cannot be drained.
    let report = call_for(&mut lab, &anew, &[host(1)], 1).unwrap();
    assert_eq!(
        (report.verdict, class(&report)),
        (Verdict::Stopped, Some(Class::Drain))
    );
    assert_eq!(lab.serving("lb1"), ["blue1", "blue2", "blue3"]);
}

#[test]
fn what_was_drained_when_it_was_killed_goes_back_after_a_run_of_other_hosts() {
    let mut lab = pool(1, 4, 3);
    lab.faults.insert(5, Fault::Kill);
    assert!(call(&mut lab, 2).is_none());
    assert_eq!(lab.serving("lb1"), ["blue3", "blue4"]);
    lab.come_back();
    let report = call_for(&mut lab, &asked(Action::Replace), &[host(4)], 1).unwrap();
    assert_eq!(report.verdict, Verdict::Replaced, "{report:?}");
    assert_eq!(hosts(&report).done, [host(4)]);
    assert_eq!(lab.serving("lb1").len(), 4);
}

#[test]
fn a_limit_that_leaves_nothing_to_go_on_with_begins_anew() {
    let mut lab = pool(1, 3, 1);
    lab.clinging.insert("blue2".to_owned());
    let stopped = call(&mut lab, 1).unwrap();
    assert_eq!(hosts(&stopped).done, [host(1)]);
    lab.begun.clear();
    let report = call_for(&mut lab, &asked(Action::Replace), &[host(1)], 1).unwrap();
    assert_eq!(report.verdict, Verdict::Replaced);
    assert!(lab.begun.contains("blue1"));
}

#[test]
fn what_was_begun_and_stopped_by_somebody_has_not_failed() {
    let mut lab = pool(1, 2, 1);
    let deploy = {
        let mut whole = lab.clone();
        call(&mut whole, 1).unwrap();
        whole.deployed[0]
    };
    lab.faults.insert(deploy, Fault::Interrupt);
    let report = call(&mut lab, 1).unwrap();
    assert_eq!(report.exit_code(), ExitCode::Interrupted);
    assert_eq!(hosts(&report).unfinished, [host(1)]);
    assert_eq!(lab.serving("lb1"), ["blue2"]);
    let status = call_for(&mut lab, &asked(Action::Status), &[host(1), host(2)], 1).unwrap();
    assert_eq!(status.verdict, Verdict::Unsettled);
    assert_eq!(hosts(&status).unfinished, [host(1)]);
}

#[test]
fn batches_are_so_far_apart_as_the_file_says() {
    let mut lab = pool(1, 3, 1);
    let without = call(&mut lab.clone(), 1).unwrap().steps.len();
    let mut quick = lab.clone();
    call(&mut quick, 1).unwrap();
    lab.terms.stagger = Duration::from_secs(100);
    let report = call(&mut lab, 1).unwrap();
    assert_eq!(report.steps.len(), without);
    assert_eq!(lab.now(), quick.now() + Duration::from_secs(200));
}

//! Hosts of one pool are replaced, some at a time: what happens when nothing goes wrong, and when
//! something does.

use std::time::Duration;

use futures_util::FutureExt;
use proptest::prelude::*;

use super::fault::Fault;
use super::property::fault;
use super::simulation::Lab;
use crate::protocol::balancer::{Admin, Cause};
use crate::report::ExitCode;
use crate::swap::fleet::Fleet;
use crate::swap::perform::Asked;
use crate::swap::replace::{Call, Record};
use crate::swap::report::{Action, Hosts, Report, Verdict};
use crate::swap::setup::Replacement;
use crate::swap::trouble::Class;

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
    assert_eq!(
        (report.verdict, class(&report)),
        (Verdict::Refused, Some(Class::Journal))
    );
    assert!(report.trouble.unwrap().message.contains("`--limit`"));
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

/// How many moments a replace has when nothing goes wrong.
fn moments() -> usize {
    let mut lab = pool(2, 3, 1);
    call(&mut lab, 1).unwrap();
    assert!(lab.moment > 30);
    lab.moment
}

#[test]
fn a_controller_that_is_killed_at_any_moment_leaves_what_the_next_call_resolves() {
    for moment in 1..=moments() {
        let mut lab = pool(2, 3, 1);
        lab.faults.insert(moment, Fault::Kill);
        assert!(call(&mut lab, 1).is_none(), "{moment}");
        for balancer in ["lb1", "lb2"] {
            assert!(lab.serving(balancer).len() >= 2, "{moment}");
        }
        let done = lab.journal::<Record>().map(|record| record.done);
        lab.faults.clear();
        lab.begun.clear();
        let report = call(&mut lab, 1).unwrap();
        assert_eq!(report.verdict, Verdict::Replaced, "{moment} {report:?}");
        // Unless that was its last moment.
        if done.as_ref().is_none_or(|done| done.len() < 3) {
            for host in done.into_iter().flatten() {
                let server = host.trim_end_matches(".example");
                assert!(!lab.begun.contains(server), "{moment}: {host} again");
            }
        }
        for balancer in ["lb1", "lb2"] {
            assert_eq!(lab.serving(balancer).len(), 3, "{moment}");
        }
        assert_eq!(lab.violations, Vec::<String>::new(), "{moment}");
    }
}

#[test]
fn an_interruption_at_any_moment_puts_back_what_was_not_begun() {
    for moment in 2..moments() {
        let mut lab = pool(2, 3, 1);
        lab.faults.insert(moment, Fault::Interrupt);
        let report = call(&mut lab, 1).unwrap();
        assert_eq!(stranded(&lab), Vec::<String>::new(), "{moment}");
        assert_eq!(lab.violations, Vec::<String>::new(), "{moment}");
        if report.verdict != Verdict::Replaced {
            assert_eq!(report.exit_code(), ExitCode::Interrupted, "{moment}");
        }
        lab.come_back();
        let report = call(&mut lab, 1).unwrap();
        assert_eq!(report.verdict, Verdict::Replaced, "{moment} {report:?}");
    }
}

#[test]
fn a_reload_at_any_moment_is_made_good_whether_it_kept_the_state_or_not() {
    for moment in 1..moments() {
        for keeps_state in [false, true] {
            let mut lab = pool(2, 3, 1);
            lab.faults.insert(
                moment,
                Fault::Reload {
                    balancer: 0,
                    keeps_state,
                },
            );
            let report = call(&mut lab, 1).unwrap();
            assert_eq!(lab.violations, Vec::<String>::new(), "{moment}");
            assert_eq!(report.verdict, Verdict::Replaced, "{moment} {report:?}");
        }
    }
}

#[test]
fn a_load_balancer_that_goes_away_at_any_moment_stops_it_with_enough_in_service() {
    for moment in 2..=moments() {
        for away in [1, 3, 1000] {
            let mut lab = pool(2, 3, 1);
            let fault = Fault::Away {
                balancer: 1,
                moments: away,
            };
            lab.faults.insert(moment, fault);
            let report = call(&mut lab, 1).unwrap();
            assert_eq!(lab.violations, Vec::<String>::new(), "{moment}");
            assert_eq!(stranded(&lab), Vec::<String>::new(), "{moment}");
            if report.verdict != Verdict::Replaced {
                assert_eq!(report.exit_code(), ExitCode::Unreachable, "{moment}");
            }
            lab.come_back();
            let report = call(&mut lab, 1).unwrap();
            assert_eq!(report.verdict, Verdict::Replaced, "{moment} {report:?}");
            for balancer in ["lb1", "lb2"] {
                assert_eq!(lab.serving(balancer).len(), 3, "{moment}");
            }
        }
    }
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

proptest! {
    #[test]
    fn no_act_leaves_too_few_in_service_and_no_ending_leaves_a_host_behind(
        balancers in 1..4_usize,
        size in 1..6_usize,
        may_miss in 0..6_usize,
        batch in 1..4_usize,
        failing in proptest::collection::btree_set(1..6_usize, 0..2),
        sick in proptest::option::of(1..6_usize),
        clinging in proptest::option::of(1..6_usize),
        gate in any::<bool>(),
        faults in proptest::collection::btree_map(1..150_usize, fault(), 0..6),
        anew in proptest::collection::vec(any::<bool>(), 1..5),
    ) {
        let mut lab = pool(balancers, size, may_miss);
        lab.failing = failing.into_iter().map(host).collect();
        lab.sick.extend(sick.map(|n| format!("blue{n}")));
        lab.clinging.extend(clinging.map(|n| format!("blue{n}")));
        if gate {
            lab.broken.insert("gate");
        }
        lab.faults = faults;
        let all = lab.rules.pools[0].hosts();
        for anew in anew {
            lab.interruptions = 0;
            let asked = Asked { anew, ..asked(Action::Replace) };
            let ended = call_for(&mut lab, &asked, &all, batch);
            prop_assert_eq!(&lab.violations, &Vec::<String>::new());
            // Killed, or stopped a second time, it is the next call that puts back.
            if ended.is_some() && lab.interruptions < 2 {
                prop_assert_eq!(stranded(&lab), Vec::<String>::new(), "{:?}", ended);
            }
        }
    }
}

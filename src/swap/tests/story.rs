//! What happens when nothing goes wrong, and what earlier calls mean for later ones.

use super::simulation::Lab;
use crate::protocol::balancer::{Admin, Cause};
use crate::report::ExitCode;
use crate::swap::call::Wish;
use crate::swap::report::{Action, Verdict};

fn green() -> Wish {
    Wish::To("green".to_owned())
}

#[test]
fn the_order_is_gate_deploy_health_ready_drain_maint_live() {
    let mut lab = Lab::new(2, 2, 2, 2);
    let report = lab.call(&green()).unwrap();
    let steps: Vec<_> = report.steps.iter().map(|step| step.name).collect();
    assert_eq!(
        steps,
        [
            "gate", "deploy", "health", "ready", "settle", "drain", "sessions", "maint", "live"
        ]
    );
    assert_eq!(report.verdict, Verdict::Swapped);
    assert_eq!(report.exit_code(), ExitCode::AsDeclared);
    for balancer in ["lb1", "lb2"] {
        assert_eq!(lab.serving(balancer), ["green1", "green2"]);
    }
    assert_eq!(lab.violations, Vec::<String>::new());
}

#[test]
fn a_second_call_has_nothing_to_do() {
    let mut lab = Lab::new(2, 2, 2, 2);
    lab.call(&green()).unwrap();
    lab.told.clear();
    let report = lab.call(&green()).unwrap();
    assert_eq!(report.verdict, Verdict::Unchanged);
    assert!(!lab.told.contains(&"deploy".to_owned()), "{:?}", lab.told);
}

#[test]
fn revert_goes_back_without_a_deployment_and_forth_again() {
    let mut lab = Lab::new(2, 2, 2, 2);
    lab.call(&green()).unwrap();
    lab.told.clear();
    for pool in ["blue1", "green1"] {
        let report = lab.call_for(Action::Revert, &Wish::Revert).unwrap();
        assert_eq!(report.exit_code(), ExitCode::AsDeclared, "{report:?}");
        assert_eq!(lab.serving("lb1")[0], pool);
        assert_eq!(lab.serving("lb1").len(), 2);
    }
    assert!(!lab.told.contains(&"deploy".to_owned()), "{:?}", lab.told);
}

#[test]
fn without_a_swap_there_is_nothing_to_revert() {
    let mut lab = Lab::new(1, 1, 1, 1);
    let report = lab.call_for(Action::Revert, &Wish::Revert).unwrap();
    assert_eq!(report.verdict, Verdict::Refused);
    assert_eq!(report.exit_code(), ExitCode::NotAsDeclared);
    assert_eq!(lab.serving("lb1"), ["blue1"]);
}

#[test]
fn a_target_that_serves_beside_is_taken_out_before_it_is_touched() {
    let mut lab = Lab::new(1, 2, 2, 2);
    for server in ["green1", "green2"] {
        let server = lab.slot("lb1", server);
        (server.admin, server.cause, server.up) = (Admin::Ready, Cause::Command, true);
    }
    let report = lab.call(&green()).unwrap();
    let steps: Vec<_> = report.steps.iter().map(|step| step.name).collect();
    assert_eq!(steps[..3], ["drain", "maint", "gate"]);
    assert_eq!(lab.serving("lb1"), ["green1", "green2"]);
    assert_eq!(lab.violations, Vec::<String>::new());
}

#[test]
fn a_plan_changes_nothing_and_says_what_is_then_done() {
    let mut lab = Lab::new(2, 2, 2, 2);
    let before = lab.servers.clone();
    let plan = lab.call_for(Action::Plan, &green()).unwrap();
    assert_eq!(plan.exit_code(), ExitCode::NotAsDeclared);
    assert_eq!(lab.servers, before);
    assert!(lab.journals.is_empty());
    let done = lab.call(&green()).unwrap();
    let texts = |report: &crate::swap::Report| {
        let steps = report.steps.iter().map(|step| step.text.clone());
        steps.collect::<Vec<_>>()
    };
    assert_eq!(texts(&plan), texts(&done));
}

#[test]
fn what_somebody_took_out_stays_out() {
    let mut lab = Lab::new(2, 3, 3, 2);
    for name in ["blue1", "green1"] {
        let server = lab.slot("lb1", name);
        (server.admin, server.cause, server.up) = (Admin::Maint, Cause::Command, false);
    }
    let report = lab.call(&green()).unwrap();
    assert_eq!(report.verdict, Verdict::Swapped);
    assert_eq!(lab.serving("lb1"), ["green2", "green3"]);
    assert_eq!(lab.serving("lb2"), ["green1", "green2", "green3"]);
    assert!(
        report
            .remarks
            .iter()
            .any(|remark| remark.contains("orders/green1 on lb1"))
    );
    lab.call_for(Action::Revert, &Wish::Revert).unwrap();
    assert_eq!(lab.serving("lb1"), ["blue2", "blue3"]);
}

#[test]
fn one_by_one_is_one_server_on_all_load_balancers_at_a_time() {
    let mut lab = Lab::new(2, 2, 2, 1);
    lab.rules.one_by_one = true;
    let report = lab.call(&green()).unwrap();
    let ready: Vec<_> = report
        .steps
        .iter()
        .filter(|step| step.name == "ready")
        .collect();
    assert_eq!(ready[0].text, "into service: green1 on lb1, lb2");
    assert_eq!(ready.len(), 2);
    assert_eq!(lab.serving("lb2"), ["green1", "green2"]);
}

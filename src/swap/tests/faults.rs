//! Everything that can go wrong, one by one: traffic stays or goes back where it was.

use super::fault::Fault;
use super::simulation::Lab;
use crate::protocol::balancer::Cause;
use crate::report::ExitCode;
use crate::swap::call::Wish;
use crate::swap::file::OnTimeout;
use crate::swap::report::{Report, Verdict};
use crate::swap::trouble::Class;

fn green() -> Wish {
    Wish::To("green".to_owned())
}

fn class(report: &Report) -> Option<Class> {
    report.trouble.as_ref().map(|trouble| trouble.class)
}

fn assert_on(lab: &Lab, pool: &str) {
    for balancer in &lab.rules.balancers {
        assert_eq!(
            lab.serving(balancer),
            [format!("{pool}1"), format!("{pool}2")],
            "{balancer}"
        );
    }
    assert_eq!(lab.violations, Vec::<String>::new());
}

#[test]
fn a_gate_that_is_not_clean_touches_nothing() {
    let mut lab = Lab::new(2, 2, 2, 2);
    lab.broken.insert("gate");
    let before = lab.servers.clone();
    let report = lab.call(&green()).unwrap();
    assert_eq!(
        (report.verdict, class(&report)),
        (Verdict::Refused, Some(Class::Gate))
    );
    assert_eq!(report.exit_code(), ExitCode::NotAsDeclared);
    assert_eq!(lab.servers, before);
}

#[test]
fn a_deployment_that_fails_moves_no_traffic() {
    let mut lab = Lab::new(2, 2, 2, 2);
    lab.broken.insert("deploy");
    let before = lab.servers.clone();
    let report = lab.call(&green()).unwrap();
    assert_eq!(
        (report.verdict, class(&report)),
        (Verdict::Reverted, Some(Class::Deploy))
    );
    assert_eq!(lab.servers, before);
}

#[test]
fn a_server_that_answers_badly_gets_no_traffic() {
    let mut lab = Lab::new(2, 2, 2, 2);
    lab.sick.insert("green2".to_owned());
    let before = lab.servers.clone();
    let report = lab.call(&green()).unwrap();
    assert_eq!(
        (report.verdict, class(&report)),
        (Verdict::Reverted, Some(Class::Health))
    );
    assert_eq!(lab.servers, before);
}

#[test]
fn a_live_address_that_answers_badly_brings_the_old_pool_back() {
    let mut lab = Lab::new(2, 2, 2, 2);
    lab.broken.insert("live");
    let report = lab.call(&green()).unwrap();
    assert_eq!(
        (report.verdict, class(&report)),
        (Verdict::Reverted, Some(Class::Health))
    );
    assert_on(&lab, "blue");
}

#[test]
fn a_drain_that_never_ends_is_taken_back() {
    let mut lab = Lab::new(2, 2, 2, 2);
    lab.clinging.insert("blue1".to_owned());
    let report = lab.call(&green()).unwrap();
    assert_eq!(
        (report.verdict, class(&report)),
        (Verdict::Reverted, Some(Class::Drain))
    );
    assert_on(&lab, "blue");
}

#[test]
fn a_drain_that_never_ends_can_be_ended() {
    let mut lab = Lab::new(2, 2, 2, 2);
    lab.terms.drain.on_timeout = OnTimeout::Kill;
    lab.clinging.insert("blue1".to_owned());
    let report = lab.call(&green()).unwrap();
    assert_eq!(report.verdict, Verdict::Swapped);
    assert!(
        report
            .remarks
            .iter()
            .any(|remark| remark.contains("2 sessions on orders/blue1"))
    );
    assert_on(&lab, "green");
}

#[test]
fn a_pool_that_is_too_small_is_refused() {
    let mut lab = Lab::new(1, 3, 2, 3);
    let before = lab.servers.clone();
    let report = lab.call(&green()).unwrap();
    assert_eq!(
        (report.verdict, class(&report)),
        (Verdict::Refused, Some(Class::Budget))
    );
    assert_eq!(lab.servers, before);
}

#[test]
fn a_load_balancer_that_is_away_before_the_beginning_stops_everything() {
    let mut lab = Lab::new(2, 2, 2, 2);
    lab.faults.insert(
        1,
        Fault::Away {
            balancer: 1,
            moments: 100,
        },
    );
    let before = lab.servers.clone();
    let report = lab.call(&green()).unwrap();
    assert_eq!(
        (report.verdict, class(&report)),
        (Verdict::Refused, Some(Class::Unreachable))
    );
    assert_eq!(report.exit_code(), ExitCode::Unreachable);
    assert_eq!(lab.servers, before);
}

#[test]
fn traffic_is_not_given_back_to_who_had_none() {
    let mut lab = Lab::new(1, 1, 1, 1);
    lab.broken.insert("deploy");
    lab.call(&green()).unwrap();
    let blue = lab.slot("lb1", "blue1");
    blue.up = false;
    "DEAD".clone_into(&mut blue.check);
    // Green is as its failed deployment left it.
    let report = lab.call(&Wish::To("blue".to_owned())).unwrap();
    assert_eq!(report.verdict, Verdict::Stopped);
    assert_eq!(lab.violations, Vec::<String>::new());
    assert_eq!(lab.serving("lb1"), Vec::<&str>::new());
}

#[test]
fn what_is_down_at_the_beginning_counts_when_it_is_taken_back() {
    let mut lab = Lab::new(1, 2, 2, 2);
    let blue = lab.slot("lb1", "blue1");
    blue.up = false;
    "DEAD".clone_into(&mut blue.check);
    lab.broken.insert("live");
    let report = lab.call(&green()).unwrap();
    assert_eq!(report.verdict, Verdict::Stopped);
    // Without green, one server would be left.
    assert_eq!(lab.serving("lb1"), ["blue2", "green1", "green2"]);
    assert_eq!(lab.violations, Vec::<String>::new());
}

#[test]
fn what_a_reload_brings_within_reach_is_asked_before_it_gets_traffic() {
    for moment in 2..=moments() {
        let mut lab = Lab::new(1, 2, 2, 1);
        let held = lab.slot("lb1", "green2");
        held.cause = Cause::Command;
        lab.suspect.insert("green2".to_owned());
        lab.sick.insert("green2".to_owned());
        let reload = Fault::Reload {
            balancer: 0,
            keeps_state: false,
        };
        lab.faults.insert(moment, reload);
        lab.call(&green()).unwrap();
        assert_eq!(lab.violations, Vec::<String>::new(), "{moment}");
    }
}

/// How many moments a swap has when nothing goes wrong.
fn moments() -> usize {
    let mut lab = Lab::new(2, 2, 2, 2);
    lab.call(&green()).unwrap();
    assert!(lab.moment > 10);
    lab.moment
}

#[test]
fn a_load_balancer_that_goes_away_at_any_moment_serves_all_the_same() {
    for moment in 2..=moments() {
        for moments in [1, 3, 1000] {
            let mut lab = Lab::new(2, 2, 2, 2);
            lab.faults.insert(
                moment,
                Fault::Away {
                    balancer: 1,
                    moments,
                },
            );
            let report = lab.call(&green()).unwrap();
            assert_eq!(lab.violations, Vec::<String>::new(), "{moment}");
            for balancer in ["lb1", "lb2"] {
                assert!(lab.serving(balancer).len() >= 2, "{moment} {report:?}");
            }
            if report.verdict != Verdict::Swapped {
                assert_eq!(
                    report.exit_code(),
                    ExitCode::Unreachable,
                    "{moment} {report:?}"
                );
                assert_eq!(lab.serving("lb1")[0], "blue1", "{moment} {report:?}");
            }
        }
    }
}

#[test]
fn a_controller_that_is_killed_at_any_moment_leaves_what_the_next_call_resolves() {
    let back = Wish::To("blue".to_owned());
    for moment in 1..=moments() {
        for (wish, pool) in [
            (&green(), "green"),
            (&Wish::Revert, "blue"),
            (&back, "blue"),
        ] {
            let mut lab = Lab::new(2, 2, 2, 2);
            lab.faults.insert(moment, Fault::Kill);
            assert!(lab.call(&green()).is_none(), "{moment}");
            for balancer in ["lb1", "lb2"] {
                assert!(lab.serving(balancer).len() >= 2, "{moment}");
            }
            lab.faults.clear();
            let report = lab.call(wish).unwrap();
            if report.verdict == Verdict::Refused {
                // It was killed before there was anything to revert.
                assert_eq!(wish, &Wish::Revert);
                assert!(lab.journals.is_empty());
            }
            assert_on(&lab, pool);
        }
    }
}

#[test]
fn a_swap_that_is_taken_back_can_be_killed_at_any_moment_too() {
    let mut whole = Lab::new(2, 2, 2, 2);
    whole.broken.insert("live");
    whole.call(&green()).unwrap();
    for moment in 1..=whole.moment {
        for (wish, pool) in [(green(), "green"), (Wish::Revert, "blue")] {
            let mut lab = Lab::new(2, 2, 2, 2);
            lab.broken.insert("live");
            lab.faults.insert(moment, Fault::Kill);
            assert!(lab.call(&green()).is_none(), "{moment}");
            lab.faults.clear();
            lab.broken.clear();
            lab.call(&wish).unwrap();
            assert_on(&lab, pool);
        }
    }
}

#[test]
fn a_call_for_the_pool_that_serves_has_nothing_to_be_taken_back_however_it_ends() {
    let mut whole = Lab::new(1, 1, 1, 1);
    let blue = Wish::To("blue".to_owned());
    whole.call(&blue).unwrap();
    for moment in 1..=whole.moment {
        let mut lab = Lab::new(1, 1, 1, 1);
        lab.faults.insert(moment, Fault::Kill);
        assert!(lab.call(&blue).is_none(), "{moment}");
        lab.faults.clear();
        lab.broken.insert("gate");
        let report = lab.call(&green()).unwrap();
        assert_eq!(class(&report), Some(Class::Gate), "{moment} {report:?}");
        assert_eq!(lab.serving("lb1"), ["blue1"], "{moment}");
    }
}

#[test]
fn an_interruption_of_what_takes_back_does_not_stop_it_and_a_second_one_does() {
    for (interruptions, verdict) in [(1, Verdict::Reverted), (2, Verdict::Stopped)] {
        let mut whole = Lab::new(2, 2, 2, 2);
        whole.broken.insert("live");
        let mut lab = whole.clone();
        let live = {
            whole.call(&green()).unwrap();
            whole.asked_live
        };
        for after in 1..=interruptions {
            lab.faults.insert(live + 6 * after - 4, Fault::Interrupt);
        }
        let report = lab.call(&green()).unwrap();
        assert_eq!(report.verdict, verdict, "{interruptions} {report:?}");
    }
}

#[test]
fn an_interruption_at_any_moment_takes_it_back() {
    for moment in 2..moments() {
        let mut lab = Lab::new(2, 2, 2, 2);
        lab.faults.insert(moment, Fault::Interrupt);
        let report = lab.call(&green()).unwrap();
        if report.verdict == Verdict::Swapped {
            assert_on(&lab, "green");
        } else {
            assert_eq!(report.exit_code(), ExitCode::Interrupted, "{moment}");
            assert_on(&lab, "blue");
        }
    }
}

#[test]
fn a_reload_at_any_moment_is_made_good_whether_it_kept_the_state_or_not() {
    for moment in 1..=moments() {
        for keeps_state in [false, true] {
            let mut lab = Lab::new(2, 2, 2, 2);
            lab.faults.insert(
                moment,
                Fault::Reload {
                    balancer: 0,
                    keeps_state,
                },
            );
            let report = lab.call(&green()).unwrap();
            assert_eq!(lab.violations, Vec::<String>::new(), "{moment}");
            assert_eq!(report.verdict, Verdict::Swapped, "{moment} {report:?}");
            if moment < moments() {
                // What comes after the last look is for the next call.
                lab.call(&green()).unwrap();
            }
        }
    }
}

#[test]
fn without_auto_revert_it_stops_and_the_next_call_decides() {
    let mut lab = Lab::new(2, 2, 2, 2);
    lab.terms.auto_revert = false;
    lab.clinging.insert("blue1".to_owned());
    let report = lab.call(&green()).unwrap();
    assert_eq!(
        (report.verdict, class(&report)),
        (Verdict::Stopped, Some(Class::Drain))
    );
    assert_eq!(lab.serving("lb1"), ["green1", "green2"]);
    lab.call(&Wish::Revert).unwrap();
    assert_on(&lab, "blue");
}

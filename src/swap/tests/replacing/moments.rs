//! Something goes wrong at any moment while hosts are replaced.

use proptest::prelude::*;

use super::super::fault::Fault;
use super::super::property::fault;
use super::{asked, call, call_for, host, pool, stranded};
use crate::report::ExitCode;
use crate::swap::perform::Asked;
use crate::swap::replace::Record;
use crate::swap::report::{Action, Verdict};

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
        calls in proptest::collection::vec((any::<bool>(), proptest::option::of(1..6_usize)), 1..5),
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
        for (anew, only) in calls {
            lab.next_call();
            let only = only.filter(|number| *number <= size).map(|number| vec![host(number)]);
            let chosen = only.as_ref().unwrap_or(&all);
            let asked = Asked { anew, ..asked(Action::Replace) };
            let ended = call_for(&mut lab, &asked, chosen, batch);
            prop_assert_eq!(&lab.violations, &Vec::<String>::new());
            // Killed, or stopped a second time, it is the next call that puts back.
            if ended.is_some() && lab.interruptions < 2 {
                prop_assert_eq!(stranded(&lab), Vec::<String>::new(), "{:?}", ended);
            }
        }
    }
}

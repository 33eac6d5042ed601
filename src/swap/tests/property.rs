//! For any pools, budgets and failures: no act of fleet's leaves too few servers in service.

use proptest::prelude::*;

use super::fault::Fault;
use super::simulation::Lab;
use crate::swap::call::Wish;
use crate::swap::file::{OnTimeout, Unavailable};

pub(super) fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        3 => Just(Fault::Kill),
        1 => Just(Fault::Interrupt),
        3 => (0..3_usize, any::<bool>())
            .prop_map(|(balancer, keeps_state)| Fault::Reload { balancer, keeps_state }),
        2 => (0..3_usize, 1..20_usize)
            .prop_map(|(balancer, moments)| Fault::Away { balancer, moments }),
        2 => (0..8_usize).prop_map(|server| Fault::Dies { server }),
        1 => (0..24_usize).prop_map(|slot| Fault::TakenOut { slot }),
    ]
}

fn wish() -> impl Strategy<Value = Wish> {
    prop_oneof![
        3 => Just(Wish::To("green".to_owned())),
        1 => Just(Wish::To("blue".to_owned())),
        1 => Just(Wish::Revert),
    ]
}

fn unavailable() -> impl Strategy<Value = Unavailable> {
    prop_oneof![
        (0..5_usize).prop_map(Unavailable::Count),
        (0..=100_u8).prop_map(Unavailable::Percent),
    ]
}

proptest! {
    #[test]
    fn no_act_leaves_too_few_servers_in_service(
        balancers in 1..4_usize,
        blue in 1..5_usize,
        green in 1..5_usize,
        may_miss in unavailable(),
        one_by_one in any::<bool>(),
        kills in any::<bool>(),
        broken in proptest::collection::btree_set(prop_oneof![Just("gate"), Just("deploy"), Just("live")], 0..2),
        sick in proptest::option::of(0..4_usize),
        clinging in proptest::option::of(0..4_usize),
        faults in proptest::collection::btree_map(1..120_usize, fault(), 0..6),
        wishes in proptest::collection::vec(wish(), 1..5),
    ) {
        let floor = may_miss.floor(blue.max(green));
        let mut lab = Lab::new(balancers, blue, green, floor);
        lab.rules.one_by_one = one_by_one;
        if kills {
            lab.terms.drain.on_timeout = OnTimeout::Kill;
        }
        lab.broken = broken;
        lab.sick.extend(sick.map(|n| format!("green{n}")));
        lab.clinging.extend(clinging.map(|n| format!("blue{n}")));
        lab.faults = faults;
        for wish in &wishes {
            lab.call(wish);
            prop_assert_eq!(&lab.violations, &Vec::<String>::new());
        }
    }

    #[test]
    fn a_budget_leaves_what_it_says_and_never_nothing(size in 1..1000_usize, may_miss in unavailable()) {
        let floor = may_miss.floor(size);
        prop_assert!((1..=size).contains(&floor));
        match may_miss {
            Unavailable::Count(count) => prop_assert!(floor == 1 || size - floor == count),
            // Rounded down: never more missing than the part that was said.
            Unavailable::Percent(percent) => {
                prop_assert!(floor == 1 || (size - floor) * 100 <= size * usize::from(percent));
                prop_assert!(floor == 1 || (size - floor + 1) * 100 > size * usize::from(percent));
            }
        }
    }
}

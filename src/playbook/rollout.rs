//! How a play goes over its hosts: in which order, how many at once, and how much may go wrong.
//!
//! The arithmetic is here and exact, in whole numbers. A batch of `25%` is a quarter of the play's
//! hosts, rounded down, and at least one. A `max_fail` of `25%` is reached as soon as failed and
//! unreachable hosts are a quarter of all the hosts of the run, not of the batch, and to reach it
//! is to stop: of 8 hosts the second failure does. Ansible counts within a batch, leaves unreachable
//! hosts out, and stops when the percentage is exceeded.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::fields::{Fields, boolean, plain_text};
use crate::diagnostic::{Diagnostic, Diagnostics, nearest};
use crate::yaml::Node;

/// The keys of a play that are read here.
pub(super) const KEYS: [&str; 4] = ["serial", "order", "max_fail", "any_errors_fatal"];

/// So many hosts, or such a part of them. Never none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Share {
    /// A number of hosts.
    Hosts(NonZeroU32),
    /// 1 to 100.
    Percent(u8),
}

impl Share {
    /// How many of `total` hosts make a batch: rounded down, at least one.
    #[must_use]
    pub fn of(self, total: usize) -> usize {
        match self {
            Self::Hosts(count) => usize::try_from(count.get()).unwrap_or(usize::MAX),
            Self::Percent(percent) => total.saturating_mul(percent.into()) / 100,
        }
        .max(1)
    }

    /// Whether `failed` of `selected` hosts are as many as this, or more. No failure reaches
    /// nothing.
    #[must_use]
    pub fn is_reached(self, failed: usize, selected: usize) -> bool {
        let most = match self {
            Self::Hosts(count) => {
                return failed >= usize::try_from(count.get()).unwrap_or(usize::MAX);
            }
            Self::Percent(percent) => selected.saturating_mul(percent.into()),
        };
        failed > 0 && failed.saturating_mul(100) >= most
    }
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected =
            || "expected a number of hosts, or a percentage from `1%` to `100%`".to_owned();
        let digits = text.strip_suffix('%').unwrap_or(text);
        // A sign or a space would be taken by `parse`, and is no number of hosts.
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(expected());
        }
        if digits.len() == text.len() {
            return digits.parse().map(Self::Hosts).map_err(|_| expected());
        }
        let percent = digits
            .parse()
            .ok()
            .filter(|percent| (1..=100).contains(percent));
        percent.map(Self::Percent).ok_or_else(expected)
    }
}

impl TryFrom<String> for Share {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Share> for String {
    fn from(share: Share) -> Self {
        share.to_string()
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hosts(count) => write!(f, "{count}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

/// The sizes of batches: one after the other, the last one again until no host is left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Serial(Vec<Share>);

impl Serial {
    /// Batches of these sizes; `None` if there are none.
    #[must_use]
    pub fn new(sizes: Vec<Share>) -> Option<Self> {
        (!sizes.is_empty()).then_some(Self(sizes))
    }

    /// Cuts a list into batches. None is empty.
    #[must_use]
    pub fn batches<T>(&self, hosts: Vec<T>) -> Vec<Vec<T>> {
        let total = hosts.len();
        let mut sizes = self.0.iter().copied();
        let mut size = 1;
        let mut rest = hosts.into_iter().peekable();
        let mut batches = Vec::new();
        while rest.peek().is_some() {
            size = sizes.next().map_or(size, |share| share.of(total));
            batches.push(rest.by_ref().take(size).collect());
        }
        batches
    }
}

/// In which order the hosts of a play are begun, by Ansible's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// As in the inventory.
    #[default]
    Inventory,
    /// As in the inventory, the last first.
    ReverseInventory,
    /// By name.
    Sorted,
    /// By name, the last first.
    ReverseSorted,
    /// Another one in every run.
    Shuffle,
}

impl Order {
    const ALL: [(&'static str, Self); 5] = [
        ("inventory", Self::Inventory),
        ("reverse_inventory", Self::ReverseInventory),
        ("sorted", Self::Sorted),
        ("reverse_sorted", Self::ReverseSorted),
        ("shuffle", Self::Shuffle),
    ];

    /// Arranges hosts that are in the order of the inventory. The same `seed` shuffles the same.
    pub fn arrange<T: Ord>(self, hosts: &mut [T], seed: u64) {
        match self {
            Self::Inventory => {}
            Self::ReverseInventory => hosts.reverse(),
            Self::Sorted => hosts.sort(),
            Self::ReverseSorted => hosts.sort_by(|a, b| b.cmp(a)),
            Self::Shuffle => fastrand::Rng::with_seed(seed).shuffle(hosts),
        }
    }
}

/// How a play goes over its hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rollout {
    /// In batches of these sizes; all hosts at once without it.
    pub serial: Option<Serial>,
    /// In this order.
    pub order: Order,
    /// No further host is begun when so many have failed or were not reached.
    pub max_fail: Option<Share>,
    /// Nor when one has.
    pub any_errors_fatal: bool,
}

impl Rollout {
    /// Takes the keys of a play that are about this.
    pub(super) fn take(fields: &mut Fields<'_>, errors: &mut Diagnostics) -> Self {
        let sizes = fields.take("serial").map(|node| {
            let items = node.as_sequence().unwrap_or(std::slice::from_ref(node));
            if items.is_empty() {
                let error = Diagnostic::error("`serial` is an empty list").at(node.span.clone());
                errors.push(error.help("leave it out to take all hosts at once"));
            }
            let read = |item| share("serial", item, errors);
            items.iter().filter_map(read).collect()
        });
        let order = fields.take("order").and_then(|node| order(node, errors));
        Self {
            serial: sizes.and_then(Serial::new),
            order: order.unwrap_or_default(),
            max_fail: fields
                .take("max_fail")
                .and_then(|node| share("max_fail", node, errors)),
            any_errors_fatal: fields
                .take("any_errors_fatal")
                .and_then(|node| boolean("any_errors_fatal", node, errors))
                .unwrap_or_default(),
        }
    }
}

fn share(name: &str, node: &Node, errors: &mut Diagnostics) -> Option<Share> {
    let text = plain_text(name, node, errors)?;
    let found = text.parse::<Share>();
    found
        .map_err(|expected| {
            let message = format!("`{name}: {text}` makes no sense: {expected}");
            let error = Diagnostic::error(message).at(node.span.clone());
            errors.push(match (text.trim_end_matches('%'), name) {
                ("0", "serial") => error.help("leave it out to take all hosts at once"),
                ("0", _) => error.help("`max_fail: 1` stops at the first host that fails"),
                _ => error,
            });
        })
        .ok()
}

fn order(node: &Node, errors: &mut Diagnostics) -> Option<Order> {
    let text = plain_text("order", node, errors)?;
    let found = Order::ALL.iter().find(|(name, _)| *name == text);
    if found.is_none() {
        let names = Order::ALL.map(|(name, _)| name);
        let error = Diagnostic::error(format!("there is no order `{text}`")).at(node.span.clone());
        errors.push(match nearest(&text, names) {
            Some(near) => error.help(format!("did you mean `{near}`?")),
            None => error.help(format!("expected one of `{}`", names.join("`, `"))),
        });
    }
    found.map(|(_, order)| *order)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn serial(sizes: &str) -> Serial {
        Serial::new(sizes.split(',').map(|size| size.parse().unwrap()).collect()).unwrap()
    }

    fn sizes(sizes: &str, total: usize) -> Vec<usize> {
        let batches = serial(sizes).batches((0..total).collect());
        batches.iter().map(Vec::len).collect()
    }

    #[test]
    fn batches_are_as_large_as_they_say_and_the_last_size_goes_on() {
        assert_eq!(sizes("2", 5), [2, 2, 1]);
        assert_eq!(sizes("1,25%,100%", 10), [1, 2, 7]);
        assert_eq!(sizes("1,5", 12), [1, 5, 5, 1]);
        assert_eq!(sizes("10%", 3), [1, 1, 1], "at least one");
        assert_eq!(sizes("34%", 10), [3, 3, 3, 1], "rounded down");
        assert_eq!(sizes("1,100", 3), [1, 2], "more than there are");
        assert_eq!(sizes("1", 0), [0; 0]);
    }

    #[test]
    fn a_limit_is_reached_by_as_many_hosts_as_it_says() {
        let reached = |limit: &str, failed, selected| {
            limit.parse::<Share>().unwrap().is_reached(failed, selected)
        };
        // limit, of so many hosts, the first number of failures that reaches it
        for (limit, selected, first) in [
            ("1", 100, 1),
            ("3", 100, 3),
            ("25%", 8, 2),
            ("25%", 7, 2),
            ("25%", 9, 3),
            ("1%", 3, 1),
            ("33%", 100, 33),
            ("34%", 3, 2),
            ("100%", 3, 3),
        ] {
            for failed in 0..=selected {
                let expected = failed >= first;
                assert_eq!(
                    reached(limit, failed, selected),
                    expected,
                    "{failed} of {selected}: {limit}"
                );
            }
        }
    }

    #[test]
    fn what_is_no_share_is_refused() {
        for text in [
            "",
            "%",
            "0",
            "0%",
            "101%",
            "-1",
            "+1",
            " 1",
            "1.5",
            "1.5%",
            "1%%",
            "all",
            "4294967296",
        ] {
            text.parse::<Share>().unwrap_err();
        }
    }

    fn any_share() -> impl Strategy<Value = Share> {
        prop_oneof![
            (1_u32..60).prop_map(|count| Share::Hosts(NonZeroU32::new(count).unwrap())),
            (1_u8..=100).prop_map(Share::Percent),
        ]
    }

    proptest! {
        #[test]
        fn every_host_is_in_one_batch_and_in_its_order(
            sizes in prop::collection::vec(any_share(), 1..5),
            total in 0_usize..300,
        ) {
            let batches = Serial::new(sizes).unwrap().batches((0..total).collect());
            prop_assert!(batches.iter().all(|batch| !batch.is_empty()));
            prop_assert_eq!(batches.concat(), (0..total).collect::<Vec<_>>());
        }

        #[test]
        fn only_the_last_batch_is_smaller_than_it_says(
            sizes in prop::collection::vec(any_share(), 1..5),
            total in 1_usize..300,
        ) {
            let batches = Serial::new(sizes.clone()).unwrap().batches((0..total).collect());
            let (last, others) = batches.split_last().unwrap();
            for (at, batch) in others.iter().enumerate() {
                prop_assert_eq!(batch.len(), sizes[at.min(sizes.len() - 1)].of(total));
            }
            prop_assert!(last.len() <= sizes[others.len().min(sizes.len() - 1)].of(total));
        }

        /// Never more than the percentage says, but for the one host without which nothing moves.
        #[test]
        fn a_batch_never_exceeds_its_percentage(percent in 1_u8..=100, total in 1_usize..10_000) {
            let size = Share::Percent(percent).of(total);
            prop_assert!(size == 1 || size * 100 <= total * usize::from(percent));
            prop_assert!((size + 1) * 100 > total * usize::from(percent));
        }

        #[test]
        fn a_percentage_is_reached_exactly_at_its_part(
            percent in 1_u8..=100, failed in 0_usize..2_000, selected in 1_usize..2_000,
        ) {
            // The smallest whole number that is not less than the part.
            let first = (selected * usize::from(percent)).div_ceil(100);
            let reached = Share::Percent(percent).is_reached(failed, selected);
            prop_assert_eq!(reached, failed >= first);
        }

        #[test]
        fn a_limit_once_reached_stays_reached(limit in any_share(), failed in 1_usize..500, selected in 1_usize..500) {
            prop_assert!(!limit.is_reached(0, selected));
            prop_assert!(!limit.is_reached(failed, selected) || limit.is_reached(failed + 1, selected));
        }

        #[test]
        fn what_is_written_is_read_again(share in any_share()) {
            prop_assert_eq!(share.to_string().parse(), Ok(share));
        }

        #[test]
        fn an_order_loses_no_host_and_a_seed_shuffles_the_same(total in 0_u32..100, seed in any::<u64>()) {
            for (_, order) in Order::ALL {
                let mut hosts: Vec<_> = (0..total).collect();
                order.arrange(&mut hosts, seed);
                let mut again: Vec<_> = (0..total).collect();
                order.arrange(&mut again, seed);
                prop_assert_eq!(&hosts, &again);
                hosts.sort_unstable();
                prop_assert_eq!(hosts, (0..total).collect::<Vec<_>>());
            }
        }
    }
}

//! Hosts against one another: what most of them have, and who deviates.
//!
//! Values are put together as hosts finish, so that memory grows with what differs and not with
//! hosts times packages: a value that many hosts have is kept once.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use crate::protocol::{Census, Counted, Facts, Section};

mod facts;
mod json;
mod text;

/// What is heard of hosts while they are asked.
#[derive(Debug, Default)]
pub struct Gathering(Mutex<Gathered>);

#[derive(Debug, Default)]
struct Gathered {
    hosts: Vec<String>,
    /// Who has which value, by the place in `hosts`.
    values: BTreeMap<(Section, String), BTreeMap<String, Vec<usize>>>,
    /// Who told a section at all.
    told: BTreeMap<Section, Vec<usize>>,
    untold: BTreeMap<(Section, String), Vec<usize>>,
}

/// What differs between hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// The hosts that were heard.
    pub hosts: Vec<String>,
    /// What not all of them have alike, by section and name.
    pub differences: Vec<Difference>,
    /// What could not be told, and by whom.
    pub untold: Vec<Untold>,
}

/// One thing that hosts do not have alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What kind of thing.
    pub section: Section,
    /// Which.
    pub name: String,
    /// Each value with its hosts, the most common first.
    pub values: Vec<Share>,
}

/// The hosts that have one value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Share {
    /// `None`: they do not have it at all.
    pub value: Option<String>,
    /// Their names, as in the inventory.
    pub hosts: Vec<String>,
}

/// A section that some hosts could not tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Untold {
    /// Which.
    pub section: Section,
    /// Why.
    pub reason: String,
    /// Who.
    pub hosts: Vec<String>,
}

impl Gathering {
    /// Takes in what one host said.
    pub fn add(&self, host: &str, facts: &Facts, census: Census) {
        // What a thread that panicked left is still one host after another.
        let mut gathered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = gathered.hosts.len();
        gathered.hosts.push(host.to_owned());
        let own = (Section::Fact, Counted::Told(facts::of(facts)));
        for (section, counted) in std::iter::once(own).chain(census) {
            let counts = match counted {
                Counted::Told(counts) => counts,
                Counted::Untold(reason) => {
                    let untold = gathered.untold.entry((section, reason)).or_default();
                    untold.push(place);
                    continue;
                }
            };
            gathered.told.entry(section).or_default().push(place);
            for (name, value) in counts {
                let values = gathered.values.entry((section, name)).or_default();
                values.entry(value).or_default().push(place);
            }
        }
    }

    /// Compares all that was heard. Hosts are named in the order of `order`.
    pub fn compare<'o>(&self, order: impl IntoIterator<Item = &'o str>) -> Comparison {
        let gathered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ranks: BTreeMap<&str, usize> = order.into_iter().zip(0..).collect();
        let rank = |place: &usize| ranks.get(gathered.hosts[*place].as_str()).copied();
        let names = |places: &[usize]| {
            let mut places = places.to_vec();
            places.sort_by_key(rank);
            let names = places.iter().map(|place| gathered.hosts[*place].clone());
            names.collect::<Vec<_>>()
        };
        let mut differences = Vec::new();
        for ((section, name), values) in &gathered.values {
            let told = gathered.told.get(section).map_or(&[][..], Vec::as_slice);
            let mut shares: Vec<_> = values
                .iter()
                .map(|(value, places)| (Some(value.clone()), places.clone()))
                .collect();
            let has = |place: &&usize| values.values().any(|places| places.contains(*place));
            // Counted first: a search for each host is for what really differs.
            if values.values().map(Vec::len).sum::<usize>() < told.len() {
                let without = told.iter().filter(|place| !has(place)).copied();
                shares.push((None, without.collect()));
            }
            if shares.len() < 2 {
                continue;
            }
            shares.sort_by(|(a, of_a), (b, of_b)| of_b.len().cmp(&of_a.len()).then(b.cmp(a)));
            let share = |(value, places): (Option<String>, Vec<usize>)| Share {
                value,
                hosts: names(&places),
            };
            differences.push(Difference {
                section: *section,
                name: name.clone(),
                values: shares.into_iter().map(share).collect(),
            });
        }
        let untold = gathered.untold.iter();
        Comparison {
            hosts: names(&(0..gathered.hosts.len()).collect::<Vec<_>>()),
            differences,
            untold: untold
                .map(|((section, reason), places)| Untold {
                    section: *section,
                    reason: reason.clone(),
                    hosts: names(places),
                })
                .collect(),
        }
    }
}

impl Difference {
    /// What more than half of the hosts have, and the others; `None` if nothing is so common.
    #[must_use]
    pub fn majority(&self) -> Option<(&Share, &[Share])> {
        let all: usize = self.values.iter().map(|share| share.hosts.len()).sum();
        let (first, others) = self.values.split_first()?;
        (first.hosts.len() * 2 > all).then_some((first, others))
    }
}

impl Comparison {
    /// How often each host is not with the majority, most often first.
    #[must_use]
    pub fn deviants(&self) -> Vec<(&str, usize)> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        let majorities = self.differences.iter().filter_map(Difference::majority);
        for host in majorities
            .flat_map(|(_, others)| others)
            .flat_map(|share| &share.hosts)
        {
            *counts.entry(host).or_default() += 1;
        }
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        counts
    }
}

#[cfg(test)]
mod tests;

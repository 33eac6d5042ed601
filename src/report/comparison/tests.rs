use proptest::prelude::*;

use super::*;
use crate::report::fixture::{run, unreachable};
use crate::report::{Command, TextOptions, Verbosity};

/// A census of packages alone, from `name=version` words.
fn packages(words: &str) -> Census {
    let pairs = words
        .split_whitespace()
        .filter_map(|word| word.split_once('='));
    let counts = pairs.map(|(name, version)| (name.to_owned(), version.to_owned()));
    Census::from([(Section::Package, Counted::Told(counts.collect()))])
}

fn kernel(version: &str) -> Facts {
    Facts {
        kernel: version.to_owned(),
        ..Facts::default()
    }
}

const NAMES: [&str; 5] = ["web01", "web02", "web03", "web04", "web05"];

fn gathered() -> Gathering {
    let gathering = Gathering::default();
    // As they happened to answer.
    gathering.add("web05", &kernel("5.14"), packages("curl=8.1 bash=5.2"));
    gathering.add("web01", &kernel("5.14"), packages("curl=8.1 bash=5.2"));
    gathering.add(
        "web03",
        &kernel("5.10"),
        packages("curl=7.9 bash=5.2 telnet=0.17"),
    );
    gathering.add("web02", &kernel("4.18"), packages("curl=8.1 bash=5.2"));
    let silent = Census::from([(
        Section::Package,
        Counted::Untold("rpm is broken\x1b[2J".to_owned()),
    )]);
    gathering.add("web04", &kernel("5.10"), silent);
    gathering
}

fn text(comparison: &Comparison, verbosity: Verbosity) -> String {
    comparison.render(TextOptions {
        verbosity,
        ..TextOptions::default()
    })
}

#[test]
fn the_majority_is_told_and_who_deviates() {
    let comparison = gathered().compare(NAMES);
    insta::assert_snapshot!(text(&comparison, Verbosity::Normal), @r"
    ~ fact kernel  5.14; no majority   [web01, web05]
    ~ fact kernel  5.10; no majority   [web03, web04]
    ~ fact kernel  4.18; no majority   [web02]
    ~ package curl  7.9; 3 of 4 have 8.1   [web03]
    ~ package telnet  0.17; 3 of 4 have none   [web03]
    ? package  rpm is broken\x1b[2J   [web04]

    5 hosts compared: 3 differences; not with the majority: web03 (2).
    ");
}

#[test]
fn hosts_that_are_alike_are_silent() {
    let gathering = Gathering::default();
    for host in NAMES {
        gathering.add(host, &kernel("5.14"), packages("curl=8.1"));
    }
    let comparison = gathering.compare(NAMES);
    assert_eq!(text(&comparison, Verbosity::Quiet), "");
    assert_eq!(
        text(&comparison, Verbosity::Normal),
        "5 hosts compared: no difference.\n"
    );
}

#[test]
fn the_document_names_every_host_of_every_value() {
    let comparison = gathered().compare(NAMES);
    let report = run(Command::Facts, vec![unreachable("web06")]);
    let document = comparison.to_json(&report).unwrap();
    let document: serde_json::Value = serde_json::from_str(&document).unwrap();
    assert_eq!(document["schema_version"], 1);
    assert_eq!(document["hosts"], serde_json::json!(NAMES));
    assert_eq!(document["missing"][0]["host"], "web06");
    assert_eq!(document["untold"][0]["hosts"], serde_json::json!(["web04"]));
    let curl = &document["differences"][1];
    assert_eq!(
        *curl,
        serde_json::json!({
            "section": "package", "name": "curl", "has_majority": true,
            "values": [
                { "value": "8.1", "hosts": ["web01", "web02", "web05"] },
                { "value": "7.9", "hosts": ["web03"] },
            ]
        })
    );
    let telnet = &document["differences"][2]["values"][0];
    assert_eq!(telnet["value"], serde_json::Value::Null);
}

proptest! {
    /// In each difference every host that told has exactly one value, whoever answered first.
    #[test]
    fn every_host_is_counted_once(
        counts in prop::collection::vec(prop::collection::btree_map("[a-c]", "[0-2]", 0..4), 1..6),
        turn in 0..6_usize,
    ) {
        let compare = |turn: usize| {
            let gathering = Gathering::default();
            let mut hosts: Vec<_> = counts.iter().zip(NAMES).collect();
            let turn = turn % hosts.len();
            hosts.rotate_left(turn);
            for (counts, host) in hosts {
                let census = Census::from([(Section::Sysctl, Counted::Told(counts.clone()))]);
                gathering.add(host, &Facts::default(), census);
            }
            gathering.compare(NAMES)
        };
        let comparison = compare(0);
        prop_assert_eq!(&comparison, &compare(turn));
        for difference in &comparison.differences {
            prop_assert!(difference.values.len() > 1);
            let mut hosts: Vec<_> = difference.values.iter().flat_map(|it| &it.hosts).collect();
            hosts.sort();
            let all: Vec<_> = comparison.hosts.iter().collect();
            prop_assert_eq!(hosts, all);
            prop_assert!(difference.values.is_sorted_by_key(|it| std::cmp::Reverse(it.hosts.len())));
        }
        // What is no difference is the same everywhere.
        for name in ["a", "b", "c"] {
            let told = comparison.differences.iter().any(|it| it.name == name);
            let values: std::collections::BTreeSet<_> = counts.iter().map(|it| it.get(name)).collect();
            prop_assert_eq!(told, values.len() > 1);
        }
    }
}

use std::collections::BTreeSet;
use std::fmt::Write as _;

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::diagnostic::Diagnostics;
use crate::inventory::Inventory;
use crate::protocol::{Drift, Status};
use crate::report::fixture::{differences, host, resource, run, unreachable};
use crate::report::{Command, HostReport, HostStatus, ResourceReport, RunReport, WaiverIssue};
use crate::secret::Vault;

/// Waivers from these lines; what a line leaves out is given a value that holds.
fn waivers(lines: &[&str]) -> Waivers {
    let mut text = String::new();
    for line in lines {
        let expires = if line.contains("expires") {
            ""
        } else {
            ", expires: 2027-01-31"
        };
        _ = writeln!(text, "- {{{line}, reason: because, owner: ops{expires}}}");
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(WAIVER_FILE);
    std::fs::write(&path, text).unwrap();
    Waivers::load(&path).unwrap()
}

fn inventory() -> Inventory {
    let mut errors = Diagnostics::new();
    let inventory = Inventory::load(
        &["web1,web2,db1,".to_owned()],
        &Vault::default(),
        &mut errors,
    );
    assert!(!errors.has_errors());
    inventory
}

/// A file of which these attributes differ.
fn file(id: &str, attributes: &[&str]) -> ResourceReport {
    let drift = attributes.iter().map(|name| Drift::update(*name, "a", "b"));
    ResourceReport {
        id: id.to_owned(),
        drift: differences(drift),
        ..resource(Status::Drift)
    }
}

fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

const NOW: &str = "2026-11-21T12:00:00Z";

/// A check of these hosts; what is open after waiving, as `host id attribute`, and the remarks.
fn check(
    lines: &[&str],
    hosts: Vec<HostReport>,
    partial: bool,
) -> (Vec<String>, Vec<(String, WaiverIssue)>) {
    let waivers = waivers(lines);
    let mut register = Register::new(&waivers, &inventory(), at(NOW), Reach::Everything);
    let mut report = run(Command::Check, hosts);
    report
        .hosts
        .iter_mut()
        .for_each(|host| register.waive(host));
    let kinds = BTreeSet::from(["file"]);
    let remarks = register.remarks(&report, &Coverage { partial, kinds });
    let remarks = remarks
        .into_iter()
        .map(|remark| (remark.subject, remark.issue));
    (open(&report), remarks.collect())
}

fn open(report: &RunReport) -> Vec<String> {
    let mut open = Vec::new();
    for host in &report.hosts {
        for resource in &host.resources {
            let found = resource.open_drift();
            open.extend(found.map(|found| {
                let attribute = &found.drift.attribute;
                format!("{} {} {attribute}", host.host, resource.id)
            }));
        }
    }
    open
}

#[test]
fn a_waiver_covers_what_all_its_patterns_match() {
    for (waiver, left) in [
        ("hosts: all", vec![]),
        ("hosts: web1", vec!["web2 /etc/b mode"]),
        ("hosts: 'web*'", vec![]),
        (
            "hosts: db1",
            vec!["web1 /etc/a mode", "web1 /etc/a owner", "web2 /etc/b mode"],
        ),
        (
            "hosts: all, kind: sysctl",
            vec!["web1 /etc/a mode", "web1 /etc/a owner", "web2 /etc/b mode"],
        ),
        ("hosts: all, kind: 'f*', id: '/etc/*'", vec![]),
        ("hosts: all, id: /etc/a", vec!["web2 /etc/b mode"]),
        ("hosts: all, attribute: mode", vec!["web1 /etc/a owner"]),
        (
            "hosts: all, expires: 2026-11-20",
            vec!["web1 /etc/a mode", "web1 /etc/a owner", "web2 /etc/b mode"],
        ),
    ] {
        let hosts = vec![
            host("web1", [file("/etc/a", &["mode", "owner"])]),
            host("web2", [file("/etc/b", &["mode"])]),
        ];
        assert_eq!(check(&[waiver], hosts, false).0, left, "{waiver}");
    }
}

#[test]
fn a_waiver_that_was_of_no_use_is_named_only_if_that_is_certain() {
    let fine = |name| host(name, [resource(Status::Ok)]);
    let all = || vec![fine("web1"), fine("web2"), fine("db1")];
    let unused = |subject: &str| vec![(subject.to_owned(), WaiverIssue::Unused)];
    assert_eq!(check(&["hosts: all"], all(), false).1, unused("all"));
    assert_eq!(
        check(&["hosts: web1, kind: file, id: '/x*'"], all(), false).1,
        unused("web1: file /x*")
    );
    // Tasks were left out, a host was not selected, not reached or not understood, or the kind
    // is that of another playbook.
    let none = Vec::new();
    assert_eq!(check(&["hosts: all"], all(), true).1, none);
    assert_eq!(check(&["hosts: all"], vec![fine("web1")], false).1, none);
    let silent = vec![fine("web1"), unreachable("web2"), fine("db1")];
    assert_eq!(check(&["hosts: all"], silent, false).1, none);
    let unknown = vec![host("web1", [resource(Status::Unknown)])];
    assert_eq!(check(&["hosts: web1"], unknown, false).1, none);
    assert_eq!(check(&["hosts: web1, kind: sysctl"], all(), false).1, none);
}

#[test]
fn expired_waivers_and_those_for_nobody_are_named() {
    let hosts = || vec![host("web1", [file("/etc/a", &["mode"])])];
    let expired = "hosts: web1, expires: 2026-11-20";
    assert_eq!(
        check(&[expired, "hosts: web9"], hosts(), true).1,
        [
            ("web1".to_owned(), WaiverIssue::Expired),
            ("web9".to_owned(), WaiverIssue::NoHost)
        ]
    );
    // Nothing of it concerns a host that was not looked at.
    let other = "hosts: db1, expires: 2026-11-20";
    assert_eq!(check(&[other], hosts(), false).1, []);
}

#[test]
fn a_waiver_holds_to_the_end_of_its_day_in_utc() {
    let waivers = waivers(&["hosts: all, expires: 2026-11-21"]);
    for (now, holds) in [
        ("2026-11-21T23:59:59.999Z", true),
        ("2026-11-22T00:00:00Z", false),
        ("2026-11-21T22:00:00-05:00", false),
    ] {
        let mut register = Register::new(&waivers, &inventory(), at(now), Reach::Everything);
        let mut node = host("web1", [file("/etc/a", &["mode"])]);
        register.waive(&mut node);
        assert_eq!(node.counts.waived == 1, holds, "{now}");
        assert_eq!(node.counts.drift == 0, holds, "{now}");
    }
}

#[test]
fn the_first_waiver_that_holds_is_named() {
    let waivers = waivers(&[
        "hosts: all, expires: 2026-01-01",
        "hosts: web1",
        "hosts: all",
    ]);
    let mut register = Register::new(&waivers, &inventory(), at(NOW), Reach::Everything);
    let mut node = host("web1", [file("/etc/a", &["mode"])]);
    register.waive(&mut node);
    let waived = node.resources[0].drift[0].waived.as_ref().unwrap();
    assert!(waived.place.ends_with("waivers.yml:2"), "{}", waived.place);
}

/// What an apply would repair is never waived there: its report would call done what is left to do.
#[test]
fn an_apply_goes_by_waivers_only_for_what_no_change_removes() {
    let waivers = waivers(&["hosts: all"]);
    let inventory = inventory();
    let mut register = Register::new(&waivers, &inventory, at(NOW), Reach::OnlyReported);
    let audited = ResourceReport {
        id: "docker".to_owned(),
        drift: differences([Drift::reported("container web privileged", "false", "true")]),
        ..resource(Status::Drift)
    };
    let mut report = run(
        Command::Apply,
        vec![
            host("web1", [audited.clone()]),
            host("web2", [audited, file("/etc/motd", &["mode"])]),
        ],
    );
    report
        .hosts
        .iter_mut()
        .for_each(|host| register.waive(host));
    assert_eq!(open(&report), ["web2 /etc/motd mode"]);
    assert_eq!(report.hosts[0].status(), HostStatus::InSync);
    assert_eq!(report.hosts[1].status(), HostStatus::Drifted);
    assert_eq!(register.remarks(&report, &Coverage::default()), []);
}

proptest! {
    /// What is waived is what the patterns of a waiver that holds match, and nothing else.
    #[test]
    fn only_what_matches_is_waived(
        waivers_of in prop::collection::vec((0..3_usize, 0..3_usize, 0..3_usize, any::<bool>()), 0..4),
        found in prop::collection::vec((0..2_usize, 0..2_usize, 0..2_usize), 1..6),
    ) {
        const HOSTS: [&str; 3] = ["web1", "web2", "all"];
        const IDS: [&str; 3] = ["/a", "/b", "*"];
        const ATTRIBUTES: [&str; 3] = ["mode", "owner", "*"];
        let lines: Vec<_> = waivers_of
            .iter()
            .map(|(host, id, attribute, holds)| {
                let (host, id, attribute) = (HOSTS[*host], IDS[*id], ATTRIBUTES[*attribute]);
                let expires = if *holds { "2026-11-21" } else { "2026-11-20" };
                format!("hosts: {host}, id: '{id}', attribute: '{attribute}', expires: {expires}")
            })
            .collect();
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        let hosts = ["web1", "web2"].into_iter().enumerate().map(|(at, name)| {
            let here = found.iter().filter(|(host, ..)| *host == at);
            host(name, here.map(|(_, id, attribute)| file(IDS[*id], &[ATTRIBUTES[*attribute]])))
        });
        let fits = |wanted: usize, is: usize| wanted == 2 || wanted == is;
        let open = |(host, id, attribute): &&(usize, usize, usize)| {
            !waivers_of.iter().any(|(h, i, a, holds)| {
                *holds && fits(*h, *host) && fits(*i, *id) && fits(*a, *attribute)
            })
        };
        let expected = found.iter().filter(open).count();
        let (left, _) = check(&lines, hosts.collect(), false);
        prop_assert_eq!(left.len(), expected, "{:?}", left);
    }
}

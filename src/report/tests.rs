use super::fixture::resource;
use super::*;

/// Everything that is harmful, in every text that a report has.
#[test]
fn nothing_harmful_is_left_in_any_format() {
    let harmful: String = ('\0'..=char::MAX)
        .filter(|char| crate::harmless::is_harmful(*char))
        .collect();
    for harmful in [harmful.as_str(), "a\u{202e}b\u{9b}31m\u{61c}\u{2066}c\x7f"] {
        let mut report = fixture::full_of(harmful);
        let found = &mut report.hosts[0].resources;
        for resource in found.iter_mut() {
            resource.kind = harmful.to_owned();
        }
        let options = TextOptions {
            color: false,
            verbosity: Verbosity::Verbose,
            diff: true,
        };
        for (format, text) in [
            ("text", render(&report, options)),
            ("json", to_json(&report)),
            (
                "jsonl",
                host_line("r", &report.hosts[0]) + &summary_line(&report),
            ),
            ("junit", to_junit(&report)),
            ("prometheus", to_prometheus(&report)),
            ("nagios", to_nagios(&report)),
            ("html", to_html(&report)),
        ] {
            let left = text
                .chars()
                .filter(|char| crate::harmless::is_harmful(*char) && !"\n\t".contains(*char));
            let left: Vec<_> = left.map(u32::from).collect();
            assert_eq!(left, [0; 0], "{format}");
        }
    }
}

#[test]
fn a_host_is_as_bad_as_the_worst_thing_found_on_it() {
    use Status::{Changed, Drift, Failed, Ok, Skipped, Unknown};
    let cases: &[(&[Status], HostStatus)] = &[
        (&[], HostStatus::InSync),
        (&[Ok, Skipped], HostStatus::InSync),
        (&[Ok, Changed], HostStatus::Changed),
        (&[Changed, Unknown], HostStatus::Unknown),
        (&[Unknown, Drift], HostStatus::Drifted),
        (&[Drift, Failed, Unknown], HostStatus::Failed),
    ];
    for (statuses, expected) in cases {
        let mut host = HostReport::new("a");
        for &status in *statuses {
            host.record(resource(status), Keep::Findings);
        }
        assert_eq!(host.status(), *expected, "{statuses:?}");
    }
}

#[test]
fn an_error_outranks_every_count() {
    for (class, expected) in [
        (ErrorClass::Dns, HostStatus::Unreachable),
        (ErrorClass::Stopped, HostStatus::Failed),
    ] {
        let mut host = HostReport::new("a");
        host.record(resource(Status::Failed), Keep::Findings);
        host.error = Some(HostError {
            class,
            message: String::new(),
        });
        assert_eq!(host.status(), expected);
    }
}

#[test]
fn an_ignored_failure_is_counted_apart_and_does_not_fail_the_host() {
    let mut host = HostReport::new("a");
    host.record(
        ResourceReport {
            ignored: true,
            ..resource(Status::Failed)
        },
        Keep::Findings,
    );
    assert_eq!(
        host.counts,
        Counts {
            ignored: 1,
            ..Counts::default()
        }
    );
    assert_eq!(host.status(), HostStatus::InSync);
}

#[test]
fn what_is_plainly_ok_is_counted_and_not_kept() {
    let remark = ResourceReport {
        message: Some("runs every time".to_owned()),
        ..resource(Status::Ok)
    };
    for (keep, kept) in [(Keep::Findings, 2), (Keep::All, 3)] {
        let mut host = HostReport::new("a");
        host.record(resource(Status::Ok), keep);
        host.record(remark.clone(), keep);
        host.record(resource(Status::Skipped), keep);
        assert_eq!(host.resources.len(), kept);
        assert_eq!(
            host.counts,
            Counts {
                ok: 2,
                skipped: 1,
                ..Counts::default()
            }
        );
    }
}

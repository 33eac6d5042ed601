//! `max_fail` and `any_errors_fatal`.

use super::{Fleet, LOG};

/// Fails on the host `bad`.
const PICKY: &str = "    - fail: {msg: broken}
      when: inventory_hostname == 'bad'
";

fn picky(names: &[&str], keys: &str) -> Fleet {
    Fleet::new(names, &format!("  serial: 1\n{keys}  tasks:\n{PICKY}{LOG}"))
}

#[test]
fn failed_and_unreachable_hosts_reach_the_budget_together() {
    for limit in ["2", "40%", "21%"] {
        let fleet = picky(
            &["a", "bad", "gone", "d", "e"],
            &format!("  max_fail: {limit}\n"),
        );
        let (document, code) = fleet.json(&[]);
        assert_eq!(code, 8, "{document:#}");
        assert_eq!(fleet.log(), ["a"], "{limit}");
        let cut = &document["cut_short"];
        assert_eq!(cut["reason"], "max_fail");
        assert_eq!(
            cut["message"],
            format!("2 of 5 hosts failed or were not reached, and `max_fail` is {limit}")
        );
        assert_eq!(cut["done"], serde_json::json!(["a"]));
        assert_eq!(cut["failed"], serde_json::json!(["bad", "gone"]));
        assert_eq!(cut["untouched"], serde_json::json!(["d", "e"]));
        assert_eq!(document["hosts"][3]["status"], "untouched");
        assert_eq!(
            fleet.outcomes(),
            [
                "a: done",
                "bad: failed",
                "gone: unreachable",
                "d: untouched",
                "e: untouched"
            ]
        );
    }
}

#[test]
fn a_budget_that_is_not_reached_stops_nothing() {
    for limit in ["3", "41%"] {
        let fleet = picky(
            &["a", "bad", "gone", "d", "e"],
            &format!("  max_fail: {limit}\n"),
        );
        let (document, code) = fleet.json(&[]);
        assert_eq!(code, 4, "{document:#}");
        assert_eq!(fleet.log(), ["a", "d", "e"], "{limit}");
    }
}

/// With nothing left to stop, the exit code is about the hosts.
#[test]
fn a_budget_reached_by_the_last_host_is_a_failure_like_any_other() {
    let fleet = picky(&["a", "bad"], "  max_fail: 1\n");
    let (document, code) = fleet.json(&[]);
    assert_eq!(code, 2, "{document:#}");
}

#[test]
fn any_error_is_fatal_where_it_is_declared_so() {
    for (names, keys, args) in [
        (["bad", "b"], "  any_errors_fatal: true\n", &[][..]),
        (["gone", "b"], "", &["--any-errors-fatal"][..]),
        (["bad", "b"], "", &["--max-fail", "1"][..]),
    ] {
        let fleet = picky(&names, keys);
        let (document, code) = fleet.json(args);
        assert_eq!(code, 8, "{document:#}");
        assert!(fleet.log().is_empty());
    }
}

#[test]
fn hosts_under_way_are_finished_when_the_budget_is_reached() {
    let fleet = Fleet::new(
        &["bad", "slow", "c", "d"],
        &format!(
            r#"  max_fail: 1
  tasks:
    - shell: "while ! test -e {{{{ here }}}}/begun; do sleep 0.02; done"
      when: inventory_hostname == "bad"
{PICKY}    - shell: "touch {{{{ here }}}}/begun; sleep 1"
{LOG}"#
        ),
    );
    let ended = fleet.apply(&["-f", "2"]);
    assert_eq!(ended.code, 8, "{}", ended.all());
    assert_eq!(fleet.log(), ["slow"]);
    insta::with_settings!({filters => vec![(r"\d{8}T\d{6}\.\d{3}Z-[0-9a-f]{4}", "[RUN]")]}, {
        insta::assert_snapshot!(ended.stdout);
    });
}

#[test]
fn a_later_play_counts_what_failed_in_an_earlier_one() {
    let fleet = picky(&["bad", "gone", "c"], "");
    let second =
        format!("- name: second\n  hosts: all\n  serial: 1\n  max_fail: 2\n  tasks:\n{LOG}");
    let first = fleet.site.read("play.yml");
    let site = fleet.site.file("play.yml", &(first + &second));
    let fleet = Fleet { site };
    let (document, code) = fleet.json(&[]);
    // Its failures are no news to the second play: no host fails in it.
    assert_eq!(code, 4, "{document:#}");
    assert_eq!(fleet.log(), ["c", "c"]);
}

#[test]
fn what_makes_no_sense_is_told_at_its_place() {
    let fleet = Fleet::new(
        &["a"],
        "  serial: [1, 0, \"{{ n }}\"]\n  max_fail: 0%\n  order: sortd\n  any_errors_fatal: maybe\n  max_fail_percentage: 30\n  tasks: []\n",
    );
    let ended = fleet.bare(&["validate", "play.yml"]);
    assert_eq!(ended.code, 1);
    insta::assert_snapshot!(ended.stderr);
}

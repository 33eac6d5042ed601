//! `serial` and `order`.

use super::{Fleet, LOG};

#[test]
fn a_batch_is_done_with_its_handlers_before_the_next_begins() {
    // Each handler waits until so many have begun: those of its own batch, and no more.
    let fleet = Fleet::new(
        &["a", "b", "c", "d", "e"],
        r#"  serial: [1, "40%"]
  vars: {begun: {a: 1, b: 3, c: 3, d: 5, e: 5}}
  tasks:
    - copy: {content: x, dest: "{{ here }}/{{ inventory_hostname }}"}
      notify: wait
  handlers:
    - name: wait
      shell: |
        echo begin >> {{ here }}/log
        while test $(grep -c begin {{ here }}/log) -lt {{ begun[inventory_hostname] }}; do sleep 0.05; done
        sleep 0.2
        echo end >> {{ here }}/log
"#,
    );
    let ended = fleet.apply(&[]);
    assert_eq!(ended.code, 0, "{}", ended.all());
    let log = fleet.log();
    assert_eq!(log[..2], ["begin", "end"], "{log:?}");
    for pair in [&log[2..6], &log[6..]] {
        assert_eq!(pair, ["begin", "begin", "end", "end"], "{log:?}");
    }
}

#[test]
fn the_hosts_of_a_play_are_begun_in_its_order() {
    for (order, expected) in [
        ("inventory", ["b", "c", "a"]),
        ("reverse_inventory", ["a", "c", "b"]),
        ("sorted", ["a", "b", "c"]),
        ("reverse_sorted", ["c", "b", "a"]),
    ] {
        let play = format!("  serial: 1\n  order: {order}\n  tasks:\n{LOG}");
        let fleet = Fleet::new(&["b", "c", "a"], &play);
        let (document, code) = fleet.json(&[]);
        assert_eq!(code, 0, "{document:#}");
        assert_eq!(fleet.log(), expected, "{order}");
        // The report is in the order of the inventory all the same.
        assert_eq!(document["hosts"][0]["host"], "b");
    }
}

#[test]
fn the_command_line_outranks_the_playbook() {
    let fleet = Fleet::new(&["a", "b", "c"], &format!("  serial: 1\n  tasks:\n{LOG}"));
    assert_eq!(fleet.apply(&["--serial", "1,100%"]).code, 0);
    let ended = fleet.bare(&["runs", "show"]);
    assert!(
        ended
            .stdout
            .contains("play roll: 2 batches, of 1 and 2 hosts"),
        "{}",
        ended.all()
    );
    for wrong in ["0", "0%", "101%", "some", ""] {
        let ended = fleet.apply(&["--serial", wrong]);
        assert_eq!(ended.code, 1, "{wrong}: {}", ended.all());
        assert!(
            ended.stderr.contains("from `1%` to `100%`"),
            "{}",
            ended.all()
        );
    }
}

#[test]
fn a_check_looks_at_all_hosts_at_once_and_a_plan_shows_the_batches() {
    let fleet = Fleet::new(
        &["a", "b"],
        &format!("  serial: 1\n  any_errors_fatal: true\n  tasks:\n{LOG}    - fail: {{msg: no}}\n"),
    );
    let (plan, check) = (
        ["plan", "play.yml"],
        ["check", "play.yml", "--format", "json"],
    );
    let ended = fleet.run(&plan);
    assert!(
        ended
            .stdout
            .contains("play roll: 2 batches, of 1 and 1 host\n"),
        "{}",
        ended.all()
    );
    let document = super::parsed(&fleet.run(&check));
    assert_eq!(document["summary"]["untouched"], 0, "{document:#}");
    assert!(document.get("cut_short").is_none());
}

/// A host that is on its way from one play to the next is not over.
#[test]
fn a_host_is_told_of_once_however_many_plays_it_has() {
    let fleet = Fleet::new(
        &["a"],
        &format!("  tasks:\n{LOG}- hosts: all\n  tasks:\n    - debug: {{msg: x}}\n"),
    );
    let ended = fleet.apply(&[]);
    assert_eq!(ended.code, 0, "{}", ended.all());
    assert_eq!(ended.stderr, "[1/1] a: changed\n");
}

//! `fleet check --compare`: hosts against one another.

use super::Site;

#[test]
fn one_machine_under_three_names_does_not_differ_from_itself() {
    let site = Site::with_hosts(&["one", "two", "three"]);
    // Somebody may change the machine between two looks; a counter would differ every time.
    let mut ended = site.fleet(&["check", "--compare", "all"]);
    for _ in 0..3 {
        if ended.code == 0 {
            break;
        }
        ended = site.fleet(&["check", "--compare", "all"]);
    }
    assert_eq!(ended.code, 0, "{}", ended.all());
    assert_eq!(ended.stdout, "3 hosts compared: no difference.\n");
}

#[test]
fn a_host_that_is_not_heard_is_told_and_the_others_are_compared() {
    let site = Site::with_inventory(
        "all:\n  hosts:\n    here: {ansible_connection: local}\n    gone: {ansible_host: 127.0.0.1, ansible_port: 1}\n",
    );
    let ended = site.fleet(&["check", "--compare", "all", "--format", "json"]);
    assert_eq!(ended.code, 4, "{}", ended.all());
    let document: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(document["hosts"], serde_json::json!(["here"]));
    assert_eq!(document["missing"][0]["host"], "gone");
    assert!(ended.stderr.contains("unreachable"), "{}", ended.all());
}

#[test]
fn there_is_either_a_playbook_or_a_pattern() {
    let site = Site::with_tasks("    - debug: {msg: hello}\n");
    for (args, expected) in [
        (&["check"][..], "<PLAYBOOK>"),
        (
            &["check", "play.yml", "--compare", "all"],
            "cannot be used with",
        ),
        (
            &["check", "--compare", "all", "-t", "x"],
            "cannot be used with",
        ),
        (&["check", "--compare", "nobody"], "nobody"),
    ] {
        let ended = site.fleet(args);
        assert_eq!(ended.code, 1, "{}", ended.all());
        assert!(ended.stderr.contains(expected), "{}", ended.all());
    }
}

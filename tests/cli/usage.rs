//! Wrong command lines: exit 1, nothing on stdout, the way out on stderr.

use super::Fleet;

#[test]
fn a_wrong_command_line_exits_with_1_and_shows_the_way_out() {
    let cases: &[(&[&str], &str)] = &[
        (&[], "Usage: fleet"),
        (
            &["aply", "site.yml"],
            "a similar subcommand exists: 'apply'",
        ),
        (
            &["apply", "site.yml", "--limt", "web"],
            "a similar argument exists: '--limit'",
        ),
        (&["check"], "<PLAYBOOK>"),
        (
            &["check", "site.yml", "-f", "0"],
            "invalid value '0' for '--forks <N>'",
        ),
        (
            &["check", "site.yml", "--connect-timeout", "0"],
            "0 is not in 1..=3600",
        ),
        (
            &["check", "site.yml", "--format", "yaml"],
            "[possible values: text, json, jsonl, junit, prometheus, nagios, html]",
        ),
        (
            &["check", "site.yml", "-l", ""],
            "a value is required for '--limit <PATTERN>'",
        ),
        (&["check", "site.yml", "-q", "-v"], "cannot be used with"),
        (
            &["check", "site.yml", "--list-hosts", "--list-tasks"],
            "cannot be used with",
        ),
        (&["exec", "web*"], "<CMD>"),
        (&["inventory"], "<--list|--host <HOST>|--graph>"),
        (&["inventory", "--list", "--explain"], "cannot be used with"),
        (&["completions", "tcl"], "[possible values: bash,"),
        (&["doc", "fiel"], "hint: did you mean `file`?"),
    ];
    for (args, expected) in cases {
        let ended = Fleet::new(args.iter().copied()).run();
        assert_eq!(
            (ended.code, &*ended.stdout),
            (1, ""),
            "{args:?}: {}",
            ended.all()
        );
        assert!(
            ended.stderr.contains(expected),
            "{args:?}: {}",
            ended.stderr
        );
    }
}

/// By the guidelines for monitoring plugins, wrong arguments are UNKNOWN; 1 would be WARNING.
#[test]
fn a_wrong_command_line_of_a_plugin_is_unknown() {
    for (args, expected) in [
        (
            &["check", "site.yml", "--format", "nagios", "--limt", "web"][..],
            "FLEET UNKNOWN - unexpected argument '--limt' found\n",
        ),
        (
            &["check", "--format=nagios", "site.yml", "-f", "0"],
            "FLEET UNKNOWN - invalid value '0' for '--forks <N>'",
        ),
    ] {
        let ended = Fleet::new(args.iter().copied()).run();
        assert_eq!(ended.code, 3, "{}", ended.all());
        assert!(ended.stdout.starts_with(expected), "{}", ended.all());
        assert!(ended.stderr.contains("--help"), "{}", ended.all());
    }
    // What is run on the hosts is not a flag of fleet's.
    let args = [
        "exec", "--limt", "x", "all", "--", "x", "--format", "nagios",
    ];
    assert_eq!(Fleet::new(args).run().code, 1);
    let help = Fleet::new(["check", "--format", "nagios", "--help"]).run();
    assert_eq!(help.code, 0, "{}", help.all());
}

#[test]
fn apply_asks_or_is_told_yes() {
    let ended = Fleet::new(["apply", "site.yml"]).run();
    insta::assert_snapshot!(ended.all(), @"
    exit 1
    ----- stdout
    ----- stderr
    error: `fleet apply` asks before it changes anything, and there is no terminal to ask on
    hint: give `--yes` to apply without being asked, or look first with `fleet plan`
    ");
}

#[test]
fn without_a_terminal_the_password_is_the_first_line_of_stdin() {
    let ended = Fleet::new(["check", "site.yml", "-K"]).run();
    insta::assert_snapshot!(ended.all(), @"
    exit 1
    ----- stdout
    ----- stderr
    error: `-K` wants the password of sudo, and it cannot be read
      caused by: standard input has no first line
    hint: without a terminal it is the first line of standard input
    ");
}

#[test]
fn ansible_names_of_the_same_thing_are_understood() {
    // Each goes on to the playbook, which is not there; none is refused as a flag.
    for args in [
        &["apply", "--check"][..],
        &["apply", "--dry-run"],
        &["apply", "--dry"],
        &[
            "apply",
            "-C",
            "-D",
            "-l",
            "web",
            "-t",
            "a,b",
            "--skip-tags",
            "c",
            "-f",
            "5",
            "-b",
        ],
        &[
            "apply",
            "-y",
            "-e",
            "a=1",
            "-e",
            "@vars.yml",
            "-u",
            "root",
            "-i",
            "a,b,",
        ],
        &[
            "apply",
            "--auto-approve",
            "--private-key",
            "key",
            "--ssh-config",
            "config",
        ],
    ] {
        let ended = Fleet::new(args.iter().copied().chain(["site.yml"])).run();
        assert!(
            !ended.stderr.contains("Usage:"),
            "{args:?}: {}",
            ended.stderr
        );
        assert_eq!(ended.code, 1, "{args:?}: {}", ended.all());
    }
}

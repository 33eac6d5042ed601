//! Where output goes, and what it looks like there.

use super::Fleet;

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let ended = Fleet::new(["completions", "bash"]).run_with_impatient_reader(16);
    assert_eq!((ended.code, &*ended.stderr), (0, ""), "{}", ended.stdout);
}

#[test]
fn colour_is_for_terminals_unless_asked_for() {
    let escape = '\u{1b}';
    for (args, variable, expected) in [
        (vec!["doc", "nothing"], None, false),
        (vec!["doc", "nothing", "--color", "always"], None, true),
        (
            vec!["--color", "always", "doc", "nothing"],
            Some(("NO_COLOR", "1")),
            true,
        ),
        (vec!["doc", "nothing", "--color=never"], None, false),
        (vec!["doc", "nothing"], Some(("TERM", "dumb")), false),
    ] {
        let mut fleet = Fleet::new(args.iter().copied());
        if let Some((name, value)) = variable {
            fleet = fleet.env(name, value);
        }
        let ended = fleet.run();
        assert_eq!(
            ended.stderr.contains(escape),
            expected,
            "{args:?}: {}",
            ended.stderr
        );
    }
}

/// On a terminal of its own, as `script` makes one.
#[test]
fn a_terminal_has_colour_unless_it_or_its_user_wants_none() {
    for (variables, coloured) in [
        (&[("TERM", "xterm")][..], true),
        (&[("TERM", "xterm"), ("NO_COLOR", "1")], false),
        (&[("TERM", "xterm"), ("NO_COLOR", "")], true),
        (&[("TERM", "dumb")], false),
        // Nobody said that it can do anything.
        (&[], false),
    ] {
        let ended = Fleet::on_a_terminal("doc nothing", variables);
        assert_eq!(ended.code, 1, "{}", ended.all());
        assert_eq!(
            ended.stdout.contains('\u{1b}'),
            coloured,
            "{variables:?}: {}",
            ended.all()
        );
    }
}

#[test]
fn a_full_disk_is_told() {
    let Ok(full) = std::fs::OpenOptions::new().write(true).open("/dev/full") else {
        panic!("this test needs /dev/full");
    };
    let ended = Fleet::new(["doc"]).stdout(full).run();
    insta::assert_snapshot!(ended.all(), @"
    exit 1
    ----- stdout
    ----- stderr
    error: cannot write to standard output
      caused by: No space left on device (os error 28)
    ");
}

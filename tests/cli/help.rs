//! What fleet says about itself.

use super::Fleet;

#[test]
fn the_help_names_every_command_and_the_exit_codes() {
    let ended = Fleet::new(["--help"]).run();
    assert_eq!((ended.code, &*ended.stderr), (0, ""));
    insta::assert_snapshot!(ended.stdout, @"
    Make Docker hosts standard and keep them so, over plain SSH

    fleet brings hosts to the state a playbook declares (`apply`), says where they differ from it
    (`check`) and what it would do (`plan`). Hosts need sshd and nothing else.

    Usage: fleet [OPTIONS] <COMMAND>

    Commands:
      apply        Bring hosts to the declared state
      check        Find what differs from the declared state, and change nothing
      plan         Show what `apply` would do, and change nothing
      drift        List the drift that checks have found and that is still open
      runs         List the checks and applies of this project, and show what an apply came to
      validate     Check playbooks, roles, templates and inventory without contacting a host
      exec         Run one command on many hosts
      swap         Move traffic from one pool of hosts to the other and back, or replace hosts in turn
      facts        Print what hosts are, as JSON
      inventory    Show hosts, groups and variables, and where they come from
      doc          Show the reference of kinds: what a task can declare
      artifacts    Fetch and verify the packages and archives of `artifacts.lock.yml`
      images       Find out which images tags are, for `images.lock.yml`
      secret       Make keys, and encrypt, edit and show files of variables
      completions  Print a completion script for a shell
      help         Print this message or the help of the given subcommand(s)

    Options:
      -v, --verbose...
              Say more: also what is in sync, skipped, and what commands printed

      -q, --quiet
              Say less: nothing when all is as declared

          --color <WHEN>
              When to use colours
              
              `auto` uses them on a terminal, unless `NO_COLOR` is set or TERM is `dumb`.

              Possible values:
              - auto:   On a terminal that has them
              - always: Always
              - never:  Never
              
              [default: auto]

      -h, --help
              Print help (see a summary with '-h')

      -V, --version
              Print version

    Exit codes:
      0    every selected host is as declared (for `apply`: now)
      1    the command line or the configuration is wrong; no host was touched
      2    `check`, `plan`: drift was found; `apply`: at least one host failed
      3    `check`, `plan`: something could not be told, and no drift was found
      4    at least one host was unreachable: the result is incomplete
      5    another run holds the lock
      8    `apply`: stopped before every host was done, by the failure budget or a pause
      130  interrupted
    ");
}

#[test]
fn apply_has_the_flags_an_ansible_user_types() {
    let ended = Fleet::new(["apply", "-h"]).run();
    assert_eq!((ended.code, &*ended.stderr), (0, ""));
    insta::assert_snapshot!(ended.stdout, @"
    Bring hosts to the declared state

    Usage: fleet apply [OPTIONS] [PLAYBOOK]

    Arguments:
      [PLAYBOOK]  The playbook

    Options:
      -v, --verbose...    Say more: also what is in sync, skipped, and what commands printed
      -q, --quiet         Say less: nothing when all is as declared
          --color <WHEN>  When to use colours [default: auto] [possible values: auto, always, never]
      -h, --help          Print help (see more with '--help')

    Hosts:
      -i, --inventory <SOURCE>  Read hosts from a file, a directory, an executable or a list `a,b,`
      -e, --extra-vars <VARS>   Set variables that outrank all others: `k=v`, JSON, or `@file`
      -l, --limit <PATTERN>     Take only the hosts that match this pattern too, as in
                                `web*:&dc1:!web03` or `@file`
          --list-hosts          List the hosts that would be worked on, and stop

    Connection:
      -f, --forks <N>                  Work on so many hosts at once [default: 50]
      -u, --user <USER>                Log in as this user
          --private-key <FILE>         Log in with this private key
          --ssh-config <FILE>          Read this file instead of `~/.ssh/config`
          --connect-timeout <SECONDS>  Give up connecting after so many seconds [default: 10]
          --host-timeout <SECONDS>     Give a host up that takes more than so many seconds in all
                                       [default: 7200]
      -b, --become                     Become root on the hosts, through sudo
      -K, --ask-become-pass            Ask for the password of sudo, or read it from stdin

    Tasks:
      -t, --tags <TAGS>       Run only tasks with one of these tags
          --skip-tags <TAGS>  Leave out tasks with one of these tags
          --list-tasks        List the tasks that would be run, and stop
          --list-tags         List all tags, and stop

    Findings:
          --waivers <FILE>  Go by these waivers instead of `waivers.yml` beside the playbook

    Report:
          --format <FORMAT>       Print the report in this format [default: text] [possible values:
                                  text, json, jsonl, junit, prometheus, nagios, html]
          --output <FORMAT=FILE>  Write the report into a file, too, as in `html=report.html`; may be
                                  given several times
      -D, --diff                  Show what differs inside files, as a unified diff

    Rollout:
          --serial <SIZES>    Finish a play on so many hosts before it begins on the next: `5`, `25%`,
                              `1,25%,100%`
          --max-fail <LIMIT>  Begin no further host when so many have failed or were not reached: `3`,
                              `10%`
          --any-errors-fatal  Begin no further host when one has failed or was not reached
          --pause-after <N>   Stop after so many batches, to look at them and go on with `--resume`
          --resume <RUN_ID>   Go on with an earlier run: with its hosts that were not begun, or not
                              worked on to their end
          --rerun <WHICH>     Take the hosts again that failed or were not reached, in the latest run or
                              in that of `--resume` [possible values: failed]

    Changes:
      -C, --check                    Change nothing: the same as `fleet check` [alias: --dry-run]
          --prune                    Remove what the playbook made earlier and no longer declares
          --lock-timeout <DURATION>  Wait so long for another run that changes the same host: `90`,
                                     `30s`, `5m` [default: 30s]
      -y, --yes                      Do not show the plan and ask first
    ");
}

#[test]
fn the_version_is_one_line() {
    let ended = Fleet::new(["--version"]).run();
    assert_eq!(ended.code, 0);
    assert_eq!(
        ended.stdout,
        format!("fleet {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn completions_exist_for_the_usual_shells() {
    for (shell, sign) in [
        ("bash", "complete -F _fleet"),
        ("zsh", "#compdef fleet"),
        ("fish", "complete -c fleet"),
    ] {
        let ended = Fleet::new(["completions", shell]).run();
        assert_eq!((ended.code, &*ended.stderr), (0, ""), "{shell}");
        assert!(ended.stdout.contains(sign), "{shell}: {}", ended.stdout);
    }
}

#[test]
fn every_kind_has_a_page() {
    let list = Fleet::new(["doc"]).run();
    assert_eq!((list.code, &*list.stderr), (0, ""));
    let kinds: Vec<_> = list
        .stdout
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(kinds.contains(&"file"), "{kinds:?}");
    for kind in kinds {
        let page = Fleet::new(["doc", kind]).run();
        assert_eq!(page.code, 0);
        assert!(
            page.stdout.starts_with(&format!("{kind}\n\n")),
            "{}",
            page.stdout
        );
        assert!(page.stdout.contains("\nEXAMPLE\n"), "{}", page.stdout);
    }
}

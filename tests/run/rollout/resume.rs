//! `--pause-after`, `--resume`, `--rerun`.

use super::{Fleet, LOG, id_of, parsed};

const PICKY: &str = "    - fail: {msg: broken}
      when: inventory_hostname == 'bad'
";

fn ramp(names: &[&str]) -> Fleet {
    Fleet::new(names, &format!("  serial: [1, 2]\n  tasks:\n{PICKY}{LOG}"))
}

#[test]
fn a_canary_is_looked_at_and_the_rest_goes_on_in_its_batches() {
    let fleet = ramp(&["a", "b", "c", "d", "e"]);
    let (document, code) = fleet.json(&["--pause-after", "1"]);
    assert_eq!(code, 8, "{document:#}");
    assert_eq!(document["cut_short"]["reason"], "paused");
    assert_eq!(fleet.log(), ["a"]);
    let first = id_of(&document);

    let ended = fleet.run(&[
        "apply",
        "--resume",
        &first,
        "--yes",
        "--pause-after",
        "1",
        "--format",
        "json",
    ]);
    let document = parsed(&ended);
    assert_eq!(ended.code, 8, "{document:#}");
    // Not a canary again: the second batch was of two.
    assert_eq!(fleet.log().len(), 3, "{:?}", fleet.log());
    assert_eq!(
        document["summary"]["hosts"], 4,
        "those that are done are no part of it"
    );
    let second = id_of(&document);
    assert_ne!(first, second);
    assert_eq!(fleet.show(&first)["resumed_by"], second.as_str());
    assert_eq!(
        fleet.outcomes(),
        [
            "a: done",
            "b: done",
            "c: done",
            "d: untouched",
            "e: untouched"
        ]
    );
    let ended = fleet.bare(&["runs"]);
    let left = format!("{second} of play.yml is left: 2 of 5 hosts are not done");
    assert!(ended.stdout.contains(&left), "{}", ended.all());

    let ended = fleet.run(&["apply", "--resume", &first, "--yes"]);
    assert_eq!(ended.code, 1, "{}", ended.all());
    assert!(
        ended.stderr.contains(&format!("--resume {second}")),
        "{}",
        ended.all()
    );
    let ended = fleet.run(&["apply", "--resume", &second, "--yes"]);
    assert_eq!(ended.code, 0, "{}", ended.all());
    let mut log = fleet.log();
    log.sort();
    assert_eq!(log, ["a", "b", "c", "d", "e"], "each once");
    let ended = fleet.run(&["apply", "--rerun", "failed", "--yes"]);
    assert_eq!(ended.code, 1, "{}", ended.all());
    assert!(
        ended.stderr.contains("nothing to go on with"),
        "{}",
        ended.all()
    );
}

/// Somebody who can answer is asked, and again after so many more batches.
#[test]
fn on_a_terminal_the_next_batch_is_asked_for() {
    let apply = [
        "apply",
        "play.yml",
        "--yes",
        "--serial",
        "1",
        "--pause-after",
    ];
    for (every, typed, code, log, asked) in [
        ("1", &["y\n", "Y\n"][..], 0, &["a", "b", "c"][..], 2),
        ("2", &["yes\n"], 0, &["a", "b", "c"], 1),
        ("1", &["y\n", "n\n"], 8, &["a", "b"], 2),
        ("1", &["\n"], 8, &["a"], 1),
        // Ctrl-C.
        ("1", &["\u{3}"], 130, &["a"], 1),
    ] {
        let fleet = ramp(&["a", "b", "c"]);
        let ended = fleet.on_a_terminal(&[&apply[..], &[every]].concat(), typed);
        assert_eq!(ended.code, code, "{typed:?}: {}", ended.all());
        assert_eq!(fleet.log(), log, "{typed:?}: {}", ended.all());
        let questions = ended.stdout.matches("go on with the next batch? [y/N]");
        assert_eq!(questions.count(), asked, "{}", ended.all());
        if code == 8 {
            assert!(
                ended.stdout.contains("fleet apply --resume"),
                "{}",
                ended.all()
            );
            assert!(fleet.outcomes().contains(&"c: untouched".to_owned()));
        }
    }
    // It is told what it is about.
    let fleet = ramp(&["bad", "b", "c"]);
    let ended = fleet.on_a_terminal(&[&apply[..], &["1"]].concat(), &["n\n"]);
    let question =
        "paused after the first batch, as asked: of 1 host, 1 failed or was not reached; go on";
    assert!(ended.stdout.contains(question), "{}", ended.all());
}

/// Between the plan and the apply.
#[test]
fn a_plan_that_is_shown_is_applied_only_if_that_is_wanted() {
    for (typed, code, log) in [
        ("y\n", 0, &["a"][..]),
        ("n\n", 130, &[]),
        // Ctrl-C.
        ("\u{3}", 130, &[]),
    ] {
        let fleet = ramp(&["a"]);
        let ended = fleet.on_a_terminal(&["apply", "play.yml"], &[typed]);
        assert_eq!(ended.code, code, "{typed:?}: {}", ended.all());
        assert_eq!(fleet.log(), log, "{typed:?}");
    }
}

#[test]
fn a_pause_after_the_last_batch_is_none() {
    let fleet = ramp(&["a", "b"]);
    assert_eq!(fleet.apply(&["--pause-after", "2"]).code, 0);
}

#[test]
fn a_shuffled_run_goes_on_with_the_same_batches() {
    let names: Vec<_> = (0..8).map(|number| format!("n{number}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let fleet = Fleet::new(
        &names,
        &format!("  serial: 2\n  order: shuffle\n  tasks:\n{LOG}"),
    );
    let (document, code) = fleet.json(&["--pause-after", "2"]);
    assert_eq!(code, 8, "{document:#}");
    let first = id_of(&document);
    assert_eq!(fleet.run(&["apply", "--resume", &first, "--yes"]).code, 0);
    let batches = &fleet.show(&first)["plays"][0]["batches"];
    let log = fleet.log();
    for (at, batch) in batches.as_array().unwrap().iter().enumerate() {
        let names = batch
            .as_array()
            .unwrap()
            .iter()
            .map(|name| name.as_str().unwrap());
        for name in names {
            assert!(
                log[at * 2..at * 2 + 2].iter().any(|host| host == name),
                "{log:?} {batches}"
            );
        }
    }
}

#[test]
fn failed_hosts_are_taken_again_and_no_others() {
    let fleet = ramp(&["a", "bad", "gone", "d"]);
    let (document, code) = fleet.json(&["--max-fail", "2"]);
    assert_eq!(code, 8, "{document:#}");
    let first = id_of(&document);
    let play = fleet.site.read("play.yml").replace(PICKY, "");
    let fleet = Fleet {
        site: fleet.site.file("play.yml", &play),
    };

    let before = fleet.log().len();
    let ended = fleet.run(&["apply", "--rerun", "failed", "--yes", "--format", "json"]);
    let document = parsed(&ended);
    let hosts: Vec<_> = document["hosts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|host| &host["host"])
        .collect();
    assert_eq!(hosts, ["bad", "gone"], "{document:#}");
    assert_eq!(ended.code, 4);
    assert_eq!(fleet.log()[before..], ["bad"]);
    assert_eq!(
        fleet.outcomes(),
        ["a: done", "bad: done", "gone: unreachable", "d: untouched"]
    );
    assert_eq!(fleet.show(&first)["resumed_by"], id_of(&document).as_str());

    // Both what is left and what failed.
    let second = id_of(&document);
    let ended = fleet.run(&[
        "apply", "--resume", &second, "--rerun", "failed", "--yes", "--format", "json",
    ]);
    let document = parsed(&ended);
    let hosts: Vec<_> = document["hosts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|host| &host["host"])
        .collect();
    assert_eq!(hosts, ["gone", "d"], "{document:#}");
}

#[test]
fn a_run_is_not_gone_on_with_as_another_one() {
    let fleet = ramp(&["a", "b", "c"]);
    let (document, _) = fleet.json(&["--pause-after", "1"]);
    let id = id_of(&document);
    let resume = ["apply", "--resume", &id, "--yes"];
    let mut said = Vec::new();

    said.push(fleet.bare(&resume));
    let here = format!("here={}", fleet.site.path("").display());
    said.push(fleet.bare(&[&resume[..], &["-e", &here, "-e", "other=1"]].concat()));
    said.push(fleet.run(&[&resume[..], &["-l", "b"]].concat()));
    said.push(fleet.run(&["apply", "other.yml", "--resume", &id, "--yes"]));
    let inventory = fleet.site.read("inventory/hosts.yml");
    let renamed = inventory.replace("    c:", "    d:");
    let fleet = Fleet {
        site: fleet.site.file("inventory/hosts.yml", &renamed),
    };
    said.push(fleet.run(&resume));
    let fleet = Fleet {
        site: fleet.site.file("inventory/hosts.yml", &inventory),
    };
    let play = fleet.site.read("play.yml");
    let fleet = Fleet {
        site: fleet.site.file("play.yml", &play.replace("[1, 2]", "[2]")),
    };
    said.push(fleet.run(&resume));

    assert_eq!(fleet.log(), ["a"], "nothing was done");
    let said: Vec<_> = said
        .iter()
        .map(|ended| {
            assert_eq!(ended.code, 1, "{}", ended.all());
            ended.stderr.replace(&id, "[RUN]")
        })
        .collect();
    insta::assert_snapshot!(said.join("\n"));
    // All this leaves it as it was.
    let fleet = Fleet {
        site: fleet.site.file("play.yml", &play),
    };
    assert_eq!(fleet.run(&resume).code, 0);
}

#[test]
fn a_run_that_goes_on_is_not_resumed() {
    let fleet = Fleet::new(
        &["a"],
        "  tasks:\n    - shell: \"touch {{ here }}/begun; while ! test -e {{ here }}/enough; do sleep 0.05; done\"\n",
    );
    let child = fleet.start_apply(&[]);
    crate::run::eventually("the task begins", || fleet.site.path("begun").exists());
    assert_eq!(fleet.outcomes(), ["a: unknown"]);
    let ended = fleet.run(&["apply", "--rerun", "failed", "--yes"]);
    assert_eq!(ended.code, 5, "{}", ended.all());
    assert!(
        ended.stderr.contains("is still going on"),
        "{}",
        ended.all()
    );
    std::fs::write(fleet.site.path("enough"), "").unwrap();
    assert_eq!(fleet.site.end_of(child).code, 0);
    assert_eq!(fleet.outcomes(), ["a: done"]);
}

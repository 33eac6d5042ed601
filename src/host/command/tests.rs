use super::*;

#[test]
fn captures_both_streams_and_the_status() {
    let output = Command::new(["sh", "-c", "echo out; echo err >&2; exit 3"])
        .output()
        .unwrap();
    assert_eq!(
        (output.rc, output.stdout.as_str(), output.stderr.as_str()),
        (3, "out\n", "err\n")
    );
}

#[test]
fn names_a_program_that_is_not_there() {
    let failure = Command::new(["fleet-no-such-program"])
        .output()
        .unwrap_err();
    assert_eq!(
        failure.to_string(),
        "the program `fleet-no-such-program` is not installed"
    );
}

#[test]
fn several_words_in_one_are_told_from_a_program_that_is_not_there() {
    let failure = Command::new(["id -un"]).output().unwrap_err();
    assert_eq!(
        failure.to_string(),
        "the program `id -un` is not installed: the name has a blank in it; write the program \
         and each argument as a word of its own"
    );
}

#[test]
fn cuts_endless_output_and_says_so() {
    let output = Command::new(["sh", "-c", "head -c 1000000 /dev/zero"])
        .output()
        .unwrap();
    assert_eq!(
        (output.stdout.len(), output.truncated),
        (Output::LIMIT, true)
    );
}

#[test]
fn ends_a_program_and_its_children_at_the_deadline() {
    let begin = Instant::now();
    let failure = Command::new(["sh", "-c", "sleep 60 & wait"])
        .timeout(Duration::from_millis(200))
        .output()
        .unwrap_err();
    assert!(
        failure.to_string().contains("was stopped after"),
        "{failure}"
    );
    assert!(begin.elapsed() < Duration::from_secs(30));
}

#[test]
fn a_daemon_left_behind_is_not_waited_for() {
    let begin = Instant::now();
    let output = Command::new(["sh", "-c", "sleep 20 & echo started"])
        .run()
        .unwrap();
    assert_eq!(
        (output.stdout.as_str(), output.truncated),
        ("started\n", true)
    );
    assert!(begin.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_timeout_without_end_is_one_with_a_far_end() {
    Command::new(["true"]).timeout(Duration::MAX).run().unwrap();
}

#[test]
fn what_was_printed_before_the_deadline_is_kept() {
    let Err(Failure::Command(failure)) = Command::new(["sh", "-c", "echo early; exec sleep 20"])
        .timeout(Duration::from_millis(300))
        .output()
    else {
        panic!("it must be stopped");
    };
    assert_eq!(failure.output.stdout, "early\n");
}

#[test]
fn gives_bytes_to_a_program_that_reads_none_of_them() {
    Command::new(["true"])
        .stdin(vec![b'x'; 1 << 20])
        .run()
        .unwrap();
}

//! What programs of other systems print, captured where they run: `tests/captured`.

use std::fs;
use std::path::Path;

use crate::protocol::Output;

/// Each call in a file of `tests/captured`: its command line, and what came of it.
pub(crate) fn calls(file: &str) -> Vec<(String, Output)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/captured")
        .join(file);
    let text = fs::read_to_string(path).unwrap();
    text.split("### command: ").skip(1).map(call).collect()
}

/// What each call printed.
pub(crate) fn stdout(file: &str) -> Vec<String> {
    let calls = calls(file).into_iter();
    calls.map(|(_, output)| output.stdout).collect()
}

fn call(text: &str) -> (String, Output) {
    let (command, rest) = text.split_once('\n').unwrap();
    let (head, rest) = rest.split_once("### stdout:\n").unwrap();
    let (_, exit) = head.split_once("### exit: ").unwrap();
    let (stdout, rest) = rest.split_once("### stderr:\n").unwrap();
    let (stderr, _) = rest.split_once("### end").unwrap();
    let output = Output {
        rc: exit.trim().parse().unwrap(),
        stdout: stdout.to_owned(),
        stderr: stderr.to_owned(),
        ..Output::default()
    };
    (command.to_owned(), output)
}

//! The helper: runs on the host, speaks the protocol on stdin and stdout.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::process::ExitCode;

use fleet::protocol::{Message, wire};
use rustix::fs::Mode;
use rustix::stdio::{dup2_stdout, stderr, stdin, stdout};

const BY_HAND: &str = "fleet-helper is started by fleet; run `fleet --help`";

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args().skip(1).collect();
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let ended = match words[..] {
        ["serve"] => serve(None),
        ["serve", first] => match wire::decode(first.as_bytes()) {
            Ok(first) => serve(Some(first)),
            Err(_) => return complain(BY_HAND, 2),
        },
        ["watch"] => watch(),
        _ => return complain(BY_HAND, 2),
    };
    match ended {
        Ok(code) => code,
        Err(error) => complain(&format!("fleet-helper: {error}"), 1),
    }
}

/// Watches over a change that may have cut the host off; see `host::watch`.
fn watch() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let watched = fleet::host::watch(&state_directory()?)?;
    Ok(ExitCode::from(watched.status()))
}

/// Holds the conversation. What the controller says first may be an argument: it is there at once,
/// where sshd lets nothing through to stdin before the controller has heard that this runs.
fn serve(first: Option<Message>) -> Result<ExitCode, Box<dyn std::error::Error>> {
    // The protocol gets descriptors of its own and stdout becomes stderr, so that nothing that
    // prints by mistake can break the stream.
    let reader = own(stdin())?;
    let writer = own(stdout())?;
    fleet::host::end_when_alone(writer.try_clone()?.into())?;
    dup2_stdout(stderr())?;
    // Programs that kinds start inherit this. fleet's own files get their mode explicitly.
    rustix::process::umask(Mode::WGRP | Mode::WOTH);
    fleet::reconcile::serve(reader, writer, first, &state_directory()?)?;
    Ok(ExitCode::SUCCESS)
}

fn state_directory() -> Result<PathBuf, &'static str> {
    fleet::reconcile::state_directory().ok_or("no home directory: set HOME or FLEET_STATE_DIR")
}

fn own(descriptor: BorrowedFd<'_>) -> io::Result<File> {
    // Above 2 and closed on exec: children never see it.
    Ok(rustix::io::fcntl_dupfd_cloexec(descriptor, 3)?.into())
}

fn complain(message: &str, code: u8) -> ExitCode {
    // stderr may be closed; the exit code tells the same.
    let _ = writeln!(io::stderr(), "{message}");
    ExitCode::from(code)
}

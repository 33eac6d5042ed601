//! The helper: runs on the host, speaks the protocol on stdin and stdout.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::BorrowedFd;
use std::process::ExitCode;

use rustix::fs::Mode;
use rustix::stdio::{dup2_stdout, stderr, stdin, stdout};

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    if words.next().as_deref() != Some("serve") || words.next().is_some() {
        return complain("fleet-helper is started by fleet; run `fleet --help`", 2);
    }
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&format!("fleet-helper: {error}"), 1),
    }
}

fn serve() -> Result<(), Box<dyn std::error::Error>> {
    // The protocol gets descriptors of its own and stdout becomes stderr, so that nothing that
    // prints by mistake can break the stream.
    let reader = own(stdin())?;
    let writer = own(stdout())?;
    dup2_stdout(stderr())?;
    // Programs that kinds start inherit this. fleet's own files get their mode explicitly.
    rustix::process::umask(Mode::WGRP | Mode::WOTH);
    let state = fleet::reconcile::state_directory()
        .ok_or("no home directory: set HOME or FLEET_STATE_DIR")?;
    Ok(fleet::reconcile::serve(reader, writer, &state)?)
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

//! The helper: runs on the host, speaks the protocol on stdin and stdout.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::process::ExitCode;

use rustix::fs::Mode;
use rustix::stdio::{dup2_stdout, stderr, stdin, stdout};

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let work = match (words.next().as_deref(), words.next()) {
        (Some("serve"), None) => serve,
        (Some("watch"), None) => watch,
        _ => return complain("fleet-helper is started by fleet; run `fleet --help`", 2),
    };
    match work() {
        Ok(code) => code,
        Err(error) => complain(&format!("fleet-helper: {error}"), 1),
    }
}

/// Watches over a change that may have cut the host off; see `host::watch`.
fn watch() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let watched = fleet::host::watch(&state_directory()?)?;
    Ok(ExitCode::from(watched.status()))
}

fn serve() -> Result<ExitCode, Box<dyn std::error::Error>> {
    // The protocol gets descriptors of its own and stdout becomes stderr, so that nothing that
    // prints by mistake can break the stream.
    let reader = own(stdin())?;
    let writer = own(stdout())?;
    dup2_stdout(stderr())?;
    // Programs that kinds start inherit this. fleet's own files get their mode explicitly.
    rustix::process::umask(Mode::WGRP | Mode::WOTH);
    fleet::reconcile::serve(reader, writer, &state_directory()?)?;
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

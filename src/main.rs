//! The controller: parse the command line, run it, exit with what came of it.

use std::process::ExitCode;

fn main() -> ExitCode {
    fleet::cli::main()
}

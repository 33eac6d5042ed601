//! The controller: parse the command line, run it, exit with what came of it.

fn main() {}

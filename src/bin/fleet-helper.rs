//! The helper: runs on the host, speaks the protocol on stdin and stdout.

fn main() {}

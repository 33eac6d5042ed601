//! All integration tests in one binary: it links once, and they share their fixtures.

mod helper;
mod sshd;
mod tidy;
mod transport;

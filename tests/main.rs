//! All integration tests in one binary: it links once, and they share their fixtures.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod helper;
mod sshd;
mod tidy;
mod transport;

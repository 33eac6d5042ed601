//! All integration tests in one binary: it links once, and they share their fixtures.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod sshd;
mod tidy;
mod transport;

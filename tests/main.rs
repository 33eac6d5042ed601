//! All integration tests in one binary: it links once, and they share their fixtures.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod cases;
mod cli;
mod helper;
mod inventory;
mod run;
mod sshd;
mod tidy;
mod transport;
mod yaml;

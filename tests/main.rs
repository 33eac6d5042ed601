//! All integration tests in one binary: it links once, and they share their fixtures.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod artifact;
mod cases;
mod cli;
mod contrib;
mod example;
mod helper;
mod html;
mod image;
mod inventory;
mod run;
mod secret;
mod sshd;
mod swap;
mod tidy;
mod transport;
mod waiver;
mod yaml;

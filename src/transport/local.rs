//! `ansible_connection: local`: the same script and the same helper, on the controller itself.

use std::process::Stdio;

use tokio::process::{Child, Command};

use super::unreachable::{Class, Unreachable};

/// Starts the words as a child with three pipes.
///
/// It is not killed when dropped: like behind ssh, the end of its input is what ends it, in the
/// middle of no change.
pub(super) fn start(words: &[String]) -> Result<Child, Unreachable> {
    Command::new(&words[0])
        .args(&words[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Ctrl-C is for fleet, which ends the conversation in order.
        .process_group(0)
        .spawn()
        .map_err(|error| {
            let said = format!("`{}` cannot be started: {error}", words[0]);
            Unreachable::new(Class::Helper, said)
        })
}

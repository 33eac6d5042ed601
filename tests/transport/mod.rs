//! Bringing the helper to hosts: over a private sshd on loopback, and locally.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use fleet::protocol::{Event, Facts, Message};
use fleet::transport::{Channel, Exit, Helpers, Options, Target, Transport, Unreachable};
use tempfile::TempDir;

mod become_user;
mod bringing_the_helper;
mod host_keys;
mod ssh_options;
mod unreachable;

/// A helper that says hello, does what `body` says and ends when told to, at once or later. A
/// script, so that these tests do not depend on what the real one does.
fn helper(body: &str) -> (TempDir, Helpers) {
    let hello = Event::Hello {
        facts: Box::<Facts>::default(),
    };
    let hello = serde_json::to_string(&hello).unwrap();
    let script = format!(
        "#!/bin/sh\n[ \"$1\" = serve ] || exit 9\nprintf '%s\\n' '{hello}'\n{body}\n\
         line=${{2-}}\nwhile :; do\n  case $line in\n  *'\"end\"'*) break ;;\n  esac\n  \
         read -r line || break\ndone\n\
         printf '%s\\n' '{{\"event\":\"done\",\"cpu_ms\":0}}'\n"
    );
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("fleet-helper"), script).unwrap();
    let helpers = Helpers::in_directory(directory.path()).unwrap();
    (directory, helpers)
}

/// A body that reports what a command prints, as an event.
fn reporting(command: &str) -> String {
    format!("printf '{{\"event\":\"fatal\",\"message\":\"%s\"}}\\n' \"$({command})\"")
}

fn transport(options: Options, body: &str) -> Transport {
    Transport::new(options, helper(body).1).unwrap()
}

/// Opens, converses to the end, closes; returns what the helper reported in between.
async fn converse(transport: &Transport, target: &Target) -> Result<Vec<String>, Unreachable> {
    let mut channel = transport.open(target, None).await?;
    let said = converse_over(&mut channel).await;
    assert_eq!(channel.close().await.exit, Exit::Status(0));
    Ok(said)
}

async fn converse_over(channel: &mut Channel) -> Vec<String> {
    let hello = channel.next_event().await.unwrap();
    assert!(matches!(hello, Some(Event::Hello { .. })), "{hello:?}");
    channel.send(&Message::End).await.unwrap();
    let mut said = Vec::new();
    loop {
        match channel.next_event().await.unwrap() {
            Some(Event::Fatal { message }) => said.push(message),
            Some(Event::Done { .. }) => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(channel.next_event().await.unwrap().is_none());
    said
}

/// Waits until something holds.
async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(2);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}: not in time");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The names in a directory, sorted.
fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Writes an executable script.
fn write_script(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

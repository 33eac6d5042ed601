//! One connection of the OpenSSH client per host, multiplexed by the `openssh` crate.
//!
//! The master process is started here and not by the crate's builder, for three things it cannot
//! do: pass any `-o`, give up at our own deadline without leaving a process behind, and keep all
//! of ssh's words, jump hosts' included, for the report. Options are words of ssh's command line,
//! where the first value wins: first what fleet owns, then the host's variables, then
//! `ansible_ssh_common_args`, then defaults; the user's `ssh_config` comes after all of them.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use openssh::Session;
use openssh_mux_client::Connection;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::process::Command;
use tokio::time::timeout;

use super::runtime_directory::RuntimeDirectory;
use super::ssh_arguments::SshArguments;
use super::ssh_log::{self, Verdict};
use super::unreachable::{Class, Unreachable};
use super::{Options, Target};
use crate::harmless::printable;

/// How much of ssh's log is read; it is written by ssh, but partly in a hostile server's words.
const LOG_LIMIT: u64 = 256 * 1024;

/// A live connection. Closing it says goodbye, dropping it ends the `ssh` process at once. Should
/// fleet itself be killed, the helper sees the end of its input, and ssh ends [`IDLE`] after it.
#[derive(Debug)]
pub(super) struct Master {
    session: Arc<Session>,
    log: PathBuf,
    process: Option<Pid>,
}

/// After how long without a command the master ends by itself. It must be longer than the pause
/// between login and the one command.
const IDLE: &str = "ControlPersist=10";

/// Only keys that were enrolled are let in, whatever `ssh_config` says.
const STRICT: &[&str] = &[
    "StrictHostKeyChecking=yes",
    "NoHostAuthenticationForLocalhost=no",
    "VerifyHostKeyDNS=no",
];

/// One command there, and none here.
const PLAIN: &[&str] = &[
    "PermitLocalCommand=no",
    "RemoteCommand=none",
    "RequestTTY=no",
];

/// How long ssh, a process on this machine, may take to answer a goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

/// Connects and logs in, once.
pub(super) async fn connect(
    target: &Target,
    options: &Options,
    runtime: &RuntimeDirectory,
) -> Result<Master, Verdict> {
    let refused = |reason| Verdict {
        reason,
        dropped: false,
    };
    let other = |message: String| refused(Unreachable::new(Class::Other, message));

    let arguments = SshArguments::parse(&target.common_args)
        .and_then(|arguments| arguments.check_files().map(|()| arguments))
        .map_err(|message| other(format!("ansible_ssh_common_args: {message}")))?;
    check_names(target).map_err(other)?;
    let directory = runtime
        .connection()
        .map_err(|error| other(format!("cannot make a directory for ssh's socket: {error}")))?;
    let log = directory.path().join("log");
    let (words, log_file) = open_log(&log)
        .map(|file| (words(target, options, &arguments, directory.path()), file))
        .map_err(|error| other(format!("cannot make a log for ssh: {error}")))?;

    let mut ssh = Command::new("ssh")
        .args(words)
        // A jump host's ssh knows nothing of BatchMode and would ask on the terminal.
        .env("SSH_ASKPASS_REQUIRE", "force")
        .env("SSH_ASKPASS", "false")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log_file)
        .process_group(0)
        .spawn()
        .map_err(|error| other(format!("the program `ssh` cannot be started: {error}")))?;
    let group = Group(ssh.id());

    // With `-f`, ssh ends as soon as it is logged in and goes on in the background.
    let limit = options.connect_timeout * 2;
    let status = match timeout(limit, ssh.wait()).await {
        Ok(Ok(status)) => status,
        Ok(Err(error)) => return Err(other(format!("lost sight of `ssh`: {error}"))),
        Err(_) => {
            drop(group);
            let reason = Unreachable::new(
                Class::Timeout,
                format!(
                    "no login on `{}` within {} s",
                    target.host,
                    limit.as_secs_f32()
                ),
            );
            return Err(refused(reason.said(&ssh_log::for_people(&read_log(&log)))));
        }
    };
    if !status.success() {
        return Err(ssh_log::judge(&read_log(&log), &target.host));
    }
    // The process in the background has another id than the one that was started.
    let process = match process_of_master(&directory.path().join("master")).await {
        Ok(process) => process,
        Err(error) => return Err(other(format!("logged in, but ssh is gone again: {error}"))),
    };
    group.keep();
    let session = Arc::new(Session::new_native_mux(directory));
    Ok(Master {
        session,
        log,
        process,
    })
}

async fn process_of_master(socket: &Path) -> Result<Option<Pid>, openssh_mux_client::Error> {
    let id = Connection::connect(socket)
        .await?
        .send_alive_check()
        .await?;
    Ok(i32::try_from(id.get()).ok().and_then(Pid::from_raw))
}

impl Master {
    /// For running the one command.
    pub(super) fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Whether the connection is still there.
    pub(super) async fn is_alive(&self) -> bool {
        let asked = process_of_master(self.session.control_socket());
        matches!(timeout(GOODBYE, asked).await, Ok(Ok(_)))
    }

    /// What ssh said last, when the connection was lost.
    pub(super) fn last_words(&self) -> String {
        ssh_log::about_the_end(&read_log(&self.log))
    }

    /// Says goodbye to a host whose command has ended, on which ssh ends too.
    pub(super) async fn close(mut self) {
        let socket = self.session.control_socket();
        let stopped = async {
            Connection::connect(socket)
                .await?
                .request_stop_listening()
                .await
        };
        // Otherwise it has ended already, or is ended by `drop`.
        if let Ok(Ok(())) = timeout(GOODBYE, stopped).await {
            self.process = None;
        }
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        // A session that is still open would keep ssh waiting for the host.
        let _ = self
            .process
            .map(|process| kill_process(process, Signal::TERM));
    }
}

/// The processes of a login in progress: `ssh` and those of its jump hosts. Dropping it ends
/// them.
struct Group(Option<u32>);

impl Group {
    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let id = self
            .0
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        // An error means that they have ended.
        let _ = id.map(|id| kill_process_group(id, Signal::TERM));
    }
}

/// ssh's command line. `-v`, because only then ssh says which key a host offers, and lets the
/// `ssh` of a jump host say anything.
fn words(
    target: &Target,
    options: &Options,
    arguments: &SshArguments,
    directory: &Path,
) -> Vec<String> {
    let path = |name| directory.join(name).to_string_lossy().into_owned();
    let mut words: Vec<String> = [
        "-v",
        "-E",
        &path("log"),
        "-S",
        &path("master"),
        "-M",
        "-f",
        "-N",
    ]
    .map(Into::into)
    .into();
    let mut option = |text: String| words.extend(["-o".to_owned(), text]);
    option(IDLE.to_owned());
    option("BatchMode=yes".to_owned());
    for owned in STRICT.iter().chain(PLAIN) {
        option((*owned).to_owned());
    }
    if let Some(port) = target.port {
        option(format!("Port={port}"));
    }
    if let Some(user) = &target.user {
        words.extend(["-l".to_owned(), user.clone()]);
    }
    if let Some(file) = &target.private_key_file {
        // Otherwise an agent full of keys uses up the server's patience before this one's turn.
        words.extend(["-o", "IdentitiesOnly=yes", "-i", file].map(Into::into));
    }
    words.extend(arguments.words.iter().cloned());
    for default in [
        format!(
            "ConnectTimeout={}",
            options.connect_timeout.as_secs().max(1)
        ),
        format!(
            "ServerAliveInterval={}",
            options.keepalive_interval.as_secs().max(1)
        ),
        format!("ServerAliveCountMax={}", options.keepalive_count),
    ] {
        words.extend(["-o".to_owned(), default]);
    }
    let general = options
        .ssh_config
        .as_ref()
        .map(|path| path.to_string_lossy().into_owned());
    if let Some(file) = arguments.config.clone().or(general) {
        words.extend(["-F".to_owned(), file]);
    }
    words.extend(["--".to_owned(), target.host.clone()]);
    words
}

/// Refuses names that ssh, or a `ProxyCommand` with `%h` or `%r` in it, could take for something
/// else. `--` protects ssh itself; a user's `ProxyCommand` goes through a shell.
fn check_names(target: &Target) -> Result<(), String> {
    let host = &target.host;
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "._-:%".contains(letter);
    if host.is_empty() || host.starts_with('-') || !host.chars().all(plain) {
        return Err(format!("`{}` is no host name or address", printable(host)));
    }
    if let Some(user) = &target.user {
        let odd = |letter: char| {
            letter.is_control() || letter.is_whitespace() || "'`\"<>|&;(){}$\\".contains(letter)
        };
        if user.is_empty() || user.starts_with('-') || user.contains(odd) {
            return Err(format!("`{}` is no user name", printable(user)));
        }
    }
    if target
        .private_key_file
        .as_ref()
        .is_some_and(String::is_empty)
    {
        return Err("ansible_ssh_private_key_file is empty".to_owned());
    }
    Ok(())
}

/// The log is written by ssh (`-E`) and, through its stderr, by jump hosts' ssh.
fn open_log(path: &Path) -> std::io::Result<fs::File> {
    OpenOptions::new().create_new(true).append(true).open(path)
}

fn read_log(path: &Path) -> String {
    use std::io::Read;
    let mut bytes = Vec::new();
    // What cannot be read is reported as silence; the failure itself is known from the status.
    if let Ok(file) = fs::File::open(path) {
        let _ = file.take(LOG_LIMIT).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A pause before the next attempt, longer each time and never the same, so that many hosts
/// behind one overloaded server do not come back all at once.
pub(super) fn pause(attempt: u32) -> Duration {
    let base = 0.25 * f64::from(1_u32 << attempt.min(5));
    Duration::from_secs_f64(base * (0.5 + fastrand::f64()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target() -> Target {
        Target {
            host: "web01".to_owned(),
            ..Target::default()
        }
    }

    #[test]
    fn what_fleet_owns_comes_before_what_the_user_sets() {
        let target = Target {
            port: Some(2222),
            user: Some("deploy".to_owned()),
            private_key_file: Some("~/.ssh/id".to_owned()),
            common_args: ["-o", "ConnectTimeout=3", "-F", "own"]
                .map(Into::into)
                .into(),
            ..target()
        };
        let arguments = SshArguments::parse(&target.common_args).unwrap();
        let words = words(
            &target,
            &Options::default(),
            &arguments,
            Path::new("/run/x"),
        )
        .join(" ");
        assert_eq!(
            words,
            "-v -E /run/x/log -S /run/x/master -M -f -N -o ControlPersist=10 -o BatchMode=yes \
             -o StrictHostKeyChecking=yes -o NoHostAuthenticationForLocalhost=no \
             -o VerifyHostKeyDNS=no -o PermitLocalCommand=no -o RemoteCommand=none \
             -o RequestTTY=no -o Port=2222 -l deploy -o IdentitiesOnly=yes -i ~/.ssh/id \
             -o ConnectTimeout=3 -o ConnectTimeout=10 -o ServerAliveInterval=15 \
             -o ServerAliveCountMax=3 -F own -- web01"
        );
    }

    #[test]
    fn names_cannot_be_taken_for_options_or_commands() {
        for host in [
            "",
            "-oProxyCommand=id",
            "a b",
            "a;id",
            "$(id)",
            "a\nb",
            "wéb",
            "user@host",
        ] {
            let target = Target {
                host: host.to_owned(),
                ..target()
            };
            assert!(check_names(&target).is_err(), "{host:?}");
        }
        for host in ["web-01.example.com", "10.0.0.1", "fe80::1%eth0", "node_1"] {
            let target = Target {
                host: host.to_owned(),
                ..target()
            };
            assert_eq!(check_names(&target), Ok(()), "{host:?}");
        }
        for user in ["", "-l", "a b", "`id`", "a;b"] {
            let target = Target {
                user: Some(user.to_owned()),
                ..target()
            };
            assert!(check_names(&target).is_err(), "{user:?}");
        }
    }

    #[test]
    fn pauses_grow_and_differ() {
        for attempt in 0..10 {
            let pause = pause(attempt);
            assert!(pause >= Duration::from_millis(125) && pause <= Duration::from_secs(12));
        }
        assert!(pause(3) > pause(0));
        assert_ne!(pause(1), pause(1));
    }

    #[test]
    fn a_log_is_never_followed_or_shared() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        open_log(&log).unwrap();
        assert!(open_log(&log).is_err());
    }
}

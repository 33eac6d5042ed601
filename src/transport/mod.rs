//! Bringing the helper to a host and talking to it: over OpenSSH, or on this machine.
//!
//! [`Transport::open`] does everything up to the helper's first word: connect, log in, `sudo`,
//! push the helper if the host lacks it, verify it there, start it. Every wait has a deadline, and
//! whatever goes wrong is an [`Unreachable`] that says why. What comes after is the
//! [`Channel`]'s.
//!
//! Deliberately absent: any knowledge of tasks, and any way to run a second command. One exec per
//! host is what makes a run cost what `ssh host true` costs.

use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use openssh::Session;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use crate::protocol::{Message, wire};
use crate::secret::Secret;

mod bootstrap;
mod channel;
mod helper;
mod local;
mod process;
mod runtime_directory;
mod ssh;
mod ssh_arguments;
mod ssh_log;
mod stderr;
mod sudo;
mod unreachable;

pub use channel::{Channel, Ending, Exit, Receiver, Sender, TransportError};
pub use helper::{Helper, HelperError, Helpers};
pub use ssh_arguments::SshArguments;
pub use unreachable::{Class, Unreachable};

use bootstrap::Bootstrap;
use process::{End, Process};
use runtime_directory::RuntimeDirectory;

/// A host and how to reach it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// Its name in the inventory, for messages.
    pub name: String,
    /// Name, address or alias in `ssh_config`.
    pub host: String,
    /// If not `ssh_config`'s or 22.
    pub port: Option<u16>,
    /// Who to log in as, if not `ssh_config`'s or the user fleet runs as.
    pub user: Option<String>,
    /// The one key to offer.
    pub private_key_file: Option<String>,
    /// More options for ssh; see [`SshArguments`].
    pub common_args: Vec<String>,
    /// Who the helper runs as, if not who logs in.
    pub become_: Option<Become>,
    /// The way there.
    pub kind: Kind,
}

/// Becoming another user with sudo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Become {
    /// Whom.
    pub user: String,
}

/// The way to a host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// Through the OpenSSH client.
    #[default]
    Ssh,
    /// A child of this process.
    Local,
}

/// Settings of a run.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long a connection may take to come about (ssh's `ConnectTimeout`); the login must be
    /// over after twice as long.
    pub connect_timeout: Duration,
    /// How long the host may take from login to the helper's first word, and for each piece of
    /// the helper when that has to be sent.
    pub start_timeout: Duration,
    /// After how long without a word ssh asks whether the host is alive.
    pub keepalive_interval: Duration,
    /// How many such questions may stay without an answer.
    pub keepalive_count: u32,
    /// How often a connection that was dropped before authentication is tried again.
    pub retries: u32,
    /// In place of the user's `ssh_config` (`--ssh-config`).
    pub ssh_config: Option<PathBuf>,
    /// For sudo (`-K`).
    pub become_password: Option<Secret>,
    /// How many connections may be coming about at once. sshd begins to drop at 10
    /// (`MaxStartups 10:30:100`), which counts when all hosts are behind one jump host.
    pub starts: usize,
    /// Where the helper is kept on the hosts, if not in `/var/lib/fleet` (root) or
    /// `~/.cache/fleet`.
    pub helper_directory: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            start_timeout: Duration::from_secs(30),
            keepalive_interval: Duration::from_secs(15),
            keepalive_count: 3,
            retries: 2,
            ssh_config: None,
            become_password: None,
            starts: 10,
            helper_directory: None,
        }
    }
}

/// How long a connection that is coming about counts against [`Options::starts`]. One that takes
/// longer waits for its host, and must not hold up the others.
const SLOT: Duration = Duration::from_secs(2);

/// Opens connections for a run. Shared by all hosts.
#[derive(Debug)]
pub struct Transport {
    options: Options,
    helpers: Helpers,
    runtime: RuntimeDirectory,
    starts: Semaphore,
    stand_in: Option<StandIn>,
}

/// What answers in the place of hosts.
struct StandIn(Box<dyn Fn(&Target) -> Channel + Send + Sync>);

impl std::fmt::Debug for StandIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StandIn")
    }
}

impl Transport {
    /// Prepares a run.
    ///
    /// # Errors
    /// If there is no safe directory for ssh's sockets; the message says where and why not.
    pub fn new(options: Options, helpers: Helpers) -> io::Result<Self> {
        allow_many_connections();
        let runtime = RuntimeDirectory::create()?;
        let starts = Semaphore::new(options.starts.clamp(1, Semaphore::MAX_PERMITS));
        Ok(Self {
            options,
            helpers,
            runtime,
            starts,
            stand_in: None,
        })
    }

    /// Contacts nobody: `answer` gives the conversation with each host. What ten thousand hosts
    /// cost the controller can be measured only where they cost nothing themselves.
    #[must_use]
    pub fn with_stand_in(
        mut self,
        answer: impl Fn(&Target) -> Channel + Send + Sync + 'static,
    ) -> Self {
        self.stand_in = Some(StandIn(Box::new(answer)));
        self
    }

    /// Starts the helper on a host and returns the conversation with it, its first event
    /// ([`Hello`](crate::protocol::Event::Hello)) still to be read. `first` is what the helper
    /// finds said when it starts: waiting for its greeting would cost a round trip. On the host
    /// everybody can see it, as an argument.
    ///
    /// # Errors
    /// Why that did not come about. Nothing was changed on the host, except that it may have the
    /// helper now.
    pub async fn open(
        &self,
        target: &Target,
        first: Option<&Message>,
    ) -> Result<Channel, Unreachable> {
        let first = first.map(wire::encode);
        if let Some(StandIn(answer)) = &self.stand_in {
            let mut channel = answer(target);
            // That it has ended shows when it is heard.
            let _ = channel.split().0.write(&first.unwrap_or_default()).await;
            return Ok(channel);
        }
        let first = first.as_deref().map(String::from_utf8_lossy);
        let bootstrap = Bootstrap::new(
            &self.helpers,
            self.options.helper_directory.as_deref(),
            first.as_deref().map(str::trim_end),
        );
        let become_ = target.become_.as_ref();
        let password = self
            .options
            .become_password
            .as_ref()
            .filter(|_| become_.is_some());
        let (channel, process) = match target.kind {
            Kind::Local => {
                let mut child = local::start(&bootstrap.words(become_, password))?;
                let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
                connect_pipes(pipes, End::Local(child), &bootstrap)?
            }
            Kind::Ssh => {
                let master = self.log_in(target).await?;
                let mut command = Session::to_raw_command(
                    Arc::clone(master.session()),
                    bootstrap.command_line(become_, password),
                );
                command
                    .stdin(openssh::Stdio::piped())
                    .stdout(openssh::Stdio::piped())
                    .stderr(openssh::Stdio::piped());
                let started = timeout(self.options.start_timeout, command.spawn()).await;
                drop(command);
                let mut child = match started {
                    Ok(Ok(child)) => child,
                    Ok(Err(error)) => return Err(no_session(&error.to_string(), &master)),
                    Err(_) => return Err(no_session("no answer in time", &master)),
                };
                let pipes = (
                    child.stdin().take(),
                    child.stdout().take(),
                    child.stderr().take(),
                );
                connect_pipes(pipes, End::Ssh(child, master), &bootstrap)?
            }
        };
        bootstrap
            .start(
                channel,
                process,
                &self.helpers,
                password,
                self.options.start_timeout,
            )
            .await
    }

    /// Connects, trying again when the server dropped the connection before authentication.
    async fn log_in(&self, target: &Target) -> Result<ssh::Master, Unreachable> {
        let mut attempt = 0;
        loop {
            let mut connecting = pin!(ssh::connect(target, &self.options, &self.runtime));
            let slot = self
                .starts
                .acquire()
                .await
                .expect("the semaphore is never closed");
            let result = tokio::select! {
                result = &mut connecting => {
                    drop(slot);
                    result
                }
                () = sleep(SLOT) => {
                    drop(slot);
                    connecting.await
                }
            };
            match result {
                Ok(master) => return Ok(master),
                Err(verdict) if verdict.dropped && attempt < self.options.retries => {
                    sleep(ssh::pause(attempt)).await;
                    attempt += 1;
                }
                Err(verdict) => return Err(verdict.reason),
            }
        }
    }
}

/// Hosts that wait for their next play keep their connections, and shells are modest by default.
fn allow_many_connections() {
    let limit = getrlimit(Resource::Nofile);
    // Where it may not be raised, what does not fit is that host's failure to be reached.
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            ..limit
        },
    );
}

fn no_session(why: &str, master: &ssh::Master) -> Unreachable {
    Unreachable::new(
        Class::Other,
        format!("logged in, but no command can be started: {why}"),
    )
    .said(&master.last_words())
}

fn connect_pipes<I, O, E>(
    (stdin, stdout, stderr): (Option<I>, Option<O>, Option<E>),
    end: End,
    bootstrap: &Bootstrap,
) -> Result<(Channel, Process), Unreachable>
where
    I: AsyncWrite + Send + Unpin + 'static,
    O: AsyncRead + Send + Unpin + 'static,
    E: AsyncRead + Send + Unpin + 'static,
{
    let (Some(stdin), Some(stdout), Some(stderr)) = (stdin, stdout, stderr) else {
        return Err(Unreachable::new(
            Class::Other,
            "a pipe to the helper is missing",
        ));
    };
    let stderr = stderr::Stderr::read(stderr, &bootstrap.prompt());
    Ok((Channel::over(stdin, stdout), Process { end, stderr }))
}

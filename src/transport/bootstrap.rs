//! From a shell on the host to a running helper, in one exec.
//!
//! The shell runs `bootstrap.sh`. Whatever the login shell prints before the first marker is
//! ignored; the markers carry a nonce, so no message of the day can be mistaken for one. With a
//! password for sudo, that is written only after sudo asked for it, and only once.

use std::fmt::Write as _;
use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

use super::channel::{Channel, Ending, Exit, Sender, TransportError};
use super::helper::Helpers;
use super::process::Process;
use super::unreachable::{Class, Unreachable};
use super::{Become, sudo};
use crate::harmless::printable;
use crate::protocol::wire::PIECE;
use crate::secret::Secret;

/// How much a login shell may print before the first marker.
const NOISE: usize = 64 * 1024;

/// The script, and what its answers look like.
#[derive(Debug)]
pub(super) struct Bootstrap {
    nonce: String,
    script: String,
}

/// What the script says.
#[derive(Debug, PartialEq, Eq)]
enum Marker {
    Need(String),
    Run,
    Foreign(String),
    Error(String),
}

impl Bootstrap {
    /// A script with a nonce of its own. `directory` is where the helper is kept on the host;
    /// without one, `/var/lib/fleet` for root and `~/.cache/fleet` for others. `first` is a line
    /// for the helper.
    pub(super) fn new(helpers: &Helpers, directory: Option<&str>, first: Option<&str>) -> Self {
        let nonce = format!("{:016x}", fastrand::u64(..));
        let mut known = String::new();
        for (architecture, helper) in helpers.iter() {
            // Writing to a String cannot fail.
            let _ = writeln!(known, "{architecture}) sha256={} ;;", helper.sha256);
        }
        let text = include_str!("bootstrap.sh");
        let code: Vec<_> = text
            .lines()
            .filter(|l| !l.trim_start().starts_with('#'))
            .collect();
        let script = code
            .join("\n")
            .replace("@NONCE@", &nonce)
            .replace("\"@HELPERS@\") sha256= ;;\n", &known)
            .replace("@DIRECTORY@", &quote(directory.unwrap_or_default()))
            // Last, as it may hold any text.
            .replace("@FIRST@", &first.map(quote).unwrap_or_default());
        Self { nonce, script }
    }

    /// The command line that runs the script, as the user asked for, as words.
    pub(super) fn words(&self, become_: Option<&Become>, password: Option<&Secret>) -> Vec<String> {
        let mut words = match become_ {
            Some(become_) => sudo::words(&become_.user, password.is_some().then(|| self.prompt())),
            None => Vec::new(),
        };
        words.extend(["sh".to_owned(), "-c".to_owned(), self.script.clone()]);
        words
    }

    /// The same as one text for a login shell.
    pub(super) fn command_line(
        &self,
        become_: Option<&Become>,
        password: Option<&Secret>,
    ) -> String {
        let words = self.words(become_, password);
        words
            .iter()
            .map(|word| quote(word))
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// What sudo asks with.
    pub(super) fn prompt(&self) -> String {
        format!("[fleet {}] ", self.nonce)
    }

    /// Brings the far side from the script to the helper and waits for its first word. Each wait
    /// takes at most `patience`.
    pub(super) async fn start(
        &self,
        mut channel: Channel,
        mut process: Process,
        helpers: &Helpers,
        password: Option<&Secret>,
        patience: Duration,
    ) -> Result<Channel, Unreachable> {
        let talked = self.talk(&mut channel, &mut process, helpers, password, patience);
        match talked.await {
            Ok(()) => Ok(channel.with(process)),
            Err(Stop::Reason(reason)) => {
                process.abandon();
                let said = process.stderr.rest(Duration::from_millis(200)).await;
                // Sudo and the shell know better than a marker why they stopped.
                Err(reason.said(&said))
            }
            Err(Stop::Silent) => {
                let said = process.stderr.tail();
                process.abandon();
                let waited = patience.as_secs_f32();
                Err(Unreachable::new(
                    Class::Timeout,
                    format!("logged in, but the helper did not start within {waited} s"),
                )
                .hint("is something in the login shell's start files, or sudo, waiting for input?")
                .said(&said))
            }
            Err(Stop::End) => {
                drop(channel);
                let ending = process.close(patience).await;
                Err(judge_end(&ending))
            }
        }
    }

    async fn talk(
        &self,
        channel: &mut Channel,
        process: &mut Process,
        helpers: &Helpers,
        password: Option<&Secret>,
        patience: Duration,
    ) -> Result<(), Stop> {
        let (sender, receiver) = channel.split();
        let mut noise = NOISE;
        let mut answered = 0;
        // One deadline for all noise together, set anew only when there was progress.
        let mut deadline = Instant::now() + patience;
        loop {
            let marker = tokio::select! {
                line = timeout_at(deadline, receiver.next_line(noise)) => {
                    match line.map_err(|_| Stop::Silent)? {
                        Ok(Some(line)) => {
                            noise = noise.saturating_sub(line.len());
                            self.marker(&line)
                        }
                        Err(TransportError::TooLong) => return Err(Stop::Reason(
                            Unreachable::new(
                                Class::Helper,
                                format!("the login shell prints more than {} KiB", NOISE / 1024),
                            )
                            .hint("let its start files print nothing without a terminal"),
                        )),
                        Ok(None) | Err(_) => return Err(Stop::End),
                    }
                }
                () = process.stderr.prompted(answered) => {
                    let Some(password) = password.filter(|_| answered == 0) else {
                        return Err(Stop::Reason(sudo::wrong_password()));
                    };
                    answered += 1;
                    let line = format!("{}\n", password.expose());
                    // A sudo that does not want it any more says why.
                    let _ = timeout(patience, sender.write(line.as_bytes())).await;
                    None
                }
            };
            match marker {
                None => {}
                Some(Marker::Run) => break,
                Some(Marker::Need(architecture)) => {
                    let Some(helper) = helpers.get(&architecture) else {
                        return Err(Stop::Reason(no_helper(&architecture)));
                    };
                    let packed = helper.packed().await;
                    let head = format!("{}\n", packed.len());
                    let pieces = std::iter::once(head.as_bytes()).chain(packed.chunks(PIECE));
                    hand_over(sender, pieces, patience).await?;
                    deadline = Instant::now() + patience;
                }
                Some(Marker::Foreign(architecture)) => {
                    return Err(Stop::Reason(no_helper(&architecture)));
                }
                Some(Marker::Error(text)) => {
                    return Err(Stop::Reason(Unreachable::new(Class::Helper, text)));
                }
            }
        }
        match timeout_at(deadline, receiver.has_more()).await {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false) | Err(_)) => Err(Stop::End),
            Err(_) => Err(Stop::Silent),
        }
    }

    /// Finds a marker in a line; before it, noise that ended without a line feed may stand.
    fn marker(&self, line: &[u8]) -> Option<Marker> {
        let start = format!("fleet:{}:", self.nonce);
        let place = super::stderr::find(line, start.as_bytes())? + start.len();
        let text = String::from_utf8_lossy(&line[place..]);
        let text = text.trim_end();
        let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
        match verb {
            "need" => Some(Marker::Need(rest.to_owned())),
            "run" => Some(Marker::Run),
            "foreign" => Some(Marker::Foreign(rest.to_owned())),
            "error" => Some(Marker::Error(printable(rest))),
            _ => None,
        }
    }
}

/// Writes all of it. If the far side has stopped reading, its marker says why.
async fn hand_over<'a>(
    sender: &mut Sender,
    pieces: impl IntoIterator<Item = &'a [u8]>,
    patience: Duration,
) -> Result<(), Stop> {
    for piece in pieces {
        match timeout(patience, sender.write(piece)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => break,
            Err(_) => return Err(Stop::Silent),
        }
    }
    Ok(())
}

/// Why the conversation with the script cannot go on.
enum Stop {
    /// Known.
    Reason(Unreachable),
    /// Nothing came in time.
    Silent,
    /// The far side ended.
    End,
}

/// Why the far side ended before the helper said a word.
fn judge_end(ending: &Ending) -> Unreachable {
    let text = ending.stderr.join("\n");
    let reason = sudo::judge(&text).unwrap_or_else(|| {
        let last = ending
            .stderr
            .last()
            .map_or_else(String::new, |line| format!(": {line}"));
        let class = if ending.exit == Exit::Lost {
            Class::Other
        } else {
            Class::Helper
        };
        let exit = ending.exit;
        Unreachable::new(
            class,
            format!("logged in, but the shell that starts the helper {exit}{last}"),
        )
    });
    reason.said(&text)
}

fn no_helper(architecture: &str) -> Unreachable {
    let architecture = printable(architecture);
    Unreachable::new(
        Class::Helper,
        format!("the host is {architecture}, and there is no `fleet-helper-{architecture}`"),
    )
    .hint("`make build` makes it; it belongs beside the `fleet` executable")
}

/// One word for any POSIX shell. NUL cannot be passed to a shell at all.
fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\0', "").replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bootstrap() -> Bootstrap {
        Bootstrap::new(&Helpers::default(), Some("/x y'z"), Some("{\"it's\"}"))
    }

    #[test]
    fn the_script_is_complete_and_without_comments() {
        let script = bootstrap().script;
        assert!(!script.contains('@') && !script.contains("# "), "{script}");
        assert!(script.contains("directory='/x y'\\''z'"), "{script}");
        assert!(script.ends_with("serve '{\"it'\\''s\"}'"), "{script}");
    }

    #[test]
    fn markers_are_found_behind_noise_and_never_in_it() {
        let bootstrap = bootstrap();
        let nonce = &bootstrap.nonce;
        let marker = |text: &str| bootstrap.marker(text.as_bytes());
        assert_eq!(marker(&format!("fleet:{nonce}:run\n")), Some(Marker::Run));
        assert_eq!(
            marker(&format!("Welcome! fleet:{nonce}:run\r\n")),
            Some(Marker::Run)
        );
        assert_eq!(
            marker(&format!("fleet:{nonce}:error a \x1b[1m b\n")),
            Some(Marker::Error("a \\x1b[1m b".to_owned()))
        );
        assert_eq!(
            marker(&format!("fleet:{nonce}:need x86_64\n")),
            Some(Marker::Need("x86_64".to_owned()))
        );
        assert_eq!(marker("fleet:0123:run\n"), None);
        assert_eq!(marker("\n"), None);
    }

    #[test]
    fn two_scripts_have_different_nonces() {
        assert_ne!(bootstrap().nonce, bootstrap().nonce);
    }
}

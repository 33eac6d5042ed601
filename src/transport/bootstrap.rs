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

    /// The same as one text for a login shell, which need not be a POSIX shell: to csh a line feed
    /// ends a quoted word, and csh of BSD takes no long ones. So the script goes in short pieces
    /// of which no shell knows a letter, and `sh` puts it together.
    pub(super) fn command_line(
        &self,
        become_: Option<&Become>,
        password: Option<&Secret>,
    ) -> String {
        let mut words = self.words(become_, password);
        let script = words.pop().expect("the script is the last word");
        words.extend([r#"eval "$(printf %b "$@")""#.to_owned(), "sh".to_owned()]);
        let words = words.iter().map(|word| quote(word));
        let words: Vec<_> = words.chain(pieces(&script)).collect();
        words.join(" ")
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

/// One word of one line for any login shell: csh looks for `!` and fish for `\` inside quotes too.
/// NUL cannot be passed to a shell at all.
fn quote(word: &str) -> String {
    let mut quoted = String::from("'");
    for letter in word.chars().filter(|letter| *letter != '\0') {
        match letter {
            '\'' | '!' | '\\' => quoted.extend(["'\\", letter.encode_utf8(&mut [0; 4]), "'"]),
            letter => quoted.push(letter),
        }
    }
    quoted + "'"
}

/// How long a piece of the script is.
const SHORT: usize = 1000;

/// A text as `printf %b` takes it, in quoted words without a letter that means something to a
/// shell inside them: fish leaves `\0` alone.
fn pieces(text: &str) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut piece = String::new();
    for byte in text.bytes().filter(|byte| *byte != 0) {
        if piece.len() >= SHORT {
            pieces.push(format!("'{}'", std::mem::take(&mut piece)));
        }
        match byte {
            b'\'' | b'!' | b'\\' | 0..=0x1f | 0x7f.. => {
                // Writing to a String cannot fail.
                let _ = write!(piece, "\\0{byte:03o}");
            }
            byte => piece.push(char::from(byte)),
        }
    }
    pieces.push(format!("'{piece}'"));
    pieces
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "the tests are the host, whose shells are started here"
)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

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

    /// What a login shell may be; `tests/setup` installs them.
    const LOGIN_SHELLS: [&str; 6] = ["sh", "bash", "zsh", "fish", "tcsh", "bsd-csh"];

    #[test]
    fn every_login_shell_takes_the_command_line() {
        let script = format!(
            "printf '%s' \"$LETTERS\"\nprintf '%s' {}",
            quote("it's! \\n \\\\ `id` $HOME \"%s\" * ~ é\n!!\n")
        );
        let bootstrap = Bootstrap {
            nonce: String::new(),
            // Longer than a word of csh may be.
            script: format!("LETTERS={}\n{script}", "x".repeat(20_000)),
        };
        let expected = format!(
            "{}it's! \\n \\\\ `id` $HOME \"%s\" * ~ é\n!!\n",
            "x".repeat(20_000)
        );
        for shell in LOGIN_SHELLS {
            let line = bootstrap.command_line(None, None);
            let output = std::process::Command::new(shell)
                .args(["-c", &line])
                .output()
                .unwrap_or_else(|error| panic!("{shell}: {error}; `make setup` installs it"));
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(
                String::from_utf8_lossy(&output.stdout),
                expected,
                "{shell}: {said}"
            );
        }
    }

    /// For machines without these shells: what they stumble over is not in it.
    #[test]
    fn the_command_line_is_one_line_of_short_words() {
        let become_ = Become {
            user: "o'neil!".to_owned(),
        };
        let line = bootstrap().command_line(Some(&become_), None);
        assert!(
            line.starts_with(
                "'env' 'LC_ALL=C' 'sudo' '-n' '-H' '-u' 'o'\\''neil'\\!'' '--' 'sh' '-c'"
            ),
            "{line}"
        );
        assert!(line.is_ascii() && !line.contains('\n'), "{line}");
        let script = line.split_once(" '-c' ").unwrap().1;
        assert!(!script.contains('!') && !script.contains("\\'"), "{script}");
        assert!(!script.contains("\\\\"), "{script}");
        assert!(
            script.split(' ').all(|word| word.len() <= SHORT + 8),
            "{script}"
        );
    }

    /// What the script says to a user who is not root.
    fn said(directory: Option<&str>, home: &str) -> String {
        let programs = tempfile::tempdir().unwrap();
        let id = programs.path().join("id");
        fs::write(
            &id,
            "#!/bin/sh\ncase $1 in -u) echo 1000 ;; *) echo app ;; esac\n",
        )
        .unwrap();
        fs::set_permissions(&id, fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!("{}:/usr/bin:/bin", programs.path().display());
        let text = Bootstrap::new(&Helpers::default(), directory, None).script;
        let script = text.replace("case $arch in\n", "case $arch in\n*) sha256=0 ;;\n");
        let mut shell = std::process::Command::new("sh");
        shell
            .args(["-c", &script])
            .env_clear()
            .env("PATH", path)
            .env("HOME", home);
        String::from_utf8(shell.output().unwrap().stdout).unwrap()
    }

    #[test]
    fn a_directory_that_cannot_be_made_says_the_way_out() {
        // Not even root makes a directory there.
        let homeless = said(None, "/proc/nowhere");
        assert!(
            homeless.contains("the home directory /proc/nowhere does not exist")
                && homeless.contains("make it for app, or become root"),
            "{homeless}"
        );
        for (directory, home) in [
            (Some("/proc/x/y"), "/tmp"),
            (Some("/proc/x"), "/proc/nowhere"),
        ] {
            let refused = said(directory, home);
            assert!(
                refused.contains("cannot make the directory /proc/x")
                    && refused.contains("make it for app, with mode 0700, or become root"),
                "{refused}"
            );
        }
    }

    #[test]
    fn two_scripts_have_different_nonces() {
        assert_ne!(bootstrap().nonce, bootstrap().nonce);
    }
}

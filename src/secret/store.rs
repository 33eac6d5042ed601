//! Values from a store outside: what a command of `fleet.yml` prints for a name.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{Redactor, Secret, SecretError};
use crate::host::{Command, CommandEnd, Failure};

/// What stands for the name in the command's words.
pub(super) const PLACEHOLDER: &str = "{name}";

/// How long the command may take: as long as typing a PIN.
const DEADLINE: Duration = Duration::from_mins(1);

/// No secret is larger.
const LARGEST: usize = 64 << 10;

/// Longer than any path in a store.
const LONGEST_NAME: usize = 256;

/// Asks a store outside for secrets. Each name is asked for once per run, when it is first used;
/// the answer, a failure too, is kept. Cheap to clone; clones share what they know.
#[derive(Clone, Default)]
pub struct Store(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// Program and arguments; empty if none is configured.
    command: Vec<String>,
    deadline: Duration,
    redactor: Redactor,
    /// Held while the command runs, so that no name is asked for twice.
    answers: Mutex<HashMap<String, Result<Secret, SecretError>>>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("command", &self.0.command)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// A store behind `command`, none if that is empty. It tells `redactor` every value.
    #[must_use]
    pub fn new(command: Vec<String>, redactor: Redactor) -> Self {
        Self(Arc::new(Inner {
            command,
            deadline: DEADLINE,
            redactor,
            answers: Mutex::default(),
        }))
    }

    /// Whether there is a command to ask.
    #[must_use]
    pub fn is_configured(&self) -> bool {
        !self.0.command.is_empty()
    }

    /// The value of a secret.
    ///
    /// # Errors
    /// When no command is configured, or it has no value for this name. Nothing that the command
    /// printed is in the error: it may be the secret.
    pub fn ask(&self, name: &str) -> Result<Secret, SecretError> {
        // A poisoned lock still holds complete answers: they are inserted whole.
        let mut answers = self
            .0
            .answers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = answers.get(name) {
            return known.clone();
        }
        let answer = self.0.run(name);
        answers.insert(name.to_owned(), answer.clone());
        answer
    }
}

impl Inner {
    fn run(&self, name: &str) -> Result<Secret, SecretError> {
        let Some((program, arguments)) = self.command.split_first() else {
            return Err(SecretError::new("no command is configured that knows secrets").help(
                "name one in `fleet.yml`, for example `secrets: {command: [pass, show, \"{name}\"]}`",
            ));
        };
        check_name(name)?;
        let argv: Vec<_> = std::iter::once(program.clone())
            .chain(arguments.iter().map(|word| word.replace(PLACEHOLDER, name)))
            .collect();
        let shown =
            shlex::try_join(argv.iter().map(String::as_str)).unwrap_or_else(|_| argv.join(" "));
        let refuse = |reason: String| {
            SecretError::new(format!("the command for secrets, `{shown}`, {reason}"))
        };
        let output = Command::new(argv)
            .directory(".")
            .timeout(self.deadline)
            .keep(LARGEST)
            .output()
            .map_err(|failure| match failure {
                Failure::Command(failure) => match failure.reason {
                    CommandEnd::Timeout(limit) => {
                        refuse(format!("gave no answer within {} s", limit.as_secs())).help(
                            "it gets no input: what it needs must be unlocked before fleet starts",
                        )
                    }
                    CommandEnd::Start(error) | CommandEnd::Io(error) => {
                        refuse(format!("cannot be run: {error}"))
                            .help("it is `command` under `secrets` in fleet.yml")
                    }
                    CommandEnd::Status => refuse("failed".to_owned()),
                },
                _ => refuse("cannot be run".to_owned()),
            })?;
        if output.rc != 0 {
            return Err(refuse(format!("ended with status {}", output.rc))
                .help("run it yourself to see why: what it printed may be secret, so it is not shown here"));
        }
        if output.truncated {
            return Err(refuse(format!("prints more than {} KiB", LARGEST >> 10)));
        }
        // What was no UTF-8 came as this character.
        if output.stdout.contains(char::REPLACEMENT_CHARACTER) {
            return Err(refuse("prints something other than UTF-8 text".to_owned()));
        }
        let value = Secret::new(output.stdout.strip_suffix('\n').unwrap_or(&output.stdout));
        if value.expose().is_empty() {
            return Err(refuse("prints nothing".to_owned()));
        }
        if !self.redactor.add(value.expose()) {
            return Err(
                refuse("prints a secret too short to be kept out of reports".to_owned()).help(
                    format!("make it {} characters or longer", Redactor::SHORTEST),
                ),
            );
        }
        Ok(value)
    }
}

/// A name is one word of the command: it must be no option, and show as what it is.
fn check_name(name: &str) -> Result<(), SecretError> {
    let reason = if name.is_empty() {
        "it is empty"
    } else if name.len() > LONGEST_NAME {
        "it is longer than 256 bytes"
    } else if name.starts_with('-') {
        "the command would take it for an option"
    } else if name.chars().any(char::is_control) {
        "it holds a control character"
    } else {
        return Ok(());
    };
    let name: String = name.chars().take(40).collect();
    Err(SecretError::new(format!(
        "{name:?} is no name for a secret: {reason}"
    )))
}

/// Whether a command can be asked for a name, as `fleet.yml` has it.
pub(super) fn check_command(command: &[String]) -> Result<(), &'static str> {
    match command {
        [] => Err("it names no program"),
        [program, ..] if program.is_empty() => Err("it names no program"),
        [program, ..] if program.contains(PLACEHOLDER) => Err("`{name}` cannot be the program"),
        [_, arguments @ ..] if !arguments.iter().any(|word| word.contains(PLACEHOLDER)) => {
            Err("none of its arguments has a place for `{name}`")
        }
        words if words.iter().any(|word| word.contains('\0')) => Err("it holds a NUL character"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A store that a line of shell plays; `$1` is the name.
    fn store(script: &str) -> Store {
        let command = ["sh", "-c", script, "store", PLACEHOLDER];
        Store::new(command.map(str::to_owned).into(), Redactor::default())
    }

    fn asked(store: &Store, name: &str) -> Result<String, String> {
        let value = store.ask(name);
        value
            .map(|value| value.expose().to_owned())
            .map_err(|error| error.message)
    }

    #[test]
    fn one_line_feed_at_the_end_belongs_to_the_command_and_all_else_to_the_secret() {
        for (printed, value) in [
            ("hunter2\\n", "hunter2"),
            ("hunter2", "hunter2"),
            ("hunter2\\n\\n", "hunter2\n"),
            (" a b \\n", " a b "),
            ("line one\\nline two\\n", "line one\nline two"),
        ] {
            let store = store(&format!("printf '{printed}'"));
            assert_eq!(asked(&store, "n").as_deref(), Ok(value), "{printed:?}");
        }
    }

    #[test]
    fn a_name_is_one_argument_whatever_is_in_it() {
        let name = "a b;$(id) 'q\" {name} *";
        assert_eq!(asked(&store("printf %s \"$1\""), name).as_deref(), Ok(name));
    }

    #[test]
    fn what_was_answered_is_redacted_and_not_asked_for_again() {
        let directory = tempfile::tempdir().unwrap();
        let count = directory.path().join("count");
        let store = store(&format!(
            "echo x >>{}; [ \"$1\" = bad ] && exit 4; echo v4lue-of-$1",
            count.display()
        ));
        for _ in 0..3 {
            assert_eq!(asked(&store, "dbs").as_deref(), Ok("v4lue-of-dbs"));
            assert!(asked(&store.clone(), "bad").is_err());
        }
        assert_eq!(fs::read_to_string(count).unwrap(), "x\nx\n");
        for text in ["v4lue-of-dbs", "djRsdWUtb2YtZGJz"] {
            assert_eq!(store.0.redactor.redact(text), "[redacted]");
        }
    }

    #[test]
    fn a_failure_says_what_failed_and_nothing_that_was_printed() {
        for (script, reason) in [
            (
                "echo s3cret; echo s3cret >&2; exit 7",
                "ended with status 7",
            ),
            ("kill -9 $$", "ended with status 137"),
            ("true", "prints nothing"),
            ("echo", "prints nothing"),
            (
                "echo abc",
                "prints a secret too short to be kept out of reports",
            ),
            (
                "printf 's3cret\\377'",
                "prints something other than UTF-8 text",
            ),
            ("yes s3cret | head -c 70000", "prints more than 64 KiB"),
        ] {
            let error = store(script).ask("n").unwrap_err();
            assert!(error.message.ends_with(reason), "{script}: {error}");
            assert!(
                error
                    .message
                    .starts_with("the command for secrets, `sh -c ")
            );
            let said = error.message.replace(script, "") + &error.help.unwrap_or_default();
            assert!(
                !said
                    .replace(&*shlex::try_quote(script).unwrap(), "")
                    .contains("s3cret")
            );
        }
    }

    #[test]
    fn a_command_that_hangs_is_ended() {
        let mut store = store("sleep 60");
        Arc::get_mut(&mut store.0).unwrap().deadline = Duration::from_millis(50);
        let error = asked(&store, "n").unwrap_err();
        assert!(error.ends_with("gave no answer within 0 s"), "{error}");
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let command = vec!["/no/such/program".to_owned(), PLACEHOLDER.to_owned()];
        let error = asked(&Store::new(command, Redactor::default()), "db").unwrap_err();
        assert_eq!(
            error,
            "the command for secrets, `/no/such/program db`, cannot be run: No such file or directory (os error 2)"
        );
    }

    #[test]
    fn names_that_are_options_or_cannot_be_shown_are_refused() {
        let store = store("echo never-run");
        for (name, reason) in [
            ("", "it is empty"),
            ("-f", "the command would take it for an option"),
            ("a\nb", "it holds a control character"),
            (&"n".repeat(257), "it is longer than 256 bytes"),
        ] {
            let error = asked(&store, name).unwrap_err();
            assert!(error.ends_with(reason), "{error}");
        }
    }

    #[test]
    fn a_command_needs_a_program_and_a_place_for_the_name() {
        for (command, valid) in [
            (&["pass", "show", "{name}"][..], true),
            (&["op", "read", "op://prod/{name}/password"], true),
            (&[], false),
            (&["", "{name}"], false),
            (&["pass"], false),
            (&["pass", "{nam}"], false),
            (&["{name}", "{name}"], false),
        ] {
            let words: Vec<_> = command.iter().map(|&word| word.to_owned()).collect();
            assert_eq!(check_command(&words).is_ok(), valid, "{command:?}");
        }
    }

    #[test]
    fn without_a_command_the_way_out_is_shown() {
        let error = Store::default().ask("db").unwrap_err();
        assert!(error.help.unwrap().contains("secrets: {command:"));
    }
}

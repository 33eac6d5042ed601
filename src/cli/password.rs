//! The password that `-K` asks for.

use std::io::{self, BufRead, stdin};

use super::settings::Answers;
use crate::error::{Error, ErrorKind};
use crate::secret::Secret;

/// Longer than any password, so that a wrong file on standard input is not read to its end.
const LONGEST: u64 = 4096;

/// Asks on the terminal. Where standard input is none, its first line is the password: that of
/// `fleet … -K < file`, of a pipe from a password store, or of a job in CI.
pub(super) fn ask(answers: Answers) -> Result<Secret, Error> {
    let password = match answers {
        Answers::Typed => typed(),
        Answers::Piped => first_line(stdin().lock()),
        Answers::Unseen => {
            return Err(Error::new(
                ErrorKind::Usage,
                "`-K` asks for a password on standard error, which is not the terminal",
            )
            .hint("leave standard error on the terminal, or give the password on standard input"));
        }
    };
    password.map(Secret::new).map_err(|error| {
        Error::new(
            ErrorKind::Usage,
            "`-K` wants the password of sudo, and it cannot be read",
        )
        .caused_by(error)
        .hint("without a terminal it is the first line of standard input")
    })
}

fn typed() -> io::Result<String> {
    let term = console::Term::stderr();
    term.write_str("BECOME password: ")?;
    term.read_secure_line()
}

fn first_line(input: impl BufRead) -> io::Result<String> {
    let wrong = |message| io::Error::new(io::ErrorKind::InvalidData, message);
    let mut line = Vec::new();
    input.take(LONGEST).read_until(b'\n', &mut line)?;
    if line.len() as u64 == LONGEST {
        return Err(wrong("the first line of standard input is too long"));
    }
    if line.pop_if(|last| *last == b'\n').is_some() {
        line.pop_if(|last| *last == b'\r');
    }
    if line.is_empty() {
        return Err(wrong("standard input has no first line"));
    }
    String::from_utf8(line).map_err(|_| wrong("the first line of standard input is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_the_password_as_it_is() {
        for (input, password) in [
            ("secret\n", "secret"),
            ("secret", "secret"),
            ("secret\r\nnot this\n", "secret"),
            (" with blanks \n", " with blanks "),
        ] {
            assert_eq!(first_line(input.as_bytes()).unwrap(), password, "{input:?}");
        }
    }

    #[test]
    fn what_is_no_password_is_refused() {
        let long = vec![b'x'; 1 << 20];
        for (input, why) in [
            (&b""[..], "no first line"),
            (b"\nsecret\n", "no first line"),
            (b"\xff\n", "not UTF-8"),
            (&long, "too long"),
        ] {
            let error = first_line(input).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}

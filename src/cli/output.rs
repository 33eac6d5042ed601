//! The way to stdout, and the one way errors take to stderr.

use std::error::Error as _;
use std::fmt::Write as _;
use std::io::{self, ErrorKind as IoErrorKind, Write};

use crate::diagnostic;
use crate::error::{Error, ErrorKind};
use crate::harmless;
use crate::report::{ExitCode, lines};
use crate::secret::Redactor;

/// Standard output. A reader that went away (`fleet check | head`) is no error: what is written
/// from then on goes nowhere, and the exit code still tells what was found.
#[derive(Debug)]
pub(super) struct Output<W> {
    out: W,
    reader_is_gone: bool,
    /// Knows what must not be written.
    redactor: Redactor,
}

impl Output<io::Stdout> {
    /// This process's stdout.
    pub(super) fn stdout(redactor: Redactor) -> Self {
        Self::new(io::stdout(), redactor)
    }
}

impl<W: Write> Output<W> {
    /// Leaves out the secrets that `redactor` knows or comes to know.
    pub(super) const fn new(out: W, redactor: Redactor) -> Self {
        Self {
            out,
            reader_is_gone: false,
            redactor,
        }
    }

    /// Writes all of `text` but its secrets, now.
    ///
    /// # Errors
    /// When it cannot be written for another reason than that nobody reads: a full disk.
    pub(super) fn write(&mut self, text: &str) -> Result<(), Error> {
        if self.reader_is_gone {
            return Ok(());
        }
        match self
            .out
            .write_all(harmless::written(&self.redactor.redact(text)).as_bytes())
            .and_then(|()| self.out.flush())
        {
            Err(error) if error.kind() == IoErrorKind::BrokenPipe => {
                self.reader_is_gone = true;
                Ok(())
            }
            Err(error) => Err(
                Error::new(ErrorKind::Internal, "cannot write to standard output").caused_by(error),
            ),
            Ok(()) => Ok(()),
        }
    }
}

/// Writes to stderr. If it is closed, nobody wants to know.
pub(super) fn say(text: &str) {
    let _ = io::stderr().write_all(harmless::written(text).as_bytes());
}

/// Says an error on stderr, and with what the process is to exit.
pub(super) fn report(error: &Error, color: bool, redactor: &Redactor) -> ExitCode {
    let text = render(error, color);
    // With stderr gone there is nobody left to tell; the exit code remains.
    say(&redactor.redact(&text));
    match error.kind {
        ErrorKind::Usage | ErrorKind::Config | ErrorKind::Internal => ExitCode::Usage,
        ErrorKind::Locked => ExitCode::Locked,
        ErrorKind::Interrupted => ExitCode::Interrupted,
    }
}

/// `error: …`, `  caused by: …`, `hint: …`, after the diagnostics.
fn render(error: &Error, color: bool) -> String {
    let red = console::Style::new().red().force_styling(color).bold();
    told(error, &red.apply_to("error: ").to_string(), color)
}

/// The same for something that does not keep a command from its work.
pub(super) fn warning(error: &Error, color: bool) -> String {
    let yellow = console::Style::new().yellow().force_styling(color).bold();
    told(error, &yellow.apply_to("warning: ").to_string(), color)
}

fn told(error: &Error, lead: &str, color: bool) -> String {
    let style = |style: console::Style| style.force_styling(color).bold();
    let cyan = style(console::Style::new().cyan());
    let mut out = diagnostic::render(&error.diagnostics, color);
    if !out.is_empty() {
        out.push('\n');
    }
    let mut say = |prefix: String, indent: &str, text: &str| {
        for (n, line) in lines(text).enumerate() {
            let lead = if n == 0 { prefix.as_str() } else { indent };
            writeln!(out, "{lead}{line}").expect("a String takes everything");
        }
    };
    say(lead.to_owned(), "  ", &error.message);
    let mut cause = error.source();
    while let Some(source) = cause {
        say("  caused by: ".to_owned(), "    ", &source.to_string());
        cause = source.source();
    }
    for hint in &error.hints {
        say(cyan.apply_to("hint: ").to_string(), "  ", hint);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Diagnostic;

    #[test]
    fn an_error_says_what_why_and_the_way_out() {
        let cause = io::Error::new(IoErrorKind::NotFound, "no such file\x1b[2J");
        let error = Error::new(ErrorKind::Config, "cannot read `site.yml`")
            .caused_by(cause)
            .hint("run `fleet init`\nto make one");
        insta::assert_snapshot!(render(&error, false), @r"
        error: cannot read `site.yml`
          caused by: no such file\x1b[2J
        hint: run `fleet init`
          to make one
        ");
    }

    #[test]
    fn diagnostics_come_before_the_sentence_that_counts_them() {
        let error = Error::config(vec![Diagnostic::error("unknown key `ownr`")]);
        insta::assert_snapshot!(render(&error, false), @"
        error: unknown key `ownr`

        error: 1 error in the configuration; no host was contacted
        ");
    }

    #[test]
    fn colour_adds_nothing_but_colour() {
        let error = Error::new(ErrorKind::Usage, "no").hint("yes");
        assert_ne!(render(&error, true), render(&error, false));
        assert_eq!(
            console::strip_ansi_codes(&render(&error, true)),
            render(&error, false)
        );
    }

    /// Fails as asked, after `room` bytes.
    struct Sink {
        room: usize,
        then: IoErrorKind,
        writes: usize,
    }

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.writes += 1;
            match self.room.min(bytes.len()) {
                0 => Err(self.then.into()),
                taken => {
                    self.room -= taken;
                    Ok(taken)
                }
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_went_away_ends_the_writing_and_nothing_else() {
        let mut output = Output::new(
            Sink {
                room: 3,
                then: IoErrorKind::BrokenPipe,
                writes: 0,
            },
            Redactor::default(),
        );
        output.write("report").unwrap();
        let writes = output.out.writes;
        output.write("more").unwrap();
        assert_eq!(output.out.writes, writes);
    }

    #[test]
    fn a_report_that_cannot_be_written_is_an_error() {
        let mut output = Output::new(
            Sink {
                room: 0,
                then: IoErrorKind::StorageFull,
                writes: 0,
            },
            Redactor::default(),
        );
        let error = output.write("report").unwrap_err();
        assert_eq!(error.kind, ErrorKind::Internal);
        assert!(error.source().is_some());
    }
}

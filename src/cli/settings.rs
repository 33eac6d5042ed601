//! What the flags and the surroundings come to: everything decided, once, before work begins.

use std::io::IsTerminal;

use super::options::{ColorChoice, Global};
use crate::report::Verbosity;

/// What is around the process, as far as it decides anything.
#[derive(Clone, Copy, Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "observations that do not depend on each other"
)]
pub(super) struct Surroundings {
    pub stdin_is_terminal: bool,
    pub stdout_is_terminal: bool,
    pub stderr_is_terminal: bool,
    /// `NO_COLOR` is set and not empty, see <https://no-color.org>.
    pub no_color: bool,
    /// `TERM` is `dumb` or nobody said what it is: neither colours nor moving about.
    pub dumb: bool,
}

impl Surroundings {
    /// Looks around.
    pub(super) fn of_process() -> Self {
        Self {
            stdin_is_terminal: std::io::stdin().is_terminal(),
            stdout_is_terminal: std::io::stdout().is_terminal(),
            stderr_is_terminal: std::io::stderr().is_terminal(),
            no_color: std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()),
            dumb: std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb"),
        }
    }
}

/// How this process talks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    /// Where answers to questions come from.
    pub answers: Answers,
    /// Colours in the report.
    pub color: bool,
    /// Colours in errors and questions.
    pub stderr_color: bool,
    pub progress: ProgressStyle,
    pub verbosity: Verbosity,
}

/// Where answers to questions come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answers {
    /// Somebody sees the question and can type.
    Typed,
    /// Somebody could type, but questions go to stderr, which is redirected: nobody sees them.
    Unseen,
    /// Standard input is a pipe, a file, or nothing.
    Piped,
}

/// Which kind of progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProgressStyle {
    /// Lines that move.
    Live,
    /// Lines that stay.
    Plain,
    None,
}

impl Settings {
    /// Decides.
    pub(super) fn resolve(global: &Global, around: Surroundings) -> Self {
        let color = |terminal: bool| match global.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => terminal && !around.no_color && !around.dumb,
        };
        let verbosity = match (global.quiet, global.verbose) {
            (true, _) => Verbosity::Quiet,
            (false, 0) => Verbosity::Normal,
            (false, _) => Verbosity::Verbose,
        };
        let progress = if verbosity == Verbosity::Quiet {
            ProgressStyle::None
        } else if around.stderr_is_terminal && !around.dumb {
            ProgressStyle::Live
        } else {
            ProgressStyle::Plain
        };
        Self {
            answers: match (around.stdin_is_terminal, around.stderr_is_terminal) {
                (true, true) => Answers::Typed,
                (true, false) => Answers::Unseen,
                (false, _) => Answers::Piped,
            },
            color: color(around.stdout_is_terminal),
            stderr_color: color(around.stderr_is_terminal),
            progress,
            verbosity,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMINAL: Surroundings = Surroundings {
        stdin_is_terminal: true,
        stdout_is_terminal: true,
        stderr_is_terminal: true,
        no_color: false,
        dumb: false,
    };

    #[test]
    fn colour_needs_a_terminal_that_wants_it_or_an_explicit_word() {
        use ColorChoice::{Always, Auto, Never};
        let pipe = Surroundings {
            stdout_is_terminal: false,
            ..TERMINAL
        };
        let no_color = Surroundings {
            no_color: true,
            ..TERMINAL
        };
        let dumb = Surroundings {
            dumb: true,
            ..TERMINAL
        };
        for (choice, around, expected) in [
            (Auto, TERMINAL, true),
            (Auto, pipe, false),
            (Auto, no_color, false),
            (Auto, dumb, false),
            (Always, pipe, true),
            (Always, no_color, true),
            (Never, TERMINAL, false),
        ] {
            let global = Global {
                color: choice,
                ..Global::default()
            };
            let settings = Settings::resolve(&global, around);
            assert_eq!(settings.color, expected, "{choice:?} {around:?}");
        }
    }

    #[test]
    fn progress_moves_only_where_it_can() {
        let log = Surroundings {
            stderr_is_terminal: false,
            ..TERMINAL
        };
        let dumb = Surroundings {
            dumb: true,
            ..TERMINAL
        };
        for (quiet, around, expected) in [
            (false, TERMINAL, ProgressStyle::Live),
            (false, log, ProgressStyle::Plain),
            (false, dumb, ProgressStyle::Plain),
            (true, TERMINAL, ProgressStyle::None),
        ] {
            let global = Global {
                quiet,
                ..Global::default()
            };
            assert_eq!(
                Settings::resolve(&global, around).progress,
                expected,
                "{around:?}"
            );
        }
    }

    #[test]
    fn nobody_is_asked_who_cannot_see_or_answer() {
        let no_stdin = Surroundings {
            stdin_is_terminal: false,
            ..TERMINAL
        };
        let no_stderr = Surroundings {
            stderr_is_terminal: false,
            ..TERMINAL
        };
        for (around, expected) in [
            (TERMINAL, Answers::Typed),
            (no_stdin, Answers::Piped),
            (no_stderr, Answers::Unseen),
        ] {
            assert_eq!(
                Settings::resolve(&Global::default(), around).answers,
                expected
            );
        }
    }
}

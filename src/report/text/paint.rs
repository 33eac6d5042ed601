//! Colour, or none.

use console::Style;

/// Paints text if colour is wanted. Decided once per process, never by looking at a terminal
/// here: the report may be rendered before it is known where it goes.
#[derive(Clone, Copy, Debug)]
pub(in crate::report) struct Paint {
    color: bool,
}

impl Paint {
    pub(in crate::report) const fn new(color: bool) -> Self {
        Self { color }
    }

    fn apply(self, style: Style, text: &str) -> String {
        style.force_styling(self.color).apply_to(text).to_string()
    }

    pub(in crate::report) fn bold(self, text: &str) -> String {
        self.apply(Style::new().bold(), text)
    }

    pub(in crate::report) fn cyan(self, text: &str) -> String {
        self.apply(Style::new().cyan(), text)
    }

    pub(in crate::report) fn dim(self, text: &str) -> String {
        self.apply(Style::new().dim(), text)
    }

    pub(in crate::report) fn green(self, text: &str) -> String {
        self.apply(Style::new().green(), text)
    }

    pub(in crate::report) fn magenta(self, text: &str) -> String {
        self.apply(Style::new().magenta(), text)
    }

    pub(in crate::report) fn red(self, text: &str) -> String {
        self.apply(Style::new().red(), text)
    }

    pub(in crate::report) fn yellow(self, text: &str) -> String {
        self.apply(Style::new().yellow(), text)
    }
}

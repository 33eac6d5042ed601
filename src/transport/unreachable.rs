//! Why a host could not be worked with, in words for people.

use std::fmt;

use crate::harmless::printable;

/// A host that fleet could not start its helper on. Nothing was changed there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreachable {
    /// What stood in the way.
    pub class: Class,
    /// What happened, in one sentence without a period.
    pub message: String,
    /// What the user can do, when there is something typical.
    pub hint: Option<String>,
    /// The last lines of what `ssh`, `sudo` or the host's shell said, made harmless to show.
    pub detail: Vec<String>,
}

/// What stood in the way of working with a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// The name has no address.
    Dns,
    /// Something answered and did not want the connection.
    Refused,
    /// Nothing answered in time.
    Timeout,
    /// The host's key is unknown, changed or revoked.
    HostKey,
    /// The host does not let this user in.
    Authentication,
    /// The user may not become the one asked for.
    Sudo,
    /// The helper could not be brought to the host or started there.
    Helper,
    /// Anything else; the message says what.
    Other,
}

impl Unreachable {
    /// How many lines of other programs' words are kept.
    const DETAIL: usize = 8;

    /// A reason without a hint.
    pub fn new(class: Class, message: impl Into<String>) -> Self {
        Self {
            class,
            message: message.into(),
            hint: None,
            detail: Vec::new(),
        }
    }

    /// Adds what the user can do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Keeps the last lines of what another program said, harmless to show.
    #[must_use]
    pub fn said(mut self, text: &str) -> Self {
        let lines: Vec<_> = text
            .lines()
            .map(printable)
            .filter(|line| !line.is_empty())
            .collect();
        self.detail = lines[lines.len().saturating_sub(Self::DETAIL)..].to_vec();
        self
    }
}

impl std::error::Error for Unreachable {}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dns => "dns",
            Self::Refused => "refused",
            Self::Timeout => "timeout",
            Self::HostKey => "host_key",
            Self::Authentication => "authentication",
            Self::Sudo => "sudo",
            Self::Helper => "helper",
            Self::Other => "other",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_lines_of_a_long_story_are_kept() {
        let lines: Vec<_> = (0..100).map(|line| format!("line {line}\r\n\n")).collect();
        let story = lines.concat();
        let reason = Unreachable::new(Class::Other, "x").said(&story);
        assert_eq!(reason.detail.len(), 8);
        assert_eq!(reason.detail.last().unwrap(), "line 99");
    }

    #[test]
    fn a_class_reads_the_same_in_text_and_json() {
        for class in [
            Class::Dns,
            Class::HostKey,
            Class::Authentication,
            Class::Other,
        ] {
            assert_eq!(
                serde_json::to_string(&class).unwrap(),
                format!("\"{class}\"")
            );
        }
    }
}

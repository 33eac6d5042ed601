//! The report for people: findings grouped over hosts, a recap in Ansible's words, one summary
//! line. Nothing in it needs colour or a certain width.

use std::fmt::Write;

use super::{HostStatus, RunReport};

mod findings;
mod paint;
mod recap;
mod summary;

pub(super) use paint::Paint;

/// How to render.
#[derive(Clone, Copy, Debug, Default)]
pub struct TextOptions {
    /// Use ANSI colours.
    pub color: bool,
    /// How much to say.
    pub verbosity: Verbosity,
    /// Show the unified diffs that were made.
    pub diff: bool,
}

/// How much to say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Nothing when all is as declared, else findings and the summary.
    Quiet,
    /// Findings, recap, summary.
    #[default]
    Normal,
    /// Also what is in sync, what was skipped, and what commands printed.
    Verbose,
}

/// The report as text; empty if there is nothing to say.
#[must_use]
pub fn render(report: &RunReport, options: TextOptions) -> String {
    let paint = Paint::new(options.color);
    let mut out = findings::render(report, options, paint);
    if options.verbosity > Verbosity::Quiet {
        recap::render(&mut out, report, paint);
    }
    let in_sync = report
        .hosts
        .iter()
        .all(|host| host.status() == HostStatus::InSync);
    if options.verbosity > Verbosity::Quiet || !in_sync || report.interrupted {
        if !out.is_empty() {
            out.push('\n');
        }
        writeln!(out, "{}", summary::line(report)).expect("a String takes everything");
    }
    out
}

/// `1 host`, `2 hosts`.
fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests;

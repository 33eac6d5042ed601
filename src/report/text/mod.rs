//! The report for people: findings grouped over hosts, a recap in Ansible's words, one summary
//! line. Nothing in it needs colour or a certain width.

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
    let mut blocks = vec![findings::render(report, options, paint)];
    if options.verbosity > Verbosity::Quiet {
        blocks.push(recap::render(report, paint));
    }
    let in_sync = report
        .hosts
        .iter()
        .all(|host| host.status() == HostStatus::InSync);
    if options.verbosity > Verbosity::Quiet || !in_sync || report.interrupted {
        blocks.push(vec![summary::line(report)]);
    }
    let blocks = blocks.into_iter().filter(|lines| !lines.is_empty());
    let blocks: Vec<_> = blocks.map(|lines| lines.join("\n") + "\n").collect();
    blocks.join("\n")
}

/// `1 host`, `2 hosts`.
fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests;

//! The report for people: findings grouped over hosts, a recap in Ansible's words, one summary
//! line. Nothing in it needs colour or a certain width.

use super::cut_short::HowFar;
use super::{Batches, Command, HostStatus, RunReport, WaiverIssue, WaiverRemark};
use crate::harmless::single_line;

mod cpu;
mod findings;
mod paint;
mod recap;
mod summary;

pub(super) use findings::names;
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
    /// Also what is in sync, what was skipped, what commands printed, and what the run cost hosts.
    Verbose,
}

/// The report as text; empty if there is nothing to say.
#[must_use]
pub fn render(report: &RunReport, options: TextOptions) -> String {
    let paint = Paint::new(options.color);
    let mut blocks = vec![findings::render(report, options, paint)];
    let in_sync = report
        .hosts
        .iter()
        .all(|host| host.status() == HostStatus::InSync);
    // To somebody who wants only bad news, an expired waiver says why there is drift again.
    blocks.push(remarks(report, |issue| {
        let bad = issue == WaiverIssue::Expired && !in_sync;
        options.verbosity > Verbosity::Quiet || bad
    }));
    if options.verbosity > Verbosity::Quiet {
        blocks.push(recap::render(report, paint));
    }
    if options.verbosity == Verbosity::Verbose {
        blocks.push(cpu::render(report));
    }
    if options.verbosity > Verbosity::Quiet {
        let words = report.batches.iter().filter_map(Batches::words);
        blocks.push(
            words
                .map(|words| single_line(&words).into_owned())
                .collect(),
        );
    }
    blocks.push(how_far(report, options));
    if options.verbosity > Verbosity::Quiet || !in_sync || report.cut_short.is_some() {
        blocks.push(vec![summary::line(report)]);
    }
    let blocks = blocks.into_iter().filter(|lines| !lines.is_empty());
    let blocks: Vec<_> = blocks.map(|lines| lines.join("\n") + "\n").collect();
    blocks.join("\n")
}

/// What stopped the run, which hosts are done, and how to go on.
fn how_far(report: &RunReport, options: TextOptions) -> Vec<String> {
    let Some(cut) = report.cut_short.as_ref() else {
        return Vec::new();
    };
    let HowFar {
        done,
        failed,
        interrupted,
        untouched,
    } = HowFar::of(report);
    if interrupted.is_empty() && untouched.is_empty() {
        return Vec::new();
    }
    let words = cut.words(report.hosts.len());
    let mut lines = vec![format!("Stopped: {}", single_line(&words))];
    let mut lists = vec![("done", done), ("failed", failed)];
    if !interrupted.is_empty() {
        lists.push(("interrupted", interrupted));
    }
    lists.push(("untouched", untouched));
    for (word, hosts) in lists {
        let hosts = match &hosts[..] {
            [] => "-".to_owned(),
            hosts => names(hosts, options.verbosity),
        };
        lines.push(format!("  {word:<11} {hosts}"));
    }
    if report.command == Command::Apply {
        let id = &report.run_id;
        lines.push(format!(
            "`fleet runs show {id}` lists them; `fleet apply --resume {id}` goes on, and with \
             `--rerun failed` takes those that failed again"
        ));
    }
    lines
}

/// Waivers that somebody should look at.
fn remarks(report: &RunReport, wanted: impl Fn(WaiverIssue) -> bool) -> Vec<String> {
    let line = |remark: &WaiverRemark| {
        format!(
            "waiver {} for {} of {}: {}",
            remark.waiver.place,
            single_line(&remark.subject),
            single_line(&remark.waiver.owner),
            remark.issue.words()
        )
    };
    let wanted = report.waivers.iter().filter(|remark| wanted(remark.issue));
    wanted.map(line).collect()
}

/// The one line that stands for the whole run.
pub(super) fn summary(report: &RunReport) -> String {
    summary::line(report)
}

/// `1 host`, `2 hosts`.
pub(in crate::report) fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests;

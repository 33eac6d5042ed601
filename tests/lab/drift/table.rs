//! The table: every drift with what came of it.

use std::fmt::Write as _;

use super::case::{Drift, Repair};

/// What came of one drift.
pub(super) struct Row<'d> {
    pub(super) drift: &'d Drift,
    /// What the check after it should have found.
    pub(super) missed: Vec<String>,
    /// What is still found after the repair.
    pub(super) left: Vec<String>,
}

impl Row<'_> {
    /// Found as it was planted, and gone after the repair.
    pub(super) fn is_right(&self) -> bool {
        self.is_found() && self.left.is_empty()
    }

    fn is_found(&self) -> bool {
        self.missed.is_empty()
    }

    fn repaired(&self) -> &'static str {
        match (self.left.is_empty(), self.drift.repair) {
            (false, _) => "NO",
            (true, Repair::Apply) => "yes",
            (true, Repair::Prune) => "--prune",
            (true, Repair::ByHand) => "by hand",
        }
    }
}

/// All of it, for people.
pub(super) fn table(title: &str, rows: &[Row<'_>]) -> String {
    let width = |row: &Row<'_>| row.drift.name.chars().count();
    let widest = rows.iter().map(width).max().unwrap_or_default();
    let found = rows.iter().filter(|row| row.is_found()).count();
    let of = |repair| {
        let repaired = rows
            .iter()
            .filter(|row| row.left.is_empty() && row.drift.repair == repair);
        repaired.count()
    };
    let mut text = format!(
        "{title}: {} planted, {found} found as planted; {} repaired, {} pruned, {} left to people\n\
         {:>3}  {:<5}  {:<8}  {:<widest$}  {}\n",
        rows.len(),
        of(Repair::Apply),
        of(Repair::Prune),
        of(Repair::ByHand),
        "#",
        "found",
        "repaired",
        "drift",
        "expected ← actual"
    );
    for (number, row) in rows.iter().enumerate() {
        let mut findings = row.drift.finds.iter();
        let _ = writeln!(
            text,
            "{:>3}  {:<5}  {:<8}  {:<widest$}  {}",
            number + 1,
            if row.is_found() { "yes" } else { "NO" },
            row.repaired(),
            row.drift.name,
            findings.next().unwrap()
        );
        for finding in findings {
            let _ = writeln!(text, "{:indent$}{finding}", "", indent = widest + 24);
        }
        let wrong = [("not found", &row.missed), ("still found", &row.left)];
        for (what, findings) in wrong {
            for finding in findings {
                let _ = writeln!(text, "       !! {what}: {finding}");
            }
        }
    }
    text
}

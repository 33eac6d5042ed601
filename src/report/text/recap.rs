//! `PLAY RECAP`: one line per host that was begun and is not plainly ok, as Ansible prints it, because people
//! and scripts know how to read it.

use super::Paint;
use crate::report::{HostReport, HostStatus, RunReport};

/// The lines of the recap; none if no host belongs in it.
pub(super) fn render(report: &RunReport, paint: Paint) -> Vec<String> {
    let not_ok = report
        .hosts
        .iter()
        .filter(|host| !matches!(host.status(), HostStatus::InSync | HostStatus::Untouched));
    let mut lines: Vec<_> = not_ok.map(|host| line(host, paint)).collect();
    if !lines.is_empty() {
        lines.insert(0, format!("PLAY RECAP {}", "*".repeat(69)));
    }
    lines
}

fn line(host: &HostReport, paint: Paint) -> String {
    let counts = &host.counts;
    let status = host.status();
    let name = format!("{:<26}", host.host);
    let name = match status {
        HostStatus::InSync | HostStatus::Untouched => paint.green(&name),
        HostStatus::Drifted | HostStatus::Changed => paint.yellow(&name),
        HostStatus::Unknown => paint.magenta(&name),
        HostStatus::Failed | HostStatus::Unreachable => paint.red(&name),
    };
    let fields = [
        // Ansible counts what changed, and a failure it ignored, as ok too.
        ("ok", counts.ok + counts.changed + counts.ignored),
        ("changed", counts.changed),
        (
            "unreachable",
            usize::from(status == HostStatus::Unreachable),
        ),
        // A host that was stopped failed, although no task of it did.
        (
            "failed",
            counts.failed.max(usize::from(status == HostStatus::Failed)),
        ),
        ("skipped", counts.skipped),
        // There are no blocks yet, so nothing is rescued; scripts expect the word.
        ("rescued", 0),
        ("ignored", counts.ignored),
        ("drift", counts.drift),
        ("waived", counts.waived),
        ("unknown", counts.unknown),
    ];
    // `unknown` is ours and rare: without it the line is the one scripts know.
    let shown = fields
        .iter()
        .filter(|(word, count)| *word != "unknown" || *count > 0);
    let text: Vec<_> = shown
        .map(|(word, count)| format!("{word}={count:<4}"))
        .collect();
    format!("{name} : {}", text.join(" ").trim_end())
}

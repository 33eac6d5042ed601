//! `PLAY RECAP`: one line per host that is not plainly ok, as Ansible prints it, because people
//! and scripts know how to read it.

use std::fmt::Write;

use super::Paint;
use crate::report::{HostReport, HostStatus, RunReport};

/// Adds the recap, if any host belongs in it.
pub(super) fn render(out: &mut String, report: &RunReport, paint: Paint) {
    let mut hosts = report
        .hosts
        .iter()
        .filter(|host| host.status() != HostStatus::InSync)
        .peekable();
    if hosts.peek().is_none() {
        return;
    }
    let stars = "*".repeat(69);
    let gap = if out.is_empty() { "" } else { "\n" };
    writeln!(out, "{gap}PLAY RECAP {stars}").expect("a String takes everything");
    for host in hosts {
        writeln!(out, "{}", line(host, paint)).expect("a String takes everything");
    }
}

fn line(host: &HostReport, paint: Paint) -> String {
    let counts = &host.counts;
    let status = host.status();
    let name = format!("{:<26}", host.host);
    let name = match status {
        HostStatus::InSync => paint.green(&name),
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
    let mut text = format!("{name} :");
    for (word, count) in fields {
        // `unknown` is ours and rare: without it the line is the one scripts know.
        if word != "unknown" || count > 0 {
            write!(text, " {word}={count:<4}").expect("a String takes everything");
        }
    }
    text.truncate(text.trim_end().len());
    text
}

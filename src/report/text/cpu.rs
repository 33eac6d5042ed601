//! What a run cost the hosts.

use std::time::Duration;

use super::counted;
use crate::harmless::single_line;
use crate::report::RunReport;

/// One line, whatever the number of hosts; none if no helper came to its end.
pub(super) fn render(report: &RunReport) -> Vec<String> {
    let used = report
        .hosts
        .iter()
        .filter_map(|host| Some((host.cpu?, host)));
    let used: Vec<_> = used.collect();
    let Some((most, host)) = used.iter().max_by_key(|(cpu, _)| *cpu) else {
        return Vec::new();
    };
    // A host may say anything.
    let all = used
        .iter()
        .fold(Duration::ZERO, |sum, (cpu, _)| sum.saturating_add(*cpu));
    vec![format!(
        "CPU time of helpers: {:.2} s on {}, the most {:.2} s on {}",
        all.as_secs_f64(),
        counted(used.len(), "host"),
        most.as_secs_f64(),
        single_line(&host.host),
    )]
}

//! How much of what hosts say is kept for the report. What is over is counted, and its words are
//! left out: whatever one host says, there is a report, and the others are in it.

use std::cell::Cell;

use crate::report::ResourceReport;

/// How many bytes are kept of one host.
const OF_HOST: usize = 32 * 1024 * 1024;

/// How many bytes are kept of all hosts of a run.
const OF_RUN: usize = 768 * 1024 * 1024;

/// What is left for all hosts. All of them are driven by one thread.
#[derive(Debug)]
pub(super) struct RunRoom(Cell<usize>);

impl Default for RunRoom {
    fn default() -> Self {
        Self(Cell::new(OF_RUN))
    }
}

/// What is left for one host.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room(usize);

impl Default for Room {
    fn default() -> Self {
        Self(OF_HOST)
    }
}

impl Room {
    /// Takes what a report needs, or leaves its words out.
    pub(super) fn take(&mut self, report: &mut ResourceReport, of_run: &RunRoom) {
        let size = report.size();
        let (host, run) = (self.0.checked_sub(size), of_run.0.get().checked_sub(size));
        if let (Some(host), Some(run)) = (host, run) {
            self.0 = host;
            of_run.0.set(run);
            return;
        }
        let who = if host.is_none() {
            format!("its host has said more than {} MiB", OF_HOST >> 20)
        } else {
            format!(
                "all hosts together have said more than {} MiB",
                OF_RUN >> 20
            )
        };
        let what = match report.drift.len() {
            0 => "what it said is not kept".to_owned(),
            1 => "1 difference is not kept".to_owned(),
            more => format!("{more} differences are not kept"),
        };
        report.drift = Vec::new();
        report.output = None;
        report.message = Some(format!("{what}: {who}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Drift, Severity, Status};
    use crate::report::Difference;

    fn report(bytes: usize) -> ResourceReport {
        let drift = Drift::update("content", "x".repeat(bytes), "");
        ResourceReport {
            status: Status::Drift,
            drift: vec![Difference::new(drift, Severity::Medium)],
            ..ResourceReport::default()
        }
    }

    #[test]
    fn what_is_over_for_a_host_is_counted_and_said() {
        let (mut room, of_run) = (Room::default(), RunRoom::default());
        let mut reports: Vec<_> = (0..40).map(|_| report(1024 * 1024)).collect();
        for report in &mut reports {
            room.take(report, &of_run);
        }
        let kept = reports.iter().filter(|report| !report.drift.is_empty());
        assert_eq!(kept.count(), 31);
        let over = reports.last().unwrap();
        let said = "1 difference is not kept: its host has said more than 32 MiB";
        assert_eq!(over.message.as_deref(), Some(said));
        assert_eq!(over.status, Status::Drift, "it counts all the same");
    }

    #[test]
    fn many_hosts_leave_room_for_small_findings_of_their_own_only_while_there_is_some() {
        let of_run = RunRoom(Cell::new(1024 * 1024));
        for host in 0..4 {
            let (mut room, mut report) = (Room::default(), report(400 * 1024));
            room.take(&mut report, &of_run);
            assert_eq!(report.drift.is_empty(), host >= 2, "{host}");
        }
    }
}

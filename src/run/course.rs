//! How far a run has come: what is known of each host, how many failed, and whether another may
//! be begun. Whatever is begun is in the journal first.

use std::collections::{BTreeMap, HashSet};

use crate::journal::{Journal, JournalError, Outcome};
use crate::protocol::Declared;
use crate::report::{Command, CutShort, ErrorClass, HostError, HostReport, HostStatus, Progress};

use super::HostSoFar;
use super::conversation::Patience;
use super::host::Paused;
use super::room::Room;
use super::stage::{Limits, Stage};

/// How far a run has come.
pub(super) struct Course<'c> {
    command: Command,
    /// What each host has for the whole run.
    patience: Patience,
    /// How many hosts the failure budget is a part of.
    selected: usize,
    failed: usize,
    reports: BTreeMap<String, HostSoFar>,
    /// How many conversations each host is still to have.
    to_come: BTreeMap<&'c str, usize>,
    begun: HashSet<&'c str>,
    over: HashSet<String>,
    cut_short: Option<CutShort>,
    journal: Option<&'c mut Journal>,
    progress: &'c dyn Progress,
    tell: &'c mut dyn FnMut(&HostReport),
}

impl<'c> Course<'c> {
    pub(super) fn new(
        command: Command,
        patience: Patience,
        selected: usize,
        stages: &'c [Stage<'_>],
        journal: Option<&'c mut Journal>,
        progress: &'c dyn Progress,
        tell: &'c mut dyn FnMut(&HostReport),
    ) -> Self {
        let mut to_come = BTreeMap::new();
        for assignment in stages.iter().flat_map(|stage| &stage.assignments) {
            *to_come.entry(assignment.names.name().as_str()).or_default() += 1;
        }
        Self {
            command,
            patience,
            selected,
            failed: 0,
            reports: BTreeMap::new(),
            to_come,
            begun: HashSet::new(),
            over: HashSet::new(),
            cut_short: None,
            journal,
            progress,
            tell,
        }
    }

    /// Whether anything more may be begun.
    pub(super) const fn goes_on(&self) -> bool {
        self.cut_short.is_none()
    }

    /// Whether the host may be begun: one that failed in an earlier play takes no part in later ones.
    pub(super) fn may_begin(&self, host: &str) -> bool {
        !self.over.contains(host)
    }

    /// Puts into the journal that these hosts are begun. If that cannot be, the run is cut short.
    pub(super) fn begin(&mut self, hosts: &[&'c str]) -> bool {
        let new: Vec<_> = hosts
            .iter()
            .copied()
            .filter(|host| !self.begun.contains(host))
            .collect();
        let journal = self.journal.as_mut().filter(|_| !new.is_empty());
        if let Some(Err(error)) = journal.map(|journal| journal.begin(&new)) {
            self.stop(CutShort::NotJournaled {
                reason: in_words(&error),
            });
            return false;
        }
        self.begun.extend(new);
        true
    }

    /// What is known of a host, to add to it.
    pub(super) fn take(&mut self, host: &str) -> HostSoFar {
        self.reports.remove(host).unwrap_or_else(|| HostSoFar {
            report: HostReport::new(host),
            declared: Declared::default(),
            paused: Paused::default(),
            patience: self.patience,
            room: Room::default(),
        })
    }

    /// A conversation with a host is over.
    pub(super) fn conversed(&mut self, so_far: HostSoFar, limits: Limits) {
        let report = &so_far.report;
        let mut left = 0;
        if let Some(to_come) = self.to_come.get_mut(&*report.host) {
            *to_come -= 1;
            left = *to_come;
        }
        let stays_behind = matches!(
            report.status(),
            HostStatus::Failed | HostStatus::Unreachable | HostStatus::Untouched
        );
        if left == 0 || stays_behind {
            self.over.insert(report.host.clone());
            self.progress.host_finished(&report.host, report.status());
            let outcome = self.outcome(report);
            if let Some(journal) = &mut self.journal {
                journal.end(&report.host, outcome);
            }
            (self.tell)(report);
            if report.has_failed(self.command) {
                self.failed += 1;
                self.weigh(&report.host, limits);
            }
        }
        self.reports.insert(so_far.report.host.clone(), so_far);
    }

    /// Lets others read what came of hosts. What cannot be written now is with the next begin.
    pub(super) fn write(&mut self) {
        if let Some(journal) = &mut self.journal {
            let _ = journal.write();
        }
    }

    /// Stops the run if too much has failed.
    fn weigh(&mut self, host: &str, limits: Limits) {
        if !self.goes_on() {
            return;
        }
        if limits.any_errors_fatal {
            let host = host.to_owned();
            self.stop(CutShort::AnyError { host });
        } else if let Some(limit) = limits.max_fail
            && limit.is_reached(self.failed, self.selected)
        {
            self.stop(CutShort::MaxFail {
                failed: self.failed,
                limit: limit.to_string(),
            });
        }
    }

    /// Why the run stops here, and what somebody who may let it go on should know.
    pub(super) fn so_far(&self, why: &CutShort) -> String {
        let failed = match self.failed {
            0 => "none failed".to_owned(),
            1 => "1 failed or was not reached".to_owned(),
            count => format!("{count} failed or were not reached"),
        };
        let why = why.words(self.selected);
        let hosts = match self.begun.len() {
            1 => "1 host".to_owned(),
            count => format!("{count} hosts"),
        };
        format!("{why}: of {hosts}, {failed}")
    }

    /// Nothing more is begun. What the user wants outranks what was found.
    pub(super) fn stop(&mut self, why: CutShort) {
        if self.goes_on() || why == CutShort::Interrupted {
            self.cut_short = Some(why);
        }
    }

    fn outcome(&self, report: &HostReport) -> Outcome {
        let class = report.error.as_ref().map(|error| error.class);
        match report.status() {
            _ if class == Some(ErrorClass::Interrupted) => Outcome::Interrupted,
            _ if class == Some(ErrorClass::Abandoned) => Outcome::Unknown,
            HostStatus::Unreachable => Outcome::Unreachable,
            HostStatus::Untouched => Outcome::Untouched,
            _ if report.has_failed(self.command) => Outcome::Failed,
            _ => Outcome::Done,
        }
    }

    /// The reports of these hosts, and why there are untouched ones among them, if there are.
    pub(super) fn end<'h>(
        mut self,
        hosts: impl Iterator<Item = &'h str>,
    ) -> (Vec<HostReport>, Option<CutShort>) {
        let mut reports = Vec::new();
        for host in hosts {
            let begun = self.reports.contains_key(host);
            let mut report = self.take(host).report;
            if !self.over.contains(host) && self.cut_short.is_some() {
                report.error = Some(untouched(if begun {
                    "the run ended before all of its plays were begun"
                } else {
                    "the run ended before its turn"
                }));
                if let Some(journal) = self.journal.as_mut().filter(|_| begun) {
                    journal.end(host, Outcome::Untouched);
                }
            }
            reports.push(report);
        }
        let left = reports
            .iter()
            .any(|report| report.status() == HostStatus::Untouched);
        let cut_short = self
            .cut_short
            .filter(|why| left || *why == CutShort::Interrupted);
        let cut_short = cut_short.map(|why| match why {
            // Those that were under way may have failed since.
            CutShort::MaxFail { limit, .. } => CutShort::MaxFail {
                failed: self.failed,
                limit,
            },
            why => why,
        });
        (reports, cut_short)
    }
}

/// Why nothing, or not everything, was begun on a host.
pub(super) fn untouched(message: &str) -> HostError {
    HostError {
        class: ErrorClass::Untouched,
        message: message.to_owned(),
    }
}

fn in_words(error: &JournalError) -> String {
    use std::error::Error as _;
    let cause = error.source().map(|cause| format!(": {cause}"));
    format!("{error}{}", cause.unwrap_or_default())
}

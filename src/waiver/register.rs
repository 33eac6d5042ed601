//! The waivers of one check: which hold for which host, and which were of use.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Waiver, Waivers};
use crate::inventory::Inventory;
use crate::report::{Difference, HostReport, ResourceReport, RunReport, WaiverIssue, WaiverRemark};

/// The waivers of one check.
#[derive(Debug)]
pub struct Register<'w> {
    entries: Vec<Entry<'w>>,
    reach: Reach,
}

/// Which differences waivers are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// All: of a check, which changes nothing.
    Everything,
    /// Those that no change removes: of an apply, which changes the rest whoever accepted it.
    OnlyReported,
}

#[derive(Debug)]
struct Entry<'w> {
    waiver: &'w Waiver,
    hosts: BTreeSet<String>,
    expired: bool,
    used: bool,
}

/// What a check looked at, as far as it decides whether a waiver was of no use.
#[derive(Clone, Debug, Default)]
pub struct Coverage<'a> {
    /// Tasks were left out (`--tags`, `--skip-tags`).
    pub partial: bool,
    /// The kinds of the playbook's tasks. A waiver for another kind is for another playbook.
    pub kinds: BTreeSet<&'a str>,
}

impl<'w> Register<'w> {
    /// Finds the hosts of each waiver. One is expired once its last day is over in UTC.
    #[must_use]
    pub fn new(waivers: &'w Waivers, inventory: &Inventory, now: Timestamp, reach: Reach) -> Self {
        let today = now.to_zoned(TimeZone::UTC).date();
        let entry = |waiver: &'w Waiver| Entry {
            waiver,
            // Several inventories may share the file: what one does not have is no mistake.
            hosts: inventory
                .select(&waiver.hosts)
                .unwrap_or_default()
                .iter()
                .map(|host| host.as_str().to_owned())
                .collect(),
            expired: waiver.says.expires < today,
            used: false,
        };
        Self {
            entries: waivers.waivers.iter().map(entry).collect(),
            reach,
        }
    }

    /// Waives what may be on one host. Where several waivers fit, the first is named.
    pub fn waive(&mut self, host: &mut HostReport) {
        let name = host.host.clone();
        let reach = self.reach;
        let mut here: Vec<_> = self
            .entries
            .iter_mut()
            .filter(|entry| entry.hosts.contains(&name))
            .collect();
        host.waive(|resource, found| {
            if reach == Reach::OnlyReported && !found.drift.is_only_reported() {
                return None;
            }
            let mut waived = None;
            for entry in &mut here {
                if entry.waiver.fits(resource, found) {
                    entry.used = true;
                    if !entry.expired && waived.is_none() {
                        waived = Some(Arc::clone(&entry.waiver.says));
                    }
                }
            }
            waived
        });
    }

    /// The waivers somebody should look at, after all hosts of `report` were waived.
    ///
    /// An expired one is named when it would still have covered something, or could have. An
    /// unused one is named only if that is certain: every host it is for gave a complete result,
    /// no task was left out, and the playbook has a task of its kind. Of what else waivers are
    /// good for, an apply says nothing.
    #[must_use]
    pub fn remarks(&self, report: &RunReport, coverage: &Coverage<'_>) -> Vec<WaiverRemark> {
        if self.reach == Reach::OnlyReported {
            return Vec::new();
        }
        let complete: BTreeSet<&str> = report
            .hosts
            .iter()
            .filter(|host| is_complete(host))
            .map(|host| host.host.as_str())
            .collect();
        let issue = |entry: &Entry<'_>| {
            if entry.hosts.is_empty() {
                return Some(WaiverIssue::NoHost);
            }
            if entry.expired {
                let concerned = report
                    .hosts
                    .iter()
                    .any(|host| entry.hosts.contains(&host.host));
                return concerned.then_some(WaiverIssue::Expired);
            }
            let certain = !coverage.partial
                && entry
                    .hosts
                    .iter()
                    .all(|host| complete.contains(host.as_str()))
                && coverage
                    .kinds
                    .iter()
                    .any(|kind| entry.waiver.is_for_kind(kind));
            (certain && !entry.used).then_some(WaiverIssue::Unused)
        };
        let remark = |entry: &Entry<'_>| {
            Some(WaiverRemark {
                waiver: Arc::clone(&entry.waiver.says),
                subject: entry.waiver.subject.clone(),
                issue: issue(entry)?,
            })
        };
        self.entries.iter().filter_map(remark).collect()
    }
}

/// Whether everything on the host could be told.
fn is_complete(host: &HostReport) -> bool {
    host.error.is_none() && host.counts.failed == 0 && host.counts.unknown == 0
}

impl Waiver {
    fn is_for_kind(&self, kind: &str) -> bool {
        self.kind.as_ref().is_none_or(|glob| glob.is_match(kind))
    }

    fn fits(&self, resource: &ResourceReport, found: &Difference) -> bool {
        let id = self.id.as_ref();
        let attribute = self.attribute.as_ref();
        self.is_for_kind(&resource.kind)
            && id.is_none_or(|glob| glob.is_match(&resource.id))
            && attribute.is_none_or(|glob| glob.is_match(&found.drift.attribute))
    }
}

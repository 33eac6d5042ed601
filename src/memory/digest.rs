//! From a run's report to what it teaches: which findings are there, which are gone.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;

use super::{Digest, Finding, Seen, Subject};
use crate::protocol::Status;
use crate::report::{CutShort, Difference, HostReport, ResourceReport, RunReport};
use crate::secret::REDACTED;

/// How much of a value is remembered, in characters: enough to recognize it.
const LONGEST: usize = 500;

/// Which tasks a run was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of the playbook's.
    Whole,
    /// Those that `--tags` and `--skip-tags` left. The report must have kept all resources.
    Tags,
}

/// The open findings of one playbook, before a run.
#[derive(Clone, Debug, Default)]
pub struct Known {
    findings: HashMap<Subject, Finding>,
}

impl Known {
    /// Knows these.
    #[must_use]
    pub fn new(findings: Vec<Finding>) -> Self {
        let findings = findings.into_iter();
        Self {
            findings: findings
                .map(|finding| (finding.seen.subject.clone(), finding))
                .collect(),
        }
    }

    /// Says of every difference since when it is there. What is not known is new: it is there
    /// since this run.
    pub fn date(&self, report: &mut RunReport, playbook: &str) {
        let now = report.started_at;
        for host in &mut report.hosts {
            let name = &host.host;
            for resource in &mut host.resources {
                if resource.status != Status::Drift {
                    continue;
                }
                let (kind, id) = (resource.kind.clone(), resource.id.clone());
                for found in &mut resource.drift {
                    let subject = Subject {
                        playbook: playbook.to_owned(),
                        host: name.clone(),
                        kind: kind.clone(),
                        id: id.clone(),
                        attribute: found.drift.attribute.clone(),
                    };
                    found.first_seen = Some(self.first_seen(&subject).unwrap_or(now));
                }
            }
        }
    }

    fn first_seen(&self, subject: &Subject) -> Option<Timestamp> {
        let finding = self.findings.get(subject)?;
        Some(finding.first_seen.at)
    }
}

/// What a finished run teaches about `playbook`. Differences that an apply removed are not
/// findings; those that were known are gone.
#[must_use]
pub fn digest(report: &RunReport, playbook: &str, scope: Scope, known: &Known) -> Digest {
    let mut seen: HashMap<Subject, Seen> = HashMap::new();
    let mut looks = HashMap::new();
    // Who interrupted a run cannot know how far it had come on a host without an error.
    let whole = scope == Scope::Whole && report.cut_short != Some(CutShort::Interrupted);
    for host in &report.hosts {
        looks.insert(host.host.as_str(), Look::new(host, whole));
        for resource in &host.resources {
            if resource.status == Status::Drift {
                for found in seen_in(playbook, &host.host, resource) {
                    seen.insert(found.subject.clone(), found);
                }
            }
        }
    }
    let is_gone = |finding: &&Finding| {
        let subject = &finding.seen.subject;
        let looked = looks.get(subject.host.as_str());
        !seen.contains_key(subject) && looked.is_some_and(|look| look.settles(&finding.seen))
    };
    let mut gone: Vec<_> = known
        .findings
        .values()
        .filter(is_gone)
        .map(|finding| finding.seen.subject.clone())
        .collect();
    gone.sort_unstable();
    let mut seen: Vec<_> = seen.into_values().collect();
    seen.sort_unstable_by(|a, b| a.subject.cmp(&b.subject));
    Digest { seen, gone }
}

/// How well a run looked at one host.
struct Look<'r> {
    /// Every task was done: what is not reported is in sync, or no longer declared.
    thorough: bool,
    /// Resources that were looked at, by kind and id.
    told: BTreeSet<(&'r str, &'r str)>,
    /// Resources and tasks of which something could not be told.
    untold: BTreeSet<(&'r str, &'r str)>,
    untold_tasks: BTreeSet<(Option<&'r str>, &'r str)>,
}

impl<'r> Look<'r> {
    fn new(host: &'r HostReport, whole: bool) -> Self {
        let mut look = Self {
            // After a failure the rest was not done, and later plays say nothing about it.
            thorough: whole && host.error.is_none() && host.counts.failed == 0,
            told: BTreeSet::new(),
            untold: BTreeSet::new(),
            untold_tasks: BTreeSet::new(),
        };
        for resource in &host.resources {
            let name = (&*resource.kind, &*resource.id);
            match resource.status {
                // Left as it is and not counted: an orphan nobody prunes, a handler nobody has.
                Status::Ok if !resource.drift.is_empty() => _ = look.untold.insert(name),
                Status::Ok | Status::Drift | Status::Changed => _ = look.told.insert(name),
                // What cannot be rendered has no id but its task's name.
                Status::Unknown | Status::Failed => {
                    look.untold.insert(name);
                    look.untold_tasks
                        .insert((resource.role.as_deref(), &*resource.task));
                }
                Status::Skipped => {}
            }
        }
        look
    }

    /// Whether it was seen that a finding, which was not seen, is gone.
    fn settles(&self, finding: &Seen) -> bool {
        let name = (&*finding.subject.kind, &*finding.subject.id);
        let task = (finding.role.as_deref(), &*finding.task);
        !self.untold.contains(&name)
            && (self.told.contains(&name) || (self.thorough && !self.untold_tasks.contains(&task)))
    }
}

/// The findings a drifted resource is.
fn seen_in<'r>(
    playbook: &'r str,
    host: &'r str,
    resource: &'r ResourceReport,
) -> impl Iterator<Item = Seen> + 'r {
    let seen = move |found: Option<&Difference>| {
        let drift = found.map(|found| &found.drift);
        // The host replaced secrets already; a second lock costs nothing.
        let value = |text: &str| match drift {
            Some(drift) if drift.sensitive => REDACTED.to_owned(),
            _ => shortened(text),
        };
        Seen {
            subject: Subject {
                playbook: playbook.to_owned(),
                host: host.to_owned(),
                kind: resource.kind.clone(),
                id: resource.id.clone(),
                attribute: drift
                    .map(|drift| drift.attribute.clone())
                    .unwrap_or_default(),
            },
            role: resource.role.clone(),
            task: resource.task.clone(),
            severity: found.map_or(resource.severity, |found| found.severity),
            expected: drift
                .map(|drift| value(&drift.expected))
                .unwrap_or_default(),
            actual: drift.map(|drift| value(&drift.actual)).unwrap_or_default(),
            waived: found.is_some_and(|found| found.waived.is_some()),
        }
    };
    let without = resource.drift.is_empty().then(|| seen(None));
    resource
        .drift
        .iter()
        .map(move |found| seen(Some(found)))
        .chain(without)
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

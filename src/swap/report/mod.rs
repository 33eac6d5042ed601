//! What came of a call: one value, told as text and as JSON.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;

use super::act::{Done, Ending, Outcome};
use super::describe;
use super::perform::Asked;
use super::plan::{Record, Stage, Step};
use super::trouble::{Class, Trouble};
use super::world::{Rules, Slot, World};
use crate::report::ExitCode;

mod document;
mod text;

/// What a call was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// A pool is to serve.
    To,
    /// The pool that served before is to serve.
    Revert,
    /// The hosts of a pool are to be replaced.
    Replace,
    /// What would be done?
    Plan,
    /// What is the state?
    Status,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The target pool serves.
    Swapped,
    /// It did before.
    Unchanged,
    /// The pool serves that served at the beginning.
    Reverted,
    /// Every host was replaced.
    Replaced,
    /// Every host was replaced that is not out of service for somebody else's reasons.
    Incomplete,
    /// Neither is certain, or some hosts are replaced and others are not.
    Stopped,
    /// Nothing was touched.
    Refused,
    /// There are steps to take.
    Planned,
    /// Nothing is under way.
    Settled,
    /// Something was interrupted, or load balancers disagree.
    Unsettled,
}

impl From<Ending> for Verdict {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Swapped => Self::Swapped,
            Ending::Unchanged => Self::Unchanged,
            Ending::Reverted => Self::Reverted,
            Ending::Replaced => Self::Replaced,
            Ending::Incomplete => Self::Incomplete,
            Ending::Refused => Self::Refused,
            Ending::Stopped => Self::Stopped,
        }
    }
}

/// What came of a call.
#[derive(Debug)]
pub struct Report {
    /// Names the call.
    pub run_id: String,
    /// What it was for.
    pub action: Action,
    /// What is swapped.
    pub service: String,
    /// The file that says so.
    pub file: String,
    /// The pool that served at the beginning, if there is a swap.
    pub from: Option<String>,
    /// The pool that is to serve, if there is a swap.
    pub to: Option<String>,
    /// When the call began.
    pub started_at: jiff::Timestamp,
    /// How long it took.
    pub duration: Duration,
    /// What came of it.
    pub verdict: Verdict,
    /// What went wrong.
    pub trouble: Option<Trouble>,
    /// What was done, or would be.
    pub steps: Vec<Done>,
    /// What somebody should know.
    pub remarks: Vec<String>,
    /// What the load balancers said last.
    pub world: World,
    /// What fleet has taken out of service.
    pub parked: BTreeSet<Slot>,
    /// It is about hosts that are replaced, not about traffic that is moved.
    pub replaces: bool,
    /// How far each of these hosts is.
    pub hosts: Option<Hosts>,
}

/// How far hosts are that are replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Hosts {
    /// Replaced, and in service.
    pub done: Vec<String>,
    /// The playbook was begun and something failed: out of service.
    pub failed: Vec<String>,
    /// It was begun, and stopped before its end.
    pub unfinished: Vec<String>,
    /// As they were.
    pub untouched: Vec<String>,
}

impl Report {
    /// A report of nothing yet.
    pub(super) fn new(asked: &Asked, service: String, file: String) -> Self {
        Self {
            run_id: asked.run_id.clone(),
            action: asked.action,
            service,
            file,
            from: None,
            to: None,
            started_at: jiff::Timestamp::now(),
            duration: Duration::ZERO,
            verdict: Verdict::Refused,
            trouble: None,
            steps: Vec::new(),
            remarks: Vec::new(),
            world: World::default(),
            parked: BTreeSet::new(),
            replaces: false,
            hosts: None,
        }
    }

    /// What the process exits with.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self.trouble.as_ref().map(|trouble| trouble.class) {
            Some(Class::Unreachable) => return ExitCode::Unreachable,
            Some(Class::Locked) => return ExitCode::Locked,
            Some(Class::Interrupted) => return ExitCode::Interrupted,
            Some(Class::LoadBalancer) if self.verdict == Verdict::Refused => {
                return ExitCode::Usage;
            }
            Some(_) => return ExitCode::NotAsDeclared,
            None => {}
        }
        match self.verdict {
            Verdict::Swapped
            | Verdict::Unchanged
            | Verdict::Settled
            | Verdict::Reverted
            | Verdict::Replaced => ExitCode::AsDeclared,
            Verdict::Stopped
            | Verdict::Refused
            | Verdict::Planned
            | Verdict::Unsettled
            | Verdict::Incomplete => ExitCode::NotAsDeclared,
        }
    }

    /// The pools that have a server in service.
    #[must_use]
    pub fn serving<'r>(&self, rules: &'r Rules) -> Vec<&'r str> {
        let pools = rules.pools.iter();
        let serving = pools.filter(|pool| !self.world.is_idle(pool));
        serving.map(|pool| pool.name.as_str()).collect()
    }

    /// Takes over what came of a drive.
    pub(super) fn take(&mut self, outcome: Outcome, parked: &BTreeSet<Slot>) {
        self.steps.extend(outcome.steps);
        self.remarks.extend(outcome.remarks);
        self.verdict = outcome.ending.into();
        self.trouble = outcome.trouble;
        self.parked.clone_from(parked);
        self.world = outcome.world;
    }

    /// Notes what somebody else keeps out of service.
    pub(super) fn finish(&mut self, world: World) {
        let servers = world.servers.keys();
        let held = servers.filter(|slot| world.is_held(slot, &self.parked));
        for slot in held {
            let remark = format!(
                "{} on {} was taken out by somebody else and is left so",
                slot.name, slot.balancer
            );
            if !self.remarks.contains(&remark) {
                self.remarks.push(remark);
            }
        }
        self.world = world;
    }
}

/// What a look at the load balancers and the journal comes to.
#[must_use]
pub(super) fn status(
    rules: &Rules,
    world: &World,
    record: Option<&Record>,
) -> (Verdict, Option<Trouble>) {
    if let Err(trouble) = describe::incomplete(world) {
        return (Verdict::Unsettled, Some(trouble));
    }
    let under_way =
        record.is_some_and(|record| matches!(record.stage, Stage::Forward | Stage::Back));
    let serving: BTreeSet<Vec<bool>> = world
        .in_service(&BTreeSet::new())
        .into_keys()
        .map(|(balancer, backend)| {
            let serves = |pool| {
                world.of(pool).any(|(slot, server)| {
                    slot.balancer == balancer
                        && slot.name.backend == backend
                        && server.is_in_service()
                })
            };
            rules.pools.iter().map(serves).collect()
        })
        .collect();
    let alike = serving.len() == 1 && serving.iter().flatten().any(|serves| *serves);
    let verdict = if under_way || !alike {
        Verdict::Unsettled
    } else {
        Verdict::Settled
    };
    (verdict, None)
}

/// Steps that would be taken.
#[must_use]
pub(super) fn planned(steps: &[Step], rules: &Rules) -> Vec<Done> {
    let steps = steps.iter().map(|step| Done {
        name: describe::name(step),
        text: describe::step(step, rules),
        failure: None,
        reverting: false,
        duration: Duration::ZERO,
    });
    steps.collect()
}

/// The same as one text, to be asked about.
#[must_use]
pub(super) fn in_words(steps: &[Step], rules: &Rules) -> String {
    let steps = steps.iter().map(|step| describe::step(step, rules));
    let lines: Vec<_> = steps.map(|text| format!("  {text}")).collect();
    lines.join("\n")
}

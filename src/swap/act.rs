//! Taking steps: write down, tell, act, and note what came of it. What is common to all that is
//! done in steps, whatever decides which is next.

use std::collections::{BTreeMap, BTreeSet};
use std::mem::{Discriminant, discriminant};
use std::time::Duration;

use super::describe;
use super::file::{Drain, OnTimeout};
use super::fleet::Fleet;
use super::journal::Entry;
use super::plan::Step;
use super::trouble::{Class, Trouble};
use super::world::{Rules, Slot, World};
use crate::protocol::balancer::Admin;

/// The terms of a swap that have to do with time and playbooks.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "parts of a swap, each there or not"
)]
pub struct Terms {
    /// There is a gate.
    pub gate: bool,
    /// There is a deployment.
    pub deploy: bool,
    /// There is a live address.
    pub live: bool,
    /// How long HAProxy may take to call servers up.
    pub up: Duration,
    /// How long servers have to be up before others go.
    pub settle: Duration,
    /// The pause between two servers, or between two batches.
    pub stagger: Duration,
    /// How servers are taken out.
    pub drain: Drain,
    /// What fails is taken back.
    pub auto_revert: bool,
    /// The pause between two looks while something is waited for.
    pub poll: Duration,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The target pool serves.
    Swapped,
    /// It did so before.
    Unchanged,
    /// The other pool serves, as it did before.
    Reverted,
    /// Every host was replaced.
    Replaced,
    /// Every host was replaced that is not out of service for somebody else's reasons.
    Incomplete,
    /// Nothing was touched.
    Refused,
    /// Neither is certain; the next call resolves it.
    Stopped,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Outcome {
    /// How it ended.
    pub ending: Ending,
    /// What went wrong first.
    pub trouble: Option<Trouble>,
    /// What was done.
    pub steps: Vec<Done>,
    /// What somebody should know.
    pub remarks: Vec<String>,
    /// What the load balancers said last.
    pub world: World,
}

/// One step that was taken, or tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// Its name in reports.
    pub name: &'static str,
    /// What it is, in words.
    pub text: String,
    /// Why it failed.
    pub failure: Option<String>,
    /// It takes something back.
    pub reverting: bool,
    /// How long it took.
    pub duration: Duration,
}

/// The same step is tried so often before it counts as having no effect.
const TRIES: u32 = 5;

/// How long sessions that were ended may take to be gone.
const AFTER_KILL: Duration = Duration::from_secs(10);

/// Somebody who takes steps.
pub(super) struct Act<'d, F, R> {
    /// What is acted on.
    pub fleet: &'d mut F,
    /// What is swapped.
    pub rules: &'d Rules,
    /// How long things may take.
    pub terms: &'d Terms,
    /// What the journal says.
    pub record: &'d mut R,
    /// What the load balancers said last.
    pub world: World,
    /// Something is taken back: what can be done of it is done.
    pub back: bool,
    /// This call has changed something.
    pub changed: bool,
    /// What was done.
    pub steps: Vec<Done>,
    /// What somebody should know.
    pub remarks: Vec<String>,
    tries: BTreeMap<Step, u32>,
    /// What is waited for and since when.
    waiting: Option<(Discriminant<Step>, Duration)>,
    /// Since when the incoming servers are to come up.
    up_since: Option<Duration>,
    /// The sessions that were left have been ended.
    killed: bool,
    /// How often the user has asked to stop.
    interruptions: u32,
    /// When the last step was begun.
    began: Duration,
}

impl<'d, F: Fleet, R: Entry> Act<'d, F, R> {
    /// Nothing was done yet.
    pub(super) fn new(
        fleet: &'d mut F,
        rules: &'d Rules,
        terms: &'d Terms,
        record: &'d mut R,
    ) -> Self {
        Self {
            fleet,
            rules,
            terms,
            record,
            world: World::default(),
            back: false,
            changed: false,
            steps: Vec::new(),
            remarks: Vec::new(),
            tries: BTreeMap::new(),
            waiting: None,
            up_since: None,
            killed: false,
            interruptions: 0,
            began: Duration::ZERO,
        }
    }

    /// Patience begins anew.
    pub(super) fn reset(&mut self) {
        self.tries.clear();
        self.waiting = None;
        self.up_since = None;
        self.killed = false;
    }

    /// What came of it.
    pub(super) fn outcome(self, ending: Ending, trouble: Option<Trouble>) -> Outcome {
        Outcome {
            ending,
            trouble,
            steps: self.steps,
            remarks: self.remarks,
            world: self.world,
        }
    }

    /// Asks all load balancers. All of them have to answer, unless something is taken back.
    pub(super) async fn look(&mut self) -> Result<(), Trouble> {
        if self.fleet.is_interrupted() {
            // The first one begins nothing more, and what takes back is what it would begin.
            self.interruptions += 1;
            if self.interruptions > 1 || !self.back {
                return Err(Trouble::new(Class::Interrupted, "interrupted"));
            }
        }
        self.world = self.fleet.look().await;
        if !self.back {
            describe::incomplete(&self.world)?;
        }
        let world = &self.world;
        let ready = |slot: &Slot| {
            let server = world.servers.get(slot);
            server.is_some_and(|server| server.admin == Admin::Ready)
        };
        self.record.parked().retain(|slot| !ready(slot));
        Ok(())
    }

    /// Another step than the one that was waited for ends the waiting.
    pub(super) fn turn_to(&mut self, step: &Step) {
        self.waiting = self.waiting.filter(|(what, _)| *what == discriminant(step));
    }

    /// Writes the journal.
    pub(super) fn remember(&mut self) -> Result<(), Trouble> {
        self.fleet.remember(&*self.record)
    }

    /// Writes the journal where nothing is to be kept from happening by one that cannot be
    /// written: it still says that something is under way, which the next call resolves.
    pub(super) fn try_to_remember(&mut self) {
        if let Err(trouble) = self.remember() {
            self.remarks.push(trouble.to_string());
        }
    }

    /// Writes the step down, tells it, and takes it.
    pub(super) fn begin(&mut self, step: &Step) -> Result<(), Trouble> {
        self.remember()?;
        let text = describe::step(step, self.rules);
        self.fleet.announce(&text);
        self.steps.push(Done {
            name: describe::name(step),
            text,
            failure: None,
            reverting: self.back,
            duration: Duration::ZERO,
        });
        self.began = self.fleet.now();
        Ok(())
    }

    /// Says how the step that was begun last ended, or how far it is.
    pub(super) fn end(&mut self, result: Result<(), Trouble>) -> Result<(), Trouble> {
        let now = self.fleet.now();
        if let Some(step) = self.steps.last_mut() {
            step.duration = now.saturating_sub(self.began);
            step.failure = result.as_ref().err().map(ToString::to_string);
        }
        result
    }

    /// Checks the gate on hosts.
    pub(super) async fn gate(&mut self, step: &Step, hosts: &[String]) -> Result<(), Trouble> {
        self.begin(step)?;
        let result = self.fleet.gate(hosts).await;
        self.end(result)
    }

    /// Deploys to hosts.
    pub(super) async fn deploy(&mut self, step: &Step, hosts: &[String]) -> Result<(), Trouble> {
        self.begin(step)?;
        self.changed = true;
        let result = self.fleet.deploy(hosts).await;
        self.end(result)
    }

    /// Asks servers for their health.
    pub(super) async fn health(
        &mut self,
        step: &Step,
        slots: &BTreeSet<Slot>,
    ) -> Result<(), Trouble> {
        self.begin(step)?;
        let result = self.fleet.health(&self.world, slots).await;
        self.end(result)
    }

    /// Puts servers into a state. `floors` have to be kept when they are taken out: also when they
    /// were drained before, as a reload meanwhile may have brought them back.
    pub(super) async fn put(
        &mut self,
        admin: Admin,
        slots: BTreeSet<Slot>,
        floors: BTreeMap<(String, String), usize>,
    ) -> Result<(), Trouble> {
        let step = Step::Put(admin, slots.clone());
        let tries = self.tries.entry(step.clone()).or_default();
        *tries += 1;
        let tries = *tries;
        if tries > TRIES {
            let text = describe::step(&step, self.rules);
            let message =
                format!("{text}: done {TRIES} times, and undone or without effect each time");
            return Err(Trouble::new(Class::LoadBalancer, message));
        }
        if admin != Admin::Ready {
            self.record.parked().extend(slots.iter().cloned());
        }
        self.begin(&step)?;
        self.changed = true;
        let floors = (admin != Admin::Ready).then_some(&floors);
        let result = self.fleet.put(admin, &slots, floors).await;
        match self.end(result) {
            // Something has changed since the look; what is to be done now, the next one says.
            Err(trouble) if (self.back || trouble.class == Class::Budget) && tries < TRIES => {
                self.fleet.pause(self.terms.poll).await;
            }
            result => result?,
        }
        if self.rules.one_by_one && !self.back {
            self.fleet.pause(self.terms.stagger).await;
        }
        Ok(())
    }

    /// How long this has been waited for; told at the first time.
    fn waited(&mut self, step: &Step) -> Result<Duration, Trouble> {
        let now = self.fleet.now();
        if let Some((_, since)) = self.waiting {
            return Ok(now.saturating_sub(since));
        }
        self.begin(step)?;
        self.waiting = Some((discriminant(step), now));
        Ok(Duration::ZERO)
    }

    /// Waits a little for servers to come up. True if nobody waits any more, where something is
    /// taken back; else that is an error.
    pub(super) async fn await_up(
        &mut self,
        step: &Step,
        slots: &BTreeSet<Slot>,
    ) -> Result<bool, Trouble> {
        self.waited(step)?;
        let now = self.fleet.now();
        let since = *self.up_since.get_or_insert(now);
        // Coming and going does not get more time than not coming at all.
        if now.saturating_sub(since) < self.terms.up + self.terms.settle {
            self.fleet.pause(self.terms.poll).await;
            return self.end(Ok(())).map(|()| false);
        }
        let down = describe::down(&self.world, slots);
        let time = describe::time(self.terms.up);
        let message = format!("HAProxy does not call them up within {time}: {down}");
        let ended = self.end(Err(Trouble::new(Class::Health, message.clone())));
        if self.back {
            self.remarks.push(message);
            return Ok(true);
        }
        ended.map(|()| true)
    }

    /// Waits a little for servers to have been up long enough, and says whether they have.
    pub(super) async fn settle(&mut self, step: &Step) -> Result<bool, Trouble> {
        let now = self.fleet.now();
        self.up_since.get_or_insert(now);
        if self.terms.settle.is_zero() || self.waited(step)? >= self.terms.settle {
            return Ok(true);
        }
        self.fleet.pause(self.terms.poll).await;
        self.end(Ok(())).map(|()| false)
    }

    /// Waits a little for the last sessions of servers.
    pub(super) async fn await_empty(
        &mut self,
        step: &Step,
        slots: &BTreeSet<Slot>,
        floors: BTreeMap<(String, String), usize>,
    ) -> Result<(), Trouble> {
        let waited = self.waited(step)?;
        let limit = self.terms.drain.deadline;
        if waited < limit || self.killed && waited < limit + AFTER_KILL {
            self.fleet.pause(self.terms.poll).await;
            return self.end(Ok(()));
        }
        if self.terms.drain.on_timeout == OnTimeout::Kill && !self.killed {
            self.killed = true;
            let text = describe::kill(&self.world, slots);
            self.remarks.push(text.clone());
            self.fleet.announce(&text);
            return self.fleet.end_sessions(slots).await;
        }
        let left = describe::sessions(&self.world, slots);
        let time = describe::time(limit);
        let message = format!("not over after {time}: {left}");
        if self.back {
            // They may go on; the server gets nothing new either way.
            self.remarks
                .push(format!("{message}; they were left to end by themselves"));
            return self.put(Admin::Maint, slots.clone(), floors).await;
        }
        self.end(Err(Trouble::new(Class::Drain, message)))
    }
}

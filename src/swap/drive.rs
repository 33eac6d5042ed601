//! Going on until there is nothing left to do: look, decide, write down, act, look again.
//!
//! Where everything is decided from what was just seen, going on after a kill, taking back and
//! beginning are the same loop.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::describe;
use super::file::{Drain, OnTimeout};
use super::fleet::Fleet;
use super::plan::{Preparation, Record, Seen, Stage, Step, next_step};
use super::trouble::{Class, Trouble};
use super::world::{Pool, Rules, Slot, World};
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
    /// The pause between two servers.
    pub stagger: Duration,
    /// How servers are taken out.
    pub drain: Drain,
    /// What fails is taken back.
    pub auto_revert: bool,
    /// The pause between two looks while something is waited for.
    pub poll: Duration,
}

/// How a swap ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The target pool serves.
    Swapped,
    /// It did so before.
    Unchanged,
    /// The other pool serves, as it did before.
    Reverted,
    /// Nothing was touched.
    Refused,
    /// Neither is certain; the next call resolves it.
    Stopped,
}

/// What came of a swap.
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

/// How a drive begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// Nothing was done yet. If nothing is, the journal says again what it said.
    Fresh {
        /// That.
        previous: Option<Box<Record>>,
    },
    /// The target pool serves already: nothing is there to be taken back.
    Arrived,
    /// An earlier call, or an earlier part of this one, has begun it.
    Resumed,
}

/// The same step is tried so often before it counts as having no effect.
const TRIES: u32 = 5;

/// How long sessions that were ended may take to be gone.
const AFTER_KILL: Duration = Duration::from_secs(10);

/// Goes on until nothing is left to do. `record` is then what the journal says.
pub(super) async fn drive<F: Fleet>(
    fleet: &mut F,
    rules: &Rules,
    terms: &Terms,
    record: &mut Record,
    start: Start,
) -> Outcome {
    let mut drive = Drive {
        fleet,
        rules,
        terms,
        record,
        start,
        seen: Seen::default(),
        changed: false,
        tries: BTreeMap::new(),
        waiting: None,
        up_since: None,
        killed: false,
        trouble: None,
        steps: Vec::new(),
        began: Duration::ZERO,
        remarks: Vec::new(),
        world: World::default(),
    };
    let ending = loop {
        let advanced = drive.advance().await;
        let ended = match advanced {
            Ok(ended) => ended,
            Err(trouble) => drive.fail(trouble),
        };
        if let Some(ending) = ended {
            break ending;
        }
    };
    Outcome {
        ending,
        trouble: drive.trouble,
        steps: drive.steps,
        remarks: drive.remarks,
        world: drive.world,
    }
}

struct Drive<'d, F> {
    fleet: &'d mut F,
    rules: &'d Rules,
    terms: &'d Terms,
    record: &'d mut Record,
    start: Start,
    seen: Seen,
    /// This call has changed something.
    changed: bool,
    tries: BTreeMap<Step, u32>,
    /// What is waited for and since when.
    waiting: Option<(std::mem::Discriminant<Step>, Duration)>,
    /// Since when the incoming servers are to come up.
    up_since: Option<Duration>,
    /// The sessions that were left have been ended.
    killed: bool,
    trouble: Option<Trouble>,
    steps: Vec<Done>,
    /// When the last of them was.
    began: Duration,
    remarks: Vec<String>,
    world: World,
}

type Advanced = Result<Option<Ending>, Trouble>;

impl<F: Fleet> Drive<'_, F> {
    fn is_back(&self) -> bool {
        self.record.stage == Stage::Back
    }

    async fn advance(&mut self) -> Advanced {
        if self.fleet.is_interrupted() {
            return Err(Trouble::new(Class::Interrupted, "interrupted"));
        }
        self.world = self.fleet.look().await;
        if !self.is_back() {
            describe::incomplete(&self.world)?;
        }
        let ready = |slot: &Slot| {
            let server = self.world.servers.get(slot);
            server.is_some_and(|server| server.admin == Admin::Ready)
        };
        self.record.parked.retain(|slot| !ready(slot));
        let step = next_step(self.rules, &self.world, self.record, self.seen);
        if self
            .waiting
            .is_some_and(|(what, _)| what != std::mem::discriminant(&step))
        {
            self.waiting = None;
        }
        match step {
            Step::Gate => self.gate().await?,
            Step::Deploy => self.deploy().await?,
            Step::Health => self.health().await?,
            Step::Put(admin, slots) => self.put(admin, slots).await?,
            Step::AwaitUp(ref slots) => self.await_up(&step, slots).await?,
            Step::Settle => self.settle(&step).await?,
            Step::AwaitEmpty(ref slots) => self.await_empty(&step, slots).await?,
            Step::Live => self.live().await?,
            Step::Short(shortage) => {
                return Err(Trouble::new(Class::Budget, shortage.to_string()));
            }
            Step::Done => return self.done().map(Some),
        }
        Ok(None)
    }

    /// Writes the step down, tells it, and takes it.
    fn begin(&mut self, step: &Step) -> Result<(), Trouble> {
        self.fleet.remember(self.record)?;
        let text = describe::step(step, self.rules);
        self.fleet.announce(&text);
        self.steps.push(Done {
            name: describe::name(step),
            text,
            failure: None,
            reverting: self.is_back(),
            duration: Duration::ZERO,
        });
        self.began = self.fleet.now();
        Ok(())
    }

    /// Says how the step that was begun last ended, or how far it is.
    fn end(&mut self, result: Result<(), Trouble>) -> Result<(), Trouble> {
        let now = self.fleet.now();
        if let Some(step) = self.steps.last_mut() {
            step.duration = now.saturating_sub(self.began);
            step.failure = result.as_ref().err().map(ToString::to_string);
        }
        result
    }

    fn target(&self) -> Pool {
        self.rules.other(&self.record.from).clone()
    }

    async fn gate(&mut self) -> Result<(), Trouble> {
        if self.terms.gate {
            self.begin(&Step::Gate)?;
            let result = self.fleet.gate(&self.target()).await;
            self.end(result)?;
        }
        self.record.preparation = Preparation::Gated;
        Ok(())
    }

    async fn deploy(&mut self) -> Result<(), Trouble> {
        if self.terms.deploy {
            self.record.preparation = Preparation::Deploying;
            self.begin(&Step::Deploy)?;
            self.changed = true;
            let result = self.fleet.deploy(&self.target()).await;
            self.end(result)?;
        }
        self.record.preparation = Preparation::Done;
        self.fleet.remember(self.record)
    }

    async fn health(&mut self) -> Result<(), Trouble> {
        self.begin(&Step::Health)?;
        let target = self.target();
        let slots = self.world.of(&target).map(|(slot, _)| slot.clone());
        let slots = slots
            .filter(|slot| !self.world.is_held(slot, &self.record.parked))
            .collect();
        let result = self.fleet.health(&self.world, &slots).await;
        self.end(result)?;
        self.seen.healthy = true;
        Ok(())
    }

    async fn put(&mut self, admin: Admin, slots: BTreeSet<Slot>) -> Result<(), Trouble> {
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
            self.record.parked.extend(slots.iter().cloned());
        }
        self.begin(&step)?;
        self.changed = true;
        // Also for those that are drained: a reload meanwhile may have brought them back.
        let floors = (admin != Admin::Ready).then(|| self.floors(&slots));
        let result = self.fleet.put(admin, &slots, floors.as_ref()).await;
        match self.end(result) {
            // Something has changed since the look; what is to be done now, the next one says.
            Err(trouble) if (self.is_back() || trouble.class == Class::Budget) && tries < TRIES => {
                self.fleet.pause(self.terms.poll).await;
            }
            result => result?,
        }
        if self.rules.one_by_one && !self.is_back() {
            self.fleet.pause(self.terms.stagger).await;
        }
        Ok(())
    }

    fn floors(&self, slots: &BTreeSet<Slot>) -> BTreeMap<(String, String), usize> {
        let places = slots.iter().map(|slot| {
            let floor =
                super::plan::floor(self.rules, self.record, &slot.balancer, &slot.name.backend);
            ((slot.balancer.clone(), slot.name.backend.clone()), floor)
        });
        places.collect()
    }

    /// How long this has been waited for; told at the first time.
    fn waited(&mut self, step: &Step) -> Result<Duration, Trouble> {
        let now = self.fleet.now();
        if let Some((_, since)) = self.waiting {
            return Ok(now.saturating_sub(since));
        }
        self.begin(step)?;
        self.waiting = Some((std::mem::discriminant(step), now));
        Ok(Duration::ZERO)
    }

    async fn await_up(&mut self, step: &Step, slots: &BTreeSet<Slot>) -> Result<(), Trouble> {
        self.waited(step)?;
        let now = self.fleet.now();
        let since = *self.up_since.get_or_insert(now);
        // Coming and going does not get more time than not coming at all.
        if now.saturating_sub(since) < self.terms.up + self.terms.settle {
            self.fleet.pause(self.terms.poll).await;
            return self.end(Ok(()));
        }
        let down = describe::down(&self.world, slots);
        let time = describe::time(self.terms.up);
        let message = format!("HAProxy does not call them up within {time}: {down}");
        let ended = self.end(Err(Trouble::new(Class::Health, message.clone())));
        if self.is_back() {
            self.remarks.push(message);
            self.seen.waited = true;
            return Ok(());
        }
        ended
    }

    async fn settle(&mut self, step: &Step) -> Result<(), Trouble> {
        let now = self.fleet.now();
        self.up_since.get_or_insert(now);
        if self.terms.settle.is_zero() || self.waited(step)? >= self.terms.settle {
            self.seen.settled = true;
            return Ok(());
        }
        self.fleet.pause(self.terms.poll).await;
        self.end(Ok(()))
    }

    async fn await_empty(&mut self, step: &Step, slots: &BTreeSet<Slot>) -> Result<(), Trouble> {
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
        if self.is_back() {
            // They may go on; the server gets nothing new either way.
            self.remarks
                .push(format!("{message}; they were left to end by themselves"));
            return self.put(Admin::Maint, slots.clone()).await;
        }
        self.end(Err(Trouble::new(Class::Drain, message)))
    }

    async fn live(&mut self) -> Result<(), Trouble> {
        if self.terms.live {
            self.begin(&Step::Live)?;
            let result = self.fleet.live().await;
            self.end(result)?;
        }
        self.seen.live = true;
        Ok(())
    }

    fn done(&mut self) -> Result<Ending, Trouble> {
        if self.is_back() {
            describe::incomplete(&self.world)?;
            self.record.stage = Stage::Reverted;
            self.fleet.remember(self.record)?;
            return Ok(Ending::Reverted);
        }
        self.record.stage = Stage::Swapped;
        self.record.error = None;
        self.fleet.remember(self.record)?;
        let untouched = !self.changed && self.start != Start::Resumed;
        Ok(if untouched {
            Ending::Unchanged
        } else {
            Ending::Swapped
        })
    }

    /// Goes back, or stops where nothing more can be done.
    fn fail(&mut self, trouble: Trouble) -> Option<Ending> {
        let was_back = self.is_back();
        if self.record.error.is_none() || !was_back {
            self.record.error = Some(trouble.to_string());
        }
        if was_back && self.trouble.is_some() {
            self.remarks
                .push(format!("while taking it back: {trouble}"));
        } else {
            self.trouble = Some(trouble);
        }
        match &self.start {
            Start::Fresh { previous } if !was_back && !self.changed => {
                match previous {
                    Some(previous) => previous.as_ref().clone_into(self.record),
                    None => self.record.stage = Stage::Reverted,
                }
                return Some(self.over(Ending::Refused));
            }
            Start::Arrived if !was_back => {
                self.record.stage = Stage::Swapped;
                return Some(self.over(Ending::Stopped));
            }
            _ if was_back || !self.terms.auto_revert => {
                return Some(self.over(Ending::Stopped));
            }
            _ => {}
        }
        self.record.stage = Stage::Back;
        self.seen = Seen::default();
        self.tries.clear();
        self.waiting = None;
        self.up_since = None;
        self.killed = false;
        // Going back does less harm than not going back: a journal that cannot be written still
        // says that the swap is not over, which the next call resolves.
        if let Err(trouble) = self.fleet.remember(self.record) {
            self.remarks.push(trouble.to_string());
        }
        None
    }

    fn over(&mut self, ending: Ending) -> Ending {
        if let Err(trouble) = self.fleet.remember(self.record) {
            self.remarks.push(trouble.to_string());
        }
        ending
    }
}

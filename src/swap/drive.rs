//! Going on until traffic is where it is to be: look, decide, write down, act, look again.
//!
//! Where everything is decided from what was just seen, going on after a kill, taking back and
//! beginning are the same loop.

use super::act::{Act, Ending, Outcome, Terms};
use super::describe;
use super::fleet::Fleet;
use super::plan::{Preparation, Record, Seen, Stage, Step, next_step};
use super::trouble::{Class, Trouble};
use super::world::Rules;

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

/// Goes on until nothing is left to do. `record` is then what the journal says.
pub(super) async fn drive<F: Fleet>(
    fleet: &mut F,
    rules: &Rules,
    terms: &Terms,
    record: &mut Record,
    start: Start,
) -> Outcome {
    let back = record.stage == Stage::Back;
    let mut drive = Drive {
        act: Act::new(fleet, rules, terms, record),
        start,
        seen: Seen::default(),
        trouble: None,
    };
    drive.act.back = back;
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
    drive.act.outcome(ending, drive.trouble)
}

struct Drive<'d, F> {
    act: Act<'d, F, Record>,
    start: Start,
    seen: Seen,
    trouble: Option<Trouble>,
}

type Advanced = Result<Option<Ending>, Trouble>;

impl<F: Fleet> Drive<'_, F> {
    async fn advance(&mut self) -> Advanced {
        let act = &mut self.act;
        act.look().await?;
        let step = next_step(act.rules, &act.world, act.record, &self.seen);
        act.turn_to(&step);
        match &step {
            Step::Gate(hosts) => {
                if act.terms.gate {
                    act.gate(&step, hosts).await?;
                }
                act.record.preparation = Preparation::Gated;
            }
            Step::Deploy(hosts) => {
                if act.terms.deploy {
                    act.record.preparation = Preparation::Deploying;
                    act.deploy(&step, hosts).await?;
                }
                act.record.preparation = Preparation::Done;
                act.remember()?;
            }
            Step::Health(slots) => {
                act.health(&step, slots).await?;
                self.seen.healthy.extend(slots.iter().cloned());
            }
            Step::Put(admin, slots) => {
                let floors = act.record.floors(act.rules).around(slots);
                act.put(*admin, slots.clone(), floors).await?;
            }
            Step::AwaitUp(slots) => self.seen.waited |= act.await_up(&step, slots).await?,
            Step::Settle => self.seen.settled |= act.settle(&step).await?,
            Step::AwaitEmpty(slots) => {
                let floors = act.record.floors(act.rules).around(slots);
                act.await_empty(&step, slots, floors).await?;
            }
            Step::Live => {
                if act.terms.live {
                    act.begin(&step)?;
                    let result = act.fleet.live().await;
                    act.end(result)?;
                }
                self.seen.live = true;
            }
            Step::Short(shortage) => {
                return Err(Trouble::new(Class::Budget, shortage.to_string()));
            }
            Step::Done => return self.done().map(Some),
        }
        Ok(None)
    }

    fn done(&mut self) -> Result<Ending, Trouble> {
        let act = &mut self.act;
        if act.back {
            describe::incomplete(&act.world)?;
            act.record.stage = Stage::Reverted;
            act.remember()?;
            return Ok(Ending::Reverted);
        }
        act.record.stage = Stage::Swapped;
        act.record.error = None;
        act.remember()?;
        let untouched = !act.changed && self.start != Start::Resumed;
        Ok(if untouched {
            Ending::Unchanged
        } else {
            Ending::Swapped
        })
    }

    /// Goes back, or stops where nothing more can be done.
    fn fail(&mut self, trouble: Trouble) -> Option<Ending> {
        let act = &mut self.act;
        let was_back = act.back;
        if act.record.error.is_none() || !was_back {
            act.record.error = Some(trouble.to_string());
        }
        if was_back && self.trouble.is_some() {
            let remark = format!("while taking it back: {trouble}");
            act.remarks.push(remark);
        } else {
            self.trouble = Some(trouble);
        }
        let ending = match &self.start {
            Start::Fresh { previous } if !was_back && !act.changed => {
                match previous {
                    Some(previous) => previous.as_ref().clone_into(act.record),
                    None => act.record.stage = Stage::Reverted,
                }
                Some(Ending::Refused)
            }
            Start::Arrived if !was_back => {
                act.record.stage = Stage::Swapped;
                Some(Ending::Stopped)
            }
            _ if was_back || !act.terms.auto_revert => Some(Ending::Stopped),
            _ => {
                act.record.stage = Stage::Back;
                act.back = true;
                act.reset();
                self.seen = Seen::default();
                None
            }
        };
        // Going back does less harm than not going back.
        act.try_to_remember();
        ending
    }
}

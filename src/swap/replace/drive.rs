//! Going on until every host is replaced: look, decide, write down, act, look again.

use super::plan::{Decision, Next, Seen};
use super::{Batch, Phase, Record};
use crate::swap::act::{Act, Ending, Outcome, Terms};
use crate::swap::fleet::Fleet;
use crate::swap::plan::{Floors, Step};
use crate::swap::setup::Replacement;
use crate::swap::trouble::{Class, Trouble};
use crate::swap::world::Rules;

/// Goes on until nothing is left to do. `record` is then what the journal says. `fresh` is what it
/// says if nothing is touched; `None` if it goes on with what is under way.
pub(super) async fn drive<F: Fleet>(
    fleet: &mut F,
    rules: &Rules,
    terms: &Terms,
    replacement: &Replacement,
    record: &mut Record,
    fresh: Option<Record>,
) -> Outcome {
    let mut drive = Drive {
        act: Act::new(fleet, rules, terms, record),
        replacement,
        fresh,
        seen: Seen::default(),
        trouble: None,
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
    drive.act.outcome(ending, drive.trouble)
}

struct Drive<'d, F> {
    act: Act<'d, F, Record>,
    replacement: &'d Replacement,
    fresh: Option<Record>,
    seen: Seen,
    trouble: Option<Trouble>,
}

impl<F: Fleet> Drive<'_, F> {
    fn decision(&self) -> Decision<'_> {
        Decision {
            rules: self.act.rules,
            replacement: self.replacement,
            world: &self.act.world,
            record: self.act.record,
        }
    }

    async fn advance(&mut self) -> Result<Option<Ending>, Trouble> {
        self.act.look().await?;
        let decision = self.decision();
        let next = if self.act.back {
            decision.back()
        } else {
            decision.forward(self.seen)
        };
        match next {
            Next::Begin(hosts) => {
                self.act.record.begin(hosts);
                self.seen = Seen::default();
                self.act.reset();
            }
            Next::Step(step) => self.take(&step).await?,
            Next::Finished => {
                self.act.record.finish();
                // Done and over are written at once: a call after the last host begins anew.
                let decision = self.decision();
                if decision.next_batch().is_empty() && decision.stranded().is_empty() {
                    return self.over().map(Some);
                }
                self.act.remember()?;
                self.act.fleet.pause(self.act.terms.stagger).await;
            }
            Next::Returned => {
                self.act.record.batch = None;
                self.act.try_to_remember();
            }
            Next::Nothing => return self.over().map(Some),
        }
        Ok(None)
    }

    async fn take(&mut self, step: &Step) -> Result<(), Trouble> {
        let act = &mut self.act;
        act.turn_to(step);
        let floors = Floors {
            rules: act.rules,
            before: None,
        };
        match step {
            Step::Deploy(hosts) => {
                act.record.enter(Phase::Begun);
                act.deploy(step, hosts).await?;
            }
            Step::Gate(hosts) => act.gate(step, hosts).await?,
            Step::Health(slots) => act.health(step, slots).await?,
            Step::Put(admin, slots) => {
                let floors = floors.around(slots);
                act.put(*admin, slots.clone(), floors).await?;
            }
            Step::AwaitUp(slots) => {
                act.await_up(step, slots).await?;
            }
            Step::Settle => {
                if !act.settle(step).await? {
                    return Ok(());
                }
            }
            Step::AwaitEmpty(slots) => {
                let floors = floors.around(slots);
                act.await_empty(step, slots, floors).await?;
            }
            Step::Short(shortage) => {
                return Err(Trouble::new(Class::Budget, shortage.to_string()));
            }
            // Only traffic that is moved has a live address and an end.
            Step::Live | Step::Done => {}
        }
        self.seen.learn(step, act.record);
        Ok(())
    }

    /// Nothing is left to do.
    fn over(&mut self) -> Result<Ending, Trouble> {
        if self.act.back {
            let record = &mut *self.act.record;
            // There is nothing to go on with.
            record.over = record.done.is_empty() && record.batch.is_none();
            self.act.try_to_remember();
            return Ok(Ending::Stopped);
        }
        let left = self.decision().left_alone();
        self.act.record.over = true;
        self.act.record.error = None;
        self.act.remember()?;
        if left.is_empty() {
            return Ok(Ending::Replaced);
        }
        let left: Vec<_> = left.into_iter().collect();
        let message = format!(
            "not replaced, as not in service for reasons that are not fleet's: {}",
            left.join(", ")
        );
        self.trouble = Some(Trouble::new(Class::Held, message));
        Ok(Ending::Incomplete)
    }

    /// Puts back what was not begun, or stops where nothing more can be done.
    fn fail(&mut self, trouble: Trouble) -> Option<Ending> {
        let act = &mut self.act;
        if act.back {
            let remark = format!("after that: {trouble}");
            act.remarks.push(remark);
            act.try_to_remember();
            return Some(Ending::Stopped);
        }
        if trouble.class == Class::Health
            && let Some(Batch {
                phase: Phase::Proven,
                ..
            }) = act.record.batch
        {
            // It is not as it was when it was proven.
            act.record.enter(Phase::Begun);
        }
        act.record.error = (trouble.class != Class::Interrupted).then(|| trouble.to_string());
        self.trouble = Some(trouble);
        if !act.changed
            && let Some(before) = self.fresh.take()
        {
            *act.record = before;
            act.try_to_remember();
            return Some(Ending::Refused);
        }
        act.back = true;
        act.reset();
        act.try_to_remember();
        None
    }
}

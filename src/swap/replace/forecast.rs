//! What a replace would do, if everything goes well.

use super::Record;
use super::plan::{Decision, Next, Seen};
use crate::swap::act::Terms;
use crate::swap::forecast::{LIMIT, obey};
use crate::swap::plan::Step;
use crate::swap::setup::Replacement;
use crate::swap::world::{Rules, World};

/// The steps that are left.
#[must_use]
pub(super) fn forecast(
    rules: &Rules,
    terms: &Terms,
    replacement: &Replacement,
    world: &World,
    record: &Record,
) -> Vec<Step> {
    let mut world = world.clone();
    let mut record = record.clone();
    let mut seen = Seen::default();
    let mut steps = Vec::new();
    for _ in 0..LIMIT {
        let decision = Decision {
            rules,
            replacement,
            world: &world,
            record: &record,
        };
        let step = match decision.forward(seen) {
            Next::Begin(hosts) => {
                record.begin(hosts);
                seen = Seen::default();
                continue;
            }
            Next::Finished => {
                record.finish();
                continue;
            }
            Next::Step(step) => step,
            Next::Returned | Next::Nothing => break,
        };
        obey(&step, &mut world, &mut record.parked);
        seen.learn(&step, &mut record);
        let is_last = matches!(step, Step::Short(_));
        if step != Step::Settle || !terms.settle.is_zero() {
            steps.push(step);
        }
        if is_last {
            break;
        }
    }
    steps
}

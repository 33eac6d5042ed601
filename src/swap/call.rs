//! What a call means, given what earlier ones have left.

use std::collections::BTreeSet;

use super::drive::Start;
use super::plan::{Preparation, Record, Shortage, Stage, can_serve_alone};
use super::world::{Rules, World};

/// What the user asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// This pool is to serve.
    To(String),
    /// The pool that served before is to serve.
    Revert,
}

/// One drive of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Beginning {
    /// What it goes on from.
    pub record: Record,
    /// How it begins.
    pub start: Start,
}

/// What has to be done first, before the wish itself: what was left half done.
#[must_use]
pub(super) fn unfinished(wish: &Wish, previous: Option<&Record>) -> Option<Beginning> {
    let previous = previous?;
    let resume = |stage| Beginning {
        record: Record {
            stage,
            ..previous.clone()
        },
        start: Start::Resumed,
    };
    match previous.stage {
        Stage::Swapped | Stage::Reverted | Stage::Arrived => None,
        Stage::Forward if *wish == Wish::To(previous.to.clone()) => Some(resume(Stage::Forward)),
        Stage::Forward | Stage::Back => Some(resume(Stage::Back)),
    }
}

/// Whether finishing what was left half done is all of the wish.
#[must_use]
pub(super) fn is_all(wish: &Wish, unfinished: &Beginning) -> bool {
    match wish {
        Wish::Revert => true,
        Wish::To(pool) => match unfinished.record.stage {
            Stage::Forward => true,
            _ => *pool == unfinished.record.from,
        },
    }
}

/// Why a swap does not begin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// No swap came about that could be taken back.
    #[error("there is nothing to take back: the last swap {0}")]
    NothingToRevert(&'static str),
    /// The target pool is too small.
    #[error("the pool `{pool}` could not serve alone: {shortage}")]
    TooFew {
        /// Which pool.
        pool: String,
        /// Where.
        shortage: Shortage,
    },
}

/// The beginning of a new swap.
///
/// # Errors
/// Why it does not begin; nothing was touched.
pub(super) fn beginning(
    wish: &Wish,
    previous: Option<&Record>,
    rules: &Rules,
    world: &World,
    run_id: &str,
) -> Result<Beginning, Refusal> {
    let (to, preparation) = match (wish, previous) {
        (Wish::To(to), _) => (to.clone(), Preparation::None),
        (
            Wish::Revert,
            Some(Record {
                stage: Stage::Swapped | Stage::Arrived,
                from,
                ..
            }),
        ) => (from.clone(), Preparation::Done),
        (Wish::Revert, Some(_)) => {
            return Err(Refusal::NothingToRevert("did not come about"));
        }
        (Wish::Revert, None) => {
            return Err(Refusal::NothingToRevert(
                "is not in the journal of this project",
            ));
        }
    };
    let from = rules.other(&to);
    let target = rules.other(&from.name);
    let mut record = Record {
        run_id: run_id.to_owned(),
        from: from.name.clone(),
        to,
        stage: Stage::Forward,
        preparation,
        parked: previous
            .map(|record| record.parked.clone())
            .unwrap_or_default(),
        beside: BTreeSet::new(),
        before: world.in_service(&BTreeSet::new()),
        error: None,
    };
    for (place, before) in &mut record.before {
        *before = world
            .count_not_held(from, place, &record.parked)
            .max(*before);
    }
    let beside = world.ready(target);
    // Also if none of it is up: there is nobody whom the traffic could be given back.
    if !beside.is_empty() && world.ready(from).is_empty() {
        record.preparation = Preparation::Done;
        record.stage = Stage::Arrived;
        return Ok(Beginning {
            record,
            start: Start::Arrived,
        });
    }
    record.beside = beside;
    if let Err(shortage) = can_serve_alone(rules, world, &record) {
        let pool = target.name.clone();
        return Err(Refusal::TooFew { pool, shortage });
    }
    let start = Start::Fresh {
        previous: previous.cloned().map(Box::new),
    };
    Ok(Beginning { record, start })
}

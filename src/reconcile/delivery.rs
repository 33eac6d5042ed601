//! Results on their way to the controller: of what would run again if it did not hear of them.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use super::Work;
use crate::host::{Failure, Host, Place, Unheard, UnheardResult, hold_results, now};
use crate::protocol::{Begin, Drift, Message, Mode, Outcome, Output, Sha256, Status, Task, TaskId};
use crate::resource::{Resource, dispatch};

/// What is to be heard of in this run, and what was not in earlier ones.
#[derive(Default)]
pub(super) struct Delivery {
    /// Only what a playbook says has a place to be found again by.
    playbook: Option<String>,
    earlier: Unheard,
    under_way: Vec<(TaskId, UnheardResult)>,
    /// How often the same task has come.
    came: HashMap<Sha256, u32>,
}

impl Delivery {
    /// Reads what earlier runs left, once nobody else writes to the host.
    pub(super) fn load(&mut self, state: &Path, begin: &Begin) -> Result<(), Failure> {
        self.playbook.clone_from(&begin.playbook);
        self.earlier = Unheard::load(state)?;
        Ok(())
    }

    /// Where a task is found again, if it is one that would run again. To be asked once for each
    /// task that comes.
    pub(super) fn place(&mut self, task: &Task) -> Option<Place> {
        let every_time = dispatch!(&task.resource, resource => resource.runs_every_time());
        // What only looks had better look again.
        if !every_time || task.read_only {
            return None;
        }
        let playbook = self.playbook.clone()?;
        let unnumbered = Task {
            id: 0,
            ..task.clone()
        };
        let text = serde_json::to_vec(&unnumbered).expect("what came as JSON can go as JSON");
        let task = Sha256::of(&text);
        let came = self.came.entry(task).or_default();
        let nth = *came;
        *came += 1;
        Some(Place {
            playbook,
            task,
            nth,
        })
    }

    /// What came of a task whose end nobody heard, instead of running it again.
    pub(super) fn recall(&self, place: &Place, task: &Task, mode: Mode) -> Option<Work> {
        let result = self.earlier.find(place)?;
        let when = format!(
            "{} ago, when the connection was lost",
            in_words(result.age())
        );
        if mode == Mode::Check {
            return Some(foretell(result.outcome.status, &when));
        }
        let mut outcome = result.outcome.clone();
        let said = outcome.message.take();
        outcome.message = Some(match (outcome.status, said) {
            (Status::Failed, Some(said)) => format!("it ended {when}: {said}"),
            _ => format!("ran to its end {when}; it was not run again"),
        });
        if result.withheld && task.needed {
            outcome.status = Status::Failed;
            outcome.message = Some(format!(
                "it ran to its end {when}; what it printed may be secret and was not kept, and \
                 something is decided by it: the next apply runs it again"
            ));
        }
        Some(Work {
            outcome,
            notified: result.notified.clone(),
        })
    }

    /// Holds a result until it is heard.
    pub(super) fn hold(&mut self, place: Place, task: &Task, work: &Work) {
        let withheld = task.no_log || task.sensitive;
        let outcome = if withheld {
            without_values(&work.outcome)
        } else {
            work.outcome.clone()
        };
        let result = UnheardResult {
            place,
            outcome,
            withheld,
            notified: work.notified.clone(),
            ended: now(),
        };
        self.under_way.push((task.id, result));
        hold_results(true);
    }

    pub(super) fn heard(&mut self, id: TaskId) -> Result<(), Failure> {
        let Some(at) = self.under_way.iter().position(|(task, _)| *task == id) else {
            return Ok(());
        };
        let (_, result) = self.under_way.remove(at);
        hold_results(!self.is_over());
        self.earlier.forget(&result.place)
    }

    /// Whether everything was heard.
    pub(super) fn is_over(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Keeps what was not heard for the next apply. The connection is lost; what came before that
    /// can still be read.
    pub(super) fn give_up(&mut self, host: &Host) -> Result<(), Failure> {
        while !self.is_over()
            && let Ok(Some(message)) = host.receive()
        {
            if let Message::Heard { id } = message {
                self.heard(id)?;
            }
        }
        self.keep()
    }

    /// Keeps what was not heard for the next apply.
    pub(super) fn keep(&mut self) -> Result<(), Failure> {
        if self.is_over() {
            return Ok(());
        }
        let left = self.under_way.drain(..);
        let left = left.map(|(_, result)| result).collect();
        self.earlier.keep(left)
    }
}

/// What check says of a result that the next apply will read.
fn foretell(status: Status, when: &str) -> Work {
    if status != Status::Failed {
        return Work::would_run(&format!(
            "ran to its end {when}; the next apply reads what came of it and does not run it"
        ));
    }
    let drift = Drift::update("result", "success", format!("failed {when}"));
    let mut outcome = Outcome::drifted(vec![drift]);
    outcome.message = Some(format!(
        "it failed {when}; the next apply reads how, and the one after that runs it again"
    ));
    outcome.into()
}

fn without_values(outcome: &Outcome) -> Outcome {
    Outcome {
        status: outcome.status,
        output: outcome.output.as_ref().map(|output| Output {
            rc: output.rc,
            ..Output::default()
        }),
        duration_ms: outcome.duration_ms,
        ..Outcome::default()
    }
}

fn in_words(age: Duration) -> String {
    match age.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_told_as_people_do() {
        let told = [5, 119, 120, 7199, 7200, 86_399].map(|age| in_words(Duration::from_secs(age)));
        assert_eq!(told, ["5 s", "119 s", "2 min", "119 min", "2 h", "23 h"]);
    }
}

//! How the fleet of the benches is checked.

use std::time::Duration;

use fleet::report::{Command, Keep};
use fleet::run::{Login, Options, Ownership, Rollout};
use fleet::secret::Redactor;

/// A check by somebody who said nothing else.
pub(crate) fn check() -> Options {
    Options {
        command: Command::Check,
        title: "play.yml".to_owned(),
        forks: 50,
        diff: false,
        keep: Keep::Findings,
        silence: Duration::from_mins(15),
        host_timeout: Duration::from_hours(1),
        ownership: Some(Ownership {
            playbook: "bench/play.yml".to_owned(),
            complete: true,
            counted: true,
        }),
        lock_timeout: Duration::ZERO,
        redactor: Redactor::default(),
        login: Login::default(),
        rollout: Rollout::default(),
    }
}

//! A selection that leaves nothing to do is a mistake, and says which option made it.

use super::request::Request;
use crate::error::{Error, ErrorKind};
use crate::playbook::{Play, TagFilter, selected};
use crate::run::{Job, Work};

/// The error where no host is left.
pub(super) fn no_hosts(request: &Request) -> Error {
    let error = Error::new(
        ErrorKind::Config,
        "no host is selected, so there is nothing to do",
    );
    match &request.limit {
        Some(limit) => error.hint(format!(
            "`-l {limit}` leaves none of the hosts of the plays"
        )),
        None => {
            error.hint("the groups of the plays are empty; `fleet inventory --graph` shows them")
        }
    }
}

/// The error if what was asked for leaves no task to any of the hosts.
pub(super) fn no_tasks(request: &Request, tags: &TagFilter, work: &Work<'_>) -> Option<Error> {
    let Job::Plays {
        playbook, hosts, ..
    } = &work.job
    else {
        return None;
    };
    let mut plays = playbook
        .plays
        .iter()
        .zip(hosts)
        .filter(|(_, hosts)| !hosts.is_empty());
    let has_tasks = |(play, _): (&Play, _)| play.tasks().any(|task| selected(task, tags));
    let asked = !tags.is_empty() || request.limit.is_some();
    if !asked || plays.any(has_tasks) {
        return None;
    }
    let error = Error::new(
        ErrorKind::Config,
        "no task is selected, so there is nothing to do",
    );
    let mut options = Vec::new();
    for (option, values) in [
        ("--tags", &request.tags),
        ("--skip-tags", &request.skip_tags),
    ] {
        if !values.is_empty() {
            options.push(format!("`{option} {}`", values.join(",")));
        }
    }
    options.extend(request.limit.as_ref().map(|limit| format!("`-l {limit}`")));
    let options = options.join(" with ");
    Some(error.hint(format!(
        "{options} leaves none; `--list-tasks` shows the tasks without it"
    )))
}

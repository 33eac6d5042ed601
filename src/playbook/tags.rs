//! Which tasks `--tags` and `--skip-tags` leave.

use std::collections::BTreeSet;

use super::{Playbook, Task};
use crate::diagnostic::{Diagnostic, nearest};

/// Tags that mean something without any task that has them.
const WORDS: [&str; 5] = ["all", "tagged", "untagged", "always", "never"];

/// What was asked for with `--tags` and `--skip-tags`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TagFilter {
    /// Only tasks with one of these; empty means `all`. `all`, `tagged` and `untagged` as in
    /// Ansible.
    pub only: BTreeSet<String>,
    /// No task with one of these.
    pub skip: BTreeSet<String>,
}

impl TagFilter {
    /// Reads the values of `--tags` and `--skip-tags`, each possibly a list with commas.
    #[must_use]
    pub fn new<'a>(
        only: impl IntoIterator<Item = &'a str>,
        skip: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let split = |text: &'a str| text.split(',').map(str::trim).filter(|tag| !tag.is_empty());
        Self {
            only: only
                .into_iter()
                .flat_map(split)
                .map(str::to_owned)
                .collect(),
            skip: skip
                .into_iter()
                .flat_map(split)
                .map(str::to_owned)
                .collect(),
        }
    }

    /// Whether nothing was asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.only.is_empty() && self.skip.is_empty()
    }

    /// What is wrong with it for a playbook: tags that no task has.
    #[must_use]
    pub fn unknown(&self, playbook: &Playbook) -> Vec<Diagnostic> {
        let tasks = playbook.plays.iter().flat_map(super::Play::tasks);
        let tags: BTreeSet<_> = tasks
            .flat_map(|task| &task.tags)
            .map(String::as_str)
            .collect();
        let known = || tags.iter().copied();
        let options = [("--tags", &self.only), ("--skip-tags", &self.skip)];
        let asked = options
            .into_iter()
            .flat_map(|(option, tags)| tags.iter().map(move |tag| (option, tag.as_str())));
        let unknown = asked.filter(|(_, tag)| !tags.contains(tag) && !WORDS.contains(tag));
        unknown
            .map(|(option, tag)| {
                let error = Diagnostic::error(format!("`{option}`: no task has the tag `{tag}`"));
                error.help(match nearest(tag, known().chain(WORDS)) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None if tags.is_empty() => "no task has any tag".to_owned(),
                    None => {
                        let tags: Vec<_> = known().collect();
                        format!("there are `{}`", tags.join("`, `"))
                    }
                })
            })
            .collect()
    }
}

/// Whether a task is to be run. A task tagged `always` is, unless `always` or another of its
/// tags is skipped; one tagged `never` is only if another of its tags was asked for.
#[must_use]
pub fn selected(task: &Task, filter: &TagFilter) -> bool {
    let tags = &task.tags;
    let tagged = tags.iter().any(|tag| tag != "never" && tag != "always");
    let named = !tags.is_disjoint(&filter.only);
    let wanted = if named {
        true
    } else if tags.contains("never") {
        false
    } else {
        filter.only.is_empty()
            || filter.only.contains("all")
            || tags.contains("always")
            || (filter.only.contains("tagged") && tagged)
            || (filter.only.contains("untagged") && tags.is_empty())
    };
    let skipped = !tags.is_disjoint(&filter.skip)
        || (filter.skip.contains("all") && !tags.contains("always"))
        || (filter.skip.contains("tagged") && tagged)
        || (filter.skip.contains("untagged") && tags.is_empty());
    wanted && !skipped
}

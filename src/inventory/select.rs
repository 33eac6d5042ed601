//! From a pattern to hosts.

use std::collections::BTreeSet;

use super::pattern::{Effect, Part, Slice, Term};
use super::{HostName, Inventory, Pattern, PatternError};
use crate::diagnostic::nearest;

/// What `localhost` may be called where the inventory does not have it.
const IMPLICIT: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

impl Inventory {
    /// The hosts a pattern means, in the order of the inventory. Parts are added first, then
    /// `&` parts keep, then `!` parts remove, wherever they stand.
    ///
    /// The result is empty if what is named exists but leaves nothing (an empty group).
    ///
    /// # Errors
    /// When a part, `&` and `!` included, names nothing that exists.
    pub fn select(&self, pattern: &Pattern) -> Result<Vec<HostName>, PatternError> {
        let mut selected = BTreeSet::new();
        let mut implicit = None;
        let parts = |effect| {
            pattern
                .parts
                .iter()
                .filter(move |part| part.effect == effect)
        };
        if parts(Effect::Add).next().is_none() {
            selected.extend(0..self.hosts.len());
        }
        for part in parts(Effect::Add) {
            match (self.matches(part), &part.term) {
                (Some(hosts), _) => selected.extend(hosts),
                (None, Term::Name(name)) if IMPLICIT.contains(&name.as_str()) => {
                    implicit = name.parse().ok();
                }
                (None, _) => return Err(self.nothing(part)),
            }
        }
        for part in parts(Effect::Keep) {
            let hosts = self.matches(part).ok_or_else(|| self.nothing(part))?;
            selected.retain(|host| hosts.contains(host));
            implicit = None;
        }
        for part in parts(Effect::Remove) {
            let hosts = self.matches(part).ok_or_else(|| self.nothing(part))?;
            selected.retain(|host| !hosts.contains(host));
        }
        Ok(selected
            .into_iter()
            .map(|at| self.name(at).clone())
            .chain(implicit)
            .collect())
    }

    /// The hosts one part means; `None` if it names nothing that exists.
    fn matches(&self, part: &Part) -> Option<BTreeSet<usize>> {
        let mut found = BTreeSet::new();
        let mut any = false;
        match &part.term {
            Term::Name(name) => {
                // A group hides a host of its name, as in Ansible.
                if let Some(group) = self.groups.get_index_of(name.as_str()) {
                    any = true;
                    found = self.member_indices(group);
                } else if let Some(host) = self.hosts.get_index_of(name.as_str()) {
                    any = true;
                    found.insert(host);
                }
            }
            Term::Glob(_) | Term::Regex(_) => {
                let fits = |name: &str| match &part.term {
                    Term::Name(_) => false,
                    Term::Glob(glob) => glob.is_match(name),
                    Term::Regex(regex) => regex.is_match(name),
                };
                for (at, group) in self.groups.keys().enumerate() {
                    if fits(group.as_str()) {
                        // `*` on an inventory without hosts is a group without hosts.
                        any = true;
                        found.extend(self.member_indices(at));
                    }
                }
                let hosts = self.hosts.keys().enumerate();
                let matched = hosts.filter(|(_, host)| fits(host.as_str()));
                found.extend(matched.map(|(at, _)| at));
            }
        }
        if !any && found.is_empty() {
            return None;
        }
        match part.slice {
            Slice::All => Some(found),
            Slice::At(at) => {
                let at = match usize::try_from(at) {
                    Ok(at) => Some(at),
                    Err(_) => found.len().checked_sub(at.unsigned_abs()),
                };
                at.and_then(|at| found.into_iter().nth(at))
                    .map(|host| BTreeSet::from([host]))
            }
            Slice::Range(first, last) => {
                let count = last.map_or(usize::MAX, |last| (last + 1).saturating_sub(first));
                let sliced: BTreeSet<_> = found.into_iter().skip(first).take(count).collect();
                (!sliced.is_empty()).then_some(sliced)
            }
        }
    }

    fn nothing(&self, part: &Part) -> PatternError {
        let text = &part.text;
        let whole = Part {
            slice: Slice::All,
            ..part.clone()
        };
        if let Some(hosts) = self.matches(&whole) {
            let count = hosts.len();
            let message = format!("`{text}` is outside: there are {count} hosts to choose from");
            return PatternError::new(message, None);
        }
        // A subscript says nothing about the name.
        let text = match &part.term {
            Term::Name(name) => name,
            _ => text,
        };
        let names = || {
            self.groups
                .keys()
                .map(super::GroupName::as_str)
                .chain(self.hosts.keys().map(HostName::as_str))
        };
        let near = if let Some(at) = text.find(['*', '?', '[']) {
            // Compare what stands before the wildcard with how names begin.
            let (head, tail) = text.split_at(at);
            let heads = names().filter_map(|name| name.get(..head.len()));
            nearest(head, heads).map(|near| format!("{near}{tail}"))
        } else {
            nearest(text, names()).map(str::to_owned)
        };
        let help = match near.filter(|near| near != text) {
            Some(near) => format!("did you mean `{near}`?"),
            None if text.parse::<u16>().is_ok() => {
                "a pattern names hosts without their port".to_owned()
            }
            None if self.hosts.is_empty() => "the inventory has no hosts".to_owned(),
            None => "`fleet inventory --graph` shows all groups and hosts".to_owned(),
        };
        PatternError::new(format!("no host or group matches `{text}`"), Some(help))
    }
}

//! The report for people.

use std::fmt::Write as _;

use super::document::ServerDocument;
use super::{Action, Report, Verdict};
use crate::protocol::balancer::Admin;
use crate::report::{lines, single_line};
use crate::swap::world::Rules;

impl Report {
    /// For people.
    #[must_use]
    pub fn to_text(&self, rules: &Rules) -> String {
        let mut text = String::new();
        for step in &self.steps {
            let symbol = match (self.action, &step.failure) {
                (Action::Plan, _) => " ",
                (_, Some(_)) => "✗",
                (_, None) => "✓",
            };
            let back = if step.reverting { "back: " } else { "" };
            put(
                &mut text,
                &format!("{symbol} {back}{}", single_line(&step.text)),
            );
        }
        if !self.steps.is_empty() {
            text.push('\n');
        }
        for balancer in self.balancers(rules) {
            if let Some(error) = balancer.error {
                put(
                    &mut text,
                    &format!("{}: {}", balancer.host, single_line(error)),
                );
            }
            for backend in &balancer.backends {
                let servers: Vec<_> = backend.servers.iter().map(in_words).collect();
                put(
                    &mut text,
                    &format!(
                        "{} {}: {} in service: {}",
                        balancer.host,
                        backend.backend,
                        backend.in_service,
                        servers.join(", ")
                    ),
                );
            }
        }
        for remark in &self.remarks {
            put(&mut text, &format!("note: {}", single_line(remark)));
        }
        if let Some(trouble) = &self.trouble {
            for (n, line) in lines(&trouble.message).enumerate() {
                let lead = if n == 0 { "error: " } else { "  " };
                put(&mut text, &format!("{lead}{line}"));
            }
        }
        for (what, hosts) in self.lists() {
            put(&mut text, &format!("{what}: {}", hosts.join(", ")));
        }
        let sentence = if self.replaces {
            self.sentence_of_replacing()
        } else {
            self.sentence(rules)
        };
        put(&mut text, &sentence);
        text
    }

    /// The hosts that are replaced, by how far they are.
    fn lists(&self) -> Vec<(&str, &[String])> {
        let Some(hosts) = self
            .hosts
            .as_ref()
            .filter(|_| self.verdict != Verdict::Planned)
        else {
            return Vec::new();
        };
        let lists = [
            ("done", &hosts.done),
            ("failed, and out of service", &hosts.failed),
            ("not finished", &hosts.unfinished),
            ("untouched", &hosts.untouched),
        ];
        let lists = lists.into_iter().filter(|(_, hosts)| !hosts.is_empty());
        lists.map(|(what, hosts)| (what, &hosts[..])).collect()
    }

    fn sentence_of_replacing(&self) -> String {
        let service = &self.service;
        let hosts = self.hosts.clone().unwrap_or_default();
        let (done, left) = (hosts.done.len(), hosts.untouched.len());
        let all = done + left + hosts.failed.len() + hosts.unfinished.len();
        match self.verdict {
            Verdict::Refused => format!("Not begun, nothing was touched: {service}."),
            Verdict::Planned => {
                format!(
                    "Planned: {} of {all} hosts of {service} would be replaced.",
                    all - done
                )
            }
            Verdict::Stopped => format!(
                "Stopped: {done} of {all} hosts of {service} are replaced. The same call goes on."
            ),
            Verdict::Unsettled if all > 0 => format!(
                "Stopped before its end: {done} of {all} hosts of {service} are replaced. \
                 `fleet swap FILE` goes on."
            ),
            Verdict::Unsettled if self.trouble.is_some() => {
                format!("{service}: it could not be told.")
            }
            Verdict::Unsettled => {
                format!("{service}: servers that fleet took out are not in service.")
            }
            Verdict::Settled => format!("{service}: nothing is under way."),
            _ => format!("Replaced: {done} of {all} hosts of {service}."),
        }
    }

    fn sentence(&self, rules: &Rules) -> String {
        let service = &self.service;
        let serving = self.serving(rules);
        let on = match &serving[..] {
            [] => "nothing".to_owned(),
            pools => pools.join(" and "),
        };
        let to = self.to.as_deref().unwrap_or("?");
        match self.verdict {
            Verdict::Swapped | Verdict::Replaced | Verdict::Incomplete => {
                format!("Swapped: {service} is on {on}.")
            }
            Verdict::Unchanged => format!("Nothing to do: {service} is on {on}."),
            Verdict::Reverted => format!("Taken back: {service} is on {on}."),
            Verdict::Refused => format!("Not begun, nothing was touched: {service} is on {on}."),
            Verdict::Stopped => format!(
                "Stopped on the way to {to}: {service} is on {on}. `--to {to}` goes on, `--revert` \
                 takes it back."
            ),
            Verdict::Planned => format!("Planned: {service} is on {on} and would be on {to}."),
            Verdict::Settled => format!("{service} is on {on}."),
            Verdict::Unsettled if self.to.is_some() => format!(
                "Interrupted on the way to {to}: {service} is on {on}. `--to {to}` goes on, \
                 `--revert` takes it back."
            ),
            Verdict::Unsettled => format!("{service} is on {on}, and not alike everywhere."),
        }
    }
}

fn put(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("a String takes everything");
}

/// `green01 up`, `blue01 maint`, `blue02 held in maint`, `blue03 drain, 4 sessions`.
fn in_words(server: &ServerDocument<'_>) -> String {
    let state = match (server.admin, server.in_service) {
        (Admin::Ready, true) => "up",
        (Admin::Ready, false) => "down",
        (admin, _) => admin.as_str(),
    };
    let held = if server.held { "held in " } else { "" };
    let sessions = match server.sessions + server.queued {
        0 => String::new(),
        1 => " (1 session)".to_owned(),
        count => format!(" ({count} sessions)"),
    };
    format!("{} {held}{state}{sessions}", server.server)
}
